"""Pretraining: targets and losses against their definitions, the text path against open_clip's, kill and resume."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.base.files import sha256
from mstclipiqa.base.names import LEVELS
from mstclipiqa.encoders.compact_weights import UNKNOWN
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.synthetic import pretraining
from mstclipiqa.synthetic.corpus import ARTEFACT_WORDS, Corpus, draw_example
from mstclipiqa.synthetic.pretraining import (
    ARTEFACT_TEXTS,
    ARTEFACTS,
    LEVEL_TEXTS,
    WEIGHTS,
    Settings,
    Student,
    all_words,
    artefact_targets,
    auxiliary_targets,
    batches,
    caption,
    level_targets,
    losses,
    normalise,
    pretrain_encoder,
    schedule,
    tokenize,
    whitened_dct,
)

CPU = torch.device("cpu")
TINY = Settings(steps=4, batch_size=8, warm_up=2, patch_dropout=0.5, checkpoint_every=2)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    examples = [draw_example(3, index) for index in range(80)]
    rows = [
        {"content": e.content, "quality": e.quality} | dict.fromkeys(ARTEFACTS, 0.0) | e.strengths for e in examples
    ]
    return Corpus([np.stack([np.asarray(e.image) for e in examples])], pd.DataFrame(rows))


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    return Student("mst-small-32", 7).eval()


def test_levels_have_the_quality_as_their_mean():
    quality = np.linspace(0, 1, 41)
    weights = level_targets(quality)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights @ np.arange(5) / 4, quality, atol=1e-6)
    assert ((weights > 0).sum(1) <= 2).all()


def test_artefacts_share_in_proportion_to_their_strengths():
    strengths = np.zeros((2, len(ARTEFACTS)))
    strengths[1, [2, 5]] = 0.2, 0.6
    weights = artefact_targets(strengths)
    assert weights[0].tolist() == [1] + [0] * len(ARTEFACTS)
    np.testing.assert_allclose(weights[1, [0, 3, 6]], [0, 0.25, 0.75])
    assert ARTEFACT_TEXTS[1 + 5] == f"a {ARTEFACT_WORDS[ARTEFACTS[5]]} picture"


def test_auxiliary_targets_are_standardised_and_bounded(corpus):
    statistics = np.random.default_rng(0).normal(5, 3, (80, 4))
    statistics[0, 0], statistics[:, 3] = 1e6, 2.0
    targets = auxiliary_targets(corpus.labels, statistics)
    assert targets.shape == (80, 4 + len(ARTEFACTS) + 1) and np.abs(targets).max() <= 4
    np.testing.assert_allclose(targets[:, 1].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(targets[:, 1].std(), 1, atol=1e-5)
    assert (targets[:, 3] == 0).all()


def test_captions_say_what_is_true():
    row = pd.Series(
        {"content": "a red ball", "quality": 0.5} | dict.fromkeys(ARTEFACTS, 0.0) | {"blur": 0.9, "noise": 0.2}
    )
    said = {caption(row, np.random.default_rng(seed)) for seed in range(200)}
    assert said == {
        "a red ball",
        "a red ball, fair quality",
        "a red ball, very blurry, slightly noisy",
        "a red ball, fair quality, very blurry, slightly noisy",
    }


def test_every_word_of_a_caption_is_kept(corpus):
    kept = set(tokenize(all_words(corpus.labels) + LEVEL_TEXTS).flatten().tolist())
    rng = np.random.default_rng(0)
    for _, row in corpus.labels.iterrows():
        assert set(tokenize([caption(row, rng)]).flatten().tolist()) <= kept
    assert UNKNOWN not in kept


def test_texts_are_encoded_as_open_clip_does(student):
    tokens = tokenize(["a red ball", "two blue boats in a meadow, watercolour style, very noisy"])
    torch.testing.assert_close(student.encode_text(tokens), student.clip.encode_text(tokens), rtol=1e-4, atol=1e-5)


def test_pixels_are_normalised_as_open_clip_does(corpus):
    from PIL import Image

    pixels = corpus.pixels(np.arange(3))
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(), is_train=False)
    expected = torch.stack([transform(Image.fromarray(image)) for image in pixels])
    torch.testing.assert_close(normalise(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mst-small-32", "mst-small-16"])
def test_patch_embedding_starts_as_orthogonal_cosines_of_unit_variance(name, corpus):
    torch.manual_seed(0)
    convolution = open_clip.create_model(name).visual.conv1
    pixels = normalise(corpus.pixels(np.arange(32)))
    whitened_dct(convolution, pixels)
    np.testing.assert_allclose(convolution(pixels).std((0, 2, 3)).detach().numpy(), 1, rtol=1e-3)
    filters = F.normalize(convolution.weight.detach().flatten(1), dim=1)
    luminance = filters[: len(filters) * 3 // 4]
    torch.testing.assert_close(luminance @ luminance.T, torch.eye(len(luminance)), rtol=0, atol=1e-4)


def test_losses_are_those_of_their_definitions(student):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(3, 3, 224, 224, generator=generator)
    tokens = tokenize(["a red ball", "a blue box", "a green fish", *LEVEL_TEXTS, *ARTEFACT_TEXTS])
    levels = level_targets(np.array([0.0, 0.4, 1.0]))
    artefacts = artefact_targets(np.eye(3, len(ARTEFACTS)))
    measures = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    with torch.inference_mode():
        total, parts = losses(student, student.clip.logit_scale, pixels, tokens, levels, artefacts, measures)
        features = student.clip.encode_image(pixels)
        image = features / features.norm(dim=1, keepdim=True)
        text = student.clip.encode_text(tokens, normalize=True)
        logits = math.exp(student.clip.logit_scale) * image @ text.T
        pairs = -(logits[:, :3].log_softmax(1).diag().mean() + logits[:, :3].log_softmax(0).diag().mean()) / 2
        of_levels = -(torch.tensor(levels) * logits[:, 3:8].log_softmax(1)).sum(1).mean()
        of_artefacts = -(torch.tensor(artefacts) * logits[:, 8:].log_softmax(1)).sum(1).mean()
        difference = (student.auxiliary(features) - torch.tensor(measures)).abs()
        auxiliary = torch.where(difference < 1, difference**2 / 2, difference - 0.5).mean()
    expected = {"contrastive": pairs, "levels": of_levels, "artefacts": of_artefacts, "auxiliary": auxiliary}
    assert parts == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-4)
    assert total.item() == pytest.approx(sum(WEIGHTS[name] * parts[name] for name in parts), rel=1e-5)


def test_learning_rate_rises_and_falls():
    settings = Settings(steps=100, warm_up=10)
    rates = [schedule(step, settings) for step in range(100)]
    assert rates[0] == 0.1 and rates[9] == rates[10] == 1 and rates[99] < 0.001
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)


def test_batches_are_permutations_and_resume_anywhere():
    whole = list(batches(20, 6, 7, seed=0, start=0))
    assert len(whole) == 7
    for epoch in (whole[:3], whole[3:6]):
        assert len(set(np.concatenate(epoch))) == 18
    for start in range(7):
        resumed = list(batches(20, 6, 7, seed=0, start=start))
        assert all(np.array_equal(a, b) for a, b in zip(resumed, whole[start:], strict=True))


def train(corpus: Corpus, output: Path, seed: int = 0) -> Path:
    targets = auxiliary_targets(corpus.labels, np.random.default_rng(0).normal(size=(80, 2)))
    pretrain_encoder("mst-small-16", corpus, targets, corpus, seed, TINY, output, CPU)
    return output


def test_equal_seeds_give_equal_bytes_also_after_a_kill(corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = train(corpus, tmp_path / "whole.safetensors")
    assert sha256(whole) != sha256(train(corpus, tmp_path / "other.safetensors", seed=1))
    output, calls = tmp_path / "killed.safetensors", []

    def killing(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return losses(*arguments)

    monkeypatch.setattr(pretraining, "losses", killing)
    with pytest.raises(KeyboardInterrupt):
        train(corpus, output)
    assert not output.exists()
    train(corpus, output)
    assert len(calls) == 4 + 2, "the last two steps alone"
    assert sha256(output) == sha256(whole)
    assert output.with_suffix(".csv").read_text() == whole.with_suffix(".csv").read_text()
    assert sorted(path.name for path in tmp_path.iterdir() if "killed" in path.name) == [
        "killed.csv",
        "killed.safetensors",
    ]


def test_settings_change_the_checkpoint(corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A checkpoint of other settings is never resumed."""
    calls = []
    monkeypatch.setattr(pretraining, "losses", lambda *a: calls.append(1) or losses(*a))
    monkeypatch.setattr(pretraining, "write_weights", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    targets = auxiliary_targets(corpus.labels, np.zeros((80, 1)))
    for settings in (TINY, TINY, replace(TINY, learning_rate=1e-4)):
        with pytest.raises(KeyboardInterrupt):
            pretrain_encoder("mst-small-32", corpus, targets, corpus, 0, settings, tmp_path / "w.safetensors", CPU)
    assert len(calls) == 4 + 0 + 4


def test_level_texts_are_the_template_of_the_released_code():
    assert [f"a photo with {level} quality" for level in LEVELS] == LEVEL_TEXTS
