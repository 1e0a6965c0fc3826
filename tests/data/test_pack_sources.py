"""Where packs come from: what ships, files, and addresses with what proves their file."""

from hashlib import sha256
from pathlib import Path

import pytest
from loopback import Server, good, slam
from packed import make_pack

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.pack_sources import find_pack, is_address, pack_file
from mstclipiqa.data.packs import read_pack

COMMIT = "e874459ad97a21e02874115a6090722c1ce19f24"


def test_what_ships_is_a_file_of_the_package(tmp_path: Path):
    file = find_pack("agiqa-3k", "shipped", tmp_path)
    assert file.stat().st_size < 6e6 and read_pack(file).card["benchmark"] == "agiqa-3k"
    with pytest.raises(InputError, match="no pack of AIGCIQA2023 ships"):
        find_pack("aigciqa2023", "shipped", tmp_path)


def test_a_file_is_taken_where_it_lies(tmp_path: Path):
    path = make_pack(tmp_path / "any name.zip")
    assert find_pack("agiqa-3k", str(path), tmp_path) == path
    with pytest.raises(InputError, match="no such file"):
        find_pack("agiqa-3k", str(tmp_path / "other.zip"), tmp_path)


def test_an_address_is_downloaded_once_and_only_with_its_hash(server: Server, tmp_path: Path):
    content = make_pack(tmp_path / "pack.zip").read_bytes()
    source = f"{server.serve(good(content), path='/pack.zip')}#sha256={sha256(content).hexdigest()}"
    assert pack_file("agiqa-3k", source) is None
    found = find_pack("agiqa-3k", source, tmp_path / "cache")
    assert found.read_bytes() == content
    server.serve(slam, path="/pack.zip")
    assert find_pack("agiqa-3k", source, tmp_path / "cache", offline=True) == found
    with pytest.raises(InputError, match="offline"):
        find_pack("agiqa-3k", source, tmp_path / "empty", offline=True)
    server.serve(good(content[:-1] + b"x"), path="/pack.zip")
    with pytest.raises(InputError, match="other bytes than the published|checksum|damaged"):
        find_pack("agiqa-3k", source, tmp_path / "other")


@pytest.mark.parametrize(
    "source",
    [
        "https://example.org/pack.zip",
        "https://example.org/pack.zip#sha256=abc",
        "ftp://example.org/pack.zip#sha256=" + "0" * 64,
        "file:///etc/passwd",
        "hf://datasets/owner/name/pack.zip",
        "hf://datasets/owner/name@main/pack.zip",
    ],
)
def test_an_address_without_proof_is_one_line(source: str):
    with pytest.raises(InputError, match="sha256=HEX.*COMMIT"):
        is_address(source)


def test_a_data_set_at_hugging_face_is_one_at_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr("mstclipiqa.data.downloads.fetch", lambda sources, *rest: asked.extend(sources) or tmp_path)
    find_pack("agiqa-3k", f"hf://datasets/owner/name@{COMMIT}/packs/agiqa-3k.zip", tmp_path)
    assert asked[0].url == f"https://huggingface.co/datasets/owner/name/resolve/{COMMIT}/packs/agiqa-3k.zip"
    assert asked[0].sha256 is None, "the commit proves it"
