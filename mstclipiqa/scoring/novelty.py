"""Is an image unlike what a head was trained on? By its distance to the training images, in the encoders' features.

The distance is that to the K-th nearest training image, after Sun et al., "Out-of-Distribution Detection with Deep
Nearest Neighbors" (ICML 2022). They take unit features. Here lengths count too: of documents, which no benchmark has,
none is then missed, and all are with unit features (docs/score.md).

An image is unlike the training images where it is farther from them than 95 % of images that were held out of the
training: if it were another one of the benchmark, drawn as these were, that would happen to at most 5 % (a conformal
p-value, Bates et al., "Testing for outliers with conformal p-values", Annals of Statistics 2023).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from mstclipiqa.base.errors import InputError

#: Neighbours that an image is to have.
K = 5

#: Training images that a head's file keeps: of more, an even share. Sun et al. lose little with one of a hundred.
MOST_KEPT = 2000

#: Share of images like the training images that are called unlike.
LEVEL = 0.05

#: Fewer held-out images cannot tell a share of LEVEL.
FEWEST_HELD_OUT = 19

#: The tensors of a head's file that hold this, beside the model's own.
FEATURES, DISTANCES = "training.features", "training.distances"


@dataclass(frozen=True)
class Neighbours:
    """What is kept of the training images: features (n, 2 D), both streams side by side; and the distances (m,) of the
    images that were held out, ascending."""

    features: np.ndarray
    held_out: np.ndarray

    def p_values(self, coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
        """Of images with the features f_c and f_f (B, D), the share (B,) of held-out images, with itself, that are as
        far from the training images or farther."""
        found = distances(np.hstack([coarse, fine]), self.features)
        farther = len(self.held_out) - np.searchsorted(self.held_out, found, side="left")
        return (1 + farther) / (1 + len(self.held_out))

    def tensors(self) -> dict[str, np.ndarray]:
        """As a head's file holds it."""
        return {FEATURES: self.features.astype(np.float16), DISTANCES: self.held_out.astype(np.float32)}


def distances(features: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Distances (B,) of features (B, 2 D) to their K-th nearest of `training` (n, 2 D), or to the farthest where there
    are fewer: Euclidean, each stream divided by the root mean square length of its training features."""
    half = training.shape[1] // 2
    lengths = [np.sqrt(np.square(training[:, part]).sum(1).mean()) for part in (slice(half), slice(half, None))]
    scale = np.repeat(np.maximum(lengths, 1e-12), half)
    apart = cdist(features / scale, training / scale)
    nearest = min(K, len(training))
    return np.partition(apart, nearest - 1, axis=1)[:, nearest - 1]


def keep(coarse: np.ndarray, fine: np.ndarray, trained: np.ndarray) -> Neighbours | None:
    """What a head keeps of a benchmark's features (N, D), of which the images where `trained` (N,) are the training's.

    None where fewer than FEWEST_HELD_OUT others are left to tell how far such images are.
    """
    if (~trained).sum() < FEWEST_HELD_OUT:
        return None
    both = np.hstack([coarse, fine])
    training = both[trained]
    training = training[np.linspace(0, len(training) - 1, min(MOST_KEPT, len(training))).round().astype(int)]
    training = training.astype(np.float16).astype(np.float32)  # as the file gives them back
    return Neighbours(training, np.sort(distances(both[~trained], training)))


def read(name: str, tensors: dict[str, np.ndarray], dim: int) -> Neighbours | None:
    """What the head's file `name` keeps, taken out of its `tensors`; None where it keeps nothing. `dim` is D.

    Raises InputError where it is not what `keep` makes: the file may be anyone's.
    """
    features, held_out = tensors.pop(FEATURES, None), tensors.pop(DISTANCES, None)
    if features is None and held_out is None:
        return None
    if (
        features is None or held_out is None or features.ndim != 2 or held_out.ndim != 1
        or features.shape[1] != 2 * dim or not 0 < len(features) <= MOST_KEPT or len(held_out) < FEWEST_HELD_OUT
        or features.dtype.kind != "f" or held_out.dtype.kind != "f"
        or not (np.isfinite(features).all() and np.isfinite(held_out).all()) or (np.diff(held_out) < 0).any()
    ):  # fmt: skip
        raise InputError(f"{name}: its training features are not as a head keeps them; train the head again")
    return Neighbours(features.astype(np.float32), held_out.astype(np.float32))
