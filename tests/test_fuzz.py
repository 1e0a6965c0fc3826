"""Label files and archives with random damage: read, or refused in one line; no other exception, no crash, no hang.

MSTCLIPIQA_FUZZ_CASES asks for more cases of each than the ordinary suite has time for; `pytest -s` shows the counts.
"""

import bz2
import faulthandler
import gzip
import io
import lzma
import os
import random
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from layouts import LAYOUTS

from mstclipiqa.base.archives import check_archive, extract
from mstclipiqa.base.errors import InputError
from mstclipiqa.data.samples import collect_samples

#: Of each kind of file, and the seconds that one case may take: a process that hangs is ended with a traceback.
CASES = int(os.environ.get("MSTCLIPIQA_FUZZ_CASES", "40"))
PATIENCE = 60

#: What parsers trip over, beside random bytes.
TOKENS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b",", b"\t", b"\n", b"\r", b"=1+1", b"1e999", b"-", b"nan",
    b"9" * 40, b"<", b"&amp;", b"&a;", b"]]>", b"{", b"[[[[", b"null", b'<!DOCTYPE x [<!ENTITY a "b">]>', b"../", b"/",
    b"\xe2\x80\xae",
)  # fmt: skip


def damage(content: bytes, rng: random.Random) -> bytes:
    """One to four of: bits flipped, bytes overwritten, cut out, inserted, repeated, the end cut off."""
    damaged = bytearray(content)
    for _ in range(rng.randrange(1, 5)):
        at, length = rng.randrange(len(damaged) + 1), rng.randrange(1, 64)
        how = rng.choice(["flip", "overwrite", "cut", "insert", "token", "repeat", "end"])
        if how == "flip" and damaged:
            damaged[at % len(damaged)] ^= 1 << rng.randrange(8)
        elif how == "overwrite":
            damaged[at : at + length] = rng.randbytes(length)
        elif how == "cut":
            del damaged[at : at + length]
        elif how == "insert":
            damaged[at:at] = rng.randbytes(length)
        elif how == "token":
            damaged[at:at] = rng.choice(TOKENS)
        elif how == "repeat":
            damaged[at:at] = damaged[at : at + length] * rng.choice([1, 1, 100])
        elif rng.random() < 0.3:
            del damaged[at:]
    return bytes(damaged)


def damage_inside(content: bytes, rng: random.Random) -> bytes:
    """A zip (a spreadsheet is one) of which one member is damaged, with checksums that fit again."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        spoilt = rng.choice(archive.namelist())
        for name in archive.namelist():
            packed.writestr(name, damage(archive.read(name), rng) if name == spoilt else archive.read(name))
    return out.getvalue()


def damage_compressed(module) -> Callable[[bytes, random.Random], bytes]:
    return lambda content, rng: module.compress(damage(module.decompress(content), rng))


def write_zip(path: Path, compression: int) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)


def write_tar(path: Path, mode: str, form: int = tarfile.PAX_FORMAT) -> None:
    with tarfile.open(path, mode, format=form) as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


FILES = {
    "images/a.jpg": random.Random(1).randbytes(700),
    "images/" + "long" * 30 + ".png": b"b" * 3000,
    "caf\u00e9/labels.csv": b"name,mos\n" * 20,
}

#: By kind of archive: how it is written, and how it is damaged beneath its compression.
ARCHIVES: dict[str, tuple[Callable[[Path], None], Callable[[bytes, random.Random], bytes]]] = {
    "zip": (lambda path: write_zip(path, zipfile.ZIP_STORED), damage),
    "deflated zip": (lambda path: write_zip(path, zipfile.ZIP_DEFLATED), damage_inside),
    "tar": (lambda path: write_tar(path, "w"), damage),
    "GNU tar": (lambda path: write_tar(path, "w", tarfile.GNU_FORMAT), damage),
    "tar.gz": (lambda path: write_tar(path, "w:gz"), damage_compressed(gzip)),
    "tar.bz2": (lambda path: write_tar(path, "w:bz2"), damage_compressed(bz2)),
    "tar.xz": (lambda path: write_tar(path, "w:xz"), damage_compressed(lzma)),
}


def run_cases(
    path: Path, inside: Callable[[bytes, random.Random], bytes], read: Callable[[int], None], cases: int
) -> Counter:
    """Damage the file `path` in `cases` ways, half of them `inside`, and `read` it: how many were read and refused."""
    whole, outcomes = path.read_bytes(), Counter()
    for case in range(cases):
        rng = random.Random(f"{path.name} {len(whole)} {case}")
        path.write_bytes((inside if case % 2 else damage)(whole, rng))
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        try:
            read(case)
            outcomes["read"] += 1
        except InputError as error:
            assert "\n" not in str(error), case
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"case {case} of {path.name}: {type(error).__name__}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
    path.write_bytes(whole)
    return outcomes


@pytest.mark.filterwarnings("ignore::UserWarning")  # openpyxl's, of what it does not know
@pytest.mark.parametrize("name", LAYOUTS)
def test_damaged_label_files_are_read_or_refused(name: str, tmp_path: Path):
    layout = LAYOUTS[name]
    root = layout.make(tmp_path)

    def read(_: int) -> None:
        frame, _ = collect_samples(layout.benchmark, root)
        assert frame["image"].is_unique and (frame["prompt"].str.strip() != "").all()
        for target, (low, high) in layout.benchmark.ranges.items():
            assert frame[target].between(low, high).all()

    read(0)
    total = Counter()
    files = layout.label_files(root)
    for path in files:
        outcomes = run_cases(path, damage_inside if path.suffix == ".xlsx" else damage, read, -(-CASES // len(files)))
        assert outcomes["refused"], path.name
        total += outcomes
    print(f"\n{name}: {dict(total)}")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ARCHIVES)
def test_damaged_archives_are_unpacked_or_refused(name: str, tmp_path: Path):
    write, inside = ARCHIVES[name]
    outer, path = tmp_path / "outer", tmp_path / "archive"
    outer.mkdir()
    write(path)

    def read(case: int) -> None:
        check_archive(path)
        out = outer / f"out{case}"
        extract(path, out)
        assert not list(out.rglob("*.tmp"))
        assert all(file.resolve().is_relative_to(out.resolve()) for file in out.rglob("*"))

    outcomes = run_cases(path, inside, read, CASES)
    assert outcomes["refused"]
    assert all(folder.name.startswith("out") for folder in outer.iterdir()), "written beside the folder"
    print(f"\n{name}: {dict(outcomes)}")
