"""Calibration of the intervals and tests: how often do they hold where the truth is known?

    python tests/calibration.py coverage                         simulated benchmarks, eight designs
    python tests/calibration.py same results/agiqa-3k-seeds      a model against itself, other seeds

`coverage` draws benchmarks whose images share their prompts' traits, splits them as the suites do, trains two ridge
regressions and asks how often the 95 % interval of each number, and of their difference, holds its mean over all draws.
`same` splits the seeds of each model in two, in every draw, and asks how often the paired test calls the halves
different at 5 %. Both print the Markdown tables of docs/calibration.md, and exit with 1 where a bound is not held.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.layout import METRICS, RUNS, SAMPLES, SPLITS
from mstclipiqa.base.names import GROUP, RUN, TEST, TRAIN
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.evaluation.comparisons import interval_of
from mstclipiqa.evaluation.metrics import plcc, srcc
from mstclipiqa.evaluation.noise import IMAGES, noise_of_mean
from mstclipiqa.evaluation.paired_tests import compare_variants
from mstclipiqa.evaluation.resamples import Resamples, resample

#: By name: protocol, prompts, images of each, and whether the model is trained.
DESIGNS = {
    "a fixed model, 216 test images": ("lab-seed1", 540, 2, False),
    "grouped3, 10 prompts of 30": ("grouped3", 10, 30, True),
    "lab-seed1, 540 prompts of 2": ("lab-seed1", 540, 2, True),
    "random10, 540 prompts of 2": ("random10", 540, 2, True),
    "grouped10, 540 prompts of 2": ("grouped10", 540, 2, True),
    "lab-seed1, 12 prompts of 90": ("lab-seed1", 12, 90, True),
    "random10, 12 prompts of 90": ("random10", 12, 90, True),
    "grouped10, 12 prompts of 90": ("grouped10", 12, 90, True),
}
LOW, HIGH = 0.93, 0.97

#: A test at 5 % may call so many pairs of equals different.
MOST_DIFFERENT = 0.05

TRAITS, REPLICATES = 12, 300

PENALTY = 3.0

#: How many of the traits each of the two models sees.
MODELS = {"mst-clipiqa": TRAITS, "other": TRAITS - 2}


def draw_benchmark(rng: np.random.Generator, prompts: int, each: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Samples, and their traits (images, TRAITS): half of a trait's variance, and half of the noise of MOS, is the
    prompt's."""
    prompt = np.repeat(np.arange(prompts), each)
    traits = (rng.normal(size=(prompts, TRAITS))[prompt] + rng.normal(size=(len(prompt), TRAITS))) / np.sqrt(2)
    weights = np.random.default_rng(5).normal(size=TRAITS)
    mos = traits @ weights / np.linalg.norm(weights)
    mos += 0.5 * rng.normal(size=prompts)[prompt] + 0.5 * rng.normal(size=len(prompt))
    names = [f"prompt {number}" for number in prompt]
    images = [f"{number}.png" for number in range(len(prompt))]
    samples = pd.DataFrame({"benchmark": "drawn", "image": images, "row": range(len(images)), "prompt": names})
    return samples.assign(prompt_group=names, quality=mos, sha256=images), traits


def fit(traits: np.ndarray, mos: np.ndarray) -> tuple[np.ndarray, float]:
    """Ridge regression: weights and intercept."""
    centred, mean = traits - traits.mean(axis=0), mos.mean()
    weights = np.linalg.solve(centred.T @ centred + PENALTY * np.eye(traits.shape[1]), centred.T @ (mos - mean))
    return weights, mean - traits.mean(axis=0) @ weights


def measure(rng: np.random.Generator, protocol: str, prompts: int, each: int, trained: bool) -> Iterator[dict]:
    """One draw: the intervals of two models and of their differences, as rows of name, value, low and high."""
    samples, traits = draw_benchmark(rng, prompts, each)
    mos = samples["quality"].to_numpy()
    splits, counts = split_samples(samples, [protocol])
    rows, predictions = [], []
    for variant, seen in MODELS.items():
        for split, roles in splits.groupby("split"):
            role = roles.set_index("image")["role"].reindex(samples["image"]).to_numpy()
            train, test = role == TRAIN, role == TEST
            weights, intercept = np.ones(seen), 0.0
            if trained:
                weights, intercept = fit(traits[train, :seen], mos[train])
            predicted = traits[test, :seen] @ weights + intercept
            predictions.append(pd.DataFrame({"row": np.flatnonzero(test), "prediction": predicted, "mos": mos[test]}))
            key = dict.fromkeys(GROUP, "drawn") | {"variant": variant, "protocol": protocol, "selection": "last"}
            scores = {"srcc": srcc(predicted, mos[test]), "plcc": plcc(predicted, mos[test])}
            rows.append(key | {"split": split, "seed": 0, "n": test.sum()} | scores)
    runs = pd.DataFrame(rows)
    resamples = resample(runs, predictions, samples, counts, REPLICATES)
    for key, group in runs.groupby(GROUP):
        row = interval_of(key, group, resamples)
        for metric in ("srcc", "plcc"):
            yield {"name": f"{metric} {row['variant']}", "value": row[metric]} | {
                end: row[f"{metric}_{end}"] for end in ("low", "high")
            }
    for row in compare_variants(runs, resamples):
        if row["variant"] == "other" and row["noise"] != IMAGES:
            yield {"name": f"{row['metric']} difference", "value": row["difference"]} | {
                end: row[end] for end in ("low", "high")
            }


def coverage(replications: int, seed: int) -> bool:
    """Print how often intervals hold the mean of what they are of; whether all do within LOW to HIGH."""
    print("| design | " + " | ".join(names := ["SRCC", "PLCC", "difference of SRCC", "difference of PLCC"]) + " |")
    print("|---" * (1 + len(names)) + "|")
    held = True
    for number, (design, arguments) in enumerate(DESIGNS.items()):
        rng = np.random.default_rng([seed, number])
        rows = pd.DataFrame([row for _ in range(replications) for row in measure(rng, *arguments)])
        truth = rows.groupby("name")["value"].transform("mean")
        rows["held"] = (rows["low"] <= truth) & (truth <= rows["high"])
        shares = rows.groupby("name")["held"].mean()
        columns = ["srcc mst-clipiqa", "plcc mst-clipiqa", "srcc difference", "plcc difference"]
        shown = [f"{shares[name]:.3f}" if name in shares else "–" for name in columns]
        held &= bool(shares.reindex(columns).dropna().between(LOW, HIGH).all())
        print(f"| {design} | " + " | ".join(shown) + " |", flush=True)
    return held


def same(results: Path, draws: int, seed: int) -> bool:
    """Print how often halves of a model's seeds are called different; whether no model's are too often."""
    print("| recipe | variant | protocol | selection | seeds | runs of each half | different at 5 % |")
    print("|---" * 7 + "|")
    metrics, held = METRICS.read(METRICS.at(results))[0], True
    for benchmark, runs in metrics.groupby("benchmark"):
        samples = SAMPLES.read(SAMPLES.at(results, benchmark=benchmark))[0]
        counts = SPLITS.read(SPLITS.at(results, benchmark=benchmark))[1]["protocols"]
        row_of = pd.Series(samples.index, index=samples["image"])
        for key, group in runs.groupby(GROUP):
            group = group.reset_index(drop=True)
            seeds = sorted(group["seed"].unique())
            if len(seeds) < 4:
                continue
            table = RUNS.read(results / group["file"].iloc[0])[0]
            table["row"] = table["image"].map(row_of)
            by_run = dict(iter(table.groupby(RUN)))
            predictions = [by_run[run] for run in group[RUN].itertuples(index=False, name=None)]
            resamples = resample(group, predictions, samples, counts, REPLICATES)
            share = share_different(group, resamples, seeds, draws, np.random.default_rng(seed))
            held &= share <= MOST_DIFFERENT
            named = dict(zip(GROUP, key, strict=True))
            cells = [*(named[name] for name in ("recipe", "variant", "protocol", "selection")), len(seeds)]
            print(f"| {' | '.join(map(str, cells))} | {len(seeds) // 2} | {100 * share:.1f} % |", flush=True)
    return held


def share_different(
    runs: pd.DataFrame, resamples: Resamples, seeds: list[int], draws: int, rng: np.random.Generator
) -> float:
    """The share of draws in which two halves of the seeds, paired in the order drawn, differ at 5 %."""
    place = runs.reset_index().set_index(["split", "seed"])["index"]
    different = 0
    for _ in range(draws):
        drawn = rng.permutation(seeds)
        halves = drawn[: len(seeds) // 2], drawn[len(seeds) // 2 : 2 * (len(seeds) // 2)]
        pairs = [(split, *pair) for split in runs["split"].unique() for pair in zip(*halves, strict=True)]
        one, other = (np.array([place[pair[0], pair[k]] for pair in pairs]) for k in (1, 2))
        values = runs["srcc"].to_numpy()
        index = pd.MultiIndex.from_tuples([pair[:2] for pair in pairs], names=["split", "seed"])
        differences = pd.Series(values[one] - values[other], index=index)
        noise = noise_of_mean(differences, resamples.of("srcc", one, other))
        different += noise.differs(float(differences.mean())) < MOST_DIFFERENT
    return different / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    simulated, real = commands.add_parser("coverage"), commands.add_parser("same")
    simulated.add_argument("--replications", type=int, default=800)
    real.add_argument("results", type=Path)
    real.add_argument("--draws", type=int, default=200)
    for command in (simulated, real):
        command.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.command == "coverage":
        held = coverage(arguments.replications, arguments.seed)
    else:
        held = same(arguments.results, arguments.draws, arguments.seed)
    sys.exit(not held)


if __name__ == "__main__":
    main()
