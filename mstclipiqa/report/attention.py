"""What MST-CLIPIQA* attends to in the prompts: how evenly, and how much of it reaches the score."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from mstclipiqa.base.layout import ATTENTION
from mstclipiqa.base.names import MODELS, TARGETS
from mstclipiqa.report.results import Results, cautions
from mstclipiqa.report.table import Table, frame_of

#: The keys of the run that is attended to, as its file says.
RUN = ("protocol", "split", "seed", "selection")
COLUMNS = ["Target", "Evenness", "Start token", "End token", "Even share", "α", "Queries and keys"]

#: From this evenness on no token is told from another.
EVEN = 0.9999
#: Training has put out the attention where the weights of queries and keys shrink by this factor.
SHRUNK = 100


def read_attention(results: Results, benchmark: str, target: str) -> Iterable[tuple[pd.DataFrame, dict]]:
    """The table of ATTENTION of each recipe that has one, and its metadata."""
    for recipe in results.manifest["recipes"]:
        if path := results.find(ATTENTION, benchmark=benchmark, target=target, recipe=recipe):
            yield ATTENTION.read(path)


def shades_of(results: Results, run: pd.Series) -> dict[str, tuple[tuple[str, float], ...]]:
    """By test image the tokens of its prompt, each with its weight as a multiple of an even share; none where the
    attention of another run was kept, or of none."""
    for table, metadata in read_attention(results, run["benchmark"], run["target"]):
        if all(metadata[key] == run[key] for key in (*RUN, "recipe", "variant")):
            return {
                str(image): tuple(zip(rows["token"], rows["weight"] * len(rows), strict=True))
                for image, rows in table.groupby("image", sort=False)
            }
    return {}


def summarise_attention(table: pd.DataFrame) -> dict[str, float]:
    """Means over the images: evenness, the entropy of the weights as a share of that of equal ones; the weights of the
    first and the last token; the weight that each token would have if all were equal."""
    entropy = -(table["weight"] * np.log(table["weight"].where(table["weight"] > 0, 1)))
    images = table.assign(entropy=entropy).groupby("image", sort=False)
    tokens = images.size()
    return {
        "evenness": float((images["entropy"].sum() / np.log(tokens)).mean()),
        "start": float(images["weight"].first().mean()),
        "end": float(images["weight"].last().mean()),
        "even": float((1 / tokens).mean()),
    }


def attention(results: Results) -> Table | None:
    """A row per benchmark and target whose attention was kept; None without any."""
    rows, shown = [], []
    for benchmark in results.cards:
        for target in TARGETS:
            for table, metadata in read_attention(results, benchmark, target):
                said = {"benchmark": benchmark, "target": target, **{key: metadata[key] for key in (*RUN, "recipe")}}
                norms = metadata["norms"]
                numbers = summarise_attention(table) | {"alpha": metadata["alpha"]}
                rows.append(said | numbers | {f"norm_{state}": norm for state, norm in norms.items()})
                shown.append(
                    {
                        "Target": f"{results.title('benchmarks', benchmark)}, {target}",
                        **{
                            column: f"{numbers[key]:.3f}"
                            for column, key in zip(COLUMNS[1:5], ("evenness", "start", "end", "even"), strict=True)
                        },
                        "α": f"{numbers['alpha']:.4f}",
                        "Queries and keys": f"{norms['initial']:.1f} → {norms['trained']:.1f}",
                    }
                )
    if not rows:
        return None
    first = rows[0]
    return Table(
        "attention",
        f"What {results.title('variants', MODELS[1])} attends to in the prompts: mean weights over the test images of "
        f"one run, {first['protocol']}, split {first['split']}, seed {first['seed']}, recipe "
        f"{results.title('recipes', first['recipe'])}.",
        pd.DataFrame(rows),
        frame_of(shown, COLUMNS),
        numeric=tuple(COLUMNS[1:]),
        notes=[
            "Evenness: the entropy of a prompt’s weights, as a share of that of equal weights; 1 is no "
            "attention to any token before another. Even share: the weight of each token if all were equal.",
            "α scales what is attended to before it is added to z; it is learned, and starts at 0. Queries and keys: "
            "the norm of the weights that make them, before training → after it; at 0 all tokens weigh the same.",
            *cautions(results, {name: results.title("benchmarks", name) for name in results.cards}),
        ],
    )


def put_out(results: Results) -> dict[str, float]:
    """The recipes under which training shrinks the weights of queries and keys to nothing, with their weight decay."""
    found = {}
    for row in table.full.itertuples() if (table := attention(results)) else ():
        decay = results.manifest["recipes"][row.recipe]["values"].get("weight_decay")
        if decay and row.norm_trained < row.norm_initial / SHRUNK:
            found[row.recipe] = decay
    return found


def found_of_attention(results: Results) -> str:
    """Whether the prompt’s tokens are told apart, in a sentence or two; empty where no attention was kept."""
    if (table := attention(results)) is None:
        return ""
    parts = [
        f"{results.title('benchmarks', row.benchmark)}, {row.target}, {results.title('recipes', row.recipe)}: "
        + ("all tokens weigh the same" if row.evenness > EVEN else f"evenness {row.evenness:.3f} of 1")
        + f", α = {row.alpha:.4f}"
        for row in table.full.itertuples()
    ]
    why = [
        f"Under {results.title('recipes', recipe)} training shrinks the weights of queries and keys to nothing: α, "
        f"which starts at 0, keeps their gradients small, and Adam’s weight decay of {decay:g} is left. So its runs do "
        "not tell what a prompt is worth whose words are told apart."
        for recipe, decay in put_out(results).items()
    ]
    title = results.title("variants", MODELS[1])
    return " ".join([f"Which words does {title} attend to? {'; '.join(parts)}.", *why])
