"""Metrics of IQA-PyTorch (pyiqa), which is an extra, on a benchmark's images: a file of scores, as of any method."""

import contextlib
import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mstclipiqa.base.device import choose_device
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_text
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import AUTO
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.clip import RANDOM, random_seed
from mstclipiqa.encoders.images import read_image

#: The weights that a metric's authors published, which pyiqa downloads from its own hub.
PUBLISHED = "published"

#: What comes of an image that a metric has no finite score for.
REFUSE, WORST = "refuse", "worst"


def load_metric(name: str, weights: str = PUBLISHED, device: torch.device | None = None) -> Any:
    """The metric of pyiqa called `name`, with published weights, those of a file, or some drawn from a seed
    (random:SEED). pyiqa reads a file as it reads its own downloads, which may run what a pickle says: trust its source.

    Raises InputError where pyiqa is not installed, knows no such metric, or cannot load it; and for a metric that
    compares an image with a reference, which generated images do not have.
    """
    try:
        import pyiqa
    except ImportError:
        raise InputError("IQA-PyTorch is not installed; pip install 'mstclipiqa[metrics]'") from None
    if name not in pyiqa.list_models("NR"):
        reason = "compares with a reference image" if name in pyiqa.list_models("FR") else "is none of IQA-PyTorch's"
        raise InputError(f"metric {name!r} {reason}; pyiqa.list_models('NR') lists those that need none")
    seed = None if weights == PUBLISHED else random_seed(f"metric {name}", weights)
    options: dict[str, object] = {} if seed is None else {"pretrained": False}
    if weights != PUBLISHED and seed is None:
        if not Path(weights).is_file():
            raise InputError(f"metric {name}: weights {weights!r}; give {PUBLISHED}, a file or {RANDOM}SEED")
        options = {"pretrained_model_path": weights}
    disabled = logging.root.manager.disable
    with torch.random.fork_rng(devices=[]), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        logging.disable(logging.INFO)
        try:
            torch.manual_seed(seed or 0)
            return pyiqa.create_metric(name, device=device or choose_device(AUTO), **options)
        except Exception as error:  # of its networks and downloads, which have no narrower base class
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise InputError(f"metric {name}, weights {weights}: cannot be loaded ({reason})") from None
        finally:
            logging.disable(disabled)


def score_images(metric: Any, samples: pd.DataFrame, root: Path, undefined: str = REFUSE) -> tuple[np.ndarray, int]:
    """The metric's score (N,) of each image of `samples` (paths relative to `root`) at its own size, such that more is
    better: one of a metric for which less is better is multiplied by -1. And how many images have none of their own:
    metrics of natural scenes have none for an image of one colour. `undefined` says what comes of these: they are
    refused, or get the worst score of the others.

    Raises InputError for an image that cannot be read; and for one without a finite score, where that is refused.
    """
    scores, sign = np.empty(len(samples)), -1 if metric.lower_better else 1
    rows = zip(samples["path"], samples["sha256"], strict=True)
    for row, (path, content) in enumerate(progress(rows, len(samples), f"score by {metric.metric_name}", "images")):
        with torch.inference_mode():
            pixels = torch.from_numpy(np.asarray(read_image(root / path, content), np.float32) / 255)
            try:
                scores[row], why = sign * float(metric(pixels.permute(2, 0, 1)[None].contiguous())), ""
            except (AssertionError, RuntimeError, ValueError) as error:  # as pyiqa's metrics refuse an image
                scores[row], why = math.nan, f" ({' '.join(str(error).split())[:200]})"
        if undefined == REFUSE and not math.isfinite(scores[row]):
            raise InputError(
                f"{root / path}: {metric.metric_name} gives no finite score{why}; leave this metric out, or give such "
                f"images the worst score of the others (--undefined {WORST})"
            )
    lacking = ~np.isfinite(scores)
    if lacking.all():
        raise InputError(f"{root}: {metric.metric_name} gives no image a finite score; leave this metric out")
    scores[lacking] = scores[~lacking].min()
    return scores, int(lacking.sum())


def run_metric(
    output: Path, name: str, samples: Path, root: Path, weights: str = PUBLISHED, undefined: str = REFUSE
) -> str:
    """Score every image of a samples table into a CSV file of image and prediction; returns what was done in a line.

    Raises InputError as its parts do; nothing is written then.
    """
    frame, metric = SAMPLES.read(samples)[0], load_metric(name, weights)
    torch.set_num_threads(1)
    scores, lacking = score_images(metric, frame, root, undefined)
    table = pd.DataFrame({"image": frame["image"], "prediction": scores})
    write_text(output, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
    turned = ", multiplied by -1, since less of it is better" if metric.lower_better else ""
    worst = f"; {lacking} images without a score have the worst of the others" if lacking else ""
    return f"{output}: {name} ({weights}) of {len(table):,} images{turned}{worst}"
