"""Attention that was cut, changed or made of another run is found out."""

from collections.abc import Callable

import pandas as pd
import pytest
from small_study import SmallStudy
from tampering import assert_found, edit_table, rehash, verify

FILE = "agiqa-3k/attention/quality/slow.parquet"


def drop_token(frame: pd.DataFrame, _: dict) -> pd.DataFrame:
    return frame.iloc[1:]


def heavier(frame: pd.DataFrame, _: dict) -> None:
    frame.loc[0, "weight"] += 0.01


def negative(frame: pd.DataFrame, _: dict) -> None:
    frame.loc[:1, "weight"] += [1.0, -1.0]


def other_seed(_: pd.DataFrame, metadata: dict) -> None:
    metadata["seed"] = 9


def better(_: pd.DataFrame, metadata: dict) -> None:
    metadata["srcc"] += 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_token, "row"),
        (heavier, "no shares: they add up to 1.01"),
        (negative, "no shares"),
        (other_seed, "its seed is 9, not 0"),
        (better, "the same run of the suite has"),
    ],
)
def test_attention_that_was_edited_is_found(study: SmallStudy, change: Callable, words: str):
    edit_table(study.results / FILE, change)
    rehash(study)
    assert_found(verify(study), FILE, words)
