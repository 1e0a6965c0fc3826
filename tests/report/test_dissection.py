"""Models taken apart, as the page shows them, on planted tables."""

from itertools import product

import numpy as np
import pytest
from results_folder import name_output
from results_tables import table_of
from scipy import stats

from mstclipiqa.base.files import write_json
from mstclipiqa.base.layout import DECODING, EFFICIENCY, INTERVENTIONS, MANIFEST, MOVEMENT, SKIPPING, ResultsFile
from mstclipiqa.base.names import COARSE, FROZEN, MODELS
from mstclipiqa.report import dissection, dissection_figures
from mstclipiqa.report.page import make_figures, make_tables
from mstclipiqa.report.recipe_effects import ratio_tested
from mstclipiqa.report.results import Results
from mstclipiqa.report.results_folder import read_results

SPLITS = (0, 1, 2)
SAID = {"benchmark": "agiqa-3k", "recipe": "main_text", "protocol": "grouped3"}
COSTS = {MODELS[0]: 10.0, COARSE: 2.0}


@pytest.fixture
def results(make_results) -> Results:
    """Every gate but the trained one loses 0.1, 0.2 and 0.3 by split; half of the fine encodings lose as much."""
    root = make_results()

    def write(entry: ResultsFile, keys: tuple[str, ...], values: product, numbers) -> None:
        rows = [dict(zip(keys, value, strict=True)) for value in values]
        table = table_of(entry, [row | {"recipe": "main_text"} | numbers(row) for row in rows])
        path = entry.at(root, benchmark="agiqa-3k", recipe="main_text")
        entry.write(path, table, SAID)
        name_output(root, path)

    def lost(row: dict) -> float:
        return 0.1 * (row["split"] + 1)

    gates = (dissection.AS_TRAINED, "at 0.5")
    write(INTERVENTIONS, ("variant", "intervention", "split"), product(MODELS, gates, SPLITS),
          lambda row: {"srcc": 0.7 - lost(row) * (row["intervention"] != gates[0]), "plcc": 0.7})  # fmt: skip
    write(MOVEMENT, ("variant", "generator", "dimension", "split"),
          product(MODELS, (dissection.ALL_GENERATORS, "SD1.5"), range(4), SPLITS),
          lambda row: {"mean": row["dimension"] / 4, "sd": 0.1 if row["generator"] == "SD1.5" else 0.2})  # fmt: skip
    features = ("f_c", f"z of {MODELS[0]}, trained", f"z of {FROZEN}, trained")
    write(DECODING, ("features", "stream", "split"), product(features, ("coarse", "fine"), SPLITS),
          lambda row: {"r2": 0.9 if FROZEN in row["features"] else 0.8})  # fmt: skip
    write(SKIPPING, ("rule", "scorer", "aimed", "split"),
          product(dissection.RULES, dissection.SCORERS, (0.0, 0.5, 1.0), SPLITS),
          lambda row: {"skipped": row["aimed"], "chosen": row["aimed"] == 0.5, "srcc_val": 0.6,
                       "srcc": 0.7 - 2 * row["aimed"] * lost(row)})  # fmt: skip
    rows = [{"recipe": "main_text", "variant": name, "gflops": cost} for name, cost in COSTS.items()]
    EFFICIENCY.write(EFFICIENCY.at(root), table_of(EFFICIENCY, rows), {})
    manifest = read_results(root).manifest
    write_json(MANIFEST.at(root), manifest | {"config": manifest["config"] | {"dissect": ["main_text"]}})
    return read_results(root)


def half_width(results: Results, values: np.ndarray) -> float:
    ratio = ratio_tested(results, "agiqa-3k", "grouped3")
    return stats.t.ppf(0.975, 2) * np.sqrt((1 / 3 + ratio) * values.var(ddof=1))


def test_another_gates_loss_has_an_interval_over_splits(results):
    row = dissection.gate_changes(results).set_index(["variant", "intervention"]).loc[(MODELS[1], "at 0.5")]
    half = half_width(results, np.array([0.1, 0.2, 0.3]))
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((-0.2, -0.2 - half, -0.2 + half))
    shown = dissection.gate_interventions(results).shown
    assert shown["SRCC"].tolist() == ["0.7000", "0.5000"] * 2


def test_movement_is_the_mean_over_dimensions(results):
    table = dissection.gate_movements(results).full.set_index(["variant", "generator"])
    assert table.loc[(MODELS[0], "SD1.5"), "sd_images"] == pytest.approx(0.1)
    assert table.loc[(MODELS[0], "all"), "sd_dimensions"] == pytest.approx(np.std(np.arange(4) / 4, ddof=1))


def test_what_z_keeps_is_held_against_a_frozen_gate(results):
    row = dissection.decoded(results).set_index(["features", "stream"]).loc[(f"z of {MODELS[0]}, trained", "fine")]
    assert (row["r2"], row["difference"], row["low"], row["high"]) == pytest.approx((0.8, -0.1, -0.1, -0.1))
    assert dissection.decoding(results).shown["Read from"].tolist() == [
        "f_c", "z of MST-CLIPIQA, trained", "z of Gate frozen at 0.5, trained",
    ]  # fmt: skip


def test_operations_are_the_coarse_streams_and_what_is_run_of_the_fine_one(results):
    row = dissection.chosen(results).set_index(["rule", "scorer"]).loc[("gate", "the model")]
    assert row["operations"] == pytest.approx((2 + 8 / 2) / 10) and row["skipped"] == 0.5
    assert row["difference"] == pytest.approx(-0.2)
    note = dissection.skipping(results).notes[0]
    assert note.startswith(
        "By the gate, half of the fine encodings skipped at a loss of at most 0.005 SRCC does not hold"
    )


def test_the_target_holds_where_little_is_lost(results):
    full = dissection.chosen(results).assign(difference=-0.004)
    assert "SRCC holds here" in dissection._what_skipping_shows(full)
    assert "does not hold" in dissection._what_skipping_shows(full.assign(skipped=0.49))


def test_the_sentences_give_figures_and_what_follows(results):
    said = dissection.found_by_dissection(results)
    assert sum(line.startswith("Does a trained model use its gate?") for line in said) == 2
    assert "at 0.5 -0.200 [" in said[0] and said[0].endswith("it is open whether the trained model relies on its gate.")
    assert said[2].endswith("Part of a stream is gone.")
    assert "0.80 of f_c (-0.100 [-0.100, -0.100] against a frozen gate)" in said[2]
    assert "50 % of fine encodings are skipped at -0.200 [" in said[3] and said[3].endswith("does not hold here.")


def test_what_follows_is_read_off_the_intervals(results):
    rows = dissection.gate_changes(results)
    assert "relies on its gate; whether" in dissection._what_gates_show(rows.assign(high=-0.01))
    assert "nothing is filtered out" in dissection._what_is_kept(dissection.decoded(results).assign(r2=0.9))


def test_the_figures_say_what_they_show(results):
    assert "main_text: all 0.200, SD1.5 0.100" in dissection_figures.gate_histogram(results).alt
    assert "gate, the model: -0.200" in dissection_figures.skipping_curve(results).alt
    assert {"gate_interventions", "decoding", "skipping"} <= set(make_tables(results))
    assert {"gate_histogram", "skipping_curve"} <= set(make_figures(results))


def test_without_a_dissection_there_is_nothing(make_results):
    results = read_results(make_results())
    tables = (dissection.gate_interventions, dissection.gate_movements, dissection.decoding, dissection.skipping)
    assert [make(results) for make in tables] == [None] * 4 and dissection.found_by_dissection(results) == []
    assert dissection_figures.gate_histogram(results) is None and dissection_figures.skipping_curve(results) is None
