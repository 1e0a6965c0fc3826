"""What the true prompt gains over others."""

import numpy as np
import pandas as pd
from results_tables import rows_of, table_of

from mstclipiqa.base.layout import COMPARISONS, GENERATORS, INTERVALS
from mstclipiqa.base.names import GROUP
from mstclipiqa.report.prompts import prompts
from mstclipiqa.report.results_folder import read_results

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
    table = prompts(results)
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
        "Intervals of the true prompt's gains over another prompt or none: 16, of which 8 above 0, 0 below 0, "
        "8 holding 0."
    )


def test_where_no_interval_is_above_0_nothing_says_that_the_prompt_matters(make_results):
    root = make_results(variants=[STAR, PERMUTED])
    write_prompts(root, {PERMUTED: (-0.0027, -0.01, 0.005)})
    assert prompts(read_results(root)).notes[0].endswith("Nothing here says that what a prompt says matters.")


def test_other_prompts_are_shown_without_the_true_one(make_results):
    root = make_results(variants=[PERMUTED])
    write_prompts(root, {PERMUTED: (0.0, 0.0, 0.0)})
    table = prompts(read_results(root))
    assert {str(cell) for cell in table.shown["AGIQA-3K", "Gain of the true prompt"]} == {"—"}
    assert table.notes[0] == "No gain of the true prompt has an interval here: that takes several seeds, or splits."


def test_without_other_prompts_there_is_no_table_of_them(make_results):
    root = make_results()
    write_prompts(root, {"mst-clipiqa": (0.1, 0.0, 0.2)})
    assert prompts(read_results(root)) is None
