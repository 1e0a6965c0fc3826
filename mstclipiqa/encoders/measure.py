"""The statistics of a benchmark's images, kept and resumed as the features of an encoder are. Apart from the statistics
themselves (encoders/statistics), which need no torch."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.encoders.extraction import extract_features
from mstclipiqa.encoders.statistics import NAMES, SMALLEST, image_statistics


class StatisticsEncoder:
    """Stands in an encoder's place: an image's features are its statistics, at the image's own size."""

    device = torch.device("cpu")
    image_size = SMALLEST  # of augmented views, of which it is never given any

    def __init__(self) -> None:
        self.identity: dict[str, Any] = {
            "model": "image-statistics",
            "label": f"{len(NAMES)} image statistics",
            "names": list(NAMES),
            "versions": {package: version(package) for package in ("numpy", "scipy", "pillow")},
        }

    def preprocess(self, image: Image.Image) -> Tensor:
        """The statistics (S,) of an image."""
        return torch.from_numpy(image_statistics(image))

    def encode_images(self, statistics: Tensor) -> Tensor:
        """The statistics (B, S), as they are."""
        return statistics


def measure_from_files(output: Path, samples: Path, root: Path, threads: int = 1) -> None:
    """Measure every image of a samples table (paths relative to `root`) into the store `output`."""
    extract_features({output: StatisticsEncoder()}, SAMPLES.read(samples)[0], root, threads=threads)
