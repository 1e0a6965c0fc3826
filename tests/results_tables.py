"""Tables of a results folder from the columns that a test is about."""

from collections.abc import Iterable, Mapping

import pandas as pd

from mstclipiqa.base.layout import FLAG, NUMBER, TEXT, WHOLE, ResultsFile

NEUTRAL = {TEXT: "-", WHOLE: 0, NUMBER: float("nan"), FLAG: False}


def table_of(entry: ResultsFile, rows: Iterable[Mapping] | pd.DataFrame = ()) -> pd.DataFrame:
    """The rows with all columns that `entry` says its table has; those not given hold nothing of note."""
    given = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows))
    columns = {name: given.get(name, NEUTRAL[kind]) for name, kind in entry.columns.items()}
    return pd.DataFrame(columns, index=given.index)
