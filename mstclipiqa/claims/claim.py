"""What a claim is, and the paper that it is of: its document, its printed numbers, what others published.

A claim about numbers is a set of contrasts: weighted sums of numbers that the paper prints for a method and that runs
measure for the variant that stands for it.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError

METRICS = ("srcc", "plcc")

#: A printed correlation is off by up to half of its last digit, a printed gain (in points) too.
ROUNDING = 0.5e-4
POINTS_ROUNDING = 0.5e-2

AVERAGE = "average"
#: The paper's features and prompt states: ViT-B's embedding size and text width.
DIM = 512


@dataclass(frozen=True)
class Term:
    """A printed number with its weight, and the (variant, benchmark, target, share) whose runs stand for it: none for
    a rival of prior work, several for an average."""

    weight: float
    printed: float
    runs: tuple[tuple[str, str, str, float], ...]


@dataclass(frozen=True)
class Contrast:
    """A weighted sum, and the rival or the target that it is held against. `ahead` is the method that is claimed to do
    better than that rival."""

    label: str
    terms: tuple[Term, ...]
    ahead: str = ""

    @property
    def printed(self) -> float:
        """Its value on the paper's printed numbers."""
        return sum(term.weight * term.printed for term in self.terms)


@dataclass(frozen=True)
class Claim:
    """One claim. `kind` is number, gain, ordering, parameters, mechanism, arithmetic or untestable.

    `differs` says of a printed number of another method why the variant that stands for it is not that method; such a
    claim gets no verdict, and counts nowhere.

    The least of its `contrasts` is what is claimed to be `claimed`, or above 0 where that is None. `count` says which
    parameters are counted, `rule` how a mechanism is judged, by the kind of rule. `found` is
    (measured, verdict, reason) of a claim that no run is needed for.
    """

    id: str
    kind: str
    group: str
    place: str
    statement: str
    reading: str
    unit: str
    claimed: float | None = None
    metric: str = ""
    margin: float = 0.0
    contrasts: tuple[Contrast, ...] = ()
    count: dict = field(default_factory=dict)
    rule: dict = field(default_factory=dict)
    found: tuple[float | None, str, str] | None = None
    differs: str = ""

    @property
    def number(self) -> float:
        """What is claimed, of a claim of a number."""
        assert self.claimed is not None, f"{self.id} claims no number"
        return self.claimed


@dataclass(frozen=True)
class Paper:
    """claims.yaml, the printed numbers by (table, method, benchmark, target, metric), and what others published."""

    document: dict
    numbers: dict[tuple[str, str, str, str, str], float]
    prior: pd.DataFrame
    source: Path

    def value(self, table: str, method: str, column: tuple[str, str], metric: str) -> float | None:
        return self.numbers.get((table, method, *column, metric))

    def number(self, table: str, method: str, column: tuple[str, str], metric: str) -> float:
        """As `value`. Raises InputError where the number is not printed."""
        printed = self.value(table, method, column, metric)
        if printed is None:
            raise InputError(f"{self.source}: no number for {table}, {method}, {'/'.join(column)}, {metric}")
        return printed

    def variant(self, table: str, method: str) -> str | None:
        return self.document["tables"].get(table, {}).get("methods", {}).get(method)

    def methods(self, table: str) -> list[str]:
        """Every method of a table, rivals included, in its order."""
        return list(dict.fromkeys(method for name, method, *_ in self.numbers if name == table))

    def rivals(self, table: str, column: tuple[str, str], metric: str) -> list[str]:
        """The methods of prior work that a table has a number of."""
        methods = (method for method in self.methods(table) if self.variant(table, method) is None)
        return [method for method in methods if self.value(table, method, column, metric) is not None]

    def columns(self, table: str) -> list[tuple[str, str]]:
        """The (benchmark, target) columns of a table in its order, averages included."""
        return list(dict.fromkeys((b, t) for name, _, b, t, _ in self.numbers if name == table))

    def parts(self, table: str, column: tuple[str, str]) -> list[tuple[str, str]]:
        """The columns that a column is the average of, or itself."""
        if column[0] != AVERAGE:
            return [column]
        return [tuple(part.split("/")) for part in self.document["tables"][table]["average"]]

    def term(self, weight: float, table: str, method: str, column: tuple[str, str], metric: str) -> Term:
        """Raises InputError where the number is not printed."""
        printed = self.number(table, method, column, metric)
        variant, parts = self.variant(table, method), self.parts(table, column)
        return Term(weight, printed, tuple((variant, *part, 1 / len(parts)) for part in parts) if variant else ())
