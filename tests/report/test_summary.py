import re
from pathlib import Path

from config_files import CLAIMS, PAPER_TABLES
from results_folder import add_claims

from mstclipiqa.report.page import make_tables
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.summary import summarise_report


def summary_of(root: Path) -> str:
    results = read_results(root, PAPER_TABLES, CLAIMS)
    return summarise_report(results, make_tables(results))


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, its head first."""
    table = re.search(rf"{heading}[^|]*\n((?:\|.*\n)+)", text)[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (table[0], *table[2:])]


def test_the_summary_has_verdicts_numbers_and_leakage(make_results):
    root = add_claims(make_results())
    text = summary_of(root)
    assert rows(text, "The paper’s claims")[1][:2] == ["consistent", "93"]
    metrics = read_results(root).metrics
    one = metrics.query(
        "target == 'quality' and protocol == 'lab-seed1' and selection == 'best-on-test'"
        " and recipe == 'released_code' and variant == 'mst-clipiqa'"
    )["srcc"].item()
    head, first, *others = rows(text, "Quality: ")
    assert head[:4] == ["Protocol and selection", "Method", "AGIQA-1K SRCC", "AGIQA-3K SRCC"]
    assert first[:4] == ["lab-seed1, best epoch on test", "MST-CLIPIQA", "—", f"{one:.4f}"]
    # Two protocols and what is printed, for two models, under one recipe.
    assert [row[1] for row in (first, *others)] == ["MST-CLIPIQA", r"MST-CLIPIQA\*"] * 3
    assert others[-2][0].startswith("Printed in") and others[-2][3] == "0.9091"
    assert rows(text, "Prompt leakage") == [
        ["Benchmark", "lab-seed1", "grouped3"], ["AGIQA-3K", "100.0 %", "0.0–14.3 %"],
    ]  # fmt: skip
    assert "reports/tiny/index.html" in text and "AGIQA-1K is absent: no folder data/agiqa-1k" in text
    assert "> **" not in text


def test_the_summary_says_what_is_no_result(make_results):
    text = summary_of(make_results(synthetic=("agiqa-3k",), pretrained=False))
    assert "> **Synthetic, not a result on the benchmark of that name: AGIQA-3K.**" in text
    assert "> **Measured with random encoder weights: no test of the paper's numbers.**" in text
    assert "Printed in" not in text and "The paper’s claims" not in text


def test_the_summary_counts_what_it_shows(make_results):
    """Of real and drawn benchmarks together the real ones, as the page does; no table without a row."""
    drawn = ("aigciqa2023", "pku-aigiqa-4k")
    root = make_results(present={"agiqa-3k": 60} | dict.fromkeys(drawn, 40), synthetic=drawn)
    text = summary_of(root)
    real = read_results(root).parted()[0]
    assert real.run_count < read_results(root).run_count
    assert f"* {real.run_count} runs on 1 of 5 benchmarks." in text
    assert "Drawn stand-ins, which are left out here: AIGCIQA2023, PKU-AIGIQA-4K." in text
    assert "Quality: " in text and "Authenticity: " not in text


def test_a_suite_without_any_benchmark_has_a_summary(make_results):
    text = summary_of(make_results(present={}))
    assert "0 runs on 0 of 5 benchmarks" in text and "AGIQA-3K is absent" in text
