"""Trained models taken apart: what the gate does, what z keeps, how much of the fine stream is needed."""

from typing import Any

import pandas as pd

from mstclipiqa.base.files import read_table
from mstclipiqa.base.layout import DECODING, EFFICIENCY, INTERVENTIONS, MOVEMENT, SKIPPING, ResultsFile
from mstclipiqa.base.names import COARSE, FROZEN, MODELS
from mstclipiqa.base.words import percent
from mstclipiqa.evaluation.noise import noise_over_splits
from mstclipiqa.model.variants import get_variant
from mstclipiqa.report.contrasts import limits
from mstclipiqa.report.recipe_effects import ratio_tested
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: As the tables name them (analyses/interventions.py, analyses/skipping.py, which load torch).
AS_TRAINED, ALL_GENERATORS, GATE, ITSELF = "as trained", "all", "gate", "the model"
RULES = {
    GATE: "the gate’s mean weight on the coarse stream",
    "sure": "how sure the head is of a level",
    "chance": "chance (placebo)",
    "hindsight": "hindsight: how little f_f will change the model’s score",
}
SCORERS = {ITSELF: "the model on predicted fine features", COARSE: "the coarse stream trained alone"}

#: The target of skipping: so much of the fine encodings, at so much loss of SRCC at most.
TARGET_SKIPPED, TARGET_LOSS = 0.5, 0.005

#: A stream of which so much is read from the fused feature is kept.
NEARLY_ALL = 0.9

PLACE = ["benchmark", "recipe", "protocol"]


def dissected(results: Results, entry: ResultsFile) -> pd.DataFrame:
    """A table of the dissections of all real benchmarks and recipes, with PLACE; no row where nothing was dissected."""
    tables = []
    for benchmark in (name for name in results.cards if name not in results.synthetic):
        for recipe in results.manifest["config"].get("dissect", []):
            if path := results.find(entry, benchmark=benchmark, recipe=recipe):
                table, metadata = entry.read(path)
                tables.append(table.assign(benchmark=benchmark, protocol=metadata["protocol"]))
    return (
        pd.concat(tables, ignore_index=True)
        if tables
        else pd.DataFrame(columns=list(dict.fromkeys([*PLACE, *entry.columns])))
    )


def differences(results: Results, table: pd.DataFrame, keys: list[str], value: str, less: pd.Series) -> pd.DataFrame:
    """By PLACE and `keys`: the mean over splits of a column, and of what it has beyond `less` (by the table's rows), as
    `difference` with `low` and `high`."""
    table = table.assign(gain=table[value] - less)
    rows = []
    for key, group in table.groupby([*PLACE, *keys], sort=False):
        named = dict(zip([*PLACE, *keys], key, strict=True))
        noise = noise_over_splits(
            group["gain"].to_numpy(), ratio_tested(results, named["benchmark"], named["protocol"])
        )
        low, high = noise.interval(group["gain"].mean())
        means = {value: group[value].mean(), "difference": group["gain"].mean(), "low": low, "high": high}
        rows.append(named | {"splits": len(group), **means})
    return pd.DataFrame(rows, columns=[*PLACE, *keys, "splits", value, "difference", "low", "high"])


def _of_first(table: pd.DataFrame, keys: list[str], value: str, first: pd.Series) -> pd.Series:
    """For each row of a table the value of the row where `first` holds, with the same PLACE, split and `keys`."""
    if table.empty:
        return pd.Series(dtype=float)
    index = [*PLACE, "split", *keys]
    of_first = table[first].set_index(index)[value]
    return pd.Series(of_first.reindex(pd.MultiIndex.from_frame(table[index])).to_numpy(), table.index)


def _groups(results: Results, full: pd.DataFrame) -> list[Cell]:
    return [
        Cell(
            f"{results.title('benchmarks', row.benchmark)}, quality: {row.protocol}, recipe "
            f"{results.title('recipes', row.recipe)}"
        )
        for row in full.itertuples()
    ]


GROUPED_BY = "Benchmark, protocol and recipe"


# The gate


def gate_changes(results: Results) -> pd.DataFrame:
    """SRCC by model and by what takes its gate's place, and what that loses or gains."""
    table = dissected(results, INTERVENTIONS)
    trained = _of_first(table, ["variant"], "srcc", table["intervention"] == AS_TRAINED)
    return differences(results, table, ["variant", "intervention"], "srcc", trained)


def gate_interventions(results: Results) -> Table | None:
    """The gate replaced, as a table; None without a dissection."""
    full = gate_changes(results)
    if full.empty:
        return None
    shown = [
        {
            "Method": results.title("variants", row.variant),
            "Gate": row.intervention,
            "SRCC": f"{row.srcc:.4f}",
            "Change": Cell(f"{row.difference:+.4f}", limits(row) if row.intervention != AS_TRAINED else ""),
        }
        for row in full.itertuples()
    ]
    return Table(
        "gate_interventions",
        "Does a trained model use its gate? At test time another takes its place, and everything else stays. Mean SRCC "
        "over splits, less that as trained, with its 95 % interval.",
        full,
        frame_of(shown, list(shown[0])),
        numeric=("SRCC", "Change"),
        stub=2,
        groups=_groups(results, full),
        grouped_by=GROUPED_BY,
        notes=[
            "The mean is over training images, one gate per dimension. A shuffled gate is that of another test image.",
            "The template head looks at the direction of z alone, so that for it the plain sum is the gate at 0.5.",
            "A loss says that the rest of the model has come to rely on the gate, not that a model trained without one "
            "is worse: for that see the gate frozen in training.",
        ],
    )


def movements(results: Results) -> pd.DataFrame:
    """By PLACE, model, generator and dimension: the gate's mean and SD over test images, mean over splits."""
    table = dissected(results, MOVEMENT)
    keys = [*PLACE, "variant", "generator", "dimension"]
    return table.groupby(keys, sort=False)[["mean", "sd"]].mean().reset_index()


def gate_movements(results: Results) -> Table | None:
    """How far gates move, by generator, as a table; None without a dissection."""
    full = movements(results)
    if full.empty:
        return None
    kept = [*PLACE, "variant", "generator"]
    of_sd, of_mean = (full.groupby(kept, sort=False)[name] for name in ("sd", "mean"))
    table = pd.DataFrame(
        {
            "mean": of_mean.mean(),
            "sd_dimensions": of_mean.std(),
            "sd_images": of_sd.mean(),
            "sd_images_5": of_sd.quantile(0.05),
            "sd_images_95": of_sd.quantile(0.95),
        }
    ).reset_index()
    shown = [
        {
            "Method": results.title("variants", row.variant),
            "Generator": row.generator,
            "Mean gate": f"{row.mean:.3f}",
            "SD over dimensions": f"{row.sd_dimensions:.3f}",
            "SD over images": Cell(f"{row.sd_images:.3f}", f"{row.sd_images_5:.3f} to {row.sd_images_95:.3f}"),
        }
        for row in table.itertuples()
    ]
    return Table(
        "gate_movements",
        "How far gates move: SD of each dimension’s gate over the test images of a generator, mean over dimensions "
        "(and its 5th to 95th percentile); beside it how the mean gates of the dimensions differ.",
        table,
        frame_of(shown, list(shown[0])),
        numeric=tuple(list(shown[0])[2:]),
        stub=2,
        groups=_groups(results, table),
        grouped_by=GROUPED_BY,
        notes=["A gate that does not move is a constant weight per dimension, which the projections could take in."],
    )


# The fused feature


def decoded(results: Results) -> pd.DataFrame:
    """By features and stream: the share of the stream's variance that is read, less that read from the fused feature of
    the frozen gate."""
    table = dissected(results, DECODING)
    frozen = _of_first(table, ["stream"], "r2", table["features"] == f"z of {FROZEN}, trained")
    return differences(results, table, ["features", "stream"], "r2", frozen)


def decoding(results: Results) -> Table | None:
    """What the fused feature keeps of each stream, as a table; None without a dissection."""
    full = decoded(results)
    if full.empty:
        return None
    wide = full.pivot(index=[*PLACE, "features"], columns="stream", values=["r2", "difference", "low", "high"])
    order = full[[*PLACE, "features"]].drop_duplicates()
    shown = []
    for row in order.itertuples():
        found_of = wide.loc[(row.benchmark, row.recipe, row.protocol, row.features)]
        cells: dict[str, str | Cell] = {"Read from": _features(row.features)}
        for stream in ("coarse", "fine"):
            one = found_of.xs(stream, level="stream")
            cells[f"Of f_{stream[0]}"] = f"{one['r2']:.3f}"
            cells[f"Of f_{stream[0]}, less frozen gate"] = Cell(f"{one['difference']:+.3f}", limits(one))
        shown.append(cells)
    return Table(
        "decoding",
        "What the fused feature keeps of each stream: the share of the stream’s variance over test images that ridge "
        "regression reads from it, mean over splits; and that less what is read from z of a model whose gate is frozen "
        "at 0.5, with its 95 % interval.",
        full,
        frame_of(shown, list(shown[0])),
        numeric=tuple(list(shown[0])[1:]),
        groups=_groups(results, order),
        grouped_by=GROUPED_BY,
        notes=[
            "As an information bottleneck a trained gate would keep clearly less of a stream than z before training "
            "does, and than a frozen gate. The rows of f_c and f_f show what one stream says of the other.",
        ],
    )


def _features(name: str) -> str:
    variant, _, state = name.removeprefix("z of ").partition(", ")
    return f"z of {get_variant(variant).title}, {state}" if state else name


# The fine stream


def skipped(results: Results) -> pd.DataFrame:
    """By rule, scorer and share aimed at: SRCC and its difference from running every fine encoding, the share of fine
    encodings that is skipped, and the operations, relative to running them all (NaN where no costs are known)."""
    table = dissected(results, SKIPPING)
    every = _of_first(table, ["rule", "scorer"], "srcc", table["aimed"] == 0)
    keys = ["rule", "scorer", "aimed"]
    full = differences(results, table, keys, "srcc", every)
    share = table.groupby([*PLACE, *keys], sort=False)["skipped"].mean().reset_index()
    return _with_operations(results, full.merge(share, on=[*PLACE, *keys]))


def chosen(results: Results) -> pd.DataFrame:
    """As `skipped`, by rule and scorer, at each split's threshold that validation chose."""
    table = dissected(results, SKIPPING)
    every = _of_first(table, ["rule", "scorer"], "srcc", table["aimed"] == 0)
    table, keys = table.assign(every=every)[table["chosen"].astype(bool)], ["rule", "scorer"]
    full = differences(results, table, keys, "srcc", table["every"])
    share = table.groupby([*PLACE, *keys], sort=False)["skipped"].mean().reset_index()
    return _with_operations(results, full.merge(share, on=[*PLACE, *keys]))


def _with_operations(results: Results, full: pd.DataFrame) -> pd.DataFrame:
    """With `operations`: those of the coarse stream, and the fine stream's where it is run, of all of both."""
    path = EFFICIENCY.at(results.root)
    costs = read_table(path)[0].groupby("variant")["gflops"].first() if path.is_file() else pd.Series(dtype=float)
    coarse = costs.get(COARSE, float("nan")) / costs.get(MODELS[0], float("nan"))
    return full.assign(operations=coarse + (1 - coarse) * (1 - full["skipped"]))


def skipping(results: Results) -> Table | None:
    """How much of the fine stream is needed, as a table; None without a dissection."""
    full = chosen(results)
    if full.empty:
        return None
    half = skipped(results).query("aimed == @TARGET_SKIPPED").set_index([*PLACE, "rule", "scorer"])
    shown = []
    for row in full.itertuples():
        at_half: Any = half.loc[(row.benchmark, row.recipe, row.protocol, row.rule, row.scorer)]
        shown.append(
            {
                "Decides": RULES[row.rule],
                "Scores without f_f": SCORERS[row.scorer],
                "Skipped": percent(row.skipped),
                "Operations": _share(row.operations),
                "Change of SRCC": Cell(f"{row.difference:+.4f}", limits(row)),
                "Change with half skipped": Cell(f"{at_half['difference']:+.4f}", limits(at_half)),
            }
        )
    return Table(
        "skipping",
        "How much of the fine stream is needed? The fine encoder is run for some images alone. Thresholds are the "
        f"largest that lose at most {TARGET_LOSS} SRCC on validation images; then SRCC of test images, less that with "
        "every fine encoding, with its 95 % interval. The last column aims at half of the validation images.",
        full,
        frame_of(shown, list(shown[0])),
        numeric=tuple(list(shown[0])[2:]),
        stub=2,
        groups=_groups(results, full),
        grouped_by=GROUPED_BY,
        notes=[
            f"{_what_skipping_shows(full)} Operations are those of an image’s two encoders, relative to running both.",
            "Hindsight shows what such a rule could reach at best: no rule can know it before it runs the encoder.",
        ],
    )


def _share(operations: float) -> str:
    """A share of the operations; a dash where no costs are known."""
    return DASH if pd.isna(operations) else percent(operations)


def _what_skipping_shows(full: pd.DataFrame) -> str:
    """Whether the target holds by the gate's rule."""
    own = full[full["rule"] == GATE]
    holds = own[(own["skipped"] >= TARGET_SKIPPED) & (own["difference"] >= -TARGET_LOSS)]
    target = f"half of the fine encodings skipped at a loss of at most {TARGET_LOSS} SRCC"
    return f"By the gate, {target} {'holds' if len(holds) else 'does not hold'} here."


# In words


def _what_gates_show(rows: pd.DataFrame) -> str:
    """What follows from the intervals of another gate's change, one model's rows."""
    others = rows[rows["intervention"] != AS_TRAINED]
    if (others["high"] < 0).all():
        return "The trained model relies on its gate; whether one gains by it is for training without one to show."
    return "Not every loss is shown, so that it is open whether the trained model relies on its gate."


def _what_is_kept(kept: pd.DataFrame) -> str:
    """What follows from the shares that the trained model's fused feature keeps."""
    own = kept[kept["features"] == f"z of {MODELS[0]}, trained"]
    if (own["r2"] >= NEARLY_ALL).all():
        return "Nearly all of both streams is still there: nothing is filtered out that a bottleneck would."
    return "Part of a stream is gone."


def found_by_dissection(results: Results) -> list[str]:
    """A sentence each on the gate, on what z keeps, and on the fine stream; none without a dissection."""
    changes = gate_changes(results)
    if changes.empty:
        return []
    first = changes["recipe"].iloc[0]
    said = []
    of_first = changes[changes["recipe"] == first]
    for (benchmark, variant), rows in of_first.groupby(["benchmark", "variant"], sort=False):
        parts = [
            f"{row.intervention} {row.difference:+.3f} {limits(row)}"
            for row in rows[rows["intervention"] != AS_TRAINED].itertuples()
        ]
        said.append(
            f"Does a trained model use its gate? SRCC of {results.title('variants', str(variant))} on "
            f"{results.title('benchmarks', str(benchmark))} with another gate at test time, less that as trained: "
            f"{'; '.join(parts)}. {_what_gates_show(rows)}"
        )
    kept = decoded(results)
    parts = [
        f"{results.title('benchmarks', row.benchmark)}, {_features(row.features)}, "
        f"{results.title('recipes', row.recipe)}: {row.r2:.2f} of "
        f"f_{row.stream[0]} ({row.difference:+.3f} {limits(row)} against a frozen gate)"
        for row in kept[kept["features"] == f"z of {MODELS[0]}, trained"].itertuples()
    ]
    said.append(
        f"Is the gate a bottleneck? Share of a stream that is read from the fused feature: {'; '.join(parts)}. "
        + _what_is_kept(kept)
    )
    by_gate = chosen(results).query("rule == @GATE and recipe == @first")
    for (benchmark, scorer), rows in by_gate.groupby(["benchmark", "scorer"], sort=False):
        row = next(rows.itertuples())
        said.append(
            f"How much of the fine stream is needed? {results.title('benchmarks', str(benchmark))}; the gate decides, "
            f"{SCORERS[str(scorer)]} scores: {percent(row.skipped)} of fine encodings are skipped at "
            f"{row.difference:+.3f} {limits(row)} SRCC ({_share(row.operations)} of the operations). "
            f"{_what_skipping_shows(rows)}"
        )
    return said
