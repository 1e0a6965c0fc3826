"""Label files: found by name, read as text, numbers checked."""

import contextlib
import csv
import json
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import list_files

#: What a label file may have, unpacked. The largest of the benchmarks has 20,000 rows in 3 MB.
MOST_ROWS, MOST_BYTES = 100_000, 2**28


def find_label_file(root: Path, *patterns: str) -> Path | None:
    """The one file under `root` whose name matches the first pattern that matches any; None if none does.

    Raises InputError where one pattern matches several files.
    """
    for pattern in patterns:
        found = list_files(root, pattern)
        if len(found) > 1:
            listed = ", ".join(str(path.relative_to(root)) for path in found)
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
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path}: cannot be read ({reason}); replace it from the source") from error


def read_sheet(path: Path, columns: Sequence[str], header: bool = True) -> pd.DataFrame:
    """The named columns of a label file: .xlsx (first sheet), .csv, .txt (tabs) or .json (records; where these are
    keyed, by image for instance, the keys are the column `key`).

    Every cell is text, so that a prompt that reads `NA` or `1984` stays what it is; numbers go through
    `to_numbers`. Without a header row `columns` names all columns in their order.
    Raises InputError where the file cannot be parsed, is too large, lacks a column, or has an empty cell in one.
    """
    options = {"header": 0 if header else None, "dtype": str, "keep_default_na": False, "nrows": MOST_ROWS + 1}
    _check_size(path)
    with parsing(path), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows longer than the header
        if path.suffix == ".xlsx":
            frame = pd.read_excel(path, engine="openpyxl", **options)
        elif path.suffix == ".json":
            document = json.loads(path.read_text(encoding="utf-8-sig"))
            if isinstance(document, dict):
                document = [{"key": key, **record} for key, record in document.items()]
            frame = pd.DataFrame(document, dtype=object)
        else:
            plain = {"sep": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".txt" else {}
            frame = pd.read_csv(path, encoding="utf-8-sig", index_col=False, **plain, **options)
    if len(frame) > MOST_ROWS:
        raise InputError(f"{path}: more than {MOST_ROWS:,} rows; no benchmark has so many, replace it from the source")
    if not header:
        if frame.shape[1] != len(columns):
            raise InputError(f"{path}: {frame.shape[1]} columns; expected {len(columns)}: {', '.join(columns)}")
        frame.columns = columns
    require_columns(path, frame, columns)
    frame = frame[list(columns)].astype(object)
    frame = frame.where(frame.notna(), "").astype(str)
    for column in columns:
        empty = np.flatnonzero(frame[column].str.strip() == "")
        if len(empty):
            raise InputError(
                f"{path}: {column} is empty in data row {empty[0] + 1} ({len(empty)} such rows); "
                "fill it in or remove the row"
            )
    return frame


def _check_size(path: Path) -> None:
    """Raise InputError for a label file that would not fit into memory. A spreadsheet is a zip."""
    size = path.stat().st_size
    if path.suffix == ".xlsx":
        with parsing(path), zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    if size > MOST_BYTES:
        raise InputError(
            f"{path}: {size / 1e6:,.0f} MB unpacked; no benchmark's labels have more than "
            f"{MOST_BYTES / 1e6:,.0f} MB, replace it from the source"
        )


def require_columns(path: Path, frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError naming the columns that `frame`, read from `path`, lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = ", ".join(map(repr, frame.columns[:12]))
        raise InputError(f"{path}: missing column {', '.join(missing)}; found {found}")


def to_numbers(path: Path, column: str, values: pd.Series) -> pd.Series:
    """MOS as floats, from numbers or text. Raises InputError naming the first that is no finite number."""
    texts = values.astype(str).fillna("")
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        shown = repr(texts.iloc[bad[0]]) if texts.iloc[bad[0]] else "empty"
        raise InputError(
            f"{path}: {column} is {shown} in data row {bad[0] + 1} ({len(bad)} such rows); "
            "give every row a number or remove the row"
        )
    return numbers


def base_names(paths: pd.Series) -> pd.Series:
    """Image names without the folders, of either slash, that some label files put before them."""
    return paths.str.replace(r"^.*[/\\]", "", regex=True)
