"""A table of the results folder is written by its entry, which takes no other columns or kinds of values."""

import pandas as pd
import pytest
from results_tables import table_of

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_table
from mstclipiqa.base.layout import BASELINES, FEATURES, READOUT, SAMPLES, ResultsFile


@pytest.fixture
def entry():
    return ResultsFile(
        "{benchmark}/a.parquet",
        "samples",
        "a test",
        {"image": "string", "n": "integer"},
        ("image",),
        {"sd": "floating"},
    )


def test_a_file_lies_where_its_names_say(tmp_path):
    assert SAMPLES.at(tmp_path, benchmark="agiqa-3k") == tmp_path / "agiqa-3k" / "samples.parquet"
    assert READOUT.at(tmp_path, recipe="appendix") == tmp_path / "probe" / "appendix" / "readout.parquet"


def test_a_table_comes_back_with_its_optional_columns(entry, tmp_path):
    frame = pd.DataFrame({"image": ["a.png"], "n": [1], "sd": [0.5]})
    for table in (frame, frame.drop(columns="sd"), frame.iloc[:0]):
        entry.write(entry.at(tmp_path, benchmark="b"), table, {"of": "b"})
        found, metadata = entry.read(entry.at(tmp_path, benchmark="b"))
        pd.testing.assert_frame_equal(found, table, check_dtype=len(table) > 0)
        assert metadata == {"of": "b"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="n"), r"lacks the columns \['n'\]"),
        (lambda frame: frame.assign(note="x"), r"has no columns \['note'\]"),
        (lambda frame: frame.assign(n=1.5), "column n holds floating, not integer values"),
        (lambda frame: frame.assign(image=3), "column image holds integer, not string values"),
        (lambda frame: frame.assign(sd="wide"), "column sd holds string, not floating values"),
    ],
)
def test_other_columns_or_kinds_are_not_written(entry, change, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        entry.write(tmp_path / "a.parquet", change(pd.DataFrame({"image": ["a.png"], "n": [1]})), {})
    assert not list(tmp_path.iterdir())


def test_the_table_of_another_step_is_refused_in_one_line(tmp_path):
    write_table(tmp_path / "a.parquet", table_of(BASELINES, [{"source": "ridge"}]), {})
    with pytest.raises(InputError, match="no column benchmark, image, .*; this is the table of another step") as error:
        SAMPLES.read(tmp_path / "a.parquet")
    assert "\n" not in str(error.value)


def test_a_store_holds_its_own_tensors():
    FEATURES.check_tensors({"features": 0})
    with pytest.raises(ValueError, match="holds features, not tokens"):
        FEATURES.check_tensors({"tokens": 0})
