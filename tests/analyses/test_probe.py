"""One small probe as a whole."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from config_files import RECIPES

from mstclipiqa.analyses import probe
from mstclipiqa.analyses.probe_images import SEMANTIC, probe_scenes
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.names import LEVELS
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.synthetic.artefacts import ARTEFACTS
from mstclipiqa.training.dataset import assemble_dataset


def test_stores_of_another_encoder_are_refused_in_one_line():
    identity = load_encoder("mst-small-32", "random:1").identity
    assert probe.matching_encoder(Path("coarse.safetensors"), identity, "mst-small-32", "random:1").identity == identity
    with pytest.raises(InputError) as error:
        probe.matching_encoder(Path("coarse.safetensors"), identity, "mst-small-32", "random:2")
    assert str(error.value).startswith("coarse.safetensors: extracted with mst-small-32, random weights (seed 1) (")
    assert "seed 2" in str(error.value) and "\n" not in str(error.value)


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> dict:
    """A toy benchmark, and encoders that see no more than colours of rows (coarse) and of columns (fine)."""
    few = probe_scenes(per_fold=8, spoiled=3)
    monkeypatch.setattr(probe, "probe_scenes", lambda: few)
    rng, count = np.random.default_rng(0), 40
    prompts = [f"prompt {row % 10}" for row in range(count)]
    images = [f"{row}.png" for row in range(count)]
    samples = pd.DataFrame(
        {"benchmark": "toy", "image": images, "row": range(count), "sha256": images, "prompt": prompts}
    ).assign(prompt_group=prompts, quality=rng.uniform(0, 5, count))

    def store() -> ImageFeatures:
        features = rng.normal(size=(count, 12)).astype(np.float32)
        return ImageFeatures(features, samples["image"].tolist(), {"sha256": samples["sha256"].tolist()})

    def texts(names: list[str], dim: int) -> TextFeatures:
        values = rng.normal(size=(len(names), dim)).astype(np.float32)
        return TextFeatures(values, np.arange(len(names) + 1), values, {name: k for k, name in enumerate(names)}, {})

    def encoder(axis: int) -> SimpleNamespace:
        def preprocess(image) -> torch.Tensor:
            colours = np.asarray(image.resize((4, 4)), np.float32).mean(axis)
            return torch.from_numpy(colours.ravel() / 255)

        return SimpleNamespace(
            preprocess=preprocess,
            encode_images=lambda pixels: pixels,
            identity={"model": f"axis {axis}", "label": f"axis {axis}", "pretrained": True},
        )

    recipe = replace(load_recipe(RECIPES / "released_code.yaml"), learning_rate=0.01, epochs=2, gate_hidden=4)
    data = assemble_dataset(samples, {"quality": [0, 5]}, "quality", store(), store(), texts(sorted(set(prompts)), 6))
    return {
        "data": data,
        "splits": split_samples(samples, ["grouped2", "lab-seed1"])[0],
        "recipe": recipe,
        "levels": texts([recipe.template.format(level) for level in LEVELS], 12),
        "seed": 3,
        "encoders": {"coarse": encoder(0), "fine": encoder(1)},
        "metadata": {"benchmark": "toy", "synthetic": True},
    }


def test_probe_writes_tidy_tables_that_say_what_they_rest_on(arguments: dict, tmp_path: Path):
    probe.run_probe(tmp_path, **arguments)
    readout, metadata = read_table(tmp_path / "readout.parquet")
    gates, _ = read_table(tmp_path / "gates.parquet")
    assert set(readout["features"]) == {"f_c", "f_f", "both", "z_initial", "z_trained"}
    assert set(readout["recipe"]) == set(gates["recipe"]) == {"released_code"}
    assert not readout.duplicated(["features", "factor", "split"]).any() and readout["value"].notna().all()
    assert len(readout) == 5 * 5 * (len(SEMANTIC) + 2 + len(ARTEFACTS))
    assert len(gates) == 2 * (1 + len(ARTEFACTS)) and not gates.duplicated(["state", "artefact"]).any()
    told = {key: metadata[key] for key in ("benchmark", "protocol", "split", "seed", "scenes", "spoiled", "images")}
    assert told == {
        "benchmark": "toy", "protocol": "grouped2", "split": 0, "seed": 3, "scenes": 40, "spoiled": 15, "images": 190,
    }  # fmt: skip
    assert metadata["encoders"]["fine"]["label"] == "axis 1"
    for summary in metadata["gates"].values():
        assert 0 < summary["mean"] < 1 and sum(summary["shares"].values()) == pytest.approx(1)
    assert metadata["gates"]["initial"]["moved"] == 0 < metadata["gates"]["trained"]["moved"]


def test_probe_is_the_same_bytes_on_any_threads_and_leaves_global_state_alone(arguments: dict, tmp_path: Path):
    state = torch.random.get_rng_state()
    digests = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        probe.run_probe(tmp_path / str(threads), **arguments)
        digests.append([sha256(tmp_path / str(threads) / f"{name}.parquet") for name in ("readout", "gates")])
    assert digests[0] == digests[1]
    assert torch.equal(state, torch.random.get_rng_state())


def test_levels_of_another_template_are_refused(arguments: dict, tmp_path: Path):
    arguments["recipe"] = replace(arguments["recipe"], template="{} indeed")
    with pytest.raises(InputError, match="'bad indeed' is not encoded"):
        probe.run_probe(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_run_on_flat_images_is_named(arguments: dict, tmp_path: Path):
    """Of equal features every prediction is the same."""
    data = arguments["data"]
    arguments["data"] = replace(data, f_c=torch.ones_like(data.f_c), f_f=torch.ones_like(data.f_f))
    with pytest.raises(FailedRunError) as error:
        probe.run_probe(tmp_path / "out", **arguments)
    assert str(error.value).startswith(
        "probe of toy quality released_code mst-clipiqa, grouped2, split 0, seed 3: predictions are constant ("
    )
    assert "\n" not in str(error.value)
