"""Whether models carry over to generators whose images they were not trained on."""

import math

import pandas as pd

from mstclipiqa.base.names import LAST
from mstclipiqa.evaluation.noise import noise_of_independent
from mstclipiqa.report.results import Results, cautions, ordered
from mstclipiqa.report.rivals import RIVAL
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: The protocols of unseen generators or kinds, each with that of the same sizes and test images.
PAIRS = {"leave-generator-out": "generator-seen", "gan-to-diffusion": "diffusion-to-diffusion"}

#: All of them. Their splits differ by what is tested, so that they say little of a part of the model or of noise.
OF_GENERATORS = frozenset({*PAIRS, *PAIRS.values()})


def unseen_generators(results: Results) -> Table | None:
    """SRCC on unseen generators, on the same images where they were seen, and the difference; None without both."""
    heads = results.metrics[results.metrics["selection"] == LAST]
    rivals = results.baselines[results.baselines["source"] == RIVAL].assign(recipe="", variant=RIVAL)
    columns = ["benchmark", "target", "protocol", "recipe", "variant", "split", "srcc"]
    scores = pd.concat([heads[columns], rivals.reindex(columns=columns)], ignore_index=True)
    keys = ["target", "benchmark", "recipe", "variant"]
    by_split = scores.groupby([*keys, "protocol", "split"], sort=False)["srcc"].mean()
    rows = []
    for unseen, seen in PAIRS.items():
        if {unseen, seen} <= set(scores["protocol"]):
            pairs = by_split.unstack("protocol").dropna(subset=[unseen, seen])
            for key, group in pairs.groupby(keys, sort=False):
                differences = (group[unseen] - group[seen]).to_numpy()
                low, high = noise_of_independent(differences).interval(differences.mean())
                rows.append(
                    dict(zip(keys, key, strict=True))
                    | {"protocol": unseen, "splits": len(group), "unseen": group[unseen].mean()}
                    | {"seen": group[seen].mean(), "difference": differences.mean(), "low": low, "high": high}
                )
    if not rows:
        return None
    full = pd.DataFrame(rows)
    shown, groups = [], []
    for unseen in (name for name in ordered(results.manifest, "protocols") if name in PAIRS):
        for row in full[full["protocol"] == unseen].to_dict("records"):
            known = not math.isnan(row["low"])
            limits = f"[{row['low']:+.4f}, {row['high']:+.4f}]" if known else "no interval: one split"
            shown.append(
                {
                    "Benchmark": results.title("benchmarks", row["benchmark"]),
                    "Method": results.title("variants", row["variant"]) if row["recipe"] else RIVAL,
                    "Recipe": results.title("recipes", row["recipe"]) if row["recipe"] else DASH,
                    "Unseen": f"{row['unseen']:.4f}",
                    "Seen": f"{row['seen']:.4f}",
                    "Difference": Cell(f"{row['difference']:+.4f}", limits),
                }
            )
            groups.append(Cell(f"{row['target'].capitalize()}: {unseen} beside {PAIRS[unseen]}"))
    below, tested = int((full["high"] < 0).sum()), int(full["low"].notna().sum())
    return Table(
        "unseen_generators",
        "SRCC on images of generators, or of a kind of generator, that training did not see, and on the same images "
        "where it did, from as many training images, after the last epoch.",
        full,
        frame_of(shown, list(shown[0])),
        numeric=("Unseen", "Seen", "Difference"),
        stub=3,
        groups=groups,
        grouped_by="Target and protocols",
        notes=[
            f"Of {tested} differences with an interval, {below} have one below 0: an unseen generator is ranked worse.",
            "An interval is Student's over generators, one split each: what another generator like these would give.",
            "SRCC is within one generator, where MOS vary less than over all images; so it is lower than elsewhere on "
            "the page.",
            *cautions(results, {name: results.title("benchmarks", name) for name in full["benchmark"].unique()}),
        ],
    )
