"""What others have published on the benchmarks: `config/prior_results.csv`, a row per method, target and source.

Facts and figures alone, each with its source and its protocol in words. Numbers of different protocols do not compare.
"""

import re
from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.names import TARGETS

#: What a row counts as.
STANDINGS = {
    "paper": "printed by the paper itself, or by its authors' code",
    "elsewhere": "published elsewhere",
    "later": "first published after the paper",
    "doubted": "its own source or protocol gives a reason not to trust it",
}
NUMBERS = ["srcc", "plcc", "krcc"]
NAMED = ["benchmark", "target", "method", "source", "protocol"]
COLUMNS = ["benchmark", "target", "method", *NUMBERS, "standing", "split", "protocol", "source"]

#: What a value must match, by column, where not every text will do. `split` is the protocol of this project that a row
#: is known to be of, if any. Correlations may be left out, SRCC may not.
_NUMBER = r"-?(0\.\d+|0|1|1\.0+)"
PATTERNS = {
    "benchmark": r"[a-z0-9-]+",
    "target": "|".join(TARGETS),
    "srcc": _NUMBER,
    "plcc": f"({_NUMBER})?",
    "krcc": f"({_NUMBER})?",
    "standing": "|".join(STANDINGS),
    "split": r"(lab-seed\d+)?",
}
REMEDY = "mend the row, or restore the file"


def read_prior_results(path: Path | str) -> pd.DataFrame:
    """The published results: COLUMNS, correlations as numbers, NaN where none is given.

    Raises InputError, which names file and row (the header is row 1), for a value that cannot be, and for a result that
    stands twice.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; restore it") from None
    except PermissionError:
        raise no_rights(path) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a table ({' '.join(str(error).split())}); restore it") from None
    if list(table.columns) != COLUMNS:
        raise InputError(f"{path}: has the columns {', '.join(table.columns)}, not {', '.join(COLUMNS)}; restore it")
    for column in COLUMNS:
        pattern = re.compile(PATTERNS.get(column, r"\S.*"))
        for row, value in enumerate(table[column], start=2):
            if not pattern.fullmatch(value):
                raise InputError(f"{path}: row {row}: {column} {value!r} cannot be; {REMEDY}")
    repeated = table.index[table.duplicated(NAMED)]
    if len(repeated):
        raise InputError(f"{path}: row {repeated[0] + 2}: stands twice; {REMEDY}")
    return table.assign(**{name: pd.to_numeric(table[name]) for name in NUMBERS})


def of_target(prior: pd.DataFrame, benchmark: str, target: str, ours: list[str]) -> pd.DataFrame:
    """The rows on one benchmark and target of methods other than `ours`, the highest SRCC first; no doubted ones."""
    chosen = (prior["benchmark"] == benchmark) & (prior["target"] == target) & (prior["standing"] != "doubted")
    return prior[chosen & ~prior["method"].isin(ours)].sort_values("srcc", ascending=False, kind="stable")
