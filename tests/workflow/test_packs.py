"""A suite from a feature pack: run without images, encoders and network, and held against the pack and the images."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from checkout import Checkout, copy_checkout, read_manifest
from PIL import Image
from small_study import SmallStudy
from tampering import assert_found, edit_table, rehash, verify

from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.layout import BASELINES
from mstclipiqa.encoders.stores import read_store, write_store
from mstclipiqa.provenance.pack_checks import NAMED, SAMPLE
from mstclipiqa.study.packing import pack_from_results

SUITE = "small"
PACKED = ("--configfile", "packed.yaml")


def configure(checkout: Checkout, study: SmallStudy, **changes: object) -> None:
    """A suite of AGIQA-3K's stand-in from the pack beside it, under the small study's quick recipe."""
    shutil.copy(study.config / "recipes" / "slow.yaml", checkout.folder / "config" / "recipes")
    pack_from_results(checkout.folder / "pack.zip", study.results, "agiqa-3k", ["coarse", "fine"])
    config = yaml.safe_load((checkout.folder / "config" / "agiqa-3k-pack.yaml").read_text())
    config |= {"suite": SUITE, "data_root": "nowhere", "packs": {"agiqa-3k": "pack.zip"}, "also": []}
    config |= {"recipes": ["slow"], "protocols": ["lab-seed1", "grouped1"], **changes}
    (checkout.folder / "packed.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture(scope="module")
def packed(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the suite was run, without the weights of the encoders. Tests must leave it as it is."""
    checkout = copy_checkout(tmp_path_factory.mktemp("packed") / "checkout")
    configure(checkout, small_study)
    shutil.rmtree(checkout.folder / "mstclipiqa" / "encoders" / "weights")
    done = checkout.snakemake("reproduce", *PACKED)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


def test_the_plan_has_no_step_that_needs_images_or_an_encoder(checkout: Checkout, small_study: SmallStudy):
    configure(checkout, small_study)
    planned = checkout.planned(*PACKED)
    assert planned == {
        "unpack_agiqa_3k": 1, "splits": 1, "baselines": 1, "train": 4, "attend": 2, "curves": 1, "efficiency": 1,
        "evaluate": 1, "compare": 1, "claims": 1, "manifest": 1, "report": 1,
    }  # fmt: skip


def test_images_of_another_benchmark_bring_its_encoders_back(checkout: Checkout, small_study: SmallStudy):
    """Drawn, beside the pack: scenes can be encoded for a probe. No model is carried over between real and drawn."""
    configure(checkout, small_study, draw={"seed": 0, "scale": 0.1}, benchmarks=["agiqa-3k", "agiqa-1k"])
    planned = checkout.planned(*PACKED)
    assert planned.items() >= {
        "unpack_agiqa_3k": 1, "draw": 1, "samples": 1, "extract": 1, "measure": 1, "encode_levels": 1,
        "encode_zero_shot": 1, "splits": 2, "baselines": 2, "probe": 1, "train": 4 + 2,
    }.items()  # fmt: skip
    assert "transfer" not in planned


def test_a_recipe_with_views_and_a_pack_that_is_not_there_are_one_line(checkout: Checkout, small_study: SmallStudy):
    cases = {
        "no images for the recipe appendix": {"recipes": ["appendix"]},
        "no file other.zip": {"packs": {"agiqa-3k": "other.zip"}},
        "none of agiqa-3k": {"packs": {"agiqa-3k": "other.zip"}, "when_missing": "skip"},
        "give an address as": {"packs": {"agiqa-3k": "https://example.org/pack.zip"}},
        "unknown benchmark 'koniq'": {"packs": {"koniq": "shipped"}},
    }
    calls: list[tuple[None, list[str]]] = []
    for number, changes in enumerate(cases.values()):
        configure(checkout, small_study, **changes)
        (checkout.folder / "packed.yaml").rename(checkout.folder / f"{number}.yaml")
        calls.append((None, ["--dry-run", "--cores", "1", "--configfile", f"{number}.yaml"]))
    for words, (code, said) in zip(cases, checkout.calls(calls), strict=True):
        lines = [line for line in said.splitlines() if line.startswith("Error: ")]
        assert code != 0 and len(lines) == 1 and words in lines[0], (words, said)


def test_what_needs_images_says_so_in_a_row(packed: Checkout):
    page = (packed.folder / "reports" / SUITE / "index.html").read_text()
    digest = sha256(packed.folder / "pack.zip")
    for words in (digest, "from a pack", "image statistics", "the probe", "needs the images", "stored in float16"):
        assert words in page, words
    baselines = pd.read_csv(packed.folder / "reports" / SUITE / "tables" / "baselines.csv")
    lacking = baselines[baselines["runs"] == 0]
    assert set(lacking["source"]) == {"ridge on image statistics", "ridge on mean colour"}
    assert lacking["srcc_mean"].isna().all() and baselines[baselines["runs"] > 0]["srcc_mean"].notna().any()
    assert not (packed.folder / "results" / SUITE / "agiqa-3k" / "features" / "statistics.safetensors").exists()


def test_its_hash_is_in_the_manifest(packed: Checkout):
    manifest = read_manifest(packed, SUITE)
    assert manifest["inputs"] == {"agiqa-3k/agiqa-3k.zip": sha256(packed.folder / "pack.zip")}
    assert manifest["encoders"]["coarse"]["stored"] == "float16"
    assert manifest["benchmarks"]["agiqa-3k"]["encoders"].keys() == {"coarse", "fine"}


def test_numbers_are_those_of_the_images_but_for_the_rounding(packed: Checkout, small_study: SmallStudy):
    """The rivals, which no training moves: the same to what float16 rounds off."""
    tables = [
        BASELINES.read(BASELINES.at(at, benchmark="agiqa-3k"))[0]
        for at in (packed.folder / "results" / SUITE, small_study.results)
    ]
    both = tables[0].merge(tables[1], on=list(BASELINES.key), suffixes=("", "_images"))
    assert len(both) == len(tables[0]) > 20
    assert np.allclose(both["plcc"], both["plcc_images"], atol=2e-3)


def test_nothing_is_done_twice_and_another_pack_unpacks_anew(packed: Checkout, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(packed.folder, folder, symlinks=True)
    copy = Checkout(folder)
    assert copy.planned(*PACKED) == {}
    (folder / "pack.zip").write_bytes(b"another")
    assert copy.planned(*PACKED).items() >= {"unpack_agiqa_3k": 1, "splits": 1, "train": 4}.items()
    done = copy.snakemake("results/small/agiqa-3k/samples.parquet", *PACKED)
    assert done.returncode != 0 and "Error: pack.zip: no zip; get it again" in done.stdout + done.stderr


# Verification


@pytest.fixture
def study(packed: Checkout, small_study: SmallStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallStudy:
    """The results, and the images that were packed, to be spoilt; run from where the pack lies."""
    copy = SmallStudy(tmp_path / "study")
    shutil.copytree(packed.folder / "results", copy.folder / "results")
    shutil.copytree(small_study.data, copy.data)
    shutil.copytree(packed.folder / "config", copy.config)
    shutil.copy(packed.folder / "pack.zip", copy.folder)
    monkeypatch.chdir(copy.folder)
    return copy


def test_it_holds_against_pack_and_images(study: SmallStudy):
    verdict = verify(study, data_root=study.data)
    assert verdict.findings == []
    count = len(read_table(study.results / "agiqa-3k/samples.parquet")[0])
    assert verdict.counts["packs"] == 1 and verdict.counts["images by hash"] == count
    assert verdict.counts["features encoded again"] == 2 * min(SAMPLE, count)
    without = verify(study)
    assert without.findings == [] and "features encoded again" not in without.counts
    assert any("images of agiqa-3k: none at hand" in note for note in without.notes)
    Path("pack.zip").unlink()
    assert any("the pack of agiqa-3k: not at hand" in note for note in verify(study).notes)


def test_another_pack_or_none_that_can_be_read_is_found(study: SmallStudy):
    whole = Path("pack.zip").read_bytes()
    Path("pack.zip").write_bytes(whole[:-30])
    assert_found(verify(study), "pack.zip", "get it again")
    pack_from_results(Path("pack.zip"), study.results, "agiqa-3k", ["coarse"])
    assert_found(verify(study), "pack.zip", "another pack than the results were made of")


@pytest.mark.parametrize("name", ["coarse", "prompts"])
def test_features_that_are_not_the_packs_are_found(study: SmallStudy, name: str):
    """By one who puts the new hashes into the manifest."""
    path = study.results / f"agiqa-3k/features/{name}.safetensors"
    tensors, metadata = read_store(path)
    key = "features" if name == "coarse" else "tokens"
    changed = tensors[key].copy()
    changed[0, 0] += 0.25
    write_store(path, tensors | {key: changed}, metadata)
    rehash(study)
    assert_found(verify(study), f"{name}.safetensors", "not the pack's")


def test_samples_that_are_not_the_packs_are_found(study: SmallStudy):
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[0, "quality_sd"] += 0.125

    edit_table(study.results / "agiqa-3k/samples.parquet", change)
    rehash(study)
    assert_found(verify(study), "samples.parquet", "quality_sd")


def test_a_pack_and_images_that_disagree_are_named_rows(study: SmallStudy):
    images = sorted((study.data / "agiqa-3k").rglob("*.jpg"))
    for path in images[: NAMED + 3]:
        Image.new("RGB", (64, 64)).save(path)
    verdict = verify(study, data_root=study.data)
    for path in images[:3]:
        assert_found(verdict, path.name, "another image than the one that was packed")
    assert_found(verdict, "3 more images are others")
    assert "features encoded again" not in verdict.counts
    images[0].unlink()
    assert_found(verify(study, data_root=study.data), "1 of", "not found", images[0].name)


def test_other_labels_in_the_data_folder_are_found(study: SmallStudy):
    path = next((study.data / "agiqa-3k").rglob("data.csv"))
    frame = pd.read_csv(path)
    frame.loc[0, "mos_quality"] = 2.75
    frame.to_csv(path, index=False)
    verdict = verify(study, data_root=study.data)
    assert_found(verdict, "label files of other bytes")
    assert_found(verdict, "samples.parquet", "quality")


def test_features_of_no_encoder_are_found_where_images_are_at_hand(study: SmallStudy):
    """A pack whose features are made up is one that only images find out."""
    path = study.results / "agiqa-3k/features/fine.safetensors"
    tensors, metadata = read_store(path)
    made_up = np.random.default_rng(0).normal(size=tensors["features"].shape).astype(np.float16).astype(np.float32)
    write_store(path, {"features": made_up}, metadata)
    rehash(study)
    Path("pack.zip").unlink()
    assert_found(verify(study, data_root=study.data), "fine.safetensors", "is not what its encoder gives")
