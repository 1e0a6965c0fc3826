"""Artefacts: (image, strength in 0..1, rng) -> image, and what each costs.

Each draws the same random numbers whatever the strength: under one seed a stronger artefact is the same artefact, only
more of it.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from mstclipiqa.synthetic.scene import Rng, Scene, agreement

# ----------------------------------------------------------------------------------------------------------
# Artefacts: (image, strength in 0..1, rng) -> image. Each draws the same random numbers whatever the
# strength: under one seed a stronger artefact is the same artefact, only more of it.


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def warp(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Geometry melts: a smooth random displacement of up to about a tenth of the side."""
    nodes = 9
    shift = rng.normal(0, 0.055, (nodes, nodes, 2)) * strength * np.array(image.size)
    shift[[0, -1]] = shift[:, [0, -1]] = 0
    grid = np.stack(np.meshgrid(*(np.linspace(0, side, nodes).round() for side in image.size)), -1)
    source = grid + shift
    mesh = []
    for i in range(nodes - 1):
        for j in range(nodes - 1):
            corners = (source[i, j], source[i + 1, j], source[i + 1, j + 1], source[i, j + 1])
            target = (*grid[i, j].astype(int).tolist(), *grid[i + 1, j + 1].astype(int).tolist())
            mesh.append((target, np.concatenate(corners).tolist()))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def scramble(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Up to half of an 8 x 8 grid of patches, turned upside down and swapped in pairs."""
    cells, pairs = 8, 16
    order = rng.permutation(cells * cells)[: 2 * pairs].reshape(pairs, 2).tolist()
    width, height = image.width // cells, image.height // cells
    result = image.copy()
    for pair in order[: round(strength * pairs)]:
        corners = [(patch % cells * width, patch // cells * height) for patch in pair]
        for (left, top), target in zip(corners, reversed(corners), strict=True):
            patch = image.crop((left, top, left + width, top + height))
            result.paste(patch.transpose(Image.Transpose.ROTATE_180), target)
    return result


def ghost(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """A second, displaced exposure of the picture."""
    angle, side = rng.uniform(0, 2 * np.pi), max(image.size)
    dx, dy = round(0.09 * side * np.cos(angle)), round(0.09 * side * np.sin(angle))
    return Image.blend(image, ImageChops.offset(image, dx, dy), 0.5 * strength)


def blur(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Gaussian blur of up to 2 % of the side."""
    return image.filter(ImageFilter.GaussianBlur(0.02 * strength * max(image.size)))


def checkerboard(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """The lattice of badly overlapping transposed convolutions, stronger in some places than in others."""
    cell = int(rng.integers(2, 4))
    coarse = _image(255 * rng.uniform(0.35, 1, (6, 6)))
    local = _pixels(coarse.resize(image.size, Image.Resampling.BICUBIC)) / 255
    y, x = np.indices(local.shape)
    pattern = np.where((x // cell + y // cell) % 2, 1.0, -1.0).astype(np.float32)
    return _image(_pixels(image) + (60 * strength * local * pattern)[..., None])


def banding(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Few grey levels a channel: steps of up to 96 of 256."""
    step = 1 + 95 * strength
    levels = np.arange(256)
    return image.point(np.clip(np.rint(np.rint(levels / step) * step), 0, 255).astype(int).tolist() * 3)


def colour_cast(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """A tint over everything."""
    tints = [(0, 255, 40), (255, 0, 200), (255, 190, 0), (0, 60, 255), (255, 30, 0)]
    tint = tints[rng.integers(len(tints))]
    return Image.blend(image, Image.new("RGB", image.size, tint), 0.5 * strength)


def washout(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Contrast fades towards light grey."""
    return Image.blend(image, Image.new("RGB", image.size, (200, 200, 200)), 0.8 * strength)


def noise(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Gaussian noise of up to 60 grey levels."""
    grain = rng.standard_normal((image.height, image.width, 3), np.float32)
    return _image(_pixels(image) + 60 * strength * grain)


def jpeg(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """JPEG at quality 50 down to 2."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(2 + 48 * (1 - strength) ** 2))
    return Image.open(buffer).convert("RGB")


#: In the order of application: geometry first, compression last.
ARTEFACTS: dict[str, Callable[[Image.Image, float, Rng], Image.Image]] = {
    "warp": warp,
    "scramble": scramble,
    "ghost": ghost,
    "blur": blur,
    "checkerboard": checkerboard,
    "banding": banding,
    "colour_cast": colour_cast,
    "washout": washout,
    "noise": noise,
    "jpeg": jpeg,
}

#: What full strength of an artefact costs: quality, authenticity, and the recognisability of what is drawn.
COSTS: dict[str, tuple[float, float, float]] = {
    "warp": (0.30, 0.85, 0.25),
    "scramble": (0.50, 0.90, 0.40),
    "ghost": (0.50, 0.35, 0.15),
    "blur": (0.80, 0.15, 0.25),
    "checkerboard": (0.60, 0.60, 0.10),
    "banding": (0.60, 0.20, 0.10),
    "colour_cast": (0.30, 0.65, 0.15),
    "washout": (0.50, 0.15, 0.10),
    "noise": (0.75, 0.10, 0.20),
    "jpeg": (0.70, 0.10, 0.20),
}


def degrade(image: Image.Image, strengths: Mapping[str, float], rng: Rng) -> Image.Image:
    """Apply the artefacts named in `strengths` (0..1 each), in the order of ARTEFACTS."""
    for name, artefact in ARTEFACTS.items():
        if strengths.get(name, 0) > 0:
            image = artefact(image, strengths[name], rng)
    return image


def latents(prompted: Scene, drawn: Scene, strengths: Mapping[str, float]) -> dict[str, float]:
    """True quality, authenticity and correspondence in 0..1, before anyone rates them.

    Quality and authenticity are 1 less the artefacts' joint cost, where the costs w s of strengths s join as
    probabilities do: 1 - (1 - prod(1 - w s)) = prod(1 - w s), with the weights w of COSTS. Correspondence is
    `agreement` times the same product with the weights of recognisability.
    """
    weighted = np.array([COSTS[name] for name in strengths] or [(0, 0, 0)])
    strength = np.array(list(strengths.values()) or [0])[:, None]
    quality, authenticity, recognisable = np.prod(1 - weighted * strength, axis=0).tolist()
    return {
        "quality": quality,
        "authenticity": authenticity,
        "correspondence": agreement(prompted, drawn) * recognisable,
    }
