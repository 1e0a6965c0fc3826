"""The tables of the report: benchmarks, results in the shape of the paper's, splits, recipes, the probe."""

import json

import pandas as pd

from mstclipiqa.benchmarks.base import TARGETS
from mstclipiqa.report.results import GROUP, METRICS, SELECTIONS, Results, ordered
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: The paper's table of each target, and the benchmarks it has, in its order.
PAPER_TABLES = {
    "quality": ("IV", ["agiqa-1k", "agiqa-3k", "aigciqa2023", "aigiqa-20k", "pku-aigiqa-4k"]),
    "authenticity": ("I", ["aigciqa2023", "pku-aigiqa-4k"]),
    "correspondence": ("V", ["agiqa-3k", "aigciqa2023", "pku-aigiqa-4k"]),
}
PAPER = "arXiv 2606.16799v1"


def plain(value: object) -> str:
    """A configuration value as text: words as they are, mappings as keys and values, other values as JSON."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: DASH}[value]
    if isinstance(value, dict):
        return "; ".join(f"{key} {plain(entry)}" for key, entry in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _span(values: pd.Series, pattern: str = "{:,}") -> str:
    low, high = pattern.format(values.min()), pattern.format(values.max())
    return low if low == high else f"{low}–{high}"


# Measured numbers


def summarise(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean, sample SD, least and greatest over splits and seeds: one row per group and metric.

    SD is empty for a single run. Where the metric of any run is undefined, `undefined` counts those runs and
    no statistic is given: the mean of the rest would be another quantity.
    """
    long = metrics.melt(id_vars=[*GROUP, "file", "n"], value_vars=list(METRICS), var_name="metric")
    summary = (
        long.groupby([*GROUP, "metric"], sort=False)
        .agg(
            runs=("value", "size"),
            undefined=("value", lambda values: int(values.isna().sum())),
            mean=("value", "mean"),
            sd=("value", "std"),
            min=("value", "min"),
            max=("value", "max"),
            n_min=("n", "min"),
            n_max=("n", "max"),
            file=("file", "first"),
        )
        .reset_index()
    )
    statistics = ["mean", "sd", "min", "max"]
    summary[statistics] = summary[statistics].where(summary["undefined"] == 0)
    return summary


def number(statistics: pd.Series) -> Cell:
    """Mean ± SD with the paper's four decimals, or how many runs are undefined."""
    if statistics["undefined"]:
        return Cell(f"{statistics['undefined']} of {statistics['runs']} runs undefined")
    spread = "" if pd.isna(statistics["sd"]) else f"± {statistics['sd']:.4f}"
    return Cell(f"{statistics['mean']:.4f}", spread)


def all_metrics(results: Results) -> Table:
    """Every metric of every group in long form."""
    summary = summarise(results.metrics)
    shown = summary.assign(
        metric=summary["metric"].map(METRICS),
        value=[number(row) for _, row in summary.iterrows()],
        n=[_span(row[["n_min", "n_max"]]) for _, row in summary.iterrows()],
    )
    return Table(
        "all_metrics",
        "Every metric: mean ± sample SD over splits and seeds.",
        summary,
        shown[[*GROUP, "metric", "value", "runs", "n"]].astype(object),
    )


def comparison(results: Results, target: str) -> Table:
    """A table shaped like the paper's for `target`: method x recipe by protocol and selection.

    The paper's printed rows come last, and never stand in the column of a synthetic benchmark.
    """
    number_in_paper, benchmarks = PAPER_TABLES[target]
    summary = summarise(results.of_main_variants(target))
    benchmarks = benchmarks + [name for name in summary["benchmark"].unique() if name not in benchmarks]
    titles = {name: results.title("benchmarks", name) for name in benchmarks}
    shown, full, groups, not_run = [], [], [], set()
    for keys, rows in summary.groupby(["protocol", "selection", "recipe", "variant"], sort=False):
        protocol, selection, recipe, variant = keys
        cells = {
            ("", "Method"): results.title("variants", variant),
            ("", "Recipe"): results.title("recipes", recipe),
        }
        record = {"source": "measured", "method": cells["", "Method"], "variant": variant, "recipe": recipe}
        record |= {"protocol": protocol, "selection": selection}
        for benchmark, title in titles.items():
            found = rows[rows["benchmark"] == benchmark].set_index("metric")
            if found.empty:
                if results.absent(benchmark) is None:
                    not_run.add(title)
                continue
            cells[title, "SRCC"] = number(found.loc["srcc"])
            cells[title, "PLCC"] = number(found.loc["plcc"])
            cells[title, "Runs"] = Cell(str(found["runs"].iloc[0]), files=(found["file"].iloc[0],))
            for metric in METRICS:
                for statistic in ("mean", "sd", "undefined"):
                    record[f"{benchmark}_{metric}_{statistic}"] = found.loc[metric, statistic]
            for key in ("n_min", "n_max", "runs", "file"):
                record[f"{benchmark}_{key}"] = found[key].iloc[0]
        shown.append(cells)
        full.append(record)
        groups.append(_group(results, protocol, selection))
    for cells, record in _printed_rows(results, target, titles):
        shown.append(cells)
        full.append(record)
        groups.append(Cell(f"Printed in {PAPER}, Table {number_in_paper}", "a 4:1 split, epoch not stated"))
    columns = [("", "Method"), ("", "Recipe")]
    for title in titles.values():
        columns += [(title, "SRCC"), (title, "PLCC")]
        columns += [(title, "Runs")] if any((title, "Runs") in cells for cells in shown) else []

    def place(key: str) -> int:
        return next((i for i, name in enumerate(titles) if key.startswith(f"{name}_")), -1)

    absent = {title: results.absent(name) for name, title in titles.items()}
    notes = [f"{title} is absent: {reason}" for title, reason in absent.items() if reason is not None]
    notes += [f"{title}: a dash means this combination was not run in this suite." for title in sorted(not_run)]
    return Table(
        f"table_{number_in_paper.lower()}_{target}",
        f"{target.capitalize()}, in the shape of the paper's Table {number_in_paper}: mean ± sample SD over "
        "splits and seeds; no SD for a single run. The number of runs links to their predictions.",
        pd.DataFrame(full, columns=sorted({key: None for record in full for key in record}, key=place)),
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        groups=groups,
        notes=notes + (cautions(results, titles) if len(summary) else []),
    )


def _group(results: Results, protocol: str, selection: str) -> Cell:
    remarks = []
    if results.manifest["protocols"][protocol]["selection"] == selection:
        remarks.append("the main selection of this protocol")
    if selection == "best-on-test":
        remarks.append("chosen on the very images it is reported on, so optimistic")
    return Cell(f"{protocol}, {SELECTIONS[selection]}", "; ".join(remarks))


def printed_numbers(results: Results, target: str) -> dict[tuple[str, str, str], float]:
    """The paper's printed numbers for our variants, by (method, benchmark, metric).

    Only where the suite has a benchmark that is not synthetic, and none for a synthetic benchmark.
    """
    if set(results.cards) <= set(results.synthetic):
        return {}
    titles = [results.title("variants", name) for name in ordered(results.manifest, "variants")]
    printed = results.printed
    printed = printed[
        (printed["table"] == PAPER_TABLES[target][0])
        & printed["method"].isin(titles)
        & ~printed["benchmark"].isin(results.synthetic)
    ]
    keys = printed[["method", "benchmark", "metric"]].itertuples(index=False, name=None)
    return dict(zip(keys, printed["value"], strict=True))


def _printed_rows(results: Results, target: str, titles: dict[str, str]) -> list[tuple[dict, dict]]:
    printed = printed_numbers(results, target)
    rows = []
    for method in dict.fromkeys(method for method, _, _ in printed):
        cells = {("", "Method"): method}
        record = {"source": f"printed in {PAPER}", "method": method}
        for benchmark, title in titles.items():
            for metric in ("srcc", "plcc"):
                value = printed.get((method, benchmark, metric))
                record[f"{benchmark}_{metric}_mean"] = value
                if value is not None:
                    cells[title, METRICS[metric]] = f"{value:.4f}"
        rows.append((cells, record))
    return rows


def cautions(results: Results, titles: dict[str, str]) -> list[str]:
    notes = []
    synthetic = [titles[name] for name in results.synthetic if name in titles]
    if synthetic:
        notes.append(f"Synthetic, not a result on the benchmark of that name: {', '.join(synthetic)}.")
    if results.untrained:
        notes.append("Measured with random encoder weights: no test of the paper's numbers.")
    return notes


# What the numbers rest on


def benchmarks(results: Results) -> Table:
    """One row per benchmark, the absent ones with their reason."""
    counts = ["prompts_truncated", "rows_read", "images", "prompts", "prompt_groups"]
    texts = ["generators", "paper", "licence"]
    shown, full = [], []
    for name in results.benchmarks:
        title, reason = results.title("benchmarks", name), results.absent(name)
        if reason is not None:
            shown.append({"Benchmark": title, "Status": Cell("absent", reason)})
            full.append({"benchmark": name, "title": title, "status": "absent", "reason": reason})
            continue
        card = results.cards[name]
        truncated = results.manifest["benchmarks"][name].get("prompts_truncated")
        status = "synthetic" if name in results.synthetic else "present"
        generators = ", ".join(f"{generator} {count:,}" for generator, count in card["generators"].items())
        shown.append(
            {
                "Benchmark": title,
                "Status": status,
                "Images": Cell(f"{card['images']:,}", _unless_equal(card), files=(f"{name}/samples.parquet",)),
                "Prompts": f"{card['prompts']:,}",
                "Prompts truncated": DASH if truncated is None else f"{truncated:,}",
                "Generators and their images": generators,
                "Source": Cell(card["paper"], f"licence: {card['licence']}"),
            }
        )
        full.append(
            {"benchmark": name, "title": title, "status": status, "prompts_truncated": truncated}
            | {key: card[key] for key in (*counts[1:], *texts[1:])}
            | {"generators": generators}
        )
    columns = ["Benchmark", "Status", "Images", "Prompts", "Prompts truncated"]
    return Table(
        "benchmarks",
        "The benchmarks. The number of images links to the samples table; prompts over "
        "the text encoder's 77 tokens are truncated.",
        pd.DataFrame(full, columns=["benchmark", "title", "status", "reason", *counts, *texts]).astype(
            dict.fromkeys(counts, "Int64")
        ),
        frame_of(shown, [*columns, "Generators and their images", "Source"]),
        numeric=tuple(columns[2:]),
    )


def _unless_equal(card: dict) -> str:
    return "" if card["images"] == card["rows_read"] else f"of {card['rows_read']:,} rows"


def mos_columns(results: Results) -> Table:
    """Which label column each target was read from, its nominal range, and what was found."""
    full = pd.DataFrame(
        [
            {"benchmark": name, "target": target, "column": card["columns"][target]}
            | dict(zip(("low", "high"), card["ranges"][target], strict=True))
            | card["mos"][target]
            for name, card in results.cards.items()
            for target in TARGETS
            if target in card["ranges"]
        ],
        columns=["benchmark", "target", "column", "low", "high", "min", "max", "mean", "std"],
    )
    shown = [
        {
            "Benchmark": results.title("benchmarks", row.benchmark),
            "Target": row.target,
            "Column read": row.column,
            "Nominal range": f"{row.low:g}–{row.high:g}",
            "Found": f"{row.min:.2f}–{row.max:.2f}",
            "Mean": f"{row.mean:.2f}",
            "SD": f"{row.std:.2f}",
        }
        for row in full.itertuples()
    ]
    columns = ["Benchmark", "Target", "Column read", "Nominal range", "Found", "Mean", "SD"]
    return Table(
        "mos_columns",
        "The mean opinion scores (MOS): the label column read for each target.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[3:]),
        stub=2,
    )


def label_files(results: Results) -> Table:
    """The label files read, with their SHA-256."""
    full = pd.DataFrame(
        [
            {"benchmark": name, "file": file, "sha256": digest}
            for name, card in results.cards.items()
            for file, digest in card["label_files"].items()
        ],
        columns=["benchmark", "file", "sha256"],
    )
    shown = [
        {
            "Benchmark": results.title("benchmarks", row.benchmark),
            "File": row.file,
            "SHA-256": Cell(row.sha256, code=True),
        }
        for row in full.itertuples()
    ]
    return Table("label_files", "The label files read.", full, frame_of(shown, ["Benchmark", "File", "SHA-256"]))


def defects(results: Results) -> Table:
    """What is wrong in the source files, how often, and the rule applied."""
    full = pd.DataFrame(
        [
            {"benchmark": name, **defect, "examples": ", ".join(defect["examples"])}
            for name, card in results.cards.items()
            for defect in card["defects"]
        ],
        columns=["benchmark", "what", "count", "rule", "examples"],
    )
    shown = [
        {
            "Benchmark": results.title("benchmarks", row["benchmark"]),
            "Defect": Cell(row["what"], f"e.g. {row['examples']}" if row["examples"] else ""),
            "Count": f"{row['count']:,}",
            "Rule applied": row["rule"],
        }
        for row in full.to_dict("records")
    ]
    return Table(
        "defects",
        "Defects of the source files and the rule applied to each.",
        full,
        frame_of(shown, ["Benchmark", "Defect", "Count", "Rule applied"]),
        numeric=("Count",),
    )


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
        "Feature extraction on the hardware named below, including start-up and model loading.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
    )


# Splits, recipes


def leakage(results: Results) -> Table:
    """How many test images show a prompt that training has seen, by benchmark and protocol."""
    full = pd.DataFrame(
        [
            {"benchmark": name, "protocol": protocol, **counts}
            for name, splits in results.splits.items()
            for protocol in ordered(results.manifest, "protocols")
            for counts in splits["protocols"].get(protocol, [])
        ],
        columns=["benchmark", "protocol", "split", "train", "val", "test"]
        + ["test_images_with_prompt_in_train", "test_prompts", "test_prompts_in_train"],
    )
    full["percent"] = 100 * full["test_images_with_prompt_in_train"] / full["test"]
    shown = [
        {
            "Benchmark": results.title("benchmarks", name),
            "Protocol": protocol,
            "Splits": Cell(str(len(rows)), files=(f"{name}/splits.parquet",)),
            "Train": _span(rows["train"]),
            "Val": _span(rows["val"]),
            "Test": _span(rows["test"]),
            "Leaking test images": _span(rows["test_images_with_prompt_in_train"]),
            "Share": _span(rows["percent"], "{:.1f}") + " %",
            "Test prompts in train": " of ".join(_span(rows[key]) for key in ("test_prompts_in_train", "test_prompts")),
        }
        for (name, protocol), rows in full.groupby(["benchmark", "protocol"], sort=False)
    ]
    columns = ["Benchmark", "Protocol", "Splits", "Train", "Val", "Test"]
    columns += ["Leaking test images", "Share", "Test prompts in train"]
    return Table(
        "leakage",
        "Images in each role, and test images whose prompt training has seen; least to greatest over the "
        "splits of a protocol. The number of splits links to the splits table.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
    )


def protocols(results: Results) -> Table:
    """The protocols and the selection each is mainly read by."""
    shown = [
        {
            "Protocol": name,
            "Description": entry["description"],
            "Main selection": SELECTIONS[entry["selection"]],
        }
        for name, entry in (
            (name, results.manifest["protocols"][name]) for name in ordered(results.manifest, "protocols")
        )
    ]
    frame = frame_of(shown, ["Protocol", "Description", "Main selection"])
    return Table("protocols", "The split protocols.", frame, frame)


def recipes(results: Results) -> Table:
    """What each recipe sets, with the place that states it or the word that its source is silent."""
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
        ],
        columns=["variant", "recipe", "trainable_parameters"],
    ).drop_duplicates()
    shown = []
    for variant in ordered(results.manifest, "variants"):
        row = {"Method": Cell(results.title("variants", variant), results.manifest["variants"][variant]["description"])}
        for recipe in ordered(results.manifest, "recipes"):
            counts = full[(full["variant"] == variant) & (full["recipe"] == recipe)]["trainable_parameters"]
            row[results.title("recipes", recipe)] = " or ".join(f"{count:,}" for count in sorted(counts)) or DASH
        shown.append(row)
    columns = [
        "Method",
        *(results.title("recipes", recipe) for recipe in ordered(results.manifest, "recipes")),
    ]
    return Table(
        "parameters",
        "Trainable parameters, counted on the trained models.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
    )


# The probe

#: Features that are read from, as the page names them. The fused ones belong to a recipe's model.
STREAMS = {"f_c": "f_c (coarse)", "f_f": "f_f (fine)", "both": "both"}
FUSED = {"z_initial": "before training", "z_trained": "trained"}
KINDS = {"semantic": "What is depicted", "distortion": "How it is rendered"}
READOUT_METRICS = {"srcc": "SRCC"}


def stream_difference(readout: pd.DataFrame) -> pd.DataFrame:
    """f_f less f_c by factor (rows, in order): mean and SD over the folds of the difference within each."""
    by_fold = readout.pivot(index=["kind", "factor", "split"], columns="features", values="value")
    difference = (by_fold["f_f"] - by_fold["f_c"]).groupby(["kind", "factor"]).agg(["mean", "std"])
    return difference.loc[list(readout[["kind", "factor"]].drop_duplicates().itertuples(index=False, name=None))]


def readout(results: Results) -> Table:
    """How well each factor is read linearly from each stream and from each recipe's fused features."""
    probes = results.probes
    full = pd.concat([probe.readout.assign(recipe=name) for name, probe in probes.items()], ignore_index=True)
    # The streams are the same under every recipe.
    first = full[full["recipe"] == full["recipe"].iloc[0]]
    difference = stream_difference(first)
    shown, groups = [], []
    for (kind, metric, factor), rows in first.groupby(["kind", "metric", "factor"], sort=False):
        cells = {("", "Factor"): factor.replace("_", " "), ("", "Chance"): f"{rows['chance'].iloc[0]:.3f}"}
        for name, title in STREAMS.items():
            cells["The encoders' features", title] = _mean_and_sd(rows[rows["features"] == name]["value"])
        mean, sd = difference.loc[(kind, factor)]
        cells["The encoders' features", "f_f − f_c"] = Cell(f"{mean:+.3f}", f"± {sd:.3f}")
        for recipe, probe in probes.items():
            of_factor = probe.readout[probe.readout["factor"] == factor]
            for name, title in FUSED.items():
                cells[_fused(results, recipe), title] = _mean_and_sd(of_factor[of_factor["features"] == name]["value"])
        shown.append(cells)
        groups.append(Cell(f"{KINDS[kind]}: {READOUT_METRICS.get(metric, metric)}"))
    columns = list(dict.fromkeys(column for cells in shown for column in cells))
    return Table(
        "probe_readout",
        "What is read linearly from each stream: mean ± sample SD over "
        f"{first['split'].nunique()} folds of scenes, none of which the readout was trained on.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Factor and metric",
        notes=[
            *(_division_of_labour(kind, rows) for kind, rows in difference.groupby(level="kind", sort=False)),
            "A stream that is ahead on both kinds is the better stream, not a specialised one. A value below chance "
            "reads nothing, as one at chance does.",
        ],
    )


def _fused(results: Results, recipe: str) -> str:
    return f"Fused z, {results.title('recipes', recipe)}"


def _mean_and_sd(values: pd.Series) -> Cell:
    return Cell(f"{values.mean():.3f}", f"± {values.std():.3f}")


def _division_of_labour(kind: str, difference: pd.DataFrame) -> str:
    """The claim of the paper on one kind of factor, and the count of factors on either side of it."""
    sign, claimed, other = (-1, "f_c", "f_f") if kind == "semantic" else (1, "f_f", "f_c")
    ahead = sign * difference["mean"]
    clear = ahead.abs() > difference["std"]
    return (
        f"{KINDS[kind]}: if the claim holds, {claimed} is ahead. It is on {int((ahead > 0).sum())} of {len(ahead)} "
        f"factors, on {int(((ahead > 0) & clear).sum())} by more than the SD of the difference; {other} is on "
        f"{int(((ahead < 0) & clear).sum())} by as much."
    )


def gates(results: Results) -> Table:
    """How each artefact moves the gates of the same scene; `full` has the untrained model too."""
    full = pd.concat([probe.gates.assign(recipe=name) for name, probe in results.probes.items()], ignore_index=True)
    shown, groups = [], []
    for row in full[full["state"] == "trained"].to_dict("records"):
        none = row["artefact"] == "none"
        cells = {"Artefact": "none: from one clean scene to the next" if none else row["artefact"].replace("_", " ")}
        for name, sign in (("shift", "+"), ("movement", "")):
            mean, sd, strength = 1000 * row[name], 1000 * row[f"{name}_sd"], row[f"{name}_srcc"]
            cells[f"{name.capitalize()}, 10⁻³"] = Cell(f"{mean:{sign}z.2f}", f"± {sd:.2f}")
            cells[f"{name.capitalize()} by strength, SRCC"] = DASH if pd.isna(strength) else f"{strength:+z.2f}"
        shown.append(cells)
        groups.append(Cell(results.title("recipes", row["recipe"])))
    columns = list(shown[0])
    return Table(
        "probe_gates",
        "How the trained model's gates g (0..1) answer to each artefact, against the clean picture of the same scene: "
        "mean ± sample SD over scenes, and the rank correlation with the artefact's strength.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Recipe",
        notes=[
            "Shift is the change of g averaged over dimensions: positive moves towards f_c, negative towards f_f. "
            "Movement averages the absolute change, so that dimensions which move apart do not cancel.",
            "The first row, of no artefact, compares different clean scenes: what semantics does at fixed distortion.",
            "The CSV holds the model before training too.",
        ],
    )


def gate_variance(results: Results) -> Table:
    """Whether the gates vary with the scene or with the distortion, by recipe, before training and after."""
    full = pd.DataFrame(
        [
            {"recipe": recipe, "state": state, "mean": entry["mean"], "moved": entry["moved"], **entry["shares"]}
            for recipe, probe in results.probes.items()
            for state, entry in probe.metadata["gates"].items()
        ]
    )
    shares = {"scene": "Scene", "artefact": "Which artefact", "strength": "Its strength", "rest": "Rest"}
    shown = [
        {
            "Recipe": results.title("recipes", row["recipe"]),
            "Model": FUSED[f"z_{row['state']}"],
            "Mean gate": f"{row['mean']:.3f}",
            "Moved by training, 10⁻³": f"{1000 * row['moved']:.2f}" if row["state"] == "trained" else DASH,
        }
        | {title: f"{100 * row[name]:.1f} %" for name, title in shares.items()}
        for row in full.to_dict("records")
    ]
    columns = list(shown[0])
    notes = [
        f"{row['Recipe']}: in the trained model the scene explains {row['Scene']} of what the gates vary, and which "
        f"artefact lies on it, and how strongly, {100 * (entry['artefact'] + entry['strength']):.1f} %."
        for row, entry in zip(shown, full.to_dict("records"), strict=True)
        if entry["state"] == "trained"
    ]
    return Table(
        "probe_gate_variance",
        "What the gates vary with: shares of their variance over all renderings of all spoiled scenes, summed over "
        "dimensions. The rest is what an artefact does to one scene and not to another. Beside them, the mean absolute "
        "change of a gate by training.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        notes=notes,
    )
