import re

import pandas as pd
import pytest
from drawings import SCALE, SEED, images
from PIL import Image

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK
from mstclipiqa.data.samples import collect_samples
from mstclipiqa.synthetic import miniature_layouts, studio
from mstclipiqa.synthetic.artefacts import ARTEFACTS
from mstclipiqa.synthetic.miniature import draw_benchmark
from mstclipiqa.synthetic.miniature_layouts import MINIATURES
from mstclipiqa.synthetic.studio import FEWEST_PROMPTS, GROUND_TRUTH


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def overall(name, truth):
    """What each target's raters saw: the latent factor of its name, or AIGIQA-20K's mixture."""
    mixture = 0.6 * truth["quality"] + 0.4 * truth["correspondence"]
    return truth.assign(quality=mixture) if name == "aigiqa-20k" else truth


@pytest.mark.parametrize("name", MINIATURES)
def test_equal_arguments_give_equal_bytes(name, suite, tmp_path):
    draw_benchmark(name, tmp_path / "again", SEED, SCALE)
    first, again = contents(suite(name)), contents(tmp_path / "again")
    assert first.keys() == again.keys()
    assert [file for file in first if first[file] != again[file]] == []


def test_nothing_written_tells_the_time(suite):
    dated = re.compile(rb"20[1-9]\d-\d\d-\d\d|Created on")
    for name in ("agiqa-1k", "aigciqa2023", "pku-aigiqa-4k"):
        for file in [*suite(name).rglob("*.mat"), *suite(name).rglob("*.xlsx")]:
            assert not dated.search(file.read_bytes())


def test_the_seed_matters(suite, tmp_path):
    draw_benchmark("agiqa-1k", tmp_path / "other", SEED + 1, SCALE)
    first, other = contents(suite("agiqa-1k")), contents(tmp_path / "other")
    assert first.keys() == other.keys()
    assert [file for file in first if first[file] == other[file]] == []


@pytest.mark.parametrize("name", MINIATURES)
def test_readers_read_what_was_drawn(name, suite):
    samples, card = collect_samples(get_benchmark(name), suite(name))
    truth = pd.read_csv(suite(name) / GROUND_TRUTH, index_col="image").loc[samples["image"]]
    assert card["synthetic"]
    assert card["prompt_groups"] >= FEWEST_PROMPTS
    assert len(samples) >= 40
    assert (samples["prompt"] == truth["prompt"].str.strip().to_numpy()).all()
    assert samples[["width", "height"]].isin([224, 240, 256]).all(axis=None)
    for target in get_benchmark(name).targets:
        latent = overall(name, truth)[target].to_numpy()
        assert samples[target].corr(pd.Series(latent), method="spearman") > 0.9


@pytest.mark.parametrize("name", MINIATURES)
def test_the_folder_says_what_it_is(name, suite):
    root = suite(name)
    notice = (root / SYNTHETIC_MARK).read_text()
    assert f"Synthetic: not {name}" in notice
    assert f"seed {SEED}" in notice
    truth = pd.read_csv(root / GROUND_TRUTH)
    labelled = {file for file in images(root) if not re.fullmatch(r"\d{3}\.jpg", file)}
    assert set(truth["image"]) == labelled
    factors = truth[[*ARTEFACTS, "quality", "authenticity", "correspondence"]]
    assert factors.to_numpy().min() >= 0
    assert factors.to_numpy().max() <= 1
    assert (truth[list(ARTEFACTS)] > 0).any().all(), "an artefact never occurs"
    assert truth["faults"].notna().any()
    faultless = truth[truth["faults"].isna() & (truth[list(ARTEFACTS)].sum(axis=1) == 0)]
    assert (faultless[["quality", "authenticity", "correspondence"]] == 1).all(axis=None)


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_every_scale_can_be_planned(scale, tmp_path, monkeypatch):
    """Layouts at the ends of the scale, with blank pictures in place of drawn ones."""
    for module in (miniature_layouts, studio):
        monkeypatch.setattr(module, "draw", lambda scene, size, rng: Image.new("RGB", (8, 8)))
    monkeypatch.setattr(studio, "degrade", lambda image, strengths, rng: image)
    total = 0
    for name in MINIATURES:
        draw_benchmark(name, tmp_path / name, SEED, scale)
        samples, card = collect_samples(get_benchmark(name), tmp_path / name)
        assert card["prompt_groups"] >= FEWEST_PROMPTS
        total += len(images(tmp_path / name))
        if scale == 1:
            assert 200 <= len(samples) <= 240
    assert total == 1177 if scale == 1 else total < 480


@pytest.mark.parametrize(
    ("name", "scale", "message"),
    [
        ("agiqa-9k", 1, "no miniature of 'agiqa-9k'"),
        ("agiqa-3k", 0, "scale 0"),
        ("agiqa-3k", 1.5, "scale 1.5"),
        ("agiqa-3k", float("nan"), "scale nan"),
    ],
)
def test_wrong_arguments_are_refused(name, scale, message, tmp_path):
    with pytest.raises(InputError, match=message):
        draw_benchmark(name, tmp_path / name, SEED, scale)
    assert not list(tmp_path.iterdir())


def test_files_of_others_are_never_replaced(tmp_path):
    root = tmp_path / "agiqa-3k"
    root.mkdir()
    (root / "data.csv").write_text("the real labels")
    with pytest.raises(InputError, match="not drawn here"):
        draw_benchmark("agiqa-3k", root, SEED)
    assert contents(root) == {"data.csv": b"the real labels"}


def test_an_interrupted_drawing_leaves_what_was_there(suite, tmp_path, monkeypatch):
    root = tmp_path / "agiqa-1k"

    def interrupted(studio):
        (studio.folder / "data.csv").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setitem(MINIATURES, "agiqa-1k", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_benchmark("agiqa-1k", root, SEED)
    assert not list(tmp_path.iterdir())

    root.mkdir()
    (root / SYNTHETIC_MARK).write_text("an earlier drawing")
    with pytest.raises(KeyboardInterrupt):
        draw_benchmark("agiqa-1k", root, SEED)
    assert contents(tmp_path) == {f"agiqa-1k/{SYNTHETIC_MARK}": b"an earlier drawing"}


def test_a_drawing_replaces_an_earlier_one_and_what_a_killed_one_left(suite, tmp_path):
    root = tmp_path / "agiqa-1k"
    for folder in (root, tmp_path / ".agiqa-1k.draft", tmp_path / ".agiqa-1k.old"):
        folder.mkdir()
        (folder / "stale.txt").touch()
    (root / SYNTHETIC_MARK).touch()
    draw_benchmark("agiqa-1k", root, SEED, SCALE)
    assert contents(root) == contents(suite("agiqa-1k"))
    assert list(tmp_path.iterdir()) == [root]
