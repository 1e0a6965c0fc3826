"""The runs of one benchmark under the same resamples of its images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mstclipiqa.base.names import TEST, TRAIN, VAL
from mstclipiqa.evaluation.bootstrap import bootstrap_runs, clusters_of
from mstclipiqa.evaluation.noise import Replicates


@dataclass(frozen=True)
class Resamples:
    """`runs` of one benchmark, numbered from 0; their replicates (runs, replicates) by metric (`drawn`); the `prompts`
    that each tested, those that are nearly identical as one; and the `counts` of images and leaking prompts of every
    split, by protocol."""

    runs: pd.DataFrame
    drawn: dict[str, np.ndarray]
    prompts: list[np.ndarray]
    counts: Mapping[str, list[dict]]

    def of(self, metric: str, places: pd.Series, against: pd.Series | None = None) -> Replicates:
        """What the runs at `places`, of one protocol, were tested on, with the replicates of their metric, or of what
        it has beyond that of the runs at `against`."""
        drawn = self.drawn[metric][places]
        if against is not None:
            drawn = drawn - self.drawn[metric][against]
        own = self.runs.loc[places]
        tested = set(own["split"])
        counts = [split for split in self.counts[own["protocol"].iloc[0]] if split["split"] in tested]
        return Replicates(
            drawn,
            [self.prompts[place] for place in places],
            tested_to_rest=sum(split[TEST] for split in counts) / sum(split[TRAIN] + split[VAL] for split in counts),
            by_prompt=not any(split["test_prompts_in_train"] for split in counts),
            of_difference=against is not None,
        )


def resample(
    runs: pd.DataFrame,
    predictions: list[pd.DataFrame],
    samples: pd.DataFrame,
    counts: Mapping[str, list[dict]],
    replicates: int,
) -> Resamples:
    """The `predictions` of all runs of a benchmark under `replicates` resamples. `counts` is what the splits table's
    metadata say of its protocols."""
    drawn = dict(zip(("srcc", "plcc"), bootstrap_runs(predictions, samples, replicates), strict=True))
    clusters = clusters_of(samples)
    return Resamples(runs, drawn, [np.unique(clusters[run["row"]]) for run in predictions], counts)
