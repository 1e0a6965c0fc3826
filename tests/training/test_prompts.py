"""Does the prompt matter? Asked of data where that is known: MOS follow from the prompt, or from the image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_benchmark import COUNT, DIM, RANGES, RECIPE, WIDTH, make_levels

from mstclipiqa.base.names import LAST, TEST, TRAIN
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.variants import VARIANTS
from mstclipiqa.training import job
from mstclipiqa.training.dataset import assemble_dataset
from mstclipiqa.training.run import Trainer, train_run

LONG = replace(RECIPE, epochs=25, learning_rate=0.02)
TRANSLATED = "star-translated"
STAR = [name for name in VARIANTS if name == "mst-clipiqa-star" or name.startswith("star-") and name != TRANSLATED]
OTHERS = [name for name in STAR if name != "mst-clipiqa-star"]
PROMPTS = 20
ROLES = np.array([TRAIN] * 40 + [TEST] * 20, dtype=object)


def plant(of_prompt: float, of_image: float):
    """Samples, and stores of their features and prompts: MOS are the mean 50, moved by a value of each prompt, which
    its tokens show, and a value of each image, which its features show. Two generators, ten prompts each."""
    rng = np.random.default_rng(1)
    texts = [f"prompt {number}" for number in range(PROMPTS)]
    value, own = rng.permutation(np.linspace(-1, 1, PROMPTS)), rng.uniform(-1, 1, COUNT)
    number = np.arange(COUNT) % PROMPTS
    samples = pd.DataFrame(
        {
            "benchmark": "toy",
            "image": [f"{row:03d}.png" for row in range(COUNT)],
            "sha256": [f"hash {row}" for row in range(COUNT)],
            "prompt": [texts[of] for of in number],
            "generator": [f"generator {of % 2}" for of in number],
            "quality": 50 + 25 * (of_prompt * value[number] + of_image * own),
        }
    )
    lengths = rng.integers(3, 6, PROMPTS)
    tokens = np.concatenate([np.full((length, WIDTH), shown) for length, shown in zip(lengths, value, strict=True)])
    offsets = np.cumsum([0, *lengths])
    tokens[offsets[:-1]] = 0.3  # every prompt begins with the same token
    prompts = TextFeatures(
        tokens.astype(np.float32), offsets, np.zeros((PROMPTS, DIM), np.float32),
        {text: row for row, text in enumerate(texts)}, {},
    )  # fmt: skip
    features = rng.normal(size=(COUNT, DIM)).astype(np.float32)
    features[:, 0] = own
    images = ImageFeatures(features, samples["image"].tolist(), {"sha256": samples["sha256"].tolist()})
    return samples, {"coarse": images, "fine": images, "prompts": prompts}


def score(planted, variant: str) -> float:
    """SRCC on the test images of a model trained on the others, which share all prompts."""
    samples, stores = planted
    data = assemble_dataset(samples, RANGES, "quality", **stores, given=VARIANTS[variant].prompts)
    model = Trainer.of_texts(data, variant, LONG, make_levels()).build(0)
    run = train_run(model, data, ROLES, LONG, 0)
    last = run[run["selection"] == LAST]
    return srcc(last["prediction"], last["mos"])


def test_where_mos_follow_from_the_prompt_only_the_true_one_ranks_images():
    planted = plant(of_prompt=1, of_image=0)
    scores = {name: score(planted, name) for name in STAR}
    assert scores.pop("mst-clipiqa-star") > 0.9
    assert set(scores) == set(OTHERS) and max(scores.values()) < 0.5, scores


def test_where_mos_follow_from_the_image_every_prompt_ranks_alike():
    planted = plant(of_prompt=0, of_image=1)
    scores = {name: score(planted, name) for name in STAR}
    assert min(scores.values()) > 0.9, scores


@pytest.mark.parametrize("says_the_same", [True, False])
def test_a_translation_ranks_images_where_it_tells_prompts_apart(says_the_same: bool):
    """Stand-ins for a language: a text of its own for each prompt, and one text for all."""
    samples, stores = plant(of_prompt=1, of_image=0)
    texts = list(stores["prompts"].index)
    said = dict(zip(texts, texts if says_the_same else [texts[0]] * PROMPTS, strict=True))
    stores["prompts"] = replace(stores["prompts"], metadata={"translations": said})
    found = score((samples, stores), TRANSLATED)
    assert found > 0.9 if says_the_same else found < 0.5


def test_without_a_prompt_alpha_stays_at_0_and_no_token_is_read():
    samples, stores = plant(of_prompt=1, of_image=0)
    data = assemble_dataset(samples, RANGES, "quality", **stores)
    model = Trainer.of_texts(data, "star-no-prompt", LONG, make_levels()).build(0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_run(model, replace(data, tokens=data.tokens * np.nan), ROLES, replace(LONG, epochs=2), 0)
    after = model.state_dict()
    changed = {name for name in after if not after[name].equal(before[name])}
    assert after["head.alpha"] == 0 and {"head.W_1.weight", "head.w_o.weight", "fusion.phi_c.weight"} <= changed
    assert not [name for name in changed if name.startswith(("head.attention", "head.alpha"))]


@pytest.mark.parametrize("name", STAR)
def test_a_job_gives_each_variant_its_prompts(name, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(job, "read_dataset", lambda files, target, recipe, given: asked.append(given) or (None, {}))
    with pytest.raises(KeyError):  # there is no card
        job.train_from_files(tmp_path / "runs", None, Path(), Path(), LONG, name, "quality", [0], [0])
    assert asked == [VARIANTS[name].prompts]
