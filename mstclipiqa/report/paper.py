"""What the paper says: its printed numbers, what each of its tables compares, and the gains it states."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mstclipiqa.base.documents import SCHEMAS, read_yaml, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import MODELS, TARGETS
from mstclipiqa.data.prior_results import COLUMNS, read_prior_results
from mstclipiqa.model.variants import OWN, PROMPT, VARIANTS

PAPER = "arXiv 2606.16799v1"
#: The model of prior work that the paper states its gains over.
BEST_RIVAL = "LIQE"

#: MST-CLIPIQA* with other prompts than an image's own, or none.
OTHER_PROMPTS = [
    name
    for name, variant in VARIANTS.items()
    if variant.head == PROMPT and variant.fusion == VARIANTS[MODELS[1]].fusion and variant.prompts != OWN
]
#: Of these, the one whose prompt says the same.
TRANSLATION = "star-translated"
#: Variants of ours that the paper lacks: controls of its model.
CONTROLS = ("fixed-gate", "mlp", "twin", "twin-fine", *OTHER_PROMPTS)

PRINTED = ["table", "method", "benchmark", "target", "metric", "value"]


@dataclass(frozen=True)
class Paper:
    """`printed` holds the numbers of paper_tables.csv, `claims` the document claims.yaml, `prior` the rows of
    prior_results.csv. Each may be empty.

    Without the printed numbers, no row shows them and tables of results have the benchmarks that were run. Without the
    claims, the ablation tables of the paper are left out, and without the rows of others the atlas. The gains that the
    paper states need both.
    """

    printed: pd.DataFrame
    claims: dict
    prior: pd.DataFrame

    def table_of(self, target: str) -> tuple[str, list[str]]:
        """The paper's table of this target alone, and its benchmarks in order; ("", []) without printed numbers."""
        for table, rows in self.printed.groupby("table", sort=False):
            if set(rows["target"]) == {target}:
                return table, list(rows["benchmark"].unique())
        return "", []

    @property
    def variants(self) -> dict[str, dict[str, str]]:
        """By table of the claims, the variants it compares, in its order, with the paper's name for each."""
        tables = self.claims.get("tables", {}).items()
        return {table: {variant: method for method, variant in entry["methods"].items()} for table, entry in tables}

    @property
    def ablations(self) -> dict[str, tuple[str, dict[str, str]]]:
        """By table that compares more than the paper's two models: its title and its variants."""
        return {
            table: (self.claims["tables"][table]["title"], variants)
            for table, variants in self.variants.items()
            if not set(variants) <= set(MODELS)
        }

    @property
    def gains(self) -> dict[tuple[str, str], float]:
        """The stated gains over BEST_RIVAL by target and variant: points of SRCC, mean over benchmarks."""
        rules = [statement["rule"].get("gain") for statement in self.claims.get("statements", [])]
        stated = {(rule["table"], rule["ours"]): rule for rule in rules if rule and rule["over"] == [BEST_RIVAL]}
        tables = {target: self.table_of(target)[0] for target in TARGETS}
        return {
            (target, variant): stated[table, method]["claimed"]["srcc"]
            for target, table in tables.items()
            for variant, method in self.variants.get(table, {}).items()
            if (table, method) in stated
        }


def read_paper(
    paper_tables: Path | None = None, claims: Path | None = None, prior_results: Path | None = None
) -> Paper:
    """What is given of paper_tables.csv, claims.yaml and prior_results.csv. Raises InputError where one is missing or
    malformed."""
    document = read_yaml(claims) if claims else {}
    if claims:
        validate(document, SCHEMAS / "claims.schema.yaml", claims)
    prior = read_prior_results(prior_results) if prior_results else pd.DataFrame(columns=COLUMNS)
    return Paper(_read_printed(paper_tables), document, prior)


def _read_printed(path: Path | None) -> pd.DataFrame:
    if path is None:
        return pd.DataFrame(columns=PRINTED)
    try:
        return pd.read_csv(path)[PRINTED]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the paper's printed numbers or leave them out") from None
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: not a table of printed numbers ({error}); restore it") from None
