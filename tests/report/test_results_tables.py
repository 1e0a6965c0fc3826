import io
import json
import math

import pandas as pd
import pytest
from config_files import PAPER_TABLES

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.names import TARGETS
from mstclipiqa.report.data_tables import benchmarks
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.results_tables import all_metrics, comparison, printed_numbers
from mstclipiqa.report.table import DASH, Cell, Table

VALUES = {
    "srcc": [0.9, 0.8, 0.7],
    "plcc": [0.85, 0.85, 0.91],
    "krcc": [0.5, 0.5, 0.5],
    "plcc_fitted": [0.88, 0.9, 0.92],
    "rmse": [1.0, 2.0, 6.0],
}


def row_of(table: Table, heading: str, method: str, recipe: str) -> pd.Series:
    keys = [
        (group.text, row.iloc[0], row.iloc[1])
        for group, (_, row) in zip(table.groups, table.shown.iterrows(), strict=True)
    ]
    return table.shown.iloc[keys.index((heading, method, recipe))]


def test_means_and_deviations_by_hand(make_results):
    results = read_results(make_results(values=VALUES))
    table = comparison(results, "quality")
    row = row_of(table, "grouped3, epoch chosen on validation", "MST-CLIPIQA", "Released code")
    assert str(row["AGIQA-3K", "SRCC"]) == "0.8000 ± 0.1000"
    # mean (0.85 + 0.85 + 0.91) / 3 = 0.87; sample SD sqrt((0.02^2 + 0.02^2 + 0.04^2) / 2) = 0.034641
    assert str(row["AGIQA-3K", "PLCC"]) == "0.8700 ± 0.0346"
    assert row["AGIQA-3K", "Runs"] == Cell("3", files=("agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet",))
    full = pd.read_csv(io.StringIO(table.csv()))
    full = full[
        (full["protocol"] == "grouped3")
        & (full["selection"] == "validation")
        & (full["recipe"] == "released_code")
        & (full["variant"] == "mst-clipiqa")
    ].iloc[0]
    assert full["agiqa-3k_rmse_mean"] == 3.0
    assert full["agiqa-3k_rmse_sd"] == pytest.approx(math.sqrt(7), abs=1e-5)
    assert full["agiqa-3k_krcc_sd"] == 0
    assert full["agiqa-3k_plcc_fitted_mean"] == 0.9
    assert (full["agiqa-3k_n_min"], full["agiqa-3k_n_max"], full["agiqa-3k_runs"]) == (12, 12, 3)


def test_a_single_run_has_no_deviation(make_results):
    results = read_results(make_results())
    row = row_of(comparison(results, "quality"), "lab-seed1, last epoch", "MST-CLIPIQA*", "Main text")
    only = results.metrics.query(
        "target == 'quality' and protocol == 'lab-seed1' and selection == 'last' and recipe == 'main_text'"
        " and variant == 'mst-clipiqa-star'"
    )
    assert str(row["AGIQA-3K", "SRCC"]) == f"{only['srcc'].item():.4f}"
    assert row["AGIQA-3K", "Runs"].text == "1"


@pytest.mark.parametrize(("undefined", "count"), [(float("nan"), 1), (float("inf"), 1)])
def test_undefined_runs_are_counted_never_averaged_away(make_results, undefined, count):
    results = read_results(make_results(values={"srcc": [0.9, undefined, 0.7]}))
    table = comparison(results, "quality")
    row = row_of(table, "grouped3, epoch chosen on validation", "MST-CLIPIQA", "Released code")
    assert str(row["AGIQA-3K", "SRCC"]) == f"{count} of 3 runs undefined"
    assert "±" in str(row["AGIQA-3K", "PLCC"])
    full = pd.read_csv(io.StringIO(all_metrics(results).csv()))
    broken = full[full["undefined"] > 0]
    assert len(broken) == 1
    assert broken[["mean", "sd", "min", "max"]].isna().all(axis=None)


def test_the_shape_is_the_papers(make_results):
    results = read_results(make_results(), PAPER_TABLES)
    shapes = {
        "quality": ("IV", ["AGIQA-1K", "AGIQA-3K", "AIGCIQA2023", "AIGIQA-20K", "PKU-AIGIQA-4K"]),
        "authenticity": ("I", ["AIGCIQA2023", "PKU-AIGIQA-4K"]),
        "correspondence": ("V", ["AGIQA-3K", "AIGCIQA2023", "PKU-AIGIQA-4K"]),
    }
    for target, (number, titles) in shapes.items():
        table = comparison(results, target)
        assert table.name == f"table_{number.lower()}_{target}" and f"the paper's Table {number}:" in table.caption
        assert [title for title, _ in table.spans[1:]] == titles


def test_without_printed_numbers_the_shape_is_the_suites(make_results):
    table = comparison(read_results(make_results()), "quality")
    assert table.name == "table_quality" and "paper" not in table.caption
    assert [title for title, _ in table.spans[1:]] == ["AGIQA-3K"]
    assert not any("Printed" in group.text for group in table.groups)


def test_the_printed_numbers_are_the_papers(make_results):
    table = comparison(read_results(make_results(), PAPER_TABLES), "quality")
    printed = row_of(table, "Printed in arXiv 2606.16799v1, Table IV", "MST-CLIPIQA*", DASH)
    assert printed["AGIQA-3K", "SRCC"] == "0.9085"
    assert printed["AIGIQA-20K", "PLCC"] == "0.9149"
    assert len(pd.read_csv(PAPER_TABLES)) == 272


def test_printed_numbers_never_stand_beside_synthetic_ones(make_results):
    present = {"agiqa-3k": 60, "aigciqa2023": 60}
    results = read_results(make_results(present=present, synthetic=tuple(present)), PAPER_TABLES)
    for target in TARGETS:
        assert printed_numbers(results, target) == {}
        assert not any("Printed" in group.text for group in comparison(results, target).groups)
    results = read_results(make_results(present=present, synthetic=("aigciqa2023",)), PAPER_TABLES)
    table = comparison(results, "quality")
    printed = row_of(table, "Printed in arXiv 2606.16799v1, Table IV", "MST-CLIPIQA", DASH)
    assert printed["AGIQA-3K", "SRCC"] == "0.9091"
    assert printed["AIGCIQA2023", "SRCC"] == DASH
    assert "Synthetic, not a result on the benchmark of that name: AIGCIQA2023." in table.notes


def test_absent_benchmarks_are_dashes_with_a_reason(make_results):
    results = read_results(make_results(), PAPER_TABLES)
    table = comparison(results, "quality")
    assert set(table.shown["AIGIQA-20K", "SRCC"][table.full["source"] == "measured"]) == {DASH}
    assert "AIGIQA-20K is absent: no folder data/aigiqa-20k" in table.notes
    listed = benchmarks(results).shown.set_index("Benchmark")
    assert str(listed.loc["PKU-AIGIQA-4K", "Status"]) == "absent no folder data/pku-aigiqa-4k"
    assert str(listed.loc["AGIQA-3K", "Images"]) == "60 of 61 rows"


def test_two_recipes_with_equal_numbers_say_why(make_results):
    root = make_results()
    metrics, metadata = read_table(root / "metrics.parquet")
    first = metrics[(metrics["recipe"] == "released_code") & (metrics["variant"] == "mst-clipiqa-star")]
    others = metrics[(metrics["recipe"] != "main_text") | (metrics["variant"] != "mst-clipiqa-star")]
    write_table(root / "metrics.parquet", pd.concat([others, first.assign(recipe="main_text")]), metadata)
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["recipes"]["main_text"]["values"]["learnable_levels"] = True
    manifest["recipes"]["released_code"]["values"]["learnable_levels"] = False
    (root / "manifest.json").write_text(json.dumps(manifest))
    notes = [note for note in comparison(read_results(root), "quality").notes if "equal numbers" in note]
    assert len(notes) == 1 and "for MST-CLIPIQA*: they differ in" in notes[0] and "learnable levels" in notes[0]
