"""The page's first screen: the headline claims as cards, and what is found without any measurement."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mstclipiqa.base.layout import EFFICIENCY
from mstclipiqa.base.names import ENTERED, STAND_IN
from mstclipiqa.base.words import in_words
from mstclipiqa.report.claims import CONTRADICTED, UNDECIDED, read_claims
from mstclipiqa.report.contrasts import found_in_short
from mstclipiqa.report.paper import BEST_RIVAL
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import span

#: What decides a row of claims.json, in this order; COUNTED are parameters and operations.
PRINTED, COUNTED, RUNS = SOURCES = ("Printed numbers", "Counted here", "Runs here")
#: How the reason begins that says which encoders a claim was measured with, and how a card says it.
MEASURED_WITH, OTHER_ENCODERS = "measured with ", "the encoders are not the paper’s"

#: The verdicts, the gravest first: a card shows the gravest that one of its claims has.
GRAVITY = (
    CONTRADICTED,
    "not reproduced",
    "inconclusive",
    "direction only",
    "reproduced",
    "consistent",
    *UNDECIDED,
)


@dataclass(frozen=True)
class Card:
    """A headline claim: what is claimed, the gravest verdict, what each source says, and one line of evidence."""

    title: str
    claimed: str
    verdict: str
    found: list[tuple[str, str]]
    evidence: str


def cards(results: Results) -> list[Card]:
    """A card per entry of the claims' `headline`; none without the claims or without claims.json."""
    document = read_claims(results)
    if document is None or not results.paper.claims:
        return []
    rows = document["claims"]
    rows = rows[rows["counts"]].assign(of=rows["id"].str.partition("/")[0])
    statements = {entry["id"]: entry["statement"] for entry in results.paper.claims["statements"]}
    real, _ = results.parted()
    return [
        _card(entry["title"], statements[entry["statements"][0]], of_card, found_in_short(real, entry.get("asks", "")))
        for entry in results.paper.claims["headline"]
        if len(of_card := rows[rows["of"].isin(entry["statements"])])
    ]


def source_of(kind: str, files: Sequence[str]) -> str:
    """What decides a row of claims.json, by its kind and the files that it rests on."""
    if kind == "arithmetic":
        return PRINTED
    return COUNTED if kind == "parameters" or list(files) == [EFFICIENCY.path] else RUNS


def _sources(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(map(source_of, rows["kind"], rows["files"]), rows.index, dtype=object)


def _card(title: str, claimed: str, rows: pd.DataFrame, on_real: list[tuple[str, str]]) -> Card:
    source = _sources(rows)
    found = [(name, _found(rows[source == name])) for name in SOURCES if (source == name).any()]
    grave = rows[rows["verdict"] == _gravest(rows)]
    # The row that is furthest from what is claimed; points are hundredths.
    off = (grave["measured"].astype(float) - grave["claimed"].astype(float).fillna(0)).abs()
    row = grave.loc[(off / grave["unit"].map({"points": 100}).fillna(1)).fillna(-1).idxmax()]
    return Card(title, claimed, row["verdict"], found + on_real, f"{row['statement']} Found: {row['reason']}.")


def _gravest(rows: pd.DataFrame) -> str:
    return min(rows["verdict"], key=GRAVITY.index)


def _found(rows: pd.DataFrame) -> str:
    """The gravest verdict of some rows and how many have it; why, where none is decided."""
    verdict = _gravest(rows)
    same = rows[rows["verdict"] == verdict]
    number_of = f"{verdict}, {len(same)} of {len(rows)}" if len(rows) > 1 else verdict
    if verdict not in UNDECIDED:
        return number_of
    of_real = same[same["reason"] != STAND_IN]
    ((reason, _),) = Counter((same if of_real.empty else of_real)["reason"]).most_common(1)
    return f"{verdict} ({OTHER_ENCODERS if reason.startswith(MEASURED_WITH) else reason})"


def answers(results: Results) -> list[tuple[str, str]]:
    """What is claimed, what is found, on which data, and how sure that is: a question and its answer each."""
    document = read_claims(results)
    made = [("Claimed", results.paper.claims["claim"])] if results.paper.claims else []
    if document is not None:
        rows = document["claims"][document["claims"]["counts"]]
        made.append(("Found", _found_by_source(rows)))
    made.append(("Data", _data(results)))
    if document is not None:
        made.append(("How sure", _how_sure(results, rows)))
    return made


def _found_by_source(rows: pd.DataFrame) -> str:
    """How many claims each source decides, and how."""
    decided = rows[~rows["verdict"].isin(UNDECIDED)]
    source = _sources(decided)
    told = []
    for name, what in zip(
        SOURCES, ("its own printed numbers", "Counts of parameters and operations", "Runs here"), strict=True
    ):
        of_source = decided[source == name]
        counts = ", ".join(
            f"{number} {verdict}" for verdict in GRAVITY if (number := int((of_source["verdict"] == verdict).sum()))
        )
        told.append(f"{what} test {len(of_source) or 'none'}" + (f": {counts}" if counts else ""))
    return f"Of the paper’s {len(rows)} claims, {'. '.join(told)}."


def _data(results: Results) -> str:
    """What is measured here: benchmarks with their images, runs, encoders."""
    real, drawn = results.parted()
    images = ", ".join(
        f"{results.title('benchmarks', name)} ({card['images']:,} images)" for name, card in real.cards.items()
    )
    identities = results.manifest["encoders"].values()
    labels = "; ".join(identity["label"] for identity in identities)
    if identities and all(identity.get("weights") == "embedded" for identity in identities):
        models = in_words([identity["model"] for identity in identities])
        labels = f"{models}, small ones of this project that learned from drawn images"
    entered = int((real.metrics["recipe"] == ENTERED).sum())  # one selection each
    present = f"{len(real.cards)} of {len(results.benchmarks)} benchmarks present, {real.run_count} runs" + (
        f" ({entered} of entered scores)" if entered else ""
    )
    kind = "drawn images and simulated raters" if real.synthetic else "rated by people"
    apart = (
        f" Drawn stand-ins for {len(drawn.cards)} more show that the harness runs, and decide nothing." if drawn else ""
    )
    return f"{present}: {images}, {kind}. Encoders: {labels}.{apart}" if images else f"{present}."


def _how_sure(results: Results, rows: pd.DataFrame) -> str:
    """What each kind of evidence is worth, and why the rest is open."""
    runs = rows[_sources(rows) == RUNS]
    decided = runs[~runs["verdict"].isin(UNDECIDED)]
    sure = "Printed numbers and counts need no data and are exact. "
    if len(decided):
        return f"{sure}Measured numbers stand with 95 % intervals; {len(runs) - len(decided)} claims are left open."
    why = "no image of a benchmark was used" if set(results.cards) <= set(results.synthetic) else OTHER_ENCODERS
    return f"{sure}No run here tests a printed number ({why}), so {len(runs)} claims on measured numbers stay open."


def findings(results: Results) -> list[str]:
    """What is found from the paper's numbers, from what others published, from counts and from the label files."""
    document = read_claims(results)
    if document is None:
        return []
    rows = document["claims"][document["claims"]["counts"]]
    like = document["like_for_like"]
    made = [_gains(rows), _parameters(document), _leakage(results, like["protocol"]), _rival(results, rows)]
    return [finding for finding in made if finding]


def _gains(rows: pd.DataFrame) -> str:
    gains = rows[(rows["kind"] == "arithmetic") & (rows["unit"] == "points")]
    wrong = gains[gains["verdict"] == CONTRADICTED]
    if wrong.empty:
        return ""
    pairs = [f"{row.claimed:.2f} and {row.measured:.2f}" for row in wrong.itertuples() if row.metric == "srcc"]
    how_many = f"All {len(gains)}" if len(wrong) == len(gains) else f"{len(wrong)} of the {len(gains)}"
    return (
        f"{how_many} gains that the text states differ from those of the paper’s own tables. In points of SRCC, stated "
        f"and recomputed: {'; '.join(pairs)}."
    )


def _parameters(document: dict) -> str:
    rows = document["claims"]
    rows = rows[rows["counts"] & (rows["kind"] == "parameters") & (rows["claimed"] == 8e5)]
    if rows.empty:
        return ""
    counted = " and ".join(f"{row.measured / 1e6:.2f} M" for row in rows.itertuples())
    recipe = document["recipes"][rows["recipe"].iloc[0]]
    return f"{counted} parameters are trained, without and with the prompt ({recipe}); the paper says about 0.8 M."


def _leakage(results: Results, protocol: str) -> str:
    """The share of test images whose prompt is in training too; drawn images say nothing of it."""
    real = {name: splits for name, splits in results.splits.items() if name not in results.synthetic}
    shares = pd.Series(
        {
            results.title("benchmarks", name): 100 * split["test_images_with_prompt_in_train"] / split["test"]
            for name, splits in real.items()
            for split in splits["protocols"].get(protocol, [])[:1]
        },
        dtype=float,
    )
    if shares.empty:
        return ""
    parts = ", ".join(f"{name} {share:.0f} %" for name, share in shares.items())
    return f"Test images whose prompt was also in training under {protocol}: {parts}."


def _rival(results: Results, rows: pd.DataFrame) -> str:
    """How far the SRCC of the best rival spreads over published splits, beside the gains over it."""
    prior = results.paper.prior
    prior = prior[(prior["method"] == BEST_RIVAL) & (prior["target"] == "quality") & (prior["standing"] != "doubted")]
    several = prior[prior["split"] != ""].drop_duplicates(["benchmark", "split"]).groupby("benchmark", sort=False)
    spreads = several["srcc"].agg(["std", "size"])
    spreads = spreads[spreads["size"] > 2]
    gains = rows[(rows["kind"] == "gain") & rows["place"].str.endswith("Table IV") & (rows["metric"] == "srcc")]
    if spreads.empty or gains.empty:
        return ""
    parts = ", ".join(f"{row.std:.4f} on {results.title('benchmarks', name)}"
                      for name, row in zip(spreads.index, spreads.itertuples(), strict=True))  # fmt: skip
    claimed = span(gains["claimed"] / 100, "{:.4f}")
    return (
        f"Another split alone moves {BEST_RIVAL}’s SRCC by {parts} (SD of {span(spreads['size'])} published splits); "
        f"the stated gains over it are {claimed}."
    )
