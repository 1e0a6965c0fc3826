"""Tables of a results folder from the columns that a test is about."""

from collections.abc import Iterable, Mapping

import pandas as pd

from mstclipiqa.base.layout import FLAG, NUMBER, TEXT, WHOLE, ResultsFile
from mstclipiqa.report.table import Table

NEUTRAL = {TEXT: "-", WHOLE: 0, NUMBER: float("nan"), FLAG: False}


def table_of(entry: ResultsFile, rows: Iterable[Mapping] | pd.DataFrame = ()) -> pd.DataFrame:
    """The rows with all columns that `entry` says its table has; those not given hold nothing of note."""
    given = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows))
    columns = {name: given.get(name, NEUTRAL[kind]) for name, kind in entry.columns.items()}
    return pd.DataFrame(columns, index=given.index)


def rows_of(table: Table, heading: str) -> pd.DataFrame:
    """The rows of a group of a table, by their first column."""
    chosen = [group.text == heading for group in table.groups]
    return table.shown[chosen].set_index(table.shown.columns[0])
