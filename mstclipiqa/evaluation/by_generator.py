"""SRCC within each generator, and within each kind of generator."""

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.names import GROUP
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.evaluation.metrics import srcc

#: SRCC within a generator counts only runs with at least so many test images of it.
FEWEST_IMAGES = 10

# By generator


def score_by_generator(
    runs: pd.DataFrame, predictions: list[pd.DataFrame], samples: pd.DataFrame, kinds: dict[str, dict]
) -> list[dict]:
    """SRCC within each generator and each kind, at the main selection of each protocol: the mean over runs.

    Runs with fewer than FEWEST_IMAGES test images of it do not count; where the SRCC of any other is undefined there is
    none, and `runs_undefined` counts them.
    """
    labels = pd.DataFrame({"generator": samples["generator"]})
    labels["kind"] = [kinds.get(name, {}).get("kind", "unknown") for name in labels["generator"]]
    rows = []
    for key, group in runs.groupby(GROUP):
        described = dict(zip(GROUP, key, strict=True))
        if described["selection"] != describe_protocol(described["protocol"])["selection"]:
            continue
        for level in ("generator", "kind"):
            number, names = pd.factorize(labels[level], sort=True)
            tested = [_split_by(number, len(names), predictions[place]) for place in group.index]
            for name, parts in zip(names, zip(*tested, strict=True), strict=True):
                counted = [part for part in parts if len(part) >= FEWEST_IMAGES]
                scores = [score for part in counted if (score := _srcc_or_none(part)) is not None]
                undefined = len(counted) - len(scores)
                rows.append(
                    described
                    | {"level": level, "name": name, "kind": labels["kind"][labels[level] == name].iloc[0]}
                    | {"runs": len(counted), "n_test": np.mean([len(part) for part in counted]) if counted else np.nan}
                    | {"runs_too_small": len(parts) - len(counted), "runs_undefined": undefined}
                    | {"srcc": np.mean(scores) if counted and not undefined else np.nan}
                )
    return rows


def _split_by(number: np.ndarray, count: int, run: pd.DataFrame) -> list[np.ndarray]:
    """The predictions and MOS (n, 2) of a run, of each of so many generators; `number` (images,) says whose each is."""
    own, values = number[run["row"]], run[["prediction", "mos"]].to_numpy()
    return [values[own == one] for one in range(count)]


def _srcc_or_none(part: np.ndarray) -> float | None:
    try:
        return srcc(*part.T)
    except FailedRunError:
        return None
