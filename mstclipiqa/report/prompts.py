"""Does the prompt matter? MST-CLIPIQA* with its own prompts, with others, and without."""

import pandas as pd

from mstclipiqa.base.names import MODELS, SELECTIONS
from mstclipiqa.evaluation.averages import PLACEBOS
from mstclipiqa.model.variants import VARIANTS
from mstclipiqa.report.paper import OTHER_PROMPTS, TRANSLATION
from mstclipiqa.report.results import Results, cautions
from mstclipiqa.report.table import DASH, Cell, Table, frame_of


def prompts(results: Results) -> Table | None:
    """SRCC of MST-CLIPIQA* with its own and with other prompts, and what the own one gains over each."""
    if not results.statistics:
        return None
    named = (*MODELS[::-1], *OTHER_PROMPTS)
    means = results.statistics["intervals"]
    means = means[results.is_main(means) & means["variant"].isin(named)]
    others = means["variant"].isin(OTHER_PROMPTS)
    if not others.any():
        return None
    place = ["target", "protocol", "selection", "recipe", "benchmark"]
    means = means[others.groupby([means[key] for key in place]).transform("any")]
    gains = results.statistics["comparisons"]
    gains = gains[(gains["variant"] == MODELS[1]) & (gains["metric"] == "srcc")]
    gains = gains[[*place, "against", "difference", "low", "high"]].rename(columns={"against": "other"})
    full = means.rename(columns={"variant": "other"}).merge(gains, how="left", on=[*place, "other"])
    placebo = gains[gains["other"] == PLACEBOS[MODELS[1]]].merge(full[place].drop_duplicates())
    full = pd.concat([full, placebo], ignore_index=True)
    full = full[[*place, "other", "runs", "srcc", "difference", "low", "high"]].rename(columns={"other": "variant"})
    titles = {name: results.title("benchmarks", name) for name in results.among("benchmark", full)}
    shown, groups = [], []
    for (target, protocol, selection, recipe), rows in full.groupby(place[:-1], sort=False):
        for variant in (name for name in (*named, PLACEBOS[MODELS[1]]) if name in set(rows["variant"])):
            cells: dict[tuple[str, str], str | Cell] = {("", "Model and prompt"): results.title("variants", variant)}
            for row in rows[rows["variant"] == variant].to_dict("records"):
                title = titles[row["benchmark"]]
                cells[title, "SRCC"] = f"{row['srcc']:.4f}" if pd.notna(row["srcc"]) else DASH
                if variant != MODELS[1] and pd.notna(row["difference"]):
                    limits = f"[{row['low']:+.4f}, {row['high']:+.4f}]" if pd.notna(row["low"]) else "no interval"
                    cells[title, "Gain of the true prompt"] = Cell(f"{row['difference']:+.4f}", limits)
            shown.append(cells)
            heading = f"{target.capitalize()}: {protocol}, {SELECTIONS[selection]}"
            groups.append(Cell(f"{heading}; recipe {results.title('recipes', recipe)}"))
    stub = ("", "Model and prompt")
    columns = [stub, *((title, name) for title in titles.values() for name in ("SRCC", "Gain of the true prompt"))]
    present = [name for name in named if name in set(full["variant"])]
    return Table(
        "prompts",
        f"Does the prompt matter? {VARIANTS[MODELS[1]].title} with each image's own prompt, with others and "
        "without: mean SRCC, and what the own prompt gains over each on the same splits and seeds, with its 95 % "
        "interval.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Target, protocol, selection and recipe",
        notes=[
            _what_prompts_show(full[full["variant"].isin(OTHER_PROMPTS) & (full["variant"] != TRANSLATION)]),
            *(f"{results.title('variants', name)}: {results.manifest['variants'][name]['description']}."
              for name in present if name in OTHER_PROMPTS),
            *cautions(results, titles),
        ],
    )  # fmt: skip


def _what_prompts_show(gains: pd.DataFrame) -> str:
    """The sentence that the intervals of the true prompt's gains amount to."""
    known = gains.dropna(subset=["low", "high"])
    if known.empty:
        return "No gain of the true prompt has an interval here: that takes several seeds, or splits."
    above, below = int((known["low"] > 0).sum()), int((known["high"] < 0).sum())
    said = (
        f"Intervals of the true prompt's gains over another prompt or none: {len(known)}, of which {above} above 0, "
        f"{below} below 0, {len(known) - above - below} holding 0."
    )
    if not above:
        return f"{said} Nothing here says that what a prompt says matters."
    return said
