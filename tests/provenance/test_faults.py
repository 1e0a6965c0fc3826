"""Faults of results that need no reference, on a folder of one benchmark and one job."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_tables import table_of

from mstclipiqa.base.files import write_json
from mstclipiqa.base.layout import RUNS, SAMPLES
from mstclipiqa.evaluation.metrics import METRICS
from mstclipiqa.provenance.faults import REFEREES, TOLERANCE, find_faults, name_run
from mstclipiqa.provenance.measurement import KEYS

JOB = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "slow", "variant": "mst-clipiqa"}
PATH = "agiqa-3k/runs/quality/slow/mst-clipiqa.parquet"
NAME = "agiqa-3k quality slow mst-clipiqa grouped1 split 0 seed 0 last"
COUNT = 20


class Planted:
    """A folder that holds, its samples, predictions and metrics to be changed before `find` writes and reads them."""

    def __init__(self, root: Path):
        rng = np.random.default_rng(0)
        self.root, images = root, [f"{number}.png" for number in range(COUNT)]
        quality, other = rng.uniform(0, 5, (2, COUNT))
        self.samples = pd.DataFrame({"image": images, "quality": quality, "correspondence": other})
        run = {"protocol": "grouped1", "split": 0, "seed": 0, "epoch": 1, "image": images, "mos": quality}
        predictions = [
            pd.DataFrame(run | {"selection": name, "prediction": quality + rng.normal(size=COUNT)})
            for name in ("last", "validation")
        ]
        self.runs = pd.concat(predictions, ignore_index=True)
        self.rows = pd.DataFrame(
            JOB | {"protocol": "grouped1", "split": 0, "seed": 0, "selection": name}
            | {metric: measure(table["prediction"], table["mos"]) for metric, measure in METRICS.items()}
            for name, table in self.runs.groupby("selection")
        )  # fmt: skip

    def find(self) -> list[str]:
        manifest = dict.fromkeys(("encoders", "recipes", "benchmarks", "outputs"), {})
        manifest |= {"hardware": dict.fromkeys(("machine", "instructions", "gpu"), "any")}
        manifest |= {"code": {"version": "0", "commit": None}}
        write_json(self.root / "manifest.json", manifest)
        SAMPLES.write(self.root / "agiqa-3k/samples.parquet", table_of(SAMPLES, self.samples), {})
        if len(self.runs):
            RUNS.write(self.root / PATH, table_of(RUNS, self.runs), {})
        return find_faults(self.root, self.rows)


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


def test_what_holds_has_no_fault(planted: Planted):
    assert planted.find() == []


def test_a_row_twice(planted: Planted):
    planted.rows = pd.concat([planted.rows, planted.rows.iloc[:1].assign(srcc=0.1)])
    assert planted.find()[0] == f"{NAME}: appears twice"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_metric_that_is_no_number(planted: Planted, metric: str, value: float):
    planted.rows.loc[0, metric] = value
    assert planted.find()[0] == f"{NAME}: {metric} is {value}"


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_that_is_not_its_predictions(planted: Planted, metric: str):
    value = planted.rows.loc[0, metric]
    planted.rows.loc[0, metric] = value + 0.9 * TOLERANCE
    assert planted.find() == []
    planted.rows.loc[0, metric] = value + 1.5 * TOLERANCE
    off = f"{value + 1.5 * TOLERANCE:.6f}"
    assert planted.find() == [f"{NAME}: {metric} is {off} in metrics.parquet, {value:.6f} of its predictions"]


def test_a_large_rmse_may_be_off_by_its_share(planted: Planted):
    planted.runs["prediction"] += 100 * (planted.runs["selection"] == "last")
    run = planted.runs[planted.runs["selection"] == "last"]
    planted.rows.loc[0, "rmse"] = REFEREES["rmse"](run) + 50 * TOLERANCE
    assert planted.find() == []
    planted.rows.loc[0, "rmse"] += 100 * TOLERANCE
    assert len(planted.find()) == 1


def test_predictions_that_are_not_there(planted: Planted):
    planted.runs = planted.runs[planted.runs["selection"] != "last"]
    assert planted.find() == [f"{NAME}: has metrics, but no predictions in {PATH}"]
    planted.runs = planted.runs.iloc[:0]
    (planted.root / PATH).unlink()
    (line,) = planted.find()
    assert f"{PATH}: no such file" in line


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3.25, f"{NAME}: constant predictions (3.25 for all {COUNT} images)"),
        (np.nan, f"{NAME}: {COUNT} of {COUNT} predictions are not finite"),
    ],
)
def test_predictions_that_mean_nothing(planted: Planted, value: float, said: str):
    planted.runs.loc[planted.runs["selection"] == "last", "prediction"] = value
    assert planted.find() == [said]


def test_some_predictions_that_are_not_finite_are_counted(planted: Planted):
    planted.runs.loc[:2, "prediction"] = np.inf
    assert planted.find() == [f"{NAME}: 3 of {COUNT} predictions are not finite"]


def test_mos_of_another_column_and_of_none(planted: Planted):
    planted.runs["mos"] = planted.runs["image"].map(planted.samples.set_index("image")["correspondence"])
    assert planted.find()[0] == f"{PATH}: its MOS are not the benchmark's quality, but its correspondence"
    planted.runs["mos"] += 1e-5
    assert planted.find()[0] == f"{PATH}: its MOS are not the benchmark's quality"


def test_mos_that_rounding_moved_are_the_benchmarks(planted: Planted):
    planted.runs["mos"] += 5e-7
    assert planted.find() == []


def test_a_run_is_named_by_its_keys_or_the_first_of_them():
    key = [*JOB.values(), "grouped1", 0, 0, "last"]
    assert len(key) == len(KEYS) and name_run(key) == NAME
    assert name_run(key[:2]) == "agiqa-3k quality"
