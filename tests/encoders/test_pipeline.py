"""Batches prepared image by image: what reaches the encoders, how much is in memory, and what a failure leaves."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.pipeline import Batch, encode_batches, ring_size

COUNTS = [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 3]

threads = pytest.mark.parametrize("threads", [1, 3])


def first(image: object) -> None:
    """Stands for a function that prepares."""


def second(image: object) -> None:
    """Stands for another."""


class Numbers:
    """Stands for a source of images: one is the number of its batch and its position, which `prepare` is given."""

    def __init__(self, prepare: Callable[[int, int], dict]):
        self.prepared = prepare

    def read(self, path: str, content: str) -> tuple[int, int]:
        return int(path), int(content)

    def prepare(self, path: str, image: tuple[int, int], content: str, sizes: Mapping, refused: list[str]) -> dict:
        return self.prepared(*image)


def run(counts: list[int], prepare: Callable, encode: Callable, threads: int, refused: list[str] | None = None) -> Any:
    batches: list[Batch] = [
        ([(str(number), str(position)) for position in range(count)], {}) for number, count in enumerate(counts)
    ]
    return encode_batches(batches, Numbers(prepare), encode, [] if refused is None else refused, threads)


@threads
def test_every_batch_is_encoded_once_and_whole(threads: int):
    seen: dict[int, dict] = {}

    def prepare(number: int, position: int) -> dict:
        image = torch.tensor([number, position])
        return {first: [image, image + 100], second: [image.float()]}

    def encode(number: int, prepared: Mapping) -> None:
        seen[number] = {key: value.clone() for key, value in prepared.items()}

    assert sorted(run(COUNTS, prepare, encode, threads)) == list(range(len(COUNTS)))
    assert sorted(seen) == list(range(len(COUNTS)))
    for number, count in enumerate(COUNTS):
        views = [[number + shift, position + shift] for position in range(count) for shift in (0, 100)]
        assert seen[number][first].tolist() == views
        assert seen[number][second].tolist() == [[number, position] for position in range(count)]
        assert seen[number][second].dtype == torch.float32


@threads
def test_no_more_images_are_in_memory_than_the_ring_has_room_for(threads: int):
    """However long encoding takes: here no batch is encoded before all of the threads but one have come to encode."""
    taken, held, lock, buffers = [0], [], threading.Lock(), set()
    done: list[int] = []
    meeting = threading.Barrier(threads)

    def prepare(number: int, position: int) -> dict:
        with lock:
            taken[0] += 1
            held.append(taken[0] - 4 * len(done))
        return {first: [torch.zeros(3)]}

    def encode(number: int, prepared: Mapping[object, Tensor]) -> None:
        if number < threads:
            meeting.wait(60)
        buffers.add(prepared[first].untyped_storage().data_ptr())

    for number in run(COUNTS, prepare, encode, threads):
        done.append(number)
    assert taken[0] == sum(COUNTS)
    assert max(held) <= 4 * (ring_size(threads) + 1), "a batch counts as done a little after its buffers are used again"
    assert len(buffers) <= ring_size(threads)


def test_a_function_that_refused_an_image_gets_no_batch_and_the_others_do():
    seen = {}

    def prepare(number: int, position: int) -> dict:
        missing = (number, position) == (1, 2)
        return {second: [torch.zeros(2)]} | ({} if missing else {first: [torch.ones(2)]})

    for _ in run([3, 3, 3], prepare, lambda number, prepared: seen.update({number: set(prepared)}), 2):
        pass
    assert seen == {0: {first, second}, 1: {second}, 2: {first, second}}


@threads
def test_an_image_that_cannot_be_read_is_told_and_its_batch_left_out(threads: int):
    refused: list[str] = []
    seen = {}

    def prepare(number: int, position: int) -> dict:
        if (number, position) == (1, 2):
            raise InputError("no image")
        return {first: [torch.ones(2)]}

    for _ in run([3, 3, 3], prepare, lambda number, got: seen.update({number: set(got)}), threads, refused):
        pass
    assert seen == {0: {first}, 1: set(), 2: {first}} and refused == ["no image"]


@threads
@pytest.mark.parametrize("failing", ["prepare", "encode"])
def test_a_failure_is_raised_and_what_began_is_finished(failing: str, threads: int):
    encoded: list[int] = []

    def prepare(number: int, position: int) -> dict:
        if failing == "prepare" and (number, position) == (2, 1):
            raise ValueError("no such image")
        return {first: [torch.zeros(1)]}

    def encode(number: int, prepared: Mapping) -> None:
        if failing == "encode" and number == 2:
            raise ValueError("no such encoder")
        encoded.append(number)

    with pytest.raises(ValueError, match="no such"):
        list(run(COUNTS, prepare, encode, threads))
    assert 2 not in encoded
    assert len(encoded) <= 2 + 2 * ring_size(threads)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
