"""Distances to the training images, against scipy's search for neighbours, and how often their rule is wrong."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mstclipiqa.base.errors import InputError
from mstclipiqa.scoring import novelty
from mstclipiqa.scoring.novelty import LEVEL, MOST_KEPT, K, distances, keep, read


def draw(count: int, seed: int, dim: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Features of both streams, of images drawn alike."""
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, (count, dim)).astype(np.float32), rng.normal(-1, 2, (count, dim)).astype(np.float32)


def both(count: int, seed: int) -> np.ndarray:
    return np.hstack(draw(count, seed))


def test_distances_are_those_to_the_kth_nearest_in_units_of_each_streams_length():
    training, others = both(50, 1), both(9, 2)
    lengths = [np.mean(np.linalg.norm(part, axis=1) ** 2) ** 0.5 for part in (training[:, :6], training[:, 6:])]
    scale = np.repeat(lengths, 6)
    expected = cKDTree(training / scale).query(others / scale, K)[0][:, -1]
    np.testing.assert_allclose(distances(others, training), expected, rtol=1e-5)
    longer = np.repeat([100, 1], 6)
    np.testing.assert_allclose(distances(others * longer, training * longer), expected, rtol=1e-5)
    few = training[:2]
    assert (distances(few, few) > 0).all(), "of two the farthest"
    assert np.isfinite(distances(np.zeros((1, 12)), np.zeros((3, 12)))).all()


def test_p_values_count_the_held_out_images_that_are_as_far():
    trained = np.arange(140) < 100
    coarse, fine = draw(140, 3)
    kept = keep(coarse, fine, trained)
    others = draw(5, 4)
    training = np.hstack([coarse, fine])[trained].astype(np.float16).astype(np.float32)
    held_out, found = distances(np.hstack([coarse, fine])[~trained], training), distances(np.hstack(others), training)
    expected = [(1 + sum(one >= distance for one in held_out)) / 41 for distance in found]
    np.testing.assert_allclose(kept.p_values(*others), expected)


def test_images_drawn_alike_are_seldom_called_unlike_and_others_always():
    flags = []
    for seed in range(200):
        coarse, fine = draw(121, seed)
        kept = keep(coarse[:120], fine[:120], np.arange(120) < 80)
        flags.append(kept.p_values(coarse[120:], fine[120:])[0] <= LEVEL)
    assert np.mean(flags) == pytest.approx(LEVEL, abs=0.04)  # 2.6 standard errors
    assert (kept.p_values(-coarse[:5], -fine[:5]) <= LEVEL).all()


def test_a_file_gives_back_what_is_kept_and_no_more_images_than_it_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(novelty, "MOST_KEPT", 30)
    kept = keep(*draw(100, 5), np.arange(100) < 60)
    assert len(kept.features) == 30
    tensors = kept.tensors() | {"fusion.W_h.weight": np.zeros(3, np.float32)}
    again = read("a head", tensors, 6)
    assert list(tensors) == ["fusion.W_h.weight"]
    np.testing.assert_array_equal(again.features, kept.features)
    np.testing.assert_allclose(again.held_out, kept.held_out, atol=1e-7)
    assert read("a head", {}, 6) is None
    assert keep(*draw(30, 7), np.arange(30) < 20) is None, "ten held-out images tell no 5 %"


@pytest.mark.parametrize(
    ("features", "held_out"),
    [
        (np.zeros((3, 5)), np.arange(20.0)),
        (np.zeros((0, 12)), np.arange(20.0)),
        (np.zeros((MOST_KEPT + 1, 12)), np.arange(20.0)),
        (np.full((3, 12), np.nan), np.arange(20.0)),
        (np.zeros((3, 12), int), np.arange(20.0)),
        (np.zeros((3, 12)), np.arange(20.0)[::-1]),
        (np.zeros((3, 12)), np.arange(3.0)),
        (np.zeros((3, 12)), None),
    ],
)
def test_anything_else_in_a_file_is_refused(features: np.ndarray, held_out: np.ndarray | None):
    tensors = {"training.features": features, "training.distances": held_out}
    with pytest.raises(InputError, match="a head: its training features are not as a head keeps them; train the head"):
        read("a head", {name: array for name, array in tensors.items() if array is not None}, 6)
