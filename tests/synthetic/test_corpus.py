"""The pretraining corpus: what its labels say is true of its images, and a killed drawing resumes."""

from pathlib import Path

import numpy as np
import pytest

from mstclipiqa.synthetic import corpus
from mstclipiqa.synthetic.artefacts import ARTEFACTS, latents
from mstclipiqa.synthetic.corpus import ARTEFACT_WORDS, PALETTE, draw_corpus, draw_example, draw_texture, fractal

EXAMPLES = 60


@pytest.fixture(scope="module")
def examples():
    return [draw_example(5, index) for index in range(EXAMPLES)]


def test_an_example_depends_on_its_seed_and_index_alone(examples):
    again = draw_example(5, 7)
    assert np.array_equal(again.image, examples[7].image)
    assert (again.content, again.strengths, again.quality) == (
        examples[7].content, examples[7].strengths, examples[7].quality,
    )  # fmt: skip
    assert draw_example(6, 7).content != again.content


def test_examples_are_of_all_sorts(examples):
    contents = [example.content for example in examples]
    assert len(set(contents)) > 0.9 * EXAMPLES
    assert any(" style" in content for content in contents) and any(" style" not in content for content in contents)
    counts = [len(example.strengths) for example in examples]
    assert min(counts) == 0 and max(counts) >= 2
    assert all(example.image.size == (224, 224) and example.image.mode == "RGB" for example in examples)


def test_quality_is_that_of_the_strengths(examples):
    for example in examples:
        assert set(example.strengths) <= set(ARTEFACTS)
        if not example.strengths:
            assert example.quality == 1
        else:
            assert example.quality == latents(_scene(), _scene(), example.strengths)["quality"] < 1


def _scene():
    from mstclipiqa.synthetic.prompts import random_scene

    return random_scene(np.random.default_rng(0))


def test_every_artefact_has_its_word():
    assert list(ARTEFACT_WORDS) == list(ARTEFACTS)
    assert len(set(ARTEFACT_WORDS.values())) == len(ARTEFACTS)


def test_texture_has_the_colours_it_names():
    """The mean colour of a two-coloured texture lies between its two colours."""
    rng, seen = np.random.default_rng(0), 0
    for _ in range(40):
        image, words = draw_texture(96, rng)
        first, _, second, *_ = words.split()
        if first in PALETTE and "leaves" not in words:
            seen += 1
            mean = np.asarray(image, float).mean((0, 1))
            low, high = np.sort([PALETTE[first], PALETTE[second]], axis=0)
            assert (mean > low - 12).all() and (mean < high + 12).all(), words
    assert seen > 15


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_fractal_noise_has_the_slope_it_is_given(slope):
    """The amplitude spectrum against frequency, fitted on logarithmic axes by numpy."""
    noise = fractal(256, slope, np.random.default_rng(3))
    amplitude = np.abs(np.fft.fft2(noise - noise.mean()))
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    band = (frequency > 0.02) & (frequency < 0.3)
    fitted, _ = np.polyfit(np.log(frequency[band]), np.log(amplitude[band]), 1)
    assert fitted == pytest.approx(-slope, abs=0.15)


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of four, drawn in this process."""
    monkeypatch.setattr(corpus, "SHARD", 4)
    drawn = []

    class Here:
        def __init__(self, *arguments):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

        def submit(self, function, *arguments):
            drawn.append(arguments[-1])
            function(*arguments)
            return arguments[-1]

    monkeypatch.setattr(corpus, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(corpus, "as_completed", lambda futures: iter(()))
    return drawn


def test_corpus_is_its_examples_in_order(small_shards, tmp_path: Path):
    drawn = draw_corpus(tmp_path, 5, 6, 1)
    assert len(drawn.labels) == 8, "whole shards"
    rows = np.array([6, 0, 3])
    for row, pixels in zip(rows, drawn.pixels(rows), strict=True):
        example = draw_example(5, int(row))
        assert np.array_equal(pixels, example.image)
        assert drawn.labels["content"][row] == example.content
        assert drawn.labels.loc[row, list(ARTEFACTS)].to_dict() == dict.fromkeys(ARTEFACTS, 0.0) | example.strengths


def test_shards_that_are_there_are_kept(small_shards, tmp_path: Path):
    draw_corpus(tmp_path, 5, 8, 1)
    first = sorted(tmp_path.rglob("0001.*"))
    for path in first:
        path.unlink()
    small_shards.clear()
    draw_corpus(tmp_path, 5, 12, 1)
    assert small_shards == [1, 2]
