from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS
from report_page import Page
from results_folder import add_claims

from mstclipiqa.report import write_report
from mstclipiqa.report.claims import claim_tables
from mstclipiqa.report.results_folder import read_results


def test_a_row_says_how_many_readings_give_the_figure_and_how_many_would_by_chance(make_results):
    table = claim_tables(read_results(add_claims(make_results())))["readings"]
    rows = {row["Gain"]: row for row in table.shown.to_dict("records")}
    assert len(rows) == 10
    row = rows["MST-CLIPIQA gains 0.89 points of SRCC and 0.93 of PLCC on quality over LIQE (SRCC)."]
    assert [row[name] for name in ("Printed", "Tried", "Give it", "As named")] == ["0.89", "1,454", "3", "2 of 120"]
    assert 0.5 < float(row["By chance"]) < 2
    assert row["Closest"].text == "0.890"
    assert row["Closest"].note == "MST-CLIPIQA over LIQE; AGIQA-1K, AIGCIQA2023; per cent, ratio of means"
    missed = next(row for row in rows.values() if row["Printed"] == "2.35")
    assert missed["Give it"] == "0" and missed["Closest"].text == "2.330"


def test_the_csv_has_every_reading_that_gives_the_figure(make_results):
    full = claim_tables(read_results(add_claims(make_results())))["readings"].full
    assert full.groupby("id", sort=False)["gives_it"].sum()["gain-quality/srcc"] == 3
    assert (abs(full["value"] - full["claimed"])[full["gives_it"]] <= 0.005 + 1e-9).all()
    assert full["id"].nunique() == 10


def test_the_page_folds_readings_and_atlas(make_results, tmp_path):
    out = tmp_path / "reports" / "tiny"
    write_report(add_claims(make_results()), out, PAPER_TABLES, CLAIMS, PRIOR_RESULTS)
    page = Page(out / "index.html")
    assert "Other readings of the contradicted gains (10)" in page.text
    assert "What others published on the same benchmarks (614 results)" in page.text
    assert "atlas" in [folded.get("id") for folded in page.all("details")]
    assert not any("open" in folded for folded in page.all("details"))
