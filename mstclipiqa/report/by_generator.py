"""SRCC within each generator, and each kind of generator."""

import pandas as pd

from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.report.results import GROUP_ORDER, Results, ordered
from mstclipiqa.report.table import DASH, Cell, Table, frame_of


def by_generator(results: Results) -> Table | None:
    """SRCC by generator: within each kind of generator, and its spread over generators, under one protocol."""
    rows = results.shown_statistics("generators")
    if rows.empty:
        return None
    # A protocol whose epoch was not chosen on the test images, where there is one.
    protocols = [name for name in ordered(results.manifest, "protocols") if name in set(rows["protocol"])]
    chosen = min(protocols, key=lambda name: results.manifest["protocols"][name]["selection"] == "best-on-test")
    rows = rows[rows["protocol"] == chosen]
    overall = results.statistics["intervals"].set_index(GROUP_ORDER)["srcc"]
    kinds = [kind for kind in ("GAN", "diffusion", "autoregressive", "unknown") if kind in set(rows["kind"])]
    shown, groups = [], []
    for key, group in rows.groupby(GROUP_ORDER, sort=False):
        named = dict(zip(GROUP_ORDER, key, strict=True))
        generators, by_kind = (group[group["level"] == level] for level in ("generator", "kind"))
        cells: dict[str, str | Cell] = {
            "Benchmark": results.title("benchmarks", named["benchmark"]),
            "Method": results.title("variants", named["variant"]),
            "Recipe": results.title("recipes", named["recipe"]),
            "All images": f"{overall[key]:.4f}",
        }
        for row in by_kind.to_dict("records"):
            cells[row["kind"]] = f"{row['srcc']:.4f}" if pd.notna(row["srcc"]) else Cell(DASH, _why_empty(row))
        scored = generators.dropna(subset="srcc")
        cells["Generators"] = f"{len(scored)} of {len(generators)}"
        if len(scored):
            low, high = (scored.loc[place] for place in (scored["srcc"].idxmin(), scored["srcc"].idxmax()))
            cells |= {
                "Least": Cell(f"{low['srcc']:.4f}", low["name"]),
                "Greatest": Cell(f"{high['srcc']:.4f}", high["name"]),
            }
        if len(scored) > 1:
            cells["SD"] = f"{scored['srcc'].std():.4f}"
        shown.append(cells)
        groups.append(Cell(f"{named['target'].capitalize()}: {chosen}, {SELECTIONS[named['selection']]}"))
    columns = ["Benchmark", "Method", "Recipe", "All images", *kinds, "Generators", "Least", "Greatest", "SD"]
    return Table(
        "by_generator",
        "SRCC within each kind of generator, and least, greatest and SD of the SRCC within single generators: mean "
        "over the runs with at least 10 test images of it.",
        results.statistics["generators"],
        frame_of(shown, columns),
        numeric=tuple(columns[3:]),
        stub=3,
        groups=groups,
        grouped_by="Target, protocol and selection",
        notes=[
            f"Shown: {results.models_named} under one protocol. The file in tables/ has every generator, variant and "
            "protocol, with the runs that had too few of its images or a constant prediction, which leaves the cell "
            "empty.",
            "Within one generator, knowing the generator does not help, and MOS vary less. Both make SRCC lower than "
            "over all images.",
            "DALL-E 2 counts as diffusion, which its decoder is; AGIQA-3K's authors count it as autoregressive.",
        ],
    )


def _why_empty(row: dict) -> str:
    if row["runs_undefined"]:
        return f"{row['runs_undefined']} of {row['runs']} runs undefined"
    return "fewer than 10 images"
