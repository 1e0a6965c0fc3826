"""Attention to the prompts, on the small study that the verbs ran."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy

from mstclipiqa.analyses.attention import attend, token_letters
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import read_table
from mstclipiqa.base.layout import ATTENTION
from mstclipiqa.encoders.stores import load_texts
from mstclipiqa.encoders.text_towers import Tokenizer
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.training import run as training


@pytest.fixture
def attended(small_study: SmallStudy) -> tuple[pd.DataFrame, dict]:
    return ATTENTION.read(small_study.results / "agiqa-3k/attention/quality/slow.parquet")


def test_every_test_image_has_the_tokens_of_its_prompt(small_study: SmallStudy, attended):
    table, metadata = attended
    run = read_table(small_study.runs(variant="mst-clipiqa-star"))[0]
    run = run[(run["protocol"] == "lab-seed1") & (run["selection"] == "best-on-test")]
    assert set(table["image"]) == set(run["image"])
    samples = read_table(small_study.results / "agiqa-3k/samples.parquet")[0].set_index("image")
    for image, rows in table.groupby("image"):
        first, *said, last = rows["token"]
        assert (first, last) == ("<start_of_text>", "<end_of_text>")
        spoken = "".join(samples["prompt"][image].lower().split())
        assert "".join(said) == spoken and list(rows["position"]) == list(range(len(rows)))
    np.testing.assert_allclose(table.groupby("image")["weight"].sum(), 1, atol=1e-4)
    assert (metadata["protocol"], metadata["split"], metadata["seed"]) == ("lab-seed1", 0, 0)


def test_it_is_the_run_of_the_suite(small_study: SmallStudy, attended):
    metrics = read_table(small_study.results / "metrics.parquet")[0]
    run = metrics[
        (metrics["variant"] == "mst-clipiqa-star") & (metrics["recipe"] == "slow") & (metrics["target"] == "quality")
        & (metrics["protocol"] == "lab-seed1") & (metrics["selection"] == "best-on-test")
    ]  # fmt: skip
    assert attended[1]["srcc"] == run["srcc"].item() and attended[1]["epoch"] == run["epoch"].item()


def test_weight_decay_alone_makes_attention_even(small_study: SmallStudy, tmp_path):
    """The gradients of queries and keys are scaled by alpha, which starts at 0."""
    slow = load_recipe(small_study.config / "recipes" / "slow.yaml")
    found = {}
    for decay in (0.0, 1.0):
        recipe = replace(slow, weight_decay=decay, learning_rate=5e-3, epochs=20)
        attend(tmp_path / "a.parquet", small_study.results, "agiqa-3k", "quality", recipe, 0, 0)
        table, metadata = ATTENTION.read(tmp_path / "a.parquet")
        found[decay] = table.groupby("image")["weight"].agg(lambda own: own.max() - own.min()).max(), metadata["norms"]
    assert found[0.0][1]["initial"] == found[1.0][1]["initial"]
    print(found)
    assert found[1.0][1]["trained"] < found[0.0][1]["trained"] / 4
    assert found[1.0][0] < found[0.0][0] / 4


def test_tokens_without_their_tokenizer_are_numbered(small_study: SmallStudy, monkeypatch):
    prompts = load_texts(small_study.results / "agiqa-3k/features/prompts.safetensors")
    lengths = np.diff(prompts.offsets)
    assert [len(own) for own in token_letters(prompts)] == list(lengths)
    numbered = [f"token {k}" for k in range(1, lengths[0] + 1)]
    another = replace(prompts, metadata=prompts.metadata | {"texts": ["other"] * len(lengths)})
    assert token_letters(another)[0] == numbered  # whose tokens are as many as other texts have
    monkeypatch.setattr(Tokenizer, "own", property(lambda self: (_ for _ in ()).throw(InputError("not at hand"))))
    assert token_letters(prompts)[0] == numbered


def test_a_run_that_fails_is_named(small_study: SmallStudy, tmp_path, monkeypatch):
    recipe = load_recipe(small_study.config / "recipes" / "slow.yaml")
    monkeypatch.setattr(training, "check_loss", lambda loss, epoch: (_ for _ in ()).throw(FailedRunError("diverged")))
    with pytest.raises(
        FailedRunError, match="^attention of agiqa-3k quality slow mst-clipiqa-star, lab-seed1, split 0"
    ):
        attend(tmp_path / "a.parquet", small_study.results, "agiqa-3k", "quality", recipe, 0, 0)
    with pytest.raises(InputError, match="authenticity"):
        attend(tmp_path / "a.parquet", small_study.results, "agiqa-3k", "authenticity", recipe, 0, 0)
    assert not list(tmp_path.iterdir())
