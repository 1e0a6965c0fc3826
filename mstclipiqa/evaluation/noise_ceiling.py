"""The noise ceiling: the correlation with the published MOS that raters' noise allows the true scores themselves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mstclipiqa.base.layout import BASELINES
from mstclipiqa.base.names import TEST

#: Ratings an image whose mean its MOS is. Label files do not say it, and what is left once outliers are rejected is not
#: published; 21 is what pages on AGIQA-3K say.
RATERS = (5, 10, 21)

#: Simulations of the true scores, and what seeds them.
DRAWS, SEED = 100, 16799


def simulate_truth(mos: np.ndarray, sd: np.ndarray, raters: int, draws: int = DRAWS) -> np.ndarray:
    """True scores (draws, N) that the MOS (N,) and the SD over raters (N,) of a benchmark allow.

    MOS are true scores and noise of variance sd^2 / raters. With normal noise and normal true scores of the variance
    that is left, tau^2, a true score given its MOS is normal, about the MOS shrunk to their mean by
    tau^2 / (tau^2 + sd^2 / raters).
    """
    noise = sd**2 / raters
    left = max(mos.var(ddof=1) - noise.mean(), 0.0)
    kept = np.divide(left, left + noise, out=np.ones_like(noise), where=noise > 0)
    rng = np.random.default_rng([SEED, raters])
    return mos.mean() + kept * (mos - mos.mean()) + np.sqrt(kept * noise) * rng.normal(size=(draws, len(mos)))


def ceiling_name(raters: int) -> str:
    """What the table of rivals calls it."""
    return f"noise ceiling, {raters} raters"


def noise_ceilings(samples: pd.DataFrame, splits: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """SRCC and PLCC of true scores with the MOS, mean over draws, on the test images of every split, as rows of the
    baselines; none of a benchmark that does not publish the SD of each target."""
    rows = []
    published = all(f"{target}_sd" in samples and samples[f"{target}_sd"].notna().all() for target in targets)
    for raters in RATERS if published else ():
        for target in targets:
            mos, sd = samples[target].to_numpy(float), samples[f"{target}_sd"].to_numpy(float)
            truth = simulate_truth(mos, sd, raters)
            for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True):
                test = samples["image"].isin(group.loc[group["role"] == TEST, "image"]).to_numpy()
                ranked = rankdata(truth[:, test], axis=1), rankdata(mos[test])
                scores = [_correlate(*pair).mean() for pair in (ranked, (truth[:, test], mos[test]))]
                rows.append((ceiling_name(raters), target, protocol, int(split), int(test.sum()), *scores))
    return pd.DataFrame(rows, columns=list(BASELINES.columns))


def _correlate(many: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Pearson's correlation (K,) of each of many (K, M) with one (M,)."""
    x, y = many - many.mean(1, keepdims=True), one - one.mean()
    return x @ y / np.sqrt((x**2).sum(1) * (y**2).sum())
