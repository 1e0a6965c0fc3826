"""How much of the fine stream is needed? The paper's own open question (dynamic granularity).

The fine encoder is run for some images alone, and the coarse stream decides for which. Where it is not run, ridge
regression from the coarse features stands in for the fine ones.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mstclipiqa.analyses.interventions import gff_of
from mstclipiqa.analyses.readout import Ridge
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.heads import TemplateHead
from mstclipiqa.training.dataset import Dataset

#: Shares of the fine encodings that are aimed at being skipped.
SHARES = tuple(step / 20 for step in range(21))

#: The loss of SRCC on validation images that a chosen threshold stays within.
ALLOWED = 0.005

#: What decides: the gate's mean weight on the coarse stream; how sure the head is of a level, by the softmax's entropy;
#: chance, the placebo; and hindsight, which knows how little the fine features will change the score, as a bound.
GATE, SURE, CHANCE, HINDSIGHT = "gate", "sure", "chance", "hindsight"

#: What scores an image whose fine encoding is skipped: the model itself on predicted fine features, or the coarse
#: stream trained alone.
ITSELF, COARSE = "the model", "coarse-only"

#: Seeds the placebo, with the number of the split.
CHANCE_SEED = 16799


def predict_fine(f_c: Tensor, f_f: Tensor, train: Tensor) -> Tensor:
    """The fine features (N, D) that ridge regression reads from the coarse ones (N, D), fitted to the rows `train`."""
    return Ridge(f_c[train].double(), 1).predict(f_f[train].double(), f_c.double()).float()


def confidences(model: MSTCLIPIQA, f_c: Tensor, f_f: Tensor, guessed: Tensor, split: int) -> dict[str, np.ndarray]:
    """By rule how much (N,) it says that an image can do without its fine features, which `guessed` (N, D) are for."""
    assert isinstance(model.head, TemplateHead), "levels are weighed by the template head"
    fusion = gff_of(model)
    logits = model.head.temperature * model.head.similarity(fusion(f_c, guessed))
    log_p = torch.log_softmax(logits, dim=-1)
    change = (model(f_c, f_f) - model(f_c, guessed)).abs()
    return {
        GATE: fusion.gate(f_c, guessed).mean(1).numpy(),
        SURE: (log_p.exp() * log_p).sum(1).numpy(),
        CHANCE: np.random.default_rng([CHANCE_SEED, split]).random(len(f_c)),
        HINDSIGHT: -change.numpy(),
    }


def skip_fine(
    model: MSTCLIPIQA, coarse_model: MSTCLIPIQA, data: Dataset, train: Tensor, val: Tensor, test: Tensor, split: int
) -> pd.DataFrame:
    """SRCC of the model where the fine encoder is skipped: a row per rule, scorer and share that is aimed at.

    Thresholds are those that skip the share of the validation images. Columns: rule, scorer, aimed, skipped (the share
    of the test images), srcc_val, srcc, and `chosen`: the largest share up to which validation loses ALLOWED at most.
    """
    f_c, f_f = data.f_c, data.f_f
    guessed = predict_fine(f_c, f_f, train)
    full = model(f_c, f_f).double().numpy()
    scores = {ITSELF: model(f_c, guessed), COARSE: coarse_model(f_c, f_f)}
    rules = confidences(model, f_c, f_f, guessed, split)
    return pd.DataFrame(
        row
        for scorer, cheap in scores.items()
        for rule, confidence in rules.items()
        for row in _curve(rule, scorer, confidence, full, cheap.double().numpy(), data.mos, val.numpy(), test.numpy())
    )


def _curve(
    rule: str, scorer: str, confidence: np.ndarray, full: np.ndarray, cheap: np.ndarray, mos: np.ndarray,
    val: np.ndarray, test: np.ndarray,
) -> Iterator[dict]:  # fmt: skip
    """The rows of a rule and scorer: thresholds on validation, in the order of SHARES."""
    rows, on_val = [], []
    for share in SHARES:
        threshold = np.inf if share == 0 else np.quantile(confidence[val], 1 - share)
        skipped = confidence >= threshold if share < 1 else np.ones(len(full), bool)
        mixed = np.where(skipped, cheap, full)
        on_val.append(srcc(mixed[val], mos[val]))
        row = {"rule": rule, "scorer": scorer, "aimed": share, "skipped": float(skipped[test].mean())}
        rows.append(row | {"srcc_val": on_val[-1], "srcc": srcc(mixed[test], mos[test])})
    kept = [value >= on_val[0] - ALLOWED for value in on_val]
    last = kept.index(False) - 1 if False in kept else len(rows) - 1
    for number, row in enumerate(rows):
        yield row | {"chosen": number == last}
