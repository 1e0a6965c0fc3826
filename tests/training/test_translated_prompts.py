"""Prompts in another language, through the verbs: encoded, trained on, scored beside the English ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from config_files import RECIPES
from small_study import ENCODERS, SmallStudy, run

from mstclipiqa.analyses.zero_shot import clip_score
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import BASELINES, RUNS, SAMPLES
from mstclipiqa.encoders.stores import load_features, load_texts
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.model.variants import TRANSLATED
from mstclipiqa.training.dataset import DatasetFiles, read_dataset


def translate(prompt: str) -> str:
    """A stand-in for another language: the words from the last to the first."""
    return " ".join(reversed(prompt.split()))


@pytest.fixture(scope="module")
def study(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """The small study, whose prompts are encoded in two languages."""
    own = small_study.copy(tmp_path_factory.mktemp("translated") / "study")
    folder, table = own.results / "agiqa-3k", own.folder / "backwards.csv"
    prompts = SAMPLES.read(folder / "samples.parquet")[0]["prompt"].drop_duplicates()
    pd.DataFrame({"prompt": prompts, "translation": prompts.map(translate)}).to_csv(table, index=False)
    run(
        "extract", "--encoder", ENCODERS["coarse"], "embedded", folder / "features" / "coarse.safetensors",
        "--text-encoder", ENCODERS["coarse"], "embedded", folder / "features" / "prompts.safetensors",
        "--translations", table, "--samples", folder / "samples.parquet", "--root", own.data / "agiqa-3k",
    )  # fmt: skip
    return own


def files_of(study: SmallStudy) -> DatasetFiles:
    folder = study.results / "agiqa-3k"
    return DatasetFiles(
        folder / "samples.parquet",
        *(folder / "features" / f"{name}.safetensors" for name in ("coarse", "fine", "prompts")),
    )


def test_the_store_has_both_languages_and_says_which_is_of_which(study: SmallStudy, small_study: SmallStudy):
    store, english = (load_texts(files_of(own).prompts) for own in (study, small_study))
    assert store.translations.keys() == english.index.keys() and english.translations == {}
    assert all(store.translations[prompt] == translate(prompt) for prompt in english.index)
    own = [store.index[text] for text in english.index]
    np.testing.assert_allclose(store.pooled[own], english.pooled, atol=1e-5)


def test_an_image_goes_with_its_own_prompt_in_the_other_language(study: SmallStudy):
    data, _ = read_dataset(files_of(study), "quality", load_recipe(RECIPES / "released_code.yaml"), TRANSLATED)
    store, samples = load_texts(files_of(study).prompts), SAMPLES.read(files_of(study).samples)[0]
    for row in (0, 7, len(samples) - 1):
        place = store.index[translate(samples["prompt"][row])]
        tokens, padding = data.prompts(torch.tensor([row]))
        np.testing.assert_array_equal(
            tokens[0][~padding[0]].numpy(), store.tokens[store.offsets[place] : store.offsets[place + 1]]
        )


def test_a_store_of_one_language_is_refused(small_study: SmallStudy):
    with pytest.raises(InputError, match="the prompts' store has no translations; name a file of them"):
        read_dataset(files_of(small_study), "quality", load_recipe(RECIPES / "released_code.yaml"), TRANSLATED)


def test_models_and_clipscore_are_there_in_both_languages(study: SmallStudy, tmp_path: Path):
    folder, files = study.results / "agiqa-3k", files_of(study)
    common = ("--samples", files.samples, "--splits", folder / "splits.parquet", "--prompts", files.prompts,
              "--coarse", files.coarse, "--fine", files.fine)  # fmt: skip
    levels, recipe = study.results / "levels" / "slow.safetensors", study.config / "recipes" / "slow.yaml"
    run("train", *common, "--levels", levels, "--recipe", recipe, "--seed", 0, "--variant", "star-translated",
        "--target", "correspondence", "--out", tmp_path / "run.parquet")  # fmt: skip
    runs, metadata = RUNS.read(tmp_path / "run.parquet")
    assert metadata["variant"] == "star-translated" and np.isfinite(runs["prediction"]).all()
    run("baselines", *common, "--texts", study.results / "levels" / "zero_shot.safetensors", "--paired", files.coarse,
        "--out", tmp_path / "baselines.parquet")  # fmt: skip
    table, samples = BASELINES.read(tmp_path / "baselines.parquet")[0], SAMPLES.read(files.samples)[0]
    found = table[(table["source"] == "CLIPScore, translated") & (table["target"] == "correspondence")]
    assert len(found) == (table["source"] == "CLIPScore").sum() / table["target"].nunique() > 0
    store, images = load_texts(files.prompts), load_features(files.coarse).features
    scores = clip_score(images, store.pooled[[store.index[translate(prompt)] for prompt in samples["prompt"]]])
    splits = pd.read_parquet(folder / "splits.parquet")
    for row in found.to_dict("records"):
        own = splits[(splits["protocol"] == row["protocol"]) & (splits["split"] == row["split"])]
        test = samples["image"].isin(own.loc[own["role"] == "test", "image"]).to_numpy()
        assert row["srcc"] == pytest.approx(srcc(scores[test], samples["correspondence"].to_numpy(float)[test]))
