"""Label files: found by name, read as text, numbers checked."""

import contextlib
import csv
import json
import re
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import pandas as pd

from mstclipiqa.base.archives import opened_zip
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import list_files
from mstclipiqa.base.text import find_fault, printable

#: What a label file may have, unpacked. The largest of the benchmarks has 20,000 rows in 4 MB.
MOST_ROWS, MOST_COLUMNS, MOST_BYTES = 100_000, 64, 2**25

#: Elements of a spreadsheet's XML that its reader drops as it goes, and those of other kinds, of which it makes objects
#: of some kB that stay, as of styles.
CELL_ELEMENTS = {
    *("row", "c", "v", "f", "is", "t", "si", "r", "rPr", "rFont", "rPh", "phoneticPr"),
    *("sz", "color", "b", "i", "u", "family", "scheme", "charset"),
}
MOST_CELL_ELEMENTS, MOST_OTHER_ELEMENTS = 4_000_000, 20_000


def find_label_file(root: Path, *patterns: str) -> Path | None:
    """The one file under `root` whose name matches the first pattern that matches any; None if none does.

    Raises InputError where one pattern matches several files.
    """
    for pattern in patterns:
        found = list_files(root, pattern)
        if len(found) > 1:
            listed = ", ".join(printable(str(path.relative_to(root))) for path in found)
            raise InputError(f"{root}: {len(found)} files match {pattern} ({listed}); keep one")
        if found:
            return found[0]
    return None


def require_label_file(root: Path, *patterns: str) -> Path:
    """Like `find_label_file`, but raises InputError where nothing matches."""
    found = find_label_file(root, *patterns)
    if found is None:
        raise InputError(f"{root}: label file {' or '.join(patterns)} not found; put it anywhere in this folder")
    return found


@contextlib.contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Around a parser of `path`: whatever it raises becomes one InputError.

    Zip, XML, codec, struct and more: what the parsers raise on a damaged file has no narrower base class.
    """
    try:
        yield
    except InputError:
        raise
    except PermissionError:
        raise InputError(f"{path}: may not be read; give yourself the right to") from None
    except Exception as error:
        reason = printable(f"{type(error).__name__}: {error}".splitlines()[0][:300])
        raise InputError(f"{path}: cannot be read ({reason}); replace it from the source") from error


def read_sheet(path: Path, columns: Sequence[str], header: bool = True, blank: Collection[str] = ()) -> pd.DataFrame:
    """The named columns of a label file: .xlsx (first sheet), .csv, .txt (tabs) or .json (a list of records; where
    these are keyed, by image for instance, the keys are the column `key`).

    Every cell is text, so that a prompt that reads `NA` or `1984` stays what it is; numbers go through `to_numbers`.
    Without a header row `columns` names all columns in their order. Those of `blank` may have empty cells.
    Raises InputError where the file cannot be parsed, is too large, lacks a column, has an empty cell in another, or
    one that `base.text` does not take.
    """
    options = {"header": 0 if header else None, "dtype": str, "keep_default_na": False, "nrows": MOST_ROWS + 1}
    check_size(path)
    with parsing(path):
        if path.suffix == ".xlsx":
            _check_spreadsheet(path)
            if header:
                _check_header(path, pd.read_excel(path, engine="openpyxl", **options | {"header": None, "nrows": 1}))
            frame = pd.read_excel(path, engine="openpyxl", **options)
        elif path.suffix == ".json":
            frame = _read_records(path, columns)
        else:
            frame = read_delimited(path, **options)
    if not header:
        if frame.shape[1] != len(columns):
            raise InputError(f"{path}: {frame.shape[1]} columns; expected {len(columns)}: {', '.join(columns)}")
        frame.columns = columns
    return as_sheet(path, frame, columns, blank)


def as_sheet(
    path: Path | str, frame: pd.DataFrame, columns: Sequence[str], blank: Collection[str] = ()
) -> pd.DataFrame:
    """The named columns of a table that was read from `path`, as `read_sheet` gives them. Raises InputError as it
    does."""
    if len(frame) > MOST_ROWS:
        raise InputError(f"{path}: more than {MOST_ROWS:,} rows; no benchmark has so many, replace it from the source")
    require_columns(path, frame, columns)
    for column in columns:
        if nested := [row for row, cell in enumerate(frame[column], start=1) if isinstance(cell, list | dict)]:
            raise InputError(f"{path}: {column} of record {nested[0]} is a list or an object; give text or a number")
    texts = {column: _texts(path, column, frame[column], column in blank) for column in columns}
    return pd.DataFrame(texts).astype(str)


def _texts(path: Path | str, column: str, cells: pd.Series, blank: bool) -> list[str]:
    """A column as text. Raises InputError for the first cell that is empty, if it may not be, or that is not taken."""
    texts = ["" if pd.isna(cell) else str(cell) for cell in cells]
    empty = [row for row, text in enumerate(texts) if not text.strip()]
    if empty and not blank:
        raise InputError(
            f"{path}: {column} is empty in data row {empty[0] + 1} ({len(empty)} such rows); "
            "fill it in or remove the row"
        )
    unfit = [row for row, text in enumerate(texts) if find_fault(text)]
    if unfit:
        text = texts[unfit[0]]
        raise InputError(
            f"{path}: {column} {text[:200]!r} in data row {unfit[0] + 1} {find_fault(text)} "
            f"({len(unfit)} such rows); correct it"
        )
    return texts


def _read_records(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns of JSON records, as far as any record has them. Other columns are not looked at: of records
    that share none, a table of all would have a column for each."""
    document = read_json(path)
    keyed = isinstance(document, dict)
    records = list(document.values()) if keyed else document
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f'{path}: is no list of records; give it as [{{"{columns[0]}": ...}}, ...]')
    if keyed:
        records = [{"key": key, **record} for key, record in document.items()]
    found = list(dict.fromkeys(key for record in records for key in record))
    shown = dict.fromkeys([*found[:12], *(column for column in columns if column in set(found))])
    return pd.DataFrame({column: [record.get(column) for record in records] for column in shown}, dtype=object)


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises InputError where it cannot be parsed, is too large, or has a key twice."""
    check_size(path)
    with parsing(path):
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_record)


def _record(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object. Raises ValueError for a key that stands twice, of which Python keeps the last in silence."""
    if repeated := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise ValueError(f"the key {repeated[0][:200]!r} stands twice")
    return dict(pairs)


def read_delimited(path: Path, **options: Any) -> pd.DataFrame:
    """A .csv or .txt (tabs) file, by pandas with `options`, every row as wide as the first. Raises InputError where it
    is too large or too wide, or has two columns of one name, and what pandas raises."""
    first = first_row(path)
    _check_width(path, len(first))
    if options.get("header", 0) == 0:
        _check_header(path, pd.DataFrame([first]))
    plain = {"sep": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".txt" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows longer than the header
        return pd.read_csv(path, encoding="utf-8-sig", index_col=False, **plain, **options)


def _check_header(path: Path, first: pd.DataFrame) -> None:
    """Raises InputError for a first row that names two columns alike, of which pandas would rename one in silence."""
    counts = Counter(str(name) for name in first.to_numpy().ravel())
    if doubled := [name for name, count in counts.items() if count > 1 and name.strip()]:
        raise InputError(f"{path}: {counts[doubled[0]]} columns are called {doubled[0][:80]!r}; keep one")


def first_row(path: Path) -> list[str]:
    """The cells of the first row of a .csv or .txt (tabs) file; none of an empty one."""
    check_size(path)
    with parsing(path), path.open(encoding="utf-8-sig", newline="") as stream:
        if path.suffix == ".txt":
            return next(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE), [])
        return next(csv.reader(stream), [])


def check_size(path: Path) -> None:
    """Raise InputError for a label file of more than MOST_BYTES, as it is or unpacked: a spreadsheet is a zip, and a
    MATLAB file has compressed parts."""
    size = path.stat().st_size
    if size <= MOST_BYTES and path.suffix == ".xlsx":
        with parsing(path), opened_zip(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    elif size <= MOST_BYTES and path.suffix == ".mat":
        size = sum(_parts_of_mat(path.read_bytes()))
    if size > MOST_BYTES:
        raise InputError(
            f"{path}: {size / 1e6:,.0f} MB unpacked; no benchmark's labels have more than "
            f"{MOST_BYTES / 1e6:,.0f} MB, replace it from the source"
        )


def _parts_of_mat(content: bytes) -> Iterator[int]:
    """The bytes of each top-level element of a MATLAB file (level 5), unpacked, at most one more than MOST_BYTES."""
    order, place = "<" if content[126:128] == b"IM" else ">", 128
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        place += 8
        if kind != 15:  # compressed
            yield min(size, len(content))
        else:
            with contextlib.suppress(zlib.error):  # the parser says so
                yield len(zlib.decompressobj().decompress(content[place : place + size], MOST_BYTES + 1))
        place += size


def _check_width(path: Path, width: int) -> None:
    if width > MOST_COLUMNS:
        raise InputError(
            f"{path}: {width:,} columns; no benchmark's labels have more than {MOST_COLUMNS}, "
            "replace it from the source"
        )


def _check_spreadsheet(path: Path) -> None:
    """Raise InputError for a spreadsheet, a few kB perhaps, of which its reader would make gigabytes: one with a value
    in a far column, to which it fills up every row; with too many cells; or with too many styles and the like."""
    seen: Counter[str] = Counter()
    column = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal column
        kind = name.rpartition(":")[2]
        seen["cells" if kind in CELL_ELEMENTS else "others"] += 1
        if kind == "row":
            column = 0
        elif kind == "c":
            before, column = column, _column_of(attributes.get("r", "")) or column + 1
            seen["filled"] += max(column - before, 1)
        elif kind in ("v", "is"):
            _check_width(path, column)
        for what, most in (
            ("cells", MOST_CELL_ELEMENTS), ("others", MOST_OTHER_ELEMENTS), ("filled", MOST_ROWS * MOST_COLUMNS)
        ):  # fmt: skip
            if seen[what] > most:
                raise InputError(f"{path}: more cells or styles than labels have; replace it from the source")

    with opened_zip(path) as archive:
        for member in archive.infolist():
            parser = expat.ParserCreate()
            parser.StartElementHandler = start
            with archive.open(member) as stream, contextlib.suppress(expat.ExpatError):  # a picture, or damaged
                parser.ParseFile(stream)


def _column_of(reference: str) -> int:
    """The column of a cell such as `B7`, from 1; 0 where the reference says none."""
    number = 0
    for letter in re.sub("[^A-Za-z].*", "", reference[:8]).upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def require_columns(path: Path | str, frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError naming the columns that `frame`, read from `path`, lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = ", ".join(repr(str(column)[:200]) for column in frame.columns[:12])
        raise InputError(f"{path}: missing column {', '.join(missing)}; found {found}")


def to_numbers(path: Path | str, column: str, values: pd.Series) -> pd.Series:
    """MOS as floats, from numbers or text. Raises InputError naming the first that is no finite number, by its row: the
    index of `values`, from 0."""
    texts = values.astype(str).fillna("")
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        shown = repr(texts.iloc[bad[0]][:200]) if texts.iloc[bad[0]] else "empty"
        raise InputError(
            f"{path}: {column} is {shown} in data row {values.index[bad[0]] + 1} ({len(bad)} such rows); "
            "give every row a number or remove the row"
        )
    return numbers


def to_means(path: Path, column: str, ratings: Sequence[object]) -> pd.Series:
    """The mean of each row's ratings, from lists of numbers or text. Raises InputError for a row that has none, and as
    `to_numbers` does."""
    lists = [row if isinstance(row, list) else [] for row in ratings]
    if empty := [number for number, row in enumerate(lists, start=1) if not row]:
        raise InputError(f"{path}: {column} is no list of ratings in data row {empty[0]} ({len(empty)} such rows)")
    rows = [row for row, values in enumerate(lists) for _ in values]
    flat = pd.Series([value for values in lists for value in values], index=rows, dtype=object)
    return to_numbers(path, column, flat).groupby(level=0).mean()


def base_names(paths: pd.Series) -> pd.Series:
    """Image names without the folders, of either slash, that some label files put before them."""
    return paths.str.replace(r"^.*[/\\]", "", regex=True)
