"""Learning curves: what is observed is what training reports, and the ceiling is the baselines' ridge."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from toy import DIM, RECIPE, WIDTH, make_dataset, make_levels

from mstclipiqa.analyses import learning_curves as curves
from mstclipiqa.analyses.learning_curves import VARIANT, choose_split, follow, learning_rates, ridge_ceiling, run_curves
from mstclipiqa.analyses.ridge import Ridge
from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.names import BEST_ON_TEST, LAST, TEST, TRAIN, VAL
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.build import build_model
from mstclipiqa.training.dataset import level_embeddings
from mstclipiqa.training.run import train_run

DATA, LEVEL_STORE = make_dataset(), make_levels()


@pytest.fixture
def roles():
    return np.array([TRAIN, TEST, TRAIN, VAL, TRAIN] * 12, dtype=object)


@pytest.fixture
def splits(roles):
    tables = [
        pd.DataFrame({"protocol": protocol, "split": split, "image": DATA.images, "role": np.roll(roles, shift)})
        for protocol, split, shift in [("lab-seed1", 0, 1), ("grouped2", 0, 0), ("grouped2", 1, 2)]
    ]
    return pd.concat(tables, ignore_index=True)


def train(roles, recipe=RECIPE, seed=0):
    model = build_model(VARIANT, recipe, DIM, WIDTH, level_embeddings(LEVEL_STORE, recipe), seed)
    return train_run(model, DATA, roles, recipe, seed)


def test_the_sweep_has_multiples_of_the_recipes_rate_and_the_common_one():
    assert learning_rates(replace(RECIPE, learning_rate=5e-6)) == [5e-6, 5e-5, 5e-4, 1e-3]
    assert learning_rates(replace(RECIPE, learning_rate=1e-4)) == [1e-4, 1e-3, 1e-2]
    assert learning_rates(replace(RECIPE, learning_rate=1e-3)) == [1e-3, 1e-2, 1e-1]


def test_the_first_protocol_that_keeps_prompts_apart_is_followed(splits):
    assert choose_split(splits) == ("grouped2", 0)
    assert choose_split(splits[splits["protocol"] == "lab-seed1"]) == ("lab-seed1", 0)


def test_curves_are_what_training_itself_reports(roles):
    curve, reason = follow(DATA, roles, RECIPE, LEVEL_STORE, seed=3)
    assert reason is None
    assert [(epoch, role) for epoch, role, _ in curve] == [(e, r) for e in (1, 2, 3) for r in (TRAIN, TEST)]
    by_epoch = {epoch: value for epoch, role, value in curve if role == TEST}
    run = train(roles, seed=3)
    for selection, expected in ((LAST, by_epoch[3]), (BEST_ON_TEST, max(by_epoch.values()))):
        chosen = run[run["selection"] == selection]
        assert srcc(chosen["prediction"], chosen["mos"]) == expected


def test_observing_changes_nothing(roles):
    seen = []
    model = build_model(VARIANT, RECIPE, DIM, WIDTH, level_embeddings(LEVEL_STORE, RECIPE), 0)
    observed = train_run(model, DATA, roles, RECIPE, 0, lambda epoch, model, _: seen.append((epoch, model.training)))
    assert seen == [(1, False), (2, False), (3, False)]
    pd.testing.assert_frame_equal(observed, train(roles))


def test_training_is_read_on_so_many_images_at_most(roles, monkeypatch):
    every = follow(DATA, roles, RECIPE, LEVEL_STORE, 0)[0]
    monkeypatch.setattr(curves, "TRAIN_IMAGES", 20)
    some = follow(DATA, roles, RECIPE, LEVEL_STORE, 0)[0]
    values = [{key: [v for _, role, v in curve if role == key] for key in (TRAIN, TEST)} for curve in (every, some)]
    assert values[0][TEST] == values[1][TEST]
    assert values[0][TRAIN] != values[1][TRAIN]


def test_ridge_sees_the_training_images_alone(roles):
    features = torch.cat([DATA.f_c, DATA.f_f], dim=1).double().numpy()
    train = roles == TRAIN
    fitted, mos = Ridge(features[train]), DATA.mos[train]
    predicted = fitted.predict(mos, features[roles == TEST], fitted.choose_penalty(mos))
    assert ridge_ceiling(DATA, roles)[TEST] == srcc(predicted, DATA.mos[roles == TEST])


def test_the_table_has_every_recipe_rate_epoch_and_role_and_equal_bytes_again(splits, tmp_path):
    other = replace(RECIPE, name="other", learning_rate=1e-4, epochs=2)
    cases = [(RECIPE, DATA, LEVEL_STORE), (other, DATA, LEVEL_STORE)]
    threads = torch.get_num_threads()
    for name in ("first", "again"):
        run_curves(tmp_path / name, splits, cases, 0, {"benchmark": "toy", "synthetic": True})
    torch.set_num_threads(threads)
    table, metadata = read_table(tmp_path / "first")
    assert sha256(tmp_path / "first") == sha256(tmp_path / "again")
    assert list(table) == ["recipe", "variant", "learning_rate", "epoch", "role", "srcc"]
    keys = ["recipe", "learning_rate", "epoch", "role"]
    assert not table.duplicated(keys).any() and table["srcc"].between(-1, 1).all()
    counts = table.groupby(["recipe", "learning_rate"]).size().unstack(0)
    assert counts["other"].dropna().to_dict() == {1e-4: 4, 1e-3: 4, 1e-2: 4}
    assert (metadata["protocol"], metadata["split"], metadata["test_images"]) == ("grouped2", 0, 12)
    assert metadata["learning_rates"] == {RECIPE.name: 0.005, "other": 1e-4}
    assert set(metadata["ridge"]) == {RECIPE.name, "other"} and metadata["train_images"] == 36


def test_a_rate_that_is_too_high_is_a_finding(splits, tmp_path):
    run_curves(
        tmp_path / "t", splits, [(replace(RECIPE, learning_rate=1e30), DATA, LEVEL_STORE)], 0, {"benchmark": "t"}
    )
    table, metadata = read_table(tmp_path / "t")
    assert {entry["learning_rate"] for entry in metadata["stopped"]} == {1e30, 1e31, 1e32}
    assert all(entry["reason"] for entry in metadata["stopped"])
    assert set(table["learning_rate"]) >= {1e-3} and table["srcc"].notna().all()


def test_ridge_on_flat_images_is_named(splits, tmp_path):
    flat = replace(DATA, f_c=torch.ones_like(DATA.f_c), f_f=torch.ones_like(DATA.f_f))
    with pytest.raises(FailedRunError, match=r"^ridge beside the curves of toy quality .*, grouped2, split 0: predict"):
        run_curves(tmp_path / "a.parquet", splits, [(RECIPE, flat, LEVEL_STORE)], 0, {"benchmark": "toy"})
