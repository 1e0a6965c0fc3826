"""Records: images from folders, lists and WebDataset shards, one after another, however many they are."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from mstclipiqa.base.archives import tar_files
from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.names import IMAGE_FORMATS
from mstclipiqa.base.text import MOST_CHARACTERS, find_fault, printable

#: Bytes that one image file may have: so many are read into memory at once.
MOST_BYTES = 2**27

#: The endings of what holds many records.
LISTS, SHARD = (".txt", ".csv"), ".tar"


@dataclass(frozen=True)
class Span:
    """Where some bytes lie: `size` of them from `start` of a file, or the whole file."""

    path: Path
    start: int = 0
    size: int | None = None

    def read(self, most: int) -> bytes:
        """The bytes. Raises InputError where they are not there, may not be read, or are more than `most`."""
        try:
            size = os.stat(self.path).st_size if self.size is None else self.size
            if size > most:
                raise InputError(f"{size:,} bytes, more than {most:,}")
            with open(self.path, "rb") as stream:
                stream.seek(self.start)
                content = stream.read(size)
        except PermissionError:
            raise no_rights(self.path) from None
        except OSError as error:
            raise InputError(f"cannot be read ({os.strerror(error.errno or 0)})") from None
        if len(content) < size:
            raise InputError("cut short")
        return content


@dataclass(frozen=True)
class Record:
    """One image to be read: its name in a table; its bytes; the prompt that it comes with, if any.

    `fault` says why it cannot be read, where that is known already.
    """

    name: str
    image: Span | None = None
    prompt: str = ""
    text: Span | None = None
    fault: str = ""

    def read_image(self) -> bytes:
        """The bytes of the image. Raises InputError for a record that has a fault, or none that can be read."""
        if self.fault or self.image is None:
            raise InputError(f"{self.name}: {self.fault or 'no image'}")
        try:
            return self.image.read(MOST_BYTES)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None

    def read_prompt(self) -> str:
        """The prompt, empty where the record has none. Raises InputError for one that is no text of `base.text`."""
        try:
            text = self.text.read(4 * MOST_CHARACTERS).decode() if self.text else self.prompt
        except (InputError, UnicodeDecodeError) as error:
            reason = error if isinstance(error, InputError) else "is not UTF-8"
            raise InputError(f"{self.name}: its prompt: {reason}") from None
        if fault := find_fault(text):
            raise InputError(f"{self.name}: its prompt {fault}")
        return text.strip()


@dataclass(frozen=True)
class Source:
    """A folder, a list, a shard, or the image files that were named one by one; its records are read anew each time."""

    name: str
    records: Callable[[], Iterator[Record]]


def find_sources(paths: Iterable[Path | str]) -> list[Source]:
    """The sources that paths stand for, in their order: image files; lists (.txt, a path a line; .csv, with the columns
    image and, where it is known, prompt); WebDataset shards (.tar); and folders, for all shards and images below them.

    Raises InputError for any other path, one that stands twice, a folder with neither, and where nothing is left.
    """
    sources: dict[str, Source] = {}
    files: list[Path] = []

    def add(path: Path, records: Callable[[Path], Iterator[Record]]) -> None:
        if str(path) in sources:
            raise InputError(f"{path}: stands there twice; name it once")
        sources[str(path)] = Source(str(path), lambda: records(path))

    for path in map(Path, paths):
        ending = path.suffix.lower()
        if path.is_dir():
            before = len(sources)
            for shard in _walk(path, {SHARD}):
                add(shard, _of_shard)
            if next(_walk(path, IMAGE_FORMATS), None):
                add(path, _of_folder)
            if len(sources) == before:
                endings = ", ".join(sorted({SHARD, *IMAGE_FORMATS}))
                raise InputError(f"{path}: neither an image nor a shard below it ({endings})")
        elif not path.is_file():
            raise InputError(f"{path}: no such file or folder")
        elif ending in LISTS:
            add(path, _of_list)
        elif ending == SHARD:
            add(path, _of_shard)
        elif ending in IMAGE_FORMATS:
            files.append(path)
        else:
            raise InputError(f"{path}: neither an image, a list ({', '.join(LISTS)}) nor a shard ({SHARD})")
    if files:
        sources[""] = Source("image files", lambda: map(_of_file, files))
    if not sources:
        raise InputError("no image is named")
    return list(sources.values())


def _walk(root: Path, endings: Iterable[str]) -> Iterator[Path]:
    """The files below a folder of some endings, each folder's sorted; hidden ones are skipped. Only the names of one
    folder, and of those that it lies in, are in memory. Links to folders are not followed."""
    try:
        with os.scandir(root) as entries:
            visible = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except PermissionError:
        raise no_rights(root) from None
    for name, is_folder in visible:
        if name[0] == ".":
            continue
        if is_folder:
            yield from _walk(root / name, endings)
        elif os.path.splitext(name)[1].lower() in endings:
            yield root / name


def _of_file(path: Path) -> Record:
    return Record(printable(str(path)), Span(path))


def _of_folder(root: Path) -> Iterator[Record]:
    yield from map(_of_file, _walk(root, IMAGE_FORMATS))


def _of_list(path: Path) -> Iterator[Record]:
    """A record for each row. Paths start from the list's own folder. Raises InputError where it is no such list."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            if path.suffix.lower() == ".txt":
                yield from (_of_row(path.parent, line.strip(), "") for line in stream if line.strip())
                return
            rows = csv.reader(stream)
            header = next(rows, [])
            if "image" not in header:
                raise InputError(f"{path}: no column image in its first row; give image and, where known, prompt")
            image, prompt = header.index("image"), header.index("prompt") if "prompt" in header else None
            for row in filter(None, rows):
                if len(row) != len(header):
                    fault = f"{len(row)} cells in line {rows.line_num} of a list of {len(header)} columns"
                    yield Record(printable(f"{path}:{rows.line_num}"), fault=fault)
                else:
                    yield _of_row(path.parent, row[image], "" if prompt is None else row[prompt])
    except PermissionError:
        raise no_rights(path) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a list ({' '.join(str(error).split())[:200]})") from None


def _of_row(folder: Path, image: str, prompt: str) -> Record:
    if fault := find_fault(image, one_line=True):
        return Record(printable(image[:200]), fault=f"the path {fault}")
    return Record(str(folder / image), Span(folder / image), prompt)


def _of_shard(path: Path) -> Iterator[Record]:
    """A record for each run of files that share their name up to its first dot, as WebDataset has it: an image, and in
    `.txt` its prompt. What follows a damaged place is one record with a fault."""
    for key, members in groupby(_members_of_records(path), key=lambda member: member[0]):
        files = [(ending, span) for _, ending, span in members]
        images = [(ending, span) for ending, span in files if ending in IMAGE_FORMATS]
        name = printable(f"{path}/{key}{images[0][0] if images else ''}")
        if not key:
            yield Record(printable(str(path)), fault=files[0][0])
        elif len(images) != 1:
            yield Record(name, fault=f"{len(images) or 'no'} images in this record; one is read")
        elif any(span is None for _, span in files):
            yield Record(name, fault="a link or device in a shard; one of files alone is read")
        else:
            yield Record(name, images[0][1], text=next((span for ending, span in files if ending == ".txt"), None))


def _members_of_records(path: Path) -> Iterator[tuple[str, str, Span | None]]:
    """The record, the ending and the place of each file in a shard; of no record, at last, why the rest is not read.
    Hidden files are skipped, and those of `__` names, which are WebDataset's words about the shard."""
    try:
        for name, start, size in tar_files(path):
            place = PurePosixPath(name)
            stem, dot, ending = place.name.partition(".")
            if stem and not name.startswith("__"):
                span = None if size is None else Span(path, start, size)
                yield str(place.parent / stem), (dot + ending).lower(), span
    except InputError as error:
        yield "", str(error).removeprefix(f"{path}: "), None
