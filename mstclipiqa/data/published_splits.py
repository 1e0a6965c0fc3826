"""Splits that somebody has published, as files: the protocols `file-NAME`."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.names import TEST, TRAIN, UNUSED, VAL
from mstclipiqa.base.text import printable
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.label_files import first_row, read_delimited

#: Where published splits lie, relative to the checkout: NAME.csv for the protocol file-NAME, with the columns
#: benchmark, image (as in the label file), split (from 0) and role (train, val, test).
SPLIT_FILES = Path("config/splits")
SPLIT_COLUMNS = ["benchmark", "image", "split", "role"]

#: Roles of every sample, in the samples' order.
Roles = np.ndarray


def published_splits(samples: pd.DataFrame, name: str, card: Mapping[str, Any]) -> Iterator[Roles]:
    """The splits of config/splits/<name>.csv, in the order of their numbers; none where the file has no row of this
    benchmark. The card says which images with labels are excluded, and why.

    Raises InputError for a file that is missing or not of the format; a benchmark, role or image that is unknown; an
    image that is not used, or stands twice in one split; and splits that are not numbered from 0, one after another.
    """
    path = SPLIT_FILES / f"{name}.csv"
    table = read_published(path)
    yield from check_published(path, table[table["benchmark"] == samples["benchmark"].iloc[0]], samples, card)


def check_published(path: Path, table: pd.DataFrame, samples: pd.DataFrame, card: Mapping[str, Any]) -> Iterator[Roles]:
    """The splits of a table of SPLIT_COLUMNS, as text, whose rows are all of the samples' benchmark. Raises InputError
    as `published_splits` does."""
    excluded, known = card.get("excluded") or {}, set(samples["image"])
    unused = table[table["image"].isin(excluded)]
    if len(unused):
        image, split = unused.iloc[0][["image", "split"]]
        raise InputError(
            f"{path}: image {image!r} of split {split} is excluded by the reader ({len(unused)} such rows), because of "
            f"{excluded[image]}; take it out"
        )
    strange = table[~table["image"].isin(known)]
    if len(strange):
        image, split = strange.iloc[0][["image", "split"]]
        raise InputError(f"{path}: image {image!r} of split {split} is unknown ({len(strange)} such rows); mend it")
    _refuse_unknown(path, table, "role", [TRAIN, VAL, TEST])
    strange = table.loc[~table["split"].str.fullmatch("0|[1-9][0-9]{0,5}"), "split"]
    numbers = sorted(set(table["split"]), key=lambda number: (len(number), number))
    if len(strange) or numbers != [str(number) for number in range(len(numbers))]:
        shown = ", ".join(map(repr, list(dict.fromkeys([*strange, *numbers]))[:3]))
        raise InputError(f"{path}: splits are numbered from 0, one after another, not {shown}; mend it")
    twice = table[table.duplicated(["split", "image"])]
    if len(twice):
        image, split = twice.iloc[0][["image", "split"]]
        raise InputError(f"{path}: {image!r} stands twice in split {split} ({len(twice)} such rows); mend it")
    for number in numbers:
        roles = table[table["split"] == number].set_index("image")["role"]
        yield roles.reindex(samples["image"]).fillna(UNUSED).to_numpy(dtype=object)


def read_published(path: Path) -> pd.DataFrame:
    """The rows of a published split as text. Raises InputError where it is missing or not of the format."""
    try:
        header = first_row(path)
        if header != SPLIT_COLUMNS:
            shown = printable(", ".join(header)[:200])
            raise InputError(f"{path}: has the columns {shown}; give {', '.join(SPLIT_COLUMNS)}")
        table = read_delimited(path, dtype=str, keep_default_na=False)
    except PermissionError:
        raise no_rights(path) from None
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({reason}); protocol file-{path.stem} is this file") from None
    _refuse_unknown(path, table, "benchmark", sorted(BENCHMARKS))
    return table.fillna("")


def _refuse_unknown(path: Path, table: pd.DataFrame, column: str, known: Collection[str]) -> None:
    strange = table.loc[~table[column].isin(known), column]
    if len(strange):
        listed = f"; known: {', '.join(known)}" if isinstance(known, list) else ""
        raise InputError(f"{path}: {column} {strange.iloc[0]!r} is unknown ({len(strange)} such rows); mend it{listed}")
