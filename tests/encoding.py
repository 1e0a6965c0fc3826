"""Images and texts to encode, and their samples table."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from mstclipiqa.base.files import sha256

CPU = torch.device("cpu")
SIZES = [(64, 48), (224, 224), (90, 260), (300, 231), (17, 23)]
MODES = ["RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "RGB"]
TEXTS = ["a corgi", "a red boat", "word " * 100, "a corgi"]


def draw_image(path: Path, number: int) -> None:
    """Smooth noise in one of the sizes and modes; JPEG where it can hold the mode, every other time."""
    rng = np.random.default_rng(number)
    noise = Image.fromarray(rng.integers(0, 256, (7, 7, 4), dtype=np.uint8), "RGBA")
    image = noise.resize(SIZES[number % len(SIZES)], Image.Resampling.BICUBIC)
    mode = MODES[number % len(MODES)]
    image = image.convert("RGB").quantize(32) if mode == "P" else image.convert(mode)
    image.save(path, "JPEG" if mode == "CMYK" or (number % 2 and mode in ("RGB", "L")) else "PNG")


def make_samples(folder: Path, count: int) -> pd.DataFrame:
    """`count` drawn images under `folder`, and their samples table."""
    (folder / "images").mkdir(parents=True)
    names = [f"{number:03d}.{'jpg' if number % 3 else 'png'}" for number in range(count)]
    for number, name in enumerate(names):
        draw_image(folder / "images" / name, number)
    return pd.DataFrame(
        {
            "benchmark": "drawn",
            "image": names,
            "path": [f"images/{name}" for name in names],
            "sha256": [sha256(folder / "images" / name) for name in names],
        }
    )


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


APPENDIX = {"flip": 0.5, "scale": [0.8, 1.0], "ratio": [0.9, 1.1], "brightness": 0.1, "contrast": 0.1}
NOTHING = {"flip": 0.0, "scale": [1.0, 1.0], "ratio": [1.0, 1.0], "brightness": 0.0, "contrast": 0.0}
