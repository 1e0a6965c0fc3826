"""From a results folder to a pack and back: the same samples, features as stored, and again the same bytes."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from packed import edit_card, make_pack
from small_study import ENCODERS, SmallStudy, run

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.data.packs import ROUNDING, as_stored, read_pack
from mstclipiqa.encoders.stores import load_features, load_texts, read_store
from mstclipiqa.model.recipes import level_texts
from mstclipiqa.study.packing import Unpacked, pack_from_results, unpack_files

COARSE, FINE = (ENCODERS["coarse"], "embedded"), (ENCODERS["fine"], "embedded")
TEMPLATE = "a photo with {} quality"


@pytest.fixture(scope="module")
def packed(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packs") / "agiqa-3k.zip"
    assert "with its labels, by coarse, fine, in float16" in pack_from_results(
        out, small_study.results, "agiqa-3k", ["coarse", "fine"]
    )
    return out


def unpack(file: Path, results: Path, benchmark: str = "agiqa-3k", labels: Path | None = None) -> Path:
    """The files of a results folder that a pack gives."""
    features = results / benchmark / "features"
    wanted = Unpacked(
        SAMPLES.at(results, benchmark=benchmark),
        [(*COARSE, features / "coarse.safetensors"), (*FINE, features / "fine.safetensors")],
        (*COARSE, features / "prompts.safetensors"),
        [(*COARSE, level_texts(TEMPLATE), results / "levels" / "a.safetensors")],
    )
    unpack_files(file, benchmark, wanted, "float32", labels)
    return results


def test_what_comes_back_is_what_went_in_but_for_the_stated_rounding(packed, small_study: SmallStudy, tmp_path):
    results = unpack(packed, tmp_path)
    (frame, card), (origin, said) = (
        SAMPLES.read(SAMPLES.at(at, benchmark="agiqa-3k")) for at in (results, small_study.results)
    )
    pd.testing.assert_frame_equal(frame.drop(columns="path"), origin.drop(columns="path"))
    assert frame["path"].tolist() == frame["image"].tolist()
    assert {key: card[key] for key in said if key != "label_files"} == {k: said[k] for k in said if k != "label_files"}
    digest = sha256(packed.read_bytes()).hexdigest()
    assert card["label_files"] == {"agiqa-3k.zip": digest}
    assert card["pack"]["label_files"] == said["label_files"]
    for name in ("coarse", "fine"):
        fresh, stored = (
            load_features(at / f"agiqa-3k/features/{name}.safetensors") for at in (small_study.results, results)
        )
        assert stored.features.dtype == np.float32 and stored.images == fresh.images
        assert np.allclose(stored.features, fresh.features, rtol=ROUNDING, atol=1e-7)
        assert np.array_equal(stored.features, fresh.features.astype(np.float16))
        assert stored.metadata["encoder"] == as_stored(fresh.metadata["encoder"]) != fresh.metadata["encoder"]
        assert stored.metadata["pack"] == digest
    fresh, stored = (load_texts(at / "agiqa-3k/features/prompts.safetensors") for at in (small_study.results, results))
    assert stored.index == fresh.index and np.array_equal(stored.offsets, fresh.offsets)
    assert np.array_equal(stored.tokens, fresh.tokens.astype(np.float16))
    assert np.array_equal(stored.pooled, fresh.pooled.astype(np.float16))
    fresh, stored = (
        load_texts(at) for at in (small_study.results / "levels/slow.safetensors", results / "levels/a.safetensors")
    )
    assert np.array_equal(stored.pooled, fresh.pooled.astype(np.float16)) and stored.index == fresh.index
    assert np.array_equal(stored.tokens, fresh.tokens.astype(np.float16))


def test_equal_features_give_equal_bytes_also_after_a_round_trip(packed, small_study: SmallStudy, tmp_path):
    pack_from_results(
        tmp_path / "twice.zip", small_study.copy(tmp_path / "copy").results, "agiqa-3k", ["coarse", "fine"]
    )
    assert (tmp_path / "twice.zip").read_bytes() == packed.read_bytes()
    results = unpack(packed, tmp_path / "results")
    first = {path.name: path.read_bytes() for path in results.rglob("*.*")}
    unpack(packed, results)
    assert {path.name: path.read_bytes() for path in results.rglob("*.*")} == first
    (results / "levels").mkdir(exist_ok=True)
    for path in (small_study.results / "levels").glob("*"):  # of the same texts, in the same order
        (results / "levels" / path.name).write_bytes(path.read_bytes())
    (results / "levels" / "a.safetensors").unlink()
    pack_from_results(tmp_path / "again.zip", results, "agiqa-3k")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_no_image_is_in_it(packed, small_study: SmallStudy):
    """None of its bytes: not 32 in a row of the middle of any."""
    content = packed.read_bytes()
    for path in (small_study.data / "agiqa-3k").rglob("*.jpg"):
        image = path.read_bytes()
        assert image[len(image) // 2 :][:32] not in content


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"images": [("ViT-B-32", "openai")]}, ["nothing of ViT-B-32, weights openai", "mst-small-16"]),
        ({"images": [("mst-small-32", "random:0")]}, ["nothing of mst-small-32, weights random:0"]),
        ({"images": [("mst-small-32@16", "embedded")]}, ["nothing of mst-small-32@16"]),
        ({"prompts": ("mst-small-16", "embedded")}, ["nothing of mst-small-16"]),
        ({"texts": [("mst-small-32", "embedded", ["a text of nobody"])]}, ["no text 'a text of nobody'"]),
    ],
)
def test_what_it_lacks_is_one_line_and_nothing_is_written(packed, wanted: dict, words: list[str], tmp_path):
    out = tmp_path / "out"
    asked = {
        key: (*value, out / key) if key == "prompts" else [(*one, out / key) for one in value]
        for key, value in wanted.items()
    }
    with pytest.raises(InputError) as caught:
        unpack_files(packed, "agiqa-3k", Unpacked(samples=out / "samples", **asked), "float32")
    assert all(word in str(caught.value) for word in [str(packed), *words]) and "\n" not in str(caught.value)
    assert not out.exists()


def test_a_pack_of_another_benchmark_or_precision(packed, tmp_path):
    with pytest.raises(InputError, match="a pack of agiqa-3k, not of agiqa-1k"):
        unpack_files(packed, "agiqa-1k", Unpacked(samples=tmp_path / "samples"), "float32")
    with pytest.raises(InputError, match="bfloat16"):
        unpack_files(packed, "agiqa-3k", Unpacked(images=[(*COARSE, tmp_path / "coarse")]), "bfloat16")
    assert list(tmp_path.iterdir()) == []


def test_the_verb_shows_the_card_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run("unpack", "agiqa-3k", "--pack", make_pack(tmp_path / "pack.zip"))
    assert "# Features of AGIQA-3K" in said and "its authors" in said
    assert [path.name for path in tmp_path.iterdir()] == ["pack.zip"]


# Labels that no licence lets be passed on


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The drawn AIGCIQA2023 without the mark that it is drawn, whose labels would be ours: data, results and pack."""
    folder = tmp_path_factory.mktemp("unlabelled")
    data, results = folder / "data", folder / "results"
    run("draw", "aigciqa2023", "--root", data, "--scale", 0.1)
    (data / "SYNTHETIC.md").unlink()
    samples, features = SAMPLES.at(results, benchmark="aigciqa2023"), results / "aigciqa2023" / "features"
    run("samples", "aigciqa2023", "--root", data, "--out", samples)
    pair = [
        w
        for name, (m, v) in {"coarse": COARSE, "fine": FINE}.items()
        for w in ("--encoder", m, v, features / f"{name}.safetensors")
    ]
    text = ("--text-encoder", *COARSE, features / "prompts.safetensors")
    run("extract", *pair, *text, "--samples", samples, "--root", data)
    encoder = ("--model", COARSE[0], "--weights", COARSE[1])
    run("encode-texts", *encoder, "--template", TEMPLATE, "--out", results / "levels" / "a.safetensors")
    said = run("pack", "aigciqa2023", "--results", results, "--out", folder / "pack.zip")
    assert "without its labels, which no licence lets be passed on" in said
    for image in [*data.rglob("*.png")]:
        image.unlink()
    return data, results, folder / "pack.zip"


def test_without_a_licence_names_and_hashes_alone_are_packed(unlabelled):
    _, results, file = unlabelled
    content, pack = file.read_bytes(), read_pack(file)
    frame, _ = SAMPLES.read(SAMPLES.at(results, benchmark="aigciqa2023"))
    assert list(pack.samples) == ["image", "sha256", "width", "height"]
    assert not [prompt for prompt in frame["prompt"] if prompt.encode() in content]
    assert not [name for name in frame["generator"] if name.encode() in content]


def test_the_users_own_label_files_complete_it(unlabelled, tmp_path):
    data, origin, file = unlabelled
    results = unpack(file, tmp_path / "results", "aigciqa2023", data)
    (frame, card), (known, said) = (SAMPLES.read(SAMPLES.at(at, benchmark="aigciqa2023")) for at in (results, origin))
    pd.testing.assert_frame_equal(frame.drop(columns="path"), known.drop(columns="path"))
    assert card["label_files"] == {"aigciqa2023.zip": sha256(file.read_bytes()).hexdigest(), **said["label_files"]}
    place = "aigciqa2023/features/prompts.safetensors"
    fresh, stored = load_texts(origin / place), load_texts(results / place)
    assert stored.index == fresh.index and np.array_equal(stored.tokens, fresh.tokens.astype(np.float16))
    assert read_store(results / place)[1]["truncated"] == read_store(origin / place)[1]["truncated"]
    pack_from_results(tmp_path / "again.zip", results, "aigciqa2023")
    assert (tmp_path / "again.zip").read_bytes() == file.read_bytes()


def test_other_label_files_are_one_line(unlabelled, tmp_path):
    data, _, file = unlabelled
    with pytest.raises(InputError, match=r"has no labels.*acquire aigciqa2023 --labels-only"):
        unpack(file, tmp_path / "none", "aigciqa2023")
    other = tmp_path / "other"
    run("draw", "aigciqa2023", "--root", other, "--scale", 0.1, "--seed", 5)
    for image in [*other.rglob("*.png")]:
        image.unlink()
    with pytest.raises(InputError) as caught:
        unpack(file, tmp_path / "out", "aigciqa2023", other)
    assert "label files of other bytes" in str(caught.value) or "labels of other images" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_model_of_a_folder_is_found_wherever_the_folder_lies(tmp_path):
    """A pack says the folder's name alone; a configuration says its place."""
    pack = make_pack(tmp_path / "pack.zip")
    edit_card(pack, lambda card: card["images"]["fine"]["encoder"].update(model="local-dir:small"))
    out = tmp_path / "fine.safetensors"
    images = [(f"local-dir:{tmp_path / 'small'}", "embedded", out)]
    unpack_files(pack, "agiqa-3k", Unpacked(images=images), "float32")
    assert load_features(out).metadata["encoder"]["model"] == "local-dir:small"
