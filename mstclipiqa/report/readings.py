"""The readings that were tried of each gain that the paper's own tables contradict."""

import pandas as pd

from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

COLUMNS = ["Gain", "Printed", "Tried", "Give it", "By chance", "As named", "Closest"]


def readings(results: Results, document: dict) -> Table:
    """A row per gain and metric. The CSV has every reading that gives the figure, and the closest of the others."""
    statements = {row["id"]: row for row in document["claims"].to_dict("records")}
    full, shown = [], []
    for row in document["readings"]:
        hits, nearest = row["hits"], row["nearest"]
        for reading in hits or [nearest]:
            full.append({"id": row["id"], "claimed": row["claimed"], "gives_it": bool(hits), **reading})
        first = hits[0] if hits else nearest
        shown.append(
            {
                "Gain": statements[row["id"]]["statement"],
                "Printed": f"{row['claimed']:.2f}",
                "Tried": f"{row['tried']:,}",
                "Give it": str(len(hits)),
                "By chance": f"{row['by_chance']:.1f}",
                "As named": f"{row['named_hits']} of {row['named_tried']}",
                "Closest": Cell(f"{first['value']:.3f}", _describe(results, first)) if first else DASH,
            }
        )
    return Table(
        "claims_readings",
        "Contradicted gains read in every other way: which readings give the printed figure.",
        pd.DataFrame(full).assign(columns=[", ".join(row["columns"]) for row in full]) if full else pd.DataFrame(),
        frame_of(shown, COLUMNS),
        numeric=tuple(COLUMNS[1:6]),
        notes=[
            "A reading takes one of the paper’s models, a rival of the table, some of its benchmarks, and a way: "
            "points or per cent of the rival, mean or median, mean of ratios or ratio of means. It gives the figure if "
            "it lies within half of its last digit.",
            "By chance: the readings within half a point of the figure, spread evenly, of which one in a hundred "
            "gives it. Readings of overlapping benchmarks are alike, so hits come in clusters. Where many are "
            "tried, a hit says little.",
            "As named: readings of the model and the rival that the sentence names. The closest of them is shown where "
            "one gives the figure, otherwise the closest of all.",
        ],
    )


def _describe(results: Results, reading: dict) -> str:
    titles = {name: results.title("benchmarks", name) for name in results.benchmarks}
    names = [titles.get(name, f"printed {name}") for name in reading["columns"]]
    return f"{reading['ours']} over {reading['rival']}; {', '.join(names)}; {reading['way']}"
