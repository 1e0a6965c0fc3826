from mstclipiqa.report import intervals, write_report
from mstclipiqa.report.results_folder import read_results


def test_an_interval_stands_beside_its_mean(make_statistics):
    results = read_results(make_statistics())
    table = intervals.intervals(results)
    row = table.shown.iloc[0]
    mean = results.metrics.query(
        "target == 'quality' and protocol == 'lab-seed1' and selection == 'best-on-test'"
        " and recipe == 'released_code' and variant == 'mst-clipiqa' and benchmark == 'agiqa-3k'"
    )["srcc"].item()
    assert str(row["AGIQA-3K", "SRCC"]) == f"{mean:.4f} [{mean - 0.1:.3f}, {mean + 0.1:.3f}]"
    assert row["AGIQA-3K", "SD splits"] == "—"
    assert ("AGIQA-3K", "SD seeds") not in table.shown
    # the main selection of each protocol, of both targets, recipes and models
    assert len(table.shown) == 2 * 2 * 2 * 2
    assert [group.note for group in table.groups[::4]] == ["noise of images", "noise of images and splits"] * 2
    assert len(table.full) == 32


def test_paired_tests_show_the_adjusted_p_of_each_family(make_statistics):
    table = intervals.paired_tests(read_results(make_statistics()))
    assert len(table.shown) == 2 * 2  # recipes, protocols
    assert {str(cell) for cell in table.shown["AGIQA-3K", "Quality"]} == {"+0.0123 p 0.020"}
    assert table.groups[0].note == "2 tests, noise of images, seeds"
    assert "8 of 8 tests have an adjusted p below 0.05" in table.notes[0]


def test_the_page_has_the_three_sections(make_statistics, tmp_path):
    root = make_statistics()
    write_report(root, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    for heading in ("Intervals and paired tests", "Protocol audit", "By generator"):
        assert page.count(f">{heading}</h2>") == 1
    assert {path.stem for path in (tmp_path / "report" / "tables").glob("*.csv")} >= {
        "intervals", "paired_tests", "protocol_audit", "by_generator",
    }  # fmt: skip
