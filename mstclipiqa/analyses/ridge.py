"""Ridge regression on features: the plainest rival of a head."""

import numpy as np

#: On standardised features. Chosen beforehand, for every benchmark and any features alike.
PENALTY = 300.0


# Ridge regression


def ridge(train: np.ndarray, mos: np.ndarray, test: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """Predictions (m,) for features (m, D) from ridge regression on features (n, D) and MOS (n,).

    Features are standardised by the training images; the mean is not penalised.
    """
    mean, scale = train.mean(0), train.std(0)
    scale = np.where(scale > 0, scale, 1)
    x = (train - mean) / scale
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (mos - mos.mean()))
    return (test - mean) / scale @ weights + mos.mean()
