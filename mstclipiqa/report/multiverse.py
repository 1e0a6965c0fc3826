"""In how many of how many ways of evaluating does an effect hold? One specification curve for each question.

A specification is one choice of recipe, protocol, split, seed, selection, metric, and whether test images count whose
bytes are another image's too, under another prompt. All were chosen by somebody: the more of them an effect needs, the
less it is one. A recipe that changes one value of another is an experiment of ours and no such choice.
"""

from functools import lru_cache

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.base.words import percent
from mstclipiqa.report.canvas import COLOURS, DOTTED, INK, STYLE, Figure, finish
from mstclipiqa.report.contrasts import MODEL, QUESTIONS, STAR, Question
from mstclipiqa.report.results import METRIC_TITLES, Results
from mstclipiqa.report.table import Cell, Table, frame_of

#: The metrics of which more is better.
METRICS = [name for name in METRIC_TITLES if name != "rmse"]
CHOICES = {"recipe": "Recipe", "protocol": "Protocol", "selection": "Selection", "metric": "Metric"}
CHOICES |= {"doubles": "Doubles"}
SPECIFICATION = ["recipe", "protocol", "split", "seed", "selection"]

#: Images with the bytes of another image, under another name and prompt: counted or left out.
IN, OUT = "in", "out"
PAIR = ["question", "benchmark", "target", "variant", "against"]

#: With more pairs than this, each question and rival has one panel, of its first benchmark and target.
MOST_PANELS = 24

#: The paper's own comparison of its two models, beside those of single parts.
ASKED = (*QUESTIONS, Question("Is MST-CLIPIQA* better?", STAR, (MODEL,)))


@lru_cache(2)  # a table and its figure, real and drawn
def specifications(results: Results) -> pd.DataFrame:
    """A row per pair of variants and specification: PAIR, SPECIFICATION, doubles, metric, and `gain`, what the first
    variant has beyond the other on the same split and seed. Real benchmarks alone."""
    runs = results.on_real(results.metrics).assign(doubles=IN)
    if len(without := results.metrics_without_doubles):
        runs = pd.concat([runs, without.assign(doubles=OUT)], ignore_index=True)
    runs = results.of_sources(runs)
    place = ["benchmark", "target", *SPECIFICATION, "doubles"]
    long = runs.melt([*place, "variant"], METRICS, "metric").dropna(subset=["value"])
    of = dict(iter(long.groupby("variant")))
    made = [
        of[question.variant]
        .merge(of[against], on=[*place, "metric"], suffixes=("", "_against"))
        .assign(question=question.asked, against=against)
        for question in ASKED
        for against in question.against
        if question.variant in of and against in of
    ]
    if not made:
        return pd.DataFrame(columns=[*PAIR, *place[2:], "metric", "gain"])
    table = pd.concat(made, ignore_index=True)
    return table.assign(gain=table["value"] - table["value_against"])[[*PAIR, *place[2:], "metric", "gain"]]


def multiverse(results: Results) -> Table | None:
    """A row per pair of variants: the share of specifications in which the first is better, by each choice. None
    without such a pair on a real benchmark."""
    table = specifications(results)
    if table.empty:
        return None
    shown, full, groups = [], [], []
    for key, rows in table.groupby(PAIR, sort=False):
        named = dict(zip(PAIR, key, strict=True))
        low, middle, high = rows["gain"].quantile([0.05, 0.5, 0.95])
        holds = (rows["gain"] > 0).mean()
        shares = {choice: rows.groupby(choice, sort=False)["gain"].agg(lambda gain: (gain > 0).mean())
                  for choice in CHOICES}  # fmt: skip
        full.append(
            named
            | {"specifications": len(rows), "holds": holds, "median": middle, "low": low, "high": high}
            | {f"holds_{choice}_{name}": share for choice, found in shares.items() for name, share in found.items()}
        )
        cells: dict[str, str | Cell] = {
            "Compared": f"{results.title('variants', named['variant'])} over "
            f"{results.title('variants', named['against'])}",
            "Holds in": Cell(percent(holds), f"of {len(rows):,}"),
            "Median gain": Cell(f"{middle:+.4f}", f"[{low:+.3f}, {high:+.3f}]"),
        }
        for choice, title in CHOICES.items():
            cells[f"By {title.lower()}"] = ", ".join(
                f"{_named(results, choice, name)} {percent(share)}" for name, share in shares[choice].items()
            )
        shown.append(cells)
        groups.append(Cell(f"{named['question']} {results.title('benchmarks', named['benchmark'])}, {named['target']}"))
    return Table(
        "multiverse",
        "In how many specifications does it hold? The share in which the first variant is better on the same split and "
        "seed, over recipes, protocols, splits, seeds, selections, metrics and doubles; the median gain, and the "
        "middle 90 %.",
        pd.DataFrame(full),
        frame_of(shown, list(shown[0])),
        numeric=("Holds in", "Median gain"),
        groups=groups,
        grouped_by="Question, benchmark and target",
        notes=[
            f"{len(table):,} specifications together. They share images and runs, so their number is no evidence by "
            "itself: 50 % is what chance gives, and the paired tests weigh it.",
            "Doubles: test images whose bytes are another image’s too, under another prompt, counted (in) or not "
            "(out), where a test set has any.",
        ],
    )


def found_in_specifications(results: Results) -> list[str]:
    """One sentence: in what share of how many specifications each pair holds."""
    table = specifications(results)
    if table.empty:
        return []
    parts = [
        f"{results.title('variants', key[3])} over {results.title('variants', key[4])}, "
        f"{results.title('benchmarks', key[1])}, {key[2]}: "
        f"{percent((rows['gain'] > 0).mean())} (middle 90 % of gains {rows['gain'].quantile(0.05):+.3f} to "
        f"{rows['gain'].quantile(0.95):+.3f})"
        for key, rows in table.groupby(PAIR, sort=False)
    ]
    return [f"In how many of {len(table):,} specifications does it hold? {'; '.join(parts)}. Chance gives 50 %."]


def _named(results: Results, choice: str, name: str) -> str:
    if choice == "recipe":
        return results.title("recipes", name)
    return {"selection": SELECTIONS, "metric": METRIC_TITLES}.get(choice, {}).get(name, name)


def specification_curves(results: Results) -> Figure | None:
    """The sorted gains of each pair, a panel each; the row of ticks below says which protocol each comes from."""
    table = specifications(results)
    if table.empty:
        return None
    pairs = every = list(table.groupby(PAIR, sort=False))
    if len(every) > MOST_PANELS:
        asked = pd.DataFrame([key for key, _ in every], columns=PAIR)
        pairs = [every[row] for row in asked.drop_duplicates(["question", "variant", "against"]).index]
    protocols = list(table["protocol"].unique())
    columns = min(3, len(pairs))
    lines = -(-len(pairs) // columns)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(9.4, 0.6 + 1.9 * lines), layout="constrained")
        panels = canvas.subplots(lines, columns, squeeze=False)
        for ax in panels.flat[len(pairs) :]:
            ax.set_visible(False)
        told = []
        for ax, (key, rows) in zip(panels.flat, pairs, strict=False):
            named = dict(zip(PAIR, key, strict=True))
            title = f"{results.title('variants', named['variant'])} over {results.title('variants', named['against'])}"
            _curve(ax, rows, protocols)
            ax.set_title(f"{title}\n{results.title('benchmarks', named['benchmark'])}, {named['target']}", loc="left")
            told.append(f"{title}, {named['target']}: above 0 in {percent((rows['gain'] > 0).mean())} of {len(rows)}")
        for ax in panels[:, 0]:
            ax.set_ylabel("gain")
        caption = (
            "Specification curves: the gains of every specification, sorted. Below each curve its protocols, from the "
            f"top: {', '.join(protocols)}."
            + f" {len(pairs)} of {len(every)} pairs, each on one benchmark; the table has all."
            * (len(pairs) < len(every))
        )
        return finish(canvas, "specification_curves", caption, f"Curves of sorted gains. {'; '.join(told)}.")


def _curve(ax: Axes, rows: pd.DataFrame, protocols: list[str]) -> None:
    gains = rows.sort_values("gain", kind="stable")
    above = (gains["gain"] > 0).to_numpy()
    x = np.arange(len(gains))
    for chosen, colour in ((above, COLOURS[0]), (~above, COLOURS[1])):
        ax.scatter(x[chosen], gains["gain"][chosen], s=2, color=colour, linewidths=0, rasterized=True)
    ax.axhline(0, color=INK, linewidth=0.7, linestyle=DOTTED)
    bottom, height = _below(gains["gain"])
    for line, protocol in enumerate(protocols):
        here = x[(gains["protocol"] == protocol).to_numpy()]
        ax.scatter(here, np.full(len(here), bottom - line * height), s=3, marker="|", color=INK, linewidths=0.4,
                   rasterized=True)  # fmt: skip
    ax.set_xticks([])
    sns.despine(ax=ax, bottom=True)


def _below(gains: pd.Series) -> tuple[float, float]:
    """Where the rows of ticks begin below a curve, and how far they are apart."""
    reach = float(gains.max() - gains.min()) or 1.0
    return float(gains.min()) - 0.12 * reach, 0.09 * reach
