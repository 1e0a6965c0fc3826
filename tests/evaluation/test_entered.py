"""Entered scores among runs: with whom they are paired, and what their noise is, against formulas written out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.names import ENTERED, TEST, UNTRAINED
from mstclipiqa.evaluation.comparisons import compare_runs
from mstclipiqa.evaluation.noise import Noise
from mstclipiqa.evaluation.per_run import evaluate_runs

MAIN = {"lab-seed1": "best-on-test", "grouped3": "validation"}


def add(results: Path, name: str, noise: float, epoch: int = UNTRAINED, splits: list[int] | None = None) -> None:
    """Scores of every image, entered; of some splits by prompt alone, where they are named."""
    folder = results / "agiqa-3k"
    samples, table = read_table(folder / "samples.parquet")[0], read_table(folder / "splits.parquet")[0]
    scores = samples["quality"] + noise * np.random.default_rng(9).normal(size=len(samples))
    by_image = samples.assign(prediction=scores).set_index("image")
    runs = table[table["role"] == TEST].drop(columns="role").assign(seed=0, epoch=epoch)
    if splits is not None:
        runs = runs[(runs["protocol"] == "grouped3") & runs["split"].isin(splits)]
    runs = runs.assign(
        selection=runs["protocol"].map(MAIN),
        prediction=by_image["prediction"].reindex(runs["image"]).to_numpy(),
        mos=by_image["quality"].reindex(runs["image"]).to_numpy(),
    )
    job = {"benchmark": "agiqa-3k", "target": "quality", "recipe": ENTERED, "variant": name}
    count = len(runs[["protocol", "split"]].drop_duplicates())
    write_table(folder / "runs" / "quality" / ENTERED / f"{name}.parquet", runs, job | {"runs": count})


@pytest.fixture
def compared(suite):
    """A trained variant of two seeds, two methods that were not trained, and one that was, from one seed."""
    results, _ = suite(mst_clipiqa=0.5)
    add(results, "niqe", 2.0)
    add(results, "brisque", 3.0)
    add(results, "rival", 1.0, epoch=1)
    metrics = evaluate_runs(results.rglob("runs/*/*/*.parquet"), results)
    _, table, generators = compare_runs(metrics, results, replicates=200)
    assert set(generators["variant"]) == {"mst-clipiqa", "niqe", "brisque", "rival"}
    return metrics, table[table["metric"] == "srcc"].set_index(
        ["recipe", "protocol", "variant", "against"]
    ).sort_index()


def srcc_of(metrics: pd.DataFrame, variant: str, protocol: str = "lab-seed1") -> np.ndarray:
    own = metrics[(metrics["variant"] == variant) & (metrics["protocol"] == protocol)]
    return own[own["selection"] == MAIN[protocol]].sort_values(["split", "seed"])["srcc"].to_numpy()


def test_untrained_scores_are_paired_with_every_seed(compared):
    metrics, table = compared
    row = table.loc["main_text", "lab-seed1", "niqe", "mst-clipiqa"]
    differences = srcc_of(metrics, "niqe") - srcc_of(metrics, "mst-clipiqa")
    assert len(differences) == row["runs"] == row["seeds"] == 2
    assert row["difference"] == pytest.approx(differences.mean(), abs=1e-9)
    # The noise is that of the images, and of the trained one's seeds.
    seeds = differences.var(ddof=1) / 2
    assert row["noise"] == "images, seeds"
    assert row["standard_error"] ** 2 == pytest.approx(row["images_error"] ** 2 + seeds, rel=1e-6)
    back = table.loc["main_text", "lab-seed1", "mst-clipiqa", "niqe"]
    assert (back["difference"], back["p"]) == (-row["difference"], pytest.approx(row["p"]))


def test_two_untrained_methods_differ_by_the_noise_of_the_images_alone(compared):
    _, table = compared
    row = table.loc[ENTERED, "lab-seed1", "niqe", "brisque"]
    freedom = (row["prompts"] - 2) / 3
    assert row["noise"] == "images" and row["standard_error"] == row["images_error"]
    expected = 2 * stats.t.sf(abs(row["difference"]) / row["images_error"], freedom)
    assert row["p"] == pytest.approx(expected) and row["low"] < row["difference"] < row["high"]
    assert row["p"] == Noise((("images", row["images_error"] ** 2, freedom),)).differs(row["difference"])


def test_one_training_on_one_split_has_no_test(compared):
    _, table = compared
    for key in ((ENTERED, "niqe"), (ENTERED, "brisque"), ("main_text", "mst-clipiqa")):
        row = table.loc[key[0], "lab-seed1", "rival", key[1]]
        assert row["runs"] == 1 and np.isnan(row["p"]) and row["images_error"] > 0
    assert table.loc["main_text", "grouped3", "rival", "mst-clipiqa"]["p"] < 1


def test_entered_methods_are_compared_among_themselves_once(compared):
    _, table = compared
    entered = {"niqe", "brisque", "rival"}
    for recipe, protocol, variant, against in table.index:
        both = {variant, against} <= entered
        assert (recipe == ENTERED) == both, (recipe, variant, against)
        assert protocol in MAIN
    assert table[[key[2] in entered for key in table.index]].index.is_unique


def test_splits_that_were_not_entered_are_not_missed(suite):
    results, _ = suite(mst_clipiqa=0.5)
    add(results, "rival", 1.0, epoch=1, splits=[1])
    metrics = evaluate_runs(results.rglob("runs/*/*/*.parquet"), results)
    assert metrics.loc[metrics["variant"] == "rival", "split"].tolist() == [1]
    path = results / "agiqa-3k" / "runs" / "quality" / ENTERED / "rival.parquet"
    table, metadata = read_table(path)
    write_table(path, table.iloc[1:], metadata)
    with pytest.raises(InputError, match="has no prediction .*; enter it again"):
        evaluate_runs([path], results)
    write_table(path, table, metadata | {"runs": 3})
    with pytest.raises(InputError, match="1 runs, and 3 were trained; enter it again"):
        evaluate_runs([path], results)
