"""A results folder, read and checked."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_description
from mstclipiqa.base.layout import (
    BASELINES,
    COMPARISONS,
    EXTRACTION,
    GATES,
    GENERATORS,
    INTERVALS,
    MANIFEST,
    METRICS,
    READOUT,
    SAMPLES,
    SPLITS,
)
from mstclipiqa.base.names import ENTERED, SELECTIONS, TARGETS
from mstclipiqa.model.variants import PAIR
from mstclipiqa.report.paper import read_paper
from mstclipiqa.report.results import GROUP_ORDER, METRIC_TITLES, RUN_ORDER, Probe, Results, find_named, ordered

MANIFEST_KEYS = [
    *("suite", "title", "config", "code", "versions", "hardware", "benchmarks", "encoders"),
    *("recipes", "variants", "protocols", "readings", "inputs", "outputs"),
]


def read_results(
    root: Path,
    paper_tables: Path | None = None,
    claims: Path | None = None,
    prior_results: Path | None = None,
    images: Path | None = None,
) -> Results:
    """Read `results/<suite>/`, and of the paper what is given: its printed numbers, its claims, what others published.
    Pictures are looked for in the folder `images`, or else in the configuration's data folder.

    Raises InputError where a file is missing or unreadable, or where metrics and manifest disagree.
    """
    manifest = _read_manifest(MANIFEST.at(root))
    present = [name for name in ordered(manifest, "benchmarks") if _is_present(manifest, name)]
    cards = {name: read_description(SAMPLES.at(root, benchmark=name)) for name in present}
    metrics = _read_metrics(METRICS.at(root), manifest)
    return Results(
        root=root,
        manifest=manifest,
        cards=cards,
        splits={name: read_description(SPLITS.at(root, benchmark=name)) for name in present},
        metrics=metrics,
        runs={file: read_description(root / file) for file in metrics["file"].unique()},
        timings=_read_timings(root, cards, manifest),
        baselines=_read_baselines(root, present, manifest),
        probes={name: _read_probe(root, name) for name in _probed(root, manifest)},
        statistics=_read_statistics(root, metrics),
        paper=read_paper(paper_tables, claims, prior_results),
        images=images,
    )


def _is_present(manifest: dict, benchmark: str) -> bool:
    return manifest["benchmarks"][benchmark]["status"] == "present"


def _read_manifest(path: Path) -> dict:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the workflow, or name a folder results/<suite>") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); delete it and run again") from None
    missing = [key for key in MANIFEST_KEYS if key not in manifest]
    if missing:
        raise InputError(f"{path}: missing {', '.join(missing)}; delete it and run again")
    return manifest


def _read_metrics(path: Path, manifest: dict) -> pd.DataFrame:
    metrics = METRICS.read(path)[0]
    known = {
        "target": list(TARGETS),
        "benchmark": [name for name in ordered(manifest, "benchmarks") if _is_present(manifest, name)],
        "protocol": ordered(manifest, "protocols"),
        "selection": list(SELECTIONS),
        "recipe": [*ordered(manifest, "recipes"), ENTERED],
        "variant": ordered(manifest, "variants"),
    }
    for column, names in known.items():
        strange = sorted(set(metrics[column]) - set(names))
        if strange:
            raise InputError(f"{path}: {column} {strange[0]!r} is not in the manifest; run the workflow again")
    repeated = metrics[metrics.duplicated(RUN_ORDER)]
    if len(repeated):
        run = ", ".join(str(value) for value in repeated[RUN_ORDER].iloc[0])
        raise InputError(f"{path}: the run ({run}) stands twice; delete the file and run again")
    metrics[list(METRIC_TITLES)] = metrics[list(METRIC_TITLES)].astype(float).replace([np.inf, -np.inf], np.nan)

    def rank(values: pd.Series) -> pd.Series:
        return values.map(known[values.name].index) if values.name in known else values

    return metrics.sort_values(RUN_ORDER, key=rank, ignore_index=True)


def _read_timings(root: Path, cards: dict[str, dict], manifest: dict) -> pd.DataFrame:
    """The time of each extraction by the manifest's encoders; a pack's features were extracted elsewhere."""
    rows = []
    for benchmark, card in cards.items():
        packed = benchmark in manifest["config"].get("packs", {})
        for role in () if packed else ("-".join(PAIR), *sorted(manifest["encoders"])):
            path = EXTRACTION.at(root, benchmark=benchmark, encoders=role)
            if not path.is_file():
                continue
            try:
                seconds = float(pd.read_csv(path, sep="\t")["s"].mean())
            except (KeyError, ValueError) as error:
                raise InputError(f"{path}: no column of seconds `s` ({error}); delete it") from None
            rows.append((benchmark, role, card["images"], "images", seconds))
    return pd.DataFrame(rows, columns=["benchmark", "encoder", "items", "unit", "seconds"])


def _read_baselines(root: Path, benchmarks: list[str], manifest: dict) -> pd.DataFrame:
    files = {name: find_named(root, manifest, BASELINES, benchmark=name) for name in benchmarks}
    tables = [
        BASELINES.read(path)[0].assign(benchmark=name, file=path.relative_to(root).as_posix())
        for name, path in files.items()
        if path
    ]
    empty = pd.DataFrame(columns=["benchmark", *BASELINES.columns, "file"])
    return pd.concat(tables, ignore_index=True) if tables else empty


def _probed(root: Path, manifest: dict) -> list[str]:
    return [name for name in ordered(manifest, "recipes") if find_named(root, manifest, READOUT, recipe=name)]


def _read_probe(root: Path, recipe: str) -> Probe:
    readout, metadata = READOUT.read(READOUT.at(root, recipe=recipe))
    return Probe(readout, GATES.read(GATES.at(root, recipe=recipe))[0], metadata)


def _read_statistics(root: Path, metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    if not INTERVALS.at(root).exists():
        return {}
    order = metrics[GROUP_ORDER].drop_duplicates()
    # Entered scores are compared with the variants of every recipe, under its name.
    is_entered = order["recipe"] == ENTERED
    place = [name for name in GROUP_ORDER if name not in ("recipe", "variant")]
    recipes = order.loc[~is_entered, [*place, "recipe"]].drop_duplicates()
    beside = order[is_entered].drop(columns="recipe").merge(recipes, on=place)
    order = pd.concat([order, beside], ignore_index=True)
    return {
        Path(entry.path).stem: order.merge(entry.read(entry.at(root))[0], on=GROUP_ORDER)
        for entry in (INTERVALS, COMPARISONS, GENERATORS)
    }
