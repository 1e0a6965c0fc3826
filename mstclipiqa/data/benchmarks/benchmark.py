"""What a benchmark is: its name, its targets and their ranges, and how its files are read."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.files import list_files
from mstclipiqa.base.names import TARGETS
from mstclipiqa.base.text import printable

#: A drawn benchmark carries this file; whatever is computed from it is labelled synthetic.
SYNTHETIC_MARK = "SYNTHETIC.md"

#: The kind of every generator, by benchmark.
KINDS = Path(__file__).with_name("generators.yaml")


@dataclass(frozen=True)
class Defect:
    """Something odd in the source files that is handled by a stated rule, and counted rather than hidden.

    `examples` can be shown on a terminal, whatever the files hold.
    """

    what: str
    count: int
    rule: str
    examples: tuple[str, ...] = ()

    @classmethod
    def of(cls, what: str, names: Iterable[str], rule: str) -> "Defect":
        """The defect of all `names`, with the first three different ones as examples."""
        names = [printable(str(name)) for name in names]
        return cls(what, len(names), rule, tuple(dict.fromkeys(names))[:3])


@dataclass
class Labels:
    """A benchmark's label files, read but not yet checked.

    `frame` has one row per label row, in file order: image (base name; with the folders that it lies in, where several
    have one base name), prompt (of a benchmark that has prompts), generator, one column of MOS per target on the
    official scale, and `<target>_sd` where the SD over raters is published; and `image_prompt`, the name of the image
    that an image was made from, where a benchmark has such (empty for others). `columns` says for each target which
    file, column and scale was read. `withheld`
    names images that the benchmark lists without MOS, so that their presence among the images is no surprise.
    `excluded` says of images that have label rows why these are not used. `official_order` is false where the rows are
    those of copies that stand in another order than the official file, which the laboratory's loader reads.
    """

    frame: pd.DataFrame
    files: list[Path]
    columns: dict[str, str]
    defects: list[Defect] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    official_order: bool = True

    @property
    def row_facts(self) -> dict:
        """What the card of the samples says of all label rows, for the protocols that go by these."""
        return {"rows_read": len(self.frame), "excluded": self.excluded, "official_order": self.official_order}


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: what it is called, what was rated on which nominal scale, and how its files are read.

    `ranges` maps each target to its nominal MOS range (low, high); `read` turns the folder
    `data_root/<name>/` into Labels and raises InputError where it cannot. `images` is how many images the published
    label files name and this project uses; None where nothing is published. `loader` says which of n label rows, (n,)
    bool, the public loader of the paper's laboratory tests; None where no loader is known. `composed` is whether each
    prompt is a subject and some attributes, parted by commas, of which the prompts are all combinations. `prompted` is
    whether its images have prompts; without them `read` gives none, and an image's name stands for its prompt.
    `open_labels` says that the licence lets labels and prompts be passed on, beside an `attribution`; a feature pack
    holds them only then. `open_images` says the same of small copies of the images, which a report shows only then.
    """

    name: str
    title: str
    paper: str
    licence: str
    ranges: Mapping[str, tuple[float, float]]
    read: Callable[[Path], Labels]
    images: int | None = None
    loader: Callable[[int], np.ndarray] | None = None
    composed: bool = False
    prompted: bool = True
    open_labels: bool = False
    open_images: bool = False
    attribution: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """The rated targets, in the order of TARGETS."""
        return tuple(target for target in TARGETS if target in self.ranges)


def shuffled_rows(rows: int, seed: int = 1) -> np.ndarray:
    """Which of `rows` label rows (rows,) most of the laboratory's loaders test: those after the first 80 %, shuffled
    with numpy's legacy generator. They fix `seed` at 1; its other tables are of 0, 2 and 42 (arXiv 2607.05605)."""
    order = np.arange(rows)
    np.random.RandomState(seed).shuffle(order)
    tested = np.ones(rows, dtype=bool)
    tested[order[: int(0.8 * rows)]] = False
    return tested


def is_synthetic(folder: Path) -> bool:
    """Whether what lies in a folder was drawn: at any depth, since label files and images are found at any depth."""
    return bool(list_files(folder, SYNTHETIC_MARK))
