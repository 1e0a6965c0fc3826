"""The report's statistics: intervals and paired tests, how far the protocol alone moves SRCC, and SRCC by generator."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from mstclipiqa.base.names import MODELS, SELECTIONS, TARGETS
from mstclipiqa.base.words import in_words
from mstclipiqa.model.variants import get_variant
from mstclipiqa.report.paper import BEST_RIVAL, PAPER
from mstclipiqa.report.results import GROUP_ORDER, Results, ordered
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

ALPHA = 0.05


def _shown(results: Results, name: str) -> pd.DataFrame:
    """The rows of a table of statistics that the page shows, if any: the models, main selections."""
    table = results.statistics.get(name, pd.DataFrame(columns=GROUP_ORDER))
    return table[results.is_main(table) & table["variant"].isin(results.models)]


def _only_models(results: Results) -> list[str]:
    titles = [results.title("variants", name) for name in results.models]
    return [
        f"Shown: {in_words(titles)}, main selection of each protocol. The file in tables/ has every variant and "
        "selection."
    ]


def _by_benchmark(columns: list[str], results: Results, rows: pd.DataFrame) -> list[tuple[str, str]]:
    titles = [results.title("benchmarks", name) for name in results.among("benchmark", rows)]
    return [(title, column) for title in titles for column in columns]


# Intervals and tests


def intervals(results: Results) -> Table | None:
    """SRCC with its bootstrap interval, SD over splits and SD over seeds, each by itself."""
    rows = _shown(results, "intervals")
    if rows.empty:
        return None
    spreads = {"srcc_sd_splits": "SD splits", "srcc_sd_seeds": "SD seeds"}
    spreads = {column: title for column, title in spreads.items() if rows[column].notna().any()}
    shown, groups = [], []
    for key, group in rows.groupby(["target", "protocol", "selection", "recipe", "variant"], sort=False):
        target, protocol, selection, recipe, variant = key
        cells: dict[tuple[str, str], str | Cell] = {("", "Method"): results.title("variants", variant)}
        cells["", "Recipe"] = results.title("recipes", recipe)
        for row in group.to_dict("records"):
            title = results.title("benchmarks", row["benchmark"])
            known = pd.notna(row["srcc_low"])
            limits = f"[{row['srcc_low']:.3f}, {row['srcc_high']:.3f}]" if known else "no interval"
            cells[title, "SRCC"] = Cell(f"{row['srcc']:.4f}", limits)
            for column, name in spreads.items():
                cells[title, name] = f"{row[column]:.4f}" if pd.notna(row[column]) else DASH
        shown.append(cells)
        groups.append(Cell(f"{target.capitalize()}: {protocol}, {SELECTIONS[selection]}", _varied(group)))
    columns = [("", "Method"), ("", "Recipe"), *_by_benchmark(["SRCC", *spreads.values()], results, rows)]
    return Table(
        "intervals",
        "Mean SRCC over runs with its 95 % interval; beside it the SD over splits (of means over seeds) and over seeds "
        "(mean over splits), where there are several.",
        results.statistics["intervals"],
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        groups=groups,
        grouped_by="Target, protocol and selection",
        notes=[
            *_only_models(results),
            "An interval holds the noise of what varied, which each heading names: the images tested (a bootstrap of "
            "prompts with all their images), and splits or seeds, which show what training varies. That of images "
            "alone says nothing of training. How often such intervals hold the truth: docs/calibration.md.",
        ],
    )


def _varied(rows: pd.DataFrame) -> str:
    return f"noise of {' or '.join(sorted(rows['noise'].unique()))}"


def paired_tests(results: Results) -> Table | None:
    """Every variant against the paper's first, by family of tests."""
    if not results.statistics:
        return None
    table = results.statistics["comparisons"]
    rows = table[results.is_main(table) & (table["against"] == MODELS[0]) & (table["metric"] == "srcc")]
    shown, groups = [], []
    for (recipe, protocol, selection), family in rows.groupby(["recipe", "protocol", "selection"], sort=False):
        heading = f"{results.title('recipes', recipe)}: {protocol}, {SELECTIONS[selection]}"
        size = family["family_size"].max()
        count = 0 if pd.isna(size) else int(size)
        remark = f"{count} test{'s' * (count != 1)}, {_varied(family)}"
        for variant, tests in family.groupby("variant", sort=False):
            cells: dict[tuple[str, str], str | Cell] = {("", "Method"): results.title("variants", variant)}
            for test in tests.to_dict("records"):
                place = results.title("benchmarks", test["benchmark"]), test["target"].capitalize()
                cells[place] = Cell(f"{test['difference']:+.4f}", _p(test["p_holm"]))
            shown.append(cells)
            groups.append(Cell(heading, remark))
    measured = {(benchmark, target) for benchmark, target in zip(rows["benchmark"], rows["target"], strict=True)}
    columns = [
        (results.title("benchmarks", benchmark), target.capitalize())
        for benchmark in results.among("benchmark", rows)
        for target in TARGETS
        if (benchmark, target) in measured
    ]
    columns = [("", "Method"), *columns]
    return Table(
        "paired_tests",
        f"Paired tests: SRCC of each variant less that of {get_variant(MODELS[0]).title} on the same splits and seeds, "
        "with Holm's adjusted p.",
        table,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Recipe, protocol and selection",
        notes=[
            f"{(rows['p_holm'] < ALPHA).sum()} of {rows['p_holm'].notna().sum()} tests have an adjusted p below "
            f"{ALPHA}. The adjustment is within a heading: one recipe, protocol and selection, all its benchmarks, "
            "targets and variants; across headings nothing is adjusted.",
            "Seeds alone make two models differ. So there is no test where one split was trained from one seed. "
            "The file in tables/ has every two variants, and PLCC.",
        ],
    )


def _p(p: float) -> str:
    if pd.isna(p):
        return "no test"
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


# The protocol audit


class Move(NamedTuple):
    """A change of protocol or selection, and the mean SRCC over runs after it and before it.

    `kind` is prompts, epoch or seed; `move` is its name on the page.
    """

    kind: str
    move: str
    protocol: str
    selection: str
    from_protocol: str
    from_selection: str
    srcc: float
    from_srcc: float


def protocol_moves(metrics: pd.DataFrame) -> pd.DataFrame:
    """How far SRCC moves with the protocol alone: a row per benchmark, target, recipe, variant and Move.

    `difference` is `srcc` less `from_srcc`.
    """
    key = ["benchmark", "target", "recipe", "variant"]
    means = metrics.groupby([*key, "protocol", "selection"], sort=False)["srcc"].agg(
        lambda runs: runs.mean(skipna=False)
    )
    rows = []
    for names, group in means.groupby(key, sort=False):
        scores = {place[len(key) :]: value for place, value in group.items()}
        rows += [(*names, *move, move.srcc - move.from_srcc) for move in _moves(scores)]
    return pd.DataFrame(rows, columns=[*key, *Move._fields, "difference"])


def _moves(scores: dict[tuple[str, str], float]) -> Iterator[Move]:
    """The moves between the protocols and selections that have `scores`."""
    protocols = list(dict.fromkeys(protocol for protocol, _ in scores))
    seeds = [name for name in protocols if name.startswith("lab-seed")]
    first = "lab-seed1" if "lab-seed1" in seeds else next(iter(seeds), None)
    by_image = [name for name in protocols if name == first or name.startswith(("random", "released"))]
    by_prompt = [name for name in protocols if name.startswith("grouped")]
    for grouped in by_prompt:
        for other in by_image:
            for selection in SELECTIONS:
                to, origin = (grouped, selection), (other, selection)
                if to in scores and origin in scores:
                    name = f"{grouped} − {other}, {SELECTIONS[selection]}"
                    yield Move("prompts", name, *to, *origin, scores[to], scores[origin])
    for protocol in by_image + by_prompt:
        best, last = (protocol, "best-on-test"), (protocol, "last")
        if best in scores and last in scores:
            name = f"{protocol}: best epoch on test − last"
            yield Move("epoch", name, *best, *last, scores[best], scores[last])
    for selection in SELECTIONS:
        several = [scores[seed, selection] for seed in seeds if (seed, selection) in scores]
        if first and len(several) > 1 and (first, selection) in scores:
            mean, one = sum(several) / len(several), (first, selection)
            name = f"{first} − mean of {len(several)} lab seeds, {SELECTIONS[selection]}"
            yield Move("seed", name, *one, "mean of lab seeds", selection, scores[one], mean)


def protocol_audit(results: Results) -> Table | None:
    """The moves in points of SRCC, mean over benchmarks, beside the gains that the paper claims where known."""
    gains = results.paper.gains
    full = protocol_moves(results.metrics)
    full["claimed_gain_points"] = [
        None if row.benchmark in results.synthetic else gains.get((row.target, row.variant))
        for row in full.itertuples()
    ]
    wanted = full["kind"].map({"prompts": "last", "epoch": "best-on-test", "seed": "best-on-test"})
    rows = full[(full["selection"] == wanted) & full["variant"].isin(results.models)]
    if rows.empty:
        return None
    moves = list(rows["move"].unique())
    rows = rows.assign(drawn=rows["benchmark"].isin(results.synthetic)).sort_values("drawn", kind="stable")
    shown, groups = [], []
    for key, group in rows.groupby(["target", "drawn", "variant", "recipe"], sort=False):
        target, synthetic, variant, recipe = key
        gain = None if synthetic else gains.get((target, variant))
        cells: dict[str, str | Cell] = {"Method": results.title("variants", variant)}
        cells["Recipe"] = results.title("recipes", recipe)
        means = {}
        for move, found in group.groupby("move", sort=False):
            points = 100 * found["difference"]
            means[move] = points.mean(skipna=False)
            spread = f"{points.min():+.2f} to {points.max():+.2f}" if len(points) > 1 else ""
            cells[move] = Cell(f"{means[move]:+.2f}", spread) if pd.notna(means[move]) else "undefined"
        if gain:
            cells["Gain claimed"] = f"{gain:+.2f}"
            cells["Largest move / gain"] = f"{max(map(abs, means.values())) / gain:.1f}"
        shown.append(cells)
        names = [results.title("benchmarks", name) for name in results.among("benchmark", group)]
        groups.append(Cell(target.capitalize(), ", ".join(names) + (" (synthetic)" if synthetic else "")))
    beside = f"; beside it the gain over {BEST_RIVAL} that {PAPER} claims" if gains else ""
    columns = ["Method", "Recipe", *moves, *(["Gain claimed", "Largest move / gain"] if gains else [])]
    return Table(
        "protocol_audit",
        "How far the protocol alone moves a model: points of SRCC (hundredths), mean over the benchmarks named, "
        f"and least to greatest{beside}.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        groups=groups,
        grouped_by="Target",
        notes=[
            "By prompt against by image at the last epoch. A split by prompt leaves fewer images to train on as well, "
            "since it keeps some for validation, so this move is not leakage alone.",
            "One laboratory seed against the mean of all at the epoch that is best on test. "
            "The file in tables/ has every variant, benchmark and selection.",
            *(
                [
                    "The paper states no gain of MST-CLIPIQA in authenticity or correspondence; no gain stands beside "
                    "drawn images."
                ]
                if gains
                else []
            ),
        ],
    )


# By generator


def by_generator(results: Results) -> Table | None:
    """SRCC by generator: within each kind of generator, and its spread over generators, under one protocol."""
    rows = _shown(results, "generators")
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


TABLES = (intervals, paired_tests, protocol_audit, by_generator)
