from results_folder import add_claims

from mstclipiqa.report.mechanisms import mechanism_tables
from mstclipiqa.report.results_folder import read_results


def rows_of(root):
    (table,) = mechanism_tables(read_results(root)).values()
    return table, [row | {"group": group.text} for group, row in
                   zip(table.groups, table.shown.to_dict("records"), strict=True)]  # fmt: skip


def test_without_verdicts_there_is_no_table(make_results):
    assert mechanism_tables(read_results(make_results())) == {}


def test_what_the_probe_measured_stands_beside_its_claim(make_results):
    """The coarse stream is ahead on objects by 0.2 and behind on styles by 0.1, the fine one on artefacts by 0.3."""
    table, rows = rows_of(add_claims(make_results(probe=True)))
    streams = [row for row in rows if row["group"] == "Semantics and distortions are told apart"]
    content, distortion, blind = streams
    assert (content["Measured"].text, content["Recipe"]) == ("+0.0500", "Main text, Released code")
    assert content["Verdict"].text == "inconclusive"
    assert distortion["Measured"].text == "+0.3000" and distortion["Verdict"].text == "reproduced"
    assert distortion["Measured"].files[0] == "probe/main_text/readout.parquet"
    assert blind["Measured"].text.startswith("-0.0") and blind["Verdict"].text == "inconclusive"
    # Recipes that the suite leaves out have no row.
    assert "Converged (ours)" not in {row["Recipe"] for row in rows}
    assert table.title == "How the models work, and the rival without training (14 claims)"


def test_the_csv_has_every_recipe_and_reason(make_results):
    table, _ = rows_of(add_claims(make_results()))
    assert table.full["id"].nunique() == 14
    assert set(table.full.loc[table.full["verdict"] == "not run", "reason"]) >= {
        "a probe of released_code is not in this suite", "a table of costs is not in this suite",
    }  # fmt: skip


def test_drawn_images_show_no_number(make_results):
    _, rows = rows_of(add_claims(make_results(probe=True, synthetic=("agiqa-3k",))))
    streams = [row for row in rows if row["group"] == "Semantics and distortions are told apart"]
    assert {str(row["Verdict"]) for row in streams} == {"untestable drawn stand-in"}
    assert {row["Measured"].text for row in streams} == {"—"}
