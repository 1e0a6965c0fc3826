"""What the report reads of the paper: from its printed numbers, from its claims, and from both."""

import pytest
from config_files import CLAIMS, PAPER_TABLES

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import TARGETS
from mstclipiqa.report.paper import read_paper


def test_each_target_has_one_table():
    paper = read_paper(PAPER_TABLES)
    assert {target: paper.table_of(target)[0] for target in TARGETS} == {
        "quality": "IV", "authenticity": "I", "correspondence": "V",
    }  # fmt: skip
    assert paper.table_of("authenticity")[1] == ["aigciqa2023", "pku-aigiqa-4k"]


def test_the_ablations_are_the_tables_of_more_than_the_two_models():
    ablations = read_paper(claims=CLAIMS).ablations
    assert list(ablations) == ["II", "III", "VI", "VII"]
    assert ablations["III"] == ("text towers", {"mstfe-1": "MSTFE-1", "mst-clipiqa": "MSTFE-2"})


def test_the_gains_are_those_over_liqe():
    # The gain of two encoders over one is another, and stated of another table.
    assert read_paper(PAPER_TABLES, CLAIMS).gains == {
        ("quality", "mst-clipiqa"): 0.89,
        ("quality", "mst-clipiqa-star"): 1.11,
        ("authenticity", "mst-clipiqa-star"): 1.12,
        ("correspondence", "mst-clipiqa-star"): 2.35,
    }


def test_what_is_not_given_is_empty():
    paper = read_paper()
    assert paper.printed.empty and paper.table_of("quality") == ("", [])
    assert paper.ablations == paper.gains == read_paper(PAPER_TABLES).gains == read_paper(claims=CLAIMS).gains == {}


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        read_paper(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"none\.yaml: no such file"):
        read_paper(claims=tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("tables: 1\n")
    with pytest.raises(InputError, match=r"bad\.yaml: .*claims\.schema\.yaml"):
        read_paper(claims=tmp_path / "bad.yaml")
