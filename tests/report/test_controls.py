"""The controls' tables and figure: numbers by hand, reasons for what has no number, nothing where there is nothing."""

import numpy as np
import pandas as pd
import pytest
from results_beside import write_baselines, write_curves, write_transfer
from results_tables import table_of

from mstclipiqa.base.layout import COMPARISONS, GENERATORS, INTERVALS
from mstclipiqa.base.names import GROUP
from mstclipiqa.report import controls, figures, page
from mstclipiqa.report.results import read_results


@pytest.fixture
def controlled(make_results):
    def make(*synthetic):
        root = make_results(present={"agiqa-1k": 40, "agiqa-3k": 60}, synthetic=synthetic)
        for write in (write_baselines, write_curves, write_transfer):
            write(root)
        return root

    return make


@pytest.fixture
def root(controlled):
    return controlled("agiqa-1k")


def rows_of(table, heading):
    chosen = [group.text == heading for group in table.groups]
    return table.shown[chosen].set_index(table.shown.columns[0])


def test_a_suite_without_controls_has_none_of_it(make_results):
    results = read_results(make_results())
    assert [make(results) for make in controls.TABLES] == [None] * len(controls.TABLES)
    assert figures.learning_curves(results) is None
    assert not {"baselines", "learning_rates", "transfer"} & set(page.make_tables(results))


def test_heads_stand_beside_their_rivals_at_an_honest_epoch(root):
    results = read_results(root)
    table = controls.baselines(results)
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
    table = controls.baselines(read_results(root))
    assert "prompt mean" not in rows_of(table, "Quality, grouped3").index
    assert "prompt mean" in rows_of(table, "Quality, lab-seed1").index
    (note,) = [note for note in table.notes if note.startswith("Prompt mean has no number")]
    assert "gets the same prediction" in note and note.endswith("grouped3 of AGIQA-3K.")


def test_undefined_runs_are_not_averaged_away(make_results):
    root = make_results(values={"srcc": [0.9, float("nan"), 0.7]})
    write_baselines(root)
    results = read_results(root)
    rows = rows_of(controls.baselines(results), "Quality, grouped3").loc["MST-CLIPIQA"].set_index(("", "Recipe"))
    assert str(rows.loc["Released code"]["AGIQA-3K", "SRCC"]) == "undefined in some runs"
    table = controls.heads_against_ridge(results)
    assert table.full.set_index(["recipe", "variant"]).loc[("released_code", "mst-clipiqa"), "cells"] == 3


def test_gains_over_ridge_by_hand(make_results):
    root = make_results(values={"srcc": [0.3, 0.5, 0.4]})
    write_baselines(root)
    results = read_results(root)
    full = controls.heads_against_ridge(results).full.set_index(["recipe", "variant"])
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


STAR, PERMUTED, NO_PROMPT = "mst-clipiqa-star", "star-permuted", "star-no-prompt"


def write_prompts(root, gains):
    """Intervals of every mean, and what MST-CLIPIQA* gains over each variant: (difference, low, high)."""
    means = read_results(root).metrics.groupby(GROUP)["srcc"].mean().reset_index()
    tested = [
        means[means["variant"] == STAR].drop(columns="srcc").assign(
            against=against, metric=metric, difference=gain, low=low, high=high
        )
        for against, (gain, low, high) in gains.items() for metric in ("srcc", "plcc")
    ]  # fmt: skip
    for entry, table in ((INTERVALS, means), (COMPARISONS, pd.concat(tested)), (GENERATORS, ())):
        entry.write(entry.at(root), table_of(entry, table), {})


def test_the_true_prompt_stands_beside_others_with_its_gain(make_results):
    root = make_results(variants=["mst-clipiqa", STAR, PERMUTED, NO_PROMPT])
    gains = {PERMUTED: (-0.0027, -0.01, 0.005), NO_PROMPT: (0.02, 0.001, 0.04), "mst-clipiqa": (0.1, np.nan, np.nan)}
    write_prompts(root, gains)
    results = read_results(root)
    table = controls.prompts(results)
    rows = rows_of(table, "Quality: grouped3, epoch chosen on validation; recipe Main text")
    assert list(rows.index) == [
        "MST-CLIPIQA*",
        "MST-CLIPIQA",
        "Another image's prompt",
        "Head of MST-CLIPIQA*, no prompt",
    ]
    gain = rows["AGIQA-3K", "Gain of the true prompt"]
    assert [str(cell) for cell in gain] == [
        "—", "+0.1000 no interval", "-0.0027 [-0.0100, +0.0050]", "+0.0200 [+0.0010, +0.0400]",
    ]  # fmt: skip
    runs = results.metrics.query(
        f"variant == '{PERMUTED}' and target == 'quality' and recipe == 'main_text' and protocol == 'grouped3' "
        "and selection == 'validation'"
    )
    assert rows.loc["Another image's prompt"]["AGIQA-3K", "SRCC"] == f"{runs['srcc'].mean():.4f}"
    # two targets, two protocols, two recipes; MST-CLIPIQA is no other prompt
    assert table.notes[0] == (
        "16 gains of the true prompt over another prompt or none have an interval: 8 above 0, 0 below 0, 8 that hold 0."
    )


def test_where_no_interval_is_above_0_nothing_says_that_the_prompt_matters(make_results):
    root = make_results(variants=[STAR, PERMUTED])
    write_prompts(root, {PERMUTED: (-0.0027, -0.01, 0.005)})
    assert controls.prompts(read_results(root)).notes[0].endswith("Nothing here says that what a prompt says matters.")


def test_other_prompts_are_shown_without_the_true_one(make_results):
    root = make_results(variants=[PERMUTED])
    write_prompts(root, {PERMUTED: (0.0, 0.0, 0.0)})
    table = controls.prompts(read_results(root))
    assert {str(cell) for cell in table.shown["AGIQA-3K", "Gain of the true prompt"]} == {"—"}
    assert table.notes[0] == "No gain of the true prompt has an interval here: that takes several seeds, or splits."


def test_without_other_prompts_there_is_no_table_of_them(make_results):
    root = make_results()
    write_prompts(root, {"mst-clipiqa": (0.1, 0.0, 0.2)})
    assert controls.prompts(read_results(root)) is None


def test_learning_rates_end_where_the_curves_do(root):
    table = controls.learning_rates(read_results(root))
    rows = rows_of(table, "Released code")
    assert [str(label) for label in rows.index] == ["5e-06 the recipe's own", "5e-05", "ridge on f_c and f_f"]
    assert list(rows["Epochs"]) == ["3", "2", "—"]
    assert list(rows["SRCC, test"]) == ["0.4000", "0.6000", "0.6500"]
    assert list(rows["Test less ridge"]) == ["-0.2500", "-0.0500", "—"]
    assert "Released code at 5e-05 stopped early: the run has diverged" in table.notes


def test_transfer_marks_a_benchmarks_own_images(root):
    table = controls.transfer(read_results(root))
    rows = rows_of(table, "MST-CLIPIQA, Main text")
    assert str(rows.loc["AGIQA-3K"]["Tested on", "AGIQA-3K"]) == "0.7000 own"
    assert str(rows.loc["AGIQA-3K"]["Tested on", "AGIQA-1K"]) == "0.3000"
    assert len(rows_of(table, "Ridge on f_c and f_f")) == 2
    assert any(note.startswith("Synthetic") and "AGIQA-1K" in note for note in table.notes)


def test_what_was_measured_between_real_and_drawn_benchmarks_is_of_neither(root):
    assert not [part for part in read_results(root).parted() if controls.transfer(part)]


def test_the_page_shows_them_and_is_the_same_again(controlled, tmp_path):
    root = controlled()
    for name in ("one", "two"):
        page.write_report(root, tmp_path / name)
    html = (tmp_path / "one" / "index.html").read_text()
    for anchor in ("baselines", "curves", "transfer"):
        assert f'href="#{anchor}"' in html and f'<section id="{anchor}"' in html
    assert 'id="drawn-learning_curves"' in html
    for path in ("index.html", "figures/learning_curves.svg", "figures/learning_curves.png", "tables/transfer.csv"):
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
