"""The pack that ships: the published labels, and what the small pair gives of the real images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_study import ENCODERS

from mstclipiqa.base.files import sha256
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.pack_sources import find_pack
from mstclipiqa.data.packs import ROUNDING, Pack, read_pack
from mstclipiqa.data.samples import find_images
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.images import read_image


@pytest.fixture(scope="module")
def pack() -> Pack:
    return read_pack(find_pack("agiqa-3k", "shipped", Path("unused")))


def test_the_shipped_pack_is_what_the_small_pair_gives_of_the_real_images(pack: Pack, shared_data: Path):
    """Within the stated rounding, on a sample of the images."""
    chosen = pack.samples.sample(64, random_state=0)
    paths, _ = find_images(shared_data / "agiqa-3k", pack.samples["image"])
    images = [read_image(paths[name], digest) for name, digest in zip(chosen["image"], chosen["sha256"], strict=True)]
    for name in ("coarse", "fine"):
        encoder = load_encoder(ENCODERS[name], "embedded", torch.device("cpu"))
        identity = pack.card["images"][name]["encoder"]
        assert identity["weights_sha256"] == encoder.identity["weights_sha256"]
        fresh = encoder.encode_images(torch.stack([encoder.preprocess(image) for image in images])).numpy()
        stored = pack.arrays[name][chosen.index]
        assert np.allclose(stored, fresh, rtol=ROUNDING, atol=1e-4 * np.sqrt((fresh**2).mean()))
        texts = encoder.encode_texts(list(dict.fromkeys(chosen["prompt"]))[:8])[1].numpy()
        if name == "coarse":
            place = {text: row for row, text in enumerate(pack.texts("text"))}
            rows = [place[text] for text in list(dict.fromkeys(chosen["prompt"]))[:8]]
            assert np.allclose(pack.arrays["text.pooled"][rows], texts, rtol=ROUNDING, atol=1e-4 * np.abs(texts).max())


def test_the_shipped_labels_are_the_published_ones(pack: Pack, shared_data: Path):
    labels = get_benchmark("agiqa-3k").read(shared_data / "agiqa-3k")
    assert pack.card["label_files"] == {"data.csv": sha256(labels.files[0])}
    for column in ("image", "prompt", "generator", "quality", "quality_sd", "correspondence", "correspondence_sd"):
        assert pack.samples[column].tolist() == labels.frame[column].tolist(), column
    assert len(pack.samples) == 2982 and pack.has_labels
