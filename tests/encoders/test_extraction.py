"""Extraction against a plain loop over open_clip's own calls; resuming; several encoders at once."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from encoding import APPENDIX, CPU, NOTHING, TEXTS, draw_image, make_samples, truncate
from PIL import Image
from torch import Tensor

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.encoders import extraction, images
from mstclipiqa.encoders.clip import Encoder, load_encoder
from mstclipiqa.encoders.extraction import extract_features, extract_texts
from mstclipiqa.encoders.images import read_image
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.encoders.stores import load_features, load_texts, write_store

BATCH = 8


class Watched(Encoder):
    """An encoder that notes the size of every batch it is given."""

    __module__ = Encoder.__module__  # a store names the code of its encoder: here, too, that of any other

    @classmethod
    def of(cls, encoder: Encoder) -> "Watched":
        watched = cls(**vars(encoder))
        object.__setattr__(watched, "seen", [])
        return watched

    def encode_images(self, pixels: Tensor) -> Tensor:
        self.seen.append(len(pixels))
        return super().encode_images(pixels)

    def encode_texts(self, texts: list[str]) -> tuple[list[Tensor], Tensor]:
        self.seen.append(len(texts))
        return super().encode_texts(texts)


class PowerCutError(Exception):
    pass


def interrupted(encoder: Encoder, after: int = 2) -> Encoder:
    """An encoder that encodes `after` batches and fails in all others, on any number of threads."""
    order = itertools.count()

    class Interrupted(Encoder):
        __module__ = Encoder.__module__

        def encode_images(self, pixels: Tensor) -> Tensor:
            if next(order) >= after:
                raise PowerCutError
            return super().encode_images(pixels)

        def encode_texts(self, texts: list[str]) -> tuple[list[Tensor], Tensor]:
            if next(order) >= after:
                raise PowerCutError
            return super().encode_texts(texts)

    return Interrupted(**vars(encoder))


def parts_of(output: Path) -> list[Path]:
    return sorted(path for path in output.with_name(f"{output.name}.parts").rglob("*") if path.is_file())


def test_features_are_those_of_a_plain_loop(encoder: Encoder, root: Path, tmp_path: Path):
    samples = make_samples(root, 40)
    assert {Image.open(root / path).mode for path in samples["path"]} == {"RGB", "L", "P", "RGBA", "LA", "1", "CMYK"}
    extract_features({tmp_path / "store": encoder}, samples, root, BATCH)
    preprocess = open_clip.image_transform(
        224, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
    )
    expected = []
    for path in samples["path"]:
        pixels = preprocess(Image.open(root / path).convert("RGB"))
        with torch.no_grad():
            expected.append(encoder.model.encode_image(pixels[None])[0].numpy())
    store = load_features(tmp_path / "store")
    np.testing.assert_allclose(store.features, expected, atol=1e-5)
    assert store.features.dtype == np.float32 and store.features.shape == (40, encoder.identity["dim"])
    assert store.images == samples["image"].tolist()


def test_features_have_the_bits_of_open_clips_pixels_encoded_in_the_same_batches(
    encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path
):
    """However the pixels get there: uint8 in a ring of buffers, normalised as a batch, on several threads."""
    extract_features({tmp_path / "store": encoder}, samples, root, 4, threads=3)
    preprocess = open_clip.image_transform(
        224, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
    )
    pixels = torch.stack([preprocess(read_image(root / path)) for path in samples["path"]])
    with torch.inference_mode():
        expected = torch.cat([encoder.model.encode_image(batch) for batch in pixels.split(4)])
    assert np.array_equal(load_features(tmp_path / "store").features, expected.numpy())


def test_store_says_what_decides_its_bytes(encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path):
    extract_features({tmp_path / "store": encoder}, samples, root, BATCH)
    metadata = load_features(tmp_path / "store").metadata
    assert metadata["encoder"] == json.loads(json.dumps(encoder.identity))
    assert metadata["sha256"] == samples["sha256"].tolist()
    assert (metadata["batch_size"], metadata["device"]) == (BATCH, "cpu")
    assert len(metadata["code"]) == 64


def test_bytes_do_not_depend_on_threads_or_on_where_the_files_lie(
    encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path
):
    extract_features({tmp_path / "one": encoder}, samples, root, 4, threads=1)
    moved = root.rename(tmp_path / "moved")
    extract_features({tmp_path / "four": encoder}, samples, moved, 4, threads=4)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "four").read_bytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_interrupted_extraction_resumes_to_the_same_bytes(
    threads: int, encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path
):
    with pytest.raises(PowerCutError):
        extract_features({tmp_path / "resumed": interrupted(encoder)}, samples, root, 4, threads)
    assert not (tmp_path / "resumed").exists()
    kept = len(parts_of(tmp_path / "resumed"))
    assert kept == 2
    watched = Watched.of(encoder)
    extract_features({tmp_path / "resumed": watched}, samples, root, 4, threads)
    assert len(watched.seen) == 5 - kept
    extract_features({tmp_path / "undisturbed": encoder}, samples, root, 4)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "undisturbed").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed", "root", "undisturbed"]


@pytest.mark.parametrize("changed", ["encoder", "batch size", "images"])
def test_parts_of_another_configuration_are_not_picked_up(
    changed: str, encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path
):
    with pytest.raises(PowerCutError):
        extract_features({tmp_path / "store": interrupted(encoder)}, samples, root, 4)
    if changed == "encoder":
        encoder = load_encoder("mst-small-32", "random:33", CPU)
    if changed == "images":
        samples = samples.iloc[::-1]
    watched = Watched.of(encoder)
    extract_features({tmp_path / "store": watched}, samples, root, 5 if changed == "batch size" else 4)
    assert sum(watched.seen) == len(samples)
    extract_features({tmp_path / "fresh": encoder}, samples, root, 5 if changed == "batch size" else 4)
    assert (tmp_path / "store").read_bytes() == (tmp_path / "fresh").read_bytes()


#: What happens to an image file, and whether the samples table was written before or after it.
DAMAGE: dict[str, tuple[Callable[[Path], object], bool]] = {
    "truncated": (truncate, False),
    "empty": (lambda path: path.write_bytes(b""), False),
    "text": (lambda path: path.write_text("<html>Quota exceeded</html>"), False),
    "changed since": (lambda path: draw_image(path, 99), True),
    "truncated since": (truncate, True),
    "removed since": (Path.unlink, True),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["006.png", "007.jpg"])
def test_unreadable_image_is_named_and_the_other_batches_are_kept(
    name: str, damage: str, encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path
):
    spoil, since = DAMAGE[damage]
    spoil(root / "images" / name)
    if not since:
        samples.loc[samples["image"] == name, "sha256"] = sha256(root / "images" / name)
    with pytest.raises(InputError) as error:
        extract_features({tmp_path / "store": encoder}, samples, root, 4)
    assert "\n" not in str(error.value)
    assert str(root / "images" / name) in str(error.value)
    assert not (tmp_path / "store").exists()
    assert len(parts_of(tmp_path / "store")) == 4


def test_unreadable_images_are_counted(encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path):
    for name in ("002.jpg", "003.png", "019.jpg"):
        (root / "images" / name).write_bytes(b"")
        samples.loc[samples["image"] == name, "sha256"] = sha256(root / "images" / name)
    with pytest.raises(InputError, match=r"002\.jpg.*3 such images.*003\.png") as error:
        extract_features({tmp_path / "store": encoder}, samples, root, 4, threads=2)
    assert "\n" not in str(error.value)


def test_restored_image_costs_its_batch_alone(encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path):
    image = root / "images" / "006.png"
    whole = image.read_bytes()
    truncate(image)
    with pytest.raises(InputError):
        extract_features({tmp_path / "store": encoder}, samples, root, 4)
    image.write_bytes(whole)
    watched = Watched.of(encoder)
    extract_features({tmp_path / "store": watched}, samples, root, 4)
    assert watched.seen == [4]
    extract_features({tmp_path / "fresh": encoder}, samples, root, 4)
    assert (tmp_path / "store").read_bytes() == (tmp_path / "fresh").read_bytes()


def test_image_mended_after_the_samples_table_costs_its_batch_alone(
    encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path
):
    """The table was written with the broken file's hash; mending the file moves that one row."""
    image = root / "images" / "006.png"
    whole = image.read_bytes()
    truncate(image)
    samples.loc[6, "sha256"] = sha256(image)
    with pytest.raises(InputError):
        extract_features({tmp_path / "store": encoder}, samples, root, 4)
    image.write_bytes(whole)
    samples.loc[6, "sha256"] = sha256(image)
    watched = Watched.of(encoder)
    extract_features({tmp_path / "store": watched}, samples, root, 4)
    assert watched.seen == [4]
    assert load_features(tmp_path / "store").metadata["sha256"] == samples["sha256"].tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(
    bad: float, encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path
):
    class Broken(Watched):
        def encode_images(self, pixels: Tensor) -> Tensor:
            features = super().encode_images(pixels).clone()
            features[-1, 3] = bad
            return features

    with pytest.raises(InputError, match="non-finite"):
        extract_features({tmp_path / "store": Broken.of(encoder)}, samples, root, BATCH)
    assert not (tmp_path / "store").exists()


def test_every_distinct_text_is_encoded_once(encoder: Encoder, tmp_path: Path):
    watched = Watched.of(encoder)
    extract_texts(watched, TEXTS, tmp_path / "texts", batch_size=2)
    assert watched.seen == [2, 1]
    store = load_texts(tmp_path / "texts")
    assert store.index == {"a corgi": 0, "a red boat": 1, "word " * 100: 2}
    assert store.offsets.tolist() == [0, 4, 9, 86]
    assert store.tokens.shape == (86, encoder.identity["text_width"])
    for text, row in store.index.items():
        states, pooled = encoder.encode_texts([text])
        np.testing.assert_allclose(store.tokens[slice(*store.offsets[row : row + 2])], states[0], atol=1e-5)
        np.testing.assert_allclose(store.pooled[row], pooled[0], atol=1e-5)


def test_truncated_texts_are_counted(encoder: Encoder, tmp_path: Path):
    fits, too_long = "word " * 75, "word " * 76
    extract_texts(encoder, [fits, too_long, "a corgi"], tmp_path / "texts")
    assert load_texts(tmp_path / "texts").metadata["truncated"] == [too_long]


def test_text_store_is_the_same_again(encoder: Encoder, tmp_path: Path):
    extract_texts(encoder, TEXTS, tmp_path / "first")
    extract_texts(encoder, TEXTS, tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert load_texts(tmp_path / "first").metadata["encoder"] == json.loads(json.dumps(encoder.identity))


@pytest.mark.parametrize("threads", [1, 3])
def test_killed_texts_resume_to_the_same_bytes_on_any_number_of_threads(threads: int, encoder: Encoder, tmp_path: Path):
    texts, watched = [f"word {number} " * number for number in range(9)], Watched.of(encoder)
    extract_texts(encoder, texts, tmp_path / "in one go", batch_size=2)
    with pytest.raises(PowerCutError):
        extract_texts(interrupted(encoder), texts, tmp_path / "texts", batch_size=2, threads=threads)
    assert not (tmp_path / "texts").exists() and len(parts_of(tmp_path / "texts")) == 2
    extract_texts(watched, texts, tmp_path / "texts", batch_size=2, threads=threads)
    assert len(watched.seen) == 3
    assert (tmp_path / "texts").read_bytes() == (tmp_path / "in one go").read_bytes()
    assert not parts_of(tmp_path / "texts")


def test_every_encoder_sees_the_same_views_of_an_image(samples: pd.DataFrame, root: Path, tmp_path: Path):
    """With an encoder in whose place the pixels themselves are kept."""

    class Pixels:
        device = CPU
        image_size = 224
        identity = {"label": "pixels", "model": "pixels"}

        def preprocess(self, image: Image.Image) -> Tensor:
            return torch.from_numpy(np.asarray(image.resize((8, 8)), np.float32).reshape(-1))

        def encode_images(self, pixels: Tensor) -> Tensor:
            return pixels

    for name, batch_size, rows in (("a", 4, samples), ("b", 7, samples.iloc[::-1])):
        extract_features({tmp_path / f"{name}.safetensors": Pixels()}, rows, root, batch_size, 2, APPENDIX, 3)
    first, second = (load_features(tmp_path / f"{name}.safetensors") for name in "ab")
    assert first.features.shape == (len(samples), 3, 8 * 8 * 3)
    assert np.array_equal(first.features, second.features[::-1])
    assert not np.array_equal(first.features[:, 0], first.features[:, 1])
    assert first.metadata["augmentation"] == APPENDIX and first.metadata["views"] == 3


# Several encoders


class Grey(Encoder):
    """An encoder that prepares its images otherwise than the others."""

    __module__ = Encoder.__module__

    @classmethod
    def of(cls, encoder: Encoder) -> "Grey":
        return cls(
            **vars(encoder) | {"preprocess": lambda image: encoder.preprocess(image.convert("L").convert("RGB"))}
        )


@pytest.fixture(scope="module")
def encoders(encoder: Encoder) -> dict[str, Encoder]:
    """By the name of its store: two that prepare an image alike, and one that does not."""
    return {"coarse": encoder, "fine": load_encoder("mst-small-16", "random:16", CPU), "grey": Grey.of(encoder)}


def stores_in(folder: Path, encoders: dict[str, Encoder]) -> dict[Path, Encoder]:
    return {folder / name: encoder for name, encoder in encoders.items()}


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    root = tmp_path_factory.mktemp("several")
    return make_samples(root, 12), root


@pytest.fixture(scope="module")
def alone(encoders: dict[str, Encoder], drawn: tuple[pd.DataFrame, Path], tmp_path_factory: pytest.TempPathFactory):
    """The stores that the encoders write one by one."""
    folder = tmp_path_factory.mktemp("alone")
    for output, encoder in stores_in(folder, encoders).items():
        extract_features({output: encoder}, *drawn, 4)
    return read_folder(folder)


def test_shards_share_the_batches_and_the_whole_puts_them_together(
    encoders: dict[str, Encoder], drawn: tuple[pd.DataFrame, Path], alone: dict[str, bytes], tmp_path: Path
):
    for number, batches in (2, 1), (1, 2):
        watched = {name: Watched.of(encoder) for name, encoder in encoders.items()}
        extract_features(stores_in(tmp_path, watched), *drawn, 4, shard=(number, 2))
        assert [encoder.seen for encoder in watched.values()] == [[4] * batches] * len(watched)
        assert not any((tmp_path / name).exists() for name in encoders)
    watched = {name: Watched.of(encoder) for name, encoder in encoders.items()}
    extract_features(stores_in(tmp_path, watched), *drawn, 4)
    assert [encoder.seen for encoder in watched.values()] == [[]] * len(watched)
    assert read_folder(tmp_path) == alone


def test_encoders_together_write_what_each_writes_alone(
    encoders: dict[str, Encoder], alone: dict[str, bytes], drawn: tuple[pd.DataFrame, Path], tmp_path: Path
):
    extract_features(stores_in(tmp_path, encoders), *drawn, 4, threads=3)
    assert read_folder(tmp_path) == alone
    assert len(set(alone.values())) == 3


def test_views_of_encoders_together_are_those_of_each_alone(
    encoders: dict[str, Encoder], drawn: tuple[pd.DataFrame, Path], tmp_path: Path
):
    views = {"augmentation": APPENDIX, "views": 2}
    extract_features(stores_in(tmp_path / "together", encoders), *drawn, 4, threads=3, **views)
    for output, encoder in stores_in(tmp_path / "alone", encoders).items():
        extract_features({output: encoder}, *drawn, 4, **views)
    assert read_folder(tmp_path / "together") == read_folder(tmp_path / "alone")


def test_an_image_is_decoded_once_and_prepared_once_for_encoders_alike(
    encoders: dict[str, Encoder], drawn: tuple[pd.DataFrame, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    decoded, encoded = [], []

    class Noting(Encoder):
        def encode_images(self, pixels: Tensor) -> Tensor:
            encoded.append(pixels)
            return super().encode_images(pixels)

    def read(path: Path, expected: str) -> Image.Image:
        decoded.append(path.name)
        return read_image(path, expected)

    monkeypatch.setattr(images, "read_image", read)
    noting = {name: Noting(**vars(encoder)) for name, encoder in encoders.items()}
    extract_features(stores_in(tmp_path, noting), *drawn, 12)
    assert decoded == drawn[0]["image"].tolist()
    coarse, fine, grey = encoded
    assert coarse.data_ptr() == fine.data_ptr() and not torch.equal(coarse, grey)


@pytest.mark.parametrize("cut", ["coarse", "fine"])
def test_interrupted_encoders_resume_each_at_its_first_missing_batch(
    cut: str, encoders: dict[str, Encoder], alone: dict[str, bytes], drawn: tuple[pd.DataFrame, Path], tmp_path: Path
):
    pair = {name: encoders[name] for name in ("coarse", "fine")}
    with pytest.raises(PowerCutError):
        extract_features(stores_in(tmp_path, pair | {cut: interrupted(encoders[cut], after=1)}), *drawn, 4)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]
    kept = {name: len(parts_of(tmp_path / name)) for name in pair}
    assert kept[cut] == 1 and (cut == "coarse" or kept["coarse"] > 1), "the coarse encoder's part of a batch is kept"
    watched = {name: Watched.of(encoder) for name, encoder in pair.items()}
    extract_features(stores_in(tmp_path, watched), *drawn, 4)
    assert {name: len(encoder.seen) for name, encoder in watched.items()} == {name: 3 - kept[name] for name in pair}
    assert read_folder(tmp_path) == {name: alone[name] for name in pair}


def test_a_killed_write_costs_no_batch(
    encoders: dict[str, Encoder], alone: dict[str, bytes], drawn: tuple[pd.DataFrame, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    """Killed between the first store and the second; the workflow removes what a killed job has written."""
    pair = {name: encoders[name] for name in ("coarse", "fine")}

    def write(path: Path, *rest: dict) -> None:
        if path.name == "fine":
            raise PowerCutError
        write_store(path, *rest)

    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(extraction, "write_store", write)
        extract_features(stores_in(tmp_path, pair), *drawn, 4)
    (tmp_path / "coarse").unlink()
    watched = {name: Watched.of(encoder) for name, encoder in pair.items()}
    extract_features(stores_in(tmp_path, watched), *drawn, 4)
    assert [encoder.seen for encoder in watched.values()] == [[], []]
    assert read_folder(tmp_path) == {name: alone[name] for name in pair}


def test_an_encoder_that_is_added_encodes_alone(
    encoders: dict[str, Encoder], alone: dict[str, bytes], drawn: tuple[pd.DataFrame, Path], tmp_path: Path
):
    extract_features({tmp_path / "coarse": encoders["coarse"]}, *drawn, 4)
    watched = {name: Watched.of(encoders[name]) for name in ("coarse", "fine")}
    extract_features(stores_in(tmp_path, watched), *drawn, 4)
    assert [encoder.seen for encoder in watched.values()] == [[], [4, 4, 4]]
    assert read_folder(tmp_path) == {name: alone[name] for name in watched}


@pytest.mark.parametrize("changed", ["encoder", "batch size", "images", "augmentation"])
def test_a_store_of_something_else_is_written_anew(
    changed: str, encoder: Encoder, drawn: tuple[pd.DataFrame, Path], tmp_path: Path
):
    samples, root = drawn
    extract_features({tmp_path / "store": encoder}, samples, root, 4)
    if changed == "encoder":
        encoder = load_encoder("mst-small-32", "random:33", CPU)
    samples = samples.iloc[::-1] if changed == "images" else samples
    views = {"augmentation": NOTHING, "views": 1} if changed == "augmentation" else {}
    for name in ("store", "fresh"):
        extract_features({tmp_path / name: encoder}, samples, root, 5 if changed == "batch size" else 4, **views)
    assert (tmp_path / "store").read_bytes() == (tmp_path / "fresh").read_bytes()


# Reduced precision


@pytest.mark.parametrize("model", ["mst-small-32", "mst-small-16"])
def test_bfloat16_features_point_where_float32_ones_do(model: str, drawn: tuple[pd.DataFrame, Path], tmp_path: Path):
    encoders = {
        precision: load_encoder(model, "embedded", CPU, precision=precision) for precision in ("float32", "bfloat16")
    }
    extract_features(stores_in(tmp_path, encoders), *drawn, 4)
    exact, rounded = (load_features(tmp_path / precision) for precision in encoders)
    assert rounded.features.dtype == np.float32 and not np.array_equal(exact.features, rounded.features)
    norms = [np.linalg.norm(store.features, axis=1) for store in (exact, rounded)]
    cosines = (exact.features * rounded.features).sum(1) / np.prod(norms, axis=0)
    assert cosines.min() > 0.999
    np.testing.assert_allclose(norms[1], norms[0], rtol=0.02)
    assert rounded.metadata["encoder"]["precision"] == "bfloat16"


def test_a_complete_text_store_is_left_as_it_is(encoder: Encoder, tmp_path: Path):
    watched = Watched.of(encoder)
    extract_texts(watched, TEXTS, tmp_path / "texts")
    before = (tmp_path / "texts").stat().st_mtime_ns
    extract_texts(watched, TEXTS, tmp_path / "texts")
    assert len(watched.seen) == 1 and (tmp_path / "texts").stat().st_mtime_ns == before
    extract_texts(watched, [*TEXTS, "another"], tmp_path / "texts")
    assert len(watched.seen) == 2 and "another" in load_texts(tmp_path / "texts").index
