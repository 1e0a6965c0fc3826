"""Trained models taken apart, against equations and thresholds written out in numpy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.special import expit
from toy import DIM, RECIPE, WIDTH, make_dataset, make_levels

from mstclipiqa.analyses import dissection, interventions, skipping
from mstclipiqa.analyses.dissection import dissect, first_by_prompt, read_streams
from mstclipiqa.analyses.interventions import gate_movement, intervene
from mstclipiqa.analyses.skipping import SHARES, predict_fine, skip_fine
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import DISSECTION
from mstclipiqa.base.names import COARSE, MODELS, TEST, TRAIN, VAL
from mstclipiqa.model.build import build_model
from mstclipiqa.provenance import dissection_checks
from mstclipiqa.report import dissection as shown
from mstclipiqa.training.dataset import level_embeddings
from mstclipiqa.training.run import predict_all

DATA, LEVELS = make_dataset(), make_levels()
ROLES = np.array([TRAIN, TEST, TRAIN, VAL, TRAIN] * 12, dtype=object)
ROWS = {role: torch.from_numpy(np.flatnonzero(role == ROLES)) for role in (TRAIN, VAL, TEST)}


def model_of(variant: str, seed: int = 0):
    """An untrained model whose parameters are far from their start."""
    model = build_model(variant, RECIPE, DIM, WIDTH, level_embeddings(LEVELS, RECIPE), seed).eval()
    torch.manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.fusion.parameters():
            parameter.copy_(torch.randn_like(parameter))
        if hasattr(model.head, "temperature"):
            model.head.temperature.fill_(5.0)
    return model


def array(linear, x):
    return x @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()


@pytest.mark.parametrize("variant", MODELS)
def test_the_gates_place_is_taken_as_the_equations_say(variant):
    model = model_of(variant)
    fusion, test, train = model.fusion, ROWS[TEST], ROWS[TRAIN]

    def gates(rows):
        both = np.concatenate([DATA.f_c[rows].numpy(), DATA.f_f[rows].numpy()], axis=1)
        return expit(array(fusion.W_g, np.maximum(array(fusion.W_h, both), 0)))

    coarse, fine = array(fusion.phi_c, DATA.f_c[test].numpy()), array(fusion.phi_f, DATA.f_f[test].numpy())
    order = np.random.default_rng([interventions.SHUFFLE_SEED, 3]).permutation(len(test))
    taken = {
        "as trained": gates(test), "at 0.5": np.full_like(coarse, 0.5), "at its mean": gates(train).mean(0),
        "shuffled among images": gates(test)[order],
    }  # fmt: skip
    with torch.inference_mode():
        found = dict(intervene(model, DATA, train, test, split=3))
        prompts = DATA.prompts(test) if model.uses_prompt else ()
        for name, g in taken.items():
            z = torch.from_numpy((g * coarse + (1 - g) * fine).astype(np.float32))
            np.testing.assert_allclose(found[name], model.head(z, *prompts).numpy(), atol=1e-4)
        np.testing.assert_allclose(found["as trained"], predict_all(model, DATA, test).numpy(), atol=1e-6)
        if variant == MODELS[0]:  # the template head looks at directions alone
            np.testing.assert_allclose(found["plain sum"], found["at 0.5"], atol=1e-5)
        else:
            assert not np.allclose(found["plain sum"], found["at 0.5"], atol=1e-3)


def test_movement_is_mean_and_sd_by_generator():
    gates, generators = torch.rand(7, 3), np.array(["a", "b", "a", "b", "b", "c", "a"])
    table = gate_movement(gates, generators).set_index(["generator", "dimension"])
    assert set(table.index.get_level_values(0)) == {"all", "a", "b"}  # one image of c does not move
    assert table.loc[("b", 2), "sd"] == pytest.approx(gates[[1, 3, 4], 2].numpy().std(ddof=1), rel=1e-5)
    assert table.loc[("all", 0), "mean"] == pytest.approx(gates[:, 0].mean().item())


def test_streams_are_read_as_far_as_they_are_there():
    """Everything of what is given itself, nothing of what is independent of it, half of a mixture."""
    data = make_dataset(count=400)
    roles = torch.arange(400)
    features = {"f_c": data.f_c, "half": torch.cat([data.f_c[:, :4], torch.randn(400, 4)], dim=1)}
    table = read_streams(features, data, roles[:300], roles[300:]).set_index(["features", "stream"])["r2"]
    assert table["f_c", "coarse"] > 0.999 and abs(table["f_c", "fine"]) < 0.1
    assert table["half", "coarse"] == pytest.approx(0.5, abs=0.1)


def test_the_fine_stream_is_guessed_by_what_follows_from_the_coarse_one():
    f_c = torch.randn(200, 5)
    f_f = f_c @ torch.randn(5, 5) + 2
    guessed = predict_fine(f_c, f_f, torch.arange(150))
    torch.testing.assert_close(guessed[150:], f_f[150:], atol=0.05, rtol=0)


def test_thresholds_are_those_of_validation():
    model, coarse = model_of(MODELS[0]), model_of(COARSE, seed=4)
    with torch.inference_mode():
        table = skip_fine(model, coarse, DATA, ROWS[TRAIN], ROWS[VAL], ROWS[TEST], split=1)
        full = model(DATA.f_c, DATA.f_f).double().numpy()
        guessed = predict_fine(DATA.f_c, DATA.f_f, ROWS[TRAIN])
        cheap = {"the model": model(DATA.f_c, guessed), COARSE: coarse(DATA.f_c, DATA.f_f)}
        sure = model.fusion.gate(DATA.f_c, guessed).mean(1).numpy()
    val, test = ROWS[VAL].numpy(), ROWS[TEST].numpy()
    assert not table.duplicated(["rule", "scorer", "aimed"]).any() and len(table) == 4 * 2 * len(SHARES)
    for row in table[table["rule"] == "gate"].itertuples():
        wanted = round(row.aimed * len(val))
        skipped = sure >= (np.inf if row.aimed == 0 else np.quantile(sure[val], 1 - row.aimed))
        skipped = skipped if row.aimed < 1 else np.ones(len(sure), bool)
        mixed = np.where(skipped, cheap[row.scorer].double().numpy(), full)
        assert abs(skipped[val].sum() - wanted) <= 1 and row.skipped == skipped[test].mean()
        assert row.srcc == pytest.approx(stats.spearmanr(mixed[test], DATA.mos[test]).statistic, abs=1e-12)
    for _, rows in table.groupby(["rule", "scorer"]):
        (chosen,) = np.flatnonzero(rows["chosen"])
        loss = rows["srcc_val"].iloc[0] - rows["srcc_val"].to_numpy()
        assert (loss[: chosen + 1] <= skipping.ALLOWED).all()
        assert chosen + 1 == len(loss) or loss[chosen + 1] > skipping.ALLOWED
    every = table[table["aimed"] == 0]["srcc"]
    assert every.nunique() == 1  # without a skip all rules are the model


def test_hindsight_knows_what_will_change():
    model = model_of(MODELS[0])
    with torch.inference_mode():
        guessed = predict_fine(DATA.f_c, DATA.f_f, ROWS[TRAIN])
        rules = skipping.confidences(model, DATA.f_c, DATA.f_f, guessed, split=0)
        change = (model(DATA.f_c, DATA.f_f) - model(DATA.f_c, guessed)).abs().numpy()
        logits = (model.head.temperature * model.head.similarity(model.fusion(DATA.f_c, guessed))).numpy()
    assert np.argsort(rules["hindsight"]).tolist() == np.argsort(-change).tolist()
    np.testing.assert_allclose(-rules["sure"], [stats.entropy(np.exp(row - row.max())) for row in logits], atol=1e-5)


@pytest.fixture
def splits():
    tables = [
        pd.DataFrame({"protocol": name, "split": split, "image": DATA.images, "role": np.roll(ROLES, split)})
        for name, split in [("lab-seed1", 0), ("grouped2", 0), ("grouped2", 1)]
    ]
    return pd.concat(tables, ignore_index=True)


def test_a_dissection_writes_its_tables_for_every_split(tmp_path, splits):
    generators = np.array(["a", "b"] * 30)
    dissect(tmp_path, DATA, generators, splits, RECIPE, LEVELS, 0, {"benchmark": "toy", "synthetic": True})
    held = []
    for entry in DISSECTION:
        table, metadata = entry.read(tmp_path / entry.path.rpartition("/")[2])
        assert not table.duplicated(list(entry.key)).any() and set(table["split"]) == {0, 1}
        assert (metadata["protocol"], metadata["splits"], metadata["recipe"]) == ("grouped2", 2, RECIPE.name)
        held.append(table)
    replaced, moved, decoded, skipped = held
    assert set(replaced["intervention"]) == set(interventions.INTERVENTIONS) == set(dissection_checks.GATES)
    assert set(replaced["variant"]) == set(MODELS) == set(moved["variant"])
    assert set(decoded["features"]) == set(dissection_checks.FEATURES)
    assert set(skipped["rule"]) == set(dissection_checks.RULES) == set(shown.RULES)
    assert set(skipped["scorer"]) == set(dissection_checks.SCORERS) == set(shown.SCORERS)
    assert set(skipped["aimed"]) == set(dissection_checks.SHARES)
    assert skipping.ALLOWED == dissection_checks.ALLOWED == shown.TARGET_LOSS
    assert (interventions.AS_TRAINED, interventions.ALL) == (shown.AS_TRAINED, shown.ALL_GENERATORS)


def test_splits_by_image_alone_are_refused(splits):
    assert first_by_prompt(splits) == "grouped2"
    with pytest.raises(InputError, match="no protocol groupedN among the splits"):
        first_by_prompt(splits[splits["protocol"] == "lab-seed1"])


def test_a_training_that_fails_names_its_split(tmp_path, splits):
    with pytest.raises(dissection.FailedRunError, match="dissection of toy quality .*, grouped2, split 0, seed 0: "):
        dissect(
            tmp_path, replace(DATA, score=DATA.score * torch.nan), np.array(["a"] * 60), splits, RECIPE, LEVELS, 0,
            {"benchmark": "toy", "synthetic": True},
        )  # fmt: skip
    assert not list(tmp_path.iterdir())
