"""How many images of which kinds `unlike_training` flags, by the small pair, of heads trained on AGIQA-3K.

    snakemake --cores all reproduce && python tests/unlike_training.py /my/data

docs/score.md has the numbers. /my/data holds the folder agiqa-3k/, whose images are blurred; the training features are
those of the default suite.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from mstclipiqa.base.layout import FEATURES, SPLITS
from mstclipiqa.base.names import IMAGE_FORMATS, TEST, TRAIN
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.images import read_image
from mstclipiqa.encoders.stores import load_features
from mstclipiqa.scoring.novelty import LEVEL, keep

RESULTS, COUNT = Path("results/default"), 40


def page_of_text(rng: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (400, 500), "white")
    for y in range(10, 480, 14):
        ImageDraw.Draw(page).text((10, y), "".join(rng.choice(list("abcdefgh ijklm"), 60)), fill="black")
    return page


def foreign_images(data: Path) -> dict[str, list[Image.Image]]:
    rng = np.random.default_rng(0)
    drawn = sorted(path for path in (RESULTS / "data" / "agiqa-1k").rglob("*") if path.suffix in IMAGE_FORMATS)[:COUNT]
    own = sorted((data / "agiqa-3k").rglob("*.jpg"))[:COUNT]
    return {
        "noise": [Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)) for _ in range(COUNT)],
        "blank": [Image.new("RGB", (224, 224), tuple(map(int, rng.integers(0, 256, 3)))) for _ in range(COUNT)],
        "pages of text": [page_of_text(rng) for _ in range(COUNT)],
        "drawn": [read_image(path) for path in drawn],
        "AGIQA-3K, blurred": [read_image(path).filter(ImageFilter.GaussianBlur(8)) for path in own],
    }


def flagged(neighbours, coarse: np.ndarray, fine: np.ndarray) -> str:
    return f"{np.mean(neighbours.p_values(coarse, fine) <= LEVEL):.1%} of {len(coarse)}"


def main(data: Path) -> None:
    encoders = [load_encoder(model, "embedded") for model in ("mst-small-32", "mst-small-16")]
    stores = [load_features(FEATURES.at(RESULTS, benchmark="agiqa-3k", encoder=name)) for name in ("coarse", "fine")]
    features = [store.features.astype(np.float32) for store in stores]
    splits, _ = SPLITS.read(SPLITS.at(RESULTS, benchmark="agiqa-3k"))
    foreign = {
        kind: [one.encode_images(torch.stack([one.preprocess(image) for image in images])).numpy() for one in encoders]
        for kind, images in foreign_images(data).items()
    }
    for (protocol, split), roles in splits.groupby(["protocol", "split"]):
        if not protocol.startswith("grouped"):
            continue
        role = roles.set_index("image")["role"].reindex(stores[0].images).to_numpy()
        kept, rest = keep(*features, role == TRAIN), role != TEST
        fewer = keep(*(part[rest] for part in features), role[rest] == TRAIN)
        print(f"{protocol}, split {split}")
        for kind, encoded in foreign.items():
            print(f"  {kind}: {flagged(kept, *encoded)}")
        print(f"  test images, beside validation: {flagged(fewer, *(part[~rest] for part in features))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
