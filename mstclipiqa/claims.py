"""The paper's claims: config/claims.yaml and the printed numbers -> claims; with the runs of a suite -> verdicts.

A claim about numbers is a set of contrasts: weighted sums of numbers that the paper prints for a method and that runs
measure for the variant that stands for it. The same contrasts are decided twice: on the printed numbers, which needs no
run and finds where the paper contradicts itself, and on the measured ones.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.config import SCHEMAS, read_yaml, validate
from mstclipiqa.errors import InputError
from mstclipiqa.files import read_table
from mstclipiqa.recipes import LEVELS, Recipe, load_recipe
from mstclipiqa.splits import describe_protocol
from mstclipiqa.variants import get_variant

CLAIMS_SCHEMA = SCHEMAS / "claims.schema.yaml"

REPRODUCED = "reproduced"
WITHIN_NOISE = "within noise"
DIRECTION_ONLY = "direction only"
NOT_REPRODUCED = "not reproduced"
UNTESTABLE = "untestable"
NOT_RUN = "not run"
MINIATURE = "miniature suite"
SMALL_PAIR = "the small pair, not the paper's encoders"

#: The verdicts in their order, and how they come about.
RULES = {
    REPRODUCED: "a number within the band around the claim; for an ordering, the whole interval above 0",
    WITHIN_NOISE: "a number outside the band whose 95 % interval holds the claim",
    DIRECTION_ONLY: "a gain or an ordering of the right sign, but not of the size, or not beyond the interval",
    NOT_REPRODUCED: "none of these",
    UNTESTABLE: "cannot be decided here, or at all, and why",
    NOT_RUN: "a benchmark, recipe, variant or protocol is missing, and which",
}

METRICS = ("srcc", "plcc")
PRINTED = ["table", "method", "benchmark", "target", "metric", "value"]
CELL = ["benchmark", "target", "recipe", "variant", "protocol"]
PAIR = ["benchmark", "target", "recipe", "protocol", "variant", "against", "low", "high"]
COMPARISONS = [*PAIR, "selection"]
INTERVALS = [*CELL, "selection", "runs", *(f"{m}{part}" for m in METRICS for part in ("", "_low", "_high"))]

#: A printed correlation is off by up to half of its last digit, a printed gain (in points) too.
ROUNDING = 0.5e-4
POINTS_ROUNDING = 0.5e-2
SLACK = 1e-9  # binary fractions

AVERAGE = "average"
#: The paper's features and prompt states: ViT-B's embedding size and text width.
DIM = 512


@dataclass(frozen=True)
class Term:
    """A printed number with its weight, and the (variant, benchmark, target, share) whose runs stand for it: none for
    a rival of prior work, several for an average."""

    weight: float
    printed: float
    runs: tuple[tuple[str, str, str, float], ...]


@dataclass(frozen=True)
class Contrast:
    """A weighted sum, and the rival or the target that it is held against."""

    label: str
    terms: tuple[Term, ...]

    @property
    def printed(self) -> float:
        """Its value on the paper's printed numbers."""
        return sum(term.weight * term.printed for term in self.terms)


@dataclass(frozen=True)
class Claim:
    """One claim. `kind` is number, gain, ordering, parameters, arithmetic or untestable.

    The least of its `contrasts` is what is claimed to be `claimed`, or above 0 where that is None. `found` is
    (measured, verdict, reason) of a claim that no run is needed for.
    """

    id: str
    kind: str
    group: str
    place: str
    statement: str
    reading: str
    unit: str
    claimed: float | None = None
    metric: str = ""
    band: float = 0.0
    contrasts: tuple[Contrast, ...] = ()
    count: dict = field(default_factory=dict)
    found: tuple[float | None, str, str] | None = None


# The claims


@dataclass(frozen=True)
class Paper:
    """claims.yaml and the printed numbers by (table, method, benchmark, target, metric)."""

    document: dict
    numbers: dict[tuple[str, str, str, str, str], float]
    source: Path

    def value(self, table: str, method: str, column: tuple[str, str], metric: str) -> float | None:
        return self.numbers.get((table, method, *column, metric))

    def variant(self, table: str, method: str) -> str | None:
        return self.document["tables"].get(table, {}).get("methods", {}).get(method)

    def methods(self, table: str) -> list[str]:
        """Every method of a table, rivals included, in its order."""
        return list(dict.fromkeys(method for name, method, *_ in self.numbers if name == table))

    def columns(self, table: str) -> list[tuple[str, str]]:
        """The (benchmark, target) columns of a table in its order, averages included."""
        return list(dict.fromkeys((b, t) for name, _, b, t, _ in self.numbers if name == table))

    def parts(self, table: str, column: tuple[str, str]) -> list[tuple[str, str]]:
        """The columns that a column is the average of, or itself."""
        if column[0] != AVERAGE:
            return [column]
        return [tuple(part.split("/")) for part in self.document["tables"][table]["average"]]

    def term(self, weight: float, table: str, method: str, column: tuple[str, str], metric: str) -> Term:
        """Raises InputError where the number is not printed."""
        printed = self.value(table, method, column, metric)
        if printed is None:
            raise InputError(f"{self.source}: no number for {table}, {method}, {'/'.join(column)}, {metric}")
        variant, parts = self.variant(table, method), self.parts(table, column)
        return Term(weight, printed, tuple((variant, *part, 1 / len(parts)) for part in parts) if variant else ())


def load_claims(claims: Path | str, paper_tables: Path | str) -> list[Claim]:
    """Every claim: one for each printed number of the paper's own models, then those of the statements.

    Raises InputError for a document that its schema refuses, and for an unknown variant, method or protocol.
    """
    paper = read_paper(claims, paper_tables)
    expanded = _numbers(paper)
    for statement in paper.document["statements"]:
        ((kind, rule),) = statement["rule"].items()
        common = {key: statement[key] for key in ("id", "place", "statement", "reading")}
        template = Claim(**common, group=statement["title"], kind=kind, unit="")
        expanded += EXPAND[kind](template, rule, paper)
    repeated = pd.Series([claim.id for claim in expanded])
    if repeated.duplicated().any():
        raise InputError(f"{claims}: the id {repeated[repeated.duplicated()].iloc[0]} stands twice; rename one")
    return expanded


def read_paper(claims: Path | str, paper_tables: Path | str) -> Paper:
    """The claims' document and the printed numbers, checked against each other. Raises InputError."""
    document = read_yaml(claims)
    validate(document, CLAIMS_SCHEMA, claims)
    describe_protocol(document["like_for_like"])
    try:
        printed = pd.read_csv(paper_tables)[PRINTED]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{paper_tables}: not a table of printed numbers ({' '.join(str(error).split())}); restore it"
        ) from None
    if printed.duplicated(PRINTED[:-1]).any() or not pd.api.types.is_float_dtype(printed["value"]):
        raise InputError(f"{paper_tables}: a number stands twice or is none; restore it")
    paper = Paper(document, {tuple(row[:-1]): row[-1] for row in printed.itertuples(index=False)}, Path(paper_tables))
    for table, entry in document["tables"].items():
        for method, variant in entry["methods"].items():
            get_variant(variant)
            if method not in paper.methods(table):
                raise InputError(f"{claims}: tables.{table}: {paper_tables} has no method {method!r}")
    return paper


def _numbers(paper: Paper) -> list[Claim]:
    expanded = []
    for (table, method, benchmark, target, metric), value in paper.numbers.items():
        variant = paper.variant(table, method)
        if variant is None:
            continue
        average = benchmark == AVERAGE
        over = ", ".join("/".join(part) for part in paper.parts(table, (benchmark, target)))
        where = "on average" if average else f"on {benchmark}, {target}"
        expanded.append(
            Claim(
                id=_id(table, method, "average" if average else f"{benchmark}/{target}", metric),
                kind="number",
                group=f"Table {table}: {paper.document['tables'][table]['title']}",
                place=f"Table {table}",
                statement=f"{method} ({variant}) reaches {metric.upper()} {value:.4f} {where}.",
                reading=f"On average: over {over}." if average else "The variant in brackets stands for the method.",
                unit="correlation",
                claimed=value,
                metric=metric,
                band=paper.document["bands"][metric],
                contrasts=(Contrast("", (paper.term(1, table, method, (benchmark, target), metric),)),),
            )
        )
    return expanded


def _id(*parts: str) -> str:
    return "/".join(part.replace(" ", "-") for part in parts)


def _detailed(template: Claim, *details: str) -> str:
    return f"{template.statement.rstrip('.')} ({', '.join(details)})."


def _twice(claim: Claim, judged: tuple[str, str]) -> list[Claim]:
    """The claim on measured numbers, and the same on the paper's own."""
    printed = min(contrast.printed for contrast in claim.contrasts)
    found = (printed, *judged)
    return [claim, replace(claim, id=f"{claim.id}/printed", kind="arithmetic", found=found)]


def _gain(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims of a gain in points, per metric."""
    table, ours = rule["table"], rule["ours"]
    columns = [column for column in paper.columns(table) if (column[0] == AVERAGE) == rule.get("average", False)]
    expanded = []
    for metric, claimed in rule["claimed"].items():
        contrasts = tuple(
            _difference(paper, rival, metric, [(table, ours, rival, column) for column in columns], scale=100)
            for rival in rule["over"]
        )
        claim = replace(
            template, id=_id(template.id, metric), statement=_detailed(template, metric.upper()), unit="points",
            claimed=claimed, metric=metric, band=paper.document["bands"]["gain"], contrasts=contrasts,
        )  # fmt: skip
        expanded += _twice(claim, judge_printed_gain(claim))
    return expanded


def _difference(
    paper: Paper, label: str, metric: str, pairs: list[tuple[str, str, str, tuple]], scale: float = 1.0
) -> Contrast:
    """The mean over (table, method, rival, column) of method less rival."""
    terms = [
        paper.term(sign * scale / len(pairs), table, name, column, metric)
        for table, method, rival, column in pairs
        for sign, name in ((1, method), (-1, rival))
    ]
    return Contrast(label, tuple(terms))


def judge_printed_gain(claim: Claim) -> tuple[str, str]:
    """Whether the printed numbers give the printed gain, within what rounding of all of them can do."""
    values = {contrast.label: contrast.printed for contrast in claim.contrasts}
    possible = 100 * 2 * ROUNDING + POINTS_ROUNDING
    if abs(min(values.values()) - claim.claimed) <= possible + SLACK:
        return REPRODUCED, "the paper's own tables give it"
    shown = ", ".join(f"{value:+.2f} over {label}" for label, value in values.items())
    return NOT_REPRODUCED, f"the paper's own tables say {shown}"


def _ordering(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims that a method is above its rivals, per table, method, column and metric."""
    expanded = []
    for table, first, metric in product(rule["tables"], rule["first"], METRICS):
        over = rule["over"]
        if over == "others":
            over = [method for method in paper.methods(table) if paper.variant(table, method) is None]
        for column in paper.columns(table):
            contrasts = tuple(
                _difference(paper, rival, metric, [(table, first, rival, column)])
                for rival in over
                if rule["over"] != "others" or paper.value(table, rival, column, metric) is not None
            )
            where = AVERAGE if column[0] == AVERAGE else "/".join(column)
            name = _id(template.id, table, *([first] if len(rule["first"]) > 1 else []), where, metric)
            claim = replace(
                template, id=name, kind="ordering", unit="margin", metric=metric, contrasts=contrasts,
                place=f"Table {table}", statement=_detailed(template, first, where, metric.upper()),
            )  # fmt: skip
            expanded += _twice(claim, judge_printed_ordering(claim))
    return expanded


def _largest(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims that a gain is larger for one target than for each other, per metric."""
    expanded = []
    for metric in METRICS:
        pairs: dict[str, list] = {}
        for table in rule["tables"]:
            for column in paper.columns(table):
                pairs.setdefault(column[1], []).append((table, rule["ours"], rule["base"], column))
        if rule["target"] not in pairs:
            raise InputError(f"{template.id}: tables {', '.join(rule['tables'])} have no column of {rule['target']}")
        ours = _difference(paper, "", metric, pairs.pop(rule["target"]))
        contrasts = tuple(
            Contrast(target, ours.terms + _difference(paper, "", metric, others, scale=-1).terms)
            for target, others in pairs.items()
        )
        claim = replace(
            template, id=_id(template.id, metric), kind="ordering", unit="margin", metric=metric, contrasts=contrasts,
            statement=_detailed(template, metric.upper()),
        )  # fmt: skip
        expanded += _twice(claim, judge_printed_ordering(claim))
    return expanded


def judge_printed_ordering(claim: Claim) -> tuple[str, str]:
    """Whether the printed numbers are in the claimed order, strictly."""
    ahead = [f"{c.label} {-c.printed:.4f} above" for c in claim.contrasts if c.printed < -SLACK]
    tied = [c.label for c in claim.contrasts if abs(c.printed) <= SLACK]
    if not ahead and not tied:
        return REPRODUCED, "the paper's own tables give it"
    said = ", ".join([*ahead, *(f"{label} equal" for label in tied)])
    return NOT_REPRODUCED, f"the paper's own tables say {said}"


def _averages(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims that printed averages are the means of the printed columns."""
    expanded = []
    for table, metric in product(rule["tables"], METRICS):
        column = (AVERAGE, AVERAGE)
        for method in paper.document["tables"][table]["methods"]:
            claimed = paper.value(table, method, column, metric)
            parts = {part: paper.value(table, method, part, metric) for part in paper.parts(table, column)}
            missing = ["/".join(part) for part, value in parts.items() if value is None]
            if missing:
                found = (None, UNTESTABLE, f"the parts are not printed: {', '.join(missing)}")
            else:
                mean = float(np.mean(list(parts.values())))
                agree = abs(mean - claimed) <= 2 * ROUNDING + SLACK
                reason = "the paper's own tables give it" if agree else f"the paper's own tables say {mean:.4f}"
                found = (mean, REPRODUCED if agree else NOT_REPRODUCED, reason)
            expanded.append(
                replace(
                    template,
                    id=_id(template.id, table, method, metric),
                    kind="arithmetic",
                    place=f"Table {table}",
                    statement=f"The average {metric.upper()} of {method} is that of its columns.",
                    unit="correlation",
                    claimed=claimed,
                    metric=metric,
                    found=found,
                )  # fmt: skip
            )
    return expanded


def _repeats(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """The claim that what is printed in several tables is the same in each."""
    printed: dict[tuple, list[float]] = {}
    for (table, method, benchmark, target, metric), value in paper.numbers.items():
        if variant := paper.variant(table, method):
            printed.setdefault((variant, benchmark, target, metric), []).append(value)
    repeated = {key: values for key, values in printed.items() if len(values) > 1}
    differing = ["/".join(key) for key, values in repeated.items() if len(set(values)) > 1]
    found = (
        len(repeated) - len(differing),
        NOT_REPRODUCED if differing else REPRODUCED,
        f"the paper's own tables differ: {', '.join(differing)}" if differing else "the paper's own tables agree",
    )
    return [replace(template, kind="arithmetic", unit="count", claimed=len(repeated), found=found)]


def _arithmetic(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """A printed sum or quotient; one decimal is printed."""
    value = sum(rule["sum"]) if "sum" in rule else rule["quotient"][0] / rule["quotient"][1]
    agree = abs(value - rule["claimed"]) <= 0.05 + SLACK
    reason = "the paper's own numbers give it" if agree else f"the paper's own numbers say {value:.2f}"
    found = (value, REPRODUCED if agree else NOT_REPRODUCED, reason)
    return [replace(template, unit="number", claimed=rule["claimed"], found=found)]


def _parameters(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """A count of parameters, taken under each recipe."""
    get_variant(rule["variant"])
    band = paper.document["bands"]["parameters"]
    return [replace(template, unit="parameters", claimed=rule["claimed"], band=band, count=rule)]


def _untestable(template: Claim, rule: str, paper: Paper) -> list[Claim]:
    """A statement that nothing decides."""
    return [replace(template, found=(None, UNTESTABLE, rule))]


EXPAND = {
    "gain": _gain, "ordering": _ordering, "largest": _largest, "averages": _averages, "repeats": _repeats,
    "arithmetic": _arithmetic, "parameters": _parameters, "untestable": _untestable,
}  # fmt: skip


# The verdicts


def judge_number(claimed: float, measured: float, low: float, high: float, band: float) -> tuple[str, str]:
    """The verdict on a number: within the band, else within the interval, else not reproduced."""
    difference = measured - claimed
    if abs(difference) <= band + SLACK:
        return REPRODUCED, f"{difference:+.4f} from the claim, within ±{band:g}"
    if low <= claimed <= high:
        return WITHIN_NOISE, f"{difference:+.4f} from the claim, inside the 95 % interval"
    return NOT_REPRODUCED, f"{difference:+.4f} from the claim, outside the 95 % interval"


def judge_gain(claimed: float, measured: float, low: float, high: float, band: float) -> tuple[str, str]:
    """The verdict on a gain: as a number, but of the right sign it still gives the direction."""
    verdict, reason = judge_number(claimed, measured, low, high, band)
    if verdict == NOT_REPRODUCED and measured * claimed > 0:
        return DIRECTION_ONLY, f"{reason}, but of the same sign"
    return verdict, reason


def judge_ordering(measured: float, low: float) -> tuple[str, str]:
    """The verdict on a margin that is claimed to be above 0."""
    if low > 0:
        return REPRODUCED, "above 0 with the whole interval"
    if measured > 0:
        return DIRECTION_ONLY, "above 0, but the interval is not"
    return NOT_REPRODUCED, "not above 0"


def judge(claim: Claim, measured: float, low: float, high: float) -> tuple[str, str]:
    """The verdict on a claim's measured value, and the reason."""
    if claim.kind == "ordering":
        return judge_ordering(measured, low)
    by_kind = {"number": judge_number, "gain": judge_gain}[claim.kind]
    return by_kind(claim.claimed, measured, low, high, claim.band)


@dataclass(frozen=True)
class Suite:
    """What a suite measured: `cells` are the rows of intervals.parquet of each protocol's main selection, by
    (benchmark, target, recipe, variant, protocol), with the `file` of their predictions; `pairs` the (low, high) of
    SRCC differences in comparisons.parquet by (benchmark, target, recipe, protocol, variant, against), none where
    undefined; `encoders` the identities behind each file; `leakage` the (leaking, all) test images by (benchmark,
    protocol)."""

    cells: dict[tuple, dict]
    pairs: dict[tuple, tuple[float, float]]
    encoders: dict[str, list[dict]]
    leakage: dict[tuple[str, str], tuple[int, int]]
    synthetic: frozenset[str]
    recipes: dict[str, Recipe]

    @property
    def protocols(self) -> list[str]:
        """The protocols that were run."""
        return sorted(self._have["protocol"])

    @cached_property
    def _have(self) -> dict[str, set[str]]:
        return {name: {key[k] for key in self.cells} for k, name in enumerate(CELL)}

    def lacks(self, needed: Iterable[tuple], recipe: str, protocol: str) -> str | None:
        """What of the cells (variant, benchmark, target) was not run, in words; None where nothing is missing."""
        have = self._have
        if recipe not in have["recipe"]:
            return f"recipe {recipe} is not in this suite"
        for variant, benchmark, target in needed:
            for name, value in (("benchmark", benchmark), ("variant", variant), ("protocol", protocol)):
                if value not in have[name]:
                    return f"{name} {value} is not in this suite"
            if (benchmark, target, recipe, variant, protocol) not in self.cells:
                return f"{variant} was not run on {benchmark}, {target}, by recipe {recipe}, {protocol}"
        return None


def read_suite(results: Path, recipes: Path | str) -> Suite:
    """Read what the claims are held against from `results/<suite>/`, and every recipe of a folder.

    Raises InputError where a file is missing or is not what it should be.
    """
    metrics = read_table(results / "metrics.parquet", [*CELL, "selection", "file"])[0]
    intervals = read_table(results / "intervals.parquet", INTERVALS)[0]
    main = {name: describe_protocol(name)["selection"] for name in intervals["protocol"].unique()}
    intervals = intervals[intervals["selection"] == intervals["protocol"].map(main)]
    comparisons = read_table(results / "comparisons.parquet", COMPARISONS)[0].dropna(subset=["low", "high"])
    comparisons = comparisons[comparisons["selection"] == comparisons["protocol"].map(main)]
    pairs = {tuple(row[:-2]): row[-2:] for row in comparisons[PAIR].itertuples(index=False, name=None)}
    files = dict(zip(metrics[CELL].itertuples(index=False, name=None), metrics["file"], strict=True))
    cells = {}
    for row in intervals[INTERVALS].to_dict("records"):
        key = tuple(row[name] for name in CELL)
        if key not in files:
            raise InputError(f"{results / 'intervals.parquet'}: {'/'.join(key)} is not in metrics.parquet; run again")
        cells[key] = row | {"file": files[key]}
    benchmarks = sorted({key[0] for key in cells})
    runs = {file: read_table(results / file)[1] for file in sorted(set(files.values()))}
    synthetic = {name for name in benchmarks if read_table(results / name / "samples.parquet")[1]["synthetic"]}
    synthetic |= {run["benchmark"] for run in runs.values() if run["synthetic"]}
    leakage = {
        (name, protocol): tuple(sum(s[key] for s in splits) for key in ("test_images_with_prompt_in_train", "test"))
        for name in benchmarks
        for protocol, splits in read_table(results / name / "splits.parquet")[1]["protocols"].items()
    }
    paths = sorted(Path(recipes).glob("*.yaml"))
    return Suite(
        cells=cells,
        pairs=pairs,
        encoders={file: list(run["encoders"].values()) for file, run in runs.items()},
        leakage=leakage,
        synthetic=frozenset(synthetic),
        recipes={path.stem: load_recipe(path) for path in paths},
    )


def decide(claims: list[Claim], document: dict, suite: Suite) -> list[dict]:
    """The verdicts: one row per claim, recipe and protocol; what no run is needed for has neither."""
    rows = []
    for claim in claims:
        if claim.found is not None:
            measured, verdict, reason = claim.found
            rows.append(_row(claim, measured=measured, verdict=verdict, reason=reason))
        elif claim.count:
            rows += [_count(claim, recipe) for recipe in suite.recipes.values()]
        else:
            rows += _measure(claim, document, suite)
    return rows


def _row(claim: Claim, **found: object) -> dict:
    """A row of claims.json. `like_for_like` marks the one verdict of a claim under each recipe."""
    names = ("id", "kind", "group", "place", "statement", "reading", "unit", "claimed", "metric")
    empty = {"measured": None, "low": None, "high": None, "recipe": "", "protocol": "", "selection": "", "runs": 0}
    empty |= {"leakage": None, "files": [], "like_for_like": True}
    return {name: getattr(claim, name) for name in names} | empty | found


def _count(claim: Claim, recipe: Recipe) -> dict:
    count = count_parameters(claim.count["variant"], recipe, tuple(claim.count.get("of", [""])))
    close = abs(count - claim.claimed) <= claim.band
    reason = f"{count:,} counted" + (f", within ±{claim.band:,}" if close else "")
    verdict = REPRODUCED if close else NOT_REPRODUCED
    return _row(claim, measured=count, recipe=recipe.name, verdict=verdict, reason=reason)


def count_parameters(variant: str, recipe: Recipe, of: tuple[str, ...]) -> int:
    """Trainable parameters of the variant on 512-dimensional features whose names begin with any of `of`."""
    import torch

    from mstclipiqa.model import build_model

    levels = torch.zeros(len(LEVELS), DIM)
    model = build_model(variant, recipe, DIM, DIM, levels, seed=0, fine_levels=levels)
    return sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and name.startswith(of))


def _measure(claim: Claim, document: dict, suite: Suite) -> list[dict]:
    """The rows of a claim on measured numbers: the like-for-like protocol always, the others where they were run."""
    runs = [run for contrast in claim.contrasts for term in contrast.terms for run in term.runs]
    needed = list(dict.fromkeys(run[:3] for run in runs))
    main = document["like_for_like"]
    rows = []
    for recipe in suite.recipes:
        for protocol in [main, *(name for name in suite.protocols if name != main)]:
            common = {"recipe": recipe, "protocol": protocol, "like_for_like": protocol == main}
            common["selection"] = describe_protocol(protocol)["selection"]
            missing = suite.lacks(needed, recipe, protocol)
            # Drawn images stand for no benchmark, and their numbers stand beside no claim.
            if suite.synthetic & {benchmark for _, benchmark, _ in needed}:
                found = {"verdict": UNTESTABLE, "reason": MINIATURE}
            elif missing:
                found = {"verdict": NOT_RUN, "reason": missing}
            else:
                found = _estimate(claim, needed, recipe, protocol, document["encoders"], suite)
            if protocol == main or not (missing or found["reason"] == MINIATURE):
                rows.append(_row(claim, **common, **found))
    return rows


def _estimate(claim: Claim, needed: list[tuple], recipe: str, protocol: str, encoders: dict, suite: Suite) -> dict:
    def cell(variant: str, benchmark: str, target: str) -> dict:
        return suite.cells[benchmark, target, recipe, variant, protocol]

    def paired(behind: str, ahead: str, benchmark: str, target: str) -> tuple[float, float] | None:
        """The 95 % interval of how far one variant is ahead of another."""
        key = (benchmark, target, recipe, protocol)
        if (pair := suite.pairs.get((*key, ahead, behind))) is not None:
            return pair
        low, high = suite.pairs.get((*key, behind, ahead), (np.nan, np.nan))
        return None if np.isnan(low) else (-high, -low)

    used = [cell(*key) for key in needed]
    least = np.array([_interval(contrast, claim.metric, cell, paired) for contrast in claim.contrasts]).min(axis=0)
    measured, low, high = map(float, least)
    files = sorted({row["file"] for row in used})
    leaking, test = np.sum([suite.leakage[name, protocol] for name in sorted({key[1] for key in needed})], axis=0)
    identities = [identity for file in files for identity in suite.encoders[file]]
    theirs = all(
        identity["pretrained"]
        and identity["weights"] == encoders["weights"]
        and identity["model"].startswith(encoders["model"])
        for identity in identities
    )
    verdict, reason = judge(claim, measured, low, high) if theirs else (UNTESTABLE, SMALL_PAIR)
    return {
        "measured": measured,
        "low": None if np.isnan(low) else low,
        "high": None if np.isnan(high) else high,
        "runs": int(sum(row["runs"] for row in used)),
        "leakage": float(leaking / test),
        "files": files,
        "verdict": verdict,
        "reason": reason,
    }


def _interval(
    contrast: Contrast, metric: str, cell: Callable[..., dict], paired: Callable[..., tuple[float, float] | None]
) -> tuple[float, float, float]:
    """Value and 95 % interval of a contrast; a printed rival has no error.

    Where two variants are compared on one benchmark and target, their paired interval is taken, if there is one. All
    other errors are taken as independent, which makes an interval too wide for two models on the same images, and too
    narrow for an average over two targets of the same images.
    """
    value, errors = 0.0, []
    shares: dict[tuple, dict[str, float]] = {}
    for term in contrast.terms:
        if not term.runs:
            value += term.weight * term.printed
        for variant, *column, share in term.runs:
            of_column = shares.setdefault(tuple(column), {})
            of_column[variant] = of_column.get(variant, 0.0) + term.weight * share
    for column, weights in shares.items():
        rows = {variant: cell(variant, *column) for variant in weights}
        value += sum(weight * rows[variant][metric] for variant, weight in weights.items())
        behind, ahead = min(weights, key=weights.get), max(weights, key=weights.get)
        difference = metric == "srcc" and len(weights) == 2 and abs(sum(weights.values())) < SLACK
        pair = paired(behind, ahead, *column) if difference else None
        if pair:
            estimates = [(weights[ahead], rows[ahead][metric] - rows[behind][metric], *pair)]
        else:
            estimates = [
                (weight, rows[name][metric], rows[name][f"{metric}_low"], rows[name][f"{metric}_high"])
                for name, weight in weights.items()
            ]
        errors += [sorted((weight * (low - mean), weight * (high - mean))) for weight, mean, low, high in estimates]
    below, above = np.sqrt(np.sum(np.square(errors), axis=0)) if errors else (0.0, 0.0)
    return value, value - below, value + above


def claims_document(claims: Path | str, paper_tables: Path | str, results: Path, recipes: Path | str) -> dict:
    """What claims.json holds: the rows, and what their verdicts rest on. Raises InputError as its parts do."""
    document = read_paper(claims, paper_tables).document
    suite = read_suite(Path(results), recipes)
    rows = decide(load_claims(claims, paper_tables), document, suite)
    keys = ("source", "like_for_like", "bands")
    return {key: document[key] for key in keys} | {
        "selection": describe_protocol(document["like_for_like"])["selection"],
        "recipes": {name: recipe.title for name, recipe in suite.recipes.items()},
        "verdicts": [{"verdict": verdict, "rule": rule} for verdict, rule in RULES.items()],
        "claims": rows,
    }
