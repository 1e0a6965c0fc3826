"""The rules of the verdicts. There are two kinds: of the paper's own printed numbers, and of what runs measured.

Whoever changes a rule adds a version to `rules` in `config/claims.yaml`.
"""

CONSISTENT = "consistent"
CONTRADICTED = "contradicted"
REPRODUCED = "reproduced"
DIRECTION_ONLY = "direction only"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
UNTESTABLE = "untestable"
NOT_RUN = "not run"
OTHER_ENCODERS = "measured with {}: not known to be the paper's encoders"

#: The verdicts in their order, and how they come about.
RULES = {
    CONSISTENT: "the paper's own printed numbers give the claim, within what rounding can do",
    CONTRADICTED: "the paper's own printed numbers say otherwise",
    REPRODUCED: "the whole 95 % interval of the difference to the claim lies within the margin; an ordering is above 0 "
    "beyond doubt (Holm over its table, 5 %)",
    DIRECTION_ONLY: "a gain whose whole interval has the claimed sign and excludes the claimed size",
    NOT_REPRODUCED: "the 95 % interval excludes what was claimed; an ordering is below 0 beyond doubt (Holm)",
    INCONCLUSIVE: "the evidence excludes neither the claim nor its opposite, or the noise of training is unknown",
    UNTESTABLE: "cannot be decided here, or at all, and why",
    NOT_RUN: "a benchmark, recipe, variant or protocol is missing, and which",
}
SLACK = 1e-9  # binary fractions
ALPHA = 0.05
UNKNOWN = "what training varies is unknown: run more seeds, or splits"


def judge_number(claimed: float, measured: float, low: float, high: float, margin: float) -> tuple[str, str]:
    """The verdict on a number with the 95 % interval [low, high]: two one-sided tests against claimed ± margin.

    Both bounds are NaN where the noise is unknown; then nothing can be decided.
    """
    shown = f"{measured - claimed:+.4f} from the claim"
    if not low <= high:
        return INCONCLUSIVE, f"{shown}; {UNKNOWN}"
    if claimed - margin - SLACK <= low and high <= claimed + margin + SLACK:
        return REPRODUCED, f"{shown}, the whole interval within ±{margin:g}"
    if low <= claimed <= high:
        return INCONCLUSIVE, f"{shown}; the interval holds the claim and reaches beyond ±{margin:g}"
    return NOT_REPRODUCED, f"{shown}, outside the 95 % interval"


def judge_gain(
    claimed: float, measured: float, low: float, high: float, margin: float, detectable: float
) -> tuple[str, str]:
    """The verdict on a gain: as a number, but a gain beyond doubt of another size still gives the direction."""
    verdict, reason = judge_number(claimed, measured, low, high, margin)
    if verdict == NOT_REPRODUCED and min(claimed * low, claimed * high) > 0:
        return DIRECTION_ONLY, f"{reason}, but of the same sign beyond doubt"
    if verdict == INCONCLUSIVE and low <= high:
        return verdict, f"{reason}; a gain of {detectable:.2f} could have been shown (80 % power)"
    return verdict, reason


def judge_above(measured: float, low: float, high: float) -> tuple[str, str]:
    """The verdict on a quantity that is claimed to be above 0, by its 95 % interval."""
    if low > 0:
        return REPRODUCED, "above 0 with the whole interval"
    if high < 0:
        return NOT_REPRODUCED, "below 0 with the whole interval"
    return INCONCLUSIVE, f"{measured:+.4f}; the interval has both signs"


def judge_ordering(measured: float, above: float, below: float, detectable: float) -> tuple[str, str]:
    """The verdict on a margin that is claimed to be above 0, from two-sided p, adjusted over its table, that it is
    `above` and that it is `below`. NaN where the noise is unknown."""
    if not above <= 1:
        return INCONCLUSIVE, f"{measured:+.4f}; {UNKNOWN}"
    if above <= ALPHA:
        return REPRODUCED, f"above 0, p {above:.2g}"
    if below <= ALPHA:
        return NOT_REPRODUCED, f"below 0, p {below:.2g}"
    shown = f"a margin of {detectable:.4f} could have been shown (80 % power)"
    return INCONCLUSIVE, f"{measured:+.4f} is neither above nor below 0 beyond doubt; {shown}"
