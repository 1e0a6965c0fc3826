import json

import numpy as np
import pandas as pd

from mstclipiqa.provenance.differences import describe_difference, find_difference


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
