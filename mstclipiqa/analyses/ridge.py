"""Ridge regression on features: the plainest rival of a head."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mstclipiqa.data.leakage import Likeness

#: What the penalty is chosen from, on standardised features: half decades from 0.1 to 100,000.
PENALTIES = tuple(10 ** (halves / 2) for halves in range(-2, 11))

#: Inner folds that the penalty is chosen by, and what seeds them.
FOLDS, FOLD_SEED = 5, 16799


class Decomposed:
    """Ridge regression on features (n, D) and MOS (n,) under any penalty, of one eigendecomposition.

    Features are standardised by these images; the mean is not penalised.
    """

    def __init__(self, features: np.ndarray, mos: np.ndarray):
        scale = features.std(0)
        self.mean, self.scale, self.level = features.mean(0), np.where(scale > 0, scale, 1), mos.mean()
        x = (features - self.mean) / self.scale
        if len(x) < x.shape[1]:  # the same by the smaller of the two matrices
            values, images = np.linalg.eigh(x @ x.T)
            self.axes, self.along = x.T @ images, images.T @ (mos - self.level)
        else:
            values, self.axes = np.linalg.eigh(x.T @ x)
            self.along = self.axes.T @ (x.T @ (mos - self.level))
        self.values = values.clip(min=0)

    def predict(self, features: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
        """Predictions (m, P) for features (m, D), under each of P penalties."""
        weights = self.axes @ (self.along[:, None] / (self.values[:, None] + np.asarray(penalties)))
        return (features - self.mean) / self.scale @ weights + self.level


def ridge(train: np.ndarray, mos: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
    """Predictions (m,) for features (m, D) from ridge regression on features (n, D) and MOS (n,)."""
    return Decomposed(train, mos).predict(test, [penalty])[:, 0]


def choose_penalty(train: np.ndarray, mos: np.ndarray, groups: np.ndarray | None = None) -> float:
    """The one of PENALTIES with the least squared error on left-out images, over inner folds of the features (n, D) and
    MOS (n,) that are trained on. No fold parts a group (n,); without groups, or with one alone, each image is its
    own."""
    if groups is None or len(np.unique(groups)) < 2:
        groups = np.arange(len(mos))
    folds, errors = inner_folds(groups), np.zeros(len(PENALTIES))
    for fold in np.unique(folds):
        left_out = folds == fold
        predicted = Decomposed(train[~left_out], mos[~left_out]).predict(train[left_out], PENALTIES)
        errors += ((predicted - mos[left_out, None]) ** 2).sum(0)
    return PENALTIES[int(errors.argmin())]


def inner_folds(groups: np.ndarray) -> np.ndarray:
    """The fold (n,) of each image, by its group (n,): groups in random order, the largest first, each into the smallest
    of FOLDS folds, or of as many as there are groups."""
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(FOLD_SEED).permutation(len(sizes))
    filled, fold_of = np.zeros(min(FOLDS, len(sizes)), int), np.empty(len(sizes), int)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return fold_of[numbers]


def find_groupings(samples: pd.DataFrame) -> list[np.ndarray]:
    """The groups (N,) that protocols may keep whole: clusters of like prompts, then generators."""
    return [Likeness(samples).clusters, pd.factorize(samples["generator"])[0]]


def penalty_of_split(
    features: np.ndarray, mos: np.ndarray, train: np.ndarray, test: np.ndarray, groupings: Sequence[np.ndarray] = ()
) -> float:
    """As `choose_penalty`, on the training images of a split, by masks (N,) of its training and test images. Inner
    folds keep whole what the split does: the first of `groupings` (N,) of which it parts no group, if there is one."""
    whole = next((groups for groups in groupings if not np.isin(groups[train], groups[test]).any()), None)
    return choose_penalty(features[train], mos[train], None if whole is None else whole[train])
