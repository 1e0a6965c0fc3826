"""The epoch whose predictions are reported: the last, the best on validation, the best on test."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mstclipiqa.base.names import BEST_ON_TEST, LAST, TEST, TRAIN, VAL, VALIDATION
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.training.dataset import Dataset, to_mos


class Selected:
    """Of one run, the test predictions of the epoch that each selection reports; of equally good epochs the first."""

    def __init__(self, data: Dataset, roles: np.ndarray):
        self.data = data
        self.train, self.val, self.test = (
            torch.from_numpy(np.flatnonzero(roles == role)) for role in (TRAIN, VAL, TEST)
        )
        self.best: dict[str, tuple[float, int, np.ndarray]] = {}

    def see(self, epoch: int, predict: Callable[[Tensor], Tensor]) -> None:
        """Judge the model of an epoch; `predict` gives the scores (len(rows),) of rows of the dataset."""

        def evaluate(rows: Tensor) -> np.ndarray:
            return to_mos(predict(rows).double().cpu().numpy(), self.data.low, self.data.high)

        predicted = evaluate(self.test)
        merits = {BEST_ON_TEST: srcc(predicted, self.data.mos[self.test])}
        if len(self.val):
            merits[VALIDATION] = srcc(evaluate(self.val), self.data.mos[self.val])
        self.keep(epoch, predicted, merits)

    def keep(self, epoch: int, predicted: np.ndarray, merits: Mapping[str, float]) -> None:
        """Keep the test predictions of an epoch, in MOS units, for each selection that it is the best of; `merits` is
        its SRCC on test and, where there are such images, on validation."""
        for selection, merit in {LAST: epoch, **merits}.items():
            if selection not in self.best or merit > self.best[selection][0]:
                self.best[selection] = (merit, epoch, predicted)

    def table(self) -> pd.DataFrame:
        """Rows of (selection, epoch, image, prediction, mos), both in MOS units."""
        images, mos = [self.data.images[row] for row in self.test], self.data.mos[self.test]
        return pd.concat(
            [
                pd.DataFrame(
                    {"selection": selection, "epoch": epoch, "image": images, "prediction": predicted, "mos": mos}
                )
                for selection, (_, epoch, predicted) in sorted(self.best.items())
            ],
            ignore_index=True,
        )
