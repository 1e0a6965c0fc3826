"""The table of methods whose scores were entered: what their authors say of them, and what is doubtful."""

import pandas as pd

from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: What a card claims, by its key, as the page calls it.
CLAIMED = {
    "paper": "Paper", "code": "Code", "licence": "Licence", "training_data": "Training data",
    "saw_test_images": "Trained on test images?",
}  # fmt: skip


def entered_methods(results: Results) -> Table | None:
    """A row per entry: its card, as claimed; None of a suite without entries."""
    if not results.entries:
        return None
    full, shown = [], []
    for file, entry in results.entries.items():
        card, doubts = entry["card"], results.runs[file]["doubts"]
        full.append(dict(card) | {"doubts": "; ".join(doubts), "file": file})
        shown.append(
            {"Method": Cell(card["method"], files=(file,))}
            | {"Benchmark": results.title("benchmarks", card["benchmark"]), "Target": card["target"]}
            | {title: card[key] for key, title in CLAIMED.items()}
            | {"Doubts": "; ".join(doubts) or DASH}
        )
    return Table(
        "entered_methods",
        "Methods whose scores were entered: what their authors say of them, unchecked, and what is doubtful.",
        pd.DataFrame(full),
        frame_of(shown, list(shown[0])),
        notes=[
            "Scores that are the same in every split are tested under every protocol, and against every seed of a "
            "trained model. Whether a method was trained on test images, nobody checked.",
            "Implausible are scores that agree with the MOS better than the noise of raters allows the true scores, or "
            "as the MOS themselves do.",
        ],
    )
