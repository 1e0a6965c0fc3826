"""What a suite measured, as its reference holds it: what the numbers rest on, and the numbers that its page shows."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import digest, read_description
from mstclipiqa.base.layout import (
    BASELINES,
    CLAIMS,
    COMPARISONS,
    CURVES,
    EFFICIENCY,
    GATES,
    GENERATORS,
    INTERVALS,
    MANIFEST,
    READOUT,
    SAMPLES,
    SPLITS,
    TRANSFER,
)
from mstclipiqa.base.layout import METRICS as METRICS_TABLE
from mstclipiqa.base.names import ENTERED, JOB, RUN

KEYS = [*JOB, *RUN]
METRICS = ("srcc", "plcc", "plcc_fitted", "krcc", "rmse")
COLUMNS = [*KEYS, "epoch", "n", *METRICS]

#: Facts that the numbers rest on, by the first word of each: a change of one is named as the cause.
CAUSES = ("encoder", "recipe", "images", "MOS", "splits", "texts")
#: Facts whose change asks for statistics.
ENVIRONMENT = ("machine", "version")
PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow")

#: The further tables of a reference, in its order, and what names a row of each.
TABLES: dict[str, list[str]] = {
    "leakage": ["benchmark", "protocol", "split"],
    "parameters": ["recipe", "variant"],
    "verdicts": ["id", "recipe", "protocol"],
    "efficiency": list(EFFICIENCY.key),
    "baselines": ["benchmark", *BASELINES.key],
    "curves": list(CURVES.key),
    "transfer": list(TRANSFER.key),
    "readout": ["recipe", *READOUT.key],
    "gates": ["recipe", *GATES.key],
    "intervals": list(INTERVALS.key),
    "comparisons": list(COMPARISONS.key),
    "generators": list(GENERATORS.key),
}


@dataclass(frozen=True)
class Measurement:
    """What a suite measured: `facts` that it rests on, by name, `rows`, COLUMNS per run and selection, and `tables`,
    the TABLES that it has, whose keys are text."""

    facts: dict[str, str]
    rows: pd.DataFrame
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def facts_of(self, kinds: tuple[str, ...]) -> dict[str, str]:
        """The facts whose first word is one of `kinds`."""
        return {name: value for name, value in self.facts.items() if name.split()[0] in kinds}


def measure(results: Path) -> Measurement:
    """Read what the suite in the folder `results` measured, and describe what that rests on.

    Raises InputError where the metrics, the manifest, or a benchmark's samples or splits are missing, and where a table
    or the verdicts are not what they should be.
    """
    manifest = read_measured_manifest(MANIFEST.at(results))
    rows, _ = METRICS_TABLE.read(METRICS_TABLE.at(results))
    ordered = rows[COLUMNS].sort_values(KEYS, ignore_index=True)
    return Measurement(_facts(results, manifest), ordered, _measure_tables(results, manifest, _present(manifest), rows))


def measure_runs(results: Path) -> Measurement:
    """As `measure`, without the tables, which another version may hold otherwise; the rows name their file too."""
    manifest = read_measured_manifest(MANIFEST.at(results))
    rows, _ = METRICS_TABLE.read(METRICS_TABLE.at(results))
    return Measurement(_facts(results, manifest), rows[[*COLUMNS, "file"]].sort_values(KEYS, ignore_index=True))


def _present(manifest: dict) -> list[str]:
    return [name for name, state in manifest["benchmarks"].items() if state["status"] == "present"]


def _facts(results: Path, manifest: dict) -> dict[str, str]:
    hardware = manifest["hardware"]
    facts = {"code": f"{manifest['code']['version']}, commit {manifest['code']['commit'] or 'unknown'}"}
    facts["machine"] = f"{hardware['machine']}, {hardware['instructions']}, GPU {hardware['gpu']}"
    # A build's label, as in 2.13.0+cpu, says for which GPU it is, and so does the machine.
    facts |= {f"version {name}": manifest["versions"][name].partition("+")[0] for name in PACKAGES}
    facts |= {f"encoder {role}": _describe_encoder(encoder) for role, encoder in manifest["encoders"].items()}
    facts |= {f"recipe {name}": digest(recipe["values"])[:12] for name, recipe in manifest["recipes"].items()}
    facts |= {f"rate {name}": f"{recipe['values']['learning_rate']:g}" for name, recipe in manifest["recipes"].items()}
    for benchmark in _present(manifest):
        facts |= _describe_data(results, benchmark)
    return facts | {"texts": _describe_texts(manifest)}


def read_measured_manifest(path: Path) -> dict:
    """The manifest at `path`, of which what is measured needs little. Raises InputError where it has not even that."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        for key in ("encoders", "recipes", "benchmarks", "outputs"):
            manifest[key].items()
        manifest["hardware"]["instructions"], manifest["code"]["commit"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `snakemake --cores all reproduce` first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a manifest of this version ({error}); delete it and run again") from None
    return manifest


# Facts


def _describe_encoder(identity: dict) -> str:
    """Model, weights, and a digest of how images are read; without versions, which are facts of their own."""
    apart = {"name", "label", "versions", "model", "weights", "weights_sha256", "file_sha256"}
    reading = digest({key: value for key, value in identity.items() if key not in apart})
    return f"{identity['model']}, weights {identity['weights_sha256'][:12]}, description {reading[:12]}"


def _describe_data(results: Path, benchmark: str) -> dict[str, str]:
    """Digests of contents: a file's own bytes change with the library that writes it."""
    samples, card = SAMPLES.read(SAMPLES.at(results, benchmark=benchmark))
    splits, _ = SPLITS.read(SPLITS.at(results, benchmark=benchmark))
    facts = {f"images {benchmark}": _hash(samples[["image", "sha256"]])}
    facts |= {f"MOS {benchmark} {target}": _hash(samples[["image", target]]) for target in card["ranges"]}
    for protocol, table in splits.groupby("protocol"):
        facts[f"splits {benchmark} {protocol}"] = _hash(table[["split", "image", "role"]])
    return facts


def _describe_texts(manifest: dict) -> str:
    """A digest of what the page says in words: titles, descriptions, sources, readings."""
    recipes = {
        name: {key: recipe.get(key) for key in ("title", "source", "stated")}
        for name, recipe in manifest["recipes"].items()
    }
    titles = {name: entry.get("title") for name, entry in manifest["benchmarks"].items()}
    rest = [manifest.get(key) for key in ("title", "variants", "protocols", "readings")]
    return digest([titles, recipes, rest])[:12]


def _hash(table: pd.DataFrame) -> str:
    """A short digest of a table's values, whatever the order of its rows; numbers to six decimals."""
    ordered = table.sort_values(list(table))
    return digest(ordered.to_csv(index=False, header=False, float_format="%.6f", lineterminator="\n"))[:12]


# Tables


def _measure_tables(results: Path, manifest: dict, present: list[str], rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The TABLES that the results folder has, of files that the manifest names: others are of an earlier
    configuration."""

    def there(path: Path) -> bool:
        return path.relative_to(results).as_posix() in manifest["outputs"] and path.exists()

    found: dict[str, list[pd.DataFrame]] = {"leakage": [_leakage(results, name) for name in present]}
    for name in present:
        if there(BASELINES.at(results, benchmark=name)):
            table = BASELINES.read(BASELINES.at(results, benchmark=name))[0]
            found.setdefault("baselines", []).append(table.assign(benchmark=name))
    for name, entry in (("readout", READOUT), ("gates", GATES)):
        paths = [entry.at(results, recipe=recipe) for recipe in manifest["recipes"]]
        found[name] = [entry.read(path)[0] for path in paths if there(path)]
    for entry in (EFFICIENCY, CURVES, TRANSFER, INTERVALS, COMPARISONS, GENERATORS):
        if there(entry.at(results)):
            found[Path(entry.path).stem] = [entry.read(entry.at(results))[0]]
    found["parameters"] = [_parameters(results, rows)]
    if there(CLAIMS.at(results)):
        found["verdicts"] = [read_verdicts(CLAIMS.at(results))]
    tables = {name: pd.concat(found[name], ignore_index=True) for name in TABLES if found.get(name)}
    return {name: _by_text(table, TABLES[name]) for name, table in tables.items() if len(table)}


def _by_text(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """A table, sorted, whose keys are text, numbers among them as short as they are told apart."""
    text = {key: [f"{value:g}" if isinstance(value, float) else str(value) for value in table[key]] for key in keys}
    ordered = table.assign(**text).sort_values(keys, ignore_index=True)
    return ordered[[*keys, *ordered.columns.drop(keys)]]


def _leakage(results: Path, benchmark: str) -> pd.DataFrame:
    """Images by role and what leaks, a row per split, as the splits table says of itself."""
    _, metadata = SPLITS.read(SPLITS.at(results, benchmark=benchmark))
    rows = [
        {"benchmark": benchmark, "protocol": protocol, "split": number, **counts}
        for protocol, splits in metadata["protocols"].items()
        for number, counts in enumerate(splits)
    ]
    return pd.DataFrame(rows)


def _parameters(results: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """The parameters that were trained, as the predictions say of themselves; where they differ, all of them."""
    found: dict[tuple[str, str], set[str]] = {}
    trained = rows[rows["recipe"] != ENTERED]
    for file, recipe, variant in trained[["file", "recipe", "variant"]].drop_duplicates().itertuples(index=False):
        if (results / file).exists():  # a missing one is a fault of its own
            count = read_description(results / file).get("trainable_parameters")
            found.setdefault((recipe, variant), set()).add(str(count))
    counted = [(*key, " or ".join(sorted(counts))) for key, counts in found.items()]
    return pd.DataFrame(counted, columns=["recipe", "variant", "trained"])


def read_verdicts(path: Path) -> pd.DataFrame:
    """The verdict on each claim, and what it rests on. Raises InputError where the file holds none."""
    columns: dict[str, type] = {**dict.fromkeys(["id", "recipe", "protocol", "verdict"], str)}
    columns |= dict.fromkeys(["measured", "low", "high"], float)
    try:
        claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
        return pd.DataFrame([{name: row[name] for name in columns} for row in claims]).astype(columns)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: holds no verdicts ({error}); delete it and run again") from None
