"""A file that is there and may not be read is said to be that; another copy would not help."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from config_files import CLAIMS, PRIOR_RESULTS
from PIL import Image

from mstclipiqa.base.archives import extract
from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.claims.paper import read_paper
from mstclipiqa.data import published_splits
from mstclipiqa.data.label_files import read_sheet
from mstclipiqa.data.packs import read_pack
from mstclipiqa.data.prior_results import read_prior_results
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.images import read_image
from mstclipiqa.encoders.stores import read_store, write_store
from mstclipiqa.scoring.released import load_released
from mstclipiqa.scoring.scorer import read_prompts


@pytest.fixture
def nobody(tmp_path: Path):
    """Takes the rights to files away, also from root, who has them whatever the file says."""
    user = os.geteuid()
    if user == 0:
        for folder in tmp_path.parents:
            if not os.stat(folder).st_mode & 0o001 and folder.stat().st_uid == 0 and "pytest" in str(folder):
                folder.chmod(folder.stat().st_mode | 0o011)
        tmp_path.chmod(0o755)

    def take(path: Path) -> None:
        path.chmod(0)
        if user == 0:
            os.seteuid(65534)

    yield take
    os.seteuid(user)


def make_image(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path)


def make_text(path: Path) -> None:
    path.write_text("image,prompt\na,b\n")


FILES: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object]]] = {
    "a table": ("a.parquet", lambda path: write_table(path, pd.DataFrame({"a": [1]}), {}), read_table),
    "a store": ("a.safetensors", lambda path: write_store(path, {"a": np.ones(1)}, {}), read_store),
    "a label file": ("a.csv", make_text, lambda path: read_sheet(path, ["image"])),
    "prompts": ("a.csv", make_text, read_prompts),
    "printed numbers": ("a.csv", make_text, lambda path: read_paper(CLAIMS, path, PRIOR_RESULTS)),
    "published results": ("a.csv", make_text, read_prior_results),
    "a split file": ("a.csv", make_text, published_splits.read_published),
    "a document": ("a.yaml", make_text, read_yaml),
    "an image": ("a.png", make_image, read_image),
    "an image that is known": ("a.png", make_image, lambda path: read_image(path, "0" * 64)),
    "a pack": ("a.zip", make_text, read_pack),
    "an archive": ("a.zip", make_text, lambda path: extract(path, path.parent / "out", ["*"])),
    "a checkpoint": ("a.pth", lambda path: torch.save({}, path), load_released),
    "weights": ("a.pt", lambda path: torch.save({}, path), lambda path: load_encoder("mst-small-32", str(path))),
    "compact weights": (
        "a.safetensors", lambda path: write_store(path, {"a": np.ones(1)}, {}),
        lambda path: load_encoder("mst-small-32", str(path)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "make", "read"), FILES.values(), ids=FILES)
def test_what_may_not_be_read_is_not_to_be_got_again(name, make, read, nobody, tmp_path):
    path = tmp_path / name
    make(path)
    nobody(path)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).endswith(f"{path}: may not be read; give yourself the right to")


def torch_script(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)


def pickled(path: Path) -> None:
    torch.save({"model_state_dict": print}, path)


@pytest.mark.parametrize("make", [torch_script, pickled])
@pytest.mark.parametrize("read", [load_released, lambda path: load_encoder("mst-small-32", str(path))])
def test_torchs_advice_to_run_what_is_in_a_file_is_not_passed_on(make, read, tmp_path, recwarn, capfd):
    make(tmp_path / "a.pt")
    recwarn.clear()
    with pytest.raises(InputError, match="damaged, or more than tensors is in it") as caught:
        read(tmp_path / "a.pt")
    said = f"{caught.value} {[str(warning.message) for warning in recwarn]} {capfd.readouterr()}"
    assert "weights_only" not in said and "torch.jit" not in said and "\n" not in str(caught.value)
