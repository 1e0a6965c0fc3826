"""The tables of what the numbers rest on: benchmarks, labels, defects, splits and their leakage."""

import pandas as pd

from mstclipiqa.base.layout import SAMPLES, SPLITS
from mstclipiqa.base.names import SELECTIONS, TARGETS, TEST, TRAIN, VAL
from mstclipiqa.data.leakage import SAME_TEST
from mstclipiqa.report.results import Results, ordered
from mstclipiqa.report.table import DASH, Cell, Table, frame_of, span

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
        status = "synthetic" if name in results.synthetic else "from a pack" if "pack" in card else "present"
        generators = ", ".join(f"{generator} {count:,}" for generator, count in card["generators"].items())
        shown.append(
            {
                "Benchmark": title,
                "Status": status,
                "Images": Cell(
                    f"{card['images']:,}", _unless_equal(card), files=(SAMPLES.path.format(benchmark=name),)
                ),
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
        "The benchmarks. Prompts over the text encoder's 77 tokens are truncated.",
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


# Splits, recipes


#: What may leak, by the column that shows it.
LEAKS = {
    "Prompt in train": "test_images_with_prompt_in_train",
    "Near prompt in train": "test_images_with_near_prompt_in_train",
    "Bytes in train": "test_images_with_bytes_in_train",
}


def leakage(results: Results) -> Table:
    """How many test images show a prompt, a nearly identical one or bytes that training has seen, by benchmark and
    protocol; and which splits count as another. A protocol without a split of a benchmark has a row that says so."""
    counted = [
        {"benchmark": name, "protocol": protocol, **counts}
        for name, splits in results.splits.items()
        for protocol in ordered(results.manifest, "protocols")
        for counts in splits["protocols"].get(protocol) or [{}]
    ]
    numbers = ["split", "counts_as", "train", "val", "test", *LEAKS.values(), "test_prompts", "test_prompts_in_train"]
    full = pd.DataFrame(counted, columns=["benchmark", "protocol", *numbers]).astype(dict.fromkeys(numbers, "Int64"))
    full["percent"] = 100 * full[LEAKS["Prompt in train"]] / full["test"]
    shown, notes = [], []
    for (name, protocol), rows in full.groupby(["benchmark", "protocol"], sort=False):
        title = results.title("benchmarks", name)
        row = {"Benchmark": title, "Protocol": protocol}
        if rows["split"].isna().all():
            shown.append(row | {"Splits": Cell("none", "of this benchmark")})
            continue
        again = rows[rows["split"] != rows["counts_as"]]
        if len(again):
            listed = ", ".join(f"{split.split} as {split.counts_as}" for split in again.itertuples())
            least = f"at least {100 * SAME_TEST:.0f} % of the test images of an earlier one"
            notes.append(f"{title}, {protocol}: splits with {least} are that one again, and not run: {listed}.")
        distinct = f"{len(rows) - len(again)} distinct" if len(again) else ""
        shown.append(
            row
            | {"Splits": Cell(str(len(rows)), distinct, files=(SPLITS.path.format(benchmark=name),))}
            | {role.capitalize(): span(rows[role]) for role in (TRAIN, VAL, TEST)}
            | {column: span(rows[key]) for column, key in LEAKS.items()}
            | {"Share": span(rows["percent"], "{:.1f}") + " %"}
            | {"Test prompts in train": " of ".join(span(rows[f"test_prompts{part}"]) for part in ("_in_train", ""))}
        )
    columns = ["Benchmark", "Protocol", "Splits", "Train", "Val", "Test", "Prompt in train", "Share"]
    columns += [*list(LEAKS)[1:], "Test prompts in train"]
    return Table(
        "leakage",
        "Leakage: images in each role, and test images of which training has seen the prompt, another prompt that is "
        "nearly identical, or the bytes; least to greatest over the splits of a protocol. The share is that of images "
        "with their prompt in training.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        notes=notes,
    )


def protocols(results: Results) -> Table:
    """The protocols, each with its main selection."""
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
