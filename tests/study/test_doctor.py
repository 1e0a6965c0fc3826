"""What the doctor says of what is there, and of what is not."""

import hashlib
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from packed import make_pack

from mstclipiqa.base import device
from mstclipiqa.base.documents import read_yaml
from mstclipiqa.cli.main import main
from mstclipiqa.data.acquisition import read_sources
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.encoders.clip import check_encoder
from mstclipiqa.study import doctor
from mstclipiqa.study.doctor import ABSENT, CHECK, MISSING, OK, Finding, diagnose, find_weights, render
from mstclipiqa.study.study import Study
from mstclipiqa.synthetic.miniature import draw_benchmark

REPOSITORY = Path(__file__).parents[2]
RECIPES = REPOSITORY / "config" / "recipes"
SOURCES = read_sources(REPOSITORY / "config" / "sources.yaml")
PAPER = read_yaml(REPOSITORY / "config" / "paper.yaml")
SMALL = {
    "coarse": {"model": "mst-small-32", "weights": "embedded"},
    "fine": {"model": "mst-small-16", "weights": "embedded"},
    "retokenised": {"model": "mst-small-32@16", "weights": "embedded"},
}

#: Beside a coarse encoder of 512 numbers an image.
SAME_SIZE = {"fine": {"model": "ViT-B-16", "weights": "random:1"}}


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch) -> Path:
    """An empty Hugging Face cache."""
    monkeypatch.setattr(doctor, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def configuration(root: Path, name: str = "agiqa-3k.yaml", **changes: object) -> dict:
    return read_yaml(REPOSITORY / "config" / name) | {"data_root": str(root)} | changes


def findings(root: Path, offline: bool = False, name: str = "agiqa-3k.yaml", **changes: object) -> list[Finding]:
    return diagnose(configuration(root, name, **changes), RECIPES, SOURCES, root / "cache", offline)


def of(found: list[Finding], subject: str) -> Finding:
    return next(finding for finding in found if finding.subject.startswith(subject))


def run(root: Path, *options: str, **changes: object) -> Result:
    path = root / "config.yaml"
    path.write_text(yaml.safe_dump(configuration(root, **changes)))
    files = ["--recipes", str(RECIPES), "--sources", str(REPOSITORY / "config" / "sources.yaml")]
    return CliRunner().invoke(main, ["doctor", "--config", str(path), "--cache", str(root / "cache"), *files, *options])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    draw_benchmark("agiqa-3k", root / "agiqa-3k", 0, 0.1)
    return root


def test_a_complete_folder_is_well(drawn: Path):
    found = findings(drawn)
    benchmark = of(found, "agiqa-3k")
    assert benchmark.status == OK and benchmark.text.startswith("drawn, not the benchmark; ")
    assert "licence: MIT" in benchmark.text and "data.csv OTHER BYTES THAN PUBLISHED" in benchmark.text
    assert [finding for finding in found if finding.status != OK] == []


def test_a_bare_machine_is_told_what_to_do(tmp_path: Path):
    found = findings(tmp_path)
    benchmark = of(found, "agiqa-3k")
    assert benchmark.status == MISSING and f"no folder {tmp_path / 'agiqa-3k'}" in benchmark.text
    page = render(found)
    for words in (
        f"mstclipiqa acquire agiqa-3k --data-root {tmp_path}   gets data.csv (raw.githubusercontent.com, 446 kB), ",
        "AGIQA-3K.zip (huggingface.co or drive.usercontent.google.com)",
        "by hand: AGIQA-3K.zip in a browser from https://drive.google.com/",
        f"--archive FILE, or unpack it anywhere below {tmp_path / 'agiqa-3k'}",
    ):
        assert words in page


@pytest.mark.parametrize("name", PAPER["benchmarks"])
def test_every_benchmark_has_a_way_and_a_licence(name: str, tmp_path: Path):
    found = of(findings(tmp_path, name="paper.yaml", when_missing="stop"), name)
    assert found.status == MISSING and get_benchmark(name).licence in found.text
    assert any(line.startswith("by hand: ") for line in found.how) and "--archive FILE" in found.how[-1]


def test_a_benchmark_that_no_source_is_listed_for_is_described_as_any(drawn: Path, tmp_path: Path):
    """A stranger's own benchmark: its files are at hand."""
    sources = SOURCES | {"benchmarks": {}}
    there = diagnose(configuration(drawn), RECIPES, sources, tmp_path / "cache")
    assert of(there, "agiqa-3k").status == OK and "no published hash" in of(there, "agiqa-3k").text
    absent = of(diagnose(configuration(tmp_path), RECIPES, sources, tmp_path / "cache"), "agiqa-3k")
    assert absent.status == MISSING and get_benchmark("agiqa-3k").licence in absent.text
    assert absent.how == (f"no source is listed: put its labels and images anywhere below {tmp_path / 'agiqa-3k'}",)


def test_missing_benchmarks_that_may_be_skipped_are_not_essential_unless_all_are(drawn: Path, tmp_path: Path):
    some = findings(drawn, name="paper.yaml")
    assert of(some, "agiqa-1k").status == ABSENT and "when_missing: skip" in of(some, "agiqa-1k").text
    assert of(some, "agiqa-3k").status == OK
    none = findings(tmp_path, name="paper.yaml")
    assert of(none, "all").status == MISSING


def test_the_workflow_skips_the_same(drawn: Path):
    assert Study(configuration(drawn, "paper.yaml"), RECIPES).benchmarks == ["agiqa-3k"]


def test_labels_without_images(drawn: Path, tmp_path: Path):
    (tmp_path / "agiqa-3k").mkdir()
    (tmp_path / "agiqa-3k" / "data.csv").write_bytes((drawn / "agiqa-3k" / "data.csv").read_bytes())
    found = of(findings(tmp_path, name="paper.yaml"), "agiqa-3k")
    labelled = sum(1 for _ in (drawn / "agiqa-3k").rglob("*.jpg"))
    assert found.status == MISSING
    assert found.text.startswith(f"0 of {labelled} images") and "the published labels name 2,982" in found.text
    assert "AGIQA-3K.zip" in found.how[1] and "data.csv" not in found.how[0]
    assert found.how[-1].endswith(f"move {tmp_path / 'agiqa-3k'} away")


def test_labels_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "agiqa-3k").mkdir()
    (tmp_path / "agiqa-3k" / "data.csv").write_text("name,prompt\na,b\n")
    found = of(findings(tmp_path), "agiqa-3k")
    assert found.status == MISSING and "labels cannot be read" in found.text and "missing column" in found.text


def test_the_real_benchmark_at_hand(shared_data: Path):
    found = of(findings(shared_data), "agiqa-3k")
    assert found.status == OK
    assert found.text.startswith("2,982 of 2,982 images; labels: data.csv as published; licence: MIT")


OPENAI = {"model": "ViT-B-32-quickgelu", "weights": "openai"}


def store_weights(hub: Path, content: bytes, name: str) -> Path:
    """As the hub's cache keeps a large file: under its sha256, linked to from the snapshot of a commit."""
    _, tag, _ = check_encoder(OPENAI["model"], OPENAI["weights"])
    folder = hub / f"models--{tag['hf_hub'].rstrip('/').replace('/', '--')}"
    for part in ("blobs", "refs", f"snapshots/{'c' * 40}"):
        (folder / part).mkdir(parents=True)
    (folder / "refs" / "main").write_text("c" * 40)
    (folder / "blobs" / name).write_bytes(content)
    link = folder / "snapshots" / ("c" * 40) / "open_clip_model.safetensors"
    link.symlink_to(folder / "blobs" / name)
    return link


def test_weights_that_open_clip_will_download(drawn: Path):
    encoders = SAME_SIZE | {"coarse": OPENAI}
    found = of(findings(drawn, encoders=encoders), "ViT-B-32-quickgelu")
    assert found.status == ABSENT and "605 MB" in found.text and "licence: MIT" in found.text
    assert "huggingface.co/timm/vit_base_patch32_clip_224.openai" in found.how[0]
    assert of(findings(drawn, offline=True, encoders=encoders), "ViT-B-32-quickgelu").status == MISSING


def test_damaged_weights_are_found_where_open_clip_looks(drawn: Path, no_weights: Path):
    name = hashlib.sha256(b"weights").hexdigest()
    link = store_weights(no_weights, b"weight5", name)
    _, tag, _ = check_encoder(OPENAI["model"], OPENAI["weights"])
    assert find_weights(tag) == link
    options = {"filename": link.name, "cache_dir": no_weights, "local_files_only": True}
    assert huggingface_hub.hf_hub_download(tag["hf_hub"].rstrip("/"), **options) == str(link)
    found = of(findings(drawn, encoders=SAME_SIZE | {"coarse": OPENAI}), "ViT-B-32-quickgelu")
    assert found.status == MISSING and "damaged" in found.text and name in found.how[0]


def test_whole_weights_are_well(drawn: Path, no_weights: Path):
    store_weights(no_weights, b"weights", hashlib.sha256(b"weights").hexdigest())
    found = of(findings(drawn, offline=True, encoders=SAME_SIZE | {"coarse": OPENAI}), "ViT-B-32-quickgelu")
    assert found.status == OK and "the activation fits" in found.text


def test_wrong_activation_is_essential(drawn: Path):
    encoders = SAME_SIZE | {"coarse": {"model": "ViT-B-32", "weights": "openai"}}
    found = of(findings(drawn, encoders=encoders), "ViT-B-32, openai")
    assert found.status == MISSING and "use ViT-B-32-quickgelu" in found.text


def test_streams_of_two_sizes_are_found_before_a_run(drawn: Path):
    """Of timm's backbones no name says the size, so that a study is read without a word."""
    pair = {"coarse": {"model": "timm:test_vit", "weights": "random:1"}, "fine": SMALL["fine"], "text": SMALL["fine"]}
    chosen = {"encoders": pair, "text_encoder": "text", "recipes": ["released_code"], "variants": ["star-no-prompt"]}
    streams = of(findings(drawn, **chosen), "streams")
    assert streams.status == MISSING and streams.text.endswith("coarse 64, fine 256")
    assert "streams" not in [finding.subject for finding in findings(drawn)]


def test_a_full_disk_is_essential(tmp_path: Path, monkeypatch):
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    found = of(findings(tmp_path), "disk of")
    assert found.status == MISSING and "0.0 GB free" in found.text


def test_what_is_not_as_required_is_named(drawn: Path, monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda name: ["torch==1.0", "no-such-package>=2", "pytest; extra == 'x'"])
    found = of(findings(drawn), "versions")
    assert found.status == MISSING and "torch==1.0" in found.text and "no-such-package>=2 (not installed)" in found.text
    assert "pytest" not in found.text


def test_a_checkout_that_is_not_installed_is_told(drawn: Path, monkeypatch):
    def unknown(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", unknown)
    found = of(findings(drawn), "versions")
    assert found.status == MISSING and "this checkout is not installed" in found.text and found.how


def test_the_verb_says_all_and_fails_on_what_is_missing(drawn: Path, tmp_path: Path):
    well = run(drawn)
    assert well.exit_code == 0 and "Nothing essential is missing." in well.output
    ill = run(tmp_path, when_missing="stop")
    assert ill.exit_code == 1 and isinstance(ill.exception, SystemExit)
    assert ill.stderr == "Error: essential and missing: agiqa-3k; the page above says how to get each\n"
    assert "Benchmarks\n  MISSING  agiqa-3k" in ill.stdout


def test_the_default_suite_needs_nothing():
    config = read_yaml(REPOSITORY / "config" / "config.yaml")
    found = diagnose(config, RECIPES, SOURCES, REPOSITORY, offline=True)
    assert [finding for finding in found if finding.status != OK] == []


def test_nothing_is_written(tmp_path: Path):
    findings(tmp_path)
    assert list(tmp_path.rglob("*")) == []


# Feature packs


def of_pack(root: Path, source: object, offline: bool = False) -> list[Finding]:
    return findings(root, offline, "agiqa-3k-pack.yaml", packs={"agiqa-3k": str(source)})


def test_a_pack_is_looked_through_and_needs_no_encoder(tmp_path: Path):
    pack = make_pack(tmp_path / "pack.zip")
    found = of_pack(tmp_path, pack)
    assert of(found, "agiqa-3k").status == CHECK and f"from the pack {pack}: 6 images" in of(found, "agiqa-3k").text
    assert "data.csv of OTHER BYTES THAN PUBLISHED" in of(found, "agiqa-3k").text
    shipped = of(of_pack(tmp_path, "shipped"), "agiqa-3k")
    assert shipped.status == OK and "2,982 images" in shipped.text
    assert of(found, "all").part == "Encoders" and "not needed" in of(found, "all").text
    pack.write_bytes(pack.read_bytes()[:-1])
    cut = of(of_pack(tmp_path, pack), "agiqa-3k")
    assert cut.status == MISSING and "get it again" in cut.text


def test_a_pack_that_is_not_there(tmp_path: Path):
    missing = of(of_pack(tmp_path, tmp_path / "none.zip"), "agiqa-3k")
    assert missing.status == MISSING and "no such file" in missing.text
    address = f"https://example.org/pack.zip#sha256={'0' * 64}"
    online = of(of_pack(tmp_path, address), "agiqa-3k")
    assert online.status == ABSENT and "downloaded by the run" in online.text
    assert of(of_pack(tmp_path, address, offline=True), "agiqa-3k").status == MISSING


def test_a_benchmark_that_is_not_there_leads_with_a_pack(tmp_path: Path):
    assert of(findings(tmp_path), "agiqa-3k").how[0].startswith("without images: a feature pack")


def test_a_gpu_that_is_asked_for_and_cannot_be_used_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert of(findings(tmp_path), "GPU").status == OK, "without one the CPU does the work"
    strict = {"training": {"workers": 1, "device": "cuda"}}
    found = of(findings(tmp_path, **strict), "GPU")
    assert found.status == MISSING and found.text.endswith("one is asked for by training: device cuda")
    assert "training: device to auto" in found.how[0]
    rounded = {"extraction": {"batch_size": 8, "gpu_batch_size": 256, "threads": 1, "shards": 1, "precision": "tf32"}}
    found = of(findings(tmp_path, **rounded), "GPU")
    assert found.status == MISSING and "set extraction: precision to float32" in found.how[0]


def test_a_gpu_that_torch_cannot_use_is_to_be_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n")
    monkeypatch.setattr(device, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    found = of(findings(tmp_path), "GPU")
    assert found.status == CHECK and "driver 535.104.05" in found.text and "a driver from 580" in found.how[0]
