"""Made-up looks into trained models, beside made-up predictions: dissections, and attention to the prompts.

    python speed/made_up_models.py --config CONFIG --results FOLDER

is the second half of made_up.py. A model as trained has the numbers of its made-up run; the rest is drawn.
"""

from collections.abc import Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path

import click
import numpy as np
import pandas as pd
from made_up import PACKAGES, RECIPES, noise
from safetensors import safe_open

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import ATTENTION, DISSECTION, PROMPTS, RUNS, SAMPLES, SPLITS
from mstclipiqa.base.names import MODELS, QUALITY, TEST, VALIDATION
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.encoders.stores import read_description
from mstclipiqa.evaluation.metrics import plcc, srcc
from mstclipiqa.provenance.dissection_checks import ALLOWED, FEATURES, GATES, RULES, SCORERS, SHARES
from mstclipiqa.study.jobs import Job, seeds_of
from mstclipiqa.study.study import Study
from mstclipiqa.training.dataset import first_split

#: Dimensions of the gate.
WIDTH = 512


def write_dissection(study: Study, results: Path, benchmark: str, recipe: str) -> None:
    """The tables of one benchmark and recipe."""
    samples, card = SAMPLES.read(SAMPLES.at(results, benchmark=benchmark))
    splits, _ = SPLITS.read(SPLITS.at(results, benchmark=benchmark))
    protocol = next(name for name in study.config["protocols"] if name.startswith("grouped"))
    splits = splits[splits["protocol"] == protocol]
    runs = {variant: RUNS.read(results / Job(benchmark, QUALITY, recipe, variant).path)[0] for variant in MODELS}
    numbers = sorted(splits["split"].unique().tolist())
    seed = study.config["seeds"][0]
    metadata = {
        "benchmark": benchmark, "synthetic": card["synthetic"], "target": QUALITY, "recipe": recipe,
        "protocol": protocol, "seed": seed, "splits": len(numbers),
        "code": fingerprint("mstclipiqa.analyses.dissection"),
        "versions": {package: version(package) for package in PACKAGES},
    }  # fmt: skip
    generator, found = samples.set_index("image")["generator"], []
    for split in numbers:
        tested = splits[(splits["split"] == split) & (splits["role"] == TEST)]["image"]
        own = {
            variant: run[
                (run["protocol"] == protocol) & (run["split"] == split) & (run["seed"] == seed)
                & (run["selection"] == VALIDATION)
            ]
            for variant, run in runs.items()
        }  # fmt: skip
        scores = {
            variant: {"srcc": srcc(run["prediction"], run["mos"]), "plcc": plcc(run["prediction"], run["mos"])}
            for variant, run in own.items()
        }
        rng = noise("dissection", benchmark, recipe, split)
        tables = _dissect(rng, scores, tested, generator[tested].value_counts())
        found.append([table.assign(split=split, recipe=recipe) for table in tables])
    for entry, tables in zip(DISSECTION, zip(*found, strict=True), strict=True):
        table = pd.concat(tables, ignore_index=True)
        entry.write(entry.at(results, benchmark=benchmark, recipe=recipe), table[list(entry.columns)], metadata)


def _dissect(
    rng: np.random.Generator, scores: dict[str, dict[str, float]], tested: pd.Series, sizes: pd.Series
) -> Iterator[pd.DataFrame]:
    """The rows of DISSECTION of one split, without what names it: from the scores of each variant on the images
    `tested`, of whose generators `sizes` says how many images each has."""
    rows: list[dict] = []
    for variant, gate in product(MODELS, GATES):
        lost = 0.0 if gate == GATES[0] else rng.uniform(0, 0.02)
        found = {name: value - lost for name, value in scores[variant].items()}
        rows.append({"variant": variant, "intervention": gate, "n": len(tested), **found})
    yield pd.DataFrame(rows)
    keys = product(MODELS, ["all", *sorted(sizes.index[sizes > 1])], range(WIDTH))
    movement = pd.DataFrame(keys, columns=["variant", "generator", "dimension"])
    yield movement.assign(mean=rng.uniform(0.3, 0.7, len(movement)), sd=rng.uniform(0, 0.1, len(movement)))
    decoding = pd.DataFrame(product(FEATURES, ("coarse", "fine")), columns=["features", "stream"])
    yield decoding.assign(r2=rng.uniform(0.2, 1, len(decoding)))
    rows = []
    for rule, scorer in product(RULES, SCORERS):
        lost = np.concatenate([[0.0], np.sort(rng.uniform(0, 0.03, len(SHARES) - 1))])
        last = np.flatnonzero(lost <= ALLOWED)[-1]
        rows += [
            {"rule": rule, "scorer": scorer, "aimed": share, "skipped": share, "chosen": bool(number == last)}
            | {"srcc_val": 0.8 - lost[number], "srcc": scores[MODELS[0]]["srcc"] - lost[number]}
            for number, share in enumerate(SHARES)
        ]
    yield pd.DataFrame(rows)


def write_attention(study: Study, results: Path, job: Job) -> None:
    """Equal weights for the tokens of every test image's prompt."""
    samples, card = SAMPLES.read(SAMPLES.at(results, benchmark=job.benchmark))
    splits, _ = SPLITS.read(SPLITS.at(results, benchmark=job.benchmark))
    protocol, split = first_split(splits)
    splits = splits[splits["protocol"] == protocol]
    seed, selection = seeds_of(study.config, splits["split"].nunique())[0], describe_protocol(protocol)["selection"]
    store = PROMPTS.at(results, benchmark=job.benchmark)
    with safe_open(store, framework="np") as tensors:  # not the tokens' states
        lengths = dict(
            zip(read_description(store)["texts"], np.diff(tensors.get_tensor("offsets")).tolist(), strict=True)
        )
    said = samples.set_index("image")["prompt"]
    rows = [
        (image, position, f"token {position + 1}", round(1 / lengths[said[image]], 6))
        for image in splits[(splits["split"] == split) & (splits["role"] == TEST)]["image"]
        for position in range(lengths[said[image]])
    ]
    table, described = RUNS.read(results / job.path)
    place = (table["protocol"] == protocol) & (table["split"] == split) & (table["seed"] == seed)
    run = table[place & (table["selection"] == selection)]
    metadata = vars(job) | {
        "synthetic": card["synthetic"], **{name: described[name] for name in ("encoders", "text_encoder")},
        "protocol": protocol, "split": split, "seed": seed, "selection": selection, "epoch": int(run["epoch"].iloc[0]),
        "srcc": srcc(run["prediction"], run["mos"]), "alpha": 0.1, "norms": {"initial": 1.0, "trained": 1.0},
        "code": fingerprint("mstclipiqa.analyses.attention"),
        "versions": {package: version(package) for package in PACKAGES},
    }  # fmt: skip
    ATTENTION.write(ATTENTION.at(results, **vars(job)), pd.DataFrame(rows, columns=list(ATTENTION.columns)), metadata)


@click.command()
@click.option("--config", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--results", type=click.Path(exists=True, path_type=Path), required=True)
def main(config: Path, results: Path) -> None:
    """Make up what looking into trained models would give."""
    study = Study(read_yaml(config), RECIPES, config)
    for benchmark, recipe in study.dissected:
        write_dissection(study, results, benchmark, recipe)
    for job in study.attended:
        write_attention(study, results, job)


if __name__ == "__main__":
    main()
