"""The published results: what the file that ships holds, and how a bad row is refused."""

import pandas as pd
import pytest
from config_files import PAPER_TABLES, PRIOR_RESULTS

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks import OF_PAPER
from mstclipiqa.data.prior_results import COLUMNS, STANDINGS, of_target, read_prior_results
from mstclipiqa.data.protocols import describe_protocol


@pytest.fixture(scope="module")
def prior():
    return read_prior_results(PRIOR_RESULTS)


def test_each_result_is_of_a_known_benchmark_and_has_a_source(prior):
    assert len(prior) == 614
    assert set(prior["benchmark"]) == {*OF_PAPER, "pku-i2iqa"}  # the last: image to image, half of PKU-AIGIQA-4K
    assert set(prior["standing"]) == set(STANDINGS)
    assert all(describe_protocol(name) for name in set(prior["split"]) - {""})
    assert prior[["source", "protocol"]].ne("").all(axis=None)


def test_what_the_paper_prints_is_as_in_its_tables(prior):
    table = pd.read_csv(PAPER_TABLES).query("table in ['I', 'IV', 'V']")
    table["method"] = table["method"].str.removesuffix(" (quoted)")
    printed = table.set_index(["benchmark", "target", "method", "metric"])["value"]
    rows = prior[prior["source"].str.contains("2606.16799")]
    assert 2 * len(rows) == len(printed) == 160
    for row in rows.to_dict("records"):
        for metric in ("srcc", "plcc"):
            assert printed[row["benchmark"], row["target"], row["method"], metric] == row[metric]


def test_later_results_are_those_of_a_paper_that_came_later(prior):
    later = prior["standing"] == "later"
    assert set(prior[later]["source"]) == {"https://arxiv.org/pdf/2607.05605v1"}
    dated = prior["source"].str.extract(r"(?:arxiv\.org/\w+/|arXiv )(\d{4}\.\d{5})")[0].dropna()
    assert (dated[~later[dated.index]] <= "2606.16799").all() and (dated[later[dated.index]] > "2606.16799").all()


def test_of_a_target_the_highest_comes_first_and_doubts_and_our_own_do_not(prior):
    rows = of_target(prior, "agiqa-3k", "quality", ["MST-CLIPIQA", "MST-CLIPIQA*"])
    assert rows["srcc"].is_monotonic_decreasing and len(rows) > 100
    assert not rows["method"].str.startswith("MST").any() and "doubted" not in set(rows["standing"])


GOOD = ["agiqa-3k", "quality", "LIQE", "0.9009", "0.922", "", "elsewhere", "lab-seed1", "one split", "arXiv 1"]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("benchmark", "AGIQA 3K", "row 3: benchmark 'AGIQA 3K' cannot be"),
        ("target", "beauty", "row 3: target 'beauty' cannot be"),
        ("method", "", "row 3: method '' cannot be"),
        ("srcc", "", "row 3: srcc '' cannot be"),
        ("srcc", "90.09", "row 3: srcc '90.09' cannot be"),
        ("plcc", "high", "row 3: plcc 'high' cannot be"),
        ("standing", "sota", "row 3: standing 'sota' cannot be"),
        ("split", "lucky", "row 3: split 'lucky' cannot be"),
        ("source", " ", "row 3: source ' ' cannot be"),
        ("srcc", "0.9009", "row 3: stands twice"),
    ],
)
def test_a_bad_row_is_named(tmp_path, column, value, words):
    second = [value if name == column else entry for name, entry in zip(COLUMNS, GOOD, strict=True)]
    pd.DataFrame([GOOD, second], columns=COLUMNS).to_csv(tmp_path / "prior.csv", index=False)
    with pytest.raises(InputError, match=words) as error:
        read_prior_results(tmp_path / "prior.csv")
    assert "prior.csv" in str(error.value) and "\n" not in str(error.value)


def test_no_table_and_other_columns_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_prior_results(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="has the columns a, b, not benchmark"):
        read_prior_results(tmp_path / "bad.csv")
    (tmp_path / "bad.csv").write_text("")
    with pytest.raises(InputError, match="not a table"):
        read_prior_results(tmp_path / "bad.csv")


def test_correlations_are_numbers_and_may_be_left_out(tmp_path):
    pd.DataFrame([GOOD], columns=COLUMNS).to_csv(tmp_path / "prior.csv", index=False)
    (row,) = read_prior_results(tmp_path / "prior.csv").to_dict("records")
    assert (row["srcc"], row["plcc"]) == (0.9009, 0.922) and pd.isna(row["krcc"])
