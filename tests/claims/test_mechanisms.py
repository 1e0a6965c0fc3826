"""Statements on the streams, the gate, the costs, the generators and CLIPScore, on planted results of known truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from identities import OPENAI, SMALL
from results_tables import table_of
from scipy import stats

from mstclipiqa.base.files import write_table
from mstclipiqa.base.layout import BASELINES, EFFICIENCY, GATES, GENERATORS, READOUT
from mstclipiqa.base.names import STAND_IN
from mstclipiqa.claims.mechanisms import (
    correlation_interval,
    fold_interval,
    judge_alike,
    judge_at_most,
    judge_exact,
)
from mstclipiqa.claims.rules import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    OTHER_ENCODERS,
    REPRODUCED,
    UNTESTABLE,
)
from mstclipiqa.claims.suite import Cell, Evidence, Suite, read_evidence
from mstclipiqa.claims.verdicts import decide

CELL = ("agiqa-3k", "quality", "released_code", "mst-clipiqa", "lab-seed1")
FILE = "agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"
ONE = Cell(pd.DataFrame(), FILE, {})


@pytest.fixture
def judge(claims, document, recipe):
    """The rows on a claim of a suite of one run that has these tables by path: (rows, metadata)."""

    def judge_claim(name, tables, synthetic=(), encoder=OPENAI):
        suite = Suite(
            cells={CELL: ONE}, pairs={}, encoders={FILE: [encoder, encoder]}, counts={},
            synthetic=frozenset(synthetic), recipes={"released_code": recipe}, evidence=Evidence(tables),
        )  # fmt: skip
        (row,) = decide([claims[name]], document, suite)
        return row

    return judge_claim


# The streams


def probe(values, encoder=OPENAI):
    """A readout of two factors of each kind over five folds: `values` by (features, kind), each fold's SD 0.01."""
    wobble = np.array([-0.01, 0.01, 0.0, 0.01, -0.01])
    rows = [
        {"recipe": "released_code", "features": features, "factor": f"{kind} {k}", "kind": kind, "metric": "srcc",
         "split": fold, "value": value + wobble[fold] * (features == "f_c"), "chance": 0.0}
        for (features, kind), value in values.items() for k in range(2) for fold in range(5)
    ]  # fmt: skip
    metadata = {"benchmark": "agiqa-3k", "encoders": {"coarse": encoder, "fine": encoder}, "spoiled": 60}
    return {READOUT.path.format(recipe="released_code"): (table_of(READOUT, rows), metadata)}


def streams(coarse, fine, kind="semantic", **options):
    return probe({("f_c", kind): coarse, ("f_f", kind): fine}, **options)


@pytest.mark.parametrize(
    ("coarse", "fine", "expected"),
    [(0.70, 0.50, REPRODUCED), (0.50, 0.70, NOT_REPRODUCED), (0.505, 0.50, INCONCLUSIVE)],
)
def test_the_coarse_stream_is_to_carry_content(judge, coarse, fine, expected):
    row = judge("division-of-labour-content", streams(coarse, fine))
    assert (row["verdict"], row["measured"]) == (expected, pytest.approx(coarse - fine))
    assert row["files"] == ["probe/released_code/readout.parquet"]


def test_a_better_stream_is_no_specialised_one(judge):
    """Ahead on both kinds, the coarse stream keeps one half of the claim and breaks the other."""
    tables = probe({("f_c", kind): 0.7 for kind in ("semantic", "distortion")} |
                   {("f_f", kind): 0.5 for kind in ("semantic", "distortion")})  # fmt: skip
    assert judge("division-of-labour-content", tables)["verdict"] == REPRODUCED
    assert judge("division-of-labour-distortion", tables)["verdict"] == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("coarse", "expected"), [(0.0, REPRODUCED), (-0.2, REPRODUCED), (0.05, INCONCLUSIVE), (0.5, NOT_REPRODUCED)]
)
def test_blindness_is_to_read_nothing(judge, coarse, expected):
    row = judge("blind-to-degradation", probe({("f_c", "distortion"): coarse}))
    assert (row["verdict"], row["measured"]) == (expected, pytest.approx(coarse))


def test_blindness_counts_from_chance(judge):
    ((path, (table, metadata)),) = probe({("f_c", "distortion"): 0.25}).items()
    row = judge("blind-to-degradation", {path: (table.assign(chance=0.25), metadata)})
    assert (row["verdict"], row["measured"]) == (REPRODUCED, pytest.approx(0, abs=1e-12))


def test_an_interval_over_folds_is_that_of_the_corrected_resampled_t_test():
    """Nadeau and Bengio (2003), by hand: t with K - 1 degrees, variance (1/K + 1/(K - 1)) s^2."""
    values = pd.Series([0.1, 0.3, 0.2, 0.5])
    reach = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 1 / 3) * np.var(values, ddof=1))
    assert fold_interval(values) == pytest.approx((0.275, 0.275 - reach, 0.275 + reach))


# The gate


def gates(trained, initial, sd=0.001):
    rows = [
        {"recipe": "released_code", "artefact": artefact, "state": state, "movement": value, "movement_sd": sd}
        for state, value in (("trained", trained), ("initial", initial)) for artefact in ("blur", "noise")
    ]  # fmt: skip
    # From scene to scene gates move more than by an artefact; this does not count.
    rows += [rows[0] | {"artefact": "none", "state": state, "movement": 0.5} for state in ("trained", "initial")]
    metadata = {"benchmark": "agiqa-3k", "encoders": {"coarse": OPENAI}, "spoiled": 60}
    return {GATES.path.format(recipe="released_code"): (table_of(GATES, rows), metadata)}


@pytest.mark.parametrize(
    ("trained", "initial", "sd", "expected"),
    [
        (0.05, 0.02, 0.001, REPRODUCED),
        (0.05, 0.05, 0.001, INCONCLUSIVE),  # as before training
        (0.05, 0.08, 0.001, NOT_REPRODUCED),  # less than before
        (0.005, 0.001, 0.001, NOT_REPRODUCED),  # hardly at all
        (0.011, 0.001, 0.05, INCONCLUSIVE),
    ],
)
def test_a_trained_gate_is_to_move_and_more_than_an_untrained_one(judge, trained, initial, sd, expected):
    row = judge("gate-adaptive", gates(trained, initial, sd))
    assert row["verdict"] == expected
    assert row["measured"] == pytest.approx(min(trained - 0.01, trained - initial))
    assert f"by {trained:.4f} after training, {initial:.4f} before" in row["reason"]


# Costs


def costs(ours, base, encoders="ViT-B-32-quickgelu, weights openai"):
    rows = [
        {"recipe": "released_code", "variant": variant, "gflops": value, "trained": round(1000 * value)}
        for variant, value in (("mst-clipiqa-star", ours), ("mst-clipiqa", base))
    ]
    return {EFFICIENCY.path: (table_of(EFFICIENCY, rows), {"encoders": {"coarse": encoders}})}


@pytest.mark.parametrize(
    ("ours", "expected"),
    [(42.0, REPRODUCED), (42.1, INCONCLUSIVE), (60.0, INCONCLUSIVE), (60.1, NOT_REPRODUCED), (30.0, REPRODUCED)],
)
def test_what_is_little_is_a_matter_of_words_only_between_two_bounds(judge, ours, expected):
    row = judge("overhead-operations", costs(ours, 40.0), synthetic=["agiqa-3k"])  # no image is looked at
    assert (row["verdict"], row["measured"]) == (expected, pytest.approx(100 * (ours / 40 - 1)))
    assert row["low"] is None and row["reason"].startswith(f"{ours:g} for 40 counted")
    assert judge("overhead-trained", costs(ours, 40.0))["verdict"] == expected


def test_costs_of_other_encoders_are_not_the_papers(judge):
    row = judge("overhead-operations", costs(44.0, 40.0, "mst-small-32, weights embedded"))
    assert (row["verdict"], row["reason"]) == (UNTESTABLE, OTHER_ENCODERS.format(SMALL["label"]))


# Kinds of generators


def kinds(gan, diffusion, images):
    key = dict(zip(("benchmark", "target", "recipe", "variant", "protocol"), CELL, strict=True)) | {"runs": 1}
    rows = [
        key | {"level": "kind", "name": name, "kind": name, "n_test": float(images), "srcc": srcc}
        for name, srcc in (("GAN", gan), ("diffusion", diffusion))
    ]
    return {GENERATORS.path: (table_of(GENERATORS, rows), {})}


@pytest.mark.parametrize(
    ("gan", "diffusion", "images", "expected"),
    [
        (0.90, 0.90, 5000, REPRODUCED),
        (0.90, 0.90, 100, INCONCLUSIVE),
        (0.60, 0.90, 500, NOT_REPRODUCED),
        (0.90, 0.60, 500, NOT_REPRODUCED),  # alike is alike
    ],
)
def test_kinds_of_generators_are_to_be_alike(judge, gan, diffusion, images, expected):
    row = judge("generators/agiqa-3k", kinds(gan, diffusion, images))
    assert (row["verdict"], row["measured"]) == (expected, pytest.approx(gan - diffusion))
    assert row["low"] < row["measured"] < row["high"]


def test_too_few_images_of_a_kind_are_not_run(judge):
    row = judge("generators/agiqa-3k", kinds(0.9, np.nan, 5))
    assert row["verdict"] == NOT_RUN and "enough diffusion images" in row["reason"]


@pytest.mark.parametrize("truth", [0.5, 0.8])
def test_the_interval_of_a_rank_correlation_covers_it(truth):
    """Normal scores, whose rank correlation is known: 6/pi asin(r/2). Two SE of 2,000 cases are 0.01."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2000, 100))
    y = truth * x + np.sqrt(1 - truth**2) * y
    known = 6 / np.pi * np.arcsin(truth / 2)
    ranks = [np.argsort(np.argsort(values, axis=1), axis=1) for values in (x, y)]
    found = [np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]
    covered = [low <= known <= high for low, high in (correlation_interval(value, 100) for value in found)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_a_perfect_correlation_has_an_interval():
    assert correlation_interval(1.0, 50)[1] == pytest.approx(1)


# CLIPScore


def clip_score(srcc, encoder=OPENAI, protocol="lab-seed1"):
    rows = [
        {"source": source, "target": target, "protocol": protocol, "split": 0, "n": 597, "srcc": value, "plcc": 0.64}
        for source, target, value in (
            ("CLIPScore", "correspondence", srcc), ("CLIPScore", "quality", 0.1), ("ridge", "correspondence", 0.7),
        )
    ]  # fmt: skip
    path = BASELINES.path.format(benchmark="agiqa-3k")
    return {path: (table_of(BASELINES, rows), {"encoders": {"paired": encoder, "statistics": SMALL}})}


NAME = "clipscore/agiqa-3k/correspondence/srcc"  # printed: 0.5207


@pytest.mark.parametrize(
    ("srcc", "expected"), [(0.5207, REPRODUCED), (0.5300, REPRODUCED), (0.55, INCONCLUSIVE), (0.65, NOT_REPRODUCED)]
)
def test_clip_score_is_exact_on_the_same_images(judge, srcc, expected):
    row = judge(NAME, clip_score(srcc))
    assert (row["verdict"], row["measured"], row["claimed"]) == (expected, srcc, 0.5207)
    assert (row["recipe"], row["protocol"], row["counts"]) == ("", "lab-seed1", True)


def test_six_numbers_of_clip_score_are_claims(claims):
    printed = {name: claim.claimed for name, claim in claims.items() if name.startswith("clipscore/")}
    assert sorted(printed.values()) == [0.1492, 0.1969, 0.2337, 0.2483, 0.5207, 0.6409]


def test_clip_score_of_another_protocol_is_not_held_against_the_paper(judge):
    row = judge(NAME, clip_score(0.5207, protocol="grouped10"))
    assert row["verdict"] == NOT_RUN and "CLIPScore on agiqa-3k, correspondence, lab-seed1" in row["reason"]


# All of them

ALL = {
    NAME: clip_score(0.5207),
    "generators/agiqa-3k": kinds(0.9, 0.9, 500),
    "division-of-labour-content": streams(0.7, 0.5),
    "blind-to-degradation": probe({("f_c", "distortion"): 0.5}),
    "gate-adaptive": gates(0.05, 0.02),
}


@pytest.mark.parametrize("name", ALL)
def test_drawn_images_decide_nothing(judge, name):
    row = judge(name, ALL[name], synthetic=["agiqa-3k"])
    assert (row["verdict"], row["reason"], row["measured"]) == (UNTESTABLE, STAND_IN, None)


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        (NAME, clip_score(0.5207, SMALL)),
        ("division-of-labour-content", streams(0.7, 0.5, encoder=SMALL)),
        ("generators/agiqa-3k", kinds(0.9, 0.9, 500)),
    ],
)
def test_other_encoders_decide_nothing(judge, name, tables):
    row = judge(name, tables, encoder=SMALL)
    assert (row["verdict"], row["reason"]) == (UNTESTABLE, OTHER_ENCODERS.format(SMALL["label"]))
    assert row["measured"] is not None


@pytest.mark.parametrize("name", [*ALL, "overhead-operations"])
def test_what_is_missing_is_named(judge, name):
    row = judge(name, {})
    assert row["verdict"] == NOT_RUN and row["reason"].endswith("is not in this suite")


def test_other_recipes_are_not_in_the_suite(claims, document, recipe):
    suite = Suite({CELL: ONE}, {}, {}, {}, frozenset(), {"appendix": recipe}, Evidence(streams(0.7, 0.5)))
    (row,) = decide([claims["division-of-labour-content"]], document, suite)
    assert (row["verdict"], row["reason"]) == (NOT_RUN, "recipe appendix is not in this suite")
    suite = replace(suite, recipes={"released_code": recipe})
    assert decide([claims["division-of-labour-content"]], document, suite)[0]["verdict"] == REPRODUCED


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (judge_exact(0.5, 0.51, 0.4, 0.6, 0.01), REPRODUCED),
        (judge_exact(0.5, 0.52, 0.5, 0.6, 0.01), INCONCLUSIVE),
        (judge_exact(0.5, 0.52, 0.51, 0.6, 0.01), NOT_REPRODUCED),
        (judge_at_most(0.05, 0.0, -0.1, 0.05), REPRODUCED),
        (judge_at_most(0.05, 0.0, -0.1, 0.06), INCONCLUSIVE),
        (judge_at_most(0.05, 0.1, 0.05, 0.2), INCONCLUSIVE),
        (judge_at_most(0.05, 0.1, 0.06, 0.2), NOT_REPRODUCED),
        (judge_alike(0.05, 0.0, -0.05, 0.05), REPRODUCED),
        (judge_alike(0.05, 0.0, -0.06, 0.05), INCONCLUSIVE),
        (judge_alike(0.05, 0.1, 0.05, 0.2), INCONCLUSIVE),
        (judge_alike(0.05, 0.1, 0.06, 0.2), NOT_REPRODUCED),
        (judge_alike(0.05, -0.1, -0.2, -0.06), NOT_REPRODUCED),
    ],
)
def test_rules_at_their_edges(rule, expected):
    assert rule[0] == expected


def test_tables_are_read_where_they_lie(tmp_path):
    ((path, (table, metadata)),) = streams(0.7, 0.5).items()
    write_table(tmp_path / path, table, metadata)
    evidence = read_evidence(tmp_path)
    found = evidence.find(READOUT, recipe="released_code")
    assert found[0] == path and len(found[1]) == len(table)
    assert evidence.find(READOUT, recipe="appendix") is None and evidence.find(EFFICIENCY) is None


def test_a_table_that_an_earlier_configuration_left_is_no_evidence(tmp_path):
    tables = streams(0.7, 0.5) | clip_score(0.5)
    for path, (table, metadata) in tables.items():
        write_table(tmp_path / path, table, metadata)
    assert read_evidence(tmp_path).tables.keys() == tables.keys()
    kept = READOUT.path.format(recipe="released_code")
    assert list(read_evidence(tmp_path, {kept, "metrics.parquet"}).tables) == [kept]
