"""Files that appear complete or not at all, tables and tensors that carry their metadata, resumable parts."""

import contextlib
import errno
import fcntl
import fnmatch
import functools
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors import SafetensorError

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.progress import say

METADATA_KEY = b"mstclipiqa"

#: What a table may take, decoded, and its footer. The predictions of the whole study's largest job take 96 MB.
MOST_BYTES, MOST_FOOTER = 2**29, 2**22

#: What a page may be packed by, as `write_table` packs: a page of others may unpack to thousands of times its size, and
#: a text may stand for a part of the one before it.
CODECS, ENCODINGS = {"SNAPPY", "UNCOMPRESSED"}, {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "BIT_PACKED"}

#: Rows that are decoded at a time, and what Python adds to a distinct text.
BATCH, TEXT_OBJECT = 2**16, 100

os.umask(_mask := os.umask(0o077))
#: What a new file may be read by, as the user's umask says. Safetensors would give its files to the user alone.
PERMISSIONS = 0o666 & ~_mask


#: This machine, or container, among those that write into a shared folder: each numbers its own processes.
MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there when the block ends well, remove it otherwise."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{MACHINE}-{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in _abandoned(path.parent).get(path.name, ()):
            abandoned.unlink(missing_ok=True)
        try:
            yield temporary
            if temporary.is_file():
                temporary.chmod(PERMISSIONS)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Around what writes `path`: a full disk, missing rights and the like become one InputError."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else str(error)
        raise InputError(
            f"{path}: cannot be written ({reason}); make room or give rights there, or write elsewhere"
        ) from error


#: What a file system says that has no locks: there, nobody waits.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextlib.contextmanager
def alone(path: Path | str) -> Iterator[None]:
    """Alone with what is to be written at `path`, among all who ask for it here; others wait, and say so. The system
    frees the lock of a process that was killed."""
    path = Path(path)
    place = path.with_name(f".{path.name}.lock")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(place, path)
    try:
        yield
    finally:
        place.unlink(missing_ok=True)
        lock.close()


def _lock(place: Path, path: Path) -> IO[str]:
    """The file `place`, locked. Whoever had it before may have removed it by then; another is made in its stead."""
    while True:
        lock = open(place, "a")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{path}: waiting for another process that writes it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(place)):
                return lock
        lock.close()


@functools.cache
def _abandoned(folder: Path) -> dict[str, list[Path]]:
    """What killed processes of this machine left of their temporary files in a folder, by what these were to become.

    Looked for at a process's first writing into the folder: one with 20,000 images is not listed for each.
    """
    found: dict[str, list[Path]] = {}
    for path in folder.glob(".*.tmp"):
        name, _, writer = path.name[1:].removesuffix(".tmp").rpartition(".")
        machine, _, process = writer.rpartition("-")
        if machine == MACHINE and process.isdecimal() and not psutil.pid_exists(int(process)):
            found.setdefault(name, []).append(path)
    return found


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically. What has no bytes in UTF-8, as in a file's name of other bytes, stands as its
    escape, which in JSON is the string's own."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path | str, document: object) -> None:
    """Write a JSON document atomically, with sorted keys so that equal documents are equal bytes."""
    write_text(path, json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(document: object) -> str:
    """Hex SHA-256 of a JSON-serialisable document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def write_table(path: Path | str, frame: pd.DataFrame, metadata: dict) -> None:
    """Write a Parquet table atomically, with a JSON document in its file metadata."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary)


def read_table(path: Path | str, columns: Iterable[str] = ()) -> tuple[pd.DataFrame, dict]:
    """Read a table written by `write_table`: the frame and its metadata.

    Raises InputError where the file is missing, is not such a table, takes more than MOST_BYTES, or lacks one of
    `columns`.
    """
    with _reading_table(path):
        table = _decode(path)
        metadata = _description(table.schema)
        frame = table.to_pandas()
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(f"{path}: no column {', '.join(missing[:3])}{more}; this is the table of another step")
    return frame, metadata


def read_description(path: Path | str) -> dict:
    """The metadata of a table written by `write_table`. Raises InputError where the file is missing or no such
    table."""
    with _reading_table(path), _opened_table(path) as file:
        return _description(file.schema_arrow)


@contextlib.contextmanager
def _reading_table(path: Path | str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the step that writes it") from None
    except PermissionError:
        raise no_rights(path) from None
    except (pa.ArrowException, ValueError, KeyError, OSError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a table of this project ({reason}); delete it and run again") from None


def _description(schema: pa.Schema) -> dict:
    return json.loads((schema.metadata or {})[METADATA_KEY])


def _opened_table(path: Path | str, **options: object) -> pq.ParquetFile:
    """A Parquet file. Raises ValueError where its footer, of which pyarrow makes objects, is beyond that of a table."""
    with open(path, "rb") as stream:
        stream.seek(-8, os.SEEK_END)
        length = int.from_bytes(stream.read(4), "little")
    if length > MOST_FOOTER:
        raise ValueError(f"a footer of {length:,} bytes")
    return pq.ParquetFile(path, **options)


def _decode(path: Path | str) -> pa.Table:
    """A Parquet file as a table. Raises ValueError where that would take more than MOST_BYTES: of runs, dictionaries
    and packed pages a few kB may become gigabytes, so texts are decoded as dictionaries, and counted before each row
    has its own."""
    with _opened_table(path) as file:
        schema = file.schema_arrow
        _check_layout(schema, file.metadata)
    texts = [field.name for field in schema if _is_text(field.type)]
    batches, left = [], MOST_BYTES
    with _opened_table(path, read_dictionary=texts) as file:
        for batch in file.iter_batches(batch_size=BATCH):
            left -= sum(map(_decoded_bytes, batch.columns))
            _check_bytes(left >= 0)
            batches.append(batch.cast(schema))
    return pa.Table.from_batches(batches, schema)


def _check_layout(schema: pa.Schema, described: pq.FileMetaData) -> None:
    """Raises ValueError for columns, codecs and encodings that no table of this project has, and for too many cells."""
    for field in schema:
        kind = field.type
        plain = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not (plain or pa.types.is_null(kind) or _is_text(kind)):
            raise ValueError(f"column {field.name[:80]} holds {str(kind)[:80]}")
    _check_bytes(8 * described.num_rows * len(schema) <= MOST_BYTES)
    unpacked = 0
    for group in map(described.row_group, range(described.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            if strange := {chunk.compression} - CODECS | set(chunk.encodings) - ENCODINGS:
                raise ValueError(f"column {chunk.path_in_schema[:80]} is packed by {min(strange)}")
            unpacked += chunk.total_uncompressed_size
    _check_bytes(unpacked <= MOST_BYTES)


def _check_bytes(few: bool) -> None:
    if not few:
        raise ValueError(f"it takes more than {MOST_BYTES / 1e6:,.0f} MB")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _decoded_bytes(column: pa.Array) -> int:
    """What a column takes as an array, and in pandas beside it."""
    cells = 8 * len(column)
    if not pa.types.is_dictionary(column.type):
        return cells + column.nbytes
    texts = pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0
    return cells + texts + TEXT_OBJECT * min(len(column), len(column.dictionary))


class Parts:
    """Finished parts of one long job, kept beside its output so that a killed job resumes where it was.

    Parts live in `<output>.parts/<digest of key>/`; the key is everything that changes their bytes, so
    parts of another configuration are never picked up. `clear` removes them once the output is written.
    """

    def __init__(self, output: Path | str, key: object):
        self.root = Path(f"{output}.parts")
        self.folder = self.root / digest(key)[:16]

    def path(self, name: str) -> Path:
        """Where the part `name` is, or is to be written (atomically)."""
        return self.folder / name

    def clear(self) -> None:
        """Remove every part, of this and of earlier configurations."""
        shutil.rmtree(self.root, ignore_errors=True)


def list_files(root: Path, pattern: str = "*") -> list[Path]:
    """The files under `root` whose name matches the glob `pattern`, sorted.

    Links are followed, each folder is entered once, hidden files and folders are skipped.
    """
    entered, found = set(), []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:  # a link back up the tree, or to a folder beside
            subfolders.clear()
            continue
        entered.add(real)
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        found += [Path(folder, name) for name in fnmatch.filter(names, pattern) if name[0] != "."]
    return sorted(path for path in found if path.is_file())
