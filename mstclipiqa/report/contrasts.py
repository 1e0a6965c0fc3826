"""What each part of the model gains on a real benchmark: one part changed, everything else equal."""

from functools import lru_cache
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from mstclipiqa.base.names import MODELS, SELECTIONS
from mstclipiqa.base.words import in_words
from mstclipiqa.evaluation.averages import AVERAGES, PLACEBOS
from mstclipiqa.evaluation.noise import Noise
from mstclipiqa.report.attention import put_out
from mstclipiqa.report.canvas import DOTTED, INK, STYLE, Figure, finish
from mstclipiqa.report.paper import OTHER_PROMPTS, TRANSLATION
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of
from mstclipiqa.report.unseen_generators import OF_GENERATORS

MODEL, STAR = MODELS

HELPS, HURTS, NOT_SHOWN, NO_INTERVAL = "helps", "hurts", "not shown", "no interval"
#: Where one protocol, or benchmark, says otherwise than another.
MIXED, IN_SHORT = "differs by protocol", {NOT_SHOWN: "no gain shown"}


class Question(NamedTuple):
    """A part of the model: the variant that has it, and those that lack it or have something else in its place."""

    asked: str
    variant: str
    against: tuple[str, ...]


PROMPT = "Does the prompt help?"
#: What is said beside an answer to it where the model attends to all words alike.
EVEN_ATTENTION = " But its attention to single words is put out in training: see “Does the prompt matter?”."

QUESTIONS = (
    Question(
        "Does a second scale help?",
        MODEL,
        ("coarse-only", "fine-only", "twin", "twin-fine", "averaged-streams", "averaged-seeds"),
    ),
    Question("Does the gate help?", MODEL, ("fixed-gate", "mlp")),
    Question(PROMPT, STAR, tuple(name for name in OTHER_PROMPTS if name not in ("star-no-prompt", TRANSLATION))),
    Question("Does the other head help?", "star-no-prompt", (MODEL,)),
    *(Question("Does a placebo help?", variant, (placebo,)) for variant, placebo in PLACEBOS.items()),
)


@lru_cache(2)  # a table and its figure, real and drawn
def contrasts(results: Results) -> Table | None:
    """A row per question, rival, target and protocol: the gain of SRCC with its interval, and the smallest gain that
    such an interval shows in four cases of five. None on drawn benchmarks, and where nothing of it was run."""
    if not results.statistics:
        return None
    pairs = results.on_real(results.statistics["comparisons"])
    pairs = pairs[results.is_main(pairs) & (pairs["metric"] == "srcc") & ~pairs["protocol"].isin(OF_GENERATORS)]
    asked = [
        pairs[(pairs["variant"] == question.variant) & pairs["against"].isin(question.against)].assign(
            question=question.asked
        )
        for question in QUESTIONS
    ]
    full = pd.concat(asked, ignore_index=True)
    if full.empty:
        return None
    full["shown_from"] = [_detectable(row) for row in full.itertuples()]
    full["found"] = [found(row) for row in full.itertuples()]
    shown = [
        {
            "With": results.title("variants", row.variant),
            "Instead": results.title("variants", row.against),
            "Recipe": results.title("recipes", row.recipe),
            "Gain of SRCC": Cell(f"{row.difference:+.4f}", limits(row)),
            "Shown from": f"{row.shown_from:.3f}" if pd.notna(row.shown_from) else DASH,
            "Found": row.found,
        }
        for row in full.itertuples()
    ]
    return Table(
        "contrasts",
        "What each part of the model gains: SRCC on the same splits and seeds, less that of the model without the "
        "part, with its 95 % interval.",
        full[[*CSV, "question", "shown_from", "found"]],
        frame_of(shown, ["With", "Instead", "Recipe", "Gain of SRCC", "Shown from", "Found"]),
        numeric=("Gain of SRCC", "Shown from"),
        stub=2,
        groups=[
            Cell(
                f"{row.question} {results.title('benchmarks', row.benchmark)}, {row.target}: {row.protocol}, "
                f"{SELECTIONS[row.selection]}"
            )
            for row in full.itertuples()
        ],
        grouped_by="Question, benchmark, target, protocol and selection",
        notes=[
            f"{HELPS}: the whole interval is above 0. {HURTS}: it is below. {NOT_SHOWN}: it holds 0; “shown from” is "
            "the smallest gain that would have been shown in four cases of five. Intervals are not adjusted for their "
            "number; the paired tests are.",
        ],
    )


PAIR = ["benchmark", "target", "variant", "against"]
CSV = [
    *("benchmark", "target", "protocol", "selection", "recipe", "variant", "against"),
    *("runs", "splits", "seeds", "noise", "difference", "low", "high"),
]


def contrast_dots(results: Results) -> Figure | None:
    """The gains of the last recipe as dots with intervals, a row per pair of variants, a colour per protocol."""
    rows = _of_last_recipe(results)
    if rows.empty:
        return None
    pairs = list(rows[PAIR].drop_duplicates().itertuples(index=False, name=None))
    protocols = list(rows["protocol"].unique())
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(9.4, 0.9 + 0.34 * len(pairs)), layout="constrained")
        ax = canvas.subplots()
        ax.axvline(0, color=INK, linewidth=0.8, linestyle=DOTTED)
        colours = dict(zip(protocols, sns.color_palette("colorblind", len(protocols)), strict=True))
        for row in rows.itertuples():
            beside = 0.5 * ((protocols.index(row.protocol) + 0.5) / len(protocols) - 0.5)
            y = pairs.index(tuple(getattr(row, name) for name in PAIR)) + beside
            if pd.notna(row.low):
                ax.plot([row.low, row.high], [y, y], color=colours[row.protocol], linewidth=1.1)
            ax.plot([row.difference], [y], color=colours[row.protocol], marker="o", markersize=4, linestyle="")
        several = rows["benchmark"].nunique() > 1
        names = [
            f"{results.title('variants', variant)} over {results.title('variants', against)}, {target}"
            + (f", {results.title('benchmarks', benchmark)}" if several else "")
            for benchmark, target, variant, against in pairs
        ]
        ax.set_yticks(range(len(pairs)), names)
        ax.set_ylim(len(pairs) - 0.5, -0.5)
        ax.set_xlabel("gain of SRCC")
        ax.tick_params(axis="y", length=0)
        sns.despine(ax=ax, left=True)
        lines = [Line2D([], [], color=colour, marker="o", markersize=4) for colour in colours.values()]
        canvas.legend(lines, protocols, loc="outside lower center", ncols=6, frameon=False)
        caption = (
            "What each part of the model gains on real ratings, with its 95 % interval. An interval that holds 0 shows "
            "no effect; that is no proof of none. A dot without a line comes from too few runs for an interval. A "
            "placebo is the same model from other seeds, so that what it differs by is no effect."
        )
        told = "; ".join(
            f"{row.variant} over {row.against}, {row.target}, {row.protocol}: {row.difference:+.3f}"
            for row in rows.itertuples()
        )
        return finish(canvas, "contrasts", caption, f"Dots with intervals. {told}.")


def _of_last_recipe(results: Results) -> pd.DataFrame:
    """The rows of the table by the last recipe of the main grid."""
    table = contrasts(results)
    full = pd.DataFrame(columns=[*CSV, "question", "found"]) if table is None else table.full
    return full[full["recipe"] == results.manifest["config"]["recipes"][-1]]


def found_on_real_benchmarks(results: Results) -> list[str]:
    """A sentence per question, by the last recipe of the main grid; none without runs on a real benchmark."""
    full = _of_last_recipe(results)
    caveats = {PROMPT: EVEN_ATTENTION} if set(full["recipe"]) & set(put_out(results)) else {}
    return [
        f"{question} " + ". ".join(_in_words(results, pair, rows) for pair, rows in of_question.groupby(
            PAIR, sort=False
        )) + f".{caveats.get(question, '')}"
        for question, of_question in full[full["found"] != NO_INTERVAL].groupby("question", sort=False)
    ]  # fmt: skip


def found_in_short(results: Results, question: str) -> list[tuple[str, str]]:
    """What a question comes to on real ratings, by the last recipe of the main grid: the benchmark, and over which
    rivals that were run (no average of predictions) the part helps, hurts, or shows no gain. Nothing where no
    interval says so."""
    full = _of_last_recipe(results)
    full = full[(full["question"] == question) & (full["found"] != NO_INTERVAL) & ~full["against"].isin(AVERAGES)]
    if full.empty:
        return []
    alike = full.groupby("against", sort=False)["found"].agg(lambda own: own.iloc[0] if own.nunique() == 1 else MIXED)
    told = [
        f"{IN_SHORT.get(verdict, verdict)} over {in_words([results.title('variants', name) for name in rivals.index])}"
        for verdict, rivals in alike.groupby(alike, sort=False)
    ]
    where = full["benchmark"].unique()
    named = results.title("benchmarks", where[0]) if len(where) == 1 else f"{len(where)} benchmarks"
    return [(f"On {named}", "; ".join(told))]


def _in_words(results: Results, key: tuple[str, str, str, str], rows: pd.DataFrame) -> str:
    """What one variant gains over another on a benchmark, by protocol. The figure has the intervals."""
    benchmark, target, _, against = key
    parts = [
        f"{', '.join(f'{row.difference:+.3f} ({row.protocol})' for row in of_verdict.itertuples())}: {found}"
        + (f" (takes {of_verdict['shown_from'].max():.3f})" if found == NOT_SHOWN else "")
        for found, of_verdict in rows.groupby("found", sort=False)
    ]
    place = f"{results.title('benchmarks', benchmark)}, {target}"
    title = results.title("variants", against)
    return f"Over {'the ' * title.startswith('mean')}{title} ({place}): {'; '.join(parts)}"


def limits(row: Any) -> str:
    """The interval of a row with `low` and `high`, in words."""
    return NO_INTERVAL if pd.isna(row.low) else f"[{row.low:+.3f}, {row.high:+.3f}]"


def found(row: Any) -> str:
    """What the interval of a gain amounts to."""
    if pd.isna(row.low):
        return NO_INTERVAL
    return HELPS if row.low > 0 else HURTS if row.high < 0 else NOT_SHOWN


def _detectable(row: Any) -> float:
    return Noise(((row.noise, row.standard_error**2, row.freedom),)).detectable
