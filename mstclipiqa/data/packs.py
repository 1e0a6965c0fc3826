"""Feature packs: what is computed of a benchmark's images and prompts, and its labels, as one file without an image.

A pack is a zip that stores its members one after another: README.md for people, card.json (what it is, and the bytes
and SHA-256 of each other member), samples.csv, and arrays as .npy files. It holds data only, and its bytes follow from
its contents alone. `read_pack` looks at everything before anything is made of it.

Features are stored in float16, which is part of their encoder's identity (`stored`).
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.archives import read_stored, write_stored
from mstclipiqa.base.documents import SCHEMAS, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256 as hash_file
from mstclipiqa.base.names import IMAGE_FORMATS
from mstclipiqa.base.text import find_fault
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.benchmarks.benchmark import Benchmark
from mstclipiqa.data.label_files import MOST_ROWS

SCHEMA = SCHEMAS / "pack.schema.yaml"

#: How features are stored, and how far a stored value may be from what was rounded, as a share of it: half of the step
#: between two numbers of ten bits.
STORED, ROUNDING = "float16", 2.0**-11

#: The members beside the arrays, in their order.
README, CARD, TABLE = "README.md", "card.json", "samples.csv"

#: Bytes that a pack may have. AIGIQA-20K's by OpenAI's pair would have 567 MB, most of them token states.
MOST_BYTES = 2**31

#: What is said of an image, and of its labels where they are passed on, before the MOS and their SDs.
OF_IMAGES, OF_LABELS = ("image", "sha256", "width", "height"), ("row", "prompt", "generator")

AGAIN = "get it again from its source"


@dataclass(frozen=True)
class Pack:
    """A pack that was read, or is to be written.

    `samples` has a row per image: OF_IMAGES, and with labels OF_LABELS, the MOS of each rated target and the published
    SDs. `arrays` are, per store of images `{name}` (N, D), and per store of texts `{name}.tokens` (sum of
    L, T), `{name}.lengths` (n,) and `{name}.pooled` (n, D): float16, lengths int64. `sha256` is that of the file.
    """

    card: dict
    samples: pd.DataFrame
    arrays: dict[str, np.ndarray]
    sha256: str = field(default="", compare=False)

    @property
    def benchmark(self) -> Benchmark:
        """What it is of."""
        return get_benchmark(self.card["benchmark"])

    @property
    def has_labels(self) -> bool:
        """Whether MOS, prompts and generators are in it."""
        return self.card["labels"] is not None

    def texts(self, name: str, prompts: Iterable[str] = ()) -> list[str]:
        """The texts of a store, in its order; `prompts` are the benchmark's, distinct, where the pack lacks them."""
        entry = self.card["texts"][name]
        own = dict.fromkeys(self.samples["prompt"] if self.has_labels else prompts) if entry["prompts"] else ()
        return [*own, *entry["texts"]]


def as_stored(identity: Mapping) -> dict:
    """The identity of an encoder whose features are stored in float16; of such a one, the same."""
    if identity.get("stored") == STORED:
        return dict(identity)
    return {**identity, "stored": STORED, "label": f"{identity['label']}, stored in {STORED}"}


def write_pack(path: Path, card: dict, samples: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a pack; `card` is all of it but `files`, `arrays` are in any precision. Equal contents give equal bytes.

    Raises InputError for a value that float16 does not hold, and for a pack that `read_pack` would refuse.
    """
    members = {TABLE: _write_samples(samples)}
    for name, values in sorted(arrays.items()):
        members[f"{name}.npy"] = _write_array(path, name, values)
    readme = describe(card, len(samples), {name: values.shape for name, values in sorted(arrays.items())}).encode()
    files = {name: {"bytes": len(content), "sha256": sha256(content).hexdigest()} for name, content in members.items()}
    files |= {README: {"bytes": len(readme), "sha256": sha256(readme).hexdigest()}}
    written = json.dumps(card | {"files": files}, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    members = {README: readme, CARD: written, **members}
    _check(path, members)
    write_stored(path, members)


def read_pack(path: Path) -> Pack:
    """A pack, of which all was checked: members, sizes, hashes, names, types, values.

    Raises InputError, one line, for what is no pack, is cut or was edited.
    """
    members = read_stored(path, MOST_BYTES)
    return _check(path, members, hash_file(path))


def _check(path: Path, members: Mapping[str, bytes], digest: str = "") -> Pack:
    """The pack that members are. Raises InputError."""
    if [*members][:3] != [README, CARD, TABLE]:
        raise InputError(f"{path}: no feature pack; name a file that `mstclipiqa pack` wrote")
    card = _read_card(path, members[CARD])
    if strange := members.keys() ^ {CARD, *card["files"]}:
        name = min(strange)
        what = "is not named by its card" if name in members else "is missing"
        raise InputError(f"{path}: {name[:60]!r} {what}; {AGAIN}")
    for name, said in card["files"].items():
        if len(members[name]) != said["bytes"] or sha256(members[name]).hexdigest() != said["sha256"]:
            raise InputError(f"{path}: {name} is not what its card says, which has another size or SHA-256; {AGAIN}")
    samples = _read_samples(path, members[TABLE], card)
    shapes = _shapes_of(card, len(samples), _count_prompts(path, card, samples))
    if {f"{name}.npy" for name in shapes} != members.keys() - {README, CARD, TABLE}:
        raise InputError(f"{path}: holds other arrays than its card describes; {AGAIN}")
    arrays = {name: _read_array(path, name, members[f"{name}.npy"], shape) for name, shape in shapes.items()}
    for name, entry in card["texts"].items():
        lengths, limit = arrays[f"{name}.lengths"], entry["encoder"]["context_length"]
        if not ((lengths > 0) & (lengths <= limit)).all() or lengths.sum() != len(arrays[f"{name}.tokens"]):
            raise InputError(f"{path}: {name}.lengths are not those of its token states; {AGAIN}")
        if any(number >= len(lengths) for number in entry["truncated"]):
            raise InputError(f"{path}: {name} names a truncated text that it has not; {AGAIN}")
    return Pack(card, samples, arrays, digest)


def _read_card(path: Path, content: bytes) -> dict:
    try:
        card = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {CARD} is not JSON ({' '.join(str(error).split())[:200]}); {AGAIN}") from None
    validate(card, SCHEMA, f"{path}, {CARD}")
    benchmark = get_benchmark(card["benchmark"])
    said = [card] if card["labels"] is None else [card, card["labels"]]
    expected = {"title": benchmark.title, "paper": benchmark.paper, "licence": benchmark.licence}
    if any(part[key] != value for part in said for key, value in expected.items()):
        raise InputError(f"{path}: describes {benchmark.title} otherwise than this version does; {AGAIN}")
    labels = card["labels"]
    if labels and not (benchmark.open_labels or labels["synthetic"]):
        raise InputError(f"{path}: has labels of {benchmark.title}, which no licence lets be passed on; {AGAIN}")
    if labels and labels["ranges"] != {target: list(benchmark.ranges[target]) for target in benchmark.targets}:
        raise InputError(f"{path}: has labels on another scale than {benchmark.title}'s; {AGAIN}")
    return card


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


# The samples


def _write_samples(samples: pd.DataFrame) -> bytes:
    """The table as CSV: numbers as short as they are told apart, an empty cell for what is not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(samples.columns)
    columns = [samples[name].tolist() for name in samples]
    writer.writerows([["" if value != value else value for value in row] for row in zip(*columns, strict=True)])
    return out.getvalue().encode()


def _read_samples(path: Path, content: bytes, card: dict) -> pd.DataFrame:
    """The table of samples.csv, whose every value is what its benchmark allows."""
    benchmark, place = get_benchmark(card["benchmark"]), f"{path}: {TABLE}"
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        header, cells = rows[0], rows[1:]
        if not 0 < len(cells) <= MOST_ROWS:
            raise InputError(f"{place} has {len(cells):,} rows, not 1 to {MOST_ROWS:,}; {AGAIN}")
        sds = [f"{target}_sd" for target in benchmark.targets if f"{target}_sd" in header]
        numbers = [*benchmark.targets, *sds] if card["labels"] else []
        if header != [*OF_IMAGES, *(OF_LABELS if card["labels"] else ()), *numbers]:
            raise InputError(f"{place} has other columns than a pack of {benchmark.title}; {AGAIN}")
        frame = pd.DataFrame(cells, columns=header)
        for column in {"width", "height", "row"} & set(header):
            frame[column] = frame[column].map(int)
        for column in numbers:
            frame[column] = frame[column].map(lambda cell: float(cell or "nan"))
    except (UnicodeDecodeError, csv.Error, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{place} cannot be read ({' '.join(str(error).split())[:100]}); {AGAIN}") from None
    for name in frame["image"]:
        hidden = any(not part or part.startswith(".") for part in name.split("/"))  # or `..`, or from the root
        if find_fault(name, one_line=True) or {"\\", ":"} & set(name) or hidden:
            raise InputError(f"{place}: {name[:60]!r} is no name of an image; {AGAIN}")
        if Path(name).suffix.lower() not in IMAGE_FORMATS:
            raise InputError(f"{place}: {name[:60]!r} is no name of an image; {AGAIN}")
    for column in ("image", "row"):
        if column in frame and (twice := frame[column].duplicated()).any():
            raise InputError(f"{place}: {column} {frame[column][twice].iloc[0]} is there twice; {AGAIN}")
    if not frame["sha256"].str.fullmatch("[0-9a-f]{64}").all():
        raise InputError(f"{place}: an image without its SHA-256; {AGAIN}")
    if not (frame[["width", "height"]] > 0).all(axis=None):
        raise InputError(f"{place}: an image without its size; {AGAIN}")
    if card["labels"]:
        _check_labels(place, frame, benchmark, card["labels"])
    if _write_samples(frame) != content:
        raise InputError(f"{place} is written otherwise than `mstclipiqa pack` does; {AGAIN}")
    return frame


def _check_labels(place: str, frame: pd.DataFrame, benchmark: Benchmark, card: Mapping) -> None:
    """Labels are what their benchmark allows, and what their card counts."""
    for column in ("prompt", "generator"):
        for text in frame[column]:
            if not text.strip() or text != text.strip() or find_fault(text, one_line=column != "prompt"):
                raise InputError(f"{place}: {text[:60]!r} is no {column}; {AGAIN}")
    for target, (low, high) in benchmark.ranges.items():
        if not frame[target].between(low, high).all():
            value = frame.loc[~frame[target].between(low, high), target].iloc[0]
            raise InputError(f"{place}: {target} MOS {value:g} is outside {low:g}..{high:g}; {AGAIN}")
        if (frame.get(f"{target}_sd", pd.Series(0.0)) < 0).any():
            raise InputError(f"{place}: an SD of {target} is below 0; {AGAIN}")
    counted = {
        "benchmark": benchmark.name,
        "images": len(frame),
        "prompts": frame["prompt"].nunique(),
        "generators": frame["generator"].value_counts().to_dict(),
    }
    for key, value in counted.items():
        if card.get(key) != value:
            raise InputError(f"{place}: other {key} than its card counts, so the labels are others; {AGAIN}")
    if card["rows_read"] == len(frame):
        for target in benchmark.targets:
            said = card["mos"].get(target, {})
            for key in ("min", "max", "mean", "std"):
                if not np.isclose(said.get(key, np.nan), getattr(frame[target], key)(), rtol=1e-9, atol=0):
                    raise InputError(f"{place}: the {key} of {target} is not its card's: other labels; {AGAIN}")


# The arrays


def _count_prompts(path: Path, card: dict, samples: pd.DataFrame) -> dict[str, int]:
    """How many prompts each store of texts has. Raises InputError where they are not the samples'."""
    counts = {}
    for name, entry in card["texts"].items():
        said = entry["prompts"]
        counts[name] = said if isinstance(said, int) else len(said)
        if said and isinstance(said, int) and (not card["labels"] or said != samples["prompt"].nunique()):
            raise InputError(f"{path}: {name} has other prompts than {TABLE}; {AGAIN}")
    if sum(map(bool, counts.values())) != 1:
        raise InputError(f"{path}: one store of texts has the prompts, and here {sum(map(bool, counts.values()))} do")
    return counts


def _shapes_of(card: dict, images: int, prompts: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shape of every array, by its name."""
    shapes: dict[str, tuple[int, ...]] = {
        name: (images, entry["encoder"]["dim"]) for name, entry in card["images"].items()
    }
    for name, entry in card["texts"].items():
        count, identity = prompts[name] + len(entry["texts"]), entry["encoder"]
        shapes |= {
            f"{name}.tokens": (entry["tokens"], identity["text_width"]),
            f"{name}.lengths": (count,),
            f"{name}.pooled": (count, identity["dim"]),
        }
    return shapes


def _kind_of(name: str) -> str:
    return "<i8" if name.endswith(".lengths") else "<f2"


def _head(name: str, shape: tuple[int, ...]) -> bytes:
    """The start of a .npy file, version 1.0, as numpy reads it; ours, so that it is the same with every numpy."""
    said = f"{{'descr': '{_kind_of(name)}', 'fortran_order': False, 'shape': {shape}, }}"
    said += " " * (-(len(said) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said.encode()


def _write_array(path: Path, name: str, values: np.ndarray) -> bytes:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, dtype=_kind_of(name))
    if not np.isfinite(stored).all():
        raise InputError(f"{path}: {name} has values that {STORED} does not hold (up to {np.abs(values).max():g})")
    return _head(name, stored.shape) + stored.tobytes()


def _read_array(path: Path, name: str, content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a member, which begins as one of that shape does, has as many bytes, and finite values."""
    head, kind = _head(name, shape), np.dtype(_kind_of(name))
    if not content.startswith(head) or len(content) != len(head) + kind.itemsize * int(np.prod(shape)):
        raise InputError(f"{path}: {name}.npy is no array of shape {shape} of {kind.name}; {AGAIN}")
    values = np.frombuffer(content, kind, offset=len(head)).reshape(shape)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: {name}.npy has values that are not finite; {AGAIN}")
    return values


# For people


def describe(card: Mapping, images: int, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The card in words, as README.md of the pack."""
    labels = "MOS, prompts and generators are in it, since their licence allows it"
    if card["labels"] is None:
        labels = (
            "MOS, prompts and generators are not in it, since no licence is known to allow that: the benchmark's own "
            "label files, " + ", ".join(card["label_files"]) + ", complete it"
        )
    synthetic = "DRAWN, NOT THE BENCHMARK OF THAT NAME. " if (card["labels"] or {}).get("synthetic") else ""
    encoders = {entry["encoder"]["label"]: entry["encoder"] for entry in [*card["images"].values()]}
    lines = [
        f"# Features of {card['title']}",
        "",
        f"{synthetic}What is computed of the {images:,} images and their prompts by frozen encoders, to train and test "
        "on. It holds no image.",
        "",
        f"* Benchmark: {card['title']} ({card['paper']}). Licence: {card['licence']}.",
        f"* Attribution: {card['attribution']}.",
        f"* Labels: {labels}. Read from "
        + ", ".join(f"{name} (SHA-256 {value})" for name, value in card["label_files"].items())
        + ".",
        "* Derived: each image was decoded, converted to RGB, resized and cropped as card.json says, and encoded once; "
        "its feature is the projected [CLS] embedding, not normalised. Of each text the token states after the final "
        f"layer norm, and the projected embedding. Every number was rounded to {STORED}.",
        *(f"* Encoder: {label}, SHA-256 of its weights {one['weights_sha256']}." for label, one in encoders.items()),
        "",
        "| array | shape | holds |",
        "|---|---|---|",
        *(f"| {name}.npy | {' x '.join(map(str, shape))} | {_holds(name)} |" for name, shape in shapes.items()),
        "",
        "`samples.csv` has the images in the arrays' order, with the SHA-256 of each. `card.json` has the rest.",
        "`mstclipiqa verify RESULTS --data-root IMAGES` encodes a sample of the images again and compares.",
    ]
    return "\n".join(lines) + "\n"


def _holds(name: str) -> str:
    kinds = {"tokens": "token states, of one text after another", "lengths": "tokens of each text"}
    return kinds.get(name.rpartition(".")[2], "texts' embeddings" if name.endswith(".pooled") else "image features")
