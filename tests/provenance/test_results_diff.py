"""What differs between two results folders, against the paired test of two variants on the same numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_study import SmallStudy, run
from tampering import edit_table

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.layout import SAMPLES, SPLITS
from mstclipiqa.base.names import GROUP, RUN
from mstclipiqa.cli.main import main
from mstclipiqa.evaluation.comparisons import REPLICATES, read_predictions
from mstclipiqa.evaluation.paired_tests import compare_variants
from mstclipiqa.evaluation.resamples import resample
from mstclipiqa.provenance.results_diff import ResultsDiff, describe, diff_results

BENCHMARK, TARGET, RECIPE, VARIANT = "agiqa-3k", "quality", "slow", "mst-clipiqa"
OF_MOVED = f"target == '{TARGET}' and recipe == '{RECIPE}' and variant == '{VARIANT}'"


@pytest.fixture(scope="module")
def moved(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """The study with other predictions of one model, evaluated, and with one verdict changed."""
    study = small_study.copy(tmp_path_factory.mktemp("moved") / "study")

    def change(frame: pd.DataFrame, _: dict) -> None:
        frame["prediction"] += np.random.default_rng(0).normal(0, frame["prediction"].std() / 2, len(frame))

    edit_table(study.runs(RECIPE, VARIANT, TARGET), change)
    runs = sorted(study.results.glob("*/runs/*/*/*.parquet"))
    run("evaluate", *runs, "--results", study.results, "--out", study.results / "metrics.parquet")
    path = study.results / "claims.json"
    claims = json.loads(path.read_text())
    claims["claims"][0]["verdict"] = "another"
    path.write_text(json.dumps(claims))
    return study


@pytest.fixture(scope="module")
def found(small_study: SmallStudy, moved: SmallStudy) -> ResultsDiff:
    return diff_results(small_study.results, moved.results)


def test_equal_folders_differ_by_nothing(small_study: SmallStudy):
    diff = diff_results(small_study.results, small_study.results)
    assert diff.same and all(table.empty for table in diff.tables.values())
    assert list(describe(diff))[-1] == f"all {diff.both} runs and selections that both have are the same"


def test_the_moved_runs_are_found_each_by_its_change(found: ResultsDiff, small_study: SmallStudy, moved: SmallStudy):
    assert not found.same and not found.only and not found.others
    one, other = (read_table(study.results / "metrics.parquet")[0] for study in (small_study, moved))
    expected = one.query(OF_MOVED).merge(other.query(OF_MOVED), on=[*GROUP, "split", "seed"], suffixes=("_a", "_b"))
    assert found.both == len(one) and len(found.runs) == len(expected) > 1
    both = found.runs.merge(expected, on=[*GROUP, "split", "seed"], suffixes=("", " expected"))
    for metric in ("srcc", "rmse"):
        change = both[f"{metric}_b expected"] - both[f"{metric}_a expected"]
        np.testing.assert_allclose(both[f"{metric}_change"], change, atol=1e-12)


def test_means_have_the_interval_of_the_paired_test(found: ResultsDiff, small_study: SmallStudy, moved: SmallStudy):
    """As if the two folders were two variants."""
    samples, _ = SAMPLES.read(SAMPLES.at(small_study.results, benchmark=BENCHMARK))
    counts = SPLITS.read(SPLITS.at(small_study.results, benchmark=BENCHMARK))[1]["protocols"]
    runs, predictions = [], []
    for name, study in (("a", small_study), ("b", moved)):
        own = read_table(study.results / "metrics.parquet")[0].query(OF_MOVED).sort_values(RUN)
        predictions += read_predictions(own, samples, study.results)
        runs.append(own.assign(variant=name))
    table = pd.concat(runs, ignore_index=True)
    tests = pd.DataFrame(compare_variants(table, resample(table, predictions, samples, counts, REPLICATES)))
    tests = tests.query("variant == 'b' and against == 'a'")
    assert len(tests) == len(found.means) > 2
    both = found.means.merge(tests, on=["protocol", "selection", "metric"], suffixes=("", "_expected"))
    np.testing.assert_allclose(both["mean_change"], both["difference"], atol=1e-12)
    for name in ("low", "high", "p"):
        np.testing.assert_allclose(both[name], both[f"{name}_expected"], rtol=1e-9, equal_nan=True)


def test_means_that_are_not_the_first_of_their_benchmark_have_the_same_interval(
    found: ResultsDiff, small_study: SmallStudy, moved: SmallStudy, tmp_path: Path
):
    """Another model moves too, whose runs come before."""
    study = moved.copy(tmp_path / "study")
    edit_table(study.runs("fast"), lambda frame, _: frame.__setitem__("prediction", frame["prediction"] ** 3))
    edit_table(
        study.results / "metrics.parquet",
        lambda frame, _: frame.loc.__setitem__((frame["recipe"] == "fast", "plcc_fitted"), 0.5),
    )
    later = diff_results(small_study.results, study.results).means.query("recipe == @RECIPE and variant == @VARIANT")
    both = later.merge(found.means, on=[*GROUP, "metric"], suffixes=("", "_expected"))
    assert len(both) == len(found.means)
    for name in ("low", "high", "p"):
        np.testing.assert_allclose(both[name], both[f"{name}_expected"], rtol=1e-9, equal_nan=True)


def test_verdicts_and_words(found: ResultsDiff):
    assert found.verdicts["verdict_b"].tolist() == ["another"]
    lines = list(describe(found))
    assert any(line.startswith("agiqa-3k quality slow mst-clipiqa ") and " mean SRCC of " in line for line in lines)
    assert lines[-1].endswith(" -> another")


def test_what_one_folder_lacks_and_other_images_are_said(small_study: SmallStudy, tmp_path: Path):
    study = small_study.copy(tmp_path / "study")
    path = study.results / "metrics.parquet"
    metrics, metadata = read_table(path)
    write_table(path, metrics.drop(metrics.query(OF_MOVED).index), metadata)
    diff = diff_results(small_study.results, study.results)
    rows = len(read_table(small_study.results / "metrics.parquet")[0].query(OF_MOVED))
    assert diff.only == [f"only in {small_study.results}: agiqa-3k quality slow mst-clipiqa ({rows} rows)"]
    edit_table(study.results / "metrics.parquet", lambda frame, _: frame.__setitem__("srcc", frame["srcc"] - 0.1))
    edit_table(study.runs("fast"), lambda frame, _: frame.__setitem__("mos", frame["mos"] + 1))
    diff = diff_results(small_study.results, study.results)
    assert diff.others == ["agiqa-3k: its runs are tested on other images or MOS, so changes have no interval"]
    assert diff.means["low"].isna().all() and diff.means["mean_change"].notna().all()
    assert any(line.endswith("; no interval)") for line in describe(diff))


def test_the_verb_writes_words_tables_json_and_a_page(small_study: SmallStudy, moved: SmallStudy, tmp_path: Path):
    said = run("diff", small_study.results, moved.results, "--out", tmp_path)
    assert "selections that both have moved" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "facts.csv", "index.html", "means.csv", "runs.csv", "verdicts.csv",
    ]  # fmt: skip
    page = (tmp_path / "index.html").read_text()
    assert "Means over runs" in page and "http" not in page and "<script" not in page
    asked = ["diff", str(small_study.results), str(moved.results), "--json"]
    document = json.loads(CliRunner().invoke(main, asked).stdout)
    assert document["same"] is False and len(document["runs"]) == len(pd.read_csv(tmp_path / "runs.csv"))
