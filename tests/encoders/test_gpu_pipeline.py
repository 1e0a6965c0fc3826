"""Images read by worker processes and resized on the encoders' device, which here is a CPU: the stores are the same."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from encoding import APPENDIX
from PIL import Image

from mstclipiqa.base.errors import InputError, MstclipiqaError
from mstclipiqa.base.files import sha256
from mstclipiqa.encoders import extraction, gpu_pipeline
from mstclipiqa.encoders.clip import Encoder, image_transform, load_encoder
from mstclipiqa.encoders.extraction import extract_features
from mstclipiqa.encoders.gpu_pipeline import (
    CHUNK,
    MOST_WHOLE,
    Piece,
    Resizer,
    Slots,
    encode_on_gpu,
    read_chunk,
    slot_size,
)  # fmt: skip
from mstclipiqa.encoders.images import Preparation, Source

CPU = torch.device("cpu")
SIZES = [(300, 300), (512, 512), (40, 300), (300, 300), (224, 224), (1030, 1030), (300, 200)] * 3
BATCH = 2 * CHUNK + 3


@pytest.fixture(scope="module")
def encoders() -> dict[str, Encoder]:
    names = ("mst-small-32", "mst-small-16")
    return {name: load_encoder(name, "embedded") for name in names}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    root = tmp_path_factory.mktemp("images")
    for number, (width, height) in enumerate(SIZES):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
    names = [f"{number}.png" for number in range(len(SIZES))]
    hashes = [sha256(root / name) for name in names]
    return pd.DataFrame({"benchmark": "drawn", "image": names, "path": names, "sha256": hashes}), root


@pytest.fixture
def by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extract as beside a GPU."""
    monkeypatch.setattr(extraction, "encode_batches", partial(encode_on_gpu, device=CPU))


def extract(folder: Path, encoders: dict[str, Encoder], drawn: tuple[pd.DataFrame, Path], *views) -> dict[str, bytes]:
    folder.mkdir()
    extract_features({folder / name: encoder for name, encoder in encoders.items()}, *drawn, BATCH, 2, *views)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("views", [(), (APPENDIX, 2)], ids=["images", "views"])
def test_stores_are_those_of_threads(views: tuple, encoders, drawn, tmp_path: Path, request: pytest.FixtureRequest):
    expected = extract(tmp_path / "threads", encoders, drawn, *views)
    request.getfixturevalue("by_workers")
    assert extract(tmp_path / "workers", encoders, drawn, *views) == expected


def test_square_images_are_resized_on_the_device_and_others_by_workers(drawn):
    frame, root = drawn
    prepare = image_transform(size=(224, 224))
    images = list(zip(frame["path"], frame["sha256"], strict=True))
    pieces, refused = read_chunk(images[:CHUNK], 0, {prepare: 224}, Source(root))
    whole = {piece.pixels.shape[2]: piece.positions for piece in pieces if piece.prepare is None}
    assert not refused and whole == {300: [0, 3, 7], 512: [1], 224: [4]}, (
        "of the others two are not square, one is large"
    )
    assert [piece.positions for piece in pieces if piece.prepare is prepare] == [[2, 5, 6]]


@pytest.mark.parametrize("source", [Source(Path()), Source(Path(), APPENDIX, 3)], ids=["images", "views"])
def test_a_slot_has_room_for_the_largest_chunk(source: Source):
    """Each image whole, and prepared by the workers for an encoder that takes others."""
    side, sizes = int(MOST_WHOLE**0.5), {image_transform(size=(224, 224)): 224, sorted: 336}
    views = source.views or 1
    largest = [(1, side, side, 3)] if not source.views else []
    largest += [(views, size, size, 3) for size in sizes.values()]
    pieces = [Piece(None, [*range(CHUNK)], torch.ones(CHUNK, *shape, dtype=torch.uint8)) for shape in largest]
    slots = Slots(2, slot_size([([], sizes)], source))
    with slots.pinned(CPU):
        places = slots.write(1, pieces)
        assert slots.pixels[: slots.size].sum() == 0 and places[0].start == slots.size
        assert all(torch.equal(slots.read(at, CPU).pixels, own.pixels) for at, own in zip(places, pieces, strict=True))


class Runtime:
    """CUDA's, as far as it pins memory: it registers what it is asked to, or answers with an error's code."""

    def __init__(self, code: int):
        self.code, self.asked = code, []

    def cudaHostRegister(self, where: int, size: int, flags: int) -> int:  # noqa: N802
        self.asked.append((where, size))
        return self.code

    def cudaHostUnregister(self, where: int) -> int:  # noqa: N802
        self.asked.append((where, 0))
        return 0


def test_shared_memory_is_pinned_whole_and_let_go(monkeypatch: pytest.MonkeyPatch):
    runtime, slots = Runtime(0), Slots(3, 1000)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    where = slots.pixels.ctypes.data
    with slots.pinned(torch.device("cuda")):
        assert runtime.asked == [(where, 3000)]
    assert runtime.asked == [(where, 3000), (where, 0)]


def test_memory_that_the_runtime_does_not_pin_is_one_line_and_let_go(monkeypatch: pytest.MonkeyPatch):
    slots = Slots(3, 1000)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: Runtime(2))
    refused = pytest.raises(
        MstclipiqaError, match=r"^the GPU's runtime does not pin .* \(cudaError 2\); set extraction"
    )
    with refused, slots.pinned(torch.device("cuda")):
        raise AssertionError
    with pytest.raises(FileNotFoundError):
        Slots(3, 1000, slots.memory.name)


def test_all_images_are_tried_before_the_unreadable_ones_are_counted(by_workers, encoders, drawn, tmp_path: Path):
    frame = drawn[0].assign(sha256=drawn[0]["sha256"].where(~drawn[0]["image"].isin(["3.png", "20.png"]), "0" * 64))
    with pytest.raises(InputError, match=r"20\.png: changed .*2 such images; the next: .*3\.png"):
        extract(tmp_path / "stores", encoders, (frame, drawn[1]))


def test_too_little_shared_memory_is_refused_before_anything_is_read(
    by_workers, encoders, drawn, tmp_path, monkeypatch
):
    free = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(gpu_pipeline.shutil, "disk_usage", lambda path: free)
    with pytest.raises(
        InputError, match=r"^extraction: threads: .* MB of shared memory, and /dev/shm has 1; give fewer"
    ):
        extract(tmp_path / "stores", encoders, drawn)
    assert not [path for path in (tmp_path / "stores").iterdir() if path.is_file()]


class Deadly(Source):
    def read(self, path: str, content: str) -> Image.Image:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_killed_worker_is_one_line(drawn):
    batches = [([("0.png", drawn[0]["sha256"][0])], {image_transform(size=(224, 224)): 224})]
    with pytest.raises(MstclipiqaError, match="^extract: a worker process was killed, .* with fewer workers"):
        list(encode_on_gpu(batches, Deadly(drawn[1]), lambda *_: None, [], 1, CPU))


def test_where_the_installed_pillow_gives_other_bits_the_cpu_resizes(monkeypatch: pytest.MonkeyPatch):
    prepare = image_transform(size=(224, 224))
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 1, 300, 300, 3), dtype=np.uint8))
    expected = torch.stack([prepare(Image.fromarray(image.numpy())) for image in pixels[:, 0]])[:, None]
    assert torch.equal(Resizer()(prepare, pixels), expected)
    monkeypatch.setattr(Preparation, "on_device", lambda self, images: torch.zeros(len(images), 224, 224, 3))
    assert torch.equal(Resizer()(prepare, pixels), expected)
