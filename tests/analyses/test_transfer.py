"""Transfer: a benchmark's own entry is its training run's, and every other is the same model on all of its images."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from toy import DIM, RECIPE, WIDTH, make_dataset, make_levels

from mstclipiqa.analyses.ridge import Ridge
from mstclipiqa.analyses.transfer import RIDGE, make_source, run_transfer
from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.names import LAST, MODELS, TEST, TRAIN, VAL
from mstclipiqa.model.build import build_model
from mstclipiqa.training.dataset import level_embeddings
from mstclipiqa.training.run import predict, train_run

LEVEL_STORE = make_levels()
ROLES = np.array([TRAIN, TEST, TRAIN, VAL, TRAIN] * 20, dtype=object)


def splits_of(data):
    tables = [
        pd.DataFrame({"protocol": protocol, "split": split, "image": data.images, "role": np.roll(roles, split)})
        for protocol, split, roles in [
            ("lab-seed1", 0, ROLES[: len(data.images)]),
            ("grouped2", 0, ROLES[::-1][: len(data.images)]),
        ]
    ]
    return pd.concat(tables)


@pytest.fixture
def sources():
    # of different sizes, scales and orders
    made = {"b": make_dataset(1), "a": make_dataset(2, 0, 5, 50), "c": make_dataset(3, 1, 5, 40)}
    return {name: make_source(data, splits_of(data), name) for name, data in made.items()}


@pytest.fixture
def table(sources, tmp_path):
    threads = torch.get_num_threads()
    run_transfer(tmp_path / "transfer.parquet", sources, RECIPE, LEVEL_STORE, 4)
    torch.set_num_threads(threads)
    return read_table(tmp_path / "transfer.parquet")


def entry(table, variant, trained, tested):
    chosen = (table[["variant", "train_benchmark", "test_benchmark"]] == [variant, trained, tested]).all(axis=1)
    return table[chosen].squeeze()


def test_the_first_split_of_the_first_protocol_is_trained(sources):
    assert all(source.protocol == "lab-seed1" for source in sources.values())
    np.testing.assert_array_equal(sources["a"].roles, ROLES[:50])


def test_every_pair_has_an_entry(table):
    frame, metadata = table
    assert len(frame) == 3 * 3 * 3 and set(frame["variant"]) == {*MODELS, RIDGE}
    assert not frame.duplicated(["variant", "train_benchmark", "test_benchmark"]).any()
    assert set(frame["recipe"]) == {RECIPE.name, ""} and (frame["recipe"].eq("") == frame["variant"].eq(RIDGE)).all()
    own = frame["train_benchmark"] == frame["test_benchmark"]
    assert dict(zip(frame["test_benchmark"][own], frame["n"][own], strict=True)) == {"b": 12, "a": 10, "c": 8}
    others = frame[~own].groupby("test_benchmark")["n"].unique().map(list).to_dict()
    assert others == {"b": [60], "a": [50], "c": [40]}
    assert metadata["recipe"] == RECIPE.name and set(metadata["protocols"]) == {"a", "b", "c"}


@pytest.mark.parametrize("variant", MODELS)
def test_entries_are_those_of_one_training_run(variant, table, sources):
    source = sources["b"]
    model = build_model(variant, RECIPE, DIM, WIDTH, level_embeddings(LEVEL_STORE, RECIPE), 4)
    run = train_run(model, source.data, source.roles, RECIPE, 4)
    last = run[run["selection"] == LAST]
    own, other = entry(table[0], variant, "b", "b"), entry(table[0], variant, "b", "a")
    assert own["srcc"] == pytest.approx(stats.spearmanr(last["prediction"], last["mos"]).statistic)
    assert own["plcc"] == pytest.approx(stats.pearsonr(last["prediction"], last["mos"]).statistic)
    to = sources["a"].data
    with torch.inference_mode():
        scores = predict(model.eval(), to, torch.arange(50)).double().numpy()
    assert other["srcc"] == pytest.approx(stats.spearmanr(scores, to.mos).statistic)
    assert other["plcc"] == pytest.approx(stats.pearsonr(scores, to.mos).statistic)


def test_ridge_is_fitted_to_the_same_images(table, sources):
    of = {
        name: torch.cat([source.data.f_c, source.data.f_f], dim=1).double().numpy() for name, source in sources.items()
    }
    train = sources["a"].roles == TRAIN
    fitted, mos = Ridge(of["a"][train]), sources["a"].data.mos[train]
    predicted = fitted.predict(mos, of["c"], fitted.choose_penalty(mos))
    expected = stats.spearmanr(predicted, sources["c"].data.mos).statistic
    assert entry(table[0], RIDGE, "a", "c")["srcc"] == pytest.approx(expected)


def test_equal_bytes_again(table, sources, tmp_path):
    run_transfer(tmp_path / "again.parquet", sources, RECIPE, LEVEL_STORE, 4)
    assert sha256(tmp_path / "again.parquet") == sha256(tmp_path / "transfer.parquet")


def test_a_constant_prediction_fails_by_name(sources, tmp_path):
    sources["c"].data.f_c[:], sources["c"].data.f_f[:] = 0.5, 0.5
    with pytest.raises(FailedRunError, match="transfer of mst-clipiqa from b: predictions are constant"):
        run_transfer(tmp_path / "transfer.parquet", sources, RECIPE, LEVEL_STORE, 4)
    assert list(tmp_path.iterdir()) == []
