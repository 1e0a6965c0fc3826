"""Does a trained model use its gate? Another gate takes its place at test time, and everything else stays."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.fusions.gff import Fusion
from mstclipiqa.training.dataset import Dataset

#: What takes the gate's place. A shuffled gate is another test image's. The plain sum has no gate: with the template
#: head, which looks at directions alone, it is the gate at 0.5.
AS_TRAINED, HALF, MEAN, SHUFFLED, SUM = "as trained", "at 0.5", "at its mean", "shuffled among images", "plain sum"
INTERVENTIONS = (AS_TRAINED, HALF, MEAN, SHUFFLED, SUM)

#: Seeds the shuffling, with the number of the split.
SHUFFLE_SEED = 16799

#: All generators together, where gates are described by generator.
ALL = "all"


def gff_of(model: MSTCLIPIQA) -> Fusion:
    """The model's fusion, which has a gate."""
    assert isinstance(model.fusion, Fusion), "only GFF has a gate"
    return model.fusion


def intervene(
    model: MSTCLIPIQA, data: Dataset, train: Tensor, test: Tensor, split: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Each of INTERVENTIONS with the scores (M,) of the test images, by their rows (M,). The gate's mean (D,) is that
    over the training images."""
    fusion = gff_of(model)
    f_c, f_f = data.streams(test)
    coarse, fine = fusion.phi_c(f_c), fusion.phi_f(f_f)
    gate, mean = fusion.gate(f_c, f_f), fusion.gate(*data.streams(train)).mean(0)
    order = torch.from_numpy(np.random.default_rng([SHUFFLE_SEED, split]).permutation(len(test)))
    prompts = data.prompts(test) if model.uses_prompt else ()
    for name, other in ((AS_TRAINED, gate), (HALF, torch.full_like(gate, 0.5)), (MEAN, mean), (SHUFFLED, gate[order])):
        yield name, model.head(other * coarse + (1 - other) * fine, *prompts).double().numpy()
    yield SUM, model.head(coarse + fine, *prompts).double().numpy()


def gate_movement(gates: Tensor, generators: np.ndarray) -> pd.DataFrame:
    """Mean and SD over images of every dimension's gate, by generator (M,) and over all, of the gates (M, D)."""
    tables = []
    for name in (ALL, *sorted(set(generators))):
        rows = gates if name == ALL else gates[torch.from_numpy(generators == name)]
        if len(rows) > 1:
            described = {"mean": rows.mean(0), "sd": rows.std(0)}
            tables.append(pd.DataFrame({"generator": name, "dimension": range(gates.shape[1]), **described}))
    return pd.concat(tables, ignore_index=True)
