"""The board: methods ranked on a benchmark and target under a protocol, a page each, from entries and results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_text
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import LAST, SELECTIONS, UNTRAINED
from mstclipiqa.base.version import __version__
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.protocols import describe_protocol, split_samples
from mstclipiqa.entries.admission import admit, find_doubts
from mstclipiqa.entries.contest import Contest, hold_contest, pairs_of, rank
from mstclipiqa.entries.entry import SCORES, Entry, images_digest, labels_digest, read_scores
from mstclipiqa.entries.models import Model, find_models
from mstclipiqa.report.entered import CLAIMED
from mstclipiqa.report.page import make_environment
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: The protocols of a board where none is named.
PROTOCOLS = ("lab-seed1", "grouped10", "leave-generator-out")

#: So many methods are named in a cell.
FEW = 3


@dataclass(frozen=True)
class Contestant:
    """A method on one benchmark and target: its `title` on the board, what its card claims (by CLAIMED), its
    predictions (columns of RUNS), and what is doubtful of them."""

    title: str
    claims: Mapping[str, str]
    runs: pd.DataFrame
    doubts: Sequence[str] = ()

    @property
    def training(self) -> str:
        """What of the benchmark it was trained on."""
        return "none" if (self.runs["epoch"] == UNTRAINED).all() else "each split"


@dataclass(frozen=True)
class Field:
    """All that is known of the methods on a benchmark and target: the benchmark's samples, their card, the splits and
    what they count, by protocol; the methods; and by the title of each that takes no part, why."""

    samples: pd.DataFrame
    card: dict
    target: str
    splits: pd.DataFrame
    counts: Mapping[str, list[dict]]
    contestants: Sequence[Contestant]
    refused: Mapping[str, str]

    @property
    def title(self) -> str:
        return f"{self.card['title']}, {self.target}"

    def complete(self, protocol: str) -> list[Contestant]:
        """The methods that have every split of a protocol: means over other splits are other quantities."""
        asked = set(self.splits.loc[self.splits["protocol"] == protocol, "split"])
        return [method for method in self.contestants if asked and self._splits_of(method, protocol) == asked]

    def not_ranked(self, protocol: str) -> dict[str, str]:
        """By title, why a method has no rank under a protocol."""
        asked = self.splits.loc[self.splits["protocol"] == protocol, "split"].nunique()
        short = {
            method.title: f"has {len(self._splits_of(method, protocol))} of {asked} splits"
            for method in self.contestants
            if len(self._splits_of(method, protocol)) < asked
        }
        return {**self.refused, **short}

    def _splits_of(self, method: Contestant, protocol: str) -> set[int]:
        return set(method.runs.loc[method.runs["protocol"] == protocol, "split"])


def write_board(
    out: Path,
    entries: Sequence[Entry],
    results: Sequence[Path],
    load: Callable[[str], tuple[pd.DataFrame, dict]],
    protocols: Sequence[str] = (),
) -> list[str]:
    """Write the board into `out`, and say what is on it, a line a page: index.html, a page for each benchmark, target
    and protocol that any method was tried under, and their tables. Equal entries and results give equal bytes.
    The protocols are PROTOCOLS, and those that entries name, where none is given.

    Methods are those of the entries and the models of the results folders. `load` gives a benchmark's samples and their
    card. A method whose labels or images are not those of the samples, or whose scores cannot be used, is not ranked,
    and the page says why.
    """
    pages: dict[str, str] = {}
    tables: dict[str, Table] = {}
    rows, said = [], []
    for field in _fields(entries, results, load, protocols):
        runs = _complete_runs(field)
        if not runs:
            continue
        contest = hold_contest(runs, field.samples, field.counts, field.target)
        for protocol in field.counts:
            methods = field.complete(protocol)
            if not methods:
                continue
            name = f"{field.card['benchmark']}-{field.target}-{protocol}"
            own = _tables(name, field, contest, protocol, methods)
            tables |= {table.name: table for table in own}
            pages[f"{name}.html"] = _page(f"{field.title}: {protocol}", own, field, protocol)
            order = rank(contest, protocol)
            first = _several(order.loc[order["rank"] == 1, "variant"].tolist())
            rows.append({"Board": Cell(f"{field.title}: {protocol}", files=(f"{name}.html",)),
                         "Methods": str(len(methods)), "Ranked first": first})  # fmt: skip
            said.append(f"{name}: {len(methods)} methods; ranked first: {first}")
    if not rows:
        raise InputError(f"{out}: no method has every split of {', '.join(protocols or PROTOCOLS)}; name its protocols")
    shown = frame_of(rows, ["Board", "Methods", "Ranked first"])
    index = Table(
        "boards", "The boards: methods ranked on one benchmark and target.", shown, shown, numeric=("Methods",)
    )
    pages["index.html"] = _page("Methods ranked on image quality benchmarks", [index])
    _clear(out)
    for table in [*tables.values(), index]:
        for suffix, text in (("csv", table.csv()), ("md", table.markdown()), ("tex", table.latex())):
            write_text(out / "tables" / f"{table.name}.{suffix}", text)
    for file, page in pages.items():
        write_text(out / file, page)
    return said


def _clear(out: Path) -> None:
    """Remove the board that was written into a folder before: of a method that is gone, its pages would stay."""
    if (out / "index.html").is_file() and (out / "tables" / "boards.csv").is_file():
        for stale in [*out.glob("*.html"), *(out / "tables").iterdir()]:
            stale.unlink()


def check_entries(
    entries: Sequence[Entry], load: Callable[[str], tuple[pd.DataFrame, dict]], protocols: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """What entries are refused for, a line each, and what is doubtful of the others. Of a benchmark that cannot be
    loaded, as no pack of it ships, card and file alone are checked, which is said."""
    refused: list[str] = []
    doubts: list[str] = []
    for benchmark in sorted({entry.benchmark for entry in entries}):
        own = [entry for entry in entries if entry.benchmark == benchmark]
        try:
            loaded = load(benchmark)
        except InputError as error:
            doubts.append(f"{len(own)} entries of {benchmark} are not held against its images and labels: {error}")
            refused += filter(None, map(_unreadable, own))
            continue
        for field in _fields(own, [], {benchmark: loaded}.__getitem__, protocols):
            refused += field.refused.values()
            doubts += [f"{method.title}: {doubt}" for method in field.contestants for doubt in method.doubts]
    return refused, doubts


def _unreadable(entry: Entry) -> str | None:
    """Why the scores of an entry cannot be read; None where they can."""
    try:
        read_scores(entry.folder / SCORES)
    except InputError as error:
        return str(error)
    return None


# Who takes part


def _fields(
    entries: Sequence[Entry],
    results: Sequence[Path],
    load: Callable[[str], tuple[pd.DataFrame, dict]],
    protocols: Sequence[str],
) -> Iterator[Field]:
    """The fields of all benchmarks and targets that any entry is of, or, without entries, any result."""
    models = [model for folder in results for model in find_models(folder)]
    wanted = {(of.benchmark, of.target) for of in entries or models}
    for benchmark in sorted({benchmark for benchmark, _ in wanted}):
        samples, card = load(benchmark)
        named = [entry.scores["protocol"] for entry in entries if entry.benchmark == benchmark and _is_trained(entry)]
        asked = protocols or [*PROTOCOLS, *(name for column in named for name in column.unique())]
        splits, counts = split_samples(samples, asked, card)
        for target in sorted(target for of, target in wanted if of == benchmark):
            contestants: list[Contestant] = []
            refused: dict[str, str] = {}
            for entry in (entry for entry in entries if (entry.benchmark, entry.target) == (benchmark, target)):
                try:
                    runs, said = admit(entry, samples, card, splits)
                    contestants.append(Contestant(entry.card["method"], entry.card, runs, said["doubts"]))
                except InputError as error:
                    refused[entry.card["method"]] = str(error)
            for model in models:
                if (model.benchmark, model.target) == (benchmark, target):
                    _add_model(model, samples, splits, target, contestants, refused)
            yield Field(samples, card, target, splits, counts, _with_own_titles(contestants), refused)


def _is_trained(entry: Entry) -> bool:
    """Whether an entry names protocols; one that cannot be read does not, which is said where it is admitted."""
    return _unreadable(entry) is None and "protocol" in entry.scores


def _add_model(
    model: Model,
    samples: pd.DataFrame,
    splits: pd.DataFrame,
    target: str,
    contestants: list[Contestant],
    refused: dict[str, str],
) -> None:
    """Add a model of a results folder to those that take part, or to those that do not."""
    own, _ = SAMPLES.read(SAMPLES.at(model.results, benchmark=model.benchmark))
    for what, digest in (("labels", lambda table: labels_digest(table, target)), ("images", images_digest)):
        if digest(own) != digest(samples):
            refused[model.title] = f"{model.results}: has other {what} of {model.benchmark} than the board"
            return
    runs = model.read_runs(samples, splits)
    if len(runs):
        contestants.append(Contestant(model.title, model.claims, runs, find_doubts(runs, samples, target)))


def _with_own_titles(contestants: Sequence[Contestant]) -> list[Contestant]:
    """The methods, each title once: an entry that is in a results folder too is taken from the first place."""
    return list({method.title: method for method in reversed(contestants)}.values())[::-1]


# What is shown


def _complete_runs(field: Field) -> dict[str, pd.DataFrame]:
    """By title, the runs of the methods under the protocols whose splits they all have."""
    whole = {protocol: {method.title for method in field.complete(protocol)} for protocol in field.counts}
    runs = {
        method.title: method.runs[[method.title in whole[name] for name in method.runs["protocol"]]]
        for method in field.contestants
    }
    return {title: table for title, table in runs.items() if len(table)}


def _tables(name: str, field: Field, contest: Contest, protocol: str, methods: Sequence[Contestant]) -> list[Table]:
    """The tables of one page: the ranks first."""
    order, by_title = rank(contest, protocol), {method.title: method for method in methods}
    shown = [
        {
            "Rank": str(row["rank"]),
            "Method": row["variant"],
            "SRCC": Cell(f"{row['srcc']:.4f}", _interval(row, "srcc")),
            "PLCC": Cell(f"{row['plcc']:.4f}", _interval(row, "plcc")),
            "Runs": str(row["runs"]),
            "Trained on": by_title[row["variant"]].training,
            CLAIMED["saw_test_images"]: by_title[row["variant"]].claims["saw_test_images"],
            "Tied with": _several(row["tied"]),
            "Doubts": "; ".join(by_title[row["variant"]].doubts) or DASH,
        }
        for row in order.to_dict("records")
    ]
    full = order.assign(
        tied=order["tied"].map("; ".join), doubts=["; ".join(by_title[title].doubts) for title in order["variant"]]
    )
    selection = describe_protocol(protocol)["selection"]
    chosen = [
        "Models that were trained here: the last epoch."
        if selection == LAST
        else f"Models that were trained here: {SELECTIONS[selection]}. Of entered scores nobody knows the epoch."
    ]
    ranked = Table(
        f"{name}-ranks",
        f"{field.title}, {protocol}: methods by mean SRCC over runs, with 95 % intervals.",
        full.rename(columns={"variant": "method"}),
        frame_of(shown, list(shown[0])),
        numeric=("Rank", "SRCC", "PLCC", "Runs"),
        stub=2,
        notes=[
            "A rank is one more than the number of methods with a greater SRCC by a paired test on the same images, p "
            "below 0.05, adjusted by Holm over all pairs of this page; no method ranks before one of greater SRCC. "
            "Methods that are not told apart are tied.",
            "Where a method has one run of one split, nothing shows what training varies, and the test is of these "
            "predictions as they are, by the noise of the images alone. Other seeds and splits may rank otherwise.",
            "Whether a method was trained on test images is what its authors say. Nobody checked it.",
            *chosen,
        ],
    )
    tables = [
        ranked,
        _pairs(name, contest, protocol),
        _generators(name, field, contest, protocol),
        _cards(name, methods),
    ]
    refused = [{"Method": title, "Why": why} for title, why in field.not_ranked(protocol).items()]
    if refused:
        frame = frame_of(refused, ["Method", "Why"])
        tables.append(Table(f"{name}-not-ranked", "Methods that are not ranked here.", frame, frame))
    return [table for table in tables if len(table.shown)]


def _several(titles: Sequence[str]) -> str:
    """Titles in a cell: of more than FEW their number, as the CSV has all."""
    return "; ".join(titles) if 0 < len(titles) <= FEW else f"{len(titles)} methods" if titles else DASH


def _interval(row: Mapping, metric: str) -> str:
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    return f"[{low:.3f}, {high:.3f}]" if pd.notna(low) else "no interval"


def _pairs(name: str, contest: Contest, protocol: str) -> Table:
    """Every pair of methods: the difference, its interval and the adjusted p."""
    pairs = pairs_of(contest, protocol).sort_values(["variant", "against"], ignore_index=True)
    shown = [
        {
            "Method": row["variant"],
            "Against": row["against"],
            "Difference of SRCC": Cell(f"{row['difference']:+.4f}", _limits(row)),
            "Shown from": f"{row['detectable']:.4f}" if pd.notna(row["detectable"]) else DASH,
            "Adjusted p": f"{row['p_all']:.3g}" if pd.notna(row["p_all"]) else "no test",
            "Runs": str(row["runs"]),
            "Noise of": row["noise"],
        }
        for row in pairs.to_dict("records")
    ]
    columns = ["Method", "Against", "Difference of SRCC", "Shown from", "Adjusted p", "Runs", "Noise of"]
    return Table(
        f"{name}-pairs",
        "Paired tests: the mean difference of SRCC on the same images, its 95 % interval, the smallest "
        "difference that it would have shown in 80 % of cases, and p adjusted by Holm over all pairs.",
        pairs[["variant", "against", "runs", "noise", "difference", "low", "high", "detectable", "p", "p_all"]],
        frame_of(shown, columns),
        numeric=tuple(columns[2:6]),
        stub=2,
    )


def _limits(row: Mapping) -> str:
    return f"[{row['low']:+.3f}, {row['high']:+.3f}]" if pd.notna(row["low"]) else ""


def _generators(name: str, field: Field, contest: Contest, protocol: str) -> Table:
    """SRCC within each generator."""
    rows = contest.generators[
        (contest.generators["protocol"] == protocol) & (contest.generators["level"] == "generator")
    ]
    names = sorted(rows["name"].unique())
    shown = []
    for title, own in rows.groupby("variant", sort=False):
        found = own.set_index("name")["srcc"]
        shown.append({"Method": title} | {of: f"{found[of]:.4f}" for of in names if pd.notna(found.get(of))})
    return Table(
        f"{name}-generators",
        "SRCC within each generator: mean over the runs with at least 10 test images of it.",
        rows,
        frame_of(shown, ["Method", *names]),
        numeric=tuple(names),
    )


def _cards(name: str, methods: Sequence[Contestant]) -> Table:
    """What the authors of each method say of it."""
    shown = [{"Method": m.title} | {title: m.claims.get(key, DASH) for key, title in CLAIMED.items()} for m in methods]
    frame = frame_of(shown, ["Method", *CLAIMED.values()])
    return Table(f"{name}-cards", "The methods: what their authors say of them, unchecked.", frame, frame)


def _page(title: str, tables: Sequence[Table], field: Field | None = None, protocol: str = "") -> str:
    lines = []
    if field:
        lines = [
            f"{get_benchmark(field.card['benchmark']).title}: {len(field.samples):,} images. {protocol}: "
            f"{describe_protocol(protocol)['description']}.",
            f"SHA-256 of the labels {labels_digest(field.samples, field.target)[:16]}, of the images "
            f"{images_digest(field.samples)[:16]}; scores for others are not compared.",
        ]
    return (
        make_environment()
        .get_template("board.html.j2")
        .render(
            title=title,
            lines=lines,
            tables=tables,
            home="index.html" if field else "",
            synthetic=bool(field and field.card["synthetic"]),
            version=__version__,
            warnings=[],
            link=lambda file: file,
        )
    )
