"""The verdicts on a suite, and the files that they are read from."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS, RECIPES
from identities import OPENAI, SMALL
from measured_suite import around, make_suite
from results_tables import table_of
from scipy import stats

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_table
from mstclipiqa.base.layout import BASELINES, COMPARISONS, INTERVALS, METRICS
from mstclipiqa.base.names import STAND_IN
from mstclipiqa.claims.rules import (
    CONSISTENT,
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    OTHER_ENCODERS,
    REPRODUCED,
    UNTESTABLE,
)
from mstclipiqa.claims.verdicts import claims_document, count_parameters, decide, judged_recipes
from mstclipiqa.encoders.clip import find_published
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.evaluation.noise import Noise

FILES = read_yaml(CLAIMS)["encoders"]["files"]
FILE = OPENAI | {"weights": "a.pt", "label": "ViT-B-32-quickgelu, weights a.pt", "file_sha256": FILES["ViT-B-32"]}


def test_parameters_are_counted(recipe):
    """The released code's sizes, by hand: gate, projections, temperature; then attention, alpha, W_1, W_2, w_o."""
    gate, projections = 1024 * 128 + 128 + 128 * 512 + 512, 2 * (512 * 512 + 512)
    assert count_parameters("mst-clipiqa", recipe, ("",)) == gate + projections + 1 == 722_561
    assert count_parameters("mst-clipiqa", recipe, ("fusion.W_h", "fusion.W_g")) == gate
    head = 2 * (512 * 512 + 512) + 513
    assert count_parameters("mst-clipiqa-star", recipe, ("head.W_", "head.w_o")) == head
    attention = 4 * (512 * 512 + 512)
    assert count_parameters("mst-clipiqa-star", recipe, ("",)) == gate + projections + attention + 1 + head == 2_299_010


def one_row(claims, name, document, suite, protocol="lab-seed1"):
    (row,) = [row for row in decide([claims[name]], document, suite) if row["protocol"] == protocol]
    return row


QUALITY = "IV/MST-CLIPIQA/agiqa-3k/quality/srcc"  # printed: 0.9091
SCORES = {("agiqa-3k", "quality", "mst-clipiqa"): around(0.907, 0.002)}


def test_a_measured_number_gets_its_verdict(claims, document, recipe):
    row = one_row(claims, QUALITY, document, make_suite(recipe, SCORES))
    expected = {
        "claimed": 0.9091, "measured": pytest.approx(0.907), "runs": 5, "seeds": 5, "leakage": 0.75,
        "selection": "best-on-test", "recipe": "released_code", "verdict": REPRODUCED, "counts": True,
        "noise": "seeds", "files": ["agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"],
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    # The paper's number is one more run on the same images: t(4) times the SD over seeds, times sqrt(1 + 1/5).
    half = stats.t.ppf(0.975, 4) * 0.002 * np.sqrt(1.2)
    assert (row["low"], row["high"]) == (pytest.approx(0.907 - half), pytest.approx(0.907 + half))


def test_one_seed_decides_nothing(claims, document, recipe):
    row = one_row(claims, QUALITY, document, make_suite(recipe, {next(iter(SCORES)): [0.9091]}))
    assert (row["verdict"], row["low"], row["high"]) == (INCONCLUSIVE, None, None)
    assert "what training varies is unknown" in row["reason"]


def test_a_shortfall_of_three_points_is_not_noise(claims, document, recipe):
    """SRCC varies by 0.0049 over seeds, and by 0.02 with other images, which the paper's split has not."""
    rng, verdicts = np.random.default_rng(0), Counter()
    for _ in range(200):
        scores = {("agiqa-3k", "quality", "mst-clipiqa"): rng.normal(0.9091 - 0.03, 0.0049, 5)}
        verdicts[one_row(claims, QUALITY, document, make_suite(recipe, scores, images=0.0225))["verdict"]] += 1
    assert verdicts[NOT_REPRODUCED] >= 190 and not verdicts[REPRODUCED]


@pytest.mark.parametrize("protocol", ["random10", "grouped10"])
def test_an_equal_method_on_other_splits_is_not_called_different(claims, document, recipe, protocol):
    """One printed split is a draw like each of ours: of means over ten splits with intervals of a mean, 36 to 39 of 100
    excluded it."""
    rng, refused = np.random.default_rng(1), 0
    for _ in range(300):
        ours = 0.9091 + rng.normal(0, 0.015) + rng.normal(0, 0.015, 10)  # the first is the paper's own deviation
        scores = {("agiqa-3k", "quality", "mst-clipiqa"): ours}
        suite = make_suite(recipe, scores, protocol=protocol)
        refused += one_row(claims, QUALITY, document, suite, protocol)["verdict"] == NOT_REPRODUCED
    assert refused <= 0.075 * 300


def test_another_protocol_stands_beside_the_one_that_counts(claims, document, recipe):
    suite = make_suite(recipe, SCORES, protocol="grouped5")
    main, other = decide([claims[QUALITY]], document, suite)
    assert (main["protocol"], main["verdict"], main["counts"]) == ("lab-seed1", NOT_RUN, True)
    assert main["reason"] == "protocol lab-seed1 is not in this suite"
    assert (other["protocol"], other["selection"], other["counts"]) == ("grouped5", "validation", False)
    assert (other["verdict"], other["noise"]) == (REPRODUCED, "splits")


def test_another_recipe_stands_beside_the_one_that_counts(claims, document, recipe):
    suite = make_suite(recipe, SCORES)
    suite = replace(suite, recipes={"main_text": replace(recipe, name="main_text"), **suite.recipes})
    rows = decide([claims[QUALITY], claims["parameters"]], document, suite)
    assert [(row["recipe"], row["counts"]) for row in rows[:2]] == [("main_text", False), ("released_code", True)]
    counted = Counter(row["id"] for row in rows if row["counts"])
    assert counted == {QUALITY: 1, "parameters": 1}


def test_another_single_split_tests_other_images(claims, document, recipe):
    row = one_row(claims, QUALITY, document, make_suite(recipe, SCORES, protocol="lab-seed0"), "lab-seed0")
    assert row["noise"] == "images, seeds" and not row["counts"]
    assert row["high"] - row["low"] > 2 * 1.96 * 0.01 * np.sqrt(2)


@pytest.mark.parametrize(
    "encoder",
    [
        *(SMALL, OPENAI | {"pretrained": False}, OPENAI | {"weights": "laion2b"}, OPENAI | {"model": "ViT-L-14"}),
        *(OPENAI | {"activation": "GELU"}, FILE | {"activation": "GELU"}, FILE | {"file_sha256": "0" * 64}),
        FILE | {"weights": "openai", "file_sha256": "0" * 64},
        FILE | {"file_sha256": FILES["ViT-B-16"]},
        FILE | {"model": "ViT-L-14-quickgelu"},
    ],
)
def test_other_encoders_give_context_but_no_verdict(claims, document, recipe, encoder):
    row = one_row(claims, QUALITY, document, make_suite(recipe, SCORES, encoder))
    assert (row["verdict"], row["measured"]) == (UNTESTABLE, pytest.approx(0.907))
    assert row["reason"] == OTHER_ENCODERS.format(encoder["label"]) and "small pair" not in row["reason"]


@pytest.mark.parametrize(
    "encoder",
    [
        *(OPENAI, FILE, OPENAI | {"model": "ViT-B-32-quickgelu@16"}, FILE | {"model": "ViT-B-32-quickgelu@16"}),
        FILE | {"model": "ViT-B-16-quickgelu", "file_sha256": FILES["ViT-B-16"]},
    ],
)
def test_openais_weights_are_known_by_their_tag_and_by_their_published_file(claims, document, recipe, encoder):
    assert one_row(claims, QUALITY, document, make_suite(recipe, SCORES, encoder))["verdict"] == REPRODUCED


def test_published_files_are_those_of_open_clips_registry():
    for model, digest in FILES.items():
        tag = find_published(f"{model}-quickgelu", digest)
        assert tag["quick_gelu"] and tag == open_clip.get_pretrained_cfg(f"{model}-quickgelu", "openai")
    assert find_published("ViT-B-32-quickgelu", FILES["ViT-B-16"]) is None


def test_drawn_images_decide_no_number_and_stand_beside_none(claims, document, recipe):
    scores = {
        (*column, variant): [0.9, 0.8]
        for claim in claims.values()
        for contrast in claim.contrasts
        for term in contrast.terms
        for variant, *column, _ in term.runs
    }
    suite = make_suite(recipe, scores, synthetic={benchmark for benchmark, _, _ in scores})
    rows = decide(list(claims.values()), document, suite)
    measured = [row for row in rows if row["kind"] in ("number", "gain", "ordering")]
    assert len(measured) == sum(bool(claim.contrasts) and not claim.found for claim in claims.values()) == 238
    for row in measured:
        assert (row["verdict"], row["reason"]) == (UNTESTABLE, STAND_IN)
        assert row["measured"] is row["low"] is row["high"] is None
        assert not row["files"]
    decided = {row["kind"] for row in rows if row["verdict"] in (CONSISTENT, CONTRADICTED, REPRODUCED, NOT_REPRODUCED)}
    assert decided == {"arithmetic", "parameters"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("IV/MST-CLIPIQA/agiqa-1k/quality/srcc", "benchmark agiqa-1k is not in this suite"),
        ("IV/MST-CLIPIQA*/agiqa-3k/quality/srcc", "variant mst-clipiqa-star is not in this suite"),
        ("V/MST-CLIPIQA/agiqa-3k/correspondence/srcc", "mst-clipiqa was not run on agiqa-3k, correspondence"),
    ],
)
def test_what_was_not_run_is_named(claims, document, recipe, name, reason):
    row = one_row(claims, name, document, make_suite(recipe, SCORES))
    assert row["verdict"] == NOT_RUN
    assert row["reason"].startswith(reason)
    suite = replace(make_suite(recipe, SCORES), recipes={"appendix": recipe})
    row = one_row(claims, name, document, suite)
    assert row["reason"] == "recipe appendix is not in this suite"


def test_an_ordering_is_above_its_strongest_rival_on_paired_seeds(claims, document, recipe):
    """Seeds move all models alike, so that differences are sure where the values are not."""
    start = around(0, 0.02)
    means = {"mst-clipiqa": 0.90, "fine-only": 0.88, "coarse-only": 0.89}
    scores = {
        ("agiqa-1k", "quality", name): mean + start + around(0, 0.002)[::-1] * (name != "mst-clipiqa")
        for name, mean in means.items()
    }
    name = "two-scales-better/VI/agiqa-1k/quality/srcc"
    row = one_row(claims, name, document, make_suite(recipe, scores))
    assert row["claimed"] is None and row["measured"] == pytest.approx(0.01)
    differences = scores["agiqa-1k", "quality", "mst-clipiqa"] - scores["agiqa-1k", "quality", "coarse-only"]
    test = stats.ttest_1samp(differences, 0)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert row["p_above"] == pytest.approx(test.pvalue)
    assert (row["verdict"], row["noise"]) == (REPRODUCED, "seeds")
    assert row["detectable"] == pytest.approx((stats.t.ppf(0.975, 4) + stats.t.ppf(0.8, 4)) * 0.002 / np.sqrt(5))


def test_orderings_of_one_table_are_adjusted_by_holm(claims, document, recipe):
    """p of 0.03 by each of two metrics: alone it would be shown, and both together are not."""
    t = stats.t.isf(0.015, 4)
    sd = 0.01 * np.sqrt(5) / t
    scores = {("agiqa-1k", "quality", variant): [0.90] * 5 for variant in ("fine-only", "coarse-only")}
    scores["agiqa-1k", "quality", "mst-clipiqa"] = around(0.91, sd)
    one, other = (claims[f"two-scales-better/VI/agiqa-1k/quality/{metric}"] for metric in ("srcc", "plcc"))
    suite = make_suite(recipe, scores)
    alone, *_ = decide([one], document, suite)
    together, *_ = decide([one, other], document, suite)
    assert (alone["p_above"], alone["verdict"]) == (pytest.approx(0.03), REPRODUCED)
    assert (together["p_above"], together["verdict"]) == (pytest.approx(0.06), INCONCLUSIVE)
    assert "could have been shown" in together["reason"]


def test_an_ordering_on_other_splits_takes_the_paired_tests(claims, document, recipe):
    scores = {("agiqa-1k", "quality", name): around(0.9, 0.02) for name in ("mst-clipiqa", "fine-only", "coarse-only")}
    scores["agiqa-1k", "quality", "mst-clipiqa"] = around(0.91, 0.02)
    key = ("agiqa-1k", "quality", "released_code", "mst-clipiqa", "grouped5")
    noise = Noise((("images and splits", 0.002**2, 5),))
    pairs = {(*key, rival, "srcc"): (noise, noise) for rival in ("fine-only", "coarse-only")}
    suite = make_suite(recipe, scores, protocol="grouped5", pairs=pairs)
    row = one_row(claims, "two-scales-better/VI/agiqa-1k/quality/srcc", document, suite, "grouped5")
    assert row["high"] - row["measured"] == pytest.approx(stats.t.ppf(0.975, 5) * 0.002)
    assert (row["verdict"], row["noise"]) == (REPRODUCED, "images and splits")


def test_a_gain_over_a_rival_of_prior_work_is_over_its_printed_numbers(claims, document, recipe):
    columns = [("aigciqa2023", 0.8010), ("pku-aigiqa-4k", 0.7823)]  # LIQE's SRCC in Table I
    scores = {(name, "authenticity", "mst-clipiqa-star"): around(liqe + 0.01, 0.0005) for name, liqe in columns}
    row = one_row(claims, "gain-authenticity-star/srcc", document, make_suite(recipe, scores))
    assert (row["claimed"], row["measured"]) == (1.12, pytest.approx(1.0))
    # Two benchmarks of equal noise: the mean has half of the variance of one, and twice the degrees of freedom.
    assert row["high"] - row["measured"] == pytest.approx(100 * stats.t.ppf(0.975, 8) * 0.0005 * np.sqrt(1.2 / 2))
    assert row["verdict"] == REPRODUCED


def test_the_prompt_is_to_help_correspondence_most(claims, document, recipe):
    base = {("agiqa-1k", "quality"): 0.02, ("agiqa-3k", "correspondence"): 0.05, ("aigciqa2023", "authenticity"): 0.03}
    scores = {(*column, "mst-clipiqa"): around(0.8, 0.001) for column in base}
    scores |= {(*column, "mst-clipiqa-star"): around(0.8 + gain, 0.002) for column, gain in base.items()}
    row = one_row(claims, "prompt-helps-correspondence-ablation/srcc", document, make_suite(recipe, scores))
    assert (row["measured"], row["verdict"]) == (pytest.approx(0.02), REPRODUCED)


# The paper's own numbers, fed back


def printed_suite(claims, recipe, rng, shift=0.0, sd=0.005, seeds=5):
    """A suite whose true values are the printed ones, plus `shift`, with the noise of seeds."""
    truth = {}
    for claim in claims.values():
        if claim.kind == "number":
            (term,) = claim.contrasts[0].terms
            if len(term.runs) == 1:
                variant, *column, _ = term.runs[0]
                truth.setdefault((*column, variant), {})[claim.metric] = term.printed
    suite = make_suite(recipe, {key: [0.0] * seeds for key in truth})
    for (benchmark, target, variant), metrics in truth.items():
        runs = suite.cells[benchmark, target, recipe.name, variant, "lab-seed1"].runs
        for metric, value in metrics.items():
            runs[metric] = value + shift + rng.normal(0, sd, seeds)
    return suite


def test_no_true_claim_is_refused_and_no_false_number_passes(claims, document, recipe):
    rng, refused, measured = np.random.default_rng(8), Counter(), set()
    numbers = [claim for claim in claims.values() if claim.kind == "number"]
    true = [claim for claim in claims.values() if claim.kind in ("number", "ordering") and claim.found is None]
    false_orderings = {
        claim.id for claim in true if claim.kind == "ordering" and min(c.printed for c in claim.contrasts) < 0
    }
    for _ in range(200):
        for row in decide(true[::12], document, printed_suite(claims, recipe, rng)):
            if row["verdict"] != NOT_RUN and row["id"] not in false_orderings:
                measured.add(row["id"])
                refused[row["id"]] += row["verdict"] == NOT_REPRODUCED
    assert len(measured) > 15 and max(refused.values()) <= 0.05 * 200

    low = Counter()
    for _ in range(5):
        low.update(row["verdict"] for row in decide(numbers, document, printed_suite(claims, recipe, rng, -0.02)))
    assert set(low) <= {NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN} and low[NOT_REPRODUCED] > 4 * low[INCONCLUSIVE]


# The files


@pytest.fixture
def results(tmp_path):
    """A results folder of one number: AGIQA-3K quality, mst-clipiqa, released code, lab-seed1."""
    root = tmp_path / "results"
    file = "agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"
    key = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "released_code", "variant": "mst-clipiqa"}
    rows = [key | {"protocol": "lab-seed1", "selection": name, "file": file} for name in ("last", "best-on-test")]
    seeds = [row | {"seed": seed, "srcc": v, "plcc": v} for row, mean in zip(rows, (0.1, 0.907), strict=True)
             for seed, v in enumerate(around(mean, 0.002))]  # fmt: skip
    METRICS.write(METRICS.at(root), table_of(METRICS, seeds), {})
    INTERVALS.write(INTERVALS.at(root), table_of(INTERVALS, rows), {})
    COMPARISONS.write(COMPARISONS.at(root), table_of(COMPARISONS), {})
    encoders = {"coarse": OPENAI, "fine": OPENAI}
    write_table(root / file, pd.DataFrame({"image": ["a.png"]}), key | {"synthetic": False, "encoders": encoders})
    write_table(root / "agiqa-3k/samples.parquet", pd.DataFrame({"image": ["a.png"]}), {"synthetic": False})
    counts = {"lab-seed1": [{"split": 0, "counts_as": 0, "test": 4, "test_images_with_prompt_in_train": 3}]}
    write_table(root / "agiqa-3k/splits.parquet", pd.DataFrame({"image": ["a.png"]}), {"protocols": counts})
    return root


def test_the_document_is_json_and_the_same_again(results):
    documents = [claims_document(CLAIMS, PAPER_TABLES, PRIOR_RESULTS, results, RECIPES) for _ in range(2)]
    first, second = (json.dumps(document, allow_nan=False) for document in documents)
    assert first == second
    document = json.loads(first)
    (row,) = [r for r in document["claims"] if r["id"] == QUALITY and r["recipe"] == "released_code"]
    assert (row["measured"], row["leakage"], row["verdict"]) == (pytest.approx(0.907), 0.75, REPRODUCED)
    asked = read_yaml(CLAIMS)["recipes"]
    assert set(document["recipes"]) == set(asked) < {path.stem for path in RECIPES.glob("*.yaml")}
    # Every claim counts once.
    counts = Counter(r["id"] for r in document["claims"] if r["counts"])
    assert set(counts.values()) == {1} and set(counts) == {r["id"] for r in document["claims"]}


def test_a_recipe_that_changes_one_value_of_another_is_judged_where_it_is_asked_for(recipe):
    longer = replace(recipe, name="longer", epochs=99)
    other = replace(longer, name="other", batch_size=16)
    suite = make_suite(recipe, SCORES)
    cells = {(*key[:2], name, *key[3:]): cell for key, cell in suite.cells.items() for name in ("longer", "other")}
    suite = replace(suite, cells=suite.cells | cells, recipes={one.name: one for one in (longer, other, recipe)})
    assert list(judged_recipes(["released_code"], suite)) == ["other", "released_code"]
    assert list(judged_recipes(["released_code", "longer"], suite)) == ["longer", "other", "released_code"]


@pytest.mark.parametrize(("evidence", "expected"), [(None, UNTESTABLE), (frozenset(), NOT_RUN)])
def test_a_drawn_benchmark_without_runs_is_held_against_no_claim(results, evidence, expected):
    """Its rivals without a head lie in the folder: it is in no grid, or an earlier configuration had it."""
    row = {"source": "CLIPScore", "target": "correspondence", "protocol": "lab-seed1", "n": 597, "srcc": 0.5}
    card = {"benchmark": "aigciqa2023", "synthetic": True, "encoders": {"paired": OPENAI}}
    BASELINES.write(BASELINES.at(results, benchmark="aigciqa2023"), table_of(BASELINES, [row]), card)
    document = claims_document(CLAIMS, PAPER_TABLES, PRIOR_RESULTS, results, RECIPES, evidence)
    (found,) = [r for r in document["claims"] if r["id"] == "clipscore/aigciqa2023/correspondence/srcc"]
    assert (found["verdict"], found["measured"]) == (expected, None)


@pytest.mark.parametrize("file", ["metrics.parquet", "intervals.parquet", "comparisons.parquet"])
def test_a_missing_file_is_named(results, file):
    (results / file).unlink()
    with pytest.raises(InputError, match=f"{file}: no such file"):
        claims_document(CLAIMS, PAPER_TABLES, PRIOR_RESULTS, results, RECIPES)


def test_intervals_of_other_runs_are_refused(results):
    metrics = pd.read_parquet(results / "metrics.parquet").assign(variant="mlp")
    write_table(results / "metrics.parquet", metrics, {})
    with pytest.raises(InputError, match=r"agiqa-3k/quality/released_code/mst-clipiqa/lab-seed1 is not in metrics"):
        claims_document(CLAIMS, PAPER_TABLES, PRIOR_RESULTS, results, RECIPES)
