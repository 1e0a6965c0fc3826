"""What it is worth to have seen the test images' prompts, apart from how many images are trained on."""

import pandas as pd

from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.evaluation.noise import noise_over_splits
from mstclipiqa.report.contrasts import NO_INTERVAL, found, limits
from mstclipiqa.report.recipe_effects import ratio_tested
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import Cell, Table, frame_of

#: Splits by prompt, and how the protocol of the same sizes by image is called beside them.
BY_PROMPT, BY_IMAGE = "grouped", "ungrouped"

PLACE = ["benchmark", "target", "selection", "recipe", "variant"]


def leaked(results: Results) -> pd.DataFrame:
    """A row per model and recipe of a real benchmark and pair of protocols: SRCC by image, less SRCC by prompt, with
    its interval. Both have noise of their own splits."""
    runs = results.on_real(results.metrics)
    runs = runs[results.is_main(runs)]
    by_split = runs.groupby([*PLACE, "protocol", "split"], sort=False)["srcc"].mean()
    rows = []
    for protocol in (name for name in runs["protocol"].unique() if name.startswith(BY_PROMPT)):
        other = BY_IMAGE + protocol.removeprefix(BY_PROMPT)
        apart = by_split[by_split.index.get_level_values("protocol").isin([protocol, other])].unstack("protocol")
        if other not in apart:
            continue
        for key, values in apart.groupby(PLACE, sort=False):
            place = dict(zip(PLACE, key, strict=True))
            one, two = (values[name].dropna().to_numpy() for name in (other, protocol))
            if len(one) and len(two):
                noise = noise_over_splits(one, ratio_tested(results, place["benchmark"], other))
                noise += noise_over_splits(two, ratio_tested(results, place["benchmark"], protocol)).times(-1)
                difference = one.mean() - two.mean()
                low, high = noise.interval(difference)
                rows.append(
                    {**place, "protocol": protocol, "by_image": one.mean(), "by_prompt": two.mean()}
                    | {"splits": len(two), "difference": difference, "low": low, "high": high}
                )
    columns = [*PLACE, "protocol", "by_image", "by_prompt", "splits", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def leakage_effect(results: Results) -> Table | None:
    """The effect of leakage as a table; None without the two protocols."""
    full = leaked(results)
    if full.empty:
        return None
    shown = [
        {
            "Method": results.title("variants", row.variant),
            "Recipe": results.title("recipes", row.recipe),
            "By image": f"{row.by_image:.4f}",
            "By prompt": f"{row.by_prompt:.4f}",
            "Difference": Cell(f"{row.difference:+.4f}", limits(row)),
        }
        for row in full.itertuples()
    ]
    return Table(
        "leakage_effect",
        "What seen prompts are worth: SRCC on splits by image, less SRCC on splits by prompt with as many images in "
        "each role, with its 95 % interval.",
        full,
        frame_of(shown, list(shown[0])),
        numeric=("By image", "By prompt", "Difference"),
        stub=2,
        groups=[
            Cell(
                f"{results.title('benchmarks', row.benchmark)}, {row.target}: {BY_IMAGE}"
                f"{row.protocol.removeprefix(BY_PROMPT)} beside {row.protocol}, {SELECTIONS[row.selection]}"
            )
            for row in full.itertuples()
        ],
        grouped_by="Benchmark, target, protocols and selection",
        notes=[
            "The splits of the two protocols are of other images, so that each has noise of its own (Nadeau and "
            "Bengio, 2003).",
        ],
    )


def found_of_leakage(results: Results) -> list[str]:
    """One sentence on the models: what seen prompts are worth."""
    full = leaked(results)
    parts = [
        f"{results.title('variants', row.variant)}, {results.title('benchmarks', row.benchmark)}, {row.target}, "
        f"{row.protocol}, {results.title('recipes', row.recipe)}: {row.difference:+.3f} {limits(row)}"
        for row in full[full["variant"].isin(results.models)].itertuples()
        if found(row) != NO_INTERVAL
    ]
    if not parts:
        return []
    asked = "What are seen prompts worth, with training sets of one size? SRCC by image less SRCC by prompt"
    return [f"{asked}: {'; '.join(parts)}."]
