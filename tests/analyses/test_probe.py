"""The probe's images, its readout against brute force, its gate measures by hand, and one small probe as a whole."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mstclipiqa.analyses import probe
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures
from mstclipiqa.model.build import LEVELS
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.synthetic.artefacts import ARTEFACTS, degrade
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.training.dataset import assemble_dataset

RECIPES = Path(__file__).parents[2] / "config" / "recipes"
DIM = 8


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scenes() -> pd.DataFrame:
    return probe.probe_scenes()


@pytest.fixture(scope="module")
def images(scenes: pd.DataFrame) -> pd.DataFrame:
    return probe.describe_images(scenes)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def one_hot(values: pd.Series) -> torch.Tensor:
    return torch.tensor(pd.get_dummies(values).to_numpy(float))


# Images


def test_every_level_is_dealt_evenly_in_every_fold_and_every_time(scenes: pd.DataFrame):
    assert scenes.equals(probe.probe_scenes())
    for factor, levels in (("object", 8), ("count", 4), ("colour", 10), ("background", 7), ("style", 6)):
        counts = scenes.groupby(["fold", factor]).size().unstack()
        assert counts.shape == (probe.FOLDS, levels)
        assert (counts.max() - counts.min() <= 1).all() and counts.to_numpy().max() - counts.to_numpy().min() <= 1
    spoiled = scenes[scenes["spoiled"]]
    for name in ARTEFACTS:
        assert scenes.loc[~scenes["spoiled"], name].isna().all()
        for _, strengths in spoiled.groupby("fold")[name]:
            np.testing.assert_allclose(sorted(strengths), np.linspace(0.1, 1, probe.SPOILED_PER_FOLD))


def test_factors_are_those_of_the_scene_and_no_companion_is_mistaken_for_the_subject(scenes: pd.DataFrame):
    for row in scenes.fillna({"position": ""}).to_dict("records"):
        subject, *companions = row["scene"].things
        assert (subject.kind, subject.colour, str(subject.count)) == (row["object"], row["colour"], row["count"])
        assert (row["scene"].background, row["scene"].style) == (row["background"], row["style"])
        assert row["scene"].relation == row["position"] and len(companions) == bool(row["position"])
        assert not {thing.kind for thing in companions} & set(probe.SUBJECTS)


def test_images_are_described_in_the_order_they_are_painted_and_share_one_painting(scenes: pd.DataFrame):
    two = scenes.iloc[[0, -1]].reset_index(drop=True)
    assert two["spoiled"].tolist() == [True, False]
    painted = list(probe.paint(two))
    assert [len(renderings) for renderings in painted] == [1 + len(ARTEFACTS), 1]
    described = probe.describe_images(two)
    assert described["artefact"].tolist() == ["none", *ARTEFACTS, "none"]
    assert described["strength"].tolist() == [0, *(two.loc[0, name] for name in ARTEFACTS), 0]
    rng = np.random.default_rng([probe.PROBE_SEED, 0])
    clean = draw(two["scene"][0], probe.SIDE, rng)
    assert painted[0][0].tobytes() == clean.tobytes()
    # what an artefact leaves of the painting does not depend on chance: banding draws no random number
    banded = degrade(clean, {"banding": two.loc[0, "banding"]}, rng)
    assert painted[0][1 + list(ARTEFACTS).index("banding")].tobytes() == banded.tobytes()


def test_images_are_left_out_where_a_factor_is_not_defined(images: pd.DataFrame):
    known = probe.factors(images)
    alone = images["position"].isna()
    assert alone.any() and not set(known["position"].index) & set(images.index[alone])
    assert len(known["object"]) == images["scene"].nunique()
    assert len(known["which artefact"]) == len(known["strength of any"]) == images["spoiled"].sum()
    for name in ARTEFACTS:
        assert set(images.loc[known[f"strength of {name}"].index, "artefact"]) == {name}


# Readout


@pytest.mark.parametrize("penalty", [0.5, 50.0])
def test_left_out_residuals_are_those_of_refitting_without_each_group(penalty: float):
    train, targets = noise(24, 5), noise(24, 2, seed=1)
    ridge = probe.Ridge(train, group=4)
    x = np.column_stack([np.ones(24), ((train - train.mean(0)) / train.std(0, correction=0)).numpy()])
    # an intercept without penalty, and the penalty as further rows of the least-squares problem
    rows = np.sqrt(penalty) * np.eye(6)[1:]
    for start in range(0, 24, 4):
        out = np.arange(start, start + 4)
        kept = np.setdiff1d(np.arange(24), out)
        coefficients, *_ = np.linalg.lstsq(
            np.vstack([x[kept], rows]), np.vstack([targets.numpy()[kept], np.zeros((5, 2))])
        )
        expected = targets.numpy()[out] - x[out] @ coefficients
        np.testing.assert_allclose(ridge.left_out(targets, penalty)[out].numpy(), expected, atol=1e-10)


def test_prediction_is_ridge_under_the_penalty_that_generalises():
    train, test, weights = noise(60, 5), noise(9, 5, seed=1), noise(5, 2, seed=2)
    ridge = probe.Ridge(train, group=3)
    np.testing.assert_allclose(ridge.predict(train @ weights + 7, test), test @ weights + 7, rtol=0.02, atol=0.02)
    unrelated = noise(60, 1, seed=3)
    assert (ridge.predict(unrelated, test) - unrelated.mean()).abs().max() < 0.2
    constant = probe.Ridge(torch.cat([train, torch.full((60, 1), 4.0)], 1), group=3)
    both = constant.predict(train @ weights, torch.cat([test, torch.full((9, 1), 4.0)], 1))
    np.testing.assert_allclose(both, ridge.predict(train @ weights, test))


def test_balanced_accuracy_weighs_classes_alike():
    predicted, true = np.array(list("aaab")), np.array(list("aabb"))
    assert probe.balanced_accuracy(predicted, true) == 0.75
    assert probe.balanced_accuracy(np.array(list("aaaa")), np.array(list("aaab"))) == 0.5


def test_readout_finds_what_the_features_hold_and_nothing_else(images: pd.DataFrame):
    known = torch.cat([one_hot(images["object"]), torch.tensor(images["strength"].tolist()).double()[:, None]], 1)
    table = probe.read_out({"known": known, "noise": noise(len(images), DIM)}, images)
    values = table.groupby(["features", "factor"])["value"].mean()
    assert values["known", "object"] == 1
    assert values["known", "strength of any"] > 0.99 and values["known", "strength of blur"] > 0.99
    chance = table.groupby("factor")["chance"].first()
    assert (chance["object"], chance["position"], chance["which artefact"], chance["strength of any"]) == (
        1 / 8, 1 / 4, 1 / 11, 0,
    )  # fmt: skip
    for name in ("style", "background", "count", "colour"):
        assert abs(values["known", name] - chance[name]) < 0.1
        assert abs(values["noise", name] - chance[name]) < 0.1
    assert (table.groupby(["features", "factor"])["split"].nunique() == probe.FOLDS).all()
    assert set(table.loc[table["kind"] == "semantic", "factor"]) == set(probe.SEMANTIC)


def test_knowing_the_training_scenes_by_heart_helps_nothing(images: pd.DataFrame):
    """Were a scene in both, its other renderings would give it away."""
    table = probe.read_out(
        {"scene": one_hot(images["scene"]) + 1e-3 * noise(len(images), images["scene"].nunique())}, images
    )
    of_scene = table[table["factor"].isin(["object", "style", "background"])]
    assert (of_scene.groupby("factor")["value"].mean() < 2 * of_scene.groupby("factor")["chance"].first()).all()


# Gates


def gate_grid(scene=0.0, artefact=0.0, strength=0.0, size=6) -> tuple[torch.Tensor, torch.Tensor]:
    """Gates (size, 11, DIM) that are a sum of known parts, and strengths (size, 11)."""
    strengths = torch.cat([torch.zeros(size, 1), torch.linspace(0.1, 1, size)[:, None].repeat(1, len(ARTEFACTS))], 1)
    gates = scene * noise(size, 1, DIM) + artefact * noise(1, 1 + len(ARTEFACTS), DIM, seed=1)
    return gates + strength * strengths[..., None] * noise(1, 1 + len(ARTEFACTS), DIM, seed=2), strengths.double()


def test_shifts_by_hand():
    gates, strengths = gate_grid(scene=1)
    blur, jpeg = 1 + list(ARTEFACTS).index("blur"), 1 + list(ARTEFACTS).index("jpeg")
    gates[:, 1:] += noise(6, len(ARTEFACTS), DIM, seed=5) / 1000
    gates[:, blur] = gates[:, 0] + strengths[:, blur, None]
    gates[:, jpeg] = gates[:, 0] - strengths[:, jpeg, None] * torch.tensor([1.0, -1.0, 1, 1, 1, -1, 1, 1])
    table = probe.gate_shifts(gates, strengths).set_index("artefact")
    assert list(table.index) == ["none", *ARTEFACTS]
    assert table.loc["blur", "shift"] == pytest.approx(0.55) == table.loc["blur", "movement"]
    assert table.loc["blur", "shift_sd"] == pytest.approx(np.linspace(0.1, 1, 6).std(ddof=1))
    assert table.loc["blur", "shift_srcc"] == pytest.approx(1)
    assert table.loc["jpeg", "shift"] == pytest.approx(-0.55 * 4 / 8)
    assert table.loc["jpeg", "movement"] == pytest.approx(0.55)
    assert (table.loc["jpeg", "shift_srcc"], table.loc["jpeg", "movement_srcc"]) == pytest.approx((-1, 1))
    assert table.loc["none", "shift"] == pytest.approx(0, abs=1e-12)
    assert table.loc["none", "movement"] == pytest.approx((gates[:, 0] - gates[:, 0].roll(1, 0)).abs().mean().item())
    assert np.isnan(table.loc["none", "shift_srcc"])


@pytest.mark.parametrize("part", ["scene", "artefact"])
def test_a_single_cause_explains_all_variance(part: str):
    shares = probe.variance_shares(*gate_grid(**{part: 1}))
    assert shares == pytest.approx({"scene": 0, "artefact": 0, "strength": 0, "rest": 0} | {part: 1}, abs=1e-9)


def test_shares_are_the_gains_of_nested_least_squares():
    gates, _ = gate_grid(scene=1, artefact=0.7)
    gates += 0.3 * noise(*gates.shape, seed=7)
    strengths = torch.from_numpy(np.random.default_rng(8).uniform(0.1, 1, gates.shape[:2]))
    strengths[:, 0] = 0
    gates += strengths[..., None] * noise(1, 11, DIM, seed=9)
    scene, rendering = np.indices(gates.shape[:2]).reshape(2, -1)
    design, y = np.ones((len(scene), 1)), gates.flatten(0, 1).numpy()
    left = [((y - y.mean(0)) ** 2).sum()]
    dummies = np.eye(11)[rendering]
    for columns in (np.eye(6)[scene], dummies, dummies * strengths.flatten().numpy()[:, None]):
        design = np.column_stack([design, columns])
        left.append(((y - design @ np.linalg.lstsq(design, y)[0]) ** 2).sum())
    expected = [*(-np.diff(left) / left[0]), left[-1] / left[0]]
    np.testing.assert_allclose(list(probe.variance_shares(gates, strengths).values()), expected, atol=1e-9)


# The whole


def test_stores_of_another_encoder_are_refused_in_one_line():
    identity = load_encoder("mst-small-32", "random:1").identity
    store = ImageFeatures(np.zeros((1, 256), np.float32), ["a.png"], {"encoder": identity})
    assert probe.matching_encoder(Path("coarse.safetensors"), store, "mst-small-32", "random:1").identity == identity
    with pytest.raises(InputError) as error:
        probe.matching_encoder(Path("coarse.safetensors"), store, "mst-small-32", "random:2")
    assert str(error.value).startswith("coarse.safetensors: extracted with mst-small-32, random weights (seed 1) (")
    assert "seed 2" in str(error.value) and "\n" not in str(error.value)


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> dict:
    """A toy benchmark, and encoders that see no more than colours of rows (coarse) and of columns (fine)."""
    few = probe.probe_scenes(per_fold=8, spoiled=3)
    monkeypatch.setattr(probe, "probe_scenes", lambda: few)
    rng, count = np.random.default_rng(0), 40
    prompts = [f"prompt {row % 10}" for row in range(count)]
    samples = pd.DataFrame(
        {"benchmark": "toy", "image": [f"{row}.png" for row in range(count)], "sha256": "0", "prompt": prompts}
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
    assert len(readout) == 5 * 5 * (len(probe.SEMANTIC) + 2 + len(ARTEFACTS))
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
