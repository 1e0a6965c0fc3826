"""From prediction files to the metrics table."""

import numpy as np
import pandas as pd
import pytest
from results_tables import table_of
from scipy import stats

from mstclipiqa.base import layout
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import write_table
from mstclipiqa.base.names import RUN
from mstclipiqa.evaluation.metrics import METRICS
from mstclipiqa.evaluation.per_run import evaluate_runs

JOB = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "main_text", "variant": "mst-clipiqa"}


SAMPLES = pd.DataFrame({"image": [f"{row}.png" for row in range(80)]})
SAMPLES["quality"] = np.random.default_rng(2).uniform(0, 5, len(SAMPLES))


def make_splits():
    """Two protocols, one of them with two splits: 30 images tested, 31 in the last split."""
    tables = []
    for protocol, split in (("lab-seed1", 0), ("grouped2", 0), ("grouped2", 1)):
        role = np.where(np.arange(len(SAMPLES)) < 30 + split, "test", "train")
        tables.append(SAMPLES[["image"]].assign(protocol=protocol, split=split, role=role))
    return pd.concat(tables)


def make_predictions(seeds=(0, 1)):
    """Two seeds of every split, two selections each; rows in no order."""
    rng = np.random.default_rng(2)
    runs = []
    for (protocol, split), table in make_splits().groupby(["protocol", "split"]):
        tested = SAMPLES[SAMPLES["image"].isin(table["image"][table["role"] == "test"])]
        for seed in seeds:
            for selection in ("last", "best-on-test"):
                run = {"protocol": protocol, "split": split, "seed": seed, "selection": selection}
                run |= {"epoch": int(rng.integers(1, 20)), "image": tested["image"], "mos": tested["quality"]}
                runs.append(pd.DataFrame(run | {"prediction": tested["quality"] + rng.normal(size=len(tested))}))
    return pd.concat(runs).sample(frac=1, random_state=0, ignore_index=True)


@pytest.fixture
def results(tmp_path):
    """A results folder with a predictions file per variant."""
    samples = table_of(layout.SAMPLES, SAMPLES)
    write_table(tmp_path / "agiqa-3k" / "samples.parquet", samples, {})
    write_table(tmp_path / "agiqa-3k" / "splits.parquet", make_splits(), {})
    for variant in ("mst-clipiqa", "mst-clipiqa-star"):
        metadata = JOB | {"variant": variant, "runs": 6}
        write_table(tmp_path / "runs" / f"{variant}.parquet", make_predictions(), metadata)
    return tmp_path


@pytest.fixture
def paths(results):
    return sorted(results.rglob("runs/*.parquet"))


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


# What evaluation lets pass, where it does not hold predictions against samples and splits


def of_run(predictions, protocol="grouped2", split=1, seed=0, selection="last"):
    return (predictions[RUN] == [protocol, split, seed, selection]).all(axis=1)


def double_an_image(predictions):
    first = predictions[of_run(predictions) & (predictions["image"] == "7.png")]
    return pd.concat([predictions, first.assign(prediction=9.0)])


def other_mos(predictions):
    changed = of_run(predictions) & (predictions["image"] == "7.png")
    return predictions.assign(mos=predictions["mos"].mask(changed, 4.5))


def another_image(predictions):
    changed = of_run(predictions) & (predictions["image"] == "7.png")
    return predictions.assign(image=predictions["image"].mask(changed, "79.png"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (double_an_image, ["grouped2, 1, 0, last: image 7.png stands twice"]),
        (other_mos, ["grouped2, 1, 0, last: MOS of 7.png is 4.5, and ", "in the samples table (1 such rows)"]),
        (another_image, ["grouped2, 1, 0, last: image 7.png has no prediction (1 such)"]),
        (lambda rows: rows[~of_run(rows)], ["the run grouped2, 1, 0, last is missing (1 such)"]),
        (lambda rows: rows[rows["split"] != 1], ["the run grouped2, 1, 0, ", " is missing (4 such)"]),
        (lambda rows: rows[rows["protocol"] != "lab-seed1"], ["the run lab-seed1, 0 is missing (1 such)"]),
        (lambda rows: rows[rows["seed"] == 0], ["3 runs, and 6 were trained"]),
        (lambda rows: rows.assign(split=rows["split"] + 1), ["is missing"]),
        (lambda rows: rows.assign(epoch=range(len(rows))), ["rows of several epochs"]),
        (lambda rows: rows[rows["image"] != "7.png"], ["image 7.png has no prediction (12 such)"]),
    ],
)
def test_predictions_that_are_not_the_splits_are_refused_and_the_run_is_named(results, paths, spoil, words):
    write_table(paths[0], spoil(make_predictions()), JOB | {"runs": 6})
    message = refused(paths, results)
    assert message.startswith(str(paths[0])) and message.endswith("; train it again")
    for word in words:
        assert word in message


def test_a_job_of_some_protocols_lacks_the_others_and_no_split_of_its_own(results, paths):
    rows = make_predictions()
    own, said = rows[rows["protocol"] == "grouped2"], JOB | {"protocols": ["grouped2"]}
    write_table(paths[0], own, said)
    assert set(evaluate_runs([paths[0]], results)["protocol"]) == {"grouped2"}
    write_table(paths[0], own[own["split"] != 1], said)
    assert "the run grouped2, 1, 0, " in refused(paths, results)


def test_predictions_without_samples_are_one_line(results, paths):
    (results / "agiqa-3k" / "samples.parquet").unlink()
    assert refused(paths, results).startswith(f"{results}/agiqa-3k/samples.parquet: no such file")
