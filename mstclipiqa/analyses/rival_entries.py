"""The rivals without a head as entries: their scores of every image, for a board."""

from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.analyses.baselines import BaselineFiles, Predictor, all_predictors, each_split, sources_of
from mstclipiqa.analyses.ridge import find_groupings
from mstclipiqa.analyses.zero_shot import zero_shot_scores
from mstclipiqa.base.layout import SAMPLES, SPLITS
from mstclipiqa.data.benchmarks import has_prompts
from mstclipiqa.encoders.stores import load_texts
from mstclipiqa.entries.entry import make_card, round_scores, write_entry

#: What the cards of these rivals say.
CARD = {"code": "mstclipiqa/analyses/baselines.py", "licence": "Apache-2.0", "saw_test_images": "says no"}
SPLIT_DATA, NO_DATA = "the training images of each split", "none of the benchmark"
NO_IMAGE = "looks at no image"


def enter_rivals(out: Path, files: BaselineFiles) -> list[str]:
    """Write an entry for each rival and target into `out`, and say which, a line each. A rival that gives all test
    images of a split the same score has none, as it ranks nothing."""
    samples, card = SAMPLES.read(files.samples)
    splits = SPLITS.read(files.splits)[0]
    stores = files.load_stores()
    texts = load_texts(files.prompts, with_tokens=False), load_texts(files.texts)
    fixed = zero_shot_scores(samples["prompt"], stores["paired"], *texts)
    said = []
    prompted = has_prompts(card["benchmark"])
    for source, predict in all_predictors(samples, stores, *texts, find_groupings(samples), prompted).items():
        for target in card["ranges"]:
            scores = (
                pd.DataFrame({"image": samples["image"], "prediction": fixed[source].astype(float)})
                if source in fixed
                else _by_split(predict, samples, splits, target)
            )
            if scores is None:
                said.append(f"{source}, {target}: left out, the same for every test image of a split")
                continue
            read = ["paired"] if source in fixed else sources_of(stores).get(source, [])  # means over groups read none
            encoders = " and ".join(stores[name].metadata["encoder"]["label"] for name in read)
            data = f"{NO_DATA if source in fixed else SPLIT_DATA}; {f'features of {encoders}' if read else NO_IMAGE}"
            made = make_card(source, card["benchmark"], target, samples, training_data=data, **CARD)
            folder = out / card["benchmark"] / target / made["name"]
            entry = write_entry(folder, made, round_scores(scores))
            said.append(f"{entry.folder}: {source}, {target}")
    return said


def _by_split(predict: Predictor, samples: pd.DataFrame, splits: pd.DataFrame, target: str) -> pd.DataFrame | None:
    """The scores of every split's test images; None where those of any split are all equal."""
    tables, mos = [], samples[target].to_numpy(float)
    for protocol, split, train, test in each_split(samples, splits):
        predicted = predict(train, test, mos).mos
        if np.ptp(predicted) == 0:
            return None
        run = {
            "protocol": protocol,
            "split": split,
            "seed": 0,
            "image": samples["image"][test],
            "prediction": predicted,
        }
        tables.append(pd.DataFrame(run))
    return pd.concat(tables)
