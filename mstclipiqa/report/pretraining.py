"""How the small pair was trained, as its card says."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from mstclipiqa.report.canvas import COLOURS, MARKERS, STYLE, Figure, finish
from mstclipiqa.report.results import Results

#: The learning curves of the weights that ship with the package, and their columns.
WEIGHTS = Path(__file__).parents[1] / "encoders" / "weights"

PRETRAINING = {
    "contrastive": "contrastive loss",
    "levels": "quality-level loss",
    "artefacts": "artefact loss",
    "auxiliary": "auxiliary loss",
    "retrieval": "retrieval, 64 ways",
    "zero_shot_quality": "zero-shot quality, SRCC",
}


def pretraining(results: Results) -> Figure | None:
    """How the embedded encoders learned, a panel per loss and per test; None where no encoder is embedded."""
    models = [entry["model"] for entry in results.manifest["encoders"].values() if entry.get("weights") == "embedded"]
    files = {model: WEIGHTS / f"{model}.csv" for model in models}
    curves = {model: pd.read_csv(path) for model, path in files.items() if path.is_file()}
    if not curves:
        return None
    names = PRETRAINING
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(7.6, 3.6), layout="constrained")
        panels = canvas.subplots(2, 3).ravel()
        for ax, (column, title) in zip(panels, names.items(), strict=True):
            for (_, curve), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
                ax.plot(curve["step"], curve[column], color=colour, marker=marker, markersize=2.5, linewidth=1.1)
            ax.set(title=title, xlabel="step")
            sns.despine(ax=ax)
        lines = [
            Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=1.1)
            for colour, marker, _ in zip(COLOURS, MARKERS, curves, strict=False)
        ]
        canvas.legend(lines, curves, loc="outside lower right", ncols=len(curves), frameon=False)
        ends = "; ".join(
            f"{model} {curve['retrieval'].iloc[-1]:.3f} and {curve['zero_shot_quality'].iloc[-1]:.3f}"
            for model, curve in curves.items()
        )
        caption = (
            "Pretraining of the embedded pair on drawn pictures: losses of the training batch, and on 768 held-out "
            "pictures the share of captions found among 64 and the SRCC of zero-shot quality with the true strength of "
            f"the artefacts. At the end: {ends}."
        )
        return finish(canvas, "pretraining", caption, f"Lines by training step. At the end: {ends}.")
