"""Linear readout: how well a factor is read from features by ridge regression."""

from collections import defaultdict

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mstclipiqa.analyses.probe_images import FOLDS, SEMANTIC, factors
from mstclipiqa.evaluation.metrics import srcc

#: Ridge penalties to choose from, per training image, on standardised features.
PENALTIES = 10.0 ** np.arange(-3, 3)


# Linear readout


class Ridge:
    """Closed-form ridge regression on standardised features, whose penalty is chosen by leaving out whole groups.

    `train` (n, D) holds groups of `group` rows, one after another: the renderings of one scene. Leaving out single
    rows would choose a penalty for scenes that have been seen.
    """

    def __init__(self, train: Tensor, group: int):
        self.mean, scale = train.mean(0), train.std(0, correction=0)
        self.scale = torch.where(scale > 0, scale, 1.0)
        self.group = group
        self.left, self.singular, self.right = torch.linalg.svd((train - self.mean) / self.scale, full_matrices=False)

    def left_out(self, targets: Tensor, penalty: float) -> Tensor:
        """Residuals (n, K) of targets (n, K), each predicted from the other groups alone: (I - H_gg)^-1 r_g.

        H is the matrix that maps targets to their fit, the mean included; the standardisation stays that of all rows.
        """
        kept = self.singular**2 / (self.singular**2 + penalty)
        centred = targets - targets.mean(0)
        residual = centred - (self.left * kept) @ (self.left.T @ centred)
        blocks = self.left.reshape(-1, self.group, self.left.shape[1])
        hat = (blocks * kept) @ blocks.mT + 1 / len(targets)
        residual = residual.reshape(-1, self.group, targets.shape[1])
        return torch.linalg.solve(torch.eye(self.group, dtype=hat.dtype) - hat, residual).reshape(targets.shape)

    def predict(self, targets: Tensor, test: Tensor) -> Tensor:
        """Predictions (m, K) for features (m, D), fitted to targets (n, K) under the best penalty for them."""
        penalties = (len(targets) * PENALTIES).tolist()
        penalty = min(penalties, key=lambda value: self.left_out(targets, value).square().sum().item())
        shrunk = self.singular / (self.singular**2 + penalty)
        coefficients = self.right.T @ (shrunk[:, None] * (self.left.T @ (targets - targets.mean(0))))
        return (test - self.mean) / self.scale @ coefficients + targets.mean(0)


def balanced_accuracy(predicted: np.ndarray, true: np.ndarray) -> float:
    """The share of right predictions, averaged over the classes that occur in `true`."""
    return float(pd.Series(predicted == true).groupby(true).mean().mean())


def read_out(features: dict[str, Tensor], images: pd.DataFrame) -> pd.DataFrame:
    """How well each factor is read linearly from each of `features` (N, D): a row per features, factor and fold.

    The scenes of each fold are tested once on a readout trained on those of the others. Words are read one
    against the rest and scored by balanced accuracy, strengths by SRCC.
    """
    known, on_rows = factors(images), defaultdict(list)
    for name, values in known.items():
        on_rows[tuple(values.index)].append(name)
    rows = []
    for source, table in features.items():
        for fold in range(FOLDS):
            for index, names in on_rows.items():
                chosen, inputs = images.loc[list(index)], table[list(index)].double()
                held_out = (chosen["fold"] == fold).to_numpy(copy=True)
                ridge = Ridge(inputs[~held_out], len(chosen) // chosen["scene"].nunique())
                for name in names:
                    values, number = known[name].to_numpy(), pd.api.types.is_numeric_dtype(known[name])
                    levels = np.unique(values)
                    targets = values[:, None] if number else values[:, None] == levels
                    predicted = ridge.predict(torch.tensor(targets[~held_out]).double(), inputs[held_out]).numpy()
                    if number:
                        metric, chance, value = "srcc", 0.0, srcc(predicted[:, 0], values[held_out])
                    else:
                        metric, chance = "balanced accuracy", 1 / len(levels)
                        value = balanced_accuracy(levels[predicted.argmax(1)], values[held_out])
                    kind = "semantic" if name in SEMANTIC else "distortion"
                    rows.append((source, name, kind, metric, fold, value, chance))
    return pd.DataFrame(rows, columns=["features", "factor", "kind", "metric", "split", "value", "chance"])
