"""What is planned from label files is split as what is run will be."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from config_files import RECIPES
from layouts import LAYOUTS

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import TEST, TRAIN
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.data.samples import collect_samples
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.study.jobs import Job
from mstclipiqa.study.plan import cost_adapted, count_steps, describe, read_samples

LAYOUT = LAYOUTS["agiqa-3k"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Of eight images one has two label rows that contradict each other; every recipe trains on one image a step."""
    monkeypatch.chdir(tmp_path)
    rows = LAYOUT.rows()
    folder = tmp_path / "data" / "agiqa-3k"
    folder.mkdir(parents=True)
    LAYOUT.make(folder, pd.concat([rows[:5], rows[5:6].assign(quality=1.25), rows[5:]]))
    return SimpleNamespace(
        packed={},
        benchmarks=["agiqa-3k"],
        data_root=tmp_path / "data",
        jobs=[Job("agiqa-3k", "quality", "slow", "mst-clipiqa")],
        recipes={"slow": SimpleNamespace(batch_size=1, epochs=1)},
        config={
            "protocols": ["lab-seed1", "released", "grouped2"],
            "seeds": [0],
            "also": [],
            "benchmarks": ["agiqa-3k"],
            "recipes": ["slow"],
            "variants": ["mst-clipiqa"],
        },
    )


def test_label_files_are_split_as_the_samples_table_will_be(study, tmp_path):
    planned = count_steps(study, read_samples(study, tmp_path / "results"))
    samples, card = collect_samples(LAYOUT.benchmark, tmp_path / "data" / "agiqa-3k")
    splits, _ = split_samples(samples, study.config["protocols"], card)
    assert len(samples) == 7 and card["rows_read"] == 9
    assert planned["runs"].tolist() == [4]
    assert planned["steps"].tolist() == [(splits["role"] == TRAIN).sum()]
    assert planned["evaluated"].tolist() == [(splits["role"] == TEST).sum()]
    SAMPLES.write(SAMPLES.at(tmp_path / "results", benchmark="agiqa-3k"), samples, card)
    pd.testing.assert_frame_equal(count_steps(study, read_samples(study, tmp_path / "results")), planned)


def test_operations_of_trained_encoders_are_those_counted_by_hand(study):
    """Each product forth is two back, but that of the patches, which asks for no gradient of pixels. One stream is
    looked at."""
    study.config["encoders"] = {"coarse": {"model": "mst-small-32"}, "fine": {"model": "mst-small-16"}}
    study.streams = lambda recipe, variant: ("coarse", "fine")
    released = load_recipe(RECIPES / "released_code.yaml")
    adaptation = {"blocks": None, "rank": None, "learning_rate": 1e-4}
    study.recipes = {"tuned": replace(released, adaptation=adaptation)}
    seconds, operations = cost_adapted(study, "tuned", "coarse-only", 256, 128, torch.device("cpu"))
    w, m, dim, layers, patches = 192, 384, 256, 4, 49
    tokens = patches + 1
    layer = 4 * w * w * tokens + 2 * w * tokens**2 + 2 * w * m * tokens
    last = 2 * w * w * tokens + 2 * w * w + 2 * w * tokens + 2 * w * m
    assert operations == 2 * (2 * 3 * 32 * 32 * w * patches + 3 * ((layers - 1) * layer + last + w * dim))
    assert seconds > 0


def test_a_plan_says_what_training_the_encoders_takes():
    jobs = pd.DataFrame(
        {"benchmark": "agiqa-3k", "runs": [3, 2], "seconds": [36.0, 7200.0], "operations": [0.0, 7.2e16]}
    )
    cost = {
        "absent": {}, "unknown": [], "packed": [], "images": {"agiqa-3k": 9}, "jobs": jobs, "encoded": {}, "cores": 1,
        "device": "cpu", "images_per_second": {}, "extraction_seconds": 0, "bytes": 0,
    }  # fmt: skip
    said = "of these, 2 runs in 1 jobs train the encoders: 72 PFLOP, 2 h on a GPU that reaches 10 TFLOP/s"
    assert said in list(describe(cost))
    assert said not in list(describe({**cost, "jobs": jobs.assign(operations=0.0)}))


def test_a_published_split_of_an_excluded_image_is_refused_with_the_reason(study, tmp_path):
    (tmp_path / "config" / "splits").mkdir(parents=True)
    rows = f"agiqa-3k,{LAYOUT.names[5]},0,train"
    (tmp_path / "config" / "splits" / "mine.csv").write_text(f"benchmark,image,split,role\n{rows}\n")
    study.config["protocols"] = ["file-mine"]
    with pytest.raises(InputError, match="of split 0 is excluded by the reader .* with different values"):
        count_steps(study, read_samples(study, tmp_path / "results"))
