"""Rivals without a head: numbers by hand, reasons for what has no number."""

import pytest
from results_beside import write_baselines
from results_tables import rows_of

from mstclipiqa.report import rivals
from mstclipiqa.report.results_folder import read_results


def test_heads_stand_beside_their_rivals_at_an_honest_epoch(root):
    results = read_results(root)
    table = rivals.baselines(results)
    rows = rows_of(table, "Quality, grouped3")
    assert str(rows.loc["ridge on f_c and f_f"]["AGIQA-3K", "SRCC"]) == "0.5000 ± 0.1000"
    assert str(rows.loc["ridge on f_c and f_f"]["AGIQA-3K", "PLCC"]) == "0.4000 ± 0.0000"
    heads = rows.loc[["MST-CLIPIQA", "MST-CLIPIQA*"]]
    assert list(heads["", "Recipe"]) == ["Released code", "Main text"] * 2
    for protocol, selection in (("grouped3", "validation"), ("lab-seed1", "last")):
        runs = results.metrics.query(
            "benchmark == 'agiqa-3k' and target == 'quality' and recipe == 'main_text' and variant == 'mst-clipiqa' "
            f"and protocol == '{protocol}' and selection == '{selection}'"
        )
        row = rows_of(table, f"Quality, {protocol}").loc["MST-CLIPIQA"].set_index(("", "Recipe")).loc["Main text"]
        assert row["AGIQA-3K", "SRCC"].text == f"{runs['srcc'].mean():.4f}"
    headings = {group.text: group.note for group in table.groups}
    assert headings["Quality, lab-seed1"] == "heads at the last epoch"
    assert list(headings)[:2] == ["Quality, lab-seed1", "Quality, grouped3"]
    assert any("Chosen for ridge on f_c and f_f: 3 to 30." in note for note in table.notes)


def test_what_has_no_number_says_why(root):
    table = rivals.baselines(read_results(root))
    assert "prompt mean" not in rows_of(table, "Quality, grouped3").index
    assert "prompt mean" in rows_of(table, "Quality, lab-seed1").index
    (note,) = [note for note in table.notes if note.startswith("Prompt mean has no number")]
    assert "gets the same prediction" in note and note.endswith("grouped3 of AGIQA-3K.")


def test_undefined_runs_are_not_averaged_away(make_results):
    root = make_results(values={"srcc": [0.9, float("nan"), 0.7]})
    write_baselines(root)
    results = read_results(root)
    rows = rows_of(rivals.baselines(results), "Quality, grouped3").loc["MST-CLIPIQA"].set_index(("", "Recipe"))
    assert str(rows.loc["Released code"]["AGIQA-3K", "SRCC"]) == "undefined in some runs"
    table = rivals.heads_against_ridge(results)
    assert table.full.set_index(["recipe", "variant"]).loc[("released_code", "mst-clipiqa"), "cells"] == 3


def test_gains_over_ridge_by_hand(make_results):
    root = make_results(values={"srcc": [0.3, 0.5, 0.4]})
    write_baselines(root)
    results = read_results(root)
    full = rivals.heads_against_ridge(results).full.set_index(["recipe", "variant"])
    row = full.loc[("released_code", "mst-clipiqa")]
    assert row["cells"] == 4  # two targets, two protocols
    runs = (
        results.metrics.query("recipe == 'released_code' and variant == 'mst-clipiqa'")
        .set_index(["target", "protocol", "selection", "split"])["srcc"]
        .sort_index()
    )
    gains = [0.4 - 0.5]  # quality, grouped3: 0.4 in the mean, where ridge has 0.5
    gains += [runs.loc[(target, "lab-seed1", "last")].mean() - 0.4 for target in ("quality", "correspondence")]
    gains += [runs.loc[("correspondence", "grouped3", "validation")].mean() - 0.5]
    assert row["min"] == pytest.approx(min(gains)) and row["max"] == pytest.approx(max(gains))
    assert row["mean"] == pytest.approx(sum(gains) / 4) and row["above"] == sum(gain > 0 for gain in gains)
