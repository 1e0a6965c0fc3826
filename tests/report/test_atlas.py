import pandas as pd
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS

from mstclipiqa.data.prior_results import read_prior_results
from mstclipiqa.report.atlas import atlas
from mstclipiqa.report.results_folder import read_results


def test_the_papers_numbers_stand_among_those_of_others(make_results):
    table = atlas(read_results(make_results(), PAPER_TABLES, CLAIMS, PRIOR_RESULTS))
    assert table.csv().count("\n") == 615
    shown = zip(table.groups, table.shown.to_dict("records"), strict=True)
    rows = {(group.text, row["Benchmark"]): row for group, row in shown}
    assert len(rows) == 10 and sum(row["Higher"].text != "0" for row in rows.values()) == 8
    row = rows["Authenticity", "AIGCIQA2023"]
    assert [row["MST-CLIPIQA"], row["MST-CLIPIQA*"]] == ["0.8149", "0.8170"]
    others = read_prior_results(PRIOR_RESULTS).query(
        "benchmark == 'aigciqa2023' and target == 'authenticity' and standing != 'doubted' "
        "and not method.str.startswith('MST')"
    )
    best = others.groupby("method")["srcc"].max()
    assert row["Rank"] == f"{(best > 0.8170).sum() + 1} of {len(best) + 1}"
    assert row["Highest"].text == f"M3-AGIQA {best.max():.4f}"
    assert "one random image-level split" in row["Highest"].note and "arxiv.org/abs/2502.15167" in row["Highest"].note


def test_the_papers_models_need_not_be_run(make_results):
    table = atlas(read_results(make_results(variants=("mst-clipiqa",)), PAPER_TABLES, CLAIMS, PRIOR_RESULTS))
    assert {"MST-CLIPIQA", "MST-CLIPIQA*"} <= set(table.shown)


def test_one_methods_numbers_differ_from_source_to_source(make_results):
    table = atlas(read_results(make_results(), PAPER_TABLES, CLAIMS, PRIOR_RESULTS))
    rows = [row for row in table.shown.to_dict("records") if row["Benchmark"] == "AGIQA-1K"]
    assert str(rows[0]["LIQE"]) == "0.8572–0.8927 6 results"


def test_later_ones_are_told_apart_and_doubted_ones_do_not_count(make_results):
    results = read_results(make_results(), PAPER_TABLES, CLAIMS, PRIOR_RESULTS)
    counted = {row["Benchmark"]: row for row in atlas(results).shown.to_dict("records")[:5]}
    assert str(counted["AGIQA-3K"]["Higher"]) == "5 5 later"
    assert "AAPMT" not in str(counted["AGIQA-3K"]["Highest"])


def test_a_suite_need_not_train_the_papers_models(make_results):
    whole, other = (
        atlas(read_results(make_results(**options), PAPER_TABLES, CLAIMS, PRIOR_RESULTS))
        for options in ({}, {"variants": ["coarse-only"]})
    )
    assert whole.shown.equals(other.shown)


def test_without_its_parts_there_is_no_atlas(make_results):
    root = make_results()
    for files in [(), (PAPER_TABLES, CLAIMS), (PAPER_TABLES, None, PRIOR_RESULTS), (None, CLAIMS, PRIOR_RESULTS)]:
        assert atlas(read_results(root, *files)) is None


def test_the_csv_is_the_file(make_results, tmp_path):
    table = atlas(read_results(make_results(), PAPER_TABLES, CLAIMS, PRIOR_RESULTS))
    (tmp_path / "atlas.csv").write_text(table.csv())
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "atlas.csv"), pd.read_csv(PRIOR_RESULTS))
