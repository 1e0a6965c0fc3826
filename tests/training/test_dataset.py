from dataclasses import replace

import numpy as np
import pytest
import torch
from small_benchmark import COUNT, DIM, HIGH, LOW, RANGES, WIDTH

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.stores import ImageFeatures
from mstclipiqa.model.variants import CONSTANT, EMPTY, OWN, PERMUTED, WITHIN_GENERATOR
from mstclipiqa.training.dataset import assemble_dataset, prompt_sources, to_mos, to_score


def test_the_nominal_range_maps_to_the_five_levels_and_back():
    np.testing.assert_allclose(to_score(np.array([20.0, 35.0, 50.0, 80.0]), 20, 80), [1, 2, 3, 5])
    mos = np.random.default_rng(0).uniform(-3, 9, 50)
    np.testing.assert_allclose(to_mos(to_score(mos, 0, 5), 0, 5), mos)
    np.testing.assert_allclose(to_score(to_mos(mos, 1, 100), 1, 100), mos)


def test_a_dataset_joins_every_sample_with_its_own_features(samples, stores, data):
    assert data.images == samples["image"].tolist()
    np.testing.assert_array_equal(data.mos, samples["quality"])
    np.testing.assert_allclose(data.score, 1 + 4 * (samples["quality"] - LOW) / (HIGH - LOW), rtol=1e-6)
    np.testing.assert_array_equal(data.f_c, stores["coarse"].features)
    np.testing.assert_array_equal(data.f_f, stores["fine"].features)
    rows = [41, 0, 7, 7, 59]
    tokens, padding = data.prompts(torch.tensor(rows))
    texts = stores["prompts"]
    expected = []
    for row in rows:
        text = texts.index[samples["prompt"][row]]
        expected.append(texts.tokens[texts.offsets[text] : texts.offsets[text + 1]])
    assert tokens.shape == (len(rows), max(map(len, expected)), WIDTH)
    for states, pad, wanted in zip(tokens, padding, expected, strict=True):
        np.testing.assert_array_equal(states[~pad], wanted)
        assert pad[: len(wanted)].logical_not().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda samples, stores: {"target": "authenticity"},
            "toy has no authenticity MOS; it has quality, correspondence",
        ),
        (lambda samples, stores: {"samples": samples[::-1]}, "coarse features are of other images"),
        (lambda samples, stores: {"samples": samples.head(50)}, "coarse features are of other images"),
        (
            lambda samples, stores: {"fine": replace(stores["fine"], metadata={"sha256": ["changed"] * COUNT})},
            "fine features are of other images",
        ),
        (
            lambda samples, stores: {"samples": samples.assign(prompt=["never encoded"] + ["prompt 1"] * (COUNT - 1))},
            "1 prompts are not encoded, e.g. 'never encoded'",
        ),
    ],
)
def test_stores_that_do_not_fit_are_refused(samples, stores, change, message):
    arguments = {"samples": samples, "ranges": RANGES, "target": "quality", **stores}
    with pytest.raises(InputError, match=message) as error:
        assemble_dataset(**arguments | change(samples, stores))
    assert "\n" not in str(error.value)


def test_views_of_other_images_or_another_encoder_are_refused(samples, stores):
    coarse = stores["coarse"]
    coarse.metadata["encoder"] = stores["fine"].metadata["encoder"] = {"label": "toy"}
    views = ImageFeatures(np.zeros((COUNT, 2, DIM), np.float32), coarse.images, dict(coarse.metadata))
    assert assemble_dataset(samples, RANGES, "quality", **stores, coarse_views=views).views_c.shape == (COUNT, 2, DIM)
    for wrong, message in (
        (replace(views, features=coarse.features), "coarse views are no augmented views"),
        (replace(views, metadata={**views.metadata, "encoder": {"label": "other"}}), "by the encoder of the features"),
        (replace(views, images=views.images[::-1]), "coarse views are of other images"),
    ):
        with pytest.raises(InputError, match=message):
            assemble_dataset(samples, RANGES, "quality", **stores, coarse_views=wrong)


def test_further_streams_stand_beside_the_fine_one(samples, stores):
    """Of any size, and so do their views; the first alone stays as it is."""
    wide = replace(stores["fine"], features=np.random.default_rng(0).normal(size=(COUNT, DIM + 3)))
    for store in (stores["coarse"], stores["fine"], wide):
        store.metadata["encoder"] = {"label": "toy"}
    seen = [
        replace(store, features=np.stack([store.features, -store.features], axis=1))
        for store in (stores["coarse"], stores["fine"], wide)
    ]
    joined = np.concatenate([stores["fine"].features, wide.features], axis=1)
    arguments = {"samples": samples, "ranges": RANGES, "target": "quality", **stores}
    data = assemble_dataset(**arguments, coarse_views=seen[0], fine_views=seen[1], further=[(wide, seen[2])])
    assert data.sizes == (DIM, DIM, DIM + 3)
    np.testing.assert_array_equal(data.f_c, stores["coarse"].features)
    np.testing.assert_array_equal(data.f_f, joined)
    rows = torch.tensor([4, 2])
    np.testing.assert_array_equal(data.streams(rows, torch.tensor([1, 0]))[1], [-joined[4], joined[2]])
    assert (
        assemble_dataset(**arguments, coarse_views=seen[0], fine_views=seen[1], further=[(wide, None)]).views_f is None
    )
    with pytest.raises(InputError, match="further-3 features are of other images than the samples table"):
        assemble_dataset(**arguments, further=[(replace(wide, images=wide.images[::-1]), None)])


def tokens_given(samples, stores, given):
    """The token states that go with each image, one array an image."""
    data = assemble_dataset(samples, RANGES, "quality", **stores, given=given)
    tokens, padding = data.prompts(torch.arange(COUNT))
    return [states[~pad].numpy() for states, pad in zip(tokens, padding, strict=True)]


def states_of(samples, stores, row):
    texts = stores["prompts"]
    text = texts.index[samples["prompt"].iloc[row]]
    return texts.tokens[texts.offsets[text] : texts.offsets[text + 1]]


def test_which_prompt_goes_with_an_image(samples, stores):
    samples = samples.assign(generator=["one", "two", "three"] * (COUNT // 3))
    for given in (OWN, PERMUTED, WITHIN_GENERATOR, CONSTANT):
        sources = prompt_sources(samples, given)
        for row, found in enumerate(tokens_given(samples, stores, given)):
            np.testing.assert_array_equal(found, states_of(samples, stores, sources[row]))
    with pytest.raises(InputError, match="does not read from left to right, so that this is no empty prompt"):
        tokens_given(samples, stores, EMPTY)
    stores["prompts"].tokens[stores["prompts"].offsets[:-1]] = 0.3  # every prompt begins with the same token
    for row, found in enumerate(tokens_given(samples, stores, EMPTY)):
        np.testing.assert_array_equal(found, states_of(samples, stores, row)[:1])


def test_prompts_are_permuted_the_same_again_and_each_is_used_once(samples):
    samples = samples.assign(generator=["one", "two", "three"] * (COUNT // 3))
    own = prompt_sources(samples, OWN)
    np.testing.assert_array_equal(own, np.arange(COUNT))
    for given in (PERMUTED, WITHIN_GENERATOR):
        sources = prompt_sources(samples, given)
        np.testing.assert_array_equal(sources, prompt_sources(samples, given))
        assert sorted(sources) == list(own)
        prompts = samples["prompt"].to_numpy()
        assert (prompts[sources] == prompts).mean() < 0.25  # chance is one in twelve
    generators = samples["generator"].to_numpy()
    assert (generators[prompt_sources(samples, WITHIN_GENERATOR)] == generators).all()
    assert (generators[prompt_sources(samples, PERMUTED)] != generators).any()
    assert set(prompt_sources(samples, CONSTANT)) == {0}
