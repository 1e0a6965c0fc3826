"""Batches on their way to a GPU: images are read by worker processes, which Python's lock does not hold up as it does
threads, and prepared there or, to the same bits, on the GPU. Pixels are handed over in shared memory."""

import contextlib
import functools
import multiprocessing
import shutil
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import accumulate
from math import prod
from multiprocessing import forkserver
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mstclipiqa.base.errors import InputError, MstclipiqaError
from mstclipiqa.base.workers import end_with_parent, naming_killed_workers
from mstclipiqa.encoders.images import Preparation, Source, pixels_of
from mstclipiqa.encoders.pipeline import Batch

#: Images that a worker hands over at once: few, so that a small benchmark keeps all workers busy.
CHUNK = 8

#: Chunks of each worker that may wait. In memory there are so many chunks of all workers, and one batch.
WAITING = 2

#: Pixels of an image that goes to the GPU whole; the bytes of a larger one cost more than its resize.
MOST_WHOLE = 1 << 20

#: Where Linux keeps shared memory.
SHARED_MEMORY = Path("/dev/shm")


class Piece(NamedTuple):
    """Some images of a chunk: their positions in the batch, and their pixels (n, V, h, w, 3) as `prepare` gives them;
    None for whole ones (n, 1, H, W, 3)."""

    prepare: Callable | None
    positions: list[int]
    pixels: Tensor


class Place(NamedTuple):
    """Where a piece lies in shared memory."""

    prepare: Callable | None
    positions: list[int]
    start: int
    shape: tuple[int, ...]


class Slots:
    """Shared memory for chunks. The process that makes it pins it for a GPU; the others find it by its name."""

    def __init__(self, count: int, size: int, name: str | None = None):
        self.size = size
        self.memory = SharedMemory(name, create=name is None, size=count * size)
        self.pixels = np.ndarray(count * size, np.uint8, self.memory.buf)

    def write(self, slot: int, pieces: Sequence[Piece]) -> list[Place]:
        """Put pieces of a chunk into a slot."""
        ends = [slot * self.size, *accumulate((piece.pixels.numel() for piece in pieces), initial=slot * self.size)][1:]
        for piece, start, end in zip(pieces, ends, ends[1:], strict=False):
            self.pixels[start:end] = piece.pixels.numpy().ravel()
        return [
            Place(piece.prepare, piece.positions, start, tuple(piece.pixels.shape))
            for piece, start in zip(pieces, ends, strict=False)
        ]

    def read(self, place: Place, device: torch.device) -> Piece:
        """A copy of a piece, on a device."""
        found = self.pixels[place.start : place.start + prod(place.shape)]
        pixels = torch.from_numpy(found).to(device, copy=True)
        return Piece(place.prepare, place.positions, pixels.view(place.shape))

    @contextlib.contextmanager
    def pinned(self, device: torch.device) -> Iterator[None]:
        """Let a GPU copy from here by itself, and free the memory in the end. Raises MstclipiqaError where the GPU's
        runtime does not let it."""
        runtime, where = torch.cuda.cudart() if device.type == "cuda" else None, self.pixels.ctypes.data
        try:
            if runtime and (code := int(runtime.cudaHostRegister(where, len(self.pixels), 0))):
                raise MstclipiqaError(
                    f"the GPU's runtime does not pin {len(self.pixels) / 1e6:,.0f} MB of memory (cudaError {code}); "
                    "set extraction: threads lower, or extraction: device: cpu"
                )
            yield
        finally:
            if runtime:
                runtime.cudaHostUnregister(where)
            self.pixels = np.empty(0, np.uint8)
            self.memory.close()
            self.memory.unlink()


def check_room(needed: int) -> None:
    """Raises InputError where the system has less shared memory than is needed: a process that wrote into what is
    missing would be killed."""
    if SHARED_MEMORY.is_dir() and (free := shutil.disk_usage(SHARED_MEMORY).free) < needed:
        raise InputError(
            f"extraction: threads: so many hand images to the GPU through {needed / 1e6:,.0f} MB of shared memory, and "
            f"{SHARED_MEMORY} has {free / 1e6:,.0f}; give fewer, or the container more (docker's --shm-size)"
        )


def slot_size(batches: Sequence[Batch], source: Source) -> int:
    """The most bytes of a chunk."""
    wholes = 0 if source.augmentation else MOST_WHOLE
    views = max((sum(size**2 for size in sizes.values()) for _, sizes in batches), default=0)
    return 3 * CHUNK * (wholes + max(source.views, 1) * views)


def split_batches(batches: Sequence[Batch]) -> list[tuple[int, int]]:
    """The chunks of batches, in order: the number of the batch, and the position of the first image."""
    return [(number, start) for number, (images, _) in enumerate(batches) for start in range(0, len(images), CHUNK)]


#: In a worker process, what all its chunks need.
shared: tuple[Sequence[Batch], list[tuple[int, int]], Source, Slots]


def _share(batches: Sequence[Batch], source: Source, count: int, size: int, name: str) -> None:
    """Give a worker process what all its chunks need, once."""
    global shared
    end_with_parent()
    torch.set_num_threads(1)
    shared = batches, split_batches(batches), source, Slots(count, size, name)


def _take(chunk: int, slot: int) -> tuple[list[Place], list[str]]:
    """Put the images of a chunk into a slot; where they lie there, and why others are refused."""
    batches, chunks, source, slots = shared
    number, start = chunks[chunk]
    images, sizes = batches[number]
    pieces, refused = read_chunk(images[start : start + CHUNK], start, sizes, source)
    return slots.write(slot, pieces), refused


def read_chunk(
    images: Sequence[tuple[str, str]], start: int, sizes: Mapping[Callable, int], source: Source
) -> tuple[list[Piece], list[str]]:
    """The pieces of some images of a batch, the first of which is at the position `start`, and why others are
    refused."""
    found: dict[tuple, tuple[list[int], list[Tensor]]] = defaultdict(lambda: ([], []))
    refused: list[str] = []
    for position, (path, content) in enumerate(images, start):
        for prepare, views in _read(path, content, sizes, source, refused).items():
            positions, pixels = found[prepare, views.shape]
            positions.append(position)
            pixels.append(views)
    return [Piece(prepare, at, torch.stack(pixels)) for (prepare, _), (at, pixels) in found.items()], refused


def _read(
    path: str, content: str, sizes: Mapping[Callable, int], source: Source, refused: list[str]
) -> dict[Callable | None, Tensor]:
    """The views (V, h, w, 3) of an image by each function that prepares it here, and the image for the others."""
    try:
        image = source.read(path, content)
    except InputError as error:
        refused.append(str(error))
        return {}
    later = source.augmentation is None and image.width == image.height and image.width**2 <= MOST_WHOLE
    here = {prepare: size for prepare, size in sizes.items() if not (later and on_device(prepare))}
    prepared = source.prepare(path, image, content, here, refused)
    taken: dict[Callable | None, Tensor] = {prepare: torch.stack(views) for prepare, views in prepared.items()}
    return taken if len(here) == len(sizes) else taken | {None: pixels_of(image)[None]}


def on_device(prepare: Callable) -> Preparation | None:
    """What prepares, where a device can do it."""
    return prepare if isinstance(prepare, Preparation) and prepare.takes_whole else None


@functools.cache
def _forkserver() -> Any:
    """Where workers come from: a process that has imported what they need, and knows nothing of a GPU."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "mstclipiqa.encoders.clip"])
    return context


def start_forkserver() -> None:
    """Let it begin: its imports take as long as loading encoders, beside which they run."""
    _forkserver()
    forkserver.ensure_running()


def encode_on_gpu(
    batches: Sequence[Batch],
    source: Source,
    encode: Callable[[int, Mapping[Callable, Tensor]], None],
    refused: list[str],
    workers: int,
    device: torch.device,
) -> Iterator[int]:
    """As `pipeline.encode_batches`, where `encode` gets what was prepared on the device. What is refused is added to
    `refused`. Raises MstclipiqaError where a worker was killed, and as `check_room` does."""
    count, size, todo = workers * WAITING, slot_size(batches, source), iter(range(len(split_batches(batches))))
    check_room(count * size)
    slots, resize = Slots(count, size), Resizer()
    coming: deque[tuple[int, Future]] = deque()
    with (
        slots.pinned(device),
        naming_killed_workers("extract"),
        ProcessPoolExecutor(workers, _forkserver(), _share, (batches, source, count, size, slots.memory.name)) as pool,
    ):

        def begin(slot: int) -> None:
            if (chunk := next(todo, None)) is not None:
                coming.append((slot, pool.submit(_take, chunk, slot)))

        try:
            for slot in range(count):
                begin(slot)
            for number, (images, sizes) in enumerate(batches):
                pieces: list[Piece] = []
                for _ in range(0, len(images), CHUNK):
                    slot, future = coming.popleft()
                    places, errors = future.result()
                    refused += errors
                    pieces += [slots.read(place, device) for place in places]
                    begin(slot)
                prepared = {prepare: _put_together(prepare, pieces, len(images), resize) for prepare in sizes}
                encode(number, {prepare: pixels for prepare, pixels in prepared.items() if pixels is not None})
                yield number
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _put_together(prepare: Callable, pieces: Sequence[Piece], count: int, resize: "Resizer") -> Tensor | None:
    """The views (count x V, h, w, 3) of all images of a batch in order; None where one is missing."""
    own = [(piece.positions, piece.pixels) for piece in pieces if piece.prepare is prepare]
    if (preparation := on_device(prepare)) is not None:
        alike: dict[tuple[int, ...], list[Piece]] = defaultdict(list)
        for piece in pieces:
            if piece.prepare is None:
                alike[tuple(piece.pixels.shape[2:])].append(piece)
        own += [
            (
                [position for piece in some for position in piece.positions],
                resize(preparation, torch.cat([piece.pixels for piece in some])),
            )
            for some in alike.values()
        ]
    positions = [position for at, _ in own for position in at]
    if len(positions) < count:
        return None
    views = torch.cat([pixels for _, pixels in own])
    if positions != list(range(count)):
        views = views[torch.tensor(positions).argsort()]
    return views.flatten(0, 1)


class Resizer:
    """Resizes whole images on their device. Of each size the first image is also prepared on the CPU, by the Pillow
    that is installed: where its bits are others, the CPU prepares all of that size."""

    def __init__(self) -> None:
        self.same: dict[tuple, bool] = {}

    def __call__(self, prepare: Preparation, pixels: Tensor) -> Tensor:
        """The views (n, 1, h, w, 3) of whole images (n, 1, S, S, 3)."""
        images, key = pixels[:, 0], (prepare, pixels.shape[2])
        if key not in self.same:
            first = images[:1]
            self.same[key] = torch.equal(prepare.on_device(first).cpu(), self._on_cpu(prepare, first))
        resized = prepare.on_device(images) if self.same[key] else self._on_cpu(prepare, images).to(images.device)
        return resized[:, None]

    @staticmethod
    def _on_cpu(prepare: Preparation, images: Tensor) -> Tensor:
        return torch.stack([prepare(Image.fromarray(image.numpy())) for image in images.cpu()])
