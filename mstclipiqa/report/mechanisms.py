"""The table of what the paper says of how its models work, and of the rival that it did not train."""

from mstclipiqa.report.claims import MECHANISM, ClaimTable, measured, number, read_claims
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

COLUMNS = ["Claim", "Claimed", "Recipe", "Measured", "Verdict"]


def mechanism_tables(results: Results) -> dict[str, Table]:
    """A row per claim and outcome, with the recipes that share it; none without claims.json."""
    document = read_claims(results)
    if document is None:
        return {}
    rows = document["claims"]
    rows = rows[rows["kind"] == MECHANISM].assign(files=rows["files"].map("; ".join))
    shown, groups = [], []
    outside = rows["reason"].str.startswith("recipe ")  # recipes that the suite leaves out
    for _, alike in rows[~outside].groupby(["id", "verdict", "measured"], sort=False, dropna=False):
        row = alike.iloc[0].to_dict()
        recipes = [document["recipes"][name] for name in alike["recipe"] if name]
        shown.append(
            {
                "Claim": row["statement"],
                "Claimed": number(row, "claimed"),
                "Recipe": ", ".join(recipes) or DASH,
                "Measured": measured(row),
                "Verdict": Cell(row["verdict"], "; ".join(alike["reason"].unique())),
            }
        )
        groups.append(Cell(row["group"]))
    readings = rows[["group", "reading"]].drop_duplicates().itertuples(index=False)
    table = ClaimTable(
        "claims_mechanisms",
        "What the paper says of how its models work, held against what is measured beside the runs.",
        rows,
        frame_of(shown, COLUMNS),
        numeric=("Claimed", "Measured"),
        groups=groups,
        grouped_by="Statement",
        notes=[f"{group}: {reading}" for group, reading in readings],
        title=f"How the models work, and the rival without training ({rows['id'].nunique()} claims)",
    )
    return {table.name: table} if len(rows) else {}
