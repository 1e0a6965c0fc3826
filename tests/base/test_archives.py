"""Archives that nobody vouches for: what they could do to a folder, they do not."""

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mstclipiqa.base import archives
from mstclipiqa.base.archives import check_archive, extract, kind
from mstclipiqa.base.errors import InputError

FILES = {"images/a.jpg": b"a" * 100, "images/b.jpg": b"b" * 200, "labels.csv": b"name,mos\n"}


def write_zip(path: Path, files: dict[str, bytes], mode: int = 0, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo cuts a name at NUL, and turns backslashes on Windows
            info.external_attr, info.compress_type = mode << 16, compression
            archive.writestr(info, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w", **changes: object) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def found(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WRITERS: dict[str, Callable[[Path, dict], Path]] = {
    "zip": write_zip,
    "deflated zip": lambda path, files: write_zip(path, files, compression=zipfile.ZIP_DEFLATED),
    "tar": write_tar,
    **{f"tar.{of}": lambda path, files, of=of: write_tar(path, files, f"w:{of}") for of in ("gz", "bz2", "xz")},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_extracts_what_was_packed(writer: str, tmp_path: Path):
    archive = WRITERS[writer](tmp_path / "archive", FILES)
    check_archive(archive)
    done = extract(archive, tmp_path / "out")
    assert found(tmp_path / "out") == FILES
    assert (done.written, done.already, done.left) == (3, 0, [])


@pytest.mark.parametrize("writer", WRITERS)
def test_goes_on_where_it_was_and_touches_nothing_that_is_there(writer: str, tmp_path: Path):
    archive, out = WRITERS[writer](tmp_path / "archive", FILES), tmp_path / "out"
    extract(archive, out)
    (out / "images" / "b.jpg").unlink()
    before = (out / "images" / "a.jpg").stat()
    done = extract(archive, out)
    assert (done.written, done.already) == (1, 2)
    after = (out / "images" / "a.jpg").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert found(out) == FILES


def test_keeps_what_is_asked_for_and_says_what_it_left(tmp_path: Path):
    done = extract(write_zip(tmp_path / "a.zip", FILES | {"B.JPG": b"B"}), tmp_path / "out", ["*.jpg"])
    assert set(found(tmp_path / "out")) == {"images/a.jpg", "images/b.jpg", "B.JPG"}
    assert done.left == ["labels.csv"]


def test_leaves_a_file_whose_name_the_folder_knows_elsewhere(tmp_path: Path):
    out = tmp_path / "out"
    archive = write_zip(tmp_path / "a.zip", FILES)
    assert extract(archive, out, known=["labels.csv"]).left == ["labels.csv"]
    (out / "labels.csv").write_bytes(FILES["labels.csv"])
    assert extract(archive, out, known=["labels.csv"]).left == []


def test_windows_paths_are_paths(tmp_path: Path):
    extract(write_zip(tmp_path / "a.zip", {"images\\a.jpg": b"a"}), tmp_path / "out")
    assert found(tmp_path / "out") == {"images/a.jpg": b"a"}


def refusal(archive: Path, folder: Path, *words: str) -> None:
    """One line that names the archive and holds `words`; nothing is written, in the folder or beside it."""
    before = found(folder.parent)
    with pytest.raises(InputError) as error:
        extract(archive, folder)
    message = str(error.value)
    assert "\n" not in message and archive.name in message
    assert [word for word in words if word not in message] == [], message
    assert found(folder.parent) == before


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "images/../../a.jpg", "/etc/a.jpg", "..\\a.jpg", "C:\\a.jpg", "\\\\host\\a.jpg", "a\nb.jpg",
     "\x1b[2J.jpg", ".", "x" * 300 + ".jpg"],
)  # fmt: skip
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_that_lead_elsewhere(name: str, write: Callable, tmp_path: Path):
    archive = write(tmp_path / "a.bin", {"fine.jpg": b"fine", name: b"out"})
    refusal(archive, tmp_path / "inner" / "out", "name", "source")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip(mode: int, tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.jpg": b"/etc/passwd"}, mode | 0o777)
    refusal(archive, tmp_path / "out", "a.jpg", "link or device")


@pytest.mark.parametrize("kind_of", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(kind_of: bytes, tmp_path: Path):
    archive = write_tar(tmp_path / "a.tar", {"a.jpg": b""}, type=kind_of, linkname="/etc/passwd")
    refusal(archive, tmp_path / "out", "a.jpg", "link or device")


def test_link_in_the_folder_is_not_followed(tmp_path: Path):
    out = tmp_path / "out"
    (tmp_path / "elsewhere").mkdir()
    out.mkdir()
    (out / "images").symlink_to(tmp_path / "elsewhere")
    refusal(write_zip(tmp_path / "a.zip", FILES), out, "link")
    assert found(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize("content", [b"other", b"A" * 100])
@pytest.mark.parametrize("writer", ["zip", "tar.gz"])
def test_a_file_that_is_there_is_not_overwritten(content: bytes, writer: str, tmp_path: Path):
    path = tmp_path / "out" / "images" / "a.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    refusal(WRITERS[writer](tmp_path / "archive", FILES), tmp_path / "out", str(path), "there already")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"1")
        archive.writestr("./a.jpg", b"2")
    refusal(path, tmp_path / "out", "two members", "a.jpg")


def test_bombs(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(archives, "MINIMUM", 10**6)
    for name in ("deflated zip", "tar.gz", "tar.xz"):
        archive = WRITERS[name](tmp_path / "bomb", {"a.jpg": bytes(10**7)})
        refusal(archive, tmp_path / "out", "times its size")
        with pytest.raises(InputError, match="times its size"):
            check_archive(archive)


def test_too_many_members(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(archives, "MEMBERS", 2)
    refusal(write_zip(tmp_path / "a.zip", FILES), tmp_path / "out", "more than 2 members")


def test_more_than_the_disk_has(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(archives, "_free", lambda folder: 250)
    archive = write_zip(tmp_path / "a.zip", FILES)
    refusal(archive, tmp_path / "out", "needs", "free")
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "images" / "b.jpg").write_bytes(FILES["images/b.jpg"])
    assert extract(archive, tmp_path / "out").written == 2  # what is there already needs no room


def test_header_that_asks_for_all_memory(tmp_path: Path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)))
    refusal(tmp_path / "a.tar.gz", tmp_path / "out", "damaged")


def test_encrypted(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", {"a.jpg": b"secret"})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    refusal(path, tmp_path / "out", "encrypted")


@pytest.mark.parametrize(
    ("content", "what", "words"),
    [
        (b"", "empty", ["is empty"]),
        (b"  <!DOCTYPE html><title>Quota</title>", "page", ["a web page, not an archive"]),
        (b"\xef\xbb\xbf<HTML>", "page", ["a web page"]),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z", ["7z archive", "unpack it yourself"]),
        (b"Rar!\x1a\x07\x01\x00", "rar", ["rar archive", "unpack it yourself"]),
        (b"\xff\xd8\xff\xe0 an image", "unknown", ["no archive"]),
        (b"PK\x03\x04 and no more", "zip", ["damaged"]),
        (gzip.compress(b"no tar inside", mtime=0), "gzip", ["damaged"]),
    ],
)
def test_what_is_no_archive_of_ours(content: bytes, what: str, words: list[str], tmp_path: Path):
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    assert kind(path) == what
    refusal(path, tmp_path / "out", *words)


@pytest.mark.parametrize("writer", WRITERS)
def test_damage_is_one_line_or_harmless(writer: str, tmp_path: Path):
    """Bytes flipped, cut out or doubled at random, 60 times: a file that appears is one that was packed."""
    contents = {f"images/{number}.jpg": random.Random(number).randbytes(300) for number in range(6)}
    whole = WRITERS[writer](tmp_path / "whole", contents).read_bytes()
    rng, path, refused = random.Random(7), tmp_path / "a.bin", 0
    for case in range(60):
        damaged = bytearray(whole)
        at, length = rng.randrange(len(whole)), rng.randrange(1, 40)
        how = rng.choice(["flip", "cut", "end", "double"])
        if how == "flip":
            damaged[at] ^= 1 << rng.randrange(8)
        elif how == "double":
            damaged[at:at] = damaged[at : at + length]
        else:
            del damaged[at : at + length if how == "cut" else None]
        path.write_bytes(damaged)
        out = tmp_path / f"out{case}"
        try:
            check_archive(path)
            extract(path, out)
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        if writer != "tar":  # plain tar has no checksum of what is in its files
            assert set(found(out).values()) <= set(contents.values())
    assert refused > (20 if writer != "tar" else 5)
