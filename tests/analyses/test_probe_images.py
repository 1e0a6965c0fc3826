"""The probe's images: dealt evenly, described as they are painted."""

import numpy as np
import pandas as pd

from mstclipiqa.analyses.probe_images import (
    FOLDS,
    PROBE_SEED,
    SIDE,
    SPOILED_PER_FOLD,
    SUBJECTS,
    describe_images,
    factors,
    paint,
    probe_scenes,
)
from mstclipiqa.synthetic.artefacts import ARTEFACTS, degrade
from mstclipiqa.synthetic.painter import draw


def test_every_level_is_dealt_evenly_in_every_fold_and_every_time(scenes: pd.DataFrame):
    assert scenes.equals(probe_scenes())
    for factor, levels in (("object", 8), ("count", 4), ("colour", 10), ("background", 7), ("style", 6)):
        counts = scenes.groupby(["fold", factor]).size().unstack()
        assert counts.shape == (FOLDS, levels)
        assert (counts.max() - counts.min() <= 1).all() and counts.to_numpy().max() - counts.to_numpy().min() <= 1
    spoiled = scenes[scenes["spoiled"]]
    for name in ARTEFACTS:
        assert scenes.loc[~scenes["spoiled"], name].isna().all()
        for _, strengths in spoiled.groupby("fold")[name]:
            np.testing.assert_allclose(sorted(strengths), np.linspace(0.1, 1, SPOILED_PER_FOLD))


def test_factors_are_those_of_the_scene_and_no_companion_is_mistaken_for_the_subject(scenes: pd.DataFrame):
    for row in scenes.fillna({"position": ""}).to_dict("records"):
        subject, *companions = row["scene"].things
        assert (subject.kind, subject.colour, str(subject.count)) == (row["object"], row["colour"], row["count"])
        assert (row["scene"].background, row["scene"].style) == (row["background"], row["style"])
        assert row["scene"].relation == row["position"] and len(companions) == bool(row["position"])
        assert not {thing.kind for thing in companions} & set(SUBJECTS)


def test_images_are_described_in_the_order_they_are_painted_and_share_one_painting(scenes: pd.DataFrame):
    two = scenes.iloc[[0, -1]].reset_index(drop=True)
    assert two["spoiled"].tolist() == [True, False]
    painted = list(paint(two))
    assert [len(renderings) for renderings in painted] == [1 + len(ARTEFACTS), 1]
    described = describe_images(two)
    assert described["artefact"].tolist() == ["none", *ARTEFACTS, "none"]
    assert described["strength"].tolist() == [0, *(two.loc[0, name] for name in ARTEFACTS), 0]
    rng = np.random.default_rng([PROBE_SEED, 0])
    clean = draw(two["scene"][0], SIDE, rng)
    assert painted[0][0].tobytes() == clean.tobytes()
    # what an artefact leaves of the painting does not depend on chance: banding draws no random number
    banded = degrade(clean, {"banding": two.loc[0, "banding"]}, rng)
    assert painted[0][1 + list(ARTEFACTS).index("banding")].tobytes() == banded.tobytes()


def test_images_are_left_out_where_a_factor_is_not_defined(images: pd.DataFrame):
    known = factors(images)
    alone = images["position"].isna()
    assert alone.any() and not set(known["position"].index) & set(images.index[alone])
    assert len(known["object"]) == images["scene"].nunique()
    assert len(known["which artefact"]) == len(known["strength of any"]) == images["spoiled"].sum()
    for name in ARTEFACTS:
        assert set(images.loc[known[f"strength of {name}"].index, "artefact"]) == {name}
