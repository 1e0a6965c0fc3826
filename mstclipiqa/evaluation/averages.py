"""Second opinions that need no model of their own: the mean of two models' predictions, and the same model anew.

What two streams gain over one may be what any two opinions gain over one. So the whole model is held against the mean
of its two streams trained alone, and of itself trained twice. A placebo is the model itself from another seed: what it
differs by is no effect.
"""

from dataclasses import dataclass

import pandas as pd

from mstclipiqa.base.names import MODELS
from mstclipiqa.evaluation.metrics import plcc, srcc


@dataclass(frozen=True)
class Average:
    """The mean of two variants' predictions on the same split, selection and seed, the second with the weight `second`.
    Of one variant, seeds are paired in their order, each once, so that averages are independent. A second that weighs
    all is a placebo."""

    title: str
    of: tuple[str, str]
    second: float = 0.5

    @property
    def placebo(self) -> bool:
        """Whether it is the first variant itself, from another seed."""
        return self.second == 1


AVERAGES = {
    "averaged-streams": Average("mean of the streams trained alone", ("coarse-only", "fine-only")),
    "averaged-seeds": Average("mean of two trainings of MST-CLIPIQA", (MODELS[0], MODELS[0])),
    "other-seeds": Average("MST-CLIPIQA from other seeds (placebo)", (MODELS[0], MODELS[0]), second=1),
    "other-seeds-star": Average("MST-CLIPIQA* from other seeds (placebo)", (MODELS[1], MODELS[1]), second=1),
}

#: By variant, the average that is its placebo.
PLACEBOS = {average.of[0]: name for name, average in AVERAGES.items() if average.placebo}

#: What two runs must share to be averaged, beside the seed.
PLACE = ["benchmark", "target", "recipe", "protocol", "selection", "split"]


def average_runs(runs: pd.DataFrame, predictions: list[pd.DataFrame]) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """The runs, numbered from 0, and their predictions, with every average that there are two runs for. The seed of an
    average is that of its first run."""
    rows: list[dict] = []
    averaged = list(predictions)
    for name, average in AVERAGES.items():
        first, second = (runs[runs["variant"] == variant].reset_index(names="place") for variant in average.of)
        if average.of[0] == average.of[1]:
            partner = runs["seed"].map(seed_partners(runs["seed"]))
            second = second.assign(seed=partner.reindex(second["place"]).to_numpy()).dropna(subset=["seed"])
        pairs = first.merge(second[[*PLACE, "seed", "place"]], on=[*PLACE, "seed"], suffixes=("", "_second"))
        for pair in pairs.to_dict("records"):
            one, other = (predictions[pair[key]] for key in ("place", "place_second"))
            weighed = (1 - average.second) * one["prediction"].to_numpy() + average.second * other[
                "prediction"
            ].to_numpy()
            mean = one.assign(prediction=weighed)
            averaged.append(mean)
            scores = {"srcc": srcc(mean["prediction"], mean["mos"]), "plcc": plcc(mean["prediction"], mean["mos"])}
            rows.append({**{key: pair[key] for key in runs}, "variant": name, **scores})
    made = pd.DataFrame(rows, columns=list(runs)).astype(runs.dtypes.to_dict())
    return pd.concat([runs, made], ignore_index=True), averaged


def seed_partners(seeds: pd.Series) -> dict[int, int]:
    """By the second seed of each pair, the first: of 0, 1, 2, 3, 4 that is {1: 0, 3: 2}."""
    ordered = sorted(seeds.unique())
    return dict(zip(ordered[1::2], ordered[::2], strict=False))
