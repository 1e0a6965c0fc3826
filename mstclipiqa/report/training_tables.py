"""The tables of what was trained: encoders, recipes, parameters, and the time of extraction."""

import pandas as pd

from mstclipiqa.base.names import ENTERED
from mstclipiqa.report.results import Results, ordered
from mstclipiqa.report.table import DASH, Cell, Table, frame_of, plain


def encoders(results: Results) -> Table:
    """The identity of each frozen encoder: properties by role."""
    identities = results.manifest["encoders"]
    first = ["label", "name", "model", "weights", "pretrained", "weights_sha256", "dim", "precision"]
    keys = sorted({key for identity in identities.values() for key in identity})
    keys = [key for key in first if key in keys] + [key for key in keys if key not in first]
    rows = [
        {"Property": key.replace("_", " ")}
        | {role: Cell(plain(identity.get(key)), code=key.endswith("sha256")) for role, identity in identities.items()}
        for key in keys
    ]
    shown = frame_of(rows, ["Property", *identities])
    return Table("encoders", "The frozen encoders, by role.", shown, shown)


def timings(results: Results) -> Table:
    """Extraction speed, where Snakemake timed it."""
    full = results.timings.assign(per_second=results.timings["items"] / results.timings["seconds"])
    shown = [
        {
            "Benchmark": results.title("benchmarks", row.benchmark),
            "Encoder": row.encoder,
            "Items": f"{row.items:,} {row.unit}",
            "Seconds": f"{row.seconds:,.1f}",
            "Per second": f"{row.per_second:,.1f}",
        }
        for row in full.itertuples()
    ]
    columns = ["Benchmark", "Encoder", "Items", "Seconds", "Per second"]
    return Table(
        "timings",
        "Feature extraction: how long it took on this machine, including start-up and model loading.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
    )


def recipes(results: Results) -> Table:
    """What each recipe sets, and where its source states it or that the source is silent."""
    entries = {name: results.manifest["recipes"][name] for name in ordered(results.manifest, "recipes")}
    keys = list({key: None for entry in entries.values() for key in sorted(entry["values"])})

    def origin(entry: dict, key: str) -> str:
        if key in entry["stated"]:
            return entry["stated"][key]
        return "source silent: the released code's value" if key in entry["silent"] else "origin not recorded"

    full = pd.DataFrame(
        [
            {
                "recipe": name,
                "setting": key,
                "value": plain(entry["values"][key]),
                "silent": key in entry["silent"],
            }
            | {"origin": origin(entry, key)}
            for name, entry in entries.items()
            for key in sorted(entry["values"])
        ],
        columns=["recipe", "setting", "value", "silent", "origin"],
    )
    shown = [
        {"Setting": key.replace("_", " ")}
        | {
            entry["title"]: Cell(plain(entry["values"][key]), origin(entry, key))
            for entry in entries.values()
            if key in entry["values"]
        }
        for key in keys
    ]
    return Table(
        "recipes",
        "The training recipes: each value, and where its source states it.",
        full,
        frame_of(shown, ["Setting", *(entry["title"] for entry in entries.values())]),
        notes=[f"{entry['title']}: {entry['source']}" for entry in entries.values()],
    )


def parameters(results: Results) -> Table:
    """Trainable parameters of each variant under each recipe, as counted on the trained model."""
    full = pd.DataFrame(
        [
            {key: metadata[key] for key in ("variant", "recipe", "trainable_parameters")}
            for metadata in results.runs.values()
            if metadata["recipe"] != ENTERED
        ],
        columns=["variant", "recipe", "trainable_parameters"],
    ).drop_duplicates()
    shown = []
    for variant in (name for name in ordered(results.manifest, "variants") if name not in results.entered):
        method = Cell(results.title("variants", variant), results.manifest["variants"][variant]["description"])
        row: dict[str, str | Cell] = {"Method": method}
        for recipe in ordered(results.manifest, "recipes"):
            counts = full[(full["variant"] == variant) & (full["recipe"] == recipe)]["trainable_parameters"]
            row[results.title("recipes", recipe)] = " or ".join(f"{count:,}" for count in sorted(counts)) or DASH
        shown.append(row)
    columns = [
        "Method",
        *(results.title("recipes", recipe) for recipe in ordered(results.manifest, "recipes")),
    ]
    dims = " or ".join(str(dim) for dim in sorted({entry["dim"] for entry in results.manifest["encoders"].values()}))
    return Table(
        "parameters",
        "Trainable parameters, counted on the trained models.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        notes=[
            f"Counted here on features of {dims} dimensions. The claims on parameters count the same models on the 512 "
            "dimensions of the paper’s encoders; the number of parameters grows with the dimensions."
        ],
    )
