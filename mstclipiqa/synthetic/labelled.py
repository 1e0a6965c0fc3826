"""Drawn images under the names of a benchmark's own label files: a rehearsal at the benchmark's true size.

Names, prompts and MOS are the benchmark's. The images are drawn scenes that have nothing to do with them, so whatever
is computed from such a folder is labelled synthetic, as of any other drawn one.
"""

import shutil
from pathlib import Path

from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.samples import check_labels
from mstclipiqa.synthetic.prompts import prompt_text, random_scene
from mstclipiqa.synthetic.studio import PROFILES, Picture, Studio

#: Pixels a side of every image: AGIQA-3K's. Of the other benchmarks, only the images themselves would say.
SIDE = 512


def draw_labelled(studio: Studio, labels: Path) -> None:
    """Copy the label files in the folder `labels` into the studio's, and draw an image for every name in them. Raises
    InputError for label files that the benchmark's reader refuses."""
    benchmark = get_benchmark(studio.name)
    read = benchmark.read(labels)
    frame = check_labels(benchmark, read)
    for file in read.files:
        place = studio.folder / file.relative_to(labels)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    generators, profiles = sorted(set(frame["generator"])), list(PROFILES)
    fails_as = {name: profiles[number % len(profiles)] for number, name in enumerate(generators)}
    studio.draw(
        _picture(studio, image, fails_as[generator])
        for image, generator in zip(frame["image"], frame["generator"], strict=True)
    )


def _picture(studio: Studio, image: str, profile: str) -> Picture:
    """The picture of an image, by its name alone, so that images can be drawn in any order."""
    scene = random_scene(studio.rng("scene", image))
    return Picture(f"images/{image}", prompt_text(scene), scene, profile, SIDE)
