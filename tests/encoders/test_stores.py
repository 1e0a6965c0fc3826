"""What is no store is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from encoding import TEXTS, truncate
from safetensors.numpy import load_file, save_file

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.clip import Encoder
from mstclipiqa.encoders.extraction import extract_features, extract_texts
from mstclipiqa.encoders.stores import load_features, load_texts


def spoilt(tensors: dict[str, np.ndarray], metadata: str | None) -> Callable[[Path], None]:
    return lambda path: save_file(tensors, path, metadata and {"mstclipiqa": metadata})


IMAGE_TENSORS = {"features": np.zeros((2, 3), np.float32)}
TEXT_TENSORS = {"tokens": np.zeros((2, 3), np.float32)}


#: What may stand where a store is expected.
NO_STORES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": Path.mkdir,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a store"),
    "bare tensors": spoilt(IMAGE_TENSORS, None),
    "no JSON": spoilt(IMAGE_TENSORS, "no JSON"),
    "a list": spoilt(IMAGE_TENSORS, "[1]"),
    "images with texts": spoilt(IMAGE_TENSORS, '{"texts": ["a corgi"]}'),
    "texts without offsets": spoilt(TEXT_TENSORS, '{"texts": ["a corgi"]}'),
    "other tensors": spoilt({"other": np.zeros(2)}, '{"images": ["a.png"], "texts": ["a corgi"]}'),
}


@pytest.mark.parametrize(
    ("what", "load"),
    [
        pytest.param(what, load, id=f"{what}, {load.__name__}")
        for what in NO_STORES
        for load in (load_features, load_texts)
    ],
)
def test_what_is_no_store_is_one_line(what: str, load: Callable[[Path], object], tmp_path: Path):
    NO_STORES[what](tmp_path / "store.safetensors")
    with pytest.raises(InputError) as error:
        load(tmp_path / "store.safetensors")
    assert str(error.value).startswith(f"{tmp_path / 'store.safetensors'}: ")
    assert "\n" not in str(error.value)


def test_truncated_store_is_one_line(encoder: Encoder, tmp_path: Path):
    extract_texts(encoder, TEXTS, tmp_path / "texts")
    truncate(tmp_path / "texts")
    with pytest.raises(InputError, match="not a feature store"):
        load_texts(tmp_path / "texts")


def test_store_of_the_other_kind_says_which_step_to_run(
    encoder: Encoder, samples: pd.DataFrame, root: Path, tmp_path: Path
):
    extract_texts(encoder, TEXTS, tmp_path / "texts")
    extract_features({tmp_path / "images": encoder}, samples[:2], root)
    assert set(load_file(tmp_path / "images")) == {"features"}
    with pytest.raises(InputError, match="`mstclipiqa extract`"):
        load_features(tmp_path / "texts")
    with pytest.raises(InputError, match="`mstclipiqa encode-texts`"):
        load_texts(tmp_path / "images")


def test_texts_without_token_states_are_the_same_but_for_these(encoder: Encoder, tmp_path: Path):
    extract_texts(encoder, TEXTS, tmp_path / "texts")
    whole, light = load_texts(tmp_path / "texts"), load_texts(tmp_path / "texts", with_tokens=False)
    assert light.tokens.shape == (len(whole.tokens), 0)
    assert np.array_equal(light.offsets, whole.offsets) and np.array_equal(light.pooled, whole.pooled)
    assert (light.index, light.metadata) == (whole.index, whole.metadata)


def test_token_states_that_are_no_rows_are_one_line_without_them_too(tmp_path: Path):
    tensors = {"tokens": np.float32(1), "offsets": np.array([0, 1]), "pooled": np.zeros((1, 3), np.float32)}
    spoilt({name: np.asarray(value) for name, value in tensors.items()}, '{"encoder": {}, "texts": ["a corgi"]}')(
        tmp_path / "texts"
    )
    with pytest.raises(InputError, match="not a feature store"):
        load_texts(tmp_path / "texts", with_tokens=False)
