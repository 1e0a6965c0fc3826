import json

import numpy as np
import pandas as pd
import pytest

from mstclipiqa.provenance.differences import (
    FIT_TOLERANCE,
    TOLERANCE,
    describe_difference,
    find_difference,
    kinds,
    show,
)


def test_tables_differ_by_more_than_rounding():
    again = pd.DataFrame({"key": ["a", "b"], "value": [1.0, np.nan], "word": ["x", "y"]})
    assert describe_difference(again.iloc[::-1], again, ["key"]) is None
    assert describe_difference(again.assign(value=[1 + 1e-12, np.nan]), again, ["key"]) is None
    assert "value of a is 1.001" in describe_difference(again.assign(value=[1.001, np.nan]), again, ["key"])
    assert "value of b is 0.0, and nan" in describe_difference(again.assign(value=[1, 0.0]), again, ["key"])
    assert "word of b is z, and y" in describe_difference(again.assign(word=["x", "z"]), again, ["key"])
    assert "lacks 1 of 2 rows, e.g. b" in describe_difference(again.iloc[:1], again, ["key"])
    assert "should not have 1 of 2 rows, e.g. b" in describe_difference(again, again.iloc[:1], ["key"])


def test_documents_differ_by_more_than_rounding():
    again = {"claims": [{"id": "one", "measured": 0.5, "files": ["a"]}, {"id": "two", "measured": None, "files": []}]}
    assert find_difference(json.loads(json.dumps(again)), again) is None
    for change, where in (
        (lambda d: d["claims"][0].update(measured=0.6), "measured of one"),
        (lambda d: d["claims"][1].update(measured=0.0), "measured of two"),
        (lambda d: d["claims"][0].update(files=["b"]), "files of one, 0"),
        (lambda d: d["claims"].pop(), "claims of the document"),
    ):
        changed = json.loads(json.dumps(again))
        change(changed)
        assert find_difference(changed, again) == where
    assert find_difference({"claims": [{"measured": 0.5 + 1e-12}]}, {"claims": [{"measured": 0.5}]}) is None


AGAIN = pd.DataFrame({"name": ["a", "a"], "seed": [0, 1], "size": [2e6, 3.0], "plcc_fitted": [0.5, 0.6], "at": "x"})


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"size": [2e6 + 1e-3, 3.0]}, "size of a, 0 is 2000000.001, and 2000000.0 computed again (1 of 2 differ)"),
        ({"size": [2e6, 3 + 5 * TOLERANCE]}, "size of a, 1 is 3.000000005, and 3.0 computed again (1 of 2 differ)"),
        ({"size": ["2e6", "much"]}, "size of a, 1 is nan, and 3.0 computed again (1 of 2 differ)"),
        ({"plcc_fitted": [0.5 + FIT_TOLERANCE / 2, 0.6]}, None),
        ({"plcc_fitted": [0.5, 0.600002]}, "plcc_fitted of a, 1 is 0.600002, and 0.6 computed again (1 of 2 differ)"),
        ({"size": [1.0, 1.0], "at": "y"}, "size of a, 0 is 1.0, and 2000000.0 computed again (2 of 2 differ)"),
        ({"plcc_fitted": [1.0, 1.0], "at": "y"}, "plcc_fitted of a, 0 is 1.0, and 0.5 computed again (2 of 2 differ)"),
        ({"seed": [1, 1]}, "says a, 1 twice"),
    ],
)
def test_what_differs_is_named_by_its_keys_in_the_order_of_the_columns(changed, found):
    assert describe_difference(AGAIN.assign(**changed), AGAIN, ["name", "seed"]) == found


def test_columns_and_rows_that_are_missing_are_counted():
    keys = ["name", "seed"]
    assert describe_difference(AGAIN.drop(columns=["size", "at"]), AGAIN, keys) == "has no column size, at"
    assert describe_difference(AGAIN.assign(further=1), AGAIN, keys) is None
    assert describe_difference(AGAIN[:0], AGAIN, keys) == "has 0 rows, not 2"
    assert describe_difference(AGAIN, AGAIN[:0], keys) == "has 2 rows, not 0"
    assert describe_difference(AGAIN[:0], AGAIN[:0], keys) is None


@pytest.mark.parametrize(
    ("stored", "again", "same"),
    [
        (3.0, 3.0, True),
        (3, 3.0, True),
        (float("nan"), float("nan"), True),
        (3 + TOLERANCE / 2, 3.0, True),
        (3 + 5 * TOLERANCE, 3.0, False),
        (2e6 + 1e-3, 2e6, False),  # no share of the number
        (0.0, float("nan"), False),
        ("3.0", 3.0, False),
    ],
)
def test_numbers_of_documents_differ_by_more_than_the_tolerance(stored, again, same):
    assert find_difference(stored, again) == (None if same else "the document")


@pytest.mark.parametrize(("stored", "again"), [([], {}), ({}, []), (1, True), (None, {}), ({"a": 1}, {"b": 1})])
def test_documents_of_another_shape_differ(stored, again):
    assert find_difference(stored, again) == "the document"


def test_kinds_are_those_of_every_column():
    assert kinds(AGAIN) == {
        "name": "string",
        "seed": "integer",
        "size": "floating",
        "plcc_fitted": "floating",
        "at": "string",
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ({"a": [1, "b"]}, '{"a": [1, "b"]}'),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 77 + "..."),
        (list(range(40)), f"{list(range(40))}"[:77] + "..."),
    ],
)
def test_a_value_is_shown_in_a_line_of_80(value, shown):
    assert show(value) == shown
