"""A benchmark's folder: what it has, and how it is completed from the user's archive and from known sources."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mstclipiqa.base.archives import extract
from mstclipiqa.base.documents import SCHEMAS, read_yaml, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import atomic, list_files, sha256
from mstclipiqa.base.names import IMAGE_SUFFIXES
from mstclipiqa.base.progress import say
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK, Benchmark
from mstclipiqa.data.downloads import Patience, Source, fetch_all
from mstclipiqa.data.samples import check_labels


@dataclass(frozen=True)
class State:
    """A benchmark's folder: why its labels cannot be read (None where they can), how many images they name, how many
    image files of these names there are (of any, without labels), and the label files, by whether they are as published
    (None where no hash is known)."""

    problem: str | None
    labelled: int
    images: int
    files: dict[str, bool | None]
    synthetic: bool = False

    @property
    def complete(self) -> bool:
        """Whether the workflow can read the benchmark."""
        return self.problem is None and self.images == self.labelled


def read_sources(path: Path | str) -> dict:
    """The file of sources, checked. Raises InputError for what its schema refuses, and for an unknown benchmark."""
    document = read_yaml(path)
    validate(document, SCHEMAS / "sources.schema.yaml", path)
    for name in document["benchmarks"]:
        get_benchmark(name)
    return document


def list_sources(entry: Mapping) -> list[Source]:
    """The sources of a file of `read_sources`, in the order in which they are tried."""
    return [Source(_address(one), entry["name"], one.get("size"), one.get("sha256")) for one in entry["sources"]]


def _address(source: Mapping) -> str:
    if "google_drive" in source:
        return f"https://drive.usercontent.google.com/download?id={source['google_drive']}&export=download&confirm=t"
    if "huggingface" in source:
        return "https://huggingface.co/datasets/{dataset}/resolve/{revision}/{path}".format(**source["huggingface"])
    return source["url"]


def inspect_folder(benchmark: Benchmark, folder: Path, facts: Mapping) -> State:
    """What a benchmark's folder has, by the benchmark's own reader of labels; images are counted, not opened."""
    published: dict[str, set] = {}
    for entry in (entry for entry in facts["files"] if entry["kind"] == "labels"):
        published[entry["name"]] = {source.get("sha256") for source in entry["sources"]}
    found = {path.name for path in list_files(folder) if path.suffix.lower() in IMAGE_SUFFIXES}
    synthetic = (folder / SYNTHETIC_MARK).exists()
    try:
        labels = benchmark.read(folder)
        names = set(check_labels(benchmark, labels)["image"])
    except InputError as error:
        return State(str(error), facts["images"], len(found), {}, synthetic)
    files = {
        path.name: None if None in published.get(path.name, {None}) else sha256(path) in published[path.name]
        for path in labels.files
    }
    return State(None, len(names), len(found & names), files, synthetic)


def acquire(
    name: str, data_root: Path, sources: Mapping, cache: Path, archive: Path | None = None, labels_only: bool = False,
    offline: bool = False, patience: Patience | None = None,
) -> State:  # fmt: skip
    """Complete the folder `data_root/name`: by the user's archive, then by label files and image archives downloaded.

    What the user has put there is used and never overwritten. Raises InputError where the folder stays incomplete,
    with the first source's refusal.
    """
    benchmark, folder = get_benchmark(name), data_root / name
    if name not in sources["benchmarks"]:
        raise InputError(f"{name}: the file of sources does not list it; put its files anywhere below {folder}")
    facts, refusals = sources["benchmarks"][name], []

    def download(entries: list[Mapping]) -> Iterator[tuple[Mapping, Path]]:
        paths = fetch_all([list_sources(entry) for entry in entries], cache, offline, patience)
        for entry, path in zip(entries, paths, strict=True):
            if isinstance(path, InputError):
                say(f"{path}" + "; it is optional" * entry.get("optional", False))
                refusals.extend([] if entry.get("optional") else [str(path)])
            else:
                yield entry, path

    if archive:
        _unpack(archive, folder, facts["keep"])
    state = inspect_folder(benchmark, folder, facts)
    if state.problem:
        there = {path.name for path in list_files(folder)}
        labels = [entry for entry in facts["files"] if entry["kind"] == "labels" and entry["name"] not in there]
        for entry, path in download(labels):
            with atomic(folder / entry["name"]) as temporary:
                shutil.copyfile(path, temporary)
            say(f"{folder / entry['name']}: written")
        state = inspect_folder(benchmark, folder, facts)
    if not state.complete and not labels_only:
        for _, path in download([entry for entry in facts["files"] if entry["kind"] == "images"]):
            _unpack(path, folder, facts["keep"])
        state = inspect_folder(benchmark, folder, facts)
    if state.problem:
        raise InputError(refusals[0] if refusals else state.problem)
    if not state.complete and not labels_only:
        why = refusals[0] if refusals else "no source has the others"
        raise InputError(
            f"{folder}: {state.images:,} of {state.labelled:,} images ({why}); `mstclipiqa doctor` says where to get "
            f"them by hand, then give --archive"
        )
    return state


def _unpack(archive: Path, folder: Path, keep: Sequence[str]) -> None:
    """Extract an archive, but not label files of which the folder has one: two of a name cannot be read."""
    known = {path.name for path in list_files(folder) if path.suffix.lower() not in IMAGE_SUFFIXES}
    done = extract(archive, folder, keep, sorted(known))
    left = f", {len(done.left):,} left in the archive (e.g. {done.left[0]})" if done.left else ""
    say(f"{folder}: {done.written:,} files out of {archive.name}, {done.already:,} were there{left}")
