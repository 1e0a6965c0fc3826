"""Taking files out of an archive that nobody vouches for: nothing outside the folder, no links, bombs or overwrites."""

import bz2
import contextlib
import fnmatch
import functools
import gzip
import hashlib
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.files import atomic

#: What a file begins with, by what it is. Tar has no magic at its start.
MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # without a member
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
}
TAR_MAGIC = (257, b"ustar")
PAGES = (b"<!doctype html", b"<html", b"<head", b"<?xml")

#: The largest benchmark has 20,000 images. A ratio of sizes is looked at from MINIMUM bytes on.
MEMBERS, RATIO, MINIMUM = 100_000, 100, 2**28

#: Bytes that the names and other words about the members may have: Python makes ten times as many of them in memory.
HEADERS = 200 * MEMBERS

CHUNK = 2**20

#: Bytes of a zip's parts beside names and contents, and the flag of a name in UTF-8.
LOCAL, CENTRAL, END, UTF8 = 30, 46, 22, 1 << 11


@dataclass(frozen=True)
class Extraction:
    """How many files an archive gave, how many were there already, and the names that were left in it."""

    written: int
    already: int
    left: list[str]


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    crc: int | None
    open: Callable[[], IO[bytes]]


def kind(path: Path) -> str:
    """What a file is by its first bytes: zip, 7z, rar, gzip, bzip2, xz, tar, page (HTML or XML), empty, or unknown."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if not head:
        return "empty"
    if is_page(head):
        return "page"
    if head[TAR_MAGIC[0] :].startswith(TAR_MAGIC[1]):
        return "tar"
    return next((found for magic, found in MAGIC.items() if head.startswith(magic)), "unknown")


def is_page(head: bytes) -> bool:
    """Whether what begins with `head` is a web page, as servers send in place of a file."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGES)


def check_archive(path: Path) -> None:
    """Read a zip or tar archive through. Raises InputError as `extract` does, and for every checksum that is off."""
    with _reading(path), _members(path) as members:
        total = 0
        for count, member in enumerate(members, start=1):
            total += member.size
            _check_sizes(path, count, total)
            _inside(path, member.name)
            with member.open() as source:
                while source.read(CHUNK):
                    pass


def hash_members(archive: Path, names: Collection[str]) -> dict[str, str]:
    """Hex SHA-256 of the members whose base name is one of `names`, by their place in a zip or tar archive. Raises
    InputError as `extract` does."""
    with _reading(archive), _members(archive) as members:
        found = {}
        for count, member in enumerate(members, start=1):
            _check_sizes(archive, count, 0)
            if (path := _inside(archive, member.name)).name in names:
                with member.open() as source:
                    state = hashlib.sha256()
                    while block := source.read(CHUNK):
                        state.update(block)
                    found[str(path)] = state.hexdigest()
        return found


def extract(archive: Path, folder: Path, keep: Sequence[str] = ("*",), known: Sequence[str] = ()) -> Extraction:
    """Extract the files of a zip or tar archive whose base name matches a pattern of `keep` into `folder`.

    Each file appears complete or not at all, and one that is there with the same bytes is passed over: a killed
    extraction goes on where it was. A file whose base name is one of `known`, and that is not there, stays in the
    archive. Raises InputError, before the first file is written, for a name that leads out of the folder, a link or
    device, an encrypted member, two members of one name, more than MEMBERS members, sizes that no image archive has
    and sizes that the disk has not; for a file that is there with other bytes; and for a damaged archive.
    """
    with _reading(archive), _members(archive) as members:
        targets: dict[str, _Member] = {}
        left: list[str] = []
        total = 0
        for member in members:
            path = _inside(archive, member.name)
            total += member.size
            _check_sizes(archive, len(targets) + len(left) + 1, total)
            wanted = any(fnmatch.fnmatchcase(path.name.lower(), pattern.lower()) for pattern in keep)
            if not wanted or (path.name in known and not (folder / path).is_file()):
                left.append(member.name)
            elif str(path) in targets:
                raise InputError(f"{archive}: two members are called {path}; extract it by hand into {folder}")
            else:
                targets[str(path)] = member
        missing = {name: member for name, member in targets.items() if not _is_there(archive, folder, name, member)}
        needed, free = sum(member.size for member in missing.values()), _free(folder)
        if needed > free:
            raise InputError(f"{folder}: {archive.name} needs {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free")
        for name, member in missing.items():
            with atomic(folder / name) as temporary, member.open() as source, temporary.open("wb") as out:
                shutil.copyfileobj(source, out, CHUNK)
                if out.tell() != member.size:
                    raise InputError(f"{archive}: {name} is cut off; replace the archive")
    return Extraction(len(missing), len(targets) - len(missing), left)


def read_stored(archive: Path, most: int) -> dict[str, bytes]:
    """The members of a zip that stores them as they are, one after another, and holds nothing else: bytes by name.

    So nothing unpacks to more than the file has, and no member is hidden. Raises InputError for any other zip, for two
    members of one name, for a file of more than `most` bytes (below 4 GiB), and as `extract` does for a damaged one.
    """
    if not archive.is_file():
        raise InputError(f"{archive}: no such file")
    size, at, members = archive.stat().st_size, 0, dict[str, bytes]()
    if size > most:
        raise InputError(f"{archive}: {size:,} bytes, more than the {most:,} that such a file may have")
    with _reading(archive):
        if kind(archive) != "zip":
            raise InputError(f"{archive}: no zip; get it again from its source")
        with opened_zip(archive) as opened:
            for info in opened.infolist():
                name = info.orig_filename
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ~UTF8 or info.file_size > size:
                    raise InputError(f"{archive}: {name[:60]!r} is compressed or encrypted, or claims more bytes than "
                                     "the file has; get it again from its source")  # fmt: skip
                length = len(os.fsencode(name))
                if name in members or info.header_offset != at or info.extra or info.comment:
                    raise InputError(f"{archive}: {name[:60]!r} is there twice, or something lies beside it; get the "
                                     "file again from its source")  # fmt: skip
                members[name] = opened.read(info)
                at += LOCAL + length + info.file_size
            directory = sum(CENTRAL + len(os.fsencode(name)) for name in members)
            if opened.start_dir != at or size != at + directory + END:
                raise InputError(f"{archive}: something lies between its members; get it again from its source")
    return members


def write_stored(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a zip as `read_stored` reads it, atomically: equal members in equal order give equal bytes, anywhere."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)  # of 1980, whenever it is written
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Whatever the readers of archives raise becomes one line: for damaged files they have no common class."""
    try:
        yield
    except InputError:
        raise
    except PermissionError:
        raise no_rights(archive) from None
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, LookupError, MemoryError, zlib.error,
            lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError) as error:  # fmt: skip
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{archive}: damaged, or no archive ({reason}); get it again") from error


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    found = kind(archive)
    if found == "zip":
        with opened_zip(archive) as opened:
            yield _zip_members(archive, opened)
    elif found in {"tar", "gzip", "bzip2", "xz"}:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(_decompressed(archive, found))
            _read_through(archive, stream)
            bounded = _Bounded(stream, 4 * CHUNK)
            yield _tar_members(archive, stack.enter_context(tarfile.open(fileobj=bounded, mode="r:")))
    else:
        shown = {"page": "a web page, not an archive", "empty": "empty", "unknown": "no archive"}
        what = shown.get(found, f"a {found} archive, which this project does not open")
        how = "unpack it yourself" if found in {"7z", "rar"} else "get it again"
        raise InputError(f"{archive}: is {what}; {how}")


@contextlib.contextmanager
def opened_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    """A zip, of which zipfile holds all members in memory at once: refused before where there are far too many."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(archive.open("rb"))
        try:
            opened = stack.enter_context(zipfile.ZipFile(_Bounded(stream, HEADERS)))
        except _HugeError:
            raise InputError(f"{archive}: more than {MEMBERS:,} members; no benchmark has so many") from None
        yield opened


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Member]:
    for number, info in enumerate(opened.infolist(), start=1):
        _check_sizes(archive, number, 0)
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise InputError(f"{archive}: {info.filename!r} is a link or device; extract it by hand if you trust it")
        if info.flag_bits & 1:
            raise InputError(f"{archive}: {info.filename!r} is encrypted; extract it by hand")
        if not info.is_dir():
            yield _Member(info.filename, info.file_size, info.CRC, functools.partial(opened.open, info))


def _tar_members(archive: Path, opened: tarfile.TarFile) -> Iterator[_Member]:
    headers = 0
    for number, info in enumerate(opened, start=1):
        headers += info.offset_data - info.offset
        _check_sizes(archive, number, 0)
        if headers > HEADERS + 2048 * number:  # of names: tarfile keeps them all
            raise InputError(f"{archive}: {headers:,} bytes of names; no archive of images has so many")
        if not (info.isreg() or info.isdir()) or info.sparse is not None:
            raise InputError(f"{archive}: {info.name!r} is a link or device; extract it by hand if you trust it")
        if info.isreg():
            yield _Member(info.name, info.size, None, functools.partial(_content, opened, info))


def tar_files(archive: Path) -> Iterator[tuple[str, int, int | None]]:
    """The name, place and size of each file in a tar that is not compressed, however many they are: none is kept. A
    link or device has no size.

    Raises InputError where it is no such tar, and, after the files before, where it is cut or damaged.
    """
    if kind(archive) != "tar":
        raise InputError(f"{archive}: is no tar, or a compressed one; unpack it")
    with (
        _reading(archive),
        archive.open("rb") as stream,
        tarfile.open(fileobj=_Bounded(stream, 4 * CHUNK), mode="r:") as opened,
    ):
        while info := opened.next():
            vars(opened)["members"].clear()  # tarfile keeps them all
            if not info.isdir():
                yield info.name, info.offset_data, info.size if info.isreg() and info.sparse is None else None
        stream.seek(opened.offset)  # tarfile stops at a damaged header as it does at the end, which is a block of zeros
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("cut short, or a damaged header")


def _content(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = opened.extractfile(info)
    assert content is not None, "a regular file has content"
    return content


def _decompressed(archive: Path, found: str) -> io.BufferedIOBase:
    openers: dict[str, Callable[[Path, Literal["rb"]], io.BufferedIOBase]]
    openers = {"tar": open, "gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    return openers[found](archive, "rb")


def _read_through(archive: Path, stream: io.BufferedIOBase) -> None:
    """To the end, where a compressed stream has its checksum, and back: tarfile stops before."""
    while stream.read(CHUNK):
        _check_sizes(archive, 1, stream.tell())
    stream.seek(0)


class _HugeError(tarfile.ReadError):
    """A read that no archive of images asks for."""


class _Bounded(io.RawIOBase):
    """A stream that refuses huge single reads: a tar header, or a zip's directory, can ask for as much as it likes."""

    def __init__(self, stream: io.BufferedIOBase, most: int):
        self.stream, self.most = stream, most

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:  # a zip's last 64 kB at most
            at = self.tell()
            size = self.seek(0, os.SEEK_END) - at
            self.seek(at)
        if size > self.most:
            raise _HugeError(f"a header of {size} bytes")
        return self.stream.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        return self.stream.seek(position, whence)

    def tell(self) -> int:
        return self.stream.tell()


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The member's path below the folder, of either slash. Raises InputError for one that leads elsewhere."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or ".." in parts or not parts or ":" in parts[0] or not name.isprintable():
        raise InputError(f"{archive}: {name!r} is no name inside a folder; get the archive from its source")
    if any(len(os.fsencode(part)) > 200 for part in parts):
        raise InputError(f"{archive}: {name[:60]!r}... is too long a name; get the archive from its source")
    return PurePosixPath(*parts)


def _check_sizes(archive: Path, members: int, total: int) -> None:
    if members > MEMBERS:
        raise InputError(f"{archive}: more than {MEMBERS:,} members; no benchmark has so many")
    if total > MINIMUM and total > RATIO * archive.stat().st_size:
        raise InputError(f"{archive}: unpacks to over {RATIO} times its size; no archive of images does")


def _is_there(archive: Path, folder: Path, name: str, member: _Member) -> bool:
    """Whether the folder has the member's file. Raises InputError where it has another, or a link on the way."""
    path = folder / name
    if not path.parent.resolve().is_relative_to(folder.resolve()) or path.is_symlink():
        raise InputError(f"{path}: a link stands in the way of {archive.name}; move it away")
    if not path.exists():
        return False
    if not path.is_file() or path.stat().st_size != member.size or not _same_bytes(path, member):
        raise InputError(f"{path}: is there already, other than in {archive.name}; keep one, move the other away")
    return True


def _same_bytes(path: Path, member: _Member) -> bool:
    with path.open("rb") as one:
        if member.crc is not None:
            crc = 0
            while block := one.read(CHUNK):
                crc = zlib.crc32(block, crc)
            return crc == member.crc
        with member.open() as other:
            while block := one.read(CHUNK):
                if block != other.read(len(block)):
                    return False
    return True


def _free(folder: Path) -> int:
    """Bytes free where `folder` is, or is to be."""
    return shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
