"""What results that others published say of the paper's printed numbers."""

import pandas as pd

from mstclipiqa.claims.rules import CONSISTENT, CONTRADICTED, INCONCLUSIVE, SLACK, UNTESTABLE
from mstclipiqa.data.prior_results import of_target

#: How many SDs of a difference over splits a printed difference must have to be more than the choice of split.
SPREADS = 2
#: The fewest published splits whose SD says something.
FEWEST_SPLITS = 4


def judge_elsewhere(
    prior: pd.DataFrame, column: tuple[str, str], metric: str, printed: float, ours: list[str], like_for_like: str
) -> tuple[float | None, str, str]:
    """Whether the printed number is above all that others published: (margin to the highest, verdict, reason).

    Only what is neither the paper's nor later counts. A higher number contradicts on the paper's own split,
    `like_for_like`; of another protocol it does not compare, and leaves the claim open.
    """
    rows = of_target(prior, *column, ours).dropna(subset=[metric]).sort_values(metric, ascending=False, kind="stable")
    counted = rows[rows["standing"] == "elsewhere"]
    later = rows[(rows["standing"] == "later") & (rows[metric] > printed + SLACK)]["method"].nunique()
    beside = f"; {later} more first published after the paper" if later else ""
    if counted.empty:
        return None, UNTESTABLE, f"no result on this target is published elsewhere{beside}"
    margin = float(printed - counted[metric].iloc[0])
    higher = counted[counted[metric] >= printed - SLACK]
    methods = counted["method"].nunique()
    if higher.empty:
        return margin, CONSISTENT, f"none of {methods} methods published elsewhere is as high{beside}"
    same = higher[higher["split"] == like_for_like]
    best = (same if len(same) else higher).iloc[0]
    reason = f"{higher['method'].nunique()} of {methods} methods published elsewhere are as high or higher{beside}; "
    reason += f"{best['method']}: {best[metric]:.4f}"
    if len(same):
        return margin, CONTRADICTED, f"{reason}, on the same split"
    return margin, INCONCLUSIVE, f"{reason}, none by a protocol known to be the paper's"


def spread_of_splits(prior: pd.DataFrame, column: tuple[str, str], metric: str, rival: str) -> dict | None:
    """What a change of split does to `rival`, over the published splits on which it and other methods were trained.

    `splits`, the `sd` of the rival, the `sd_difference` of another method's difference to it (the median over the other
    `methods`); all sample SDs. None where fewer than FEWEST_SPLITS are published.
    """
    rows = prior[(prior["benchmark"] == column[0]) & (prior["target"] == column[1]) & (prior["split"] != "")]
    rows = rows[rows["standing"] != "doubted"].drop_duplicates(["method", "split"])
    scores = rows.pivot(index="split", columns="method", values=metric).dropna(axis=1)
    if rival not in scores or len(scores) < FEWEST_SPLITS or len(scores.columns) < 2:
        return None
    differences = scores.drop(columns=rival).sub(scores[rival], axis=0)
    return {
        "splits": len(scores),
        "methods": len(differences.columns),
        "sd": float(scores[rival].std()),
        "sd_difference": float(differences.std().median()),
    }


def judge_another_split(
    prior: pd.DataFrame, column: tuple[str, str], metric: str, rival: str, gain: float
) -> tuple[float, str, str]:
    """Whether a printed gain over `rival` is more than another split could make: (gain, verdict, reason)."""
    spread = spread_of_splits(prior, column, metric, rival)
    if spread is None:
        return gain, UNTESTABLE, f"{rival} is not published on {FEWEST_SPLITS} splits of this target"
    reason = (
        f"over {spread['splits']} published splits the SD of {rival} is {spread['sd']:.4f}, that of a difference to it "
        f"{spread['sd_difference']:.4f} (median of {spread['methods']} methods)"
    )
    return gain, CONSISTENT if gain > SPREADS * spread["sd_difference"] + SLACK else INCONCLUSIVE, reason
