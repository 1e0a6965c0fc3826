"""What the heads are to be held against: ridge regression on frozen features, image statistics, the mean colour."""

import numpy as np
import pandas as pd

from mstclipiqa.errors import InputError
from mstclipiqa.features import ImageFeatures
from mstclipiqa.metrics import plcc, srcc
from mstclipiqa.splits import TEST

#: On standardised features. Chosen beforehand, for every benchmark and any features alike.
PENALTY = 300.0

#: What is read from: columns of the stores side by side. The statistics begin with the three colour channels.
SOURCES: dict[str, dict[str, slice]] = {
    "f_c": {"coarse": slice(None)},
    "f_f": {"fine": slice(None)},
    "f_c and f_f": {"coarse": slice(None), "fine": slice(None)},
    "image statistics": {"statistics": slice(None)},
    "mean colour": {"statistics": slice(0, 9, 3)},
}


def ridge(train: np.ndarray, mos: np.ndarray, test: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """Predictions (m,) for features (m, D) from ridge regression on features (n, D) and MOS (n,).

    Features are standardised by the training images; the mean is not penalised.
    """
    mean, scale = train.mean(0), train.std(0)
    scale = np.where(scale > 0, scale, 1)
    x = (train - mean) / scale
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (mos - mos.mean()))
    return (test - mean) / scale @ weights + mos.mean()


def ridge_baselines(
    samples: pd.DataFrame, splits: pd.DataFrame, stores: dict[str, ImageFeatures], targets: list[str]
) -> pd.DataFrame:
    """SRCC and PLCC of ridge regression on the test images of every split: a row per source, target and split.

    `stores` are coarse, fine and statistics. Whatever is not a test image is trained on; the penalty is fixed, so
    nothing is chosen. Raises InputError where a store is of other images.
    """
    for name, store in stores.items():
        if store.images != samples["image"].tolist():
            raise InputError(f"{name} features are of other images than the samples table; extract them again")
    rows = []
    for source, parts in SOURCES.items():
        features = np.concatenate([stores[name].features[:, columns] for name, columns in parts.items()], axis=1)
        features = features.astype(np.float64)
        for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True):
            test = group.set_index("image")["role"].reindex(samples["image"]).to_numpy() == TEST
            for target in targets:
                mos = samples[target].to_numpy(float)
                predicted = ridge(features[~test], mos[~test], features[test])
                scores = srcc(predicted, mos[test]), plcc(predicted, mos[test])
                rows.append((source, target, protocol, int(split), int(test.sum()), *scores))
    return pd.DataFrame(rows, columns=["source", "target", "protocol", "split", "n", "srcc", "plcc"])
