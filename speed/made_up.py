"""Made-up results of a whole study, at its own size and in its own layout, to rehearse what comes after training.

    python speed/made_up.py --config CONFIG --results FOLDER

writes the stores, predictions and controls of a configuration whose samples and splits are there; speed/rehearsal.py
calls it. Features are noise with a trace of the MOS, predictions are the MOS with noise: some of it the image's own,
some of it the variant's, some the run's. Every number that follows from them says nothing of any model.
"""

import zlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch

from mstclipiqa.analyses.efficiency import BATCHES, count_efficiency
from mstclipiqa.analyses.gates import gate_shifts, variance_shares
from mstclipiqa.analyses.learning_curves import choose_split, learning_rates
from mstclipiqa.analyses.probe_images import describe_images, probe_scenes
from mstclipiqa.analyses.readout import read_out
from mstclipiqa.analyses.zero_shot import ZERO_SHOT_TEXTS
from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import (
    CURVES,
    EFFICIENCY,
    EXTRACTION,
    FEATURES,
    FINE_LEVELS,
    GATES,
    LEVELS,
    PROMPTS,
    READOUT,
    RUNS,
    SAMPLES,
    SPLITS,
    STATISTICS,
    TIMED,
    TRANSFER,
    VIEWS,
    ZERO_SHOT,
)
from mstclipiqa.base.names import BEST_ON_TEST, LAST, MODELS, QUALITY, TEST, TRAIN, VAL, VALIDATION
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.encoders.clip import Encoder, load_encoder
from mstclipiqa.encoders.statistics import NAMES
from mstclipiqa.encoders.stores import write_store
from mstclipiqa.evaluation.metrics import plcc, srcc
from mstclipiqa.model.build import build_model, count_trainable
from mstclipiqa.model.recipes import level_texts
from mstclipiqa.model.variants import PAIR, get_variant
from mstclipiqa.provenance.control_checks import PROBED
from mstclipiqa.study.jobs import Job, protocols_of, seeds_of
from mstclipiqa.study.study import Study
from mstclipiqa.training.dataset import first_split
from mstclipiqa.training.process import prepare_process

RECIPES = Path(__file__).parents[1] / "config" / "recipes"

PACKAGES = ("torch", "numpy", "scipy")

#: The noise of a prediction in SD of the MOS, by what it belongs to: the image, whatever looks at it; the image under
#: a variant; the image in a run. With 0.75 in all a correlation is about 0.8.
OF_IMAGE, OF_VARIANT, OF_RUN = 0.6, 0.3, 0.3

#: How much less noise the epoch has that is best on test.
BEST = 0.95


def noise(*names: object) -> np.random.Generator:
    """A generator of its own for whatever has these names."""
    return np.random.default_rng(zlib.crc32("/".join(map(str, names)).encode()))


# Encoders and stores


def load_encoders(config: Mapping) -> dict[str, Encoder]:
    """The configuration's encoders by name, with drawn weights in place of what it names; their identities say what it
    names, so that the page and the verdicts are those of a real study."""
    encoders = {}
    for name, asked in config["encoders"].items():
        encoder = load_encoder(asked["model"], "random:0", precision=config["extraction"]["precision"])
        label = f"{asked['model']}, weights {asked['weights']}"
        encoder.identity.update(weights=asked["weights"], pretrained=True, label=label)
        encoders[name] = encoder
    return encoders


def write_stores(study: Study, results: Path, name: str, encoders: dict[str, Encoder]) -> None:
    """Every store of one benchmark."""
    samples, _ = SAMPLES.read(SAMPLES.at(results, benchmark=name))
    listed = {"images": samples["image"].tolist(), "sha256": samples["sha256"].tolist()}
    mos = samples[get_benchmark(name).targets[0]].to_numpy()
    trace = ((mos - mos.mean()) / mos.std())[:, None]

    def write(entry: type(FEATURES), size: tuple[int, ...], identity: dict, **names: str) -> None:
        values = noise(name, *names.values()).normal(size=(len(samples), *size)).astype(np.float32)
        values[..., :16] += 0.2 * (trace if len(size) == 1 else trace[:, None])
        metadata = {"encoder": identity, "code": "made up", "device": "cpu", **listed}
        write_store(entry.at(results, benchmark=name, **names), {"features": values}, metadata)

    for role in study.encoders(name):
        write(FEATURES, (encoders[role].identity["dim"],), encoders[role].identity, encoder=role)
    for (benchmark, recipe), roles in study.views.items():
        for role in roles if benchmark == name else ():
            size = study.recipes[recipe].views, encoders[role].identity["dim"]
            write(VIEWS, size, encoders[role].identity, encoder=role, recipe=recipe)
    write(STATISTICS, (len(NAMES),), {"label": "statistics", "names": list(NAMES), "weights_sha256": ""})
    text = encoders[study.config["text_encoder"]]
    write_texts(PROMPTS.at(results, benchmark=name), list(dict.fromkeys(samples["prompt"])), text)
    timing = EXTRACTION.at(results, benchmark=name, encoders="-".join(PAIR))
    timing.parent.mkdir(parents=True, exist_ok=True)
    timing.write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t900.1\n")


def write_texts(output: Path, texts: list[str], encoder: Encoder) -> None:
    """A text store: as many tokens of each text as its tokenizer finds, up to the context."""
    counts, most = encoder.token_counts(texts), encoder.identity["context_length"]
    offsets = np.cumsum([0, *np.minimum(counts, most)])
    rng, width, dim = noise(output.name, len(texts)), encoder.identity["text_width"], encoder.identity["dim"]
    tensors = {
        "tokens": rng.standard_normal((offsets[-1], width), dtype=np.float32),
        "offsets": offsets,
        "pooled": rng.standard_normal((len(texts), dim), dtype=np.float32),
    }
    truncated = [text for text, count in zip(texts, counts, strict=True) if count > most]
    metadata = {"encoder": encoder.identity, "code": "made up", "device": "cpu"}
    write_store(output, tensors, metadata | {"texts": texts, "truncated": truncated})


def write_levels(study: Study, results: Path, encoders: dict[str, Encoder]) -> None:
    """The texts of the suite: the levels in each recipe's template, and the zero-shot rivals'."""
    text, fine = encoders[study.config["text_encoder"]], encoders["fine"]
    for name, recipe in study.recipes.items():
        write_texts(LEVELS.at(results, recipe=name), level_texts(recipe.template), text)
        if name in study.with_two_towers:
            write_texts(FINE_LEVELS.at(results, recipe=name), level_texts(recipe.template), fine)
    write_texts(ZERO_SHOT.at(results), list(ZERO_SHOT_TEXTS), text)


# Runs


def write_runs(study: Study, results: Path, name: str, encoders: dict[str, Encoder]) -> Iterator[int]:
    """The predictions of every job of one benchmark; gives how many each has."""
    samples, card = SAMPLES.read(SAMPLES.at(results, benchmark=name))
    splits, _ = SPLITS.read(SPLITS.at(results, benchmark=name))
    several = splits.groupby("protocol")["split"].nunique()
    row_of = pd.Series(samples.index, index=samples["image"])
    places = [
        (protocol, int(split), seed, row_of[group["image"][group["role"] == TEST]].sort_values().to_numpy(),
         (group["role"] == VAL).any())
        for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True)
        for seed in seeds_of(study.config, several[protocol])
    ]  # fmt: skip
    text = encoders[study.config["text_encoder"]].identity
    for job in (job for job in study.jobs if job.benchmark == name):
        recipe, streams = study.recipes[job.recipe], study.streams(job.recipe, job.variant)
        protocols = protocols_of(study.config, job)
        own = [place for place in places if place[0] in protocols]
        table = pd.concat(_predict(job, samples, own, recipe.epochs), ignore_index=True)
        levels = torch.zeros(5, text["dim"])
        model = build_model(job.variant, recipe, text["dim"], text["text_width"], levels, 0, levels)
        metadata = {
            **{key: card[key] for key in ("benchmark", "synthetic")},
            "encoders": {f: encoders[name].identity for f, name in zip(("coarse", "fine"), streams, strict=True)},
            "text_encoder": text,
            "target": job.target, "recipe": job.recipe, "recipe_values": recipe.values, "variant": job.variant,
            "code": fingerprint("mstclipiqa.training.job", *get_variant(job.variant).modules),
            "device": "cpu",
            "versions": {package: version(package) for package in PACKAGES},
            "trainable_parameters": count_trainable(model),
            "runs": len(own),
        }  # fmt: skip
        if protocols != study.config["protocols"]:
            metadata["protocols"] = protocols
        RUNS.write(results / job.path, table, metadata)
        yield len(table)


def _predict(job: Job, samples: pd.DataFrame, places: list[tuple], epochs: int) -> Iterator[pd.DataFrame]:
    """The predictions of a job's runs, a table for each."""
    mos, images = samples[job.target].to_numpy(), samples["image"].to_numpy()
    own = OF_IMAGE * noise(job.benchmark, job.target).normal(size=len(mos))
    own += OF_VARIANT * noise(job.benchmark, job.target, job.variant).normal(size=len(mos))
    rng = noise(job.path)
    for protocol, split, seed, rows, validated in places:
        for selection in (BEST_ON_TEST, LAST, *([VALIDATION] if validated else [])):
            spread = (own[rows] + OF_RUN * rng.normal(size=len(rows))) * (BEST if selection == BEST_ON_TEST else 1)
            epoch = epochs if selection == LAST else int(rng.integers(1, epochs + 1))
            keys = {"protocol": protocol, "split": split, "seed": seed, "selection": selection, "epoch": epoch}
            predicted = {"prediction": mos[rows] + mos.std() * spread, "mos": mos[rows]}
            yield pd.DataFrame(keys | {"image": images[rows]} | predicted)


# Beside the runs


def write_controls(study: Study, results: Path, encoders: dict[str, Encoder]) -> None:
    """Curves, transfer, the probe and costs. What a run of the suite has too is that run's."""
    _write_curves(study, results)
    _write_transfer(study, results)
    for recipe in study.probed:
        _write_probe(study, results, recipe, encoders)
    counted = count_efficiency(study, encoders)
    labels = {name: encoder.identity["label"] for name, encoder in encoders.items()}
    EFFICIENCY.write(EFFICIENCY.at(results), counted, {"encoders": labels})
    timed = counted[["recipe", "variant"]].assign(**{f"ms_{size}": counted["gflops"] / 10 for size in BATCHES})
    metadata = {"device": "cpu", "machine": "made up", "rounds": 1, "encoders": labels}
    TIMED.write(TIMED.at(results), timed, metadata)


def _run_of(
    study: Study, results: Path, benchmark: str, recipe: str, variant: str, protocol: str, split: int
) -> dict[str, pd.DataFrame]:
    """The predictions on quality of one run with the first seed, by selection."""
    table, _ = RUNS.read(results / Job(benchmark, QUALITY, recipe, variant).path)
    one = table["split"].eq(split) & table["protocol"].eq(protocol) & table["seed"].eq(study.config["seeds"][0])
    return dict(iter(table[one].groupby("selection")))


def _write_curves(study: Study, results: Path) -> None:
    if not study.curved:
        return
    benchmark, recipes = study.curved
    splits, _ = SPLITS.read(SPLITS.at(results, benchmark=benchmark))
    protocol, split = choose_split(splits)
    roles = splits[(splits["protocol"] == protocol) & (splits["split"] == split)]["role"].value_counts()
    rows = []
    for name in recipes:
        recipe = study.recipes[name]
        run = _run_of(study, results, benchmark, name, MODELS[0], protocol, split)
        known = {int(one["epoch"].iloc[0]): srcc(one["prediction"], one["mos"]) for one in run.values()}
        for rate in learning_rates(recipe):
            for epoch in range(1, recipe.epochs + 1):
                rising = 0.8 * (1 - np.exp(-epoch / 5))
                found = known.get(epoch, rising) if np.isclose(rate, recipe.learning_rate) else rising
                rows += [
                    (name, MODELS[0], rate, epoch, TRAIN, rising + 0.05),
                    (name, MODELS[0], rate, epoch, TEST, found),
                ]
    metadata = {
        "benchmark": benchmark, "synthetic": False, "target": QUALITY, "protocol": protocol, "split": split,
        "seed": study.config["seeds"][0], "train_images": 512, "test_images": int(roles[TEST]),
        "learning_rates": {name: study.recipes[name].learning_rate for name in recipes},
        "ridge": {name: {TRAIN: 0.9, TEST: 0.8} for name in recipes}, "stopped": [],
    }  # fmt: skip
    CURVES.write(CURVES.at(results), pd.DataFrame(rows, columns=list(CURVES.columns)), metadata)


def _write_transfer(study: Study, results: Path) -> None:
    names, recipe, rows, protocols = study.transferred, study.config["recipes"][-1], [], {}
    for name in names:
        splits, _ = SPLITS.read(SPLITS.at(results, benchmark=name))
        protocols[name], split = first_split(splits)
        for variant in (*MODELS, "ridge"):
            for other in names:
                count, scores = len(SAMPLES.read(SAMPLES.at(results, benchmark=other))[0]), (0.5, 0.5)
                if other == name:
                    trained = MODELS[0] if variant == "ridge" else variant
                    run = _run_of(study, results, name, recipe, trained, protocols[name], split)[LAST]
                    count, scores = len(run), (srcc(run["prediction"], run["mos"]), plcc(run["prediction"], run["mos"]))
                rows.append((name, other, variant, "" if variant == "ridge" else recipe, count, *scores))
    if names:
        metadata = {"target": QUALITY, "recipe": recipe, "seed": study.config["seeds"][0], "protocols": protocols}
        TRANSFER.write(TRANSFER.at(results), pd.DataFrame(rows, columns=list(TRANSFER.columns)), metadata)


def _write_probe(study: Study, results: Path, recipe: str, encoders: dict[str, Encoder]) -> None:
    benchmark, scenes = study.probed_benchmark, probe_scenes()
    images, draw = describe_images(scenes), torch.Generator().manual_seed(0)
    features = {name: torch.randn(len(images), encoders["coarse"].identity["dim"], generator=draw) for name in PROBED}
    spoiled = images[images["spoiled"]]
    strengths = torch.tensor(spoiled["strength"].to_numpy(copy=True)).reshape(spoiled["scene"].nunique(), -1)
    states = {state: torch.rand(*strengths.shape, 8, generator=draw).double() for state in ("initial", "trained")}
    summary = {
        state: {"mean": gates.mean().item(), "moved": 0.01, "shares": variance_shares(gates, strengths)}
        for state, gates in states.items()
    }
    protocol, split = first_split(SPLITS.read(SPLITS.at(results, benchmark=benchmark))[0])
    metadata = {
        "benchmark": benchmark, "synthetic": False, "recipe": recipe, "variant": MODELS[0], "target": QUALITY,
        "protocol": protocol, "split": split, "seed": study.config["seeds"][0],
        "encoders": {role: encoders[role].identity for role in PAIR},
        "scenes": len(scenes), "spoiled": len(strengths), "images": len(images), "gates": summary,
    }  # fmt: skip
    shifts = [gate_shifts(gates, strengths).assign(state=state) for state, gates in states.items()]
    for entry, table in ((READOUT, read_out(features, images)), (GATES, pd.concat(shifts, ignore_index=True))):
        table.insert(0, "recipe", recipe)
        entry.write(entry.at(results, recipe=recipe), table, metadata)


@click.command()
@click.option("--config", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--results", type=click.Path(exists=True, path_type=Path), required=True)
def main(config: Path, results: Path) -> None:
    """Make up what training and encoding would give."""
    prepare_process()
    study = Study(read_yaml(config), RECIPES, config)
    encoders, rows = load_encoders(study.config), 0
    write_levels(study, results, encoders)
    for name in study.benchmarks:
        write_stores(study, results, name, encoders)
        rows += sum(write_runs(study, results, name, encoders))
    write_controls(study, results, encoders)
    click.echo(f"{len(study.jobs)} jobs, {rows:,} predictions")


if __name__ == "__main__":
    main()
