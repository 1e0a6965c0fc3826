"""A benchmark's folder: what it has, and how it is completed from the user's archive and from known sources."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mstclipiqa.base.archives import extract, hash_members
from mstclipiqa.base.documents import SCHEMAS, read_yaml, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import atomic, list_files, sha256
from mstclipiqa.base.names import IMAGE_FORMATS
from mstclipiqa.base.progress import say
from mstclipiqa.base.text import printable
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK, Benchmark, is_synthetic
from mstclipiqa.data.downloads import Patience, Source, fetch_all, forget
from mstclipiqa.data.label_files import MOST_BYTES
from mstclipiqa.data.samples import check_labels, locate_images

#: Bytes that an archive of unknown size may have for each image: ten times what the benchmarks' images have.
MOST_PER_IMAGE = 2**22


@dataclass(frozen=True)
class State:
    """A benchmark's folder: why its labels cannot be read (None where they can), how many images they name, how many
    image files of these names there are (of any, without labels), and the label files, by whether they are as published
    (None where no hash is known). `published` is how many images the published labels name, where that is known."""

    problem: str | None
    labelled: int
    images: int
    files: dict[str, bool | None]
    synthetic: bool = False
    published: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the workflow can read the benchmark."""
        return self.problem is None and self.images == self.labelled

    @property
    def doubts(self) -> list[str]:
        """Why the numbers of these labels may be others than the benchmark's. Drawn labels are not meant to be it."""
        if self.synthetic or self.problem:
            return []
        doubts = [
            f"{printable(name)} has other bytes than the published"
            for name, same in self.files.items()
            if same is False
        ]
        if self.published not in (None, self.labelled):
            doubts.append(f"{self.labelled:,} images have labels, the published labels name {self.published:,}")
        return doubts


def read_sources(path: Path | str) -> dict:
    """The file of sources, checked. Raises InputError for what its schema refuses, and for an unknown benchmark."""
    document = read_yaml(path)
    validate(document, SCHEMAS / "sources.schema.yaml", path)
    for name in document["benchmarks"]:
        get_benchmark(name)
    return document


def list_sources(entry: Mapping, most: int = MOST_BYTES) -> list[Source]:
    """The sources of a file of `read_sources`, in the order in which they are tried. Where its size is not known it may
    have `most` bytes."""
    return [Source(_address(one), entry["name"], one.get("size"), one.get("sha256"), most) for one in entry["sources"]]


def _address(source: Mapping) -> str:
    if "google_drive" in source:
        return f"https://drive.usercontent.google.com/download?id={source['google_drive']}&export=download&confirm=t"
    if "huggingface" in source:
        return "https://huggingface.co/datasets/{dataset}/resolve/{revision}/{path}".format(**source["huggingface"])
    return source["url"]


def inspect_folder(benchmark: Benchmark, folder: Path, facts: Mapping) -> State:
    """What a benchmark's folder has, by the benchmark's own reader of labels; images are counted, not opened."""
    published = published_hashes(facts)
    synthetic = is_synthetic(folder)
    try:
        labels = benchmark.read(folder)
        names = set(check_labels(benchmark, labels)["image"])
    except InputError as error:
        any_images = locate_images(folder, ())[1]
        return State(str(error), benchmark.images or 0, len(any_images), {}, synthetic, benchmark.images)
    files = {
        path.name: sha256(path) in published[path.name] if path.name in published else None for path in labels.files
    }
    return State(None, len(names), len(locate_images(folder, names)[0]), files, synthetic, benchmark.images)


def published_hashes(facts: Mapping) -> dict[str, set[str]]:
    """The hex SHA-256 that a label file may have, by its name, where those of all its sources are known."""
    entries = (entry for entry in facts["files"] if entry["kind"] == "labels")
    hashes = {entry["name"]: {source.get("sha256") for source in entry["sources"]} for entry in entries}
    return {name: known for name, known in hashes.items() if None not in known}


def acquire(
    name: str, data_root: Path, sources: Mapping, cache: Path, archive: Path | None = None, labels_only: bool = False,
    offline: bool = False, patience: Patience | None = None,
) -> State:  # fmt: skip
    """Complete the folder `data_root/name`: by the user's archive, then by label files and image archives downloaded.

    What the user has put there is used and never overwritten; where it is not as published, that is said. Label files
    of an archive have the published bytes, and a download of unknown hash that turns out to be another file is not
    kept. Raises InputError where the folder stays incomplete, with the first source's refusal.
    """
    benchmark, folder = get_benchmark(name), data_root / name
    if name not in sources["benchmarks"]:
        raise InputError(f"{name}: the file of sources does not list it; put its files anywhere below {folder}")
    facts, refusals = sources["benchmarks"][name], []

    def download(entries: list[Mapping]) -> Iterator[tuple[Mapping, Path]]:
        largest = facts.get("image_bytes", MOST_PER_IMAGE * (benchmark.images or 0) // 2) * 2
        most = {"labels": MOST_BYTES, "images": largest or MOST_BYTES}
        wanted = [list_sources(entry, most[entry["kind"]]) for entry in entries]
        paths = fetch_all(wanted, cache, offline, patience)
        for entry, path in zip(entries, paths, strict=True):
            if isinstance(path, InputError):
                say(f"{path}" + "; it is optional" * entry.get("optional", False))
                refusals.extend([] if entry.get("optional") else [str(path)])
            else:
                yield entry, path

    if archive:
        _unpack(archive, folder, facts)
    state = inspect_folder(benchmark, folder, facts)
    if state.problem:
        there = {path.name for path in list_files(folder)}
        labels = [entry for entry in facts["files"] if entry["kind"] == "labels" and entry["name"] not in there]
        unproven = []
        for entry, path in download(labels):
            with atomic(folder / entry["name"]) as temporary:
                shutil.copyfile(path, temporary)
            say(f"{folder / entry['name']}: written")
            unproven += [(folder / entry["name"], path)] if _is_unproven(entry, path) else []
        state = inspect_folder(benchmark, folder, facts)
        wrong = [place for place in unproven if state.problem and (not refusals or str(place[0]) in state.problem)]
        if wrong:
            for written, _ in wrong:
                written.unlink()
            listed = ", ".join(f"{path} of {forget(path)}" for _, path in wrong)
            refusals.insert(0, f"{state.problem}; not kept, since nothing says that it is the published file: {listed}")
    if not state.complete and not labels_only:
        for entry, path in download([entry for entry in facts["files"] if entry["kind"] == "images"]):
            before = state.images
            _unpack(path, folder, facts)
            state = inspect_folder(benchmark, folder, facts)
            if not state.problem and state.images == before and _is_unproven(entry, path):
                refusals.append(f"{path} of {forget(path)} has none of them, and is not kept")
    if state.problem:
        raise InputError(refusals[0] if refusals else state.problem)
    if not state.complete and not labels_only:
        why = refusals[0] if refusals else "no source has the others"
        raise InputError(
            f"{folder}: {state.images:,} of {state.labelled:,} images ({why}); `mstclipiqa doctor` says where to get "
            f"them by hand, then give --archive"
        )
    for doubt in state.doubts:
        say(f"{folder}: CHECK: {doubt}")
    return state


def _is_unproven(entry: Mapping, path: Path) -> bool:
    """Whether nothing but the server's word says that a downloaded file is the one that was asked for."""
    hashes = {source["sha256"] for source in entry["sources"] if "sha256" in source}
    return not hashes or sha256(path) not in hashes


def _unpack(archive: Path, folder: Path, facts: Mapping) -> None:
    """Extract an archive, but not label files of which the folder has one: two of a name cannot be read.

    Raises InputError, before anything is written, for a label file with other bytes than published, and for drawn data,
    of which the mark would be left behind.
    """
    known = {path.name for path in list_files(folder) if path.suffix.lower() not in IMAGE_FORMATS}
    published = {name: hashes for name, hashes in published_hashes(facts).items() if name not in known}
    for name, found in hash_members(archive, [*published, SYNTHETIC_MARK]).items():
        hashes = published.get(Path(name).name, set())
        if not hashes:
            raise InputError(
                f"{archive}: {name} says that this was drawn, it is not the benchmark; get the archive anew"
            )
        if found not in hashes:
            expected = " or ".join(sorted(f"{known[:12]}..." for known in hashes))
            raise InputError(
                f"{archive}: {name} has sha256 {found[:12]}..., the published file {expected}; to use other labels, "
                f"unpack the archive into {folder} yourself"
            )
    done = extract(archive, folder, facts["keep"], sorted(known))
    left = f", {len(done.left):,} left in the archive (e.g. {done.left[0]})" if done.left else ""
    say(f"{folder}: {done.written:,} files out of {archive.name}, {done.already:,} were there{left}")
