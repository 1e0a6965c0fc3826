"""Batches on their way to the encoders: prepared image by image in a pool of threads, in a ring of few buffers, and
encoded while the next are prepared."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

#: What one image becomes: by the function that prepared it, its views; without those that refused it.
Prepared = Mapping[Callable, Sequence[Tensor]]

#: Threads that hand batches to a GPU: while one writes features, the other's batch is encoded.
CONSUMERS = 2


class Slot:
    """The buffers of one batch: for each function that prepares, the prepared views (images x views, ...) in order.

    They are made at the first batch and used again. On a machine with a GPU they are pinned: a copy from there leaves
    the CPU free.
    """

    def __init__(self, images: int, pinned: bool):
        self.images, self.pinned = images, pinned
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
                self.buffers[prepare] = torch.empty(shape, dtype=kind, pin_memory=self.pinned)
            return self.buffers[prepare]

    def batch(self) -> dict[Callable, Tensor]:
        """What was prepared of every image of the batch; nothing by a function that refused one."""
        views = {prepare: len(buffer) // self.images for prepare, buffer in self.buffers.items()}
        return {
            prepare: self.buffers[prepare][:filled]
            for prepare, filled in self.filled.items()
            if filled == self.count * views[prepare]
        }


def ring_size(threads: int, apart: bool) -> int:
    """The batches that are in memory at once: those that are encoded, one that is ready, and one that is filled."""
    return CONSUMERS + 2 if apart else threads + 1


def encode_batches(
    counts: Sequence[int],
    prepare: Callable[[int, int], Prepared],
    encode: Callable[[int, Mapping[Callable, Tensor]], None],
    threads: int,
    apart: bool,
) -> Iterator[int]:
    """Prepare and encode batches of so many images; yields the number of each that is done.

    `prepare` takes a batch's number and an image's position in it, and is called on `threads` threads; `encode` takes a
    batch's number and what was prepared of it: `apart`, beside a GPU, on threads of its own, otherwise on the thread
    that prepared the last image. What either raises is raised, and what has begun by then is finished.
    """
    done: queue.SimpleQueue[tuple[Slot, int, BaseException | None]] = queue.SimpleQueue()
    waiting = iter(range(len(counts)))
    with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(CONSUMERS) as consumers:

        def take(slot: Slot, number: int, position: int) -> None:
            try:
                if slot.put(position, prepare(number, position)):
                    if apart:
                        consumers.submit(finish, slot, number)
                    else:
                        finish(slot, number)
            except BaseException as error:
                done.put((slot, number, error))

        def finish(slot: Slot, number: int) -> None:
            try:
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
            for _ in range(min(ring_size(threads, apart), len(counts))):
                start(Slot(max(counts), apart and torch.cuda.is_available()))
            for _ in counts:
                slot, number, error = done.get()
                if error is not None:
                    raise error
                start(slot)
                yield number
        except BaseException:
            for executor in (pool, consumers):
                executor.shutdown(wait=False, cancel_futures=True)
            raise
