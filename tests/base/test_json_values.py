import json

import numpy as np

from mstclipiqa.base.json_values import finite


def test_what_json_lacks_is_null_and_the_rest_stays():
    given = {"a": [1, float("nan"), (float("-inf"), "text")], 2: {"b": None, "c": True, "d": 0.5}}
    assert finite(given) == {"a": [1, None, [None, "text"]], "2": {"b": None, "c": True, "d": 0.5}}


def test_numbers_of_numpy_become_pythons():
    found = finite({"a": np.float32(np.nan), "b": np.int64(3), "c": np.float64(0.25)})
    assert json.dumps(found, allow_nan=False) == '{"a": null, "b": 3, "c": 0.25}'
