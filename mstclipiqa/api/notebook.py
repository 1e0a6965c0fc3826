"""What a notebook uses: load a benchmark, split it, evaluate a method's scores, compare methods.

    from mstclipiqa import compare, evaluate, load_benchmark, splits

Every function takes and gives pandas tables, and raises InputError, with one line to read, for what it cannot use.
These names and columns stay as they are; what else the package has may change. See docs/notebooks.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import TARGETS
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.pack_sources import SHIPPED, pack_file
from mstclipiqa.data.packs import read_pack
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.data.samples import collect_samples
from mstclipiqa.entries.admission import TRIED, runs_of_scores
from mstclipiqa.entries.contest import Contest, hold_contest, pairs_of
from mstclipiqa.entries.entry import check_scores, read_scores
from mstclipiqa.study.packing import samples_of

#: Scores: a CSV file, a table with its columns (image, prediction and, of a trained method, protocol, split and
#: perhaps seed), or a series by image.
Scores: TypeAlias = "Path | str | pd.DataFrame | pd.Series"

#: What `evaluate` and `compare` say of each protocol.
EVALUATED = ["protocol", "runs", "splits", "n_test", "srcc", "srcc_low", "srcc_high", "plcc", "plcc_low", "plcc_high"]
COMPARED = [
    "protocol",
    "method",
    "against",
    "runs",
    "noise",
    "difference",
    "low",
    "high",
    "detectable",
    "p",
    "p_adjusted",
]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's images and labels: `samples` has a row per image (columns: mstclipiqa/base/layout.py, SAMPLES),
    `card` says what was read."""

    samples: pd.DataFrame
    card: dict

    @property
    def name(self) -> str:
        """The benchmark's name, such as agiqa-3k."""
        return self.card["benchmark"]

    @property
    def targets(self) -> list[str]:
        """What people rated: columns of the samples with their MOS."""
        return [target for target in TARGETS if target in self.card["ranges"]]


def load_benchmark(name: str, source: Path | str = SHIPPED) -> Benchmark:
    """A benchmark, called as in `config/`, such as agiqa-3k.

    `source` is the feature pack that ships with the package (for agiqa-3k), a pack (.zip), a samples table (.parquet),
    a results folder, or the folder with the benchmark's label files and images. Raises InputError where the
    benchmark is unknown, or the source cannot be read as one.
    """
    benchmark, path = get_benchmark(name), Path(source)
    if path.is_dir() and SAMPLES.at(path, benchmark=name).is_file():
        path = SAMPLES.at(path, benchmark=name)
    if path.suffix == ".parquet":
        loaded = Benchmark(*SAMPLES.read(path))
        if loaded.name != name:
            raise InputError(f"{path}: holds the samples of {loaded.name}, not of {name}")
        return loaded
    if path.is_dir():
        return Benchmark(*collect_samples(benchmark, path))
    file = pack_file(name, str(source))
    if file is None or not file.is_file():
        raise InputError(
            f"{source}: nothing to load {benchmark.title} from; give a pack, a samples table, a results folder, or the "
            "folder with its label files and images"
        )
    return Benchmark(*samples_of(file, read_pack(file), None))


def splits(benchmark: Benchmark, *protocols: str) -> pd.DataFrame:
    """The splits of some protocols (lab-seed1 and grouped10 without any): protocol, split, image, and its role,
    which is train, val or test. Raises InputError for an unknown protocol, and where none splits the benchmark."""
    return split_samples(benchmark.samples, protocols or TRIED, benchmark.card)[0]


def evaluate(
    scores: Scores, benchmark: Benchmark, target: str = "quality", protocols: Sequence[str] = TRIED
) -> pd.DataFrame:
    """How well scores agree with the MOS of a target: a row per protocol with mean SRCC and PLCC over the runs, and
    their 95 % intervals (columns EVALUATED).

    Scores of every image, the same for all splits, are evaluated under every protocol; those of a trained method under
    the protocols and splits that they name. Raises InputError for scores with images that are missing, doubled, unknown
    or none of the split's test images, that are not finite, or constant.
    """
    contest = _contest({"scores": scores}, benchmark, target, protocols)
    return contest.intervals[EVALUATED].reset_index(drop=True)


def compare(
    methods: Mapping[str, Scores], benchmark: Benchmark, target: str = "quality", protocols: Sequence[str] = TRIED
) -> pd.DataFrame:
    """Each pair of methods, whose scores are given by name, on the same images: a row per protocol and pair with the
    mean difference of SRCC, its 95 % interval, the smallest difference that would have been shown in 80 % of cases
    (`detectable`), the p of the paired test, and that adjusted by Holm over all pairs of the protocol (columns
    COMPARED). `noise` is what the test allows for: that of the images alone where a method has one run of one split.
    Raises InputError as `evaluate`."""
    if len(methods) < 2:
        raise InputError(f"compare: {len(methods)} method; give two or more, by name")
    contest = _contest(methods, benchmark, target, protocols)
    pairs = pd.concat([pairs_of(contest, protocol) for protocol in dict.fromkeys(contest.intervals["protocol"])])
    return pairs.rename(columns={"variant": "method", "p_all": "p_adjusted"})[COMPARED].reset_index(drop=True)


def _contest(methods: Mapping[str, Scores], benchmark: Benchmark, target: str, protocols: Sequence[str]) -> Contest:
    if not isinstance(benchmark, Benchmark):
        raise InputError(f"benchmark {benchmark!r}: give what load_benchmark returns")
    if isinstance(protocols, str):
        protocols = [protocols]
    if target not in benchmark.targets:
        raise InputError(f"target {target!r}: {benchmark.name} rates {', '.join(benchmark.targets)}")
    table, counts = split_samples(benchmark.samples, protocols, benchmark.card)
    runs = {}
    for name, scores in ((str(method), scores) for method, scores in methods.items()):
        runs[name] = runs_of_scores(_as_table(name, scores), benchmark.samples, table, target, name)
        if runs[name].empty:
            raise InputError(f"{name}: has no score under {', '.join(protocols)}; name its protocols")
    return hold_contest(runs, benchmark.samples, counts, target)


def _as_table(name: str, scores: Scores) -> pd.DataFrame:
    """Scores with the columns of an entry's."""
    if isinstance(scores, str | Path):
        return read_scores(Path(scores))
    if isinstance(scores, pd.Series):
        scores = scores.rename("prediction").rename_axis("image").reset_index()
    if not isinstance(scores, pd.DataFrame) or not scores.columns.is_unique:
        raise InputError(
            f"{name}: give a CSV file, a series by image, or a table of which each column has its own name"
        )
    return check_scores(name, scores)
