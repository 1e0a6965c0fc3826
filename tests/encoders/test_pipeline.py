"""Batches prepared image by image: what reaches the encoders, how much is in memory, and what a failure leaves."""

import threading
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from mstclipiqa.encoders.pipeline import encode_batches, ring_size

COUNTS = [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 3]

ways = pytest.mark.parametrize("apart", [False, True], ids=["as on a CPU", "as on a GPU"])
threads = pytest.mark.parametrize("threads", [1, 3])


def first(image: object) -> None:
    """Stands for a function that prepares."""


def second(image: object) -> None:
    """Stands for another."""


@ways
@threads
def test_every_batch_is_encoded_once_and_whole(threads: int, apart: bool):
    seen: dict[int, dict] = {}

    def prepare(number: int, position: int) -> dict:
        image = torch.tensor([number, position])
        return {first: [image, image + 100], second: [image.float()]}

    def encode(number: int, prepared: Mapping) -> None:
        seen[number] = {key: value.clone() for key, value in prepared.items()}

    assert sorted(encode_batches(COUNTS, prepare, encode, threads, apart)) == list(range(len(COUNTS)))
    assert sorted(seen) == list(range(len(COUNTS)))
    for number, count in enumerate(COUNTS):
        views = [[number + shift, position + shift] for position in range(count) for shift in (0, 100)]
        assert seen[number][first].tolist() == views
        assert seen[number][second].tolist() == [[number, position] for position in range(count)]
        assert seen[number][second].dtype == torch.float32


@ways
@threads
def test_no_more_images_are_in_memory_than_the_ring_has_room_for(threads: int, apart: bool):
    """However long encoding takes: here the first batch is not encoded before no further image is taken in."""
    taken, held, released, lock = [0], [], threading.Event(), threading.Lock()
    room = 4 * ring_size(threads, apart)

    def prepare(number: int, position: int) -> dict:
        with lock:
            taken[0] += 1
            held.append(taken[0] - 4 * len(done))
            if taken[0] == (4 if threads == 1 and not apart else room):
                released.set()
        return {first: [torch.zeros(3)]}

    buffers: set[int] = set()
    done: list[int] = []

    def encode(number: int, prepared: Mapping[object, Tensor]) -> None:
        assert released.wait(60)
        buffers.add(prepared[first].untyped_storage().data_ptr())

    if threads > 1 and not apart:
        released.set()  # a thread that encodes takes in no images, so that not all rooms fill
    for number in encode_batches(COUNTS, prepare, encode, threads, apart):
        done.append(number)
    assert taken[0] == sum(COUNTS)
    assert max(held) <= room + 4, "a batch counts as done a little after its buffers are used again"
    assert len(buffers) <= ring_size(threads, apart)


@ways
def test_a_function_that_refused_an_image_gets_no_batch_and_the_others_do(apart: bool):
    seen = {}

    def prepare(number: int, position: int) -> dict:
        refused = (number, position) == (1, 2)
        return {second: [torch.zeros(2)]} | ({} if refused else {first: [torch.ones(2)]})

    for _ in encode_batches(
        [3, 3, 3], prepare, lambda number, prepared: seen.update({number: set(prepared)}), 2, apart
    ):
        pass
    assert seen == {0: {first, second}, 1: {second}, 2: {first, second}}


@ways
@threads
@pytest.mark.parametrize("failing", ["prepare", "encode"])
def test_a_failure_is_raised_and_what_began_is_finished(failing: str, threads: int, apart: bool):
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
        list(encode_batches(COUNTS, prepare, encode, threads, apart))
    assert 2 not in encoded
    assert len(encoded) <= 2 + 2 * ring_size(threads, apart)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
