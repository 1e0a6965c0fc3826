"""What a suite measured, made up for the verdicts."""

import numpy as np
import pandas as pd
from identities import OPENAI

from mstclipiqa.claims.suite import Cell, Suite
from mstclipiqa.evaluation.noise import IMAGES, Noise


def make_suite(recipe, scores, encoder=OPENAI, synthetic=(), protocol="lab-seed1", pairs=None, images=0.01):
    """A suite that measured the `scores` by (benchmark, target, variant): the SRCC and PLCC of each seed, or of each
    split by one seed where there are several splits."""
    cells = {}
    for (benchmark, target, variant), values in scores.items():
        by_seed = [(0, seed) for seed in range(len(values))]
        by_split = [(split, 0) for split in range(len(values))]
        runs = by_split if protocol.startswith(("grouped", "random")) else by_seed
        index = pd.MultiIndex.from_tuples(runs, names=["split", "seed"])
        table = pd.DataFrame({"srcc": values, "plcc": values}, index=index)
        noise = dict.fromkeys(("srcc", "plcc"), Noise(((IMAGES, images**2, 100),)))
        file = f"{benchmark}/runs/{target}/{recipe.name}/{variant}.parquet"
        cells[benchmark, target, recipe.name, variant, protocol] = Cell(table, file, noise)
    return Suite(
        cells=cells,
        pairs=pairs or {},
        encoders={cell.file: [encoder, encoder] for cell in cells.values()},
        counts={(key[0], protocol): {"test": 40, "test_images_with_prompt_in_train": 30} for key in cells},
        synthetic=frozenset(synthetic),
        recipes={recipe.name: recipe},
    )


def around(value, sd, seeds=5):
    """Values of a given mean and sample SD."""
    values = np.linspace(-1, 1, seeds)
    return value + sd * values / values.std(ddof=1)
