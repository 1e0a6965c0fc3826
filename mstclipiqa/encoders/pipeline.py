"""Batches on their way to encoders on a CPU: prepared image by image in a pool of threads, in a ring of few buffers,
and encoded by the thread that prepared the last image."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.images import Source

#: What one image becomes: by the function that prepared it, its views; without those that refused it.
Prepared = Mapping[Callable, Sequence[Tensor]]

#: The images of a batch, as path and SHA-256, and what prepares them, with the size of its views.
Batch = tuple[Sequence[tuple[str, str]], Mapping[Callable, int]]


class Slot:
    """The buffers of one batch: for each function that prepares, the prepared views (images x views, ...) in order.
    They are made at the first batch and used again."""

    def __init__(self, images: int):
        self.images = images
        self.buffers: dict[Callable, Tensor] = {}
        self.lock = threading.Lock()
        self.count = self.left = 0
        self.filled: dict[Callable, int] = {}

    def begin(self, count: int) -> None:
        """Take a batch of `count` images."""
        self.count = self.left = count
        self.filled = {}

    def put(self, position: int, prepared: Prepared) -> bool:
        """Take the image at a position of the batch; whether it was the last to come."""
        for prepare, views in prepared.items():
            buffer = self._buffer(prepare, views)
            for number, view in enumerate(views):
                buffer[position * len(views) + number] = view
        with self.lock:
            for prepare, views in prepared.items():
                self.filled[prepare] = self.filled.get(prepare, 0) + len(views)
            self.left -= 1
            return self.left == 0

    def _buffer(self, prepare: Callable, views: Sequence[Tensor]) -> Tensor:
        with self.lock:
            if prepare not in self.buffers:
                shape, kind = (self.images * len(views), *views[0].shape), views[0].dtype
                self.buffers[prepare] = torch.empty(shape, dtype=kind)
            return self.buffers[prepare]

    def batch(self) -> dict[Callable, Tensor]:
        """What was prepared of every image of the batch; nothing by a function that refused one."""
        views = {prepare: len(buffer) // self.images for prepare, buffer in self.buffers.items()}
        return {
            prepare: self.buffers[prepare][:filled]
            for prepare, filled in self.filled.items()
            if filled == self.count * views[prepare]
        }


def ring_size(threads: int) -> int:
    """The batches that are in memory at once: those that are encoded, and one that is filled."""
    return threads + 1


def encode_batches(
    batches: Sequence[Batch],
    source: Source,
    encode: Callable[[int, Mapping[Callable, Tensor]], None],
    refused: list[str],
    threads: int,
) -> Iterator[int]:
    """Prepare and encode batches; yields the number of each that is done.

    Images are read and prepared on `threads` threads; `encode` takes a batch's number and what was prepared of it, but
    for what refused one of its images: why is added to `refused`. What else is raised is raised, and what has begun by
    then is finished.
    """
    done: queue.SimpleQueue[tuple[Slot, int, BaseException | None]] = queue.SimpleQueue()
    waiting = iter(range(len(batches)))
    counts = [len(images) for images, _ in batches]
    with ThreadPoolExecutor(threads) as pool:

        def take(slot: Slot, number: int, position: int) -> None:
            images, sizes = batches[number]
            path, content = images[position]
            try:
                try:
                    prepared = source.prepare(path, source.read(path, content), content, sizes, refused)
                except InputError as error:
                    refused.append(str(error))
                    prepared = {}
                if slot.put(position, prepared):
                    encode(number, slot.batch())
                    done.put((slot, number, None))
            except BaseException as error:
                done.put((slot, number, error))

        def start(slot: Slot) -> None:
            number = next(waiting, None)
            if number is not None:
                slot.begin(counts[number])
                for position in range(counts[number]):
                    pool.submit(take, slot, number, position)

        try:
            for _ in range(min(ring_size(threads), len(counts))):
                start(Slot(max(counts)))
            for _ in counts:
                slot, number, error = done.get()
                if error is not None:
                    raise error
                start(slot)
                yield number
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
