"""How numbers are written for people."""

import math
from collections.abc import Sequence

import pandas as pd


def in_words(names: Sequence[str]) -> str:
    """Some names in a sentence, as `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def percent(share: float, decimals: int = 0) -> str:
    """A share, as `12 %`."""
    return f"{100 * share:.{decimals}f} %"


def spread(sd: float, decimals: int = 4) -> str:
    """A sample SD behind its mean, as `± 0.0123`; empty where it is undefined, as for a single value."""
    return "" if math.isnan(sd) else f"± {sd:.{decimals}f}"


def mean_and_sd(values: pd.Series, decimals: int = 4) -> str:
    """The mean of some values with their sample SD, as `0.6543 ± 0.0123`."""
    return f"{values.mean():.{decimals}f} {spread(values.std(), decimals)}".strip()
