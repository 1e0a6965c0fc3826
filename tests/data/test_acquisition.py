"""A benchmark's folder, completed from the sources of the configuration; what is there already is kept."""

import io
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from loopback import QUICK, Server, answer, good
from PIL import Image

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.cli.main import main
from mstclipiqa.data.acquisition import acquire, list_sources, read_sources
from mstclipiqa.data.benchmarks import BENCHMARKS

REPOSITORY = Path(__file__).parents[2]


def test_the_sources_are_those_of_every_benchmark():
    sources = read_sources(REPOSITORY / "config" / "sources.yaml")
    paper = read_yaml(REPOSITORY / "config" / "paper.yaml")["benchmarks"]
    assert set(paper) <= set(sources["benchmarks"]) <= set(BENCHMARKS)
    for name, facts in sources["benchmarks"].items():
        assert facts["licence"].startswith(BENCHMARKS[name].licence)
    addresses = [
        source.url
        for facts in sources["benchmarks"].values()
        for entry in facts["files"]
        for source in list_sources(entry)
    ]
    assert len(set(addresses)) == len(addresses)
    assert (
        "https://huggingface.co/datasets/IntMeGroup/AIGIs/resolve/dfdcd9efded13b223a67ce0d20b96f6c04a1b938/"
        + ("AIGCIQA2023.zip")
        in addresses
    )


def test_label_files_at_hand_are_those_that_the_sources_promise(shared_data: Path):
    """Of every file whose name, size and hash are known: an outside copy of it has them."""
    sources, same = read_sources(REPOSITORY / "config" / "sources.yaml"), 0
    for name, facts in sources["benchmarks"].items():
        for entry in facts["files"]:
            path, hashes = shared_data / name / entry["name"], {one.sha256 for one in list_sources(entry)}
            if path.is_file() and None not in hashes:
                assert sha256(path) in hashes, path
                assert path.stat().st_size in {one.size for one in list_sources(entry)}
                same += 1
    assert same >= 6


def image_bytes(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def small(server: Server, tmp_path: Path) -> dict:
    """Sources of a benchmark of three images in AGIQA-3K's format, on the loopback server."""
    names = [f"sd1.5_normal_00{number}.jpg" for number in range(3)]
    rows = [f"{name},a prompt {number},,,,{number},0.1,{number},0.1" for number, name in enumerate(names)]
    labels = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\n" + "\n".join(rows) + "\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(f"AGIQA-3K/{name}", image_bytes(number))
        archive.writestr("AGIQA-3K/data.csv", "other labels\n")
        archive.writestr("AGIQA-3K/readme.txt", "hello\n")
    (tmp_path / "own.zip").write_bytes(out.getvalue())
    facts = read_yaml(REPOSITORY / "config" / "sources.yaml")["benchmarks"]["agiqa-3k"]
    files = [
        {"name": "data.csv", "kind": "labels", "sources": [{"url": server.serve(good(labels.encode()), path="/csv")}]},
        {"name": "a.zip", "kind": "images", "sources": [{"url": server.serve(good(out.getvalue()), path="/zip")}]},
    ]
    return {"benchmarks": {"agiqa-3k": facts | {"files": files}}}


def found(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_acquire_completes_an_empty_folder(small: dict, tmp_path: Path):
    state = acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", patience=QUICK)
    assert state.complete and state.labelled == state.images == 3
    images = [f"AGIQA-3K/sd1.5_normal_00{number}.jpg" for number in range(3)]
    assert found(tmp_path / "data" / "agiqa-3k") == [*images, "data.csv"]


def test_acquire_again_asks_no_server(small: dict, server: Server, tmp_path: Path):
    for _ in range(2):
        acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", patience=QUICK)
    acquire("agiqa-3k", tmp_path / "elsewhere", small, tmp_path / "cache", offline=True)
    assert len(server.seen("/csv")) == len(server.seen("/zip")) == 1


def test_acquire_prefers_and_keeps_what_the_user_has(small: dict, server: Server, tmp_path: Path):
    own = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\nsd1.5_normal_000.jpg,p,,,,4,1,4,1\n"
    folder = tmp_path / "data" / "agiqa-3k"
    folder.mkdir(parents=True)
    (folder / "data.csv").write_text(own)
    archive = tmp_path / "own.zip"
    state = acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", archive, patience=QUICK)
    assert (state.labelled, state.images) == (1, 1)
    assert (folder / "data.csv").read_text() == own
    assert server.seen("/csv") == server.seen("/zip") == []


def test_acquire_labels_only(small: dict, server: Server, tmp_path: Path):
    state = acquire("agiqa-3k", tmp_path, small, tmp_path / "cache", labels_only=True, patience=QUICK)
    assert (state.labelled, state.images) == (3, 0)
    assert server.seen("/zip") == []


@pytest.mark.parametrize("gone", ["/csv", "/zip"])
def test_acquire_that_stays_incomplete_is_one_line(gone: str, small: dict, server: Server, tmp_path: Path):
    server.serve(answer(404), path=gone)
    with pytest.raises(InputError, match="404 Not Found") as error:
        acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", patience=QUICK)
    assert "\n" not in str(error.value)
    assert (tmp_path / "data" / "agiqa-3k" / "data.csv").exists() == (gone == "/zip")


def test_acquire_offline_without_a_cache_is_one_line(small: dict, tmp_path: Path):
    with pytest.raises(InputError, match=r"data\.csv: not in the cache .* offline"):
        acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", offline=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "abc"}, ["sha256", "abc"]),
        ({"url": "http://example.org/data.csv"}, ["http://example.org"]),
        ({"google_drive": "1ObuOZ6YZqZuxe4oRlaf3kdOBlTRg2GE4"}, ["sources"]),
        ({"mirror": "x"}, ["mirror"]),
    ],
)
def test_bad_file_of_sources_is_one_line(change: dict, words: list[str], tmp_path: Path):
    document = read_yaml(REPOSITORY / "config" / "sources.yaml")
    document["benchmarks"]["agiqa-3k"]["files"][0]["sources"][0] |= change
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InputError) as error:
        read_sources(path)
    message = str(error.value)
    assert "\n" not in message and [word for word in [str(path), *words] if word not in message] == [], message


def test_the_verb_fails_in_one_line(tmp_path: Path):
    options = ["--data-root", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--offline"]
    options += ["--sources", str(REPOSITORY / "config" / "sources.yaml")]
    done = CliRunner().invoke(main, ["acquire", "agiqa-3k", *options])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert done.stderr.splitlines()[-1].startswith("Error: data.csv: not in the cache ")
    assert not (tmp_path / "cache").exists()
