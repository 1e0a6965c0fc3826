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
MINIATURE = "miniature suite"
SMALL_PAIR = "the small pair, not the paper's encoders"

#: The verdicts in their order, and how they come about.
RULES = {
    CONSISTENT: "the paper's own printed numbers give the claim, within what rounding can do",
    CONTRADICTED: "the paper's own printed numbers say otherwise",
    REPRODUCED: "the whole 95 % interval lies within the margin around the claim; of an ordering, above 0",
    DIRECTION_ONLY: "a gain whose whole interval has the claimed sign and excludes the claimed size",
    NOT_REPRODUCED: "the 95 % interval excludes what was claimed",
    INCONCLUSIVE: "the 95 % interval excludes neither the claim nor its opposite, or there is no interval",
    UNTESTABLE: "cannot be decided here, or at all, and why",
    NOT_RUN: "a benchmark, recipe, variant or protocol is missing, and which",
}
SLACK = 1e-9  # binary fractions
#: How many half-widths of its 95 % interval a difference must have for its sign to be shown with 80 % power.
POWER = (1.959964 + 0.841621) / 1.959964


def detectable(low: float, high: float) -> float:
    """The smallest difference that evidence with the 95 % interval [low, high] shows to be above 0, with 80 % power."""
    return POWER * (high - low) / 2


def judge_number(claimed: float, measured: float, low: float, high: float, margin: float) -> tuple[str, str]:
    """The verdict on a number with the 95 % interval [low, high]: two one-sided tests against claimed ± margin.

    Both bounds are NaN where there is no interval; then nothing can be decided.
    """
    shown = f"{measured - claimed:+.4f} from the claim"
    if not low <= high:
        return INCONCLUSIVE, f"{shown}, without an interval"
    if claimed - margin - SLACK <= low and high <= claimed + margin + SLACK:
        return REPRODUCED, f"{shown}, the whole interval within ±{margin:g}"
    if low <= claimed <= high:
        return INCONCLUSIVE, f"{shown}; the interval holds the claim and reaches beyond ±{margin:g}"
    return NOT_REPRODUCED, f"{shown}, outside the 95 % interval"


def judge_gain(claimed: float, measured: float, low: float, high: float, margin: float) -> tuple[str, str]:
    """The verdict on a gain: as a number, but a gain beyond doubt of another size still gives the direction."""
    verdict, reason = judge_number(claimed, measured, low, high, margin)
    if verdict == NOT_REPRODUCED and min(claimed * low, claimed * high) > 0:
        return DIRECTION_ONLY, f"{reason}, but of the same sign beyond doubt"
    if verdict == INCONCLUSIVE and low <= high:
        return verdict, f"{reason}; a gain of {detectable(low, high):.2f} could have been shown (80 % power)"
    return verdict, reason


def judge_ordering(measured: float, low: float, high: float) -> tuple[str, str]:
    """The verdict on a margin that is claimed to be above 0."""
    if not low <= high:
        return INCONCLUSIVE, f"{measured:+.4f}, without an interval"
    if low > 0:
        return REPRODUCED, "above 0 with the whole interval"
    if high < 0:
        return NOT_REPRODUCED, "below 0 with the whole interval"
    shown = f"a margin of {detectable(low, high):.4f} could have been shown (80 % power)"
    return INCONCLUSIVE, f"{measured:+.4f}; the interval has both signs; {shown}"
