"""`mstclipiqa VERB`: one verb per step of the workflow, each usable by hand.

The verbs import what they run when they run it, so that help and checks answer at once.
"""

import json
import re
from pathlib import Path

import click

from mstclipiqa import __version__
from mstclipiqa.errors import InputError, MstclipiqaError

READ = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
WRITE = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)

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


@click.group(cls=OneLineErrors, context_settings={"show_default": True})
@click.version_option(__version__)
def main() -> None:
    """Reproducibility benchmark harness for MST-CLIPIQA: each verb is a step of the workflow."""


@main.command()
@click.argument("benchmark")
@click.option("--root", type=WRITE, required=True, help="Folder to draw into, replaced where it exists.")
@click.option("--seed", type=SEED, default=0, help="Equal seeds give equal bytes.")
@click.option("--scale", type=float, default=1.0, help="Share of the prompts to draw.")
def draw(benchmark: str, root: Path, seed: int, scale: float) -> None:
    """Draw the miniature stand-in of BENCHMARK in its real on-disk layout."""
    from mstclipiqa.benchmarks.miniature import draw_benchmark

    draw_benchmark(benchmark, root, seed, scale)


@main.command()
@click.argument("benchmark")
@click.option("--root", type=WRITE, required=True, help="The benchmark's folder: label files and images.")
@click.option("--out", type=WRITE, required=True, help="Samples table (Parquet) to write.")
def samples(benchmark: str, root: Path, out: Path) -> None:
    """Read BENCHMARK's label files and find its images: one samples table, defects counted."""
    from mstclipiqa.benchmarks import get_benchmark
    from mstclipiqa.benchmarks.base import collect_samples
    from mstclipiqa.files import write_table

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
    from mstclipiqa.files import read_table, write_table
    from mstclipiqa.splits import split_samples

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
@encoder_options
@click.option("--samples", type=READ, required=True)
@click.option("--root", type=FOLDER, required=True, help="The folder that the samples' paths start from.")
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Images per forward pass.")
@click.option("--threads", type=click.IntRange(1), default=1, help="Batches decoded and encoded at once.")
@click.option("--out", type=WRITE, required=True, help="Feature store (safetensors) to write.")
def extract(model: str, weights: str, samples: Path, root: Path, batch_size: int, threads: int, out: Path) -> None:
    """Encode every image of a benchmark, on a GPU where there is one. Resumes where it was killed."""
    from mstclipiqa.clip import load_encoder
    from mstclipiqa.extraction import extract_features
    from mstclipiqa.files import read_table

    frame, _ = read_table(samples, SAMPLES)
    extract_features(load_encoder(model, weights), frame, root, out, batch_size, threads)


@main.command("encode-texts")
@encoder_options
@click.option("--samples", type=READ, help="Encode the distinct prompts of this samples table.")
@click.option("--template", help="Encode the five quality levels in this template, e.g. 'a photo with {} quality'.")
@click.option("--out", type=WRITE, required=True, help="Text store (safetensors) to write.")
def encode_texts(model: str, weights: str, samples: Path | None, template: str | None, out: Path) -> None:
    """Encode every distinct prompt, or the quality levels, once."""
    from mstclipiqa.clip import load_encoder
    from mstclipiqa.extraction import extract_texts
    from mstclipiqa.files import read_table
    from mstclipiqa.model import LEVELS

    if (samples is None) == (template is None):
        raise click.UsageError("give one of --samples and --template")
    if template is not None and not re.fullmatch(r"[^{}]*\{\}[^{}]*", template):
        raise InputError(f"template {template!r}: give one {{}} for the level, as in 'a photo with {{}} quality'")
    texts = read_table(samples, SAMPLES)[0]["prompt"] if samples else [template.format(level) for level in LEVELS]
    extract_texts(load_encoder(model, weights), texts, out)


@main.command()
@click.option("--samples", type=READ, required=True)
@click.option("--splits", type=READ, required=True)
@click.option("--coarse", type=READ, required=True, help="Features of the coarse encoder.")
@click.option("--fine", type=READ, required=True, help="Features of the fine encoder.")
@click.option("--prompts", type=READ, required=True, help="Text store of the prompts.")
@click.option("--levels", type=READ, required=True, help="Text store of the recipe's quality levels.")
@click.option("--recipe", type=READ, required=True, help="Recipe file; released_code.yaml lies beside it.")
@click.option("--variant", required=True)
@click.option("--target", required=True)
@click.option("--seed", "seeds", type=SEED, multiple=True, required=True, help="Repeatable.")
@click.option("--out", type=WRITE, required=True, help="Predictions (Parquet) to write.")
def train(
    samples: Path, splits: Path, coarse: Path, fine: Path, prompts: Path, levels: Path, recipe: Path,
    variant: str, target: str, seeds: tuple[int, ...], out: Path,
) -> None:  # fmt: skip
    """Train every split and seed of one target, recipe and variant. Resumes at the first unfinished run."""
    from mstclipiqa.features import load_features, load_texts
    from mstclipiqa.files import read_table
    from mstclipiqa.recipes import load_recipe
    from mstclipiqa.training import assemble_dataset, train_job
    from mstclipiqa.variants import get_variant

    get_variant(variant)
    frame, card = read_table(samples, SAMPLES)
    stores = {"coarse": load_features(coarse), "fine": load_features(fine), "prompts": load_texts(prompts)}
    data = assemble_dataset(frame, card["ranges"], target, **stores)
    loaded = load_recipe(recipe)
    metadata = {
        "benchmark": card["benchmark"],
        "target": target,
        "recipe": loaded.name,
        "variant": variant,
        "synthetic": card["synthetic"],
        "encoders": {role: stores[role].metadata["encoder"] for role in ("coarse", "fine")},
        "text_encoder": stores["prompts"].metadata["encoder"],
    }
    table, _ = read_table(splits, SPLITS)
    train_job(out, data, table, variant, loaded, load_texts(levels), list(seeds), metadata)


@main.command()
@click.option("--out", type=WRITE, required=True, help="Folder for the weights and their learning curves.")
@click.option("--work", type=WRITE, required=True, help="Folder for the drawn images (150 kB each) and checkpoints.")
@click.option("--seed", type=SEED, default=0, help="Draws initial weights, batches and captions.")
@click.option("--images", type=click.IntRange(1000), default=40000, help="Images to draw and train on.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Share of the steps to train.")
@click.option("--workers", type=click.IntRange(1), default=2, help="Processes that draw, then train.")
def pretrain(out: Path, work: Path, seed: int, images: int, share: float, workers: int) -> None:
    """Pretrain the embedded encoder pair on drawn images. Resumes where it was killed."""
    from mstclipiqa.pretraining import pretrain_pair

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
    from mstclipiqa.features import load_features, load_texts
    from mstclipiqa.files import read_table
    from mstclipiqa.probe import TARGET, matching_encoder, run_probe
    from mstclipiqa.recipes import load_recipe
    from mstclipiqa.training import assemble_dataset

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
    from mstclipiqa.extraction import StatisticsEncoder, extract_features
    from mstclipiqa.files import read_table

    frame, _ = read_table(samples, SAMPLES)
    extract_features(StatisticsEncoder(), frame, root, out, threads=threads)


@main.command()
@click.option("--samples", type=READ, required=True)
@click.option("--splits", type=READ, required=True)
@click.option("--coarse", type=READ, required=True, help="Features of the coarse encoder.")
@click.option("--fine", type=READ, required=True, help="Features of the fine encoder.")
@click.option("--statistics", type=READ, required=True, help="Image statistics, written by `mstclipiqa measure`.")
@click.option("--out", type=WRITE, required=True, help="Table (Parquet) to write.")
def baselines(samples: Path, splits: Path, coarse: Path, fine: Path, statistics: Path, out: Path) -> None:
    """Ridge regression on frozen features, image statistics and the mean colour: what heads are held against."""
    from mstclipiqa.baselines import PENALTY, ridge_baselines
    from mstclipiqa.features import load_features
    from mstclipiqa.files import read_table, write_table

    frame, card = read_table(samples, SAMPLES)
    stores = {"coarse": load_features(coarse), "fine": load_features(fine), "statistics": load_features(statistics)}
    rows = ridge_baselines(frame, read_table(splits, SPLITS)[0], stores, list(card["ranges"]))
    metadata = {"benchmark": card["benchmark"], "synthetic": card["synthetic"], "penalty": PENALTY}
    write_table(out, rows, metadata | {"encoders": {name: store.metadata["encoder"] for name, store in stores.items()}})
    for (target, protocol, source), group in rows.groupby(["target", "protocol", "source"], sort=False):
        shown = ", ".join(f"{name.upper()} {group[name].mean():.4f}" for name in ("srcc", "plcc"))
        click.echo(f"{card['title']} {target}, {protocol}, {len(group)} splits, ridge on {source}: {shown}")


@main.command()
@click.argument("runs", nargs=-1, type=READ, required=True)
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--out", type=WRITE, required=True, help="Metrics table (Parquet) to write.")
def evaluate(runs: tuple[Path, ...], results: Path, out: Path) -> None:
    """SRCC, PLCC (raw and fitted), KRCC and RMSE of every run and selection in the prediction files RUNS."""
    from mstclipiqa.evaluation import evaluate_runs
    from mstclipiqa.files import write_table

    write_table(out, evaluate_runs(runs, results), {"files": len(runs)})


@main.command()
@click.option("--config", required=True, help="The configuration as JSON.")
@click.option("--recipes", type=FOLDER, default="config/recipes", help="Folder of recipe files.")
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--out", type=WRITE, required=True, help="Manifest (JSON) to write.")
def manifest(config: str, recipes: Path, results: Path, out: Path) -> None:
    """Record what the results were made from: configuration, code, versions, hardware, hashes."""
    from mstclipiqa.experiments import Study
    from mstclipiqa.files import write_json
    from mstclipiqa.manifest import build_manifest

    try:
        document = json.loads(config)
    except json.JSONDecodeError as error:
        raise InputError(f"--config: not JSON ({error})") from None
    write_json(out, build_manifest(Study(document, recipes), results))


@main.command()
@click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
@click.option("--paper-tables", type=READ, help="The numbers printed in the paper (CSV).")
@click.option("--out", type=WRITE, required=True, help="Folder for index.html, tables/ and figures/.")
def report(results: Path, paper_tables: Path | None, out: Path) -> None:
    """Write the tables, the figures and the page of a suite."""
    from mstclipiqa.report import write_report

    write_report(results, out, paper_tables)
    click.echo(f"The page: {out / 'index.html'}")
