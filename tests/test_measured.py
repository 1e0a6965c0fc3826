"""The README's measured numbers are those of docs/measured.yaml."""

import runpy
from pathlib import Path

import pytest

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError

REPOSITORY = Path(__file__).parents[1]
MEASURED = runpy.run_path(str(REPOSITORY / "docs" / "measured.py"))
DOCUMENT = read_yaml(REPOSITORY / "docs" / "measured.yaml")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_readme_holds_what_was_measured():
    assert MEASURED["rewrite"](README, MEASURED["render"](DOCUMENT)) == README, "run: python docs/measured.py"


def test_another_figure_is_another_readme():
    first, *others = DOCUMENT["measured"]
    figure = {"what": "wall time", "value": 1234, "unit": "s"}
    changed = DOCUMENT | {"measured": [first | {"figures": [figure]}, *others]}
    assert "wall time: 1,234 s" in MEASURED["rewrite"](README, MEASURED["render"](changed)) != README


@pytest.mark.parametrize("row", DOCUMENT["measured"], ids=lambda row: row["of"])
def test_every_figure_says_what_of_when_and_by_what(row: dict):
    assert row.keys() == {"of", "figures", "command", "machine", "date"}
    assert row["machine"] in DOCUMENT["machines"]
    for figure in row["figures"]:
        assert {"what", "value"} <= figure.keys() <= {"what", "value", "unit"}
        assert isinstance(figure["value"], int | float)


def test_lost_marks_are_one_line():
    with pytest.raises(InputError, match="put them around"):
        MEASURED["rewrite"]("# No marks\n", "block")
