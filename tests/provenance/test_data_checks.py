from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy
from tampering import FINE, PROMPTS, SAMPLES, SPLITS, assert_found, edit_table, rehash, verify

from mstclipiqa.base.files import read_table
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.encoders.stores import read_store, write_store


def test_changed_label_file_is_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / "data.csv"
    path.write_text(path.read_text() + "\n")
    assert_found(verify(study, data_root=study.data), str(path), "SHA-256")


def test_changed_image_is_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / read_table(study.results / SAMPLES)[0]["path"].iloc[4]
    path.write_bytes(path.read_bytes() + b"\0")
    assert_found(verify(study, data_root=study.data), SAMPLES, f"sha256 of {path.name}")


def test_missing_inputs_are_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / "data.csv"
    image = study.data / "agiqa-3k" / read_table(study.results / SAMPLES)[0]["path"].iloc[4]
    image.unlink()
    assert_found(verify(study, data_root=study.data), image.name, "not found")
    path.unlink()
    assert_found(verify(study, data_root=study.data), str(path), "is missing")


# What held on commit eac8ac7, with new hashes


def test_prompts_that_are_grouped_otherwise_are_found(study: SmallStudy):
    """With a group for each image, lab-seed1 leaks nothing; splits and leakage are made anew."""

    def ungroup(frame: pd.DataFrame, card: dict) -> pd.DataFrame:
        card["prompt_groups"] = len(frame)
        return frame.assign(prompt_group=frame["image"])

    edit_table(study.results / SAMPLES, ungroup)
    samples, card = read_table(study.results / SAMPLES)

    def split_again(_: pd.DataFrame, metadata: dict) -> pd.DataFrame:
        splits, metadata["protocols"] = split_samples(samples, list(metadata["protocols"]), card)
        return splits

    edit_table(study.results / SPLITS, split_again)
    assert read_table(study.results / SPLITS)[1]["protocols"]["lab-seed1"][0]["test_prompts_in_train"] == 0
    rehash(study)
    assert_found(verify(study), SAMPLES, "prompt_group of", "not that of its prompt")


@pytest.mark.parametrize("rows", [10**6, 3, "many", None])
def test_splits_of_other_label_rows_than_the_card_counts_are_found(rows: object, study: SmallStudy):
    """The shuffle of lab-seed1 is that of all label rows."""
    edit_table(study.results / SAMPLES, lambda frame, card: card.update(rows_read=rows))
    rehash(study)
    assert_found(verify(study), SPLITS, "their card says", "label rows")


def test_splits_shuffled_without_the_rows_that_have_no_sample_are_found(study: SmallStudy):
    count = read_table(study.results / SAMPLES)[1]["rows_read"]
    edit_table(study.results / SAMPLES, lambda frame, card: card.update(rows_read=count + 40))
    rehash(study)
    assert_found(verify(study), SPLITS, "its counts and leakage are not those of its splits")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame, card: card.update(licence="CC0"), "its card says licence CC0"),
        (lambda frame, card: card.update(prompts=1), "its card says prompts 1"),
        (lambda frame, card: card.update(generators={}), "its card says generators {}"),
        (lambda frame, card: card["ranges"].update(quality=[0, 100]), "its card says ranges"),
        (lambda frame, card: frame.assign(row=0), "two images are of one label row"),
        (lambda frame, card: frame.assign(authenticity=1.0), "authenticity of"),
        (lambda frame, card: frame.assign(correspondence=frame["correspondence"] + 5), "and the scale is"),
    ],
)  # fmt: skip
def test_samples_that_are_not_what_their_card_says_are_found(change: Callable, words: str, study: SmallStudy):
    edit_table(study.results / SAMPLES, change)
    rehash(study)
    assert_found(verify(study), SAMPLES, words)


def spoil(change: Callable) -> Callable:
    def edit(tensors: dict, metadata: dict) -> None:
        name = "features" if "features" in tensors else "pooled"
        tensors[name] = np.ascontiguousarray(change(tensors[name]))

    return edit


LEVELS, STATISTICS = "levels/slow.safetensors", "agiqa-3k/features/statistics.safetensors"


def nan_row(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values))[:, None] == 2, np.nan, values).astype(values.dtype)


@pytest.mark.parametrize(
    ("file", "edit", "words"),
    [
        (FINE, spoil(lambda values: values[:3]), "not one for each of its images"),
        (FINE, spoil(lambda values: values[:, :-1]), "features of shape (255,) each"),
        (FINE, spoil(nan_row), "features of 1 rows are not finite"),
        (FINE, lambda tensors, metadata: metadata.update(images=3), "metadata of another shape"),
        (FINE, lambda tensors, metadata: metadata.update(encoder="mine"), "by another encoder"),
        (STATISTICS, spoil(lambda values: values[:, 1:]), "features of shape"),
        (STATISTICS, spoil(nan_row), "are not finite"),
        (PROMPTS, spoil(lambda values: values[:, 1:]), "pooled of shape (255,) each"),
        (PROMPTS, spoil(nan_row), "pooled of 1 rows are not finite"),
        (LEVELS, spoil(nan_row), "pooled of 1 rows are not finite"),
        (LEVELS, lambda tensors, metadata: metadata["texts"].reverse(), "other texts than the levels"),
        (LEVELS, lambda tensors, metadata: metadata["encoder"].update(weights_sha256="0"), "another encoder"),
    ],
)  # fmt: skip
def test_store_of_another_shape_is_found(file: str, edit: Callable, words: str, study: SmallStudy):
    tensors, metadata = read_store(study.results / file)
    edit(tensors, metadata)
    write_store(study.results / file, tensors, metadata)
    rehash(study)
    assert_found(verify(study), file, words)
