import json

import pytest
from config_files import CLAIMS, PAPER_TABLES
from report_page import Page
from results_folder import add_claims

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_json
from mstclipiqa.report import write_report
from mstclipiqa.report.claims import claim_tables
from mstclipiqa.report.results_folder import read_results


@pytest.fixture
def tables(make_results):
    return lambda **options: claim_tables(read_results(add_claims(make_results(**options))))


def test_without_verdicts_there_is_no_section(make_results, tmp_path):
    results = make_results()
    assert claim_tables(read_results(results)) == {}
    write_report(results, tmp_path / "report", PAPER_TABLES, CLAIMS)
    assert "The paper’s claims" not in Page(tmp_path / "report" / "index.html").text


def test_the_page_begins_with_the_claims(make_results, tmp_path):
    results, out = add_claims(make_results()), tmp_path / "reports" / "tiny"
    write_report(results, out, PAPER_TABLES, CLAIMS)
    page = Page(out / "index.html")
    assert page.all("section")[0]["id"] == "claims"
    assert "409 claims, each counted once." in page.text
    assert "the paper's own tables say +1.50 over LIQE" in page.text
    assert not any("open" in folded for folded in page.all("details"))
    assert "Table IV: quality (20 claims)" in page.text
    assert {link["href"][0] for link in page.all("a")} == {"#", "h"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_verdict_is_counted_once(tables):
    made = tables()
    counts = made["verdicts"].full.set_index("verdict")
    rows = made["all_claims"].full
    assert counts["counted"].sum() == rows["counts"].sum() == rows["id"].nunique()
    assert list(counts.index)[:2] == ["consistent", "contradicted"]
    titles = list(made["verdicts"].shown.columns)
    assert titles[:4] == ["Verdict", "Claims", "Beside: Released code", "Beside: Main text"]
    assert counts.loc["contradicted", "counted"] == 18 == len(made["contradictions"].shown)


def test_a_row_has_what_every_recipe_measured(tables):
    table = tables()["claims_table_iv_quality"]
    chosen = table.full.query("id == 'IV/MST-CLIPIQA/agiqa-3k/quality/srcc' and recipe == 'released_code'")
    assert list(chosen["protocol"]) == ["lab-seed1", "grouped3"]
    first = chosen.iloc[0]
    rows = table.shown[[str(cell).startswith("MST-CLIPIQA (mst") for cell in table.shown["", "Claim"]]]
    row = rows[[("SRCC 0.9091" in str(cell)) for cell in rows["", "Claim"]]].iloc[0]
    measured = row["Released code", "Measured"]
    assert measured.text == f"{first['measured']:.4f}"
    assert measured.note == f"[{first['low']:.4f}, {first['high']:.4f}] 2 runs"
    assert measured.files == ("agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet",)
    assert row["", "Claimed"] == "0.9091"
    assert row["", "Leakage"] == "100.0 %"
    # Recipes that the suite leaves out have no column.
    assert ("Converged (ours)", "Measured") not in table.shown.columns
    assert "not run: benchmark agiqa-1k is not in this suite." in table.notes


def test_every_file_that_a_claim_rests_on_is_linked(make_results, tmp_path):
    results, out = add_claims(make_results()), tmp_path / "reports" / "tiny"
    document = json.loads((results / "claims.json").read_text())
    claim = next(claim for claim in document["claims"] if claim["files"])
    claim["files"] += [claim["files"][0].replace("mst-clipiqa", "mst-clipiqa-star")]
    write_json(results / "claims.json", document)
    write_report(results, out, PAPER_TABLES, CLAIMS)
    links = [link for link in Page(out / "index.html").all("a") if link.get("title") == claim["files"][1]]
    assert {link["data-run"] for link in links} == {claim["files"][1]}


def test_nothing_synthetic_stands_beside_a_claim(tables):
    made = tables(synthetic=("agiqa-3k",))
    rows = made["claims_table_iv_quality"].full.query("id.str.contains('agiqa-3k') and recipe == 'released_code'")
    assert set(rows["verdict"]) == {"untestable"}
    assert rows["measured"].isna().all()
    assert "untestable: drawn stand-in." in made["claims_table_iv_quality"].notes


def test_verdicts_that_cannot_be_read_are_named(make_results):
    root = make_results()
    (root / "claims.json").write_text(json.dumps({"claims": []}))
    with pytest.raises(InputError, match=r"claims\.json: no verdicts .*; delete it and run again"):
        claim_tables(read_results(root))
