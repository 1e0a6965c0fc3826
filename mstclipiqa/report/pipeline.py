"""A drawing of the model: two streams, the gate and the two heads, with the numbers of this suite."""

import textwrap

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import FancyBboxPatch

from mstclipiqa.base.names import LEVELS, MODELS
from mstclipiqa.report.canvas import COLOURS, INK, STYLE, Figure, finish
from mstclipiqa.report.results import Results

#: Frozen and trained parts by their colour.
FROZEN, TRAINED = COLOURS[0], COLOURS[1]
#: How wide a line of a box is, in characters.
LINE = 25


def pipeline(results: Results) -> Figure | None:
    """What happens to an image, from left to right; None for encoders without a coarse and a fine one."""
    encoders = results.manifest["encoders"]
    if not {"coarse", "fine"} <= set(encoders):
        return None
    counted = {name: _trained(results, name) for name in MODELS}
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(9.4, 2.9), layout="constrained")
        ax = canvas.subplots()
        ax.set(xlim=(-0.5, 100), ylim=(-0.5, 31.5))
        ax.axis("off")
        _box(ax, 0, 17, 11, 6, "image", _size(encoders["coarse"]))
        for role, symbol, y in (("coarse", "f_c", 24), ("fine", "f_f", 12)):
            identity = encoders[role]
            _box(
                ax,
                16,
                y,
                20,
                7,
                f"{role} encoder, {symbol}",
                f"{identity['label']}; {identity['dim']} dimensions",
                FROZEN,
            )
            _arrow(ax, (11, 20), (16, y + 3.5))
        _box(ax, 41, 16, 20, 8, "gated fusion", f"z = g φ(f_c) + (1 − g) φ(f_f){_mean_gate(results)}", TRAINED)
        _arrow(ax, (36, 27.5), (41, 21))
        _arrow(ax, (36, 15.5), (41, 19))
        _box(ax, 0, 1, 11, 6, "prompt", "the image’s text")
        _box(ax, 16, 0, 20, 7, "text tower", "token states of the prompt", FROZEN)
        _arrow(ax, (11, 4), (16, 3.5))
        _box(
            ax,
            67,
            21,
            24,
            9,
            "level texts",
            f"softmax over {len(LEVELS)} levels: MST-CLIPIQA{counted[MODELS[0]]}",
            TRAINED,
        )
        _box(ax, 67, 4, 24, 9, "attention to the prompt", f"then regression: MST-CLIPIQA*{counted[MODELS[1]]}", TRAINED)
        _arrow(ax, (61, 21), (67, 25.5))
        _arrow(ax, (61, 18), (67, 9.5))
        _arrow(ax, (36, 3.5), (67, 6.5))
        for height in (25.5, 8.5):
            _arrow(ax, (91, height), (95, height))
            ax.text(95.5, height, "score", va="center")
        caption = (
            "The model, with this suite’s encoders and numbers. Blue: frozen. Vermilion: trained. The gate g weighs "
            "the coarse stream against the fine one, for every dimension by itself."
        )
        told = ", ".join(f"{role}: {encoders[role]['label']}" for role in ("coarse", "fine"))
        return finish(canvas, "pipeline", caption, f"Diagram of the model from image and prompt to score. {told}.")


def _size(identity: dict) -> str:
    """How large the encoder's images are."""
    size = identity.get("preprocessing", {}).get("size")
    return f"{size[0]} × {size[1]} pixels" if size else "preprocessed"


def _trained(results: Results, variant: str) -> str:
    """How many parameters are trained, under each recipe that was run."""
    counts = {entry["trainable_parameters"] for entry in results.runs.values() if entry["variant"] == variant}
    return f"; {' or '.join(f'{count:,}' for count in sorted(counts))} parameters" if counts else ""


def _mean_gate(results: Results) -> str:
    """The mean of the trained gate on the probe's scenes, of the first recipe that has a probe."""
    means = [probe.metadata["gates"]["trained"]["mean"] for probe in results.probes.values()]
    return f"; mean g {means[0]:.2f}" if means else ""


def _box(ax: Axes, x: float, y: float, width: float, height: float, title: str, text: str, colour: str = INK) -> None:
    ax.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.8", facecolor="none",
                       edgecolor=colour, linewidth=1.2)
    )  # fmt: skip
    lines = textwrap.wrap(text, LINE if width > 12 else 13)
    ax.text(x + width / 2, y + height - 1.6, title, ha="center", va="center", fontweight="bold", fontsize=8)
    ax.text(x + width / 2, y + height - 2.8, "\n".join(lines), ha="center", va="top", fontsize=7)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 1}
    )
