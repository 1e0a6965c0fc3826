"""The verdicts on a suite, and the files that they are read from."""

import json
from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS, RECIPES
from results_tables import table_of

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_table
from mstclipiqa.base.layout import COMPARISONS, INTERVALS, METRICS
from mstclipiqa.claims.rules import (
    CONSISTENT,
    CONTRADICTED,
    INCONCLUSIVE,
    MINIATURE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    SMALL_PAIR,
    UNTESTABLE,
)
from mstclipiqa.claims.verdicts import Suite, claims_document, count_parameters, decide

OPENAI = {"pretrained": True, "weights": "openai", "model": "ViT-B-32-quickgelu"}
SMALL = {"pretrained": True, "weights": "embedded", "model": "mst-small-32"}


def test_parameters_are_counted(recipe):
    """The released code's sizes, by hand: gate, projections, temperature; then attention, alpha, W_1, W_2, w_o."""
    gate, projections = 1024 * 128 + 128 + 128 * 512 + 512, 2 * (512 * 512 + 512)
    assert count_parameters("mst-clipiqa", recipe, ("",)) == gate + projections + 1 == 722_561
    assert count_parameters("mst-clipiqa", recipe, ("fusion.W_h", "fusion.W_g")) == gate
    head = 2 * (512 * 512 + 512) + 513
    assert count_parameters("mst-clipiqa-star", recipe, ("head.W_", "head.w_o")) == head
    attention = 4 * (512 * 512 + 512)
    assert count_parameters("mst-clipiqa-star", recipe, ("",)) == gate + projections + attention + 1 + head == 2_299_010


def make_suite(recipe, scores, encoder=OPENAI, synthetic=(), protocol="lab-seed1", pairs=None):
    """A suite that measured the `scores` by (benchmark, target, variant): value as SRCC and PLCC, and half-width."""
    cells = {}
    for (benchmark, target, variant), (value, half) in scores.items():
        sides = {"": value, "_low": value - half, "_high": value + half}
        cell = {f"{metric}{side}": sides[side] for metric in ("srcc", "plcc") for side in sides}
        file = f"{benchmark}/runs/{target}/{recipe.name}/{variant}.parquet"
        cells[benchmark, target, recipe.name, variant, protocol] = cell | {"runs": 1, "file": file}
    return Suite(
        cells=cells,
        pairs=pairs or {},
        encoders={cell["file"]: [encoder, encoder] for cell in cells.values()},
        leakage={(key[0], protocol): (30, 40) for key in cells},
        synthetic=frozenset(synthetic),
        recipes={recipe.name: recipe},
    )


def one_row(claims, name, document, suite, protocol="lab-seed1"):
    (row,) = [row for row in decide([claims[name]], document, suite) if row["protocol"] == protocol]
    return row


QUALITY = "IV/MST-CLIPIQA/agiqa-3k/quality/srcc"  # printed: 0.9091
SCORES = {("agiqa-3k", "quality", "mst-clipiqa"): (0.905, 0.005)}


def test_a_measured_number_gets_its_verdict(claims, document, recipe):
    row = one_row(claims, QUALITY, document, make_suite(recipe, SCORES))
    expected = {
        "claimed": 0.9091, "measured": 0.905, "runs": 1, "leakage": 0.75, "selection": "best-on-test",
        "recipe": "released_code", "verdict": REPRODUCED, "like_for_like": True,
        "files": ["agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"],
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert (row["low"], row["high"]) == (pytest.approx(0.900), pytest.approx(0.910))


def test_another_protocol_stands_beside_the_like_for_like_one(claims, document, recipe):
    suite = make_suite(recipe, SCORES, protocol="grouped3")
    main, other = decide([claims[QUALITY]], document, suite)
    assert (main["protocol"], main["verdict"], main["like_for_like"]) == ("lab-seed1", NOT_RUN, True)
    assert main["reason"] == "protocol lab-seed1 is not in this suite"
    assert (other["protocol"], other["selection"], other["like_for_like"]) == ("grouped3", "validation", False)
    assert other["verdict"] == REPRODUCED


@pytest.mark.parametrize(
    "encoder", [SMALL, OPENAI | {"pretrained": False}, OPENAI | {"weights": "laion2b"}, OPENAI | {"model": "ViT-L-14"}]
)
def test_other_encoders_give_context_but_no_verdict(claims, document, recipe, encoder):
    row = one_row(claims, QUALITY, document, make_suite(recipe, SCORES, encoder))
    assert (row["verdict"], row["reason"], row["measured"]) == (UNTESTABLE, SMALL_PAIR, 0.905)


def test_drawn_images_decide_no_number_and_stand_beside_none(claims, document, recipe):
    scores = {
        (*column, variant): (0.9, 0.1)
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
        assert (row["verdict"], row["reason"]) == (UNTESTABLE, MINIATURE)
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


def test_an_ordering_takes_the_strongest_rival_and_the_paired_interval(claims, document, recipe):
    scores = {("agiqa-1k", "quality", "mst-clipiqa"): (0.90, 0.02), ("agiqa-1k", "quality", "fine-only"): (0.88, 0.02)}
    scores["agiqa-1k", "quality", "coarse-only"] = (0.89, 0.02)
    name = "two-scales-better/VI/agiqa-1k/quality/"
    row = one_row(claims, f"{name}srcc", document, make_suite(recipe, scores))
    assert row["claimed"] is None
    assert (row["measured"], row["verdict"]) == (pytest.approx(0.01), INCONCLUSIVE)
    assert row["low"] == pytest.approx(0.01 - 0.02 * 2**0.5)
    # The paired tests give the rival less the base.
    key = ("agiqa-1k", "quality", "released_code", "lab-seed1")
    pairs = {(*key, "coarse-only", "mst-clipiqa"): (-0.015, -0.005)}
    pairs[*key, "fine-only", "mst-clipiqa"] = (-0.025, -0.015)
    suite = make_suite(recipe, scores, pairs=pairs)
    row = one_row(claims, f"{name}srcc", document, suite)
    assert (row["low"], row["high"], row["verdict"]) == (pytest.approx(0.005), pytest.approx(0.015), REPRODUCED)
    assert one_row(claims, f"{name}plcc", document, suite)["verdict"] == INCONCLUSIVE


def test_a_gain_over_a_rival_of_prior_work_is_over_its_printed_numbers(claims, document, recipe):
    columns = [("aigciqa2023", 0.8010), ("pku-aigiqa-4k", 0.7823)]  # LIQE's SRCC in Table I
    scores = {(name, "authenticity", "mst-clipiqa-star"): (liqe + 0.01, 0.001) for name, liqe in columns}
    row = one_row(claims, "gain-authenticity-star/srcc", document, make_suite(recipe, scores))
    assert (row["claimed"], row["measured"]) == (1.12, pytest.approx(1.0))
    assert row["high"] - row["measured"] == pytest.approx(100 * 0.001 / 2**0.5)
    assert row["verdict"] == REPRODUCED


def test_the_prompt_is_to_help_correspondence_most(claims, document, recipe):
    base = {("agiqa-1k", "quality"): 0.02, ("agiqa-3k", "correspondence"): 0.05, ("aigciqa2023", "authenticity"): 0.03}
    scores = {(*column, "mst-clipiqa"): (0.8, 0.001) for column in base}
    scores |= {(*column, "mst-clipiqa-star"): (0.8 + gain, 0.001) for column, gain in base.items()}
    row = one_row(claims, "prompt-helps-correspondence-ablation/srcc", document, make_suite(recipe, scores))
    assert (row["measured"], row["verdict"]) == (pytest.approx(0.02), REPRODUCED)


# The files


@pytest.fixture
def results(tmp_path):
    """A results folder of one number: AGIQA-3K quality, mst-clipiqa, released code, lab-seed1."""
    root = tmp_path / "results"
    file = "agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"
    key = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "released_code", "variant": "mst-clipiqa"}
    rows = [key | {"protocol": "lab-seed1", "selection": name, "file": file} for name in ("last", "best-on-test")]
    METRICS.write(METRICS.at(root), table_of(METRICS, rows), {})
    values = {"runs": 1, "srcc_low": 0.90, "srcc_high": 0.91, "plcc": 0.5, "plcc_low": 0.4, "plcc_high": 0.6}
    rows = [row | values | {"srcc": srcc} for row, srcc in zip(rows, (0.1, 0.905), strict=True)]
    INTERVALS.write(INTERVALS.at(root), table_of(INTERVALS, rows), {})
    COMPARISONS.write(COMPARISONS.at(root), table_of(COMPARISONS), {})
    encoders = {"coarse": OPENAI, "fine": OPENAI}
    write_table(root / file, pd.DataFrame({"image": ["a.png"]}), key | {"synthetic": False, "encoders": encoders})
    write_table(root / "agiqa-3k/samples.parquet", pd.DataFrame({"image": ["a.png"]}), {"synthetic": False})
    counts = {"lab-seed1": [{"test": 4, "test_images_with_prompt_in_train": 3}]}
    write_table(root / "agiqa-3k/splits.parquet", pd.DataFrame({"image": ["a.png"]}), {"protocols": counts})
    return root


def test_the_document_is_json_and_the_same_again(results):
    documents = [claims_document(CLAIMS, PAPER_TABLES, PRIOR_RESULTS, results, RECIPES) for _ in range(2)]
    first, second = (json.dumps(document, allow_nan=False) for document in documents)
    assert first == second
    document = json.loads(first)
    (row,) = [r for r in document["claims"] if r["id"] == QUALITY and r["recipe"] == "released_code"]
    assert (row["measured"], row["leakage"], row["verdict"]) == (0.905, 0.75, REPRODUCED)
    assert set(document["recipes"]) == {path.stem for path in RECIPES.glob("*.yaml")}
    # One verdict of every claim under every recipe, or one at all.
    counts = Counter((r["id"], r["recipe"]) for r in document["claims"] if r["like_for_like"])
    assert set(counts.values()) == {1}


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
