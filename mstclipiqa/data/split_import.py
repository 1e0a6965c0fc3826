"""Splits as others publish them, turned into a published split of this project: config/splits/NAME.csv.

What is read is a folder of lists, one for each role and split; a table with a column of folds or roles; or a MATLAB
file of indices. A list holds names of images, or numbers of label rows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import loadmat

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import list_files, write_text
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import IMAGE_FORMATS, TEST, TRAIN, VAL
from mstclipiqa.base.text import printable
from mstclipiqa.data.label_files import MOST_ROWS, check_size, first_row, parsing, read_delimited
from mstclipiqa.data.protocols import check_roles
from mstclipiqa.data.published_splits import SPLIT_COLUMNS, SPLIT_FILES, check_published, read_published

#: What the roles are called in names of files, of variables and in cells.
ROLES = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing", "tst"), TEST),
}

#: Columns that are looked at for folds or roles, and the most folds of one.
FOLD_COLUMN = re.compile("fold|split|(^|_)(sub)?set(_|$)|role|partition", re.IGNORECASE)
MOST_FOLDS = 1000

LISTS = (".csv", ".txt", ".npy")


@dataclass(frozen=True)
class _List:
    """What one list holds: names or numbers of the images of a role in a split, as it calls the split."""

    split: int
    role: str
    entries: Sequence[str]


@dataclass(frozen=True)
class _Images:
    """The images of a benchmark, by their names and by their label rows."""

    samples: pd.DataFrame
    card: Mapping[str, Any]

    @property
    def rows(self) -> int:
        return int(self.card.get("rows_read", len(self.samples)))

    @cached_property
    def names(self) -> set[str]:
        """Those in use, and those that the reader excluded: a split that names one of these is told why."""
        return {*self.samples["image"], *(self.card.get("excluded") or {})}

    @cached_property
    def by_row(self) -> dict[int, str]:
        """Names by the number of the label row, from 0."""
        return dict(zip(self.samples["row"], self.samples["image"], strict=True))

    def excluded(self, start: int) -> dict[str, str]:
        """Why images are excluded, by name; and label rows of which no image is used, numbered from `start`."""
        left = sorted(set(range(self.rows)) - set(self.by_row))
        reason = "what the samples table's card says of it"
        return {**(self.card.get("excluded") or {}), **{f"label row {row + start}": reason for row in left}}

    @cached_property
    def by_stem(self) -> dict[str, str]:
        """Names by the name without its ending, where that is one image's alone."""
        stems = pd.Series({name: PurePosixPath(name).stem for name in sorted(self.names)})
        return {stem: name for name, stem in stems[~stems.duplicated(keep=False)].items()}


def import_split(
    source: Path,
    samples: Path,
    name: str,
    folds: Sequence[str] = (),
    first: int | None = None,
    without_excluded: bool = False,
    folder: Path = SPLIT_FILES,
) -> list[str]:
    """Write the splits that `source` has of the benchmark of a samples table as `folder`/`name`.csv, beside the rows of
    other benchmarks there; say what was read, a line for each split.

    `folds` are the columns of a table to read; without them, those of a usual name. `first` is the number of the first
    label row where a list holds numbers: 0 or 1; without it, the numbers must say so themselves. `without_excluded`
    leaves out, and counts, the images that the reader excluded.

    Raises InputError, naming image and split, for an image that is unknown, excluded, or stands twice in a split; for a
    split without training or test images; for a source that cannot be read; and where the file has other splits of the
    benchmark already. Nothing is written then.
    """
    frame, card = SAMPLES.read(samples)
    images, benchmark = _Images(frame, card), frame["benchmark"].iloc[0]
    if not re.fullmatch("[A-Za-z0-9_-]+", name):
        raise InputError(f"--name {name!r}: letters, digits, - and _ only, as in the protocol file-NAME")
    lists = sorted(_read(source, images, folds), key=lambda found: found.split)
    numbers = {split: number for number, split in enumerate(dict.fromkeys(found.split for found in lists))}
    entries = [entry for found in lists for entry in found.entries]
    start = _first_row(source, entries, images, first)
    table = pd.DataFrame(
        [
            (benchmark, _name_of(entry, images, start), str(numbers[found.split]), found.role)
            for found in lists
            for entry in found.entries
        ],
        columns=SPLIT_COLUMNS,
    )
    excluded = images.excluded(start or 0)
    left_out = table["image"].isin(excluded) & without_excluded
    table = table[~left_out].reset_index(drop=True)
    roles = list(check_published(source, table, frame, {"excluded": excluded}))
    check_roles(source, roles)
    path = folder / f"{name}.csv"
    write_text(path, _joined(path, table, benchmark).to_csv(index=False))
    lines = [f"{path}: {len(roles)} splits of {card['title']}, protocol file-{name}"]
    for split, roles_of in enumerate(roles):
        counts = ", ".join(f"{(roles_of == role).sum()} {role}" for role in (TRAIN, VAL, TEST))
        lines.append(f"  split {split}: {counts}; {(roles_of == '').sum()} images in no role")
    if left_out.any():
        lines.append(f"  {int(left_out.sum())} rows left out, of images that the reader excluded")
    return lines


def _joined(path: Path, table: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """The rows, below those of other benchmarks that the file has."""
    if not path.exists():
        return table
    known = read_published(path)
    own = known[known["benchmark"] == benchmark].reset_index(drop=True)
    if len(own) and not own.equals(table):
        raise InputError(f"{path}: has other splits of {benchmark} already; choose another --name, or delete it")
    return pd.concat([known[known["benchmark"] != benchmark], table], ignore_index=True)


def _first_row(source: Path, entries: Iterable[str], images: _Images, first: int | None) -> int | None:
    """The number of the first label row, where all entries are numbers and not names; None where they are names."""
    if not all(entry.isdecimal() for entry in entries):
        return None
    numbers = {int(entry) for entry in entries}
    if not numbers:
        raise InputError(f"{source}: names no image; give its lists")
    starts = [start for start in (0, 1) if start <= min(numbers) and max(numbers) < images.rows + start]
    if not starts or first not in (None, *starts):
        raise InputError(
            f"{source}: label rows {min(numbers)} to {max(numbers)}, but the benchmark has {images.rows}; "
            "it is of another label file"
        )
    if first is None and len(starts) == 2:
        raise InputError(f"{source}: are its label rows numbered from 0 or from 1? say so with --first")
    return starts[0] if first is None else first


def _name_of(entry: str, images: _Images, start: int | None = None) -> str:
    """The image that an entry stands for; the entry itself where that is unknown."""
    if start is not None:
        return images.by_row.get(int(entry) - start, f"label row {entry}")
    base = PurePosixPath(re.sub(r"^.*[/\\]", "", entry))
    stem = base.stem if base.suffix.lower() in IMAGE_FORMATS else base.name
    return next((name for name in (entry, base.name) if name in images.names), images.by_stem.get(stem, entry))


def _is_image(cell: str, images: _Images) -> bool:
    return _name_of(cell, images) in images.names


def _read(source: Path, images: _Images, folds: Sequence[str]) -> Iterator[_List]:
    if source.is_dir():
        yield from _read_folder(source, images)
    elif not source.is_file():
        raise InputError(f"{source}: no such file or folder")
    elif source.suffix == ".mat":
        yield from _read_matlab(source, images)
    elif source.suffix in (".csv", ".txt"):
        yield from _read_table(source, images, folds)
    else:
        raise InputError(f"{source}: give a folder of lists ({', '.join(LISTS)}), a .csv with folds, or a .mat")


def _role_and_split(source: Path, name: str) -> tuple[str, int]:
    """The role and the split that the name of a file or variable says: one word for the role, and the last number."""
    words = re.findall("[a-z]+", name.lower())
    roles = {ROLES[word] for word in words if word in ROLES}
    if len(roles) != 1:
        what = "no role" if not roles else f"the roles {', '.join(sorted(roles))}"
        raise InputError(f"{source}: {name!r} says {what}; name it by train, val or test, and by the split's number")
    numbers = re.findall(r"\d{1,9}", name)
    return roles.pop(), int(numbers[-1]) if numbers else 0


def _read_folder(source: Path, images: _Images) -> Iterator[_List]:
    """A list for each role and split, as the files' paths below the folder say."""
    files = [path for path in list_files(source) if path.suffix in LISTS]
    if not files:
        raise InputError(f"{source}: no list below it ({', '.join(LISTS)})")
    for path in files:
        role, split = _role_and_split(source, path.relative_to(source).with_suffix("").as_posix())
        if path.suffix == ".npy":
            yield _List(split, role, _of_array(path, _load_npy(path), images))
        else:
            table = _read_cells(path, images)
            yield _List(split, role, table[_image_column(path, table, images)].tolist())


def _read_table(source: Path, images: _Images, folds: Sequence[str]) -> Iterator[_List]:
    """A table whose rows are images: for each column of folds, a split with each fold as its test images; or one split
    for each column of roles."""
    table = _read_cells(source, images)
    column = _image_column(source, table, images)
    if missing := [fold for fold in folds if fold not in table]:
        raise InputError(f"{source}: no column {missing[0]}; it has {', '.join(map(str, table.columns[:12]))}")
    found = folds or [name for name in table.columns if name != column and FOLD_COLUMN.search(str(name))]
    if not found:
        raise InputError(f"{source}: no column of folds or roles; name it with --fold")
    split = 0
    for fold in found:
        cells = table[fold].str.strip().str.lower()
        if set(cells) <= ROLES.keys():
            for role in (TRAIN, VAL, TEST):
                yield _List(split, role, table.loc[cells.map(ROLES) == role, column].tolist())
            split += 1
            continue
        values = sorted(set(cells))
        if not all(value.isdecimal() for value in values) or not 2 <= len(values) <= MOST_FOLDS:
            strange = next((value for value in values if not value.isdecimal() and value not in ROLES), values[0])
            raise InputError(f"{source}: {fold} is {strange!r} in a row; a fold is a number, a role train, val or test")
        for value in sorted(values, key=int):
            yield _List(split, TEST, table.loc[cells == value, column].tolist())
            yield _List(split, TRAIN, table.loc[cells != value, column].tolist())
            split += 1


def _read_cells(path: Path, images: _Images) -> pd.DataFrame:
    """The cells of a .csv or .txt file as text. Its first row is a header, unless it has a number or may name an image,
    or is that of a .txt file of one column."""
    with parsing(path):
        first = first_row(path)
        named = any(
            cell.strip().isdecimal() or Path(cell).suffix.lower() in IMAGE_FORMATS or _is_image(cell, images)
            for cell in first
        )
        no_header = named or (path.suffix == ".txt" and len(first) == 1)
        options = {"header": None if no_header else 0, "dtype": str, "keep_default_na": False, "nrows": MOST_ROWS + 1}
        table = read_delimited(path, **options)
    if len(table) > MOST_ROWS:
        raise InputError(f"{path}: more than {MOST_ROWS:,} rows; no benchmark has so many")
    return table.fillna("").astype(str)


def _image_column(path: Path, table: pd.DataFrame, images: _Images) -> Any:
    """The column that names most images; where none does, the only one, if it has numbers."""
    hits = {column: sum(_is_image(cell, images) for cell in table[column]) for column in table}
    best = max(hits, key=lambda column: hits[column], default=None)
    numbers = [column for column in table if len(table) and table[column].str.fullmatch(r"\d{1,9}").all()]
    if best is not None and hits[best]:
        return best
    if len(numbers) == 1 and table.shape[1] == 1:
        return numbers[0]
    shown = printable(", ".join(map(str, table.iloc[0]))[:200]) if len(table) else "nothing"
    raise InputError(f"{path}: names no image of the benchmark; its first row is {shown}")


def _load_npy(path: Path) -> np.ndarray:
    check_size(path)
    with parsing(path):
        return np.load(path, allow_pickle=False)


def _read_matlab(source: Path, images: _Images) -> Iterator[_List]:
    """A list for each variable that a role names; of a matrix, one for each row or column, whichever are fewer."""
    check_size(source)
    with parsing(source):
        variables = {name: value for name, value in loadmat(str(source)).items() if not name.startswith("__")}
    named = {name: value for name, value in variables.items() if ROLES.keys() & set(re.findall("[a-z]+", name.lower()))}
    if not named:
        raise InputError(f"{source}: no variable named by train, val or test, found {', '.join(variables) or 'none'}")
    for name, value in named.items():
        role, split = _role_and_split(source, name)
        matrix = np.atleast_2d(np.asarray(value))
        lists = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        for number, row in enumerate(lists):
            yield _List(split + number, role, _of_array(source, row, images))


def _of_array(path: Path, array: np.ndarray, images: _Images) -> list[str]:
    """The entries of an array: names, numbers of label rows, or a mask over all label rows, which is turned into
    numbers from 0."""
    flat = np.ravel(array)
    if flat.dtype == bool or (flat.dtype == np.uint8 and len(flat) == images.rows and set(flat.tolist()) <= {0, 1}):
        if len(flat) != images.rows:
            raise InputError(f"{path}: a mask of {len(flat)} rows, but the benchmark has {images.rows} label rows")
        return [images.by_row.get(row, f"label row {row}") for row in np.flatnonzero(flat).tolist()]
    if flat.dtype.kind in "iuf":
        if not np.equal(flat, np.floor(flat)).all() or (flat < 0).any():
            raise InputError(f"{path}: holds numbers that are no label rows, e.g. {flat[flat != np.floor(flat)][:1]}")
        return [str(int(number)) for number in flat]
    if flat.dtype.kind in "UO":
        return [str(np.ravel(cell)[0]) if np.size(cell) else "" for cell in flat]
    raise InputError(f"{path}: holds {flat.dtype}; give names or numbers of label rows")
