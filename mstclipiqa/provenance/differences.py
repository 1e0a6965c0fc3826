"""How a stored table or document differs from the one computed again, in words."""

import json
from collections.abc import Iterable

import numpy as np
import pandas as pd

#: How far a number computed again may be from the stored one. Of the six decimals of a fitted PLCC, rounding may move
#: the last.
TOLERANCE = 1e-9
FIT_TOLERANCE = 1.5e-6


# Comparing


def kinds(frame: pd.DataFrame) -> dict[str, str]:
    """What each column of a table holds."""
    return {column: pd.api.types.infer_dtype(frame[column]) for column in frame}


def show(value: object) -> str:
    """A value of a JSON document in a line."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def describe_difference(
    stored: pd.DataFrame, again: pd.DataFrame, keys: list[str], tolerance: float = TOLERANCE
) -> str | None:
    """How a stored table differs from the one computed again, in words; None where it does not.

    `keys` name a row in both. Numbers may differ by `tolerance`, fitted ones by FIT_TOLERANCE; order does not matter,
    nor do further columns.
    """
    missing = [column for column in again if column not in stored]
    if missing:
        return f"has no column {', '.join(missing)}"
    if stored.empty or again.empty:
        return None if len(stored) == len(again) else f"has {len(stored)} rows, not {len(again)}"
    if stored.duplicated(keys).any():
        return f"says {show_row(stored[stored.duplicated(keys)], keys)} twice"
    both = again.merge(stored, on=keys, how="outer", suffixes=("", " stored"), indicator="side")
    for side, words in (("left_only", "lacks"), ("right_only", "should not have")):
        rows = both[both["side"] == side]
        if len(rows):
            return f"{words} {len(rows):,} of {len(both):,} rows, e.g. {show_row(rows, keys)}"
    for column in again.columns.difference(keys, sort=False):
        expected, held = both[column], both[f"{column} stored"]
        if pd.api.types.is_numeric_dtype(expected):
            held = pd.to_numeric(held, errors="coerce")
            allowed = FIT_TOLERANCE if column == "plcc_fitted" else tolerance
            differs = ~np.isclose(held, expected, rtol=0, atol=allowed, equal_nan=True)
        else:
            differs = (held.astype(str) != expected.astype(str)).to_numpy()
        if differs.any():
            first = differs.argmax()
            where, count = show_row(both[differs], keys), f"{differs.sum():,} of {len(both):,} differ"
            return f"{column} of {where} is {held[first]}, and {expected[first]} computed again ({count})"
    return None


def show_row(rows: pd.DataFrame, keys: list[str]) -> str:
    """The first of some rows, by its keys."""
    return ", ".join(str(value) for value in rows[keys].iloc[0])


def find_difference(stored: object, again: object, place: str = "the document") -> str | None:
    """Where a JSON document differs from the one computed again, numbers by more than TOLERANCE; None where nowhere."""
    pairs: Iterable[tuple[object, object, str]]
    if isinstance(again, dict) and isinstance(stored, dict) and stored.keys() == again.keys():
        name = again.get("id", place)
        pairs = [(stored[key], again[key], f"{key} of {name}") for key in again]
    elif isinstance(again, list) and isinstance(stored, list) and len(stored) == len(again):
        pairs = [(held, value, f"{place}, {i}") for i, (held, value) in enumerate(zip(stored, again, strict=True))]
    elif isinstance(again, float) and isinstance(stored, int | float):
        return None if np.isclose(stored, again, rtol=0, atol=TOLERANCE, equal_nan=True) else place
    else:
        return None if type(stored) is type(again) and stored == again else place
    return next(filter(None, (find_difference(*pair) for pair in pairs)), None)
