"""From prediction files to the metrics table."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import write_table
from mstclipiqa.base.names import RUN
from mstclipiqa.evaluation.metrics import METRICS
from mstclipiqa.evaluation.per_run import evaluate_runs

JOB = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "main_text", "variant": "mst-clipiqa"}


def make_predictions(seeds=(0, 1), images=30):
    """Two seeds of two protocols, one of them with two splits, two selections each; rows in no order."""
    rng = np.random.default_rng(2)
    runs = []
    for protocol, split in (("lab-seed1", 0), ("grouped2", 0), ("grouped2", 1)):
        for seed in seeds:
            for selection in ("last", "best-on-test"):
                mos = rng.uniform(0, 5, images + split)
                run = {"protocol": protocol, "split": split, "seed": seed, "selection": selection}
                run |= {"epoch": int(rng.integers(1, 20)), "image": [f"{row}.png" for row in range(len(mos))]}
                runs.append(pd.DataFrame(run | {"prediction": mos + rng.normal(size=len(mos)), "mos": mos}))
    return pd.concat(runs).sample(frac=1, random_state=0)


@pytest.fixture
def results(tmp_path):
    """A results folder with a predictions file per variant."""
    for variant in ("mst-clipiqa", "mst-clipiqa-star"):
        write_table(tmp_path / "runs" / f"{variant}.parquet", make_predictions(), JOB | {"variant": variant})
    return tmp_path


@pytest.fixture
def paths(results):
    return sorted(results.rglob("*.parquet"))


def test_a_row_is_a_run_and_selection_with_its_own_metrics(results, paths):
    table = evaluate_runs(paths, results)
    assert list(table.columns) == [*JOB, *RUN, "epoch", "n", *METRICS, "file"]
    assert len(table) == 2 * 3 * 2 * 2
    assert not table.duplicated([*JOB, *RUN]).any()
    predictions = make_predictions()
    for row in table.itertuples():
        assert row.file == f"runs/{row.variant}.parquet"
        assert (row.benchmark, row.target, row.recipe) == ("agiqa-3k", "quality", "main_text")
        run = predictions[(predictions[RUN] == [getattr(row, key) for key in RUN]).all(axis=1)]
        assert row.n == len(run) == 30 + row.split
        assert row.epoch == run["epoch"].iloc[0]
        assert row.srcc == pytest.approx(stats.spearmanr(run["mos"], run["prediction"]).statistic)
        assert row.plcc == pytest.approx(np.corrcoef(run["prediction"], run["mos"])[0, 1])
        assert row.krcc == pytest.approx(stats.kendalltau(run["mos"], run["prediction"]).statistic)
        assert row.rmse == pytest.approx(np.sqrt(((run["prediction"] - run["mos"]) ** 2).mean()))
        assert row.plcc_fitted == pytest.approx(METRICS["plcc_fitted"](run["prediction"], run["mos"]))


def test_the_order_of_files_and_rows_has_no_effect(results, paths):
    expected = evaluate_runs(paths, results)
    assert evaluate_runs(reversed(paths), results).equals(expected)
    for path in paths:
        ordered = make_predictions().sort_values([*RUN, "image"])
        write_table(path, ordered, JOB | {"variant": path.stem})
    again = evaluate_runs(paths, results)
    pd.testing.assert_frame_equal(again, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("value", "reason"), [(2.5, "predictions are constant"), (np.nan, "predictions hold 31 non-finite")]
)
def test_a_run_without_metrics_is_named_and_fails_all(results, paths, value, reason):
    predictions = make_predictions()
    failed = (predictions[RUN] == ["grouped2", 1, 0, "last"]).all(axis=1)
    write_table(paths[1], predictions.assign(prediction=predictions["prediction"].mask(failed, value)), JOB)
    with pytest.raises(FailedRunError) as error:
        evaluate_runs(paths, results)
    assert str(error.value).startswith(f"{paths[1]}, grouped2, 1, 0, last: {reason}")
    assert "\n" not in str(error.value)


def refused(paths, results):
    with pytest.raises(InputError) as error:
        evaluate_runs(paths, results)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("column", [*RUN, "epoch", "image", "prediction", "mos"])
def test_a_table_of_something_else_is_refused(results, paths, column):
    write_table(paths[0], make_predictions().drop(columns=column), JOB)
    assert refused(paths, results).startswith(f"{paths[0]}: holds no predictions")


def test_a_missing_or_damaged_file_is_refused(results, paths):
    paths[1].write_bytes(paths[1].read_bytes()[:-50])
    assert refused(paths, results).startswith(f"{paths[1]}: not a table")
    paths[1].unlink()
    assert refused(paths, results).startswith(f"{paths[1]}: no such file")


def test_predictions_that_do_not_say_what_they_are_of_are_refused(results, paths):
    write_table(paths[0], make_predictions(), {"benchmark": "agiqa-3k"})
    assert str(paths[0]) in refused(paths, results)


def test_predictions_outside_the_results_folder_are_refused(tmp_path, paths):
    assert str(paths[0]) in refused(paths, tmp_path / "elsewhere")


@pytest.mark.parametrize("spoil", [lambda frame: frame.head(0), lambda frame: frame.assign(selection=None)])
def test_predictions_of_no_run_are_refused(results, paths, spoil):
    write_table(paths[0], spoil(make_predictions()), JOB)
    assert str(paths[0]) in refused(paths, results)


def test_an_image_that_counts_twice_in_a_run_is_refused(results, paths):
    write_table(paths[0], pd.concat([make_predictions(), make_predictions()]), JOB)
    assert str(paths[0]) in refused(paths, results)
