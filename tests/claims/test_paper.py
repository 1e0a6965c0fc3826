"""The paper's claims: what the loader expands them to, and what the printed numbers say."""

import json
from collections import Counter

import pandas as pd
import pytest
import yaml
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS

from mstclipiqa.base.errors import InputError
from mstclipiqa.claims.paper import load_claims
from mstclipiqa.claims.rules import CONSISTENT, CONTRADICTED, UNTESTABLE

COLUMNS_VII = [
    f"{column}/{metric}"
    for column in ("agiqa-1k/quality", "agiqa-3k/correspondence", "aigciqa2023/authenticity")
    for metric in ("srcc", "plcc")
]


def found_by_id(paper_tables):
    return {claim.id: claim.found for claim in load_claims(CLAIMS, paper_tables, PRIOR_RESULTS)}


def test_every_printed_number_of_the_papers_own_models_is_a_claim(claims):
    """Counted by hand: I 2 x 2, IV 2 x 5, V 2 x 3, II 5 x 5, III 2 x 5, VI 3 x 3, VII 4 x 3 pairs of SRCC and PLCC."""
    numbers = [claim for claim in claims.values() if claim.kind == "number"]
    assert Counter(claim.place for claim in numbers) == {
        "Table I": 8, "Table IV": 20, "Table V": 12, "Table II": 50, "Table III": 20, "Table VI": 18, "Table VII": 24,
    }  # fmt: skip
    assert len(numbers) == 152
    ours = pd.read_csv(PAPER_TABLES).query("method.str.contains('MST') or table in ['II', 'III', 'VI', 'VII']")
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
        assert verdict == CONTRADICTED
        assert f"the paper's own tables say +{expected:.2f}" in reason


def test_the_printed_gain_of_two_scales_is_that_over_the_weaker_encoder(claims):
    assert claims["gain-two-scales/srcc/printed"].found[2].endswith("+0.38 over ViT-B/16, +0.48 over ViT-B/32")
    assert claims["gain-two-scales/plcc/printed"].found[2].endswith("+0.63 over ViT-B/16, +0.72 over ViT-B/32")


def test_the_orderings_that_the_papers_own_tables_contradict(claims):
    """All of them, and no other."""
    found = {
        claim.id.removesuffix("/printed"): claim.found[2].removeprefix("the paper's own tables say ")
        for claim in claims.values()
        if claim.unit == "margin" and claim.found and claim.found[1] == CONTRADICTED
    }
    assert found == {
        "gff-best/II/agiqa-1k/quality/srcc": "Linear Interpolation 0.0041 above GFF",
        "one-tower-better/III/agiqa-3k/quality/srcc": "MSTFE-1 0.0015 above MSTFE-2",
        "one-tower-better/III/agiqa-3k/quality/plcc": "MSTFE-1 0.0007 above MSTFE-2",
        "state-of-the-art/IV/MST-CLIPIQA*/aigciqa2023/quality/srcc": "LIQE equal to MST-CLIPIQA*",
        "state-of-the-art/IV/MST-CLIPIQA*/aigciqa2023/quality/plcc": "LIQE 0.0020 above MST-CLIPIQA*",
        "state-of-the-art/V/MST-CLIPIQA/aigciqa2023/correspondence/srcc": "AMFF-Net (quoted) 0.0053 above MST-CLIPIQA",
        "state-of-the-art/V/MST-CLIPIQA/aigciqa2023/correspondence/plcc": "AMFF-Net (quoted) 0.0023 above MST-CLIPIQA",
        "state-of-the-art/V/MST-CLIPIQA*/aigciqa2023/correspondence/srcc": (
            "AMFF-Net (quoted) 0.0020 above MST-CLIPIQA*"
        ),
    }


def test_each_part_must_help(tmp_path):
    """One stream 0.80, two 0.76, one with the prompt 0.79, both 0.86: neither part helps alone."""
    found = found_by_id(PAPER_TABLES)
    assert {found[f"both-parts-help/VII/{column}/printed"][1] for column in COLUMNS_VII} == {CONSISTENT}
    table = pd.read_csv(PAPER_TABLES)
    planted = {
        "single stream, no prompt": 0.80,
        "MSTFE": 0.76,
        "cross-attention": 0.79,
        "MSTFE + cross-attention": 0.86,
    }
    ablation = table["table"] == "VII"
    table.loc[ablation, "value"] = table.loc[ablation, "method"].map(planted)
    table.to_csv(tmp_path / "tables.csv", index=False)
    found = found_by_id(tmp_path / "tables.csv")
    for column in COLUMNS_VII:
        assert found[f"both-parts-help/VII/{column}/printed"][1:] == (
            CONTRADICTED,
            "the paper's own tables say single stream, no prompt 0.0400 above MSTFE, "
            "single stream, no prompt 0.0100 above cross-attention",
        )


def test_averages_are_recomputed_where_their_parts_are_printed(claims):
    averages = {name: claim.found for name, claim in claims.items() if name.startswith("averages/")}
    verdicts = Counter((name.split("/")[1], verdict) for name, (_, verdict, _) in averages.items())
    assert verdicts == {("II", CONSISTENT): 10, ("III", CONSISTENT): 4, ("VI", UNTESTABLE): 6}
    printed = pd.read_csv(PAPER_TABLES).query("table == 'II' and method == 'GFF' and metric == 'srcc'")
    expected = printed.query("benchmark != 'average'")["value"].mean()
    assert averages["averages/II/GFF/srcc"][0] == pytest.approx(expected)
    assert averages["averages/VI/ViT-B/16/srcc"][2] == (
        "the parts are not printed: agiqa-3k/quality, aigciqa2023/authenticity"
    )


def test_a_misprint_would_be_found(tmp_path):
    table = pd.read_csv(PAPER_TABLES)
    table.loc[table.query("table == 'VII' and method == 'MSTFE' and benchmark == 'agiqa-1k'").index[0], "value"] = (
        0.8909
    )
    table.loc[table.query("table == 'III' and benchmark == 'average'").index[0], "value"] += 0.0002
    table.to_csv(tmp_path / "tables.csv", index=False)
    found = found_by_id(tmp_path / "tables.csv")
    assert found["repeats"][1:] == (
        CONTRADICTED, "the paper's own tables differ: mst-clipiqa/agiqa-1k/quality/srcc",
    )  # fmt: skip
    assert found["averages/III/MSTFE-1/srcc"][1] == CONTRADICTED
    assert found_by_id(PAPER_TABLES)["repeats"][1] == CONSISTENT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(note="x"), "'note' was unexpected"),
        (lambda d: d["margins"].update(krcc=0.1), "margins: .*'krcc' was unexpected"),
        (lambda d: d["statements"][0].update(page=3), "statements.0: .*'page' was unexpected"),
        (lambda d: d["statements"][0]["rule"]["gain"].update(band=1), "rule.gain: .*'band' was unexpected"),
        (lambda d: d["statements"][0].update(rule={"guess": {}}), "rule: .*'guess' was unexpected"),
        (lambda d: d["statements"][0].update(id=d["statements"][1]["id"]), "stands twice"),
        (lambda d: d["statements"][0]["rule"]["gain"].update(ours="NIQE"), "no number for IV, NIQE"),
        (lambda d: d["tables"]["I"]["methods"].update(NIQE="mst-clipiqa"), "no method 'NIQE'"),
        (lambda d: d["tables"]["II"]["methods"].update(GFF="gated"), "unknown variant 'gated'"),
        (lambda d: d["like_for_like"].update(protocol="lucky"), "unknown protocol 'lucky'"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, words):
    document = yaml.safe_load(CLAIMS.read_text())
    # Anchors are one object in memory: part them, so that a change stays in its place.
    document = json.loads(json.dumps(document))
    change(document)
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=words) as error:
        load_claims(tmp_path / "claims.yaml", PAPER_TABLES, PRIOR_RESULTS)
    assert "\n" not in str(error.value)
