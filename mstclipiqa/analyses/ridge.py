"""Ridge regression on features: the plainest rival of a head."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.linalg import lapack, solveh_banded

from mstclipiqa.data.leakage import Likeness

#: What the penalty is chosen from, on standardised features: half decades from 0.1 to 100,000.
PENALTIES = tuple(10 ** (halves / 2) for halves in range(-2, 11))

#: Inner folds that the penalty is chosen by, and what seeds them.
FOLDS, FOLD_SEED = 5, 16799

#: Numbers that LAPACK may put aside for each vector that it turns: blocks of reflections.
ROOM = 64 * len(PENALTIES)

#: Of a feature that varies by less than this share of its mean, as where one outlier has moved that, products about 0
#: have lost six digits.
FAR = 1e-3


class Decomposed:
    """Features (n, D) of training images, standardised by themselves and decomposed once, for ridge regression on any
    MOS (n,) of theirs under any penalty. The mean is not penalised. `moments` (D, D) are the sums of their products,
    where these are known.

    The matrix of the normal equations is brought to tridiagonal form by reflections, which every penalty leaves as it
    is (Elden: BIT 17, 1977, for least squares); eigenvectors would take thrice the time.
    """

    def __init__(self, features: np.ndarray, moments: np.ndarray | None = None):
        self.mean, self.scale = features.mean(0), spread_of(features)
        count, width = features.shape
        self.features, self.by_images = features, count < width  # the same by the smaller of the two matrices
        if self.by_images:
            x = self._standardise(features)
            matrix = x @ x.T
        elif moments is None or (self.scale < FAR * np.abs(self.mean)).any():
            x = self._standardise(features)
            matrix = x.T @ x
        else:
            matrix = (moments - count * np.outer(self.mean, self.mean)) / np.outer(self.scale, self.scale)
        room = int(lapack.dsytrd_lwork(len(matrix), lower=1)[0])
        self.reflections, self.diagonal, self.beside, self.factors, _ = lapack.dsytrd(matrix, lower=1, lwork=room)

    def predict(self, mos: np.ndarray, features: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
        """Predictions (m, P) for features (m, D), fitted to MOS (n,), under each of P penalties."""
        along = mos - mos.mean()  # whose sum is 0, so that the features' mean takes no part in products with it
        turned = self._turn(along if self.by_images else self.features.T @ along / self.scale, "T")
        solved = [solveh_banded([[0, *self.beside], self.diagonal + penalty], turned) for penalty in penalties]
        weights = self._turn(np.stack(solved, axis=1), "N")
        if self.by_images:
            weights = self._standardise(self.features).T @ weights
        return self._standardise(features) @ weights + mos.mean()

    def _standardise(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) / self.scale

    def _turn(self, vectors: np.ndarray, direction: str) -> np.ndarray:
        """Vectors (k, ...) by the reflections, or back ("N"). The first coordinate stays."""
        turned = vectors.reshape(len(vectors), -1).copy()
        if len(turned) > 1:
            turned[1:] = lapack.dormqr("L", direction, self.reflections[1:, :-1], self.factors, turned[1:], ROOM)[0]
        return turned.reshape(vectors.shape)


class Ridge:
    """Ridge regression on the features (n, D) of training images; what is decomposed of them serves every target.

    The penalty is chosen by inner folds, none of which parts a group (n,); without groups, or with one alone, each
    image is its own.
    """

    def __init__(self, train: np.ndarray, groups: np.ndarray | None = None):
        # What follows takes other scales away again; moments about a far mean would lose digits.
        self.mean, self.scale = train.mean(0), spread_of(train)
        self.train = (train - self.mean) / self.scale
        if groups is None or len(np.unique(groups)) < 2:
            groups = np.arange(len(train))
        self.folds = inner_folds(groups)

    @cached_property
    def _moments(self) -> np.ndarray | None:
        """Of each inner fold the sums of its features' products (folds, D, D), which those of any others are sums of;
        None where there are fewer images than features."""
        if len(self.train) < self.train.shape[1]:
            return None
        folds = [self.train[self.folds == fold] for fold in np.unique(self.folds)]
        return np.stack([fold.T @ fold for fold in folds])

    @cached_property
    def _whole(self) -> Decomposed:
        return Decomposed(self.train, None if self._moments is None else self._moments.sum(0))

    @cached_property
    def _inner(self) -> list[tuple[np.ndarray, Decomposed]]:
        """The images (n,) that each inner fold leaves out, and the others, decomposed."""
        found = []
        for number, fold in enumerate(np.unique(self.folds)):
            left_out = self.folds == fold
            moments = None if self._moments is None else _sum_without(self._moments, number)
            found.append((left_out, Decomposed(self.train[~left_out], moments)))
        return found

    def choose_penalty(self, mos: np.ndarray) -> float:
        """The one of PENALTIES with the least squared error on left-out images, for MOS (n,)."""
        errors = np.zeros(len(PENALTIES))
        for left_out, others in self._inner:
            predicted = others.predict(mos[~left_out], self.train[left_out], PENALTIES)
            errors += ((predicted - mos[left_out, None]) ** 2).sum(0)
        return PENALTIES[int(errors.argmin())]

    def predict(self, mos: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
        """Predictions (m,) for features (m, D), fitted to MOS (n,)."""
        return self._whole.predict(mos, (test - self.mean) / self.scale, [penalty])[:, 0]


def spread_of(features: np.ndarray) -> np.ndarray:
    """The standard deviation (D,) of each of the features (n, D); 1 of a constant, of which rounding may leave one."""
    return np.where(features.max(0) > features.min(0), features.std(0), 1)


def _sum_without(moments: np.ndarray, number: int) -> np.ndarray:
    """The sum (D, D) of all moments (folds, D, D) but one. The whole less that one would lose digits."""
    found = np.zeros_like(moments[0])
    for other in np.delete(np.arange(len(moments)), number):
        found += moments[other]
    return found


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
