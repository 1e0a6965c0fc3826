"""The rules of the verdicts: a claimed value, a measured one and its interval -> a word and the reason."""

REPRODUCED = "reproduced"
WITHIN_NOISE = "within noise"
DIRECTION_ONLY = "direction only"
NOT_REPRODUCED = "not reproduced"
UNTESTABLE = "untestable"
NOT_RUN = "not run"
MINIATURE = "miniature suite"
SMALL_PAIR = "the small pair, not the paper's encoders"

#: The verdicts in their order, and how they come about.
RULES = {
    REPRODUCED: "a number within the band around the claim; for an ordering, the whole interval above 0",
    WITHIN_NOISE: "a number outside the band whose 95 % interval holds the claim",
    DIRECTION_ONLY: "a gain or an ordering of the right sign, but not of the size, or not beyond the interval",
    NOT_REPRODUCED: "none of these",
    UNTESTABLE: "cannot be decided here, or at all, and why",
    NOT_RUN: "a benchmark, recipe, variant or protocol is missing, and which",
}
SLACK = 1e-9  # binary fractions


# The verdicts


def judge_number(claimed: float, measured: float, low: float, high: float, band: float) -> tuple[str, str]:
    """The verdict on a number: within the band, else within the interval, else not reproduced."""
    difference = measured - claimed
    if abs(difference) <= band + SLACK:
        return REPRODUCED, f"{difference:+.4f} from the claim, within ±{band:g}"
    if low <= claimed <= high:
        return WITHIN_NOISE, f"{difference:+.4f} from the claim, inside the 95 % interval"
    return NOT_REPRODUCED, f"{difference:+.4f} from the claim, outside the 95 % interval"


def judge_gain(claimed: float, measured: float, low: float, high: float, band: float) -> tuple[str, str]:
    """The verdict on a gain: as a number, but of the right sign it still gives the direction."""
    verdict, reason = judge_number(claimed, measured, low, high, band)
    if verdict == NOT_REPRODUCED and measured * claimed > 0:
        return DIRECTION_ONLY, f"{reason}, but of the same sign"
    return verdict, reason


def judge_ordering(measured: float, low: float) -> tuple[str, str]:
    """The verdict on a margin that is claimed to be above 0."""
    if low > 0:
        return REPRODUCED, "above 0 with the whole interval"
    if measured > 0:
        return DIRECTION_ONLY, "above 0, but the interval is not"
    return NOT_REPRODUCED, "not above 0"
