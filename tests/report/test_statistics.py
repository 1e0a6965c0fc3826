import numpy as np
import pandas as pd
import pytest
from config_files import CLAIMS, PAPER_TABLES
from results_beside import write_statistics

from mstclipiqa.report import statistics, write_report
from mstclipiqa.report.results import read_results

CLAIMED = {"mst-clipiqa": "+0.89", "mst-clipiqa-star": "+1.11"}


@pytest.fixture
def make_statistics(make_results):
    """A results folder with the three tables of statistics, about the means of its metrics."""

    def make(**options):
        root = make_results(**options)
        write_statistics(root)
        return root

    return make


def test_an_interval_stands_beside_its_mean(make_statistics):
    results = read_results(make_statistics())
    table = statistics.intervals(results)
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
    table = statistics.paired_tests(read_results(make_statistics()))
    assert len(table.shown) == 2 * 2  # recipes, protocols
    assert {str(cell) for cell in table.shown["AGIQA-3K", "Quality"]} == {"+0.0123 p 0.020"}
    assert table.groups[0].note == "2 tests, noise of images, seeds"
    assert "8 of 8 tests have an adjusted p below 0.05" in table.notes[0]


def test_the_audit_is_the_difference_of_the_means(make_results):
    results = read_results(make_results(), PAPER_TABLES, CLAIMS)
    table = statistics.protocol_audit(results)
    means = results.metrics.groupby(["target", "recipe", "variant", "protocol", "selection"])["srcc"].mean()
    for row, group in zip(table.shown.to_dict("records"), table.groups, strict=True):
        variant = "mst-clipiqa" if row["Method"] == "MST-CLIPIQA" else "mst-clipiqa-star"
        recipe = "released_code" if row["Recipe"] == "Released code" else "main_text"
        scores = means[group.text.lower(), recipe, variant]
        by_prompt = 100 * (scores["grouped3", "last"] - scores["lab-seed1", "last"])
        epoch = 100 * (scores["lab-seed1", "best-on-test"] - scores["lab-seed1", "last"])
        assert row["grouped3 − lab-seed1, last epoch"].text == f"{by_prompt:+.2f}"
        assert row["lab-seed1: best epoch on test − last"].text == f"{epoch:+.2f}"
        if group.text == "Quality":
            gain = CLAIMED[variant]
            assert row["Gain claimed"] == gain
            assert row["Largest move / gain"] == f"{max(abs(by_prompt), abs(epoch)) / float(gain):.1f}"
    assert set(table.full["kind"]) == {"prompts", "epoch"}


def test_a_seed_is_held_against_the_mean_of_all_seeds():
    row = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "r", "variant": "mst-clipiqa", "split": 0}
    scores = {"lab-seed0": 0.80, "lab-seed1": 0.90, "lab-seed2": 0.82, "lab-seed42": 0.84, "random3": 0.81}
    metrics = pd.DataFrame([row | {"protocol": p, "selection": "last", "srcc": s} for p, s in scores.items()])
    moves = statistics.protocol_moves(metrics)
    assert moves["move"].tolist() == ["lab-seed1 − mean of 4 lab seeds, last epoch"]
    assert moves["difference"].item() == pytest.approx(0.90 - (0.80 + 0.90 + 0.82 + 0.84) / 4)


def test_no_claimed_gain_stands_beside_drawn_images(make_results):
    present = {"agiqa-3k": 60, "aigciqa2023": 60}
    results = read_results(make_results(present=present, synthetic=("agiqa-3k",)), PAPER_TABLES, CLAIMS)
    table = statistics.protocol_audit(results)
    for row, group in zip(table.shown.to_dict("records"), table.groups, strict=True):
        if "synthetic" in group.note:
            assert group.note == "AGIQA-3K (synthetic)" and row["Gain claimed"] == "—"
    assert table.full.loc[table.full["benchmark"] == "agiqa-3k", "claimed_gain_points"].isna().all()
    assert table.full.loc[table.full["benchmark"] == "aigciqa2023", "claimed_gain_points"].notna().any()


def test_without_the_claims_the_audit_has_no_gains(make_results):
    table = statistics.protocol_audit(read_results(make_results(), PAPER_TABLES))
    assert "Gain claimed" not in table.shown and table.full["claimed_gain_points"].isna().all()
    assert "LIQE" not in table.caption and len(table.notes) == 2


def test_the_spread_over_generators(make_statistics):
    table = statistics.by_generator(read_results(make_statistics()))
    # grouped3 chooses its epoch on validation, lab-seed1 on the test images
    assert {group.text for group in table.groups} == {
        f"{target}: grouped3, epoch chosen on validation" for target in ("Quality", "Correspondence")
    }
    row = table.shown.iloc[0]
    assert (row["diffusion"], str(row["GAN"])) == ("0.6000", "— 2 of 2 runs undefined")
    assert (str(row["Least"]), str(row["Greatest"]), row["Generators"]) == ("0.5000 SD1.5", "0.7000 GLIDE", "2 of 3")
    assert row["SD"] == f"{np.std([0.5, 0.7], ddof=1):.4f}"


def test_without_statistics_there_is_the_audit_alone(make_results):
    results = read_results(make_results())
    assert [table for table in (make(results) for make in statistics.TABLES) if table] and not results.statistics
    assert statistics.intervals(results) is statistics.paired_tests(results) is statistics.by_generator(results) is None


def test_without_runs_there_is_nothing(make_results):
    results = read_results(make_results(present={}))
    assert [make(results) for make in statistics.TABLES] == [None] * len(statistics.TABLES)


def test_the_page_has_the_three_sections(make_statistics, tmp_path):
    root = make_statistics()
    write_report(root, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    for heading in ("Intervals and paired tests", "Protocol audit", "By generator"):
        assert page.count(f">{heading}</h2>") == 1
    assert {path.stem for path in (tmp_path / "report" / "tables").glob("*.csv")} >= {
        "intervals", "paired_tests", "protocol_audit", "by_generator",
    }  # fmt: skip
