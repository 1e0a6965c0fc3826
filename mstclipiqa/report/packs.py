"""The feature packs in the report: where features come from whose images are elsewhere, and what needs those.

A table is None where every benchmark has its images.
"""

import pandas as pd

from mstclipiqa.report.results import Results
from mstclipiqa.report.table import Cell, Table, frame_of

#: What needs the images of a benchmark, and what is said instead.
NEEDED = {
    "image statistics": "not measured: ridge regression on them, and on mean colour, has no row",
    "augmented views": "not in a pack: no recipe that trains on them is run",
    "pictures of sample images": "not shown",
}
PROBE = {"the probe": "not run: it encodes drawn scenes, and a pack needs no encoder at hand"}


def packs(results: Results) -> Table | None:
    """Each feature pack: its hash, how features are stored, what labels it was made with, whom to thank."""
    rows = [
        {"benchmark": name, "sha256": pack["sha256"], "stored": pack["stored"], "attribution": pack["attribution"]}
        | {"label_files": ", ".join(f"{file} {digest}" for file, digest in pack["label_files"].items())}
        for name, pack in _packs(results).items()
    ]
    if not rows:
        return None
    shown = [
        {
            "Benchmark": results.title("benchmarks", row["benchmark"]),
            "SHA-256 of the pack": Cell(row["sha256"], code=True),
            "Stored in": row["stored"],
            "Attribution": row["attribution"],
            "Labels read from, SHA-256": Cell(row["label_files"], code=True),
        }
        for row in rows
    ]
    return Table(
        "packs",
        "Benchmarks whose features, and labels where their licence allows it, come from a feature pack: their images "
        "were encoded elsewhere.",
        pd.DataFrame(rows),
        frame_of(shown, list(shown[0])),
        notes=[
            "Rounding to float16 is part of these features' identity. `mstclipiqa verify --data-root` encodes a sample "
            "of the images again, where they are at hand."
        ],
    )


def without_images(results: Results) -> Table | None:
    """What needs the images, a row each, with what is said instead."""
    needed = NEEDED | ({} if results.probes else PROBE)
    full = pd.DataFrame(
        [
            {"benchmark": name, "what": what, "instead": said}
            for name in _packs(results)
            for what, said in needed.items()
        ],
        columns=["benchmark", "what", "instead"],
    )
    if full.empty:
        return None
    shown = [
        {
            "Benchmark": results.title("benchmarks", row.benchmark),
            "Needs the images": row.what,
            "Instead": row.instead,
        }
        for row in full.itertuples()
    ]
    return Table(
        "without_images",
        "What needs images: not here for the benchmarks that come from a pack.",
        full,
        frame_of(shown, ["Benchmark", "Needs the images", "Instead"]),
        stub=2,
    )


def _packs(results: Results) -> dict[str, dict]:
    """What the cards say of their packs, by benchmark."""
    return {name: card["pack"] for name, card in results.cards.items() if "pack" in card}


TABLES = (packs, without_images)
