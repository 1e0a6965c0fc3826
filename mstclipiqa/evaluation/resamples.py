"""The runs of one benchmark under the same resamples of its images."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mstclipiqa.base.names import TEST, TRAIN, VAL
from mstclipiqa.evaluation.bootstrap import bootstrap_runs, clusters_of
from mstclipiqa.evaluation.noise import Basis, Replicates


@dataclass(frozen=True)
class Resamples:
    """`runs` of one benchmark, numbered from 0; their replicates (runs, replicates) by metric (`drawn`); the `prompts`
    that each tested, those that are nearly identical as one; and the `counts` of images and leaking prompts of every
    split, by protocol."""

    runs: pd.DataFrame
    drawn: dict[str, np.ndarray]
    prompts: list[np.ndarray]
    counts: Mapping[str, list[dict]]
    known: dict[tuple, Basis] = field(default_factory=dict)

    def tested(self, places: np.ndarray) -> Basis:
        """What the runs at `places`, of one protocol, were tested on."""
        protocol, splits = self.runs["protocol"].iat[places[0]], self.runs["split"].to_numpy()[places]
        key = protocol, splits.tobytes()
        if key not in self.known:
            counts = [split for split in self.counts[protocol] if split["split"] in splits]
            self.known[key] = Basis(
                [self.prompts[place] for place in places],
                sum(split[TEST] for split in counts) / sum(split[TRAIN] + split[VAL] for split in counts),
                not any(split["test_prompts_in_train"] for split in counts),
            )
        return self.known[key]

    def of(self, metric: str, places: np.ndarray, against: np.ndarray | None = None) -> Replicates:
        """The replicates of the metric of the runs at `places`, of one protocol, or of what it has beyond that of the
        runs at `against`."""
        drawn = self.drawn[metric][places]
        if against is not None:
            drawn = drawn - self.drawn[metric][against]
        return Replicates(drawn, self.tested(places), against is not None)


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
    clusters, prompts = clusters_of(samples), {}
    for run in predictions:
        tested = run["row"].to_numpy()
        if tested.tobytes() not in prompts:
            prompts[tested.tobytes()] = np.unique(clusters[tested])
    of_runs = [prompts[run["row"].to_numpy().tobytes()] for run in predictions]
    return Resamples(runs, drawn, of_runs, counts)
