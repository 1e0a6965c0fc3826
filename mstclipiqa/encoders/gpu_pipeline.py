"""Batches on their way to a GPU: images are read by worker processes, which Python's lock does not hold up as it does
threads, and prepared there or, to the same bits, on the GPU."""

import functools
import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import forkserver
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.workers import killed_worker
from mstclipiqa.encoders.images import Preparation, Source, pixels_of
from mstclipiqa.encoders.pipeline import Batch

#: Images that a worker hands over at once: few, so that a small benchmark keeps all workers busy.
CHUNK = 8

#: Chunks of each worker that may wait. In memory there are so many chunks of all workers, and one batch.
WAITING = 2

#: Pixels of an image that goes to the GPU whole; the bytes of a larger one cost more than its resize.
MOST_WHOLE = 1 << 20


class Piece(NamedTuple):
    """Some images of a chunk: their positions, and their pixels (n, V, h, w, 3) as `prepare` gives them; None for whole
    ones (n, 1, H, W, 3)."""

    prepare: Callable | None
    positions: list[int]
    pixels: Tensor


class Chunks(Dataset):
    """The images of batches, a chunk at a time: its pieces, and what was refused."""

    def __init__(self, batches: Sequence[Batch], source: Source):
        self.batches, self.source = batches, source
        self.chunks = [
            (number, start) for number, (images, _) in enumerate(batches) for start in range(0, len(images), CHUNK)
        ]

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, chunk: int) -> tuple[list[Piece], list[str]]:
        number, start = self.chunks[chunk]
        images, sizes = self.batches[number]
        found: dict[tuple, tuple[list[int], list[Tensor]]] = defaultdict(lambda: ([], []))
        refused: list[str] = []
        for position, (path, content) in enumerate(images[start : start + CHUNK], start):
            for prepare, views in self._take(path, content, sizes, refused).items():
                positions, pixels = found[prepare, views.shape]
                positions.append(position)
                pixels.append(views)
        pieces = [Piece(prepare, at, default_collate(pixels)) for (prepare, _), (at, pixels) in found.items()]
        return pieces, refused

    def _take(
        self, path: str, content: str, sizes: Mapping[Callable, int], refused: list[str]
    ) -> dict[Callable | None, Tensor]:
        """The views (V, h, w, 3) of an image by each function that prepares it here, and the image for the others."""
        try:
            image = self.source.read(path, content)
        except InputError as error:
            refused.append(str(error))
            return {}
        later = self.source.augmentation is None and image.width == image.height and image.width**2 <= MOST_WHOLE
        here = {prepare: size for prepare, size in sizes.items() if not (later and on_device(prepare))}
        prepared = self.source.prepare(path, image, content, here, refused)
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
    `refused`. Raises MstclipiqaError where a worker was killed."""
    loader = DataLoader(
        Chunks(batches, source), batch_size=None, num_workers=workers, multiprocessing_context=_forkserver(),
        prefetch_factor=WAITING, pin_memory=device.type == "cuda",
    )  # fmt: skip
    resize = Resizer()
    try:
        chunks = iter(loader)
        for number, (images, sizes) in enumerate(batches):
            pieces: list[Piece] = []
            for _ in range(0, len(images), CHUNK):
                found, errors = next(chunks)
                refused += errors
                pieces += [piece._replace(pixels=piece.pixels.to(device, non_blocking=True)) for piece in found]
            prepared = {prepare: _put_together(prepare, pieces, len(images), resize) for prepare in sizes}
            encode(number, {prepare: pixels for prepare, pixels in prepared.items() if pixels is not None})
            yield number
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise killed_worker("extract", "threads; in a container, more shared memory may be needed") from None


def _put_together(prepare: Callable, pieces: Sequence[Piece], count: int, resize: "Resizer") -> Tensor | None:
    """The views (count x V, h, w, 3) of all images of a batch in order; None where one is missing."""
    own = [(piece.positions, piece.pixels) for piece in pieces if piece.prepare is prepare]
    if (whole := on_device(prepare)) is not None:
        own += [(piece.positions, resize(whole, piece.pixels)) for piece in pieces if piece.prepare is None]
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
