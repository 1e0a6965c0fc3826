"""Feature packs: what is computed of a benchmark's images as one file, and the way back."""

from pathlib import Path

import click

from mstclipiqa.cli import options
from mstclipiqa.cli.options import FOLDER, WRITE
from mstclipiqa.cli.terminal import echo


@click.command()
@click.argument("benchmark")
@options.results
@click.option(
    "--encoder", "encoders", multiple=True, metavar="NAME",
    help="A store of image features, e.g. coarse. Repeatable; all if none is given.",
)  # fmt: skip
@click.option("--out", type=WRITE, required=True, help="Pack (zip) to write.")
def pack(benchmark: str, results: Path, encoders: tuple[str, ...], out: Path) -> None:
    """Pack the features of BENCHMARK, and its labels where their licence allows it, into one file without images."""
    from mstclipiqa.study.packing import pack_from_results

    said = pack_from_results(out, results, benchmark, encoders)
    echo(f"{out}: {said}; {out.stat().st_size / 1e6:,.2f} MB")


@click.command()
@click.argument("benchmark")
@click.option(
    "--pack", "source", required=True,
    help="shipped, a file, https://HOST/FILE#sha256=HEX, or hf://datasets/OWNER/NAME@COMMIT/FILE.",
)  # fmt: skip
@click.option("--samples", type=WRITE, help="Samples table (Parquet) to write.")
@click.option(
    "--encoder", "encoders", type=(str, str, WRITE), multiple=True, metavar="MODEL WEIGHTS OUT",
    help="A model and its weights, and the store for its image features. Repeatable.",
)  # fmt: skip
@click.option(
    "--text-encoder", type=(str, str, WRITE), metavar="MODEL WEIGHTS OUT", help="The same for the distinct prompts."
)
@click.option(
    "--levels", type=(str, str, str, WRITE), multiple=True, metavar="MODEL WEIGHTS TEMPLATE OUT",
    help="The same for the five quality levels in a template. Repeatable.",
)  # fmt: skip
@click.option(
    "--zero-shot", type=(str, str, WRITE), metavar="MODEL WEIGHTS OUT",
    help="The same for the texts of the zero-shot rivals.",
)  # fmt: skip
@options.precision
@click.option("--labels", type=FOLDER, help="The benchmark's folder, for label files that the pack may not hold.")
@options.downloads
def unpack(
    benchmark: str, source: str, samples: Path | None, encoders: tuple[tuple[str, str, Path], ...],
    text_encoder: tuple[str, str, Path] | None, levels: tuple[tuple[str, str, str, Path], ...],
    zero_shot: tuple[str, str, Path] | None, precision: str, labels: Path | None, cache: Path, offline: bool,
) -> None:  # fmt: skip
    """Write the samples and stores of BENCHMARK from a feature pack, checked whole before. Alone, show its card."""
    from mstclipiqa.analyses.zero_shot import ZERO_SHOT_TEXTS
    from mstclipiqa.data.pack_sources import find_pack
    from mstclipiqa.data.packs import describe, read_pack
    from mstclipiqa.model.recipes import level_texts
    from mstclipiqa.study.packing import Unpacked, unpack_files

    file = find_pack(benchmark, source, cache, offline)
    texts = [(model, weights, level_texts(template), out) for model, weights, template, out in levels]
    texts += [(*zero_shot[:2], list(ZERO_SHOT_TEXTS), zero_shot[2])] if zero_shot else []
    wanted = Unpacked(samples, encoders, text_encoder, texts)
    if wanted == Unpacked(texts=texts) and not texts:
        read = read_pack(file)
        shapes = {name: values.shape for name, values in read.arrays.items()}
        echo(f"{file}: {file.stat().st_size / 1e6:,.2f} MB, SHA-256 {read.sha256}\n")
        echo(describe(read.card, len(read.samples), shapes))
    else:
        echo(unpack_files(file, benchmark, wanted, precision, labels))
