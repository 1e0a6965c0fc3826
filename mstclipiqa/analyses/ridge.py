"""Ridge regression on features: the plainest rival of a head."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from mstclipiqa.data.leakage import Likeness

#: What the penalty is chosen from, on standardised features: half decades from 0.1 to 100,000.
PENALTIES = tuple(10 ** (halves / 2) for halves in range(-2, 11))

#: Inner folds that the penalty is chosen by, and what seeds them.
FOLDS, FOLD_SEED = 5, 16799


class Decomposed:
    """Features (n, D) of training images, standardised by themselves and decomposed once, for ridge regression on any
    MOS (n,) of theirs under any penalty. The mean is not penalised."""

    def __init__(self, features: np.ndarray):
        scale = features.std(0)
        self.mean, self.scale = features.mean(0), np.where(scale > 0, scale, 1)
        x = (features - self.mean) / self.scale
        self.onto: tuple[np.ndarray, ...]  # what takes MOS onto the axes
        if len(x) < x.shape[1]:  # the same by the smaller of the two matrices
            values, images = np.linalg.eigh(x @ x.T)
            self.axes, self.onto = x.T @ images, (images,)
        else:
            values, self.axes = np.linalg.eigh(x.T @ x)
            self.onto = x, self.axes
        self.values = values.clip(min=0)

    def predict(self, mos: np.ndarray, features: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
        """Predictions (m, P) for features (m, D), fitted to MOS (n,), under each of P penalties."""
        along = mos - mos.mean()
        for matrix in self.onto:
            along = matrix.T @ along
        weights = self.axes @ (along[:, None] / (self.values[:, None] + np.asarray(penalties)))
        return (features - self.mean) / self.scale @ weights + mos.mean()


class Ridge:
    """Ridge regression on the features (n, D) of training images; what is decomposed of them serves every target.

    The penalty is chosen by inner folds, none of which parts a group (n,); without groups, or with one alone, each
    image is its own.
    """

    def __init__(self, train: np.ndarray, groups: np.ndarray | None = None):
        self.train = train
        if groups is None or len(np.unique(groups)) < 2:
            groups = np.arange(len(train))
        self.folds = inner_folds(groups)

    @cached_property
    def _whole(self) -> Decomposed:
        return Decomposed(self.train)

    @cached_property
    def _inner(self) -> list[tuple[np.ndarray, Decomposed]]:
        """The images (n,) that each inner fold leaves out, and the others, decomposed."""
        masks = [self.folds == fold for fold in np.unique(self.folds)]
        return [(left_out, Decomposed(self.train[~left_out])) for left_out in masks]

    def choose_penalty(self, mos: np.ndarray) -> float:
        """The one of PENALTIES with the least squared error on left-out images, for MOS (n,)."""
        errors = np.zeros(len(PENALTIES))
        for left_out, others in self._inner:
            predicted = others.predict(mos[~left_out], self.train[left_out], PENALTIES)
            errors += ((predicted - mos[left_out, None]) ** 2).sum(0)
        return PENALTIES[int(errors.argmin())]

    def predict(self, mos: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
        """Predictions (m,) for features (m, D), fitted to MOS (n,)."""
        return self._whole.predict(mos, test, [penalty])[:, 0]


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


def ridge_of_split(
    features: np.ndarray, train: np.ndarray, test: np.ndarray, groupings: Sequence[np.ndarray] = ()
) -> Ridge:
    """Ridge regression on the training images of a split, by masks (N,) of its training and test images. Inner folds
    keep whole what the split does: the first of `groupings` (N,) of which it parts no group, if there is one."""
    whole = next((groups for groups in groupings if not np.isin(groups[train], groups[test]).any()), None)
    return Ridge(features[train], None if whole is None else whole[train])
