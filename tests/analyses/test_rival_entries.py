"""The rivals' entries give the numbers of the table of rivals, by way of a file and the checks of every entry."""

from pathlib import Path

import pytest
from small_study import SmallStudy, run

from mstclipiqa.analyses.baselines import SOURCES
from mstclipiqa.base.layout import BASELINES, SAMPLES, SPLITS
from mstclipiqa.entries.admission import admit
from mstclipiqa.entries.entry import find_entries
from mstclipiqa.evaluation.per_run import measure_runs


def enter(study: SmallStudy, out: Path) -> None:
    folder = study.results / "agiqa-3k"
    features = folder / "features"
    stores = [word for name in ("coarse", "fine", "statistics", "prompts")
              for word in (f"--{name}", features / f"{name}.safetensors")]  # fmt: skip
    run(
        "baselines", "--samples", folder / "samples.parquet", "--splits", folder / "splits.parquet",
        *stores,
        "--texts", study.results / "levels" / "zero_shot.safetensors", "--paired", features / "coarse.safetensors",
        "--entries", out / "entries", "--out", out / "baselines.parquet",
    )  # fmt: skip


def test_rivals_are_entered_with_the_numbers_of_their_table(small_study: SmallStudy, tmp_path: Path):
    enter(small_study, tmp_path)
    entries = find_entries(tmp_path / "entries")
    samples, card = SAMPLES.read(SAMPLES.at(small_study.results, benchmark="agiqa-3k"))
    splits, _ = SPLITS.read(SPLITS.at(small_study.results, benchmark="agiqa-3k"))
    table, _ = BASELINES.read(tmp_path / "baselines.parquet")
    table = table.set_index(["source", "target", "protocol", "split"])
    assert {entry.card["method"] for entry in entries} >= set(SOURCES) | {"CLIPScore"}
    means = [entry.card["training_data"] for entry in entries if entry.card["method"].endswith(" mean")]
    assert set(means) == {"the training images of each split; looks at no image"}
    for entry in entries:
        runs, metadata = admit(entry, samples, card, splits)
        assert metadata["synthetic"] and entry.card["saw_test_images"] == "says no"
        for row in measure_runs(runs):
            held = table.loc[(entry.card["method"], entry.target, row["protocol"], row["split"])]
            assert row["srcc"] == pytest.approx(held["srcc"], abs=1e-12) and row["n"] == held["n"]
