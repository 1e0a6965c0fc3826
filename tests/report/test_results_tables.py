import io
import math
from pathlib import Path

import pandas as pd
import pytest

from mstclipiqa.report import results_tables as tables
from mstclipiqa.report.results import read_results

PAPER_TABLES = Path(__file__).parents[2] / "config" / "paper_tables.csv"
VALUES = {
    "srcc": [0.9, 0.8, 0.7],
    "plcc": [0.85, 0.85, 0.91],
    "krcc": [0.5, 0.5, 0.5],
    "plcc_fitted": [0.88, 0.9, 0.92],
    "rmse": [1.0, 2.0, 6.0],
}


def row_of(table: tables.Table, heading: str, method: str, recipe: str) -> pd.Series:
    keys = [
        (group.text, row.iloc[0], row.iloc[1])
        for group, (_, row) in zip(table.groups, table.shown.iterrows(), strict=True)
    ]
    return table.shown.iloc[keys.index((heading, method, recipe))]


def test_means_and_deviations_by_hand(make_results):
    results = read_results(make_results(values=VALUES))
    table = tables.comparison(results, "quality")
    row = row_of(table, "grouped3, epoch chosen on validation", "MST-CLIPIQA", "Released code")
    assert str(row["AGIQA-3K", "SRCC"]) == "0.8000 ± 0.1000"
    # mean (0.85 + 0.85 + 0.91) / 3 = 0.87; sample SD sqrt((0.02^2 + 0.02^2 + 0.04^2) / 2) = 0.034641
    assert str(row["AGIQA-3K", "PLCC"]) == "0.8700 ± 0.0346"
    assert row["AGIQA-3K", "Runs"] == tables.Cell(
        "3", files=("agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet",)
    )
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
    row = row_of(tables.comparison(results, "quality"), "lab-seed1, last epoch", "MST-CLIPIQA*", "Main text")
    only = results.metrics.query(
        "target == 'quality' and protocol == 'lab-seed1' and selection == 'last' and recipe == 'main_text'"
        " and variant == 'mst-clipiqa-star'"
    )
    assert str(row["AGIQA-3K", "SRCC"]) == f"{only['srcc'].item():.4f}"
    assert row["AGIQA-3K", "Runs"].text == "1"


@pytest.mark.parametrize(("undefined", "count"), [(float("nan"), 1), (float("inf"), 1)])
def test_undefined_runs_are_counted_never_averaged_away(make_results, undefined, count):
    results = read_results(make_results(values={"srcc": [0.9, undefined, 0.7]}))
    table = tables.comparison(results, "quality")
    row = row_of(table, "grouped3, epoch chosen on validation", "MST-CLIPIQA", "Released code")
    assert str(row["AGIQA-3K", "SRCC"]) == f"{count} of 3 runs undefined"
    assert "±" in str(row["AGIQA-3K", "PLCC"])
    full = pd.read_csv(io.StringIO(tables.all_metrics(results).csv()))
    broken = full[full["undefined"] > 0]
    assert len(broken) == 1
    assert broken[["mean", "sd", "min", "max"]].isna().all(axis=None)


def test_the_shape_is_the_papers(make_results):
    results = read_results(make_results(), PAPER_TABLES)
    for target, (number, _) in tables.PAPER_TABLES.items():
        printed = results.printed[results.printed["table"] == number]
        table = tables.comparison(results, target)
        assert [title for title, _ in table.spans[1:]] == [
            results.title("benchmarks", name) for name in printed["benchmark"].unique()
        ]


def test_the_printed_numbers_are_the_papers(make_results):
    table = tables.comparison(read_results(make_results(), PAPER_TABLES), "quality")
    printed = row_of(table, "Printed in arXiv 2606.16799v1, Table IV", "MST-CLIPIQA*", tables.DASH)
    assert printed["AGIQA-3K", "SRCC"] == "0.9085"
    assert printed["AIGIQA-20K", "PLCC"] == "0.9149"
    assert len(pd.read_csv(PAPER_TABLES)) == 272


def test_printed_numbers_never_stand_beside_synthetic_ones(make_results):
    present = {"agiqa-3k": 60, "aigciqa2023": 60}
    results = read_results(make_results(present=present, synthetic=tuple(present)), PAPER_TABLES)
    for target in tables.PAPER_TABLES:
        assert tables.printed_numbers(results, target) == {}
        assert not any("Printed" in group.text for group in tables.comparison(results, target).groups)
    results = read_results(make_results(present=present, synthetic=("aigciqa2023",)), PAPER_TABLES)
    table = tables.comparison(results, "quality")
    printed = row_of(table, "Printed in arXiv 2606.16799v1, Table IV", "MST-CLIPIQA", tables.DASH)
    assert printed["AGIQA-3K", "SRCC"] == "0.9091"
    assert printed["AIGCIQA2023", "SRCC"] == tables.DASH
    assert "Synthetic, not a result on the benchmark of that name: AIGCIQA2023." in table.notes


def test_absent_benchmarks_are_dashes_with_a_reason(make_results):
    results = read_results(make_results())
    table = tables.comparison(results, "quality")
    assert set(table.shown["AIGIQA-20K", "SRCC"]) == {tables.DASH}
    assert "AIGIQA-20K is absent: no folder data/aigiqa-20k" in table.notes
    listed = tables.benchmarks(results).shown.set_index("Benchmark")
    assert str(listed.loc["PKU-AIGIQA-4K", "Status"]) == "absent no folder data/pku-aigiqa-4k"
    assert str(listed.loc["AGIQA-3K", "Images"]) == "60 of 61 rows"


def test_leakage_spans_the_splits(make_results):
    shown = tables.leakage(read_results(make_results())).shown.set_index("Protocol")
    assert shown.loc["lab-seed1", "Share"] == "100.0 %"
    # Three splits: 0 of 12, 1 of 13, 2 of 14 test images.
    assert shown.loc["grouped3", "Test"] == "12–14"
    assert shown.loc["grouped3", "Leaking test images"] == "0–2"
    assert shown.loc["grouped3", "Share"] == "0.0–14.3 %"


def test_recipes_say_which_values_their_source_does_not_state(make_results):
    shown = tables.recipes(read_results(make_results())).shown.set_index("Setting")
    assert str(shown.loc["epochs", "Main text"]) == "20 source silent: the released code's value"
    assert str(shown.loc["lr", "Main text"]) == "5e-06 Section 4.1"
    assert str(shown.loc["epochs", "Released code"]) == "20 train.py"


def test_parameters_are_those_of_the_trained_models(make_results):
    shown = tables.parameters(read_results(make_results())).shown
    assert list(shown["Main text"]) == ["722,561", "2,299,010"]


def test_extraction_speed(make_results):
    assert list(tables.timings(read_results(make_results())).shown["Per second"]) == ["4.8"]


def test_readout_is_mean_and_deviation_over_the_folds(make_results):
    table = tables.readout(read_results(make_results(probe=True)))
    rows = {row["", "Factor"]: row for row in table.shown.to_dict("records")}
    # folds 0.6 and 0.8: sample SD 0.2 / sqrt(2)
    assert str(rows["object"]["The encoders' features", "f_c (coarse)"]) == "0.700 ± 0.141"
    assert rows["object"]["", "Chance"] == "0.250"
    assert str(rows["object"]["Fused z, Main text", "trained"]) == "0.550 ± 0.141"
    # the deviation is that of the difference within a fold: 0.8 - 0.3 and 0.2 - 0.5
    assert str(rows["style"]["The encoders' features", "f_f − f_c"]) == "+0.100 ± 0.566"
    assert str(rows["strength of colour cast"]["The encoders' features", "f_f − f_c"]) == "+0.300 ± 0.000"
    assert [group.text for group in table.groups] == [
        *["What is depicted: balanced accuracy"] * 2,
        "How it is rendered: balanced accuracy",
        "How it is rendered: SRCC",
    ]
    full = pd.read_csv(io.StringIO(table.csv()))
    assert len(full) == 2 * 4 * 5 * 2
    assert full.query("recipe == 'main_text' and features == 'f_c' and factor == 'object'")["value"].tolist() == [
        0.6,
        0.8,
    ]


def test_readout_counts_for_and_against_the_claim(make_results):
    notes = tables.readout(read_results(make_results(probe=True))).notes
    assert notes[0] == (
        "What is depicted: if the claim holds, f_c is ahead. It is on 1 of 2 factors, on 1 by more than the SD of the "
        "difference; f_f is on 0 by as much."
    )
    assert notes[1].startswith("How it is rendered: if the claim holds, f_f is ahead. It is on 2 of 2 factors, on 2 by")


def test_gates_are_the_trained_models_and_the_shares_both(make_results):
    results = read_results(make_results(probe=True))
    table = tables.gates(results)
    assert [group.text for group in table.groups] == ["Released code"] * 3 + ["Main text"] * 3
    first, _, last = table.shown.iloc[:3].to_dict("records")
    assert first["Artefact"] == "none: from one clean scene to the next"
    assert first["Shift by strength, SRCC"] == first["Movement by strength, SRCC"] == tables.DASH
    assert (last["Artefact"], str(last["Shift, 10⁻³"]), str(last["Movement, 10⁻³"])) == (
        "colour cast", "+4.00 ± 1.00", "20.00 ± 10.00",
    )  # fmt: skip
    assert (last["Shift by strength, SRCC"], last["Movement by strength, SRCC"]) == ("+1.00", "-1.00")
    assert len(pd.read_csv(io.StringIO(table.csv()))) == 2 * 2 * 3
    shares = tables.gate_variance(results)
    initial, trained = shares.shown.iloc[:2].to_dict("records")
    assert (initial["Moved by training, 10⁻³"], trained["Moved by training, 10⁻³"]) == (tables.DASH, "12.30")
    assert [trained[name] for name in ("Scene", "Which artefact", "Its strength", "Rest")] == [
        "80.0 %", "10.0 %", "2.5 %", "7.5 %",
    ]  # fmt: skip
    assert shares.notes[1].startswith("Main text: in the trained model the scene explains 80.0 %")
    assert shares.notes[1].endswith("and how strongly, 12.5 %.")


def test_markdown_keeps_hostile_text_in_its_cell(make_results):
    table = tables.defects(read_results(make_results(word="<script>|\nx")))
    lines = table.markdown().splitlines()
    assert len(lines) == 2 + 2 + 1
    assert "<script>" not in table.markdown()
    assert lines[-1].count("|") - lines[-1].count("\\|") == lines[2].count("|")
