"""Models of a results folder become entries with the numbers that they were evaluated to."""

from pathlib import Path

import pytest
from small_study import SmallStudy, run

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import METRICS, SAMPLES, SPLITS
from mstclipiqa.base.names import QUALITY
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.entries.admission import admit
from mstclipiqa.entries.entry import find_entries
from mstclipiqa.entries.models import enter_models, find_models
from mstclipiqa.evaluation.per_run import measure_runs


def test_models_are_entered_with_the_numbers_they_were_evaluated_to(small_study: SmallStudy, tmp_path: Path):
    run("enter-models", small_study.results, "--target", QUALITY, "--out", tmp_path)
    table, _ = METRICS.read(METRICS.at(small_study.results))
    table = table[(table["target"] == QUALITY)]
    main = {name: describe_protocol(name)["selection"] for name in table["protocol"].unique()}
    table = table[table["selection"] == table["protocol"].map(main)].set_index(["file", "protocol", "split", "seed"])
    entries = {(entry.benchmark, entry.card["method"]): entry for entry in find_entries(tmp_path)}
    models = [model for model in find_models(small_study.results) if model.target == QUALITY]
    assert entries.keys() == {(model.benchmark, model.title) for model in models} and len(models) > 1
    for model in models:
        entry = entries[model.benchmark, model.title]
        samples, card = SAMPLES.read(SAMPLES.at(small_study.results, benchmark=model.benchmark))
        splits, _ = SPLITS.read(SPLITS.at(small_study.results, benchmark=model.benchmark))
        rows = list(measure_runs(admit(entry, samples, card, splits)[0]))
        assert len(rows) == len(table.loc[model.file])
        for row in rows:
            held = table.loc[(model.file, row["protocol"], row["split"], row["seed"])]
            assert row["srcc"] == pytest.approx(held["srcc"], abs=1e-12) and row["n"] == held["n"]
        said = entry.card["training_data"]
        assert said.startswith("the training images of each split; features of ")
        assert "lab-seed1: best epoch on test" in said or "lab-seed1" not in main


def test_of_a_target_that_nothing_was_trained_for_nothing_is_entered(small_study: SmallStudy, tmp_path: Path):
    rated = {model.target for model in find_models(small_study.results)}
    missing = next((target for target in ("authenticity", "correspondence") if target not in rated), None)
    with pytest.raises(InputError, match="no model was trained there"):
        enter_models(tmp_path / "entries", small_study.results, [missing or "none"])
    assert not (tmp_path / "entries").exists()
