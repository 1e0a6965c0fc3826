"""The tables of the paper's claims and their verdicts, from the suite's claims.json."""

import json
import re
from collections import Counter
from dataclasses import dataclass

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import CLAIMS
from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.report.readings import readings
from mstclipiqa.report.results import Results, ordered
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

FORMATS = {
    "correlation": "{:.4f}",
    "margin": "{:+.4f}",
    "points": "{:+.2f} points",
    "parameters": "{:,.0f}",
    "count": "{:,.0f}",
    "number": "{:.1f}",
    "difference": "{:+.4f}",
    "share": "{:.3f}",
    "per cent": "{:+.1f} %",
}
CONTRADICTED = "contradicted"
UNDECIDED = ("untestable", "not run")
MECHANISM = "mechanism"  # their table is in report/mechanisms

MEASURED = (
    "Measured: mean over runs and 95 % interval; the number links to the predictions. Leakage: share of test images "
    "whose prompt is in training."
)

#: The column of the verdicts that count.
COUNTED = "Claims"


@dataclass(frozen=True)
class ClaimTable(Table):
    """A table of claims, with the title that it is folded under, and whether anything was measured of them."""

    title: str = ""
    decided: bool = True


def read_claims(results: Results) -> dict | None:
    """The suite's claims.json; None where it has none. Raises InputError where it cannot be read."""
    path = CLAIMS.at(results.root)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rules = {entry["verdict"]: entry["rule"] for entry in document["verdicts"]}
        document["readings"]
        return document | {"claims": pd.DataFrame(document["claims"]), "verdicts": rules}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no verdicts ({error}); delete it and run again") from None


def claim_tables(results: Results) -> dict[str, Table]:
    """Every table of the claims by the name the template calls it; none without claims.json."""
    document = read_claims(results)
    if document is None:
        return {}
    rows = document["claims"]
    rows["files"] = rows["files"].map("; ".join)
    offline, untestable = rows["kind"] == "arithmetic", rows["kind"] == "untestable"
    contradicted = rows[offline & (rows["verdict"] == CONTRADICTED)]
    made = {
        "verdicts": verdicts(results, document),
        "contradictions": _printed("claims_contradicted", "Where the paper’s own numbers say otherwise.", contradicted),
        "arithmetic": _printed("claims_arithmetic", "Every claim decided on printed numbers.", rows[offline]),
        "readings": readings(results, document),
        "untestable": _statements(rows[untestable]),
    }
    for group, of_group in rows[~offline & ~untestable & (rows["kind"] != MECHANISM)].groupby("group", sort=False):
        table = _group(results, document, group, of_group)
        made[table.name] = table
    shown = rows.drop(columns=["statement", "reading"]).astype(object).where(rows.notna(), "")
    made["all_claims"] = Table("claims", "Every claim by recipe and protocol.", rows, shown)
    return made


def _recipes(results: Results, document: dict) -> dict[str, str]:
    """Titles of the recipes, those of this suite first."""
    names = ordered(results.manifest, "recipes")
    return {name: document["recipes"][name] for name in dict.fromkeys([*names, *document["recipes"]])
            if name in document["recipes"]}  # fmt: skip


def verdicts(results: Results, document: dict) -> Table:
    """How many claims have which verdict, each counted once; and beside it by each recipe under the like-for-like
    protocol."""
    rows, like = document["claims"], document["like_for_like"]
    recipes = _recipes(results, document)
    measured = rows[(rows["recipe"] != "") & rows["protocol"].isin(["", like["protocol"]])]
    chosen = {COUNTED: rows[rows["counts"]]}
    chosen |= {f"Beside: {title}": measured[measured["recipe"] == name] for name, title in recipes.items()}
    counts = {title: Counter(of_column["verdict"]) for title, of_column in chosen.items()}
    full = pd.DataFrame(
        [
            {"verdict": verdict, "counted": counts[COUNTED][verdict]}
            | {name: counts[f"Beside: {title}"][verdict] for name, title in recipes.items()}
            for verdict in document["verdicts"]
        ]
    )
    shown = [
        {"Verdict": Cell(verdict, rule)} | {title: f"{of_column[verdict]:,}" for title, of_column in counts.items()}
        for verdict, rule in document["verdicts"].items()
    ]
    margins, version = document["margins"], document["rules"][-1]
    return Table(
        "verdicts",
        f"{sum(counts[COUNTED].values()):,} claims, each counted once.",
        full,
        frame_of(shown, ["Verdict", *counts]),
        numeric=tuple(counts),
        notes=[
            f"A claim counts by the recipe and protocol that are most like its source: {recipes[like['recipe']]}, "
            f"{like['protocol']}, {SELECTIONS[document['selection']]}. Other recipes under this protocol stand beside; "
            "other protocols are in the tables below.",
            *_power(rows),
            f"Rules: version {version['version']} of {version['date']}.",
            f"Margins: SRCC ±{margins['srcc']:g}, PLCC ±{margins['plcc']:g}, gains ±{margins['gain']:g} points, "
            f"parameters ±{margins['parameters']:,}. Printed numbers must agree within what rounding can do.",
            "A measured number that is above the claimed one is not reproduced either.",
            f"Under {like['protocol']} the paper tested the same images, so that a rerun differs by training alone: "
            "the noise is that of seeds. Under other protocols it is that of splits, or of images and seeds. A "
            "printed number is one run: its interval is that of one more run.",
        ],
    )


def _power(rows: pd.DataFrame) -> list[str]:
    """A note on how many of the printed margins the evidence that counts could have shown; none without any."""
    orderings = rows[rows["counts"] & (rows["kind"] == "ordering")].dropna(subset=["detectable"])
    if orderings.empty:
        return []
    shown = (orderings["detectable"] <= orderings["printed"].abs()).sum()
    return [
        f"Power: for {shown} of {len(orderings)} orderings measured the printed margin is so large that this evidence "
        f"would show it in 80 % of cases. The median printed margin is {orderings['printed'].abs().median():.4f}, the "
        f"median margin that could have been shown {orderings['detectable'].median():.4f}."
    ]


def number(row: dict, name: str) -> str:
    """A number of a row in its unit; an ordering claims a margin above 0."""
    if pd.isna(row[name]):
        return "> 0" if name == "claimed" and row["unit"] == "margin" else DASH
    return FORMATS[row["unit"]].format(row[name])


def _printed(name: str, caption: str, rows: pd.DataFrame) -> Table:
    """Claims decided on the paper's printed numbers."""
    shown = [
        {
            "Place": row["place"],
            "Claim": row["statement"],
            "Claimed": number(row, "claimed"),
            "Printed numbers give": number(row, "measured"),
            "Verdict": Cell(row["verdict"], row["reason"]),
        }
        for row in rows.to_dict("records")
    ]
    columns = ["Place", "Claim", "Claimed", "Printed numbers give", "Verdict"]
    readings = rows[["group", "reading"]].drop_duplicates().itertuples(index=False)
    return Table(
        name, caption, rows, frame_of(shown, columns), numeric=tuple(columns[2:4]),
        groups=[Cell(group) for group in rows["group"]], grouped_by="Statement",
        notes=[f"{group}: {reading}" for group, reading in readings],
    )  # fmt: skip


def _statements(rows: pd.DataFrame) -> Table:
    shown = [
        {"Place": row["place"], "Claim": Cell(row["statement"], row["reading"]), "Why": row["reason"]}
        for row in rows.to_dict("records")
    ]
    caption = "What could not be turned into a testable claim."
    return Table("claims_untestable", caption, rows, frame_of(shown, ["Place", "Claim", "Why"]))


def _group(results: Results, document: dict, group: str, rows: pd.DataFrame) -> ClaimTable:
    """A row per claim and protocol, with what each recipe measured and its verdict."""
    # Where nothing is decided a grid of dashes says no more than the reasons in the notes.
    told = ~rows["verdict"].isin(UNDECIDED) | rows["measured"].notna()
    decided = bool(told.any())
    recipes = {name: title for name, title in _recipes(results, document).items() if told[rows["recipe"] == name].any()}
    by_claim = [rows["id"], rows["protocol"]]
    kept = rows[told.groupby(by_claim).transform("any")] if decided else rows.drop_duplicates("id")
    shown = []
    for (_, protocol), of_claim in kept.groupby(["id", "protocol"], sort=False):
        row = of_claim.iloc[0].to_dict()
        cells = {("", "Claim"): row["statement"], ("", "Claimed"): number(row, "claimed")}
        if protocol:
            cells["", "Protocol"] = Cell(protocol, SELECTIONS[row["selection"]])
        leakage = of_claim["leakage"].dropna()
        cells["", "Leakage"] = f"{100 * leakage.iloc[0]:.1f} %" if len(leakage) else DASH
        for row in of_claim.to_dict("records"):
            if row["recipe"] in recipes:
                cells[recipes[row["recipe"]], "Measured"] = measured(row)
                cells[recipes[row["recipe"]], "Verdict"] = row["verdict"]
        shown.append(cells)
    columns = [("", "Claim"), ("", "Claimed")]
    columns += [("", name) for name in ("Protocol", "Leakage")] if decided and rows["protocol"].any() else []
    columns += [(title, name) for title in recipes.values() for name in ("Measured", "Verdict") if decided]
    undecided = rows[rows["verdict"].isin(UNDECIDED)]
    reasons = undecided[["verdict", "reason"]].drop_duplicates().itertuples(index=False)
    count = rows["id"].nunique()
    return ClaimTable(
        f"claims_{re.sub(r'[^a-z0-9]+', '_', group.lower()).strip('_')}",
        f"{group}. " + (MEASURED if decided else f"None is decided here: {_why(undecided)}."),
        rows,
        frame_of(shown, columns),
        numeric=tuple(column for column in columns if column[1] in ("Claimed", "Leakage", "Measured")),
        notes=[
            *_left_out(rows, kept),
            *rows["reading"].unique(),
            *(f"{verdict}: {reason}." for verdict, reason in reasons),
        ],
        title=f"{group} ({count} claim{'s' * (count > 1)})",
        decided=decided,
    )


def _left_out(rows: pd.DataFrame, kept: pd.DataFrame) -> list[str]:
    """How many claims the table leaves out because nothing was measured of them under any recipe."""
    count = rows["id"].nunique() - kept["id"].nunique()
    return [f"{count} claims of which nothing was measured are in the file in tables/ alone."] if count else []


def _why(undecided: pd.DataFrame) -> str:
    """The verdicts and reasons of undecided rows, the most frequent first."""
    return "; ".join(f"{verdict} ({reason})" for verdict, reason in
                     undecided[["verdict", "reason"]].value_counts().index)  # fmt: skip


def measured(row: dict) -> Cell:
    """What a row of claims.json measured, with its interval, its runs and links to its files."""
    if pd.isna(row["measured"]):
        return Cell(DASH)
    interval = "" if pd.isna(row["low"]) else f"[{number(row, 'low')}, {number(row, 'high')}]"
    if not pd.isna(row["detectable"]) and row["kind"] in ("ordering", "gain"):
        interval = f"{interval}, could show {number(row, 'detectable').lstrip('+')},"
    runs = f"{row['runs']} run{'s' * (row['runs'] > 1)}" if row["runs"] else ""
    text = number(row, "measured")
    return Cell(text, " ".join(filter(None, [interval, runs])), tuple(filter(None, row["files"].split("; "))))
