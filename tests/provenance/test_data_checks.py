import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_manifest import planted
from results_tables import table_of
from small_study import SmallStudy
from tampering import FINE, PROMPTS, SAMPLES, SPLITS, assert_found, edit_table, rehash, verify

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, sha256, write_table, write_text
from mstclipiqa.base.layout import SAMPLES as SAMPLES_TABLE
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.data.samples import normalise_prompt
from mstclipiqa.encoders.statistics import NAMES
from mstclipiqa.encoders.stores import read_store, write_store
from mstclipiqa.model.recipes import level_texts
from mstclipiqa.provenance import data_checks
from mstclipiqa.provenance.data_checks import check_features, check_levels, check_samples, check_splits
from mstclipiqa.provenance.folder import Folder


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


# On planted tables, line for line

AGAIN = "delete it and run the workflow again"
RESTORE = "restore it, or delete it and run the workflow again"
COUNT, MISSING = 8, float("nan")
IMAGES = [f"{number}.png" for number in range(COUNT)]
LABELS = {"data.csv": "1" * 64}


def planted_samples() -> pd.DataFrame:
    quality = np.linspace(0.5, 4.5, COUNT)
    rows = {
        "image": IMAGES, "row": range(COUNT), "path": IMAGES, "sha256": [f"{n:064d}" for n in range(COUNT)],
        "prompt": [f"a cat {n // 2}" for n in range(COUNT)], "generator": ["SD1.5"] * 5 + ["GLIDE"] * 3,
        "quality": quality, "correspondence": quality[::-1].copy(), "width": 8, "height": 8, "benchmark": "agiqa-3k",
    }  # fmt: skip
    table = table_of(SAMPLES_TABLE, pd.DataFrame(rows))
    return table.assign(prompt_group=table["prompt"].map(normalise_prompt))


def planted_card() -> dict:
    benchmark, samples = get_benchmark("agiqa-3k"), planted_samples()
    mos = {
        name: {key: float(samples[name].agg(key)) for key in ("min", "max", "mean", "std")}
        for name in ("quality", "correspondence")
    }
    return {
        "benchmark": "agiqa-3k", "title": benchmark.title, "images": COUNT, "rows_read": COUNT,
        "paper": benchmark.paper, "label_files": LABELS, "licence": benchmark.licence, "prompts": 4, "prompt_groups": 4,
        "ranges": {name: list(benchmark.ranges[name]) for name in ("quality", "correspondence")}, "mos": mos,
        "generators": {"SD1.5": 5, "GLIDE": 3}, "synthetic": False,
    }  # fmt: skip


@pytest.fixture
def found(tmp_path: Path) -> Folder:
    def change(manifest: dict) -> None:
        manifest["inputs"] = {f"agiqa-3k/{name}": digest for name, digest in LABELS.items()} | {
            "agiqa-1k/a.csv": "2" * 64
        }
        manifest["config"] |= {"protocols": ["lab-seed1", "grouped1"]}
        manifest["outputs"] = {}
        for number, encoder in enumerate(manifest["encoders"].values()):
            encoder |= {"dim": 3 + number, "text_width": 6}

    return planted(tmp_path, change)


def hold_samples(found: Folder, samples: pd.DataFrame | None = None, **card: object) -> list[str]:
    said = {key: value for key, value in (planted_card() | card).items() if value is not None}
    write_table(found.root / SAMPLES, planted_samples() if samples is None else samples, said)
    check_samples(found, "agiqa-3k")
    return found.verdict.findings


def test_samples_that_hold_are_counted_and_kept(found: Folder):
    assert hold_samples(found) == [] and dict(found.verdict.counts) == {"samples": COUNT}
    kept, card = found.samples["agiqa-3k"]
    pd.testing.assert_frame_equal(kept, planted_samples())
    assert card == planted_card()


def test_samples_that_are_missing_are_found_by_their_hash(found: Folder):
    check_samples(found, "agiqa-3k")
    assert found.verdict.findings == [] and found.samples == {}


@pytest.mark.parametrize("card", [{"benchmark": "agiqa-1k"}, {"title": "other"}, {"images": 7}])
def test_samples_whose_card_is_anothers_are_not_looked_into(found: Folder, card: dict):
    said = f"{SAMPLES}: not a table of {COUNT} different images of agiqa-3k; {AGAIN}"
    assert hold_samples(found, **card) == [said] and found.samples == {}


@pytest.mark.parametrize("change", [{"image": "one"}, {"benchmark": ["agiqa-3k"] * 7 + ["agiqa-1k"]}])
def test_samples_of_one_image_or_of_two_benchmarks_are_not_looked_into(found: Folder, change: dict):
    said = f"{SAMPLES}: not a table of {COUNT} different images of agiqa-3k; {AGAIN}"
    assert hold_samples(found, planted_samples().assign(**change)) == [said] and found.samples == {}


MOS = {"quality": {"min": 0.5}, "correspondence": {}}


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"label_files": {"data.csv": "3" * 64}}, "read from other label files than the manifest names"),
        ({"label_files": None}, "read from other label files than the manifest names"),
        ({"paper": "other"}, f"its card says paper other, not {get_benchmark('agiqa-3k').paper}"),
        ({"licence": None}, f"its card says licence null, not {get_benchmark('agiqa-3k').licence}"),
        ({"ranges": {}}, "its card says ranges {}, not "),
        ({"prompts": 8}, "its card says prompts 8, not 4"),
        ({"prompt_groups": 8}, "its card says prompt_groups 8, not 4"),
        ({"generators": {"SD1.5": 8}}, 'its card says generators {"SD1.5": 8}, not {"SD1.5": 5, "GLIDE": 3}'),
        ({"mos": MOS}, "quality of its MOS is not what its card says"),
        ({"mos": None}, "its MOS is not what its card says"),
    ],
)
def test_what_a_card_says_is_held(found: Folder, card: dict, said: str):
    (line,) = hold_samples(found, **card)
    assert line.startswith(f"{SAMPLES}: {said}") and line.endswith(f"; {AGAIN}")
    assert found.verdict.counts["samples"] == COUNT


def test_a_card_that_counts_excluded_rows_says_the_mos_of_all(found: Folder):
    assert hold_samples(found, mos=MOS, rows_read=COUNT + 1) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt_group": "mine"}, "prompt_group of 0.png is mine, not that of its prompt"),
        ({"row": 3}, "two images are of one label row"),
        ({"row": range(-1, COUNT - 1)}, "two images are of one label row"),
        ({"authenticity": 1.0}, "authenticity of 0.png is 1.0, and the scale is [null, null]"),
    ],
)
def test_what_a_row_says_is_held(found: Folder, change: dict, said: str):
    assert hold_samples(found, planted_samples().assign(**change)) == [f"{SAMPLES}: {said}; {AGAIN}"]


def test_a_group_of_one_row_alone_is_named(found: Folder):
    samples = planted_samples()
    samples.loc[5, "prompt_group"] = "mine"
    (line,) = hold_samples(found, samples)
    assert line == f"{SAMPLES}: prompt_group of 5.png is mine, not that of its prompt; {AGAIN}"


def test_a_mos_beyond_the_scale_is_named(found: Folder):
    samples = planted_samples()
    samples.loc[2, "quality"] = 5.5
    lines = hold_samples(found, samples)
    assert lines[0] == f"{SAMPLES}: quality of 2.png is 5.5, and the scale is [0, 5]; {AGAIN}"


# Inputs


def with_data(found: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **again: object) -> Path:
    """A data folder whose reading gives the planted samples, or `samples`, and the planted card, or `card`."""
    place = tmp_path / "data" / "agiqa-3k"
    write_text(place / "data.csv", "labels")
    LABELS["data.csv"] = found.manifest["inputs"]["agiqa-3k/data.csv"] = sha256(place / "data.csv")
    found.data_root = tmp_path / "data"

    def collect(benchmark: object, folder: Path) -> tuple[pd.DataFrame, dict]:
        assert folder == place and benchmark.name == "agiqa-3k"
        if "error" in again:
            raise InputError("data.csv: is damaged")
        return again.get("samples", planted_samples()), planted_card() | again.get("card", {})

    monkeypatch.setattr(data_checks, "collect_samples", collect)
    return place


TODO = "give the data that the results were made from, or run the workflow again"


def test_inputs_that_hold_are_counted(found: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with_data(found, tmp_path, monkeypatch)
    assert hold_samples(found) == []
    assert dict(found.verdict.counts) == {"samples": COUNT, "label files": 1, "images by hash": COUNT}


def test_label_files_that_are_missing_or_others_are_named(
    found: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place = with_data(found, tmp_path, monkeypatch, error=True)
    write_text(place / "data.csv", "other")
    said = f"{place / 'data.csv'}: its SHA-256 is not the one in the manifest; {TODO}"
    assert hold_samples(found) == [said]
    (place / "data.csv").unlink()
    found.verdict.findings.clear()
    assert hold_samples(found) == [f"{place / 'data.csv'}: is missing; {TODO}"]


def test_data_that_cannot_be_read_or_give_others_are_named(
    found: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place = with_data(found, tmp_path, monkeypatch, error=True)
    assert hold_samples(found) == ["data.csv: is damaged"]
    found.verdict.findings.clear()
    with_data(found, tmp_path, monkeypatch, samples=planted_samples().assign(width=9))
    (line,) = hold_samples(found)
    assert (
        line.startswith(f"{SAMPLES}: width of 0.png is 8, and 9 computed again") and f"; {place} gives another" in line
    )
    found.verdict.findings.clear()
    with_data(found, tmp_path, monkeypatch, card={"paper": "other"})
    assert hold_samples(found) == [f"{SAMPLES}: its card says other paper than {place} gives; {TODO}"]
    assert found.verdict.counts["label files"] == 1  # the values are the same


# Splits


def hold_splits(found: Folder, change: Callable = lambda splits, metadata: None) -> list[str]:
    samples = planted_samples()
    found.samples["agiqa-3k"] = samples, planted_card()
    known = [name for name in found.config["protocols"] if not name.startswith("file-")]
    splits, leakage = split_samples(samples, known, planted_card())
    metadata = {"protocols": json.loads(json.dumps(leakage))}
    changed = change(splits, metadata)
    write_table(found.root / SPLITS, splits if changed is None else changed, metadata)
    check_splits(found, "agiqa-3k")
    return found.verdict.findings


@pytest.fixture
def splittable(found: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Eight images are too few for the real protocols."""

    def split(samples: pd.DataFrame, protocols: list[str], card: dict) -> tuple[pd.DataFrame, dict]:
        assert card == planted_card()
        roles = ["train"] * 5 + ["test"] * 3
        tables = [samples[["image"]].assign(protocol=name, split=0, role=roles) for name in protocols]
        return pd.concat(tables, ignore_index=True), {name: [{"test": 3}] for name in protocols}

    monkeypatch.setattr(data_checks, "split_samples", split)
    monkeypatch.setitem(globals(), "split_samples", split)
    return found


def test_splits_that_hold_are_counted_and_kept(splittable: Folder):
    assert hold_splits(splittable) == [] and dict(splittable.verdict.counts) == {"splits": 2}
    assert len(splittable.splits["agiqa-3k"]) == 2 * COUNT


def test_splits_are_held_to_samples_that_hold(splittable: Folder):
    check_splits(splittable, "agiqa-3k")
    hold_splits(splittable)
    splittable.samples, splittable.splits = {}, {}
    check_splits(splittable, "agiqa-3k")
    assert splittable.splits == {} and splittable.verdict.findings == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda splits, metadata: metadata["protocols"].pop("lab-seed1"),
            "its counts and leakage are not those of its",
        ),
        (lambda splits, metadata: metadata.update(protocols=3), "its counts and leakage are not those of its splits"),
        (
            lambda splits, metadata: splits.assign(role="train"),
            "role of grouped1, 0, 5.png is train, and test",
        ),
    ],
)
def test_splits_that_their_protocols_do_not_give_are_found(splittable: Folder, change: Callable, said: str):
    def planting(splits: pd.DataFrame, metadata: dict) -> pd.DataFrame | None:
        changed = change(splits, metadata)
        return changed if isinstance(changed, pd.DataFrame) else None

    (line,) = hold_splits(splittable, planting)
    assert line.startswith(f"{SPLITS}: {said}") and line.endswith(f"; {AGAIN}")
    assert splittable.verdict.counts["splits"] == 0 and len(splittable.splits["agiqa-3k"]) == 2 * COUNT


def test_published_splits_whose_file_is_not_at_hand_are_said(splittable: Folder, monkeypatch: pytest.MonkeyPatch):
    splittable.config["protocols"] = ["lab-seed1", "file-mine", "file-yours"]
    assert hold_splits(splittable) == []
    assert splittable.verdict.notes == ["splits file-mine, file-yours of agiqa-3k: their files are not at hand"]
    assert splittable.verdict.counts["splits"] == 1


def test_published_splits_whose_file_is_at_hand_are_held(
    splittable: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(data_checks, "SPLIT_FILES", tmp_path)
    write_text(tmp_path / "mine.csv", "splits")
    splittable.config["protocols"] = ["lab-seed1", "file-mine"]
    assert hold_splits(splittable) == [f"{SPLITS}: its counts and leakage are not those of its splits; {AGAIN}"]
    assert splittable.verdict.notes == []


def test_samples_that_cannot_be_split_are_a_finding(found: Folder, monkeypatch: pytest.MonkeyPatch):
    def fail(samples: pd.DataFrame, protocols: list[str], card: dict) -> tuple:
        raise InputError("grouped1: 2 prompts are too few")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "split_samples", lambda samples, names, card: (
            samples[["image"]].assign(protocol="lab-seed1", split=0, role="test"), {}
        ))  # fmt: skip
        monkeypatch.setattr(data_checks, "split_samples", fail)
        assert hold_splits(found) == [f"{SPLITS}: grouped1: 2 prompts are too few; {AGAIN}"]
    assert found.splits == {}


# Stores


STORES = {
    "agiqa-3k/features/fine.safetensors": ("images", "fine", (4,)),
    "agiqa-3k/features/fine-slow.safetensors": ("images", "fine", (2, 4)),
    "agiqa-3k/features/statistics.safetensors": ("images", None, (len(NAMES),)),
    "agiqa-3k/features/prompts.safetensors": ("prompts", "coarse", ()),
    "levels/slow.safetensors": ("levels", "coarse", ()),
    "levels/slow-fine.safetensors": ("levels", "fine", ()),
    "levels/zero_shot.safetensors": ("zero", "coarse", ()),
}


def hold_store(found: Folder, file: str, change: Callable = lambda tensors, metadata: None) -> list[str]:
    kind, role, shape = STORES[file]
    samples = planted_samples()
    found.samples["agiqa-3k"] = samples, planted_card()
    found.manifest["recipes"]["slow"]["values"]["views"] = 2
    found.manifest["outputs"] = {file: "0" * 64, "agiqa-3k/samples.parquet": "0" * 64}
    if kind == "images":
        encoder = found.identity(role) if role else {"names": list(NAMES)}
        tensors = {"features": np.ones((COUNT, *shape), np.float32)}
        metadata = {"encoder": encoder, "images": IMAGES, "sha256": samples["sha256"].tolist()}
    else:
        texts = list(dict.fromkeys(samples["prompt"])) if kind == "prompts" else ["a", "b"]
        if kind == "levels":
            texts = level_texts(found.manifest["recipes"]["slow"]["values"]["template"])
        identity = found.identity(role, text=True)
        tensors = {
            "tokens": np.ones((2 * len(texts), 6), np.float32), "offsets": 2 * np.arange(len(texts) + 1),
            "pooled": np.ones((len(texts), identity["dim"]), np.float32),
        }  # fmt: skip
        metadata = {"encoder": identity, "texts": texts, "truncated": []}
    change(tensors, metadata)
    write_store(found.root / file, {key: np.ascontiguousarray(value) for key, value in tensors.items()}, metadata)
    check_features(found, "agiqa-3k")
    check_levels(found)
    return found.verdict.findings


@pytest.mark.parametrize("file", STORES)
def test_a_store_that_holds_is_counted(found: Folder, file: str):
    assert hold_store(found, file) == [] and found.stores == {file}
    assert dict(found.verdict.counts) == {"feature stores": 1}


@pytest.mark.parametrize("file", STORES)
def test_a_store_that_is_left_out_is_not_looked_for(found: Folder, file: str):
    hold_store(found, file)
    (found.root / file).unlink()
    found.verdict.counts.clear()
    check_features(found, "agiqa-3k")
    check_levels(found)
    assert found.verdict.findings == [] and dict(found.verdict.counts) == {}


def test_stores_are_held_to_samples_that_hold(found: Folder):
    hold_store(found, "agiqa-3k/features/fine.safetensors")
    found.samples = {}
    found.verdict.counts.clear()
    check_features(found, "agiqa-3k")
    assert dict(found.verdict.counts) == {}


def spoiled(name: str, row: int = 1) -> Callable:
    def change(tensors: dict, metadata: dict) -> None:
        tensors[name] = tensors[name].copy()
        tensors[name][row] = np.nan

    return change


def narrower(name: str) -> Callable:
    return lambda tensors, metadata: tensors.update({name: tensors[name][..., :-1]})


def saying(**said: object) -> Callable:
    return lambda tensors, metadata: metadata.update(said)


FINE_STORE, VIEWS_STORE, STATISTICS_STORE, PROMPT_STORE, LEVEL_STORE, FINE_LEVEL_STORE, ZERO_STORE = STORES


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (FINE_STORE, saying(images=IMAGES[::-1]), "of other images or prompts than the samples table"),
        (FINE_STORE, saying(sha256=["0"] * COUNT), "of other images or prompts than the samples table"),
        (FINE_STORE, saying(encoder={"model": "CLIP"}), "by another encoder than the manifest's fine"),
        (FINE_STORE, narrower("features"), "features of shape (3,) each, and the manifest says (4,)"),
        (FINE_STORE, spoiled("features"), "features of 1 rows are not finite"),
        (FINE_STORE, saying(encoder=3), "by another encoder than the manifest's fine"),
        (VIEWS_STORE, spoiled("features"), "features of 1 rows are not finite"),
        (VIEWS_STORE, narrower("features"), "features of shape (2, 3) each, and the manifest says (2, 4)"),
        (STATISTICS_STORE, saying(encoder={"names": ["mine"]}), "of other statistics than this version's"),
        (STATISTICS_STORE, saying(encoder=3), "metadata of another shape (AttributeError)"),
        (STATISTICS_STORE, spoiled("features"), "features of 1 rows are not finite"),
        (PROMPT_STORE, saying(truncated=["a"]), "truncates other prompts than the 0 that the manifest counts"),
        (PROMPT_STORE, saying(truncated=0), "truncates other prompts than the 0 that the manifest counts"),
        (PROMPT_STORE, saying(texts=list("abcd")), "of other images or prompts than the samples table"),
        (PROMPT_STORE, saying(translations={"a": "b"}), "of other images or prompts than the samples table"),
        (
            PROMPT_STORE,
            lambda tensors, metadata: metadata.update(translations={text: text for text in metadata["texts"]}),
            "has translations, and the configuration names none",
        ),
        (PROMPT_STORE, saying(encoder={}), "by another encoder than the manifest's coarse"),
        (PROMPT_STORE, narrower("tokens"), "tokens of shape (5,) each, and the manifest says (6,)"),
        (PROMPT_STORE, narrower("pooled"), "pooled of shape (2,) each, and the manifest says (3,)"),
        (PROMPT_STORE, spoiled("tokens"), "tokens of 1 rows are not finite"),
        (PROMPT_STORE, spoiled("pooled"), "pooled of 1 rows are not finite"),
        (LEVEL_STORE, saying(texts=list("abcde")), "of other texts than the levels in the template of slow"),
        (LEVEL_STORE, saying(encoder={}), "by another encoder than the manifest's coarse"),
        (FINE_LEVEL_STORE, saying(texts=list("abcde")), "of other texts than the levels in the template of slow"),
        (FINE_LEVEL_STORE, saying(encoder={}), "by another encoder than the manifest's fine"),
        (ZERO_STORE, saying(encoder={}), "by another encoder than the manifest's coarse"),
        (ZERO_STORE, spoiled("pooled"), "pooled of 1 rows are not finite"),
    ],
)
def test_a_store_of_something_else_is_named(found: Folder, file: str, change: Callable, said: str):
    assert hold_store(found, file, change) == [f"{file}: {said}; {RESTORE}"]
    assert found.stores == set() and dict(found.verdict.counts) == {}


def test_translations_are_those_of_the_configurations_file(found: Folder, tmp_path: Path):
    """The same words in other order, which need no other texts."""
    table = tmp_path / "backwards.csv"
    prompts = list(dict.fromkeys(planted_samples()["prompt"]))
    pd.DataFrame({"prompt": prompts, "translation": prompts[::-1]}).to_csv(table, index=False)
    found.config["translations"] = {"agiqa-3k": str(table)}
    assert hold_store(found, PROMPT_STORE) == [f"{PROMPT_STORE}: has no translations; {RESTORE}"]
    found.verdict.findings.clear()
    turned = dict(zip(prompts, prompts[::-1], strict=True))
    assert hold_store(found, PROMPT_STORE, saying(translations=turned)) == []
    same = dict(zip(prompts, prompts, strict=True))
    line = f"{PROMPT_STORE}: has other translations than {table}; {RESTORE}"
    assert hold_store(found, PROMPT_STORE, saying(translations=same)) == [line]


def test_a_store_that_is_none_is_named_from_the_folder(found: Folder):
    hold_store(found, FINE_STORE)
    found.stores.clear()
    write_text(found.root / FINE_STORE, "no store")
    check_features(found, "agiqa-3k")
    (line,) = found.verdict.findings
    assert line.startswith(f"{FINE_STORE}: not a feature store (") and found.stores == set()


@pytest.mark.parametrize(("name", "shape"), [("fine-two", (4,)), ("fine-two-slow", (2, 4))])
def test_an_encoder_may_be_called_as_another_one_and_more(
    name: str, shape: tuple[int, ...], found: Folder, monkeypatch: pytest.MonkeyPatch
):
    """As twin-fine is beside twin, with both in one study."""
    encoders, file = found.manifest["encoders"], f"agiqa-3k/features/{name}.safetensors"
    encoders["fine-two"] = encoders["fine"] | {"name": "fine-two", "label": "another"}
    monkeypatch.setitem(STORES, file, ("images", "fine-two", shape))
    assert hold_store(found, file) == [] and found.stores == {file}
    monkeypatch.setitem(STORES, file, ("images", "fine", shape))
    assert hold_store(found, file) == [f"{file}: by another encoder than the manifest's fine-two; {RESTORE}"]


def test_a_store_by_an_encoder_that_the_manifest_has_not_is_named(found: Folder):
    del found.manifest["encoders"]["fine"]
    STORES["agiqa-3k/features/twin.safetensors"] = ("images", None, (4,))
    try:
        (line,) = hold_store(found, "agiqa-3k/features/twin.safetensors")
    finally:
        del STORES["agiqa-3k/features/twin.safetensors"]
    assert line == f"agiqa-3k/features/twin.safetensors: by another encoder than the manifest's twin; {RESTORE}"
