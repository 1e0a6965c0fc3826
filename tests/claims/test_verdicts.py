"""The paper's claims: what the loader expands them to, what the printed numbers say, and the verdicts' edges."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_table
from mstclipiqa.claims.paper import load_claims, read_paper
from mstclipiqa.claims.rules import (
    DIRECTION_ONLY,
    MINIATURE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    SMALL_PAIR,
    UNTESTABLE,
    WITHIN_NOISE,
    judge_gain,
    judge_number,
    judge_ordering,
)
from mstclipiqa.claims.verdicts import INTERVALS, PAIR, Suite, claims_document, count_parameters, decide
from mstclipiqa.model.recipes import load_recipe

CONFIG = Path(__file__).parents[2] / "config"
CLAIMS, TABLES, RECIPES = CONFIG / "claims.yaml", CONFIG / "paper_tables.csv", CONFIG / "recipes"
OPENAI = {"pretrained": True, "weights": "openai", "model": "ViT-B-32-quickgelu"}
SMALL = {"pretrained": True, "weights": "embedded", "model": "mst-small-32"}


@pytest.fixture(scope="module")
def claims():
    return {claim.id: claim for claim in load_claims(CLAIMS, TABLES)}


@pytest.fixture(scope="module")
def document():
    return read_paper(CLAIMS, TABLES).document


@pytest.fixture(scope="module")
def recipe():
    return load_recipe(RECIPES / "released_code.yaml")


# The claims


def test_every_printed_number_of_the_papers_own_models_is_a_claim(claims):
    """Counted by hand: I 2 x 2, IV 2 x 5, V 2 x 3, II 5 x 5, III 2 x 5, VI 3 x 3, VII 4 x 3 pairs of SRCC and PLCC."""
    numbers = [claim for claim in claims.values() if claim.kind == "number"]
    assert Counter(claim.place for claim in numbers) == {
        "Table I": 8, "Table IV": 20, "Table V": 12, "Table II": 50, "Table III": 20, "Table VI": 18, "Table VII": 24,
    }  # fmt: skip
    assert len(numbers) == 152
    ours = pd.read_csv(TABLES).query("method.str.contains('MST') or table in ['II', 'III', 'VI', 'VII']")
    assert sorted(claim.claimed for claim in numbers) == sorted(ours["value"])
    assert claims["I/MST-CLIPIQA/aigciqa2023/authenticity/srcc"].claimed == 0.8149


def test_an_average_is_measured_over_its_columns(claims):
    (contrast,) = claims["VI/ViT-B/16/average/plcc"].contrasts
    columns = [("agiqa-1k", "quality"), ("agiqa-3k", "quality"), ("aigciqa2023", "quality")]
    columns.append(("aigciqa2023", "authenticity"))
    assert [run for term in contrast.terms for run in term.runs] == [("fine-only", *column, 0.25) for column in columns]


@pytest.mark.parametrize(
    ("name", "srcc", "plcc"),
    [
        ("gain-quality-star", 1.50, 1.00),
        ("gain-quality", 1.29, 0.95),
        ("gain-authenticity-star", 1.65, 1.77),
        ("gain-correspondence-star", 3.11, 2.64),
        ("gain-two-scales", 0.38, 0.63),
    ],
)
def test_the_papers_own_tables_contradict_its_gains(claims, name, srcc, plcc):
    for metric, expected in (("srcc", srcc), ("plcc", plcc)):
        measured, verdict, reason = claims[f"{name}/{metric}/printed"].found
        assert round(measured, 2) == expected
        assert verdict == NOT_REPRODUCED
        assert f"the paper's own tables say +{expected:.2f}" in reason


def test_the_printed_gain_of_two_scales_is_that_over_the_weaker_encoder(claims):
    assert claims["gain-two-scales/srcc/printed"].found[2].endswith("+0.38 over ViT-B/16, +0.48 over ViT-B/32")
    assert claims["gain-two-scales/plcc/printed"].found[2].endswith("+0.63 over ViT-B/16, +0.72 over ViT-B/32")


def test_the_orderings_that_the_papers_own_tables_contradict(claims):
    """All of them, and no other."""
    found = {
        claim.id.removesuffix("/printed"): claim.found[2].removeprefix("the paper's own tables say ")
        for claim in claims.values()
        if claim.unit == "margin" and claim.found and claim.found[1] == NOT_REPRODUCED
    }
    assert found == {
        "gff-best/II/agiqa-1k/quality/srcc": "Linear Interpolation 0.0041 above",
        "one-tower-better/III/agiqa-3k/quality/srcc": "MSTFE-1 0.0015 above",
        "one-tower-better/III/agiqa-3k/quality/plcc": "MSTFE-1 0.0007 above",
        "state-of-the-art/IV/MST-CLIPIQA*/aigciqa2023/quality/srcc": "LIQE equal",
        "state-of-the-art/IV/MST-CLIPIQA*/aigciqa2023/quality/plcc": "LIQE 0.0020 above",
        "state-of-the-art/V/MST-CLIPIQA/aigciqa2023/correspondence/srcc": "AMFF-Net (quoted) 0.0053 above",
        "state-of-the-art/V/MST-CLIPIQA/aigciqa2023/correspondence/plcc": "AMFF-Net (quoted) 0.0023 above",
        "state-of-the-art/V/MST-CLIPIQA*/aigciqa2023/correspondence/srcc": "AMFF-Net (quoted) 0.0020 above",
    }


def test_averages_are_recomputed_where_their_parts_are_printed(claims):
    averages = {name: claim.found for name, claim in claims.items() if name.startswith("averages/")}
    verdicts = Counter((name.split("/")[1], verdict) for name, (_, verdict, _) in averages.items())
    assert verdicts == {("II", REPRODUCED): 10, ("III", REPRODUCED): 4, ("VI", UNTESTABLE): 6}
    printed = pd.read_csv(TABLES).query("table == 'II' and method == 'GFF' and metric == 'srcc'")
    expected = printed.query("benchmark != 'average'")["value"].mean()
    assert averages["averages/II/GFF/srcc"][0] == pytest.approx(expected)
    assert averages["averages/VI/ViT-B/16/srcc"][2] == (
        "the parts are not printed: agiqa-3k/quality, aigciqa2023/authenticity"
    )


def test_a_misprint_would_be_found(tmp_path):
    table = pd.read_csv(TABLES)
    table.loc[table.query("table == 'VII' and method == 'MSTFE' and benchmark == 'agiqa-1k'").index[0], "value"] = (
        0.8909
    )
    table.loc[table.query("table == 'III' and benchmark == 'average'").index[0], "value"] += 0.0002
    table.to_csv(tmp_path / "tables.csv", index=False)
    found = {claim.id: claim.found for claim in load_claims(CLAIMS, tmp_path / "tables.csv")}
    assert found["repeats"][1:] == (
        NOT_REPRODUCED, "the paper's own tables differ: mst-clipiqa/agiqa-1k/quality/srcc",
    )  # fmt: skip
    assert found["averages/III/MSTFE-1/srcc"][1] == NOT_REPRODUCED
    assert {claim.id: claim.found for claim in load_claims(CLAIMS, TABLES)}["repeats"][1] == REPRODUCED


def test_parameters_are_counted(recipe):
    """The released code's sizes, by hand: gate, projections, temperature; then attention, alpha, W_1, W_2, w_o."""
    gate, projections = 1024 * 128 + 128 + 128 * 512 + 512, 2 * (512 * 512 + 512)
    assert count_parameters("mst-clipiqa", recipe, ("",)) == gate + projections + 1 == 722_561
    assert count_parameters("mst-clipiqa", recipe, ("fusion.W_h", "fusion.W_g")) == gate
    head = 2 * (512 * 512 + 512) + 513
    assert count_parameters("mst-clipiqa-star", recipe, ("head.W_", "head.w_o")) == head
    attention = 4 * (512 * 512 + 512)
    assert count_parameters("mst-clipiqa-star", recipe, ("",)) == gate + projections + attention + 1 + head == 2_299_010


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(note="x"), "'note' was unexpected"),
        (lambda d: d["bands"].update(krcc=0.1), "bands: .*'krcc' was unexpected"),
        (lambda d: d["statements"][0].update(page=3), "statements.0: .*'page' was unexpected"),
        (lambda d: d["statements"][0]["rule"]["gain"].update(band=1), "rule.gain: .*'band' was unexpected"),
        (lambda d: d["statements"][0].update(rule={"guess": {}}), "rule: .*'guess' was unexpected"),
        (lambda d: d["statements"][0].update(id=d["statements"][1]["id"]), "stands twice"),
        (lambda d: d["statements"][0]["rule"]["gain"].update(ours="NIQE"), "no number for IV, NIQE"),
        (lambda d: d["tables"]["I"]["methods"].update(NIQE="mst-clipiqa"), "no method 'NIQE'"),
        (lambda d: d["tables"]["II"]["methods"].update(GFF="gated"), "unknown variant 'gated'"),
        (lambda d: d.update(like_for_like="lucky"), "unknown protocol 'lucky'"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, words):
    document = yaml.safe_load(CLAIMS.read_text())
    # Anchors are one object in memory: part them, so that a change stays in its place.
    document = json.loads(json.dumps(document))
    change(document)
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=words) as error:
        load_claims(tmp_path / "claims.yaml", TABLES)
    assert "\n" not in str(error.value)


# The verdicts


@pytest.mark.parametrize(
    ("measured", "low", "high", "expected"),
    [
        (0.89, 0.889, 0.891, REPRODUCED),  # at the band's edge, whatever the interval
        (0.91, np.nan, np.nan, REPRODUCED),
        (0.8899, 0.85, 0.90, WITHIN_NOISE),  # the interval ends at the claim
        (0.8899, 0.85, 0.8999, NOT_REPRODUCED),
        (0.9101, 0.9001, 0.92, NOT_REPRODUCED),  # above it too
        (0.8, np.nan, np.nan, NOT_REPRODUCED),
    ],
)
def test_a_number(measured, low, high, expected):
    assert judge_number(0.9, measured, low, high, 0.01)[0] == expected


@pytest.mark.parametrize(
    ("measured", "low", "high", "expected"),
    [
        (0.76, 0.7, 0.8, REPRODUCED),
        (0.5, -0.2, 1.2, WITHIN_NOISE),
        (0.5, 0.3, 0.7, DIRECTION_ONLY),
        (-0.5, -0.7, 1.2, WITHIN_NOISE),
        (-0.5, -0.7, -0.3, NOT_REPRODUCED),
        (0.0, -0.1, 0.1, NOT_REPRODUCED),
    ],
)
def test_a_gain(measured, low, high, expected):
    assert judge_gain(1.0, measured, low, high, 0.25)[0] == expected


@pytest.mark.parametrize(
    ("measured", "low", "expected"),
    [
        (0.01, 0.001, REPRODUCED),
        (0.01, 0.0, DIRECTION_ONLY),
        (0.01, np.nan, DIRECTION_ONLY),
        (0.0, -0.1, NOT_REPRODUCED),
        (-0.01, -0.1, NOT_REPRODUCED),
    ],
)
def test_an_ordering(measured, low, expected):
    assert judge_ordering(measured, low)[0] == expected


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
SCORES = {("agiqa-3k", "quality", "mst-clipiqa"): (0.905, 0.02)}


def test_a_measured_number_gets_its_verdict(claims, document, recipe):
    row = one_row(claims, QUALITY, document, make_suite(recipe, SCORES))
    expected = {
        "claimed": 0.9091, "measured": 0.905, "runs": 1, "leakage": 0.75, "selection": "best-on-test",
        "recipe": "released_code", "verdict": REPRODUCED, "like_for_like": True,
        "files": ["agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"],
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert (row["low"], row["high"]) == (pytest.approx(0.885), pytest.approx(0.925))


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
    decided = {row["kind"] for row in rows if row["verdict"] in (REPRODUCED, NOT_REPRODUCED)}
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
    assert (row["measured"], row["verdict"]) == (pytest.approx(0.01), DIRECTION_ONLY)
    assert row["low"] == pytest.approx(0.01 - 0.02 * 2**0.5)
    # The paired tests give the rival less the base.
    key = ("agiqa-1k", "quality", "released_code", "lab-seed1")
    pairs = {(*key, "coarse-only", "mst-clipiqa"): (-0.015, -0.005)}
    pairs[*key, "fine-only", "mst-clipiqa"] = (-0.025, -0.015)
    suite = make_suite(recipe, scores, pairs=pairs)
    row = one_row(claims, f"{name}srcc", document, suite)
    assert (row["low"], row["high"], row["verdict"]) == (pytest.approx(0.005), pytest.approx(0.015), REPRODUCED)
    assert one_row(claims, f"{name}plcc", document, suite)["verdict"] == DIRECTION_ONLY


def test_a_gain_over_a_rival_of_prior_work_is_over_its_printed_numbers(claims, document, recipe):
    columns = [("aigciqa2023", 0.8010), ("pku-aigiqa-4k", 0.7823)]  # LIQE's SRCC in Table I
    scores = {(name, "authenticity", "mst-clipiqa-star"): (liqe + 0.01, 0.004) for name, liqe in columns}
    row = one_row(claims, "gain-authenticity-star/srcc", document, make_suite(recipe, scores))
    assert (row["claimed"], row["measured"]) == (1.12, pytest.approx(1.0))
    assert row["high"] - row["measured"] == pytest.approx(100 * 0.004 / 2**0.5)
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
    write_table(root / "metrics.parquet", pd.DataFrame(rows), {})
    values = {"runs": 1, "srcc_low": 0.88, "srcc_high": 0.92, "plcc": 0.5, "plcc_low": 0.4, "plcc_high": 0.6}
    rows = [row | values | {"srcc": srcc} for row, srcc in zip(rows, (0.1, 0.905), strict=True)]
    write_table(root / "intervals.parquet", pd.DataFrame(rows)[INTERVALS], {})
    write_table(root / "comparisons.parquet", pd.DataFrame(columns=[*PAIR, "selection"]), {})
    encoders = {"coarse": OPENAI, "fine": OPENAI}
    write_table(root / file, pd.DataFrame({"image": ["a.png"]}), key | {"synthetic": False, "encoders": encoders})
    write_table(root / "agiqa-3k/samples.parquet", pd.DataFrame({"image": ["a.png"]}), {"synthetic": False})
    counts = {"lab-seed1": [{"test": 4, "test_images_with_prompt_in_train": 3}]}
    write_table(root / "agiqa-3k/splits.parquet", pd.DataFrame({"image": ["a.png"]}), {"protocols": counts})
    return root


def test_the_document_is_json_and_the_same_again(results):
    first, second = (json.dumps(claims_document(CLAIMS, TABLES, results, RECIPES), allow_nan=False) for _ in range(2))
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
        claims_document(CLAIMS, TABLES, results, RECIPES)


def test_intervals_of_other_runs_are_refused(results):
    metrics = pd.read_parquet(results / "metrics.parquet").assign(variant="mlp")
    write_table(results / "metrics.parquet", metrics, {})
    with pytest.raises(InputError, match=r"agiqa-3k/quality/released_code/mst-clipiqa/lab-seed1 is not in metrics"):
        claims_document(CLAIMS, TABLES, results, RECIPES)
