"""Work on any number of records in bounded memory: part by part, so that machines share it and a kill costs one part.

Each part is a file that appears complete or not at all, with a row for each of its records, so that no row is lost or
stands twice, however often the work is killed and started again.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_json
from mstclipiqa.base.pixels import opened
from mstclipiqa.base.progress import progress, say
from mstclipiqa.base.records import Record, Source, find_sources

#: What the parts in a folder were made from; readers of a folder of Parquet files pass over such a name.
SETTINGS = "_settings.json"

#: What is prepared of a record, or why nothing is.
Prepared = tuple[Record, Any]


class Work(Protocol):
    """What is done with records: prepared one by one, in threads; finished batch by batch; written part by part.

    `folders` says for each folder that parts are written to what decides their content, JSON-serialisable; `ending` is
    that of their files.
    """

    @property
    def folders(self) -> Mapping[Path, dict]:
        """What decides the content of the parts in each folder."""

    @property
    def ending(self) -> str:
        """The ending of a part's file."""

    def prepare(self, record: Record) -> Any:
        """What a batch is made of. Raises InputError for a record that cannot be read."""

    def finish(self, batch: list[Prepared]) -> Any:
        """The rows of a batch; an InputError stands for what could not be prepared."""

    def write(self, name: str, batches: list[Any], digest: str) -> int:
        """Write the part `name` in each folder, described by `digest` and by how many of its records failed: `failed`,
        which is returned."""

    def read_description(self, path: Path) -> dict:
        """The description of a part that is there."""


def read_record(record: Record) -> Image.Image:
    """The whole image of a record as RGB. Raises InputError where its bytes cannot be had, and where the rule for
    pixels (`base.pixels`) refuses it."""
    with opened(Path(record.name), record.read_image()) as image:
        return image.convert("RGB")


@dataclass(frozen=True)
class _Part:
    """A run of one source's records: how many, and the digest of their names."""

    name: str
    records: int
    digest: str


@dataclass
class Counts:
    """The parts and records of a call: all of its share, those done before it, and those that failed."""

    parts: int = 0
    records: int = 0
    before: int = 0
    failed: int = 0


def stream(
    work: Work,
    paths: Sequence[Path | str],
    part_size: int,
    batch_size: int,
    shard: tuple[int, int],
    description: str,
) -> Counts:
    """Do the work on every record of the sources (`find_sources`), in parts of `part_size` records of one source.

    As shard (k, n), on as many machines as one likes, every n-th part from the k-th. A part that is there already is
    not done again. All records are counted first, which reads names alone, so that progress knows the rest.

    Raises InputError for a shard beyond the last; for a folder that holds parts of other sources, sizes or encoders;
    where a source changed since its parts were written, or while they are; and as `find_sources` does. A record that
    cannot be read raises nothing: it has a row with its reason.
    """
    number, shards = shard
    if number > shards:
        raise InputError(f"--shard: there is no {number} of {shards}; give a number from 1 to {shards} first")
    sources = find_sources(paths)
    common = {"sources": [str(path) for path in paths], "part_size": part_size}
    # as they are read: without tuples
    settings = {folder: json.loads(json.dumps(common | own)) for folder, own in work.folders.items()}
    for folder in settings:
        _check_settings(folder, settings[folder])
    say(f"{description}: counting the records")
    planned = _plan(sources, part_size)
    for folder in settings:
        write_json(folder / SETTINGS, settings[folder])
    counts, todo = Counts(), set()
    for part in [part for parts in planned for part in parts][number - 1 :: shards]:
        failed = _failures_of(work, part)
        counts.parts, counts.records = counts.parts + 1, counts.records + part.records
        if failed is None:
            todo.add(part.name)
        else:
            counts.before, counts.failed = counts.before + part.records, counts.failed + failed
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        done = (
            None
            for source, parts in zip(sources, planned, strict=True)
            for _ in _do(work, source, parts, todo, batch_size, pool, counts)
        )
        for _ in progress(done, counts.records - counts.before, description, "records"):
            pass
    return counts


def _check_settings(folder: Path, settings: dict) -> None:
    """Raise InputError where the folder's parts are of other settings, or it holds something else."""
    if not (folder / SETTINGS).exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder}: is not empty and holds no {SETTINGS}; write to a folder of its own")
        return
    known = read_yaml(folder / SETTINGS)
    if changed := sorted(key for key in known.keys() | settings if known.get(key) != settings.get(key)):
        raise InputError(f"{folder}: holds parts of other {', '.join(changed)}; write to another folder")


def _plan(sources: Sequence[Source], part_size: int) -> list[list[_Part]]:
    """The parts of each source."""
    planned = []
    for index, source in enumerate(sources):
        records, parts = source.records(), list[_Part]()
        while names := [record.name for record in islice(records, part_size)]:
            parts.append(_Part(f"{index:06d}-{len(parts):06d}", len(names), _digest(names)))
        planned.append(parts)
    return planned


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _failures_of(work: Work, part: _Part) -> int | None:
    """How many records of a part failed that is there in every folder; None where it is still to be done."""
    failed = None
    for folder in work.folders:
        path = folder / f"{part.name}{work.ending}"
        if not path.exists():
            return None
        described = work.read_description(path)
        if described.get("digest") != part.digest:
            raise InputError(f"{path}: is of other records: the source changed; write to another folder")
        failed = int(described["failed"])
    return failed


def _do(
    work: Work,
    source: Source,
    parts: Sequence[_Part],
    todo: set[str],
    batch_size: int,
    pool: ThreadPoolExecutor,
    counts: Counts,
) -> Iterator[None]:
    """Do those parts of one source that are named in `todo`; yield once for each of their records."""
    records, left = source.records(), sum(part.name in todo for part in parts)
    for part in parts:
        if not left:
            return
        mine = islice(records, part.records)
        if part.name not in todo:
            deque(mine, maxlen=0)
            continue
        batches, names, prepared = [], list[str](), _ahead(pool, work.prepare, mine, 2 * batch_size)
        while batch := list(islice(prepared, batch_size)):
            batches.append(work.finish(batch))
            names += [record.name for record, _ in batch]
            yield from (None for _ in batch)
        if _digest(names) != part.digest:
            raise InputError(f"{source.name}: changed while it was read; write to another folder")
        counts.failed += work.write(part.name, batches, part.digest)
        left -= 1


def _ahead(
    pool: ThreadPoolExecutor, prepare: Callable[[Record], Any], records: Iterable[Record], depth: int
) -> Iterator[Prepared]:
    """Each record with what is prepared of it, in order; at most `depth` are prepared ahead."""

    def attempt(record: Record) -> Any:
        try:
            return prepare(record)
        except InputError as error:
            return error

    waiting: deque[tuple[Record, Future]] = deque()
    for record in records:
        waiting.append((record, pool.submit(attempt, record)))
        if len(waiting) > depth:
            done, future = waiting.popleft()
            yield done, future.result()
    for done, future in waiting:
        yield done, future.result()
