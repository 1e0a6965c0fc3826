"""A benchmark whose images have no prompts, through the verbs, and in a configuration."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from config_files import CONFIG, RECIPES
from layouts import PLAIN
from PIL import Image
from small_study import ENCODERS, run

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import BASELINES, RUNS, SAMPLES, SPLITS
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.study.study import Study

COUNT = 60


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Drawn images and their labels, of the benchmark `plain`."""
    monkeypatch.setitem(BENCHMARKS, "plain", PLAIN)
    rng, folder = np.random.default_rng(0), tmp_path / "data" / "plain"
    folder.mkdir(parents=True)
    names = [f"gan_{number}.png" for number in range(COUNT)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(folder / name)
    pd.DataFrame({"filename": names, "score": rng.uniform(-1, 1, COUNT)}).to_csv(folder / "plain.csv", index=False)
    return folder


def test_it_is_split_encoded_trained_on_and_held_against_rivals(root: Path, tmp_path: Path):
    samples, splits = tmp_path / "samples.parquet", tmp_path / "splits.parquet"
    run("samples", "plain", "--root", root, "--out", samples)
    run("split", "--samples", samples, "--protocol", "grouped2", "--protocol", "lab-seed1", "--out", splits)
    table, card = SAMPLES.read(samples)
    assert table["prompt"].tolist() == table["image"].tolist() and card["prompts"] == COUNT
    counts = SPLITS.read(splits)[1]["protocols"]["grouped2"]
    for split in counts:  # no two images are alike
        assert split["test"] == COUNT // 5 and split["test_images_with_near_prompt_in_train"] == 0
    stores = {name: tmp_path / f"{name}.safetensors" for name in (*ENCODERS, "prompts", "levels", "zero_shot")}
    pair = [word for role in ("coarse", "fine") for word in ("--encoder", ENCODERS[role], "embedded", stores[role])]
    run("extract", *pair, "--text-encoder", ENCODERS["coarse"], "embedded", stores["prompts"],
        "--samples", samples, "--root", root)  # fmt: skip
    texts = ("--model", ENCODERS["coarse"], "--weights", "embedded")
    run("encode-texts", *texts, "--zero-shot", "--out", stores["zero_shot"])
    run("encode-texts", *texts, "--template", "a photo of {} quality", "--out", stores["levels"])
    common = ("--samples", samples, "--splits", splits, "--coarse", stores["coarse"], "--fine", stores["fine"],
              "--prompts", stores["prompts"])  # fmt: skip
    run("baselines", *common, "--texts", stores["zero_shot"], "--paired", stores["coarse"],
        "--out", tmp_path / "baselines.parquet")  # fmt: skip
    sources = set(BASELINES.read(tmp_path / "baselines.parquet")[0]["source"])
    assert {"ridge on f_c and f_f", "zero-shot antonyms"} <= sources and not {"CLIPScore", "prompt mean"} & sources
    for variant in ("mst-clipiqa", "star-no-prompt"):
        run("train", *common, "--levels", stores["levels"], "--recipe", RECIPES / "main_text.yaml", "--seed", 0,
            "--variant", variant, "--target", "authenticity", "--out", tmp_path / f"{variant}.parquet")  # fmt: skip
        assert np.isfinite(RUNS.read(tmp_path / f"{variant}.parquet")[0]["prediction"]).all()


def test_what_reads_prompts_is_refused_and_what_needs_it_left_out(root: Path):
    config = read_yaml(CONFIG / "agiqa-3k.yaml") | {
        "benchmarks": ["plain"], "also": [], "data_root": str(root.parent), "dissect": ["converged"],
    }  # fmt: skip
    with pytest.raises(InputError, match="mst-clipiqa-star reads prompts, and the images of plain have none"):
        Study(config, RECIPES)
    study = Study(config | {"variants": ["mst-clipiqa", "star-no-prompt"]}, RECIPES)
    assert {job.variant for job in study.jobs} == {"mst-clipiqa", "star-no-prompt"}
    assert study.transferred == [] and study.dissected == []
