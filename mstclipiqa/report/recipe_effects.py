"""What one value of a recipe moves: the same model on the same splits and seeds under two recipes that differ in it."""

import pandas as pd

from mstclipiqa.base.names import SELECTIONS, TEST, TRAIN, VAL
from mstclipiqa.evaluation.noise import FEWEST_SPLITS, Noise, noise_between_seeds, noise_over_splits
from mstclipiqa.model.recipes import Change, describe_adaptation
from mstclipiqa.report.contrasts import NO_INTERVAL, found, limits
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import Cell, Table, frame_of, plain

PLACE = ["benchmark", "target", "protocol", "selection", "variant"]


def ratio_tested(results: Results, benchmark: str, protocol: str) -> float:
    """How many images a protocol tests for one that it does not, over its splits."""
    counts = results.splits[benchmark]["protocols"][protocol]
    return sum(split[TEST] for split in counts) / sum(split[TRAIN] + split[VAL] for split in counts)


def gain_noise(results: Results, place: dict, gains: pd.Series) -> Noise:
    """Of the mean of gains by (split, seed): over splits where there are enough of them, else over seeds."""
    by_split = gains.groupby("split").mean().to_numpy()
    if len(by_split) >= FEWEST_SPLITS:
        return noise_over_splits(by_split, ratio_tested(results, place["benchmark"], place["protocol"]))
    return noise_between_seeds(gains)


def effects(results: Results) -> pd.DataFrame:
    """A row per change, model, target and protocol of a real benchmark: the gain of SRCC with its interval."""
    runs = results.on_real(results.metrics)
    runs, rows = runs[results.is_main(runs)], []
    of = dict(iter(runs.groupby("recipe")))
    for change in results.changes:
        if not {change.base, change.changed} <= set(of):
            continue
        both = of[change.changed].merge(of[change.base], on=[*PLACE, "split", "seed"], suffixes=("", "_base"))
        for key, group in both.groupby(PLACE, sort=False):
            place = dict(zip(PLACE, key, strict=True))
            gains = (group["srcc"] - group["srcc_base"]).set_axis(pd.MultiIndex.from_frame(group[["split", "seed"]]))
            noise = gain_noise(results, place, gains)
            low, high = noise.interval(gains.mean())
            rows.append(
                {**place, **change._asdict(), "runs": len(gains), "noise": ", ".join(noise.names)}
                | {"difference": gains.mean(), "low": low, "high": high, "srcc": group["srcc"].mean()}
            )
    columns = [*PLACE, *Change._fields, "runs", "noise", "difference", "low", "high", "srcc"]
    return pd.DataFrame(rows, columns=columns)


def recipe_effects(results: Results) -> Table | None:
    """The effects as a table; None where no two recipes of the suite differ in one value."""
    full = effects(results)
    if full.empty:
        return None
    shown = [
        {
            "Value": row.key.replace("_", " "),
            "From": _value(results, row.base, row.key),
            "To": _value(results, row.changed, row.key),
            "Method": results.title("variants", row.variant),
            "SRCC": f"{row.srcc:.4f}",
            "Gain of SRCC": Cell(f"{row.difference:+.4f}", limits(row)),
            "Found": found(row),
        }
        for row in full.itertuples()
    ]
    return Table(
        "recipe_effects",
        "What one value of a recipe moves: SRCC of the same model on the same splits and seeds, less that with the "
        "first value, with its 95 % interval.",
        full,
        frame_of(shown, list(shown[0])),
        numeric=("SRCC", "Gain of SRCC"),
        stub=4,
        groups=[
            Cell(
                f"{results.title('benchmarks', row.benchmark)}, {row.target}: {row.protocol}, "
                f"{SELECTIONS[row.selection]}; all else as in {results.title('recipes', row.base)}"
            )
            for row in full.itertuples()
        ],
        grouped_by="Benchmark, target, protocol, selection and recipe",
        notes=[
            "The interval holds the noise of splits, corrected for the images that they share (Nadeau and Bengio, "
            f"2003), where there are at least {FEWEST_SPLITS}; on one split that of seeds alone, which says nothing of "
            "other images.",
        ],
    )


def _value(results: Results, recipe: str, key: str) -> str:
    value = results.manifest["recipes"][recipe]["values"].get(key)
    if key == "adaptation":
        return describe_adaptation(value)
    return f"{value:g}" if isinstance(value, float) else plain(value)


def found_of_recipes(results: Results) -> list[str]:
    """A sentence per value that was changed; none without an interval."""
    full = effects(results)
    said = []
    for (key, benchmark, target), rows in full.groupby(["key", "benchmark", "target"], sort=False):
        parts = [
            f"{_value(results, row.changed, key)} for {_value(results, row.base, key)} in "
            f"{results.title('recipes', row.base)}, {results.title('variants', row.variant)}, {row.protocol}: "
            f"{row.difference:+.3f} {limits(row)}, {found(row)}"
            for row in rows.itertuples()
            if found(row) != NO_INTERVAL
        ]
        if parts:
            said.append(
                f"Does the {str(key).replace('_', ' ')} matter? {results.title('benchmarks', benchmark)}, {target}: "
                f"{'; '.join(parts)}."
            )
    return said
