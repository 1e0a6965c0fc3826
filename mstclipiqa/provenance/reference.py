"""The reference check: what a suite measured, held against its committed reference.

A reference is a CSV whose changes a reviewer can read: commented lines of what the numbers rest on, a row per run and
selection, and after a line `# table NAME` each, the further tables that the page shows. `check` never writes it;
`bless` does, for a stated reason.
"""

import io
from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError, MstclipiqaError
from mstclipiqa.base.files import write_text
from mstclipiqa.base.layout import INTERVALS
from mstclipiqa.provenance.changes import WHO_AND_WHY, Comparison, compare
from mstclipiqa.provenance.faults import find_faults
from mstclipiqa.provenance.measurement import COLUMNS, KEYS, METRICS, TABLES, Measurement, measure

#: The line that a further table begins with.
TABLE = "# table "


def read_reference(path: Path) -> Measurement:
    """Read what `write_reference` wrote. Raises InputError where there is none, or where it is another file.

    Its further tables hold text, as they stand there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such reference; write it with `mstclipiqa bless --results ...`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it from git") from None
    first, *further = text.split(f"\n{TABLE}")
    heading = [line for line in first.splitlines() if line.startswith("# ")]
    facts = dict(line.removeprefix("# ").partition(": ")[::2] for line in heading)
    try:
        rows = pd.read_csv(io.StringIO(first), skiprows=len(heading))
        if list(rows) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(map(str, rows))}")
        rows = rows.astype({"split": int, "seed": int, "epoch": int, "n": int, **dict.fromkeys(METRICS, float)})
        tables = dict(map(_read_table, further))
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a reference ({reason}); restore it from git, or bless a new one") from None
    twice = [name for name, table in tables.items() if table.duplicated(TABLES[name]).any()]
    if rows.duplicated(KEYS).any() or rows.isna().any(axis=None) or twice or len(tables) < len(further):
        raise InputError(f"{path}: a run stands twice or has no number; restore it from git, or bless a new one")
    return Measurement(facts, rows, tables)


def _read_table(text: str) -> tuple[str, pd.DataFrame]:
    """A further table by its name. Raises ValueError for an unknown one, and one without the columns of its name."""
    name, _, body = text.partition("\n")
    table = pd.read_csv(io.StringIO(body), dtype=str, keep_default_na=False)
    if name not in TABLES or not set(TABLES[name]) <= set(table):
        raise ValueError(f"a table {name} of columns {', '.join(map(str, table))}")
    return name, table


def write_reference(path: Path, measured: Measurement, by: str, reason: str) -> None:
    """Write `measured` as the reference: facts as commented lines, then the rows and tables, numbers to six decimals.

    Raises InputError where a reason or a name is not one line of text.
    """
    facts = dict(zip(WHO_AND_WHY, (by, reason), strict=True))
    for name, value in facts.items():
        if not value.strip() or len(value.splitlines()) > 1:
            raise InputError(f"{name}: {value!r}; give one line of text")
    heading = "".join(f"# {name}: {value}\n" for name, value in {**facts, **measured.facts}.items())
    tables = "".join(f"{TABLE}{name}\n{_csv(table)}" for name, table in measured.tables.items())
    write_text(path, heading + _csv(measured.rows) + tables)


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.6f", lineterminator="\n")


# The check


def check_suite(results: Path, reference: Path, workers: int = 1) -> tuple[Measurement, Comparison]:
    """Measure the suite in the folder `results`, and compare it with the reference in the file `reference`, by so many
    processes."""
    expected, measured = read_reference(reference), measure(results)
    comparison = _compare(results, expected, measured)
    return measured, Comparison(find_faults(results, measured.rows, workers) + comparison.failures, comparison.notes)


def _compare(results: Path, expected: Measurement, measured: Measurement) -> Comparison:
    intervals, _ = INTERVALS.read(INTERVALS.at(results))
    return compare(expected, measured, intervals)


def prepare_reference(results: Path, reference: Path, workers: int = 1) -> tuple[Measurement, str]:
    """What a suite measured, to become the reference, and what that changes, in words, by so many processes.

    Raises MstclipiqaError for faults that no reference may hold.
    """
    measured = measure(results)
    if faults := find_faults(results, measured.rows, workers):
        raise MstclipiqaError(f"{faults[0]} ({len(faults)} faults); no reference may hold that, mend it and run again")
    if not reference.exists():
        return measured, f"{reference}: the first reference, {len(measured.rows)} rows"
    try:
        expected = read_reference(reference)
    except InputError as error:  # of an earlier version, or damaged: that is why a new one is blessed
        return measured, f"{error}\n{reference}: a new reference, {len(measured.rows)} rows"
    return measured, str(_compare(results, expected, measured))
