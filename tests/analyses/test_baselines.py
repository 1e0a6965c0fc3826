"""Baselines: zero-shot scores against their formulas, means over groups against pandas, and scores on splits that keep
test images out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa import analyses
from mstclipiqa.analyses.baselines import SOURCES, all_predictors, ridge_predictors, score_predictors
from mstclipiqa.analyses.ridge import PENALTIES, Ridge
from mstclipiqa.analyses.zero_shot import ANTONYMS, LEVEL_TEXTS, ZERO_SHOT_TEXTS
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures

N, D = 60, 5


@pytest.fixture
def benchmark(features):
    images = [f"{row}.png" for row in range(N)]
    samples = pd.DataFrame({"image": images, "quality": features @ np.arange(D)})
    samples["generator"] = [f"generator {row % 3}" for row in range(N)]
    samples["prompt"] = samples["prompt_group"] = [f"prompt {row // 4}" for row in range(N)]
    roles = np.where(np.arange(N) % 4, "train", "test")
    splits = pd.concat(
        [
            pd.DataFrame({"protocol": "grouped2", "split": split, "image": images, "role": np.roll(roles, split)})
            for split in range(2)
        ]
    )
    return samples, splits


def store(samples, table, weights="a"):
    metadata = {"encoder": {"weights_sha256": weights}}
    return ImageFeatures(table.astype(np.float32), list(samples["image"]), metadata)


def stores(samples, **tables):
    noise = np.random.default_rng(2).normal(size=(N, 9))
    given = dict.fromkeys(("coarse", "fine", "statistics", "paired"), noise) | tables
    return {name: store(samples, table) for name, table in given.items()}


def text_store(texts, dim=9, weights="a"):
    texts = list(dict.fromkeys(texts))
    pooled = np.random.default_rng(5).normal(size=(len(texts), dim)).astype(np.float32)
    index = {text: row for row, text in enumerate(texts)}
    return TextFeatures(pooled, np.arange(len(texts) + 1), pooled, index, {"encoder": {"weights_sha256": weights}})


def score_ridge(samples, splits, given, targets=("quality",)):
    return score_predictors(ridge_predictors(given), samples, splits, list(targets))[0]


def everything(samples, **tables):
    """All predictors, and the text stores they read."""
    prompts, texts = text_store(samples["prompt"]), text_store(reversed(ZERO_SHOT_TEXTS))
    return all_predictors(samples, stores(samples, **tables), prompts, texts), prompts, texts


# Ridge on features


def test_every_source_target_and_split_has_a_row(benchmark):
    samples, splits = benchmark
    samples["authenticity"] = -samples["quality"]
    predictors, *_ = everything(samples)
    rows, left_out, penalties = score_predictors(predictors, samples, splits, ["quality", "authenticity"])
    assert set(SOURCES) < set(predictors) and len(predictors) == len(SOURCES) + 5
    assert len(rows) == len(predictors) * 2 * 2 and left_out == []
    assert not rows.duplicated(["source", "target", "protocol", "split"]).any()
    keys = [(entry["source"], entry["target"], entry["protocol"]) for entry in penalties]
    assert keys == [(source, target, "grouped2") for source in SOURCES for target in ("quality", "authenticity")]
    assert all(set(entry["by_split"]) == {"0", "1"} for entry in penalties)
    assert {value for entry in penalties for value in entry["by_split"].values()} <= set(PENALTIES)
    assert set(rows["n"]) == {15} and set(rows["protocol"]) == {"grouped2"}


def test_all_streams_are_read_side_by_side_where_there_are_some(benchmark, features):
    samples, splits = benchmark
    given = stores(samples, **{"stream-1": features[:, :2], "stream-2": features[:, 2:4], "stream-3": features[:, 4:]})
    whole = stores(samples, coarse=features)
    found, alone = (score_ridge(samples, splits, one).set_index(["source", "split"])["srcc"] for one in (given, whole))
    assert found["ridge on all streams"].tolist() == alone["ridge on f_c"].tolist()
    assert "ridge on all streams" not in alone.index


def test_each_source_reads_its_own_columns(benchmark, features):
    """The truth is put into one place after another; noise is everywhere else."""
    samples, splits = benchmark
    colours = np.random.default_rng(3).normal(size=(N, 9))
    colours[:, [0, 3, 6]] = features[:, 2:]
    both = "ridge on f_c and f_f"
    cases = {
        "coarse": (stores(samples, coarse=features), {"ridge on f_c", both}),
        "fine": (stores(samples, fine=features), {"ridge on f_f", both}),
        "colour": (stores(samples, statistics=colours), {"ridge on image statistics", "ridge on mean colour"}),
        "other": (stores(samples, statistics=np.roll(colours, 1, axis=1)), {"ridge on image statistics"}),
    }
    for case, (given, readers) in cases.items():
        scores = score_ridge(samples, splits, given).groupby("source")["srcc"].min()
        assert {source for source in SOURCES if scores[source] > 0.75} == readers, (case, scores)


def test_test_images_are_not_trained_on(benchmark):
    """Of pure noise there is nothing to read, however many columns it has."""
    samples, splits = benchmark
    noise = np.random.default_rng(2).normal(size=(N, 200))
    assert (score_ridge(samples, splits, stores(samples, coarse=noise))["srcc"].abs() < 0.7).all()


def test_scores_are_those_of_scipy_and_images_without_a_role_are_not_used(benchmark, features):
    samples, splits = benchmark
    splits.loc[(splits["split"] == 0) & splits["image"].isin(["1.png", "2.png"]), "role"] = ["val", "unused"]
    rows = score_ridge(samples, splits, stores(samples, fine=features))
    row = rows.set_index(["source", "split"]).loc[("ridge on f_f", 0)]
    roles = splits.query("split == 0")["role"].to_numpy()
    train, test = roles == "train", roles == "test"
    mos = samples["quality"].to_numpy()
    single = features.astype(np.float32).astype(float)
    fitted = Ridge(single[train])
    predicted = fitted.predict(mos[train], single[test], fitted.choose_penalty(mos[train]))
    assert train.sum() == N - 15 - 2  # one for validation, as for heads
    assert row["srcc"] == pytest.approx(stats.spearmanr(predicted, mos[test]).statistic)
    assert row["plcc"] == pytest.approx(stats.pearsonr(predicted, mos[test]).statistic)


def test_targets_share_what_is_decomposed_and_change_nothing_for_each_other(benchmark, features, monkeypatch):
    samples, splits = benchmark
    samples["authenticity"] = features @ np.arange(D)[::-1] + np.random.default_rng(9).normal(size=N)
    given, made = stores(samples, fine=features), []
    of_one = score_ridge(samples, splits, given, ["authenticity"])
    monkeypatch.setattr(analyses.ridge, "Decomposed", lambda *x, of=analyses.ridge.Decomposed: made.append(x) or of(*x))
    assert score_ridge(samples, splits, given, ["quality"]) is not None
    alone = len(made)
    both = score_ridge(samples, splits, given, ["quality", "authenticity"])
    assert len(made) == 2 * alone > 0
    assert both[both["target"] == "authenticity"].reset_index(drop=True).equals(of_one)


def test_stores_of_other_images_are_named(benchmark):
    samples, _ = benchmark
    given = stores(samples)
    given["fine"] = ImageFeatures(given["fine"].features, ["other.png"] * N, {})
    with pytest.raises(InputError, match="fine features are of other images"):
        all_predictors(samples, given, text_store(samples["prompt"]), text_store(ZERO_SHOT_TEXTS))


# Zero-shot scores, by the formulas written out


def predict(predictors, source, samples):
    nothing, every = np.zeros(N, bool), np.ones(N, bool)
    return predictors[source](nothing, every, samples["quality"].to_numpy()).mos


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def test_zero_shot_scores_are_the_formulas(benchmark):
    samples, _ = benchmark
    # nearly along one text's embedding, so that no softmax is saturated
    images = np.random.default_rng(6).normal(scale=0.02, size=(N, 9)) + 1
    predictors, prompts, texts = everything(samples, paired=images)
    images = images.astype(np.float32).tolist()
    embedded = {text: texts.pooled[texts.index[text]].tolist() for text in ZERO_SHOT_TEXTS}
    assert ANTONYMS == ("Good photo.", "Bad photo.")
    for row, image in enumerate(images):
        good, bad = (np.exp(100 * cosine(image, embedded[text])) for text in ANTONYMS)
        assert predict(predictors, "zero-shot antonyms", samples)[row] == pytest.approx(good / (good + bad))
        levels = [np.exp(100 * cosine(image, embedded[text])) for text in LEVEL_TEXTS]
        expected = sum(level * p for level, p in enumerate(levels, start=1)) / sum(levels)
        assert predict(predictors, "zero-shot levels", samples)[row] == pytest.approx(expected)
        prompt = prompts.pooled[prompts.index[samples["prompt"][row]]].tolist()
        assert predict(predictors, "CLIPScore", samples)[row] == pytest.approx(2.5 * max(cosine(image, prompt), 0))


def test_zero_shot_needs_images_and_texts_of_one_encoder(benchmark):
    samples, _ = benchmark
    texts = text_store(ZERO_SHOT_TEXTS, weights="b")
    with pytest.raises(InputError, match="of one encoder"):
        all_predictors(samples, stores(samples), text_store(samples["prompt"]), texts)
    with pytest.raises(InputError, match="'Bad photo.' is not encoded"):
        all_predictors(samples, stores(samples), text_store(samples["prompt"]), text_store(["Good photo."]))


# Means over groups


def test_generator_mean_is_that_of_pandas(benchmark):
    samples, splits = benchmark
    samples.loc[0, "generator"] = "seen in testing only"
    predictors, *_ = everything(samples)
    merged = samples.merge(splits.query("split == 0"), on="image")
    training, testing = (merged[merged["role"] == role] for role in ("train", "test"))
    means = training.groupby("generator")["quality"].mean()
    expected = [means.get(generator, training["quality"].mean()) for generator in testing["generator"]]
    train, test = (merged["role"] == "train").to_numpy(), (merged["role"] == "test").to_numpy()
    predicted = predictors["generator mean"](train, test, samples["quality"].to_numpy()).mos
    np.testing.assert_allclose(predicted, expected, rtol=1e-12)
    assert predicted[0] == pytest.approx(training["quality"].mean())


def test_constant_predictions_are_left_out_and_named(benchmark):
    samples, splits = benchmark
    rows = np.arange(N)
    by_prompt = pd.DataFrame(
        {"protocol": "by prompt", "split": 0, "image": samples["image"], "role": np.where(rows < 40, "train", "test")}
    )
    samples["generator"] = "only one"
    predictors, *_ = everything(samples)
    scores, left_out, _ = score_predictors(predictors, samples, pd.concat([splits, by_prompt]), ["quality"])
    assert left_out == [
        {"source": "generator mean", "target": "quality", "protocol": "by prompt", "splits": [0]},
        {"source": "generator mean", "target": "quality", "protocol": "grouped2", "splits": [0, 1]},
        {"source": "prompt mean", "target": "quality", "protocol": "by prompt", "splits": [0]},
    ]
    assert "generator mean" not in set(scores["source"])
    assert set(scores.loc[scores["source"] == "prompt mean", "protocol"]) == {"grouped2"}
    assert scores["srcc"].notna().all()


def test_constant_mos_of_a_split_are_named(benchmark, features):
    samples, splits = benchmark
    tested = splits["image"][(splits["split"] == 1) & (splits["role"] == "test")]
    samples = samples.assign(benchmark="toy", quality=samples["quality"].mask(samples["image"].isin(tested), 3.0))
    with pytest.raises(FailedRunError, match=r"^ridge on f_c of toy quality, grouped2, split 1: MOS are constant"):
        score_ridge(samples, splits, stores(samples, coarse=features))
