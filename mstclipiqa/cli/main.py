"""`mstclipiqa VERB`: one verb per step of the workflow, each usable by hand.

The verbs import what they run when they run it, so that help and checks answer at once.
"""

import errno
import json
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mstclipiqa import __version__
from mstclipiqa.base.errors import InputError, MstclipiqaError

if TYPE_CHECKING:
    import pandas as pd

    from mstclipiqa.model.recipes import Recipe
    from mstclipiqa.scoring.trained_head import Head
    from mstclipiqa.training.dataset import Dataset

READ = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
WRITE = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)

#: What the system refuses for want of room or rights, wherever that happens.
REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}

#: What a table must have to be the one that an option asks for.
SAMPLES = ("benchmark", "image", "path", "sha256", "prompt", "prompt_group")
SPLITS = ("protocol", "split", "image", "role")


class OneLineErrors(click.Group):
    """Shows this project's errors as one line, with exit status 1 and no traceback."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except MstclipiqaError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            place = error.filename or "the disk"
            raise click.ClickException(f"{place}: {error.strerror}; make room or give rights, and run again") from None


@click.group(cls=OneLineErrors, context_settings={"show_default": True})
@click.version_option(__version__)
def main() -> None:
    """Reproducibility benchmark harness for MST-CLIPIQA: each verb is a step of the workflow."""


def _read_configuration(config: Path, data_root: Path | None) -> dict:
    """The configuration file, with `data_root` in place of its own where one is given."""
    from mstclipiqa.base.documents import read_yaml

    return read_yaml(config) | ({"data_root": str(data_root)} if data_root else {})


@main.command()
@click.option("--config", type=READ, required=True, help="Configuration file, e.g. config/paper.yaml.")
@click.option("--recipes", type=FOLDER, default="config/recipes", help="Folder of the recipe files.")
@click.option("--data-root", type=FOLDER, help="In place of the configuration's data_root.")
def plan(config: Path, recipes: Path, data_root: Path | None) -> None:
    """Say what a configuration will cost: jobs, runs, time on this machine, disk. Trains and encodes a trial."""
    from mstclipiqa.study.plan import plan as make_plan
    from mstclipiqa.study.study import Study

    study = Study(_read_configuration(config, data_root), recipes, config)
    cost = make_plan(study, Path("results") / study.suite)
    for name, reason in cost["absent"].items():
        click.echo(f"{name}: left out, {reason}")
    for name in cost["unknown"]:
        click.echo(f"{name}: not counted, it is still to be drawn; draw it with snakemake --cores all --until samples")
    jobs = cost["jobs"]
    if not len(jobs):
        return
    for name, count in cost["images"].items():
        own = jobs[jobs["benchmark"] == name]
        click.echo(f"{name}: {count:,} images, {len(own)} training jobs, {own['runs'].sum():,} runs")
    hours, cores = jobs["seconds"].sum() / 3600, cost["cores"]
    speeds = ", ".join(f"{name} {speed:,.0f}" for name, speed in cost["images_per_second"].items())
    click.echo(
        f"encode {sum(cost['encoded'].values()):,} images and views on {cost['device']}: "
        f"{cost['extraction_seconds'] / 3600:.2f} h (images/s, tried here without decoding: {speeds})"
    )
    click.echo(
        f"train {jobs['runs'].sum():,} runs in {len(jobs)} jobs: {hours:.2f} core hours, {hours / cores:.2f} h on "
        f"{cores} cores (steps tried here)"
    )
    click.echo(f"store {cost['bytes'] / 1e6:,.0f} MB of features and predictions")


def acquisition_options(command: click.Command) -> click.Command:
    """Where benchmarks come from and are kept."""
    options = (
        click.option("--sources", type=READ, default="config/sources.yaml", help="Where the files come from."),
        click.option(
            "--cache", type=WRITE, envvar="MSTCLIPIQA_CACHE", default=Path("~/.cache/mstclipiqa").expanduser,
            show_default="~/.cache/mstclipiqa", help="Where downloads are kept; may be shared. [$MSTCLIPIQA_CACHE]",
        ),
        click.option(
            "--offline", is_flag=True, envvar="MSTCLIPIQA_OFFLINE", help="Use no network. [$MSTCLIPIQA_OFFLINE]"
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.argument("benchmark")
@click.option("--data-root", type=WRITE, required=True, help="Holds a folder per benchmark.")
@click.option("--archive", type=READ, help="An archive of the benchmark that you have already.")
@click.option("--labels-only", is_flag=True, help="Leave the images.")
@acquisition_options
def acquire(
    benchmark: str, data_root: Path, archive: Path | None, labels_only: bool, sources: Path, cache: Path, offline: bool
) -> None:
    """Complete BENCHMARK's folder: your archive first, then label files and images from known sources. Resumes."""
    from mstclipiqa.data.acquisition import acquire as acquire_benchmark
    from mstclipiqa.data.acquisition import read_sources

    state = acquire_benchmark(benchmark, data_root, read_sources(sources), cache, archive, labels_only, offline)
    click.echo(f"{data_root / benchmark}: labels of {state.labelled:,} images, {state.images:,} of them there")


@main.command()
@click.option("--config", type=READ, required=True, help="Configuration file, e.g. config/paper.yaml.")
@click.option("--recipes", type=FOLDER, default="config/recipes", help="Folder of the recipe files.")
@click.option("--data-root", type=WRITE, help="In place of the configuration's data_root.")
@acquisition_options
def doctor(config: Path, recipes: Path, data_root: Path | None, sources: Path, cache: Path, offline: bool) -> None:
    """Say what a configuration needs, what of it is there, and how to get the rest. Downloads nothing."""
    from mstclipiqa.data.acquisition import read_sources
    from mstclipiqa.study.doctor import MISSING, diagnose, render

    document = _read_configuration(config, data_root)
    findings = diagnose(document, recipes, read_sources(sources), cache, offline, config)
    click.echo(render(findings))
    missing = [finding.subject for finding in findings if finding.status == MISSING]
    if missing:
        raise InputError(f"essential and missing: {'; '.join(missing)}; the page above says how to get each")
    click.echo("\nNothing essential is missing.")


@main.command()
@click.argument("benchmark")
@click.option("--root", type=WRITE, required=True, help="Folder to draw into, replaced where it exists.")
@click.option("--seed", type=SEED, default=0, help="Equal seeds give equal bytes.")
@click.option("--scale", type=float, default=1.0, help="Share of the prompts to draw.")
def draw(benchmark: str, root: Path, seed: int, scale: float) -> None:
    """Draw the miniature stand-in of BENCHMARK in its real on-disk layout."""
    from mstclipiqa.synthetic.miniature import draw_benchmark

    draw_benchmark(benchmark, root, seed, scale)


@main.command()
@click.argument("benchmark")
@click.option("--root", type=WRITE, required=True, help="The benchmark's folder: label files and images.")
@click.option("--out", type=WRITE, required=True, help="Samples table (Parquet) to write.")
def samples(benchmark: str, root: Path, out: Path) -> None:
    """Read BENCHMARK's label files and find its images: one samples table, defects counted."""
    from mstclipiqa.base.files import write_table
    from mstclipiqa.data.benchmarks import get_benchmark
    from mstclipiqa.data.samples import collect_samples

    frame, card = collect_samples(get_benchmark(benchmark), root)
    write_table(out, frame, card)
    click.echo(f"{card['title']}: {len(frame)} images, {card['prompts']} prompts, {card['rows_read']} label rows")
    for defect in card["defects"]:
        shown = f" (e.g. {', '.join(defect['examples'])})" if defect["examples"] else ""
        click.echo(f"  {defect['count']} {defect['what']}: {defect['rule']}{shown}")


@main.command()
@click.option("--samples", type=READ, required=True)
@click.option("--protocol", "protocols", multiple=True, required=True, help="Repeatable, e.g. lab-seed1, grouped10.")
@click.option("--out", type=WRITE, required=True, help="Splits table (Parquet) to write.")
def split(samples: Path, protocols: tuple[str, ...], out: Path) -> None:
    """Split a benchmark under each protocol, and measure each split's prompt leakage."""
    from mstclipiqa.base.files import read_table, write_table
    from mstclipiqa.data.protocols import split_samples

    frame, card = read_table(samples, SAMPLES)
    splits, leakage = split_samples(frame, list(protocols))
    write_table(out, splits, {"benchmark": card["benchmark"], "protocols": leakage})
    for protocol, counts in leakage.items():
        for count in counts:
            click.echo(
                f"{card['title']}, {protocol} split {count['split']}: {count['train']} train, {count['val']} val, "
                f"{count['test']} test; {count['test_images_with_prompt_in_train']} test images have their prompt "
                "in training"
            )


def encoder_options(command: click.Command) -> click.Command:
    """The options that name an encoder."""
    command = click.option("--weights", required=True, help="A pretrained tag, a file, embedded, or random:SEED.")(
        command
    )
    return click.option("--model", required=True, help="open_clip model, e.g. ViT-B-32-quickgelu.")(command)


@main.command()
@click.option(
    "--encoder", "encoders", type=(str, str, WRITE), multiple=True, required=True, metavar="MODEL WEIGHTS OUT",
    help="An open_clip model, its weights (a pretrained tag, a file, embedded, or random:SEED) and the feature store "
    "(safetensors) to write. Repeatable: images are decoded once for all.",
)  # fmt: skip
@click.option(
    "--text-encoder", type=(str, str, WRITE), metavar="MODEL WEIGHTS OUT",
    help="Encode the distinct prompts too, by the text tower of this model, into a store of their own.",
)  # fmt: skip
@click.option("--samples", type=READ, required=True)
@click.option("--root", type=FOLDER, required=True, help="The folder that the samples' paths start from.")
@click.option("--batch-size", type=click.IntRange(1), default=8, help="Images per forward pass on a CPU.")
@click.option("--gpu-batch-size", type=click.IntRange(1), default=256, help="The same on a GPU.")
@click.option("--threads", type=click.IntRange(1), default=1, help="Batches at once: decoded, and on a CPU encoded.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", help="Of the encoders.")
@click.option("--recipe", type=READ, help="Encode this recipe's augmented views of every image, not the image.")
@click.option(
    "--shard", type=(click.IntRange(1), click.IntRange(1)), default=(1, 1), metavar="K N",
    help="Encode the K-th of N shares of the batches, for a call without this option to put together.",
)  # fmt: skip
def extract(
    encoders: tuple[tuple[str, str, Path], ...], text_encoder: tuple[str, str, Path] | None, samples: Path, root: Path,
    batch_size: int, gpu_batch_size: int, threads: int, precision: str, recipe: Path | None, shard: tuple[int, int],
) -> None:  # fmt: skip
    """Encode every image of a benchmark, on a GPU where there is one. Resumes where it was killed."""
    from functools import cache

    from mstclipiqa.base.files import read_table
    from mstclipiqa.encoders.clip import default_device, load_encoder
    from mstclipiqa.encoders.extraction import extract_features, extract_texts
    from mstclipiqa.model.recipes import load_recipe

    frame, _ = read_table(samples, SAMPLES)
    loaded = load_recipe(recipe) if recipe else None
    if loaded and not loaded.views:
        raise InputError(f"{recipe}: trains on no augmented views; leave --recipe out")
    views = {"augmentation": loaded.augmentation, "views": loaded.views} if loaded else {}
    outputs = [out for _, _, out in [*encoders, *([text_encoder] if text_encoder else [])]]
    if shard[0] > shard[1]:
        raise InputError(f"--shard: there is no {shard[0]} of {shard[1]}; give a number from 1 to {shard[1]} first")
    if len(stores := set(outputs)) < len(outputs):
        raise InputError(f"--encoder: {len(outputs)} encoders for {len(stores)} stores; give each a file of its own")
    device, load = default_device(), cache(load_encoder)
    batch_size = gpu_batch_size if device.type == "cuda" else batch_size
    loaded_encoders = {out: load(model, weights, device, precision) for model, weights, out in encoders}
    if text_encoder:
        model, weights, out = text_encoder
        extract_texts(load(model, weights, device, "float32"), frame["prompt"], out)  # only images are rounded
    extract_features(loaded_encoders, frame, root, batch_size, threads, **views, shard=shard)


@main.command("encode-texts")
@encoder_options
@click.option("--samples", type=READ, help="Encode the distinct prompts of this samples table.")
@click.option("--template", help="Encode the five quality levels in this template, e.g. 'a photo with {} quality'.")
@click.option("--zero-shot", is_flag=True, help="Encode the texts of the zero-shot controls.")
@click.option("--out", type=WRITE, required=True, help="Text store (safetensors) to write.")
def encode_texts(
    model: str, weights: str, samples: Path | None, template: str | None, zero_shot: bool, out: Path
) -> None:
    """Encode every distinct prompt, the quality levels, or the zero-shot controls' texts, once."""
    from mstclipiqa.analyses.baselines import ZERO_SHOT_TEXTS
    from mstclipiqa.base.files import read_table
    from mstclipiqa.base.names import LEVELS
    from mstclipiqa.encoders.clip import load_encoder
    from mstclipiqa.encoders.extraction import extract_texts

    if (samples is not None) + (template is not None) + zero_shot != 1:
        raise click.UsageError("give one of --samples, --template and --zero-shot")
    if template is not None and not re.fullmatch(r"[^{}]*\{\}[^{}]*", template):
        raise InputError(f"template {template!r}: give one {{}} for the level, as in 'a photo with {{}} quality'")
    if zero_shot:
        texts = ZERO_SHOT_TEXTS
    else:
        texts = read_table(samples, SAMPLES)[0]["prompt"] if samples else [template.format(level) for level in LEVELS]
    extract_texts(load_encoder(model, weights), texts, out)


@main.command()
@click.option("--samples", type=READ, required=True)
@click.option("--splits", type=READ, required=True)
@click.option("--coarse", type=READ, required=True, help="Features of the coarse encoder.")
@click.option("--fine", type=READ, required=True, help="Features of the fine encoder.")
@click.option("--prompts", type=READ, required=True, help="Text store of the prompts.")
@click.option("--levels", type=READ, required=True, help="Text store of the recipe's quality levels.")
@click.option("--fine-levels", type=READ, help="The same by the fine encoder's text tower, which mstfe-1 needs.")
@click.option("--coarse-views", type=READ, help="Augmented views by the coarse encoder, where the recipe has some.")
@click.option("--fine-views", type=READ, help="The same views by the fine encoder.")
@click.option("--recipe", type=READ, required=True, help="Recipe file; released_code.yaml lies beside it.")
@click.option("--variant", required=True)
@click.option("--target", required=True)
@click.option("--seed", "seeds", type=SEED, multiple=True, required=True, help="Repeatable.")
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes on a CPU; changes the speed only.")
@click.option("--device", type=click.Choice(["cpu", "auto"]), default="cpu", help="auto: a GPU, where there is one.")
@click.option("--out", type=WRITE, required=True, help="Predictions (Parquet) to write.")
def train(
    samples: Path, splits: Path, coarse: Path, fine: Path, prompts: Path, levels: Path, fine_levels: Path | None,
    coarse_views: Path | None, fine_views: Path | None, recipe: Path, variant: str, target: str,
    seeds: tuple[int, ...], workers: int, device: str, out: Path,
) -> None:  # fmt: skip
    """Train every split and seed of one target, recipe and variant. Resumes at the first unfinished run."""
    import torch

    from mstclipiqa.base.files import read_table
    from mstclipiqa.encoders.stores import load_features, load_texts
    from mstclipiqa.model.recipes import load_recipe
    from mstclipiqa.model.variants import get_variant
    from mstclipiqa.training.dataset import assemble_dataset
    from mstclipiqa.training.job import train_job

    get_variant(variant)
    frame, card = read_table(samples, SAMPLES)
    stores = {"coarse": load_features(coarse), "fine": load_features(fine), "prompts": load_texts(prompts)}
    views = {"coarse_views": coarse_views, "fine_views": fine_views}
    views = {name: load_features(path) for name, path in views.items() if path}
    data = assemble_dataset(frame, card["ranges"], target, **stores, **views)
    loaded = load_recipe(recipe)
    metadata = {
        "benchmark": card["benchmark"],
        "target": target,
        "recipe": loaded.name,
        "recipe_values": loaded.values,
        "variant": variant,
        "synthetic": card["synthetic"],
        "encoders": {role: stores[role].metadata["encoder"] for role in ("coarse", "fine")},
        "text_encoder": stores["prompts"].metadata["encoder"],
    }
    table, _ = read_table(splits, SPLITS)
    own_levels = load_texts(fine_levels) if fine_levels else None
    chosen = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")
    train_job(out, data, table, variant, loaded, load_texts(levels), list(seeds), metadata, own_levels, workers, chosen)


@main.command()
@click.option("--out", type=WRITE, required=True, help="Folder for the weights and their learning curves.")
@click.option("--work", type=WRITE, required=True, help="Folder for the drawn images (150 kB each) and checkpoints.")
@click.option("--seed", type=SEED, default=0, help="Draws initial weights, batches and captions.")
@click.option("--images", type=click.IntRange(1000), default=40000, help="Images to draw and train on.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Share of the steps to train.")
@click.option("--workers", type=click.IntRange(1), default=2, help="Processes that draw, then train.")
def pretrain(out: Path, work: Path, seed: int, images: int, share: float, workers: int) -> None:
    """Pretrain the embedded encoder pair on drawn images. Resumes where it was killed."""
    from mstclipiqa.synthetic.pretraining import pretrain_pair

    pretrain_pair(out, work, seed, images, workers, share)


@main.command()
@click.option("--samples", type=READ, required=True)
@click.option("--splits", type=READ, required=True)
@click.option("--coarse", type=READ, required=True, help="Features of the coarse encoder.")
@click.option("--coarse-model", required=True, help="The open_clip model of these features.")
@click.option("--coarse-weights", required=True, help="Its weights: a pretrained tag, a file, or random:SEED.")
@click.option("--fine", type=READ, required=True, help="Features of the fine encoder.")
@click.option("--fine-model", required=True, help="The open_clip model of these features.")
@click.option("--fine-weights", required=True, help="Its weights.")
@click.option("--prompts", type=READ, required=True, help="Text store of the prompts.")
@click.option("--levels", type=READ, required=True, help="Text store of the recipe's quality levels.")
@click.option("--recipe", type=READ, required=True, help="Recipe file; released_code.yaml lies beside it.")
@click.option("--seed", type=SEED, default=0, help="Initial weights and batches of the trained model.")
@click.option("--out", type=WRITE, required=True, help="Folder for readout.parquet and gates.parquet.")
def probe(
    samples: Path, splits: Path, coarse: Path, coarse_model: str, coarse_weights: str, fine: Path, fine_model: str,
    fine_weights: str, prompts: Path, levels: Path, recipe: Path, seed: int, out: Path,
) -> None:  # fmt: skip
    """Draw images of known content and distortion, and measure what each feature stream and the gate carry of them."""
    from mstclipiqa.analyses.probe import TARGET, matching_encoder, run_probe
    from mstclipiqa.base.files import read_table
    from mstclipiqa.encoders.stores import load_features, load_texts
    from mstclipiqa.model.recipes import load_recipe
    from mstclipiqa.training.dataset import assemble_dataset

    frame, card = read_table(samples, SAMPLES)
    stores = {"coarse": load_features(coarse), "fine": load_features(fine)}
    data = assemble_dataset(frame, card["ranges"], TARGET, prompts=load_texts(prompts), **stores)
    loaded, table = load_recipe(recipe), read_table(splits, SPLITS)[0]
    encoders = {
        "coarse": matching_encoder(coarse, stores["coarse"], coarse_model, coarse_weights),
        "fine": matching_encoder(fine, stores["fine"], fine_model, fine_weights),
    }
    metadata = {"benchmark": card["benchmark"], "synthetic": card["synthetic"]}
    run_probe(out, data, table, loaded, load_texts(levels), seed, encoders, metadata)


@main.command()
@click.option("--samples", type=READ, required=True)
@click.option("--root", type=FOLDER, required=True, help="The folder that the samples' paths start from.")
@click.option("--threads", type=click.IntRange(1), default=1, help="Batches measured at once.")
@click.option("--out", type=WRITE, required=True, help="Feature store (safetensors) to write.")
def measure(samples: Path, root: Path, threads: int, out: Path) -> None:
    """Measure simple statistics of every image, as features that no network is needed for."""
    from mstclipiqa.base.files import read_table
    from mstclipiqa.encoders.extraction import extract_features
    from mstclipiqa.encoders.statistics import StatisticsEncoder

    frame, _ = read_table(samples, SAMPLES)
    extract_features({out: StatisticsEncoder()}, frame, root, threads=threads)


@main.command()
@click.option("--samples", type=READ, required=True)
@click.option("--splits", type=READ, required=True)
@click.option("--coarse", type=READ, required=True, help="Features of the coarse encoder.")
@click.option("--fine", type=READ, required=True, help="Features of the fine encoder.")
@click.option("--statistics", type=READ, required=True, help="Image statistics, written by `mstclipiqa measure`.")
@click.option("--prompts", type=READ, required=True, help="Text store of the prompts.")
@click.option("--texts", type=READ, required=True, help="Text store, written by `mstclipiqa encode-texts --zero-shot`.")
@click.option("--paired", type=READ, required=True, help="Features of the encoder whose text tower read these texts.")
@click.option("--out", type=WRITE, required=True, help="Table (Parquet) to write.")
def baselines(
    samples: Path, splits: Path, coarse: Path, fine: Path, statistics: Path, prompts: Path, texts: Path, paired: Path,
    out: Path,
) -> None:  # fmt: skip
    """What heads are held against: ridge on features and image statistics, zero-shot scores, means over groups.

    Prints mean ± sample SD over the splits of a protocol.
    """
    from mstclipiqa.analyses.baselines import all_predictors, score_predictors
    from mstclipiqa.analyses.ridge import PENALTY
    from mstclipiqa.base.files import read_table, write_table
    from mstclipiqa.encoders.stores import load_features, load_texts

    frame, card = read_table(samples, SAMPLES)
    paths = {"coarse": coarse, "fine": fine, "statistics": statistics, "paired": paired}
    stores = {name: load_features(path) for name, path in paths.items()}
    predictors = all_predictors(frame, stores, load_texts(prompts), load_texts(texts))
    rows, left_out = score_predictors(predictors, frame, read_table(splits, SPLITS)[0], list(card["ranges"]))
    metadata = {"benchmark": card["benchmark"], "synthetic": card["synthetic"], "penalty": PENALTY}
    metadata["encoders"] = {name: store.metadata["encoder"] for name, store in stores.items()}
    write_table(out, rows, metadata | {"left_out": left_out})
    for (target, protocol, source), group in rows.groupby(["target", "protocol", "source"], sort=False):
        shown = ", ".join(f"{name.upper()} {_mean_and_sd(group[name])}" for name in ("srcc", "plcc"))
        click.echo(f"{card['title']} {target}, {protocol}, {len(group)} splits, {source}: {shown}")
    for entry in left_out:
        where = f"{card['title']} {entry['target']}, {entry['protocol']}, {len(entry['splits'])} splits"
        click.echo(f"{where}, {entry['source']}: left out, the same for every test image")


def _mean_and_sd(values: "pd.Series") -> str:
    return f"{values.mean():.4f}" + (f" ± {values.std():.4f}" if len(values) > 1 else "")


@main.command()
@click.argument("benchmark")
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--recipe", "recipes", type=READ, multiple=True, required=True, help="Recipe file. Repeatable.")
@click.option("--seed", type=SEED, default=0, help="Initial weights and batches of every run.")
@click.option("--out", type=WRITE, required=True, help="Table (Parquet) to write.")
def curves(benchmark: str, results: Path, recipes: tuple[Path, ...], seed: int, out: Path) -> None:
    """SRCC on BENCHMARK after every epoch, under each recipe and at other learning rates, beside ridge regression."""
    from mstclipiqa.analyses.learning_curves import TARGET, run_curves
    from mstclipiqa.base.files import read_table
    from mstclipiqa.encoders.stores import load_texts
    from mstclipiqa.model.recipes import load_recipe

    splits, cases = read_table(results / benchmark / "splits.parquet", SPLITS)[0], []
    for recipe in map(load_recipe, recipes):
        data, card = read_dataset(results, benchmark, recipe, TARGET)
        cases.append((recipe, data, load_texts(results / "levels" / f"{recipe.name}.safetensors")))
    run_curves(out, splits, cases, seed, {"benchmark": benchmark, "synthetic": card["synthetic"]})


@main.command()
@click.argument("benchmarks", nargs=-1, required=True)
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--recipe", type=READ, required=True, help="Recipe file; released_code.yaml lies beside it.")
@click.option("--seed", type=SEED, default=0, help="Initial weights and batches of every run.")
@click.option("--out", type=WRITE, required=True, help="Table (Parquet) to write.")
def transfer(benchmarks: tuple[str, ...], results: Path, recipe: Path, seed: int, out: Path) -> None:
    """Train on each of BENCHMARKS, and test on its own test images and on all images of the others."""
    from mstclipiqa.analyses.transfer import TARGET, first_split, run_transfer
    from mstclipiqa.base.files import read_table
    from mstclipiqa.encoders.stores import load_texts
    from mstclipiqa.model.recipes import load_recipe

    loaded, sources = load_recipe(recipe), {}
    for name in benchmarks:
        data, _ = read_dataset(results, name, loaded, TARGET)
        sources[name] = first_split(data, read_table(results / name / "splits.parquet", SPLITS)[0], name)
    levels = load_texts(results / "levels" / f"{loaded.name}.safetensors")
    run_transfer(out, sources, loaded, levels, seed)


@main.command("train-head")
@click.argument("benchmark")
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--recipe", type=READ, required=True, help="Recipe file; released_code.yaml lies beside it.")
@click.option("--variant", default="mst-clipiqa")
@click.option("--target", default="quality", help="quality, authenticity or correspondence.")
@click.option("--protocol", required=True, help="A protocol of the splits table, e.g. lab-seed1.")
@click.option("--split", type=click.IntRange(0), default=0, help="Which of its splits: its training images are used.")
@click.option("--seed", type=SEED, default=0, help="Initial weights and batches.")
@click.option("--selection", type=click.Choice(["last", "validation", "best-on-test"]), default="last", help="Epoch.")
@click.option("--out", type=WRITE, required=True, help="Head (safetensors) to write.")
def train_head(
    benchmark: str, results: Path, recipe: Path, variant: str, target: str, protocol: str, split: int, seed: int,
    selection: str, out: Path,
) -> None:  # fmt: skip
    """Train one run on BENCHMARK again, and keep its model as a file for `mstclipiqa score`."""
    from mstclipiqa.base.files import read_table
    from mstclipiqa.encoders.stores import load_texts
    from mstclipiqa.model.recipes import load_recipe
    from mstclipiqa.model.variants import TWO_TOWERS, get_variant
    from mstclipiqa.scoring.trained_head import load_head, train_head

    loaded, needs_own = load_recipe(recipe), get_variant(variant).head == TWO_TOWERS
    data, card = read_dataset(results, benchmark, loaded, target, variant)
    splits = read_table(results / benchmark / "splits.parquet", SPLITS)[0]
    levels = load_texts(results / "levels" / f"{loaded.name}.safetensors")
    own_levels = load_texts(results / "levels" / f"{loaded.name}-fine.safetensors") if needs_own else None
    names = ("benchmark", "title", "synthetic", "encoders", "text_encoder")
    metadata = {name: card[name] for name in names} | {"target": target}
    run = (protocol, split, seed)
    train_head(out, data, splits, run, variant, loaded, levels, metadata, own_levels, selection)
    click.echo(describe_head(load_head(out)))


def describe_head(head: "Head") -> str:
    """A head's card in one line."""
    card = head.summary
    if not card["test"]:
        return f"{head.target}: {card['variant']} of {head.name}"
    return (
        f"{head.target}: {card['variant']} trained on {card['train_images']} images of {card['title']}"
        f"{' (synthetic)' if card['synthetic'] else ''}, {card['protocol']} split {card['split']}; on its "
        f"{card['test']['n']} test images SRCC {card['test']['srcc']:.4f} ({card['selection']} epoch); "
        f"scale {card['low']:g} to {card['high']:g}"
    )


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--head", "heads", type=READ, multiple=True, help="Head of one target (train-head). Repeatable.")
@click.option("--released", type=READ, help="A quality checkpoint trained by the released code.")
@click.option("--prompt", help="What all images were generated from, for heads that read it.")
@click.option("--prompts", type=READ, help="The same by image: a CSV file with the columns image and prompt.")
@click.option("--weights", multiple=True, metavar="MODEL=PLACE", help="Where an encoder's weights are. Repeatable.")
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Images per forward pass.")
@click.option("--out", type=WRITE, help="Scores to write, .csv or .json; CSV on the standard output without it.")
def score(
    images: tuple[Path, ...], heads: tuple[Path, ...], released: Path | None, prompt: str | None, prompts: Path | None,
    weights: tuple[str, ...], batch_size: int, out: Path | None,
) -> None:  # fmt: skip
    """Score IMAGES, files or folders, with trained heads. Exit status 1 where an image could not be scored."""
    if prompt is not None and prompts is not None:
        raise click.UsageError("give one of --prompt and --prompts")
    if out and out.suffix not in (".csv", ".json"):
        raise InputError(f"{out}: scores are written as .csv or .json; name it so")
    if wrong := [place for place in weights if not re.fullmatch(r"[^=]+=.+", place)]:
        raise InputError(f"--weights {wrong[0]!r}: give MODEL=PLACE, e.g. ViT-B-32-quickgelu=weights.pt")

    from mstclipiqa.base.files import write_json, write_text
    from mstclipiqa.scoring.released import load_released
    from mstclipiqa.scoring.scorer import Scorer, read_prompts, records

    given = [*heads, *([load_released(released)] if released else [])]
    scorer = Scorer(*given, weights=dict(place.split("=", 1) for place in weights))
    for head in scorer.heads.values():
        click.echo(describe_head(head), err=True)
    table = scorer.score(images, read_prompts(prompts) if prompts else prompt, batch_size)
    if out and out.suffix == ".json":
        summaries = {target: head.summary for target, head in scorer.heads.items()}
        write_json(out, {"heads": summaries, "scores": records(table)})
    elif out:
        write_text(out, table.to_csv(index=False))
    else:
        click.echo(table.to_csv(index=False), nl=False)
    if count := int(table["error"].notna().sum()):
        raise MstclipiqaError(f"{count} of {len(table)} images could not be scored; the column `error` says why")


def read_dataset(
    results: Path, benchmark: str, recipe: "Recipe", target: str, variant: str = "mst-clipiqa"
) -> "tuple[Dataset, dict]":
    """A benchmark of a results folder as a variant sees it under a recipe; its card, with the encoders' identities."""
    from mstclipiqa.base.files import read_table
    from mstclipiqa.encoders.stores import load_features, load_texts
    from mstclipiqa.model.variants import get_variant
    from mstclipiqa.training.dataset import assemble_dataset

    frame, card = read_table(results / benchmark / "samples.parquet", SAMPLES)
    features, own = results / benchmark / "features", get_variant(variant).fine
    encoders = {"coarse": "coarse", "fine": recipe.fine_stream if own == "fine" else own}
    stores = {role: load_features(features / f"{name}.safetensors") for role, name in encoders.items()}
    if recipe.views:
        for role, name in encoders.items():
            stores[f"{role}_views"] = load_features(features / f"{name}-{recipe.name}.safetensors")
    prompts = load_texts(features / "prompts.safetensors")
    card["encoders"] = {role: stores[role].metadata["encoder"] for role in encoders}
    card["text_encoder"] = prompts.metadata["encoder"]
    return assemble_dataset(frame, card["ranges"], target, prompts=prompts, **stores), card


@main.command()
@click.argument("runs", nargs=-1, type=READ, required=True)
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--out", type=WRITE, required=True, help="Metrics table (Parquet) to write.")
def evaluate(runs: tuple[Path, ...], results: Path, out: Path) -> None:
    """SRCC, PLCC (raw and fitted), KRCC and RMSE of every run and selection in the prediction files RUNS."""
    from mstclipiqa.base.files import write_table
    from mstclipiqa.evaluation.per_run import evaluate_runs

    write_table(out, evaluate_runs(runs, results), {"files": len(runs)})


@main.command()
@click.option("--metrics", type=READ, required=True, help="Metrics table, written by `mstclipiqa evaluate`.")
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--out", type=WRITE, required=True, help="Folder for intervals, comparisons and generators (Parquet).")
def compare(metrics: Path, results: Path, out: Path) -> None:
    """Bootstrap intervals, paired tests between variants, and SRCC by generator, of all runs."""
    from mstclipiqa.base.files import read_table, write_table
    from mstclipiqa.evaluation.comparisons import COLUMNS, METADATA, compare_runs

    for name, table in zip(COLUMNS, compare_runs(read_table(metrics)[0], results), strict=True):
        write_table(out / f"{name}.parquet", table, METADATA)


@main.command()
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--claims", "path", type=READ, default="config/claims.yaml", help="The paper's claims.")
@click.option("--paper-tables", type=READ, default="config/paper_tables.csv", help="The paper's printed numbers.")
@click.option("--recipes", type=FOLDER, default="config/recipes", help="Folder of recipe files.")
@click.option("--out", type=WRITE, required=True, help="Verdicts (JSON) to write.")
def claims(results: Path, path: Path, paper_tables: Path, recipes: Path, out: Path) -> None:
    """Hold every claim of the paper against the runs of a suite: one verdict per claim, recipe and protocol."""
    from collections import Counter

    from mstclipiqa.base.files import write_json
    from mstclipiqa.claims.rules import RULES
    from mstclipiqa.claims.verdicts import claims_document

    document = claims_document(path, paper_tables, results, recipes)
    write_json(out, document)
    counts = Counter(row["verdict"] for row in document["claims"] if row["like_for_like"])
    shown = ", ".join(f"{counts[verdict]} {verdict}" for verdict in RULES)
    click.echo(f"Verdicts under {document['like_for_like']}: {shown}")


def read_json_config(text: str) -> dict:
    """A configuration given as JSON on the command line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--config: not JSON ({error})") from None


@main.command()
@click.option("--config", required=True, help="The configuration as JSON.")
@click.option("--recipes", type=FOLDER, default="config/recipes", help="Folder of recipe files.")
@click.option("--out", type=WRITE, required=True, help="Table (Parquet) of what is counted.")
@click.option("--timings", type=WRITE, required=True, help="Table (Parquet) of what is timed, other every time.")
def efficiency(config: str, recipes: Path, out: Path, timings: Path) -> None:
    """What each model costs from image to score: parameters, operations, time on this machine."""
    from mstclipiqa.analyses.efficiency import measure_efficiency
    from mstclipiqa.base.files import write_table
    from mstclipiqa.encoders.clip import load_encoder
    from mstclipiqa.study.study import Study

    study = Study(read_json_config(config), recipes)
    precision = study.config["extraction"]["precision"]
    encoders = {
        name: load_encoder(encoder["model"], encoder["weights"], precision=precision)
        for name, encoder in study.config["encoders"].items()
    }
    counted, timed, metadata = measure_efficiency(study, encoders)
    write_table(timings, timed, metadata)
    write_table(out, counted, {"encoders": metadata["encoders"]})


@main.command()
@click.option("--config", required=True, help="The configuration as JSON.")
@click.option("--recipes", type=FOLDER, default="config/recipes", help="Folder of recipe files.")
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--out", type=WRITE, required=True, help="Manifest (JSON) to write.")
def manifest(config: str, recipes: Path, results: Path, out: Path) -> None:
    """Record what the results were made from: configuration, code, versions, hardware, hashes."""
    from mstclipiqa.base.files import write_json
    from mstclipiqa.provenance.manifest import build_manifest
    from mstclipiqa.study.study import Study

    write_json(out, build_manifest(Study(read_json_config(config), recipes), results))


@main.command()
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--reference", type=WRITE, required=True, help="Reference, e.g. config/reference/reduced.csv.")
def check(results: Path, reference: Path) -> None:
    """Hold a suite's measurements against its committed reference. Exit status 1 where they differ."""
    from mstclipiqa.provenance.reference import check_suite

    measured, comparison = check_suite(results, reference)
    click.echo(str(comparison))
    if comparison.failures:
        raise MstclipiqaError(
            f"{reference}: {len(comparison.failures)} differences; mend them, or bless them if they are meant: "
            f"mstclipiqa bless --results {results} --reference {reference} --by NAME --reason WHY"
        )
    click.echo(f"green: {len(measured.rows)} rows as in {reference}")


@main.command()
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--reference", type=WRITE, required=True, help="Reference to write.")
@click.option("--by", required=True, help="Who stands for the new reference.")
@click.option("--reason", required=True, help="Why the measurements changed. One line, kept in the reference.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def bless(results: Path, reference: Path, by: str, reason: str, yes: bool) -> None:
    """Make a suite's measurements its reference, after showing what changes."""
    from mstclipiqa.provenance.reference import check_suite, find_faults, measure, write_reference

    if reference.exists():
        measured, comparison = check_suite(results, reference)
        click.echo(str(comparison))
    else:
        measured = measure(results)
        click.echo(f"{reference}: the first reference, {len(measured.rows)} rows")
    faults = find_faults(results, measured.rows)
    if faults:
        raise MstclipiqaError(f"{faults[0]} ({len(faults)} faults); no reference may hold that, mend it and run again")
    if not yes:
        click.confirm(f"Write {reference}?", abort=True)
    write_reference(reference, measured, by, reason)


@main.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.option("--data-root", type=FOLDER, help="Folder with a folder per benchmark, to hold the inputs against too.")
@click.option(
    "--config", type=click.Path(path_type=Path), default="config",
    help="Folder of claims.yaml, paper_tables.csv and recipes/, to decide the verdicts again.",
)  # fmt: skip
def verify(results: Path, data_root: Path | None, config: Path) -> None:
    """Hold RESULTS, a results folder or a bundle, against its manifest, and compute its numbers again.

    Says what does not hold, a line each, with exit status 1; what was not checked, and why.
    """
    from mstclipiqa.provenance.bundle import verify_bundle
    from mstclipiqa.provenance.verification import verify_results

    verdict = (verify_results if results.is_dir() else verify_bundle)(results, data_root, config)
    for line in verdict.findings:
        click.echo(line)
    for line in verdict.notes:
        click.echo(f"Not checked: {line}")
    if verdict.findings:
        raise InputError(f"{results}: does not hold ({len(verdict.findings)} findings, named above)")
    click.echo(f"{results} holds: {verdict.summary}")


@main.command()
@click.argument("results", type=FOLDER)
@click.argument("reports", type=FOLDER)
@click.option("--features", is_flag=True, help="Pack the feature stores too; they are large.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Of publication; else when the manifest was written.")
@click.option("--out", type=WRITE, required=True, help="Zip to write.")
def bundle(results: Path, reports: Path, features: bool, date: datetime | None, out: Path) -> None:
    """Pack RESULTS and REPORTS of a suite, without images, into one zip that `mstclipiqa verify` accepts anywhere."""
    from mstclipiqa.provenance.bundle import write_bundle

    packed = write_bundle(results, reports, out, features, f"{date:%Y-%m-%d}" if date else None)
    left = f"; {packed.left_out} feature stores are not in it (--features packs them)" if packed.left_out else ""
    click.echo(f"{out}: {packed.files} files, {out.stat().st_size / 1e6:,.1f} MB{left}")


@main.command()
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--paper-tables", type=READ, help="The numbers printed in the paper (CSV).")
@click.option("--out", type=WRITE, required=True, help="Folder for index.html, tables/ and figures/.")
def report(results: Path, paper_tables: Path | None, out: Path) -> None:
    """Write the tables, the figures and the page of a suite."""
    from mstclipiqa.report import write_report

    write_report(results, out, paper_tables)
    click.echo(f"The page: {out / 'index.html'}")
