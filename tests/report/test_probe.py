import io

import pandas as pd

from mstclipiqa.report.probe import gate_variance, gates, readout, readout_dots
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.table import DASH


def test_readout_is_mean_and_deviation_over_the_folds(make_results):
    table = readout(read_results(make_results(probe=True)))
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
    notes = readout(read_results(make_results(probe=True))).notes
    assert notes[0] == (
        "What is depicted: if the claim holds, f_c is ahead. It is on 1 of 2 factors, on 1 by more than the SD of the "
        "difference; f_f is on 0 by as much."
    )
    assert notes[1].startswith("How it is rendered: if the claim holds, f_f is ahead. It is on 2 of 2 factors, on 2 by")


def test_gates_are_the_trained_models_and_the_shares_both(make_results):
    results = read_results(make_results(probe=True))
    table = gates(results)
    assert [group.text for group in table.groups] == ["Released code"] * 3 + ["Main text"] * 3
    first, _, last = table.shown.iloc[:3].to_dict("records")
    assert first["Artefact"] == "none: from one clean scene to the next"
    assert first["Shift by strength, SRCC"] == first["Movement by strength, SRCC"] == DASH
    assert (last["Artefact"], str(last["Shift, 10⁻³"]), str(last["Movement, 10⁻³"])) == (
        "colour cast", "+4.00 ± 1.00", "20.00 ± 10.00",
    )  # fmt: skip
    assert (last["Shift by strength, SRCC"], last["Movement by strength, SRCC"]) == ("+1.00", "-1.00")
    assert len(pd.read_csv(io.StringIO(table.csv()))) == 2 * 2 * 3
    shares = gate_variance(results)
    initial, trained = shares.shown.iloc[:2].to_dict("records")
    assert (initial["Moved by training, 10⁻³"], trained["Moved by training, 10⁻³"]) == (DASH, "12.30")
    assert [trained[name] for name in ("Scene", "Which artefact", "Its strength", "Rest")] == [
        "80.0 %", "10.0 %", "2.5 %", "7.5 %",
    ]  # fmt: skip
    assert shares.notes[1].startswith("Main text: in the trained model the scene explains 80.0 %")
    assert shares.notes[1].endswith("and how strongly, 12.5 %.")


def test_the_probes_figure_is_the_same_bytes_too(make_results):
    results = read_results(make_results(probe=True))
    one, two = readout_dots(results), readout_dots(results)
    assert (one.png, one.svg) == (two.png, two.svg)
    assert "recipe Released code" in one.caption
