import pandas as pd
import pytest
from config_files import CLAIMS, PAPER_TABLES

from mstclipiqa.report.protocol_audit import protocol_audit, protocol_moves
from mstclipiqa.report.results_folder import read_results

CLAIMED = {"mst-clipiqa": "+0.89", "mst-clipiqa-star": "+1.11"}


def test_the_audit_is_the_difference_of_the_means(make_results):
    results = read_results(make_results(), PAPER_TABLES, CLAIMS)
    table = protocol_audit(results)
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
    moves = protocol_moves(metrics)
    assert moves["move"].tolist() == ["lab-seed1 − mean of 4 lab seeds, last epoch"]
    assert moves["difference"].item() == pytest.approx(0.90 - (0.80 + 0.90 + 0.82 + 0.84) / 4)


def test_no_claimed_gain_stands_beside_drawn_images(make_results):
    present = {"agiqa-3k": 60, "aigciqa2023": 60}
    results = read_results(make_results(present=present, synthetic=("agiqa-3k",)), PAPER_TABLES, CLAIMS)
    table = protocol_audit(results)
    for row, group in zip(table.shown.to_dict("records"), table.groups, strict=True):
        if "synthetic" in group.note:
            assert group.note == "AGIQA-3K (synthetic)" and row["Gain claimed"] == "—"
    assert table.full.loc[table.full["benchmark"] == "agiqa-3k", "claimed_gain_points"].isna().all()
    assert table.full.loc[table.full["benchmark"] == "aigciqa2023", "claimed_gain_points"].notna().any()


def test_without_the_claims_the_audit_has_no_gains(make_results):
    table = protocol_audit(read_results(make_results(), PAPER_TABLES))
    assert "Gain claimed" not in table.shown and table.full["claimed_gain_points"].isna().all()
    assert "LIQE" not in table.caption and len(table.notes) == 2
