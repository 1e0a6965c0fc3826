"""Steps that encode: images and prompts by CLIP, texts, and statistics of images."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mstclipiqa.base.errors import InputError
from mstclipiqa.cli import options
from mstclipiqa.cli.options import COUNT, READ, WRITE

if TYPE_CHECKING:
    from mstclipiqa.model.recipes import Recipe

WEIGHTS = "a pretrained tag, a file, embedded, or random:SEED"


@click.command()
@click.option(
    "--encoder", "encoders", type=(str, str, WRITE), multiple=True, required=True, metavar="MODEL WEIGHTS OUT",
    help=f"An open_clip model, its weights ({WEIGHTS}) and the feature store (safetensors) to write. Repeatable: "
    "images are decoded once for all.",
)  # fmt: skip
@click.option(
    "--text-encoder", type=(str, str, WRITE), metavar="MODEL WEIGHTS OUT",
    help="Encode the distinct prompts too, by the text tower of this model, into a store of their own.",
)  # fmt: skip
@click.option("--translations", type=READ, help="The prompts in another language too (CSV: prompt, translation).")
@options.samples
@options.root
@click.option("--batch-size", type=COUNT, default=8, help="Images per forward pass on a CPU.")
@click.option("--gpu-batch-size", type=COUNT, default=256, help="The same on a GPU.")
@click.option("--threads", type=COUNT, default=1, help="Images decoded, and on a CPU batches encoded, at once.")
@options.precision
@options.device
@click.option(
    "--recipe",
    type=options.RecipeFile(views=True),
    help="Encode this recipe's augmented views of every image, not the image.",
)
@click.option(
    "--shard", type=(COUNT, COUNT), default=(1, 1), metavar="K N",
    help="Encode the K-th of N shares of the batches, for a call without this option to put together.",
)  # fmt: skip
def extract(
    encoders: tuple[tuple[str, str, Path], ...], text_encoder: tuple[str, str, Path] | None,
    translations: Path | None, samples: Path, root: Path, batch_size: int,
    gpu_batch_size: int, threads: int, precision: str, device: str, recipe: "Recipe | None",
    shard: tuple[int, int],
) -> None:  # fmt: skip
    """Encode every image of a benchmark. Resumes where it was killed."""
    from mstclipiqa.data.translations import read_translations
    from mstclipiqa.encoders.encode import distinct_prompts, extract_from_files

    augmentation, views = (recipe.augmentation, recipe.views) if recipe else (None, 0)
    if recipe and not views:
        raise InputError(f"recipe {recipe.name}: trains on no augmented views; leave --recipe out")
    extract_from_files(
        encoders, text_encoder, samples, root, batch_size, gpu_batch_size, threads, precision, augmentation, views,
        shard, device, read_translations(translations, distinct_prompts(samples)) if translations else None,
    )  # fmt: skip


@click.command("encode-images")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--encoder", "encoders", type=(str, str, WRITE), multiple=True, required=True, metavar="MODEL WEIGHTS FOLDER",
    help=f"An open_clip model, its weights ({WEIGHTS}) and the folder of its stores. Repeatable: images are decoded "
    "once for all.",
)  # fmt: skip
@options.precision
@options.device
@options.parts
def encode_images(
    images: tuple[Path, ...], encoders: tuple[tuple[str, str, Path], ...], precision: str, device: str,
    part_size: int, batch_size: int, shard: tuple[int, int],
) -> None:  # fmt: skip
    """Encode any number of IMAGES: folders, lists (.txt, .csv), tar shards. Resumes where it was killed."""
    from mstclipiqa.encoders.many import extract_many

    options.say_counts(extract_many(encoders, images, part_size, batch_size, shard, precision, device), "encoded")


@click.command("encode-texts")
@click.option("--model", required=True, help="open_clip model, e.g. ViT-B-32-quickgelu.")
@click.option("--weights", required=True, help=f"{WEIGHTS[0].upper()}{WEIGHTS[1:]}.")
@click.option("--samples", type=READ, help="Encode the distinct prompts of this samples table.")
@click.option("--template", help="Encode the five quality levels in this template, e.g. 'a photo with {} quality'.")
@click.option("--zero-shot", is_flag=True, help="Encode the texts of the zero-shot rivals.")
@click.option("--out", type=WRITE, required=True, help="Text store (safetensors) to write.")
def encode_texts(
    model: str, weights: str, samples: Path | None, template: str | None, zero_shot: bool, out: Path
) -> None:
    """Encode every distinct prompt, the quality levels, or the zero-shot rivals' texts, once."""
    from mstclipiqa.analyses.zero_shot import ZERO_SHOT_TEXTS
    from mstclipiqa.encoders.encode import distinct_prompts
    from mstclipiqa.encoders.encode import encode_texts as encode
    from mstclipiqa.model.recipes import level_texts

    if (samples is not None) + (template is not None) + zero_shot != 1:
        raise click.UsageError("give one of --samples, --template and --zero-shot")
    if samples:
        texts = distinct_prompts(samples)
    else:
        texts = list(ZERO_SHOT_TEXTS) if zero_shot else level_texts(template or "")
    encode(out, model, weights, texts)


@click.command()
@options.samples
@options.root
@click.option("--threads", type=COUNT, default=1, help="Batches measured at once.")
@options.store
def measure(samples: Path, root: Path, threads: int, out: Path) -> None:
    """Measure simple statistics of every image, as features that no network is needed for."""
    from mstclipiqa.encoders.measure import measure_from_files

    measure_from_files(out, samples, root, threads)
