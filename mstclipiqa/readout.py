"""How much of a MOS can be read linearly from frozen features, without any head: ridge under prompt-grouped splits."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.errors import InputError
from mstclipiqa.features import load_features
from mstclipiqa.metrics import plcc, srcc
from mstclipiqa.splits import TEST

#: On standardised features. Chosen beforehand, for every benchmark and any features alike.
PENALTY = 300.0


def ridge(train: np.ndarray, mos: np.ndarray, test: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """Predictions (m,) for features (m, D) from ridge regression on features (n, D) and MOS (n,).

    Features are standardised by the training images; the mean is not penalised.
    """
    mean, scale = train.mean(0), train.std(0)
    scale = np.where(scale > 0, scale, 1)
    x = (train - mean) / scale
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (mos - mos.mean()))
    return (test - mean) / scale @ weights + mos.mean()


def read_out(
    samples: pd.DataFrame, splits: pd.DataFrame, stores: Iterable[Path], targets: Iterable[str]
) -> pd.DataFrame:
    """SRCC and PLCC on the test images of every split, from the stores' features side by side.

    Columns: target, protocol, split, n, srcc, plcc. Whatever is not a test image is trained on. Raises InputError
    where a store is of other images.
    """
    tables = []
    for path in stores:
        store = load_features(path)
        if store.images != samples["image"].tolist():
            raise InputError(f"{path}: features of other images than the samples table; extract them again")
        tables.append(store.features.astype(np.float64))
    features, rows = np.concatenate(tables, axis=1), []
    for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True):
        test = group.set_index("image")["role"].reindex(samples["image"]).to_numpy() == TEST
        for target in targets:
            mos = samples[target].to_numpy(float)
            predicted = ridge(features[~test], mos[~test], features[test])
            rows.append(
                (target, protocol, split, int(test.sum()), srcc(predicted, mos[test]), plcc(predicted, mos[test]))
            )
    return pd.DataFrame(rows, columns=["target", "protocol", "split", "n", "srcc", "plcc"])
