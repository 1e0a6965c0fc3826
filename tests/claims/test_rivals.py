"""Printed numbers of other methods stand beside what their heads measure, and no verdict is reached on them."""

import pytest
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS
from identities import OPENAI
from measured_suite import around, make_suite

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import STAND_IN
from mstclipiqa.claims.paper import read_paper
from mstclipiqa.claims.rivals import rival_claims
from mstclipiqa.claims.rules import UNTESTABLE
from mstclipiqa.claims.verdicts import decide
from mstclipiqa.model.variants import RIVAL, VARIANTS

CELL = ("agiqa-3k", "quality", "liqe-frozen")


@pytest.fixture(scope="module")
def paper():
    return read_paper(CLAIMS, PAPER_TABLES, PRIOR_RESULTS)


def claims_of(paper, *ran):
    return {claim.id: claim for claim in rival_claims(paper, CLAIMS, ran)}


def test_every_number_that_is_printed_of_a_rival_is_a_claim_where_its_head_ran(paper):
    printed = {key: value for key, value in paper.numbers.items() if key[1].removesuffix(" (quoted)") == "LIQE"}
    found = claims_of(paper, "liqe-frozen", "mst-clipiqa")
    assert len(found) == len(printed) == 20
    assert found["rivals/IV/liqe-frozen/agiqa-3k/quality/srcc"].claimed == 0.9009
    assert sorted(claim.claimed for claim in found.values()) == sorted(printed.values())
    assert claims_of(paper, "mst-clipiqa") == {}
    assert set(paper.document["rivals"]) == {name for name, variant in VARIANTS.items() if variant.head == RIVAL}


def test_numbers_of_its_own_authors_are_claims_too(paper):
    found = claims_of(paper, "ma-agiqa-gate")
    own = {name: claim for name, claim in found.items() if name.startswith("rivals/own/")}
    assert {claim.claimed for claim in own.values()} == {0.8939, 0.9273, 0.8644, 0.9050}
    assert all("2404.17762" in claim.place for claim in own.values()) and len(found) == 8


@pytest.mark.parametrize("value", [0.9009, 0.5])
def test_no_printed_number_is_reproduced_or_refuted_by_another_model(paper, recipe, value):
    claim = claims_of(paper, "liqe-frozen")["rivals/IV/liqe-frozen/agiqa-3k/quality/srcc"]
    suite = make_suite(recipe, {CELL: around(value, 0.0001)})
    (row,) = decide([claim], paper.document, suite)
    assert (row["verdict"], row["counts"], row["measured"]) == (UNTESTABLE, False, pytest.approx(value))
    assert row["reason"] == (
        f"{value - 0.9009:+.4f} from the printed number; another model: LIQE fine-tunes all of CLIP, and this head "
        "trains one linear map on frozen features"
    )


def test_other_encoders_and_drawn_images_are_named_too(paper, recipe):
    claim = claims_of(paper, "liqe-frozen")["rivals/IV/liqe-frozen/agiqa-3k/quality/srcc"]
    small = OPENAI | {"model": "mst-small-32", "label": "mst-small-32"}
    (row,) = decide([claim], paper.document, make_suite(recipe, {CELL: around(0.8, 0.01)}, small))
    assert row["reason"].startswith("measured with mst-small-32") and "; another model: LIQE" in row["reason"]
    (row,) = decide([claim], paper.document, make_suite(recipe, {CELL: around(0.8, 0.01)}, synthetic=["agiqa-3k"]))
    assert row["reason"].startswith(STAND_IN) and row["measured"] is None


def test_what_was_not_run_has_no_row(paper, recipe):
    claims = list(claims_of(paper, "liqe-frozen").values())
    rows = decide(claims, paper.document, make_suite(recipe, {CELL: around(0.8, 0.01)}))
    assert {row["id"].rpartition("/")[0] for row in rows} == {"rivals/IV/liqe-frozen/agiqa-3k/quality"}


def test_a_method_that_no_table_has_is_refused(paper, monkeypatch):
    wrong = {"liqe-frozen": paper.document["rivals"]["liqe-frozen"] | {"printed": {"IV": "LIQUE"}}}
    monkeypatch.setitem(paper.document, "rivals", wrong)
    with pytest.raises(InputError, match=r"rivals.liqe-frozen: Table IV has no method 'LIQUE'"):
        rival_claims(paper, CLAIMS, [])
