"""The drawn images and captions that the embedded encoder pair is pretrained on: scenes, textures, and both.

They are of the miniature suite's kind, but from other seeds and far more varied. A captioned image keeps what
training needs: its content in words, its true quality, and the strength of every artefact. No image of a
benchmark, drawn or real, is among them.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageEnhance
from scipy import fft
from scipy.spatial import cKDTree

from mstclipiqa.base.files import Parts, atomic, read_table, write_table
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.progress import progress
from mstclipiqa.synthetic.artefacts import ARTEFACTS, degrade, latents
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.prompts import prompt_text, random_scene
from mstclipiqa.synthetic.scene import COLOURS, Colour, Rng

#: Keeps the corpus apart from everything else that is drawn from a small seed.
CORPUS = 0x636F72

SIDE = 224
SHARD = 500

#: Colours of textures: those of objects, and two more.
PALETTE: dict[str, Colour] = COLOURS | {"black": (24, 22, 28), "grey": (132, 134, 140)}

#: How an artefact is said in a caption.
ARTEFACT_WORDS = {
    "warp": "warped",
    "scramble": "scrambled",
    "ghost": "doubled",
    "blur": "blurry",
    "checkerboard": "checkered",
    "banding": "posterised",
    "colour_cast": "tinted",
    "washout": "faded",
    "noise": "noisy",
    "jpeg": "blocky",
}


# ----------------------------------------------------------------------------------------------------------
# Textures: each is a scalar field in 0..1 of shape (side, side), to be coloured; or an image of its own.


def _grid(side: int, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in 0..1, turned by a random angle."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j].astype(np.float32)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def fractal(side: int, slope: float, rng: Rng) -> np.ndarray:
    """Noise whose amplitude falls as frequency^-slope, equalised to 0..1: white at 0, clouds at 2."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]).astype(np.float32)
    spectrum = fft.rfft2(rng.standard_normal((side, side), np.float32)) / np.maximum(frequency, 0.5 / side) ** slope
    noise = fft.irfft2(spectrum, (side, side))
    noise = (noise - noise.mean()) / noise.std()
    return np.clip(0.5 + noise / 5, 0, 1)


def _waves(side: int, rng: Rng, waves: float, bend: float) -> np.ndarray:
    along, _ = _grid(side, rng)
    return 0.5 + 0.5 * np.sin(2 * np.pi * (waves * along + bend * fractal(side, 1.8, rng)))


def _sharpen(field: np.ndarray, rng: Rng) -> np.ndarray:
    """Half of the fields get edges."""
    return np.clip(0.5 + rng.uniform(3, 20) * (field - 0.5), 0, 1) if rng.random() < 0.5 else field


def _clouds(side: int, rng: Rng) -> np.ndarray:
    return fractal(side, rng.uniform(1.3, 2.4), rng)


def _grain(side: int, rng: Rng) -> np.ndarray:
    return fractal(side, rng.uniform(0, 1), rng)


def _stripes(side: int, rng: Rng) -> np.ndarray:
    return _sharpen(_waves(side, rng, rng.uniform(3, 30), 0), rng)


def _marble(side: int, rng: Rng) -> np.ndarray:
    return _sharpen(_waves(side, rng, rng.uniform(2, 12), rng.uniform(1, 3)), rng)


def _checks(side: int, rng: Rng) -> np.ndarray:
    along, across = _grid(side, rng)
    waves = rng.uniform(2, 16)
    return _sharpen(0.5 + 0.5 * np.sin(2 * np.pi * waves * along) * np.sin(2 * np.pi * waves * across), rng)


def _dots(side: int, rng: Rng) -> np.ndarray:
    along, across = _grid(side, rng)
    waves = rng.uniform(3, 16)
    distance = np.hypot((along * waves) % 1 - 0.5, (across * waves) % 1 - 0.5)
    return np.clip(0.5 + rng.uniform(4, 20) * (rng.uniform(0.2, 0.4) - distance), 0, 1)


def _rings(side: int, rng: Rng) -> np.ndarray:
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j].astype(np.float32)
    centre = rng.uniform(0.1, 0.9, 2)
    return _sharpen(0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(3, 16) * np.hypot(x - centre[0], y - centre[1])), rng)


def _gradient(side: int, rng: Rng) -> np.ndarray:
    along, _ = _grid(side, rng)
    return (along - along.min()) / np.ptp(along)


def _mosaic(side: int, rng: Rng) -> np.ndarray:
    cells = rng.random((int(rng.integers(12, 250)), 2))
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    _, nearest = cKDTree(cells).query(np.column_stack([x.ravel(), y.ravel()]), workers=1)
    return rng.random(len(cells))[nearest].reshape(side, side).astype(np.float32)


FIELDS: dict[str, Callable[[int, Rng], np.ndarray]] = {
    "clouds": _clouds,
    "grain": _grain,
    "stripes": _stripes,
    "marble": _marble,
    "checks": _checks,
    "dots": _dots,
    "rings": _rings,
    "gradient": _gradient,
    "mosaic": _mosaic,
}


def _leaves(side: int, colours: np.ndarray, rng: Rng) -> Image.Image:
    """Shapes of power-law sizes that cover one another: the "dead leaves" model of natural images' statistics."""
    canvas = Image.new("RGB", (side, side), tuple(colours[0].astype(int).tolist()))
    pen = ImageDraw.Draw(canvas)
    count = int(rng.integers(60, 400))
    radii = np.sort(np.clip(3 / rng.random(count) ** 0.7, 2, 0.4 * side))[::-1]
    shades = np.clip(colours[rng.integers(len(colours), size=count)] + rng.normal(0, 18, (count, 3)), 0, 255)
    for radius, (x, y), kind, shade in zip(
        radii, side * rng.random((count, 2)), rng.integers(3, size=count), shades.astype(int).tolist(), strict=True
    ):
        if kind == 0:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(shade))
        else:
            pen.regular_polygon((x, y, radius), 3 + int(kind), int(rng.integers(360)), fill=tuple(shade))
    return canvas


def _patchwork(side: int, rng: Rng) -> Image.Image:
    """Leaves of muted colours under uneven light, with a grain of their own: the nearest to a photograph here."""
    colours = rng.uniform(20, 235, (int(rng.integers(3, 9)), 3))
    colours += rng.uniform(0.2, 0.9) * (colours.mean(1, keepdims=True) - colours)
    image = np.asarray(_leaves(side, colours, rng), np.float32)
    light = 1 + rng.uniform(0.2, 1.2) * (fractal(side, rng.uniform(1.5, 2.5), rng) - 0.5)
    grain = rng.uniform(0, 60) * (fractal(side, rng.uniform(0.4, 1.4), rng) - 0.5)
    return Image.fromarray(np.clip(np.rint(image * light[..., None] + grain[..., None]), 0, 255).astype(np.uint8))


def draw_texture(side: int, rng: Rng) -> tuple[Image.Image, str]:
    """A texture of two colours, and its words: "red and grey stripes"; or a patchwork of many."""
    if rng.random() < 0.2:
        return _patchwork(side, rng), "a patchwork of many colours"
    first, second = rng.choice(list(PALETTE), 2, replace=False)
    colours = np.array([PALETTE[first], PALETTE[second]], np.float32)
    kind = str(rng.choice([*FIELDS, "leaves"]))
    if kind == "leaves":
        return _leaves(side, colours, rng), f"{first} and {second} leaves"
    field = FIELDS[kind](side, rng)[..., None]
    pixels = colours[0] + field * (colours[1] - colours[0])
    if rng.random() < 0.3:
        pixels += rng.uniform(5, 40) * (fractal(side, rng.uniform(0.3, 1.5), rng)[..., None] - 0.5)
    image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return image, f"{first} and {second} {kind}"


# ----------------------------------------------------------------------------------------------------------
# Captioned images


@dataclass(frozen=True)
class Example:
    """One image and what is true of it: its content in words, the artefacts' strengths, the true quality."""

    image: Image.Image
    content: str
    strengths: dict[str, float]
    quality: float


def random_strengths(rng: Rng) -> dict[str, float]:
    """No artefact (one image in four), one, or up to three, of any strength."""
    count = rng.choice([0, 1, 2, 3], p=[0.25, 0.45, 0.2, 0.1])
    chosen = rng.choice(list(ARTEFACTS), count, replace=False).tolist()
    return dict(zip(chosen, rng.uniform(0.1, 1, count).round(3).tolist(), strict=True))


def _develop(image: Image.Image, rng: Rng) -> Image.Image:
    """Small changes of contrast, colour and brightness, which are nobody's fault."""
    for enhance in (ImageEnhance.Contrast, ImageEnhance.Color, ImageEnhance.Brightness):
        image = enhance(image).enhance(rng.uniform(0.8, 1.2))
    return image


def draw_example(seed: int, index: int) -> Example:
    """Example `index` of the corpus `seed`; it depends on nothing else."""
    rng = np.random.default_rng([CORPUS, seed, index])
    scene = random_scene(rng)
    side = int(rng.choice([224, 256, 320], p=[0.6, 0.25, 0.15]))
    chance = rng.random()
    if chance < 0.25:
        image, content = draw_texture(side, rng)
    elif chance < 0.45:
        texture, words = draw_texture(side, rng)
        image = draw(scene, side, rng, backdrop=texture)
        content = f"{prompt_text(replace(scene, background='', style=''))}, {words}, {scene.style} style"
    else:
        image, content = draw(scene, side, rng), prompt_text(scene)
    if rng.random() < 0.5:
        image = _develop(image, rng)
    strengths = random_strengths(rng)
    image = degrade(image, strengths, rng).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return Example(image, content, strengths, latents(scene, scene, strengths)["quality"])


@dataclass(frozen=True)
class Corpus:
    """Drawn images, memory-mapped shard by shard, and their labels.

    `labels` has a row per image: content, quality, and one column per artefact (strength 0..1).
    """

    shards: list[np.memmap]
    labels: pd.DataFrame

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """The images (len(rows), 224, 224, 3), uint8."""
        return np.stack([self.shards[row // SHARD][row % SHARD] for row in rows])


def draw_corpus(folder: Path, seed: int, count: int, workers: int) -> Corpus:
    """Draw `count` examples, a multiple of the shard size, into `folder`, or find them there.

    Shards already drawn by the same code are kept, so a killed drawing resumes.
    """
    code = fingerprint(__name__)
    parts = Parts(folder / f"seed-{seed}", code)
    numbers = range(-(-count // SHARD))
    todo = [number for number in numbers if not parts.path(f"{number:04d}.parquet").exists()]
    if todo:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            futures = [pool.submit(_draw_shard, parts, seed, number) for number in todo]
            for future in progress(as_completed(futures), len(todo), "draw the corpus", "shards"):
                future.result()
    shards = [np.load(parts.path(f"{number:04d}.npy"), mmap_mode="r") for number in numbers]
    labels = [read_table(parts.path(f"{number:04d}.parquet"))[0] for number in numbers]
    return Corpus(shards, pd.concat(labels, ignore_index=True))


def _draw_shard(parts: Parts, seed: int, number: int) -> None:
    rows, pixels = [], np.empty((SHARD, SIDE, SIDE, 3), np.uint8)
    for position in range(SHARD):
        example = draw_example(seed, number * SHARD + position)
        pixels[position] = np.asarray(example.image)
        strengths = dict.fromkeys(ARTEFACTS, 0.0) | example.strengths
        rows.append({"content": example.content, "quality": example.quality, **strengths})
    with atomic(parts.path(f"{number:04d}.npy")) as temporary, open(temporary, "wb") as stream:
        np.save(stream, pixels)
    write_table(parts.path(f"{number:04d}.parquet"), pd.DataFrame(rows), {})
