"""Small files of which a reader would make gigabytes: refused in one line, in little memory."""

import csv
import io
import json
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import savemat

#: What reading may take, with the libraries, in MB. On commit eac8ac7 each bomb that names a figure took that much.
MOST = 900

SCRIPT = r"""
import json, re, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2)  # of a machine that runs other tests too
from mstclipiqa.base.errors import InputError
{imports}
path = Path(sys.argv[1])
try:
    {call}
    said = None
except InputError as error:
    said = str(error)
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # getrusage counts the parent's too
print(json.dumps([said, int(peak[1]) / 1024]))
"""
SHEET = ("from mstclipiqa.data.label_files import read_sheet", "read_sheet(path, ['name', 'prompt', 'mos'])")
MAT = (
    "from mstclipiqa.data.benchmarks.aigciqa2023 import _read_mat",
    "_read_mat(path, 'MOSz', 2)",
)
YAML = (
    "from mstclipiqa.base.documents import CONFIG_SCHEMA, read_yaml, validate",
    "validate(read_yaml(path), CONFIG_SCHEMA, path)",
)
ARCHIVE = ("from mstclipiqa.base.archives import extract", "extract(path, path.parent / 'out')")
TABLE = ("from mstclipiqa.base.files import read_table", "read_table(path)")


def spreadsheet(**members: bytes) -> Callable[[Path], None]:
    """A valid spreadsheet, of which members are replaced: `sheet` by rows, `styles` by formats of cells."""

    def write(path: Path) -> None:
        pd.DataFrame({"name": ["a.png"], "prompt": ["a"], "mos": [1.0]}).to_excel(path, index=False)
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        if "sheet" in members:
            name = "xl/worksheets/sheet1.xml"
            head, tail = content[name].split(b"</sheetData>")
            content[name] = head + members["sheet"] + b"</sheetData>" + tail
        if "styles" in members:
            name = "xl/styles.xml"
            head, tail = content[name].split(b"</cellXfs>")
            content[name] = head + members["styles"] + b"</cellXfs>" + tail
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, member in content.items():
                archive.writestr(name, member)
        assert path.stat().st_size < 40_000

    return write


def wide_csv(path: Path) -> None:
    with path.open("w") as stream:
        for row in (["name"], ["a.png"]):
            csv.writer(stream).writerow(row * 1_000_000)


def keyed_json(path: Path) -> None:
    path.write_text(json.dumps([{f"column {row}": 1} for row in range(20_000)]))


def empty_json(path: Path) -> None:
    path.write_text("[" + "{}," * 20_000_000 + "{}]")


def mat_of_zeros(path: Path) -> None:
    """2 GB of zeros for the two values that the array says it has."""
    savemat(path, {"MOSz": np.ones((2, 1))})
    content = path.read_bytes()
    packer = zlib.compressobj()
    header = content[128:176][:40]
    begun = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**24)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # which stands alone, and so may be repeated
    packed = begun + 128 * block + packer.flush()
    path.write_bytes(content[:128] + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)


def aliases(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    path.write_text("\n".join(lines) + "\nsuite: *a8\n")


def itself(path: Path) -> None:
    path.write_text("suite: &a [*a, *a]\n")


def crowded_zip(path: Path) -> None:
    """Two million members, all of them the same empty one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"")
    content = out.getvalue()
    at = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    local, directory, tail = content[:at], content[at:end] * 2_000_000, bytearray(content[end:])
    tail[8:12] = b"\xff\xff\xff\xff"
    tail[12:16] = len(directory).to_bytes(4, "little")
    path.write_bytes(local + directory + tail)


def crowded_tar(path: Path) -> None:
    """Folders, of which no file is made."""
    info = tarfile.TarInfo("a")
    info.type = tarfile.DIRTYPE
    path.write_bytes(info.tobuf() * 400_000 + bytes(1024))


def wordy_tar(path: Path) -> None:
    """Names of members are short; what else is said of each has 3 MB."""
    with tarfile.open(path, "w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as archive:
        for number in range(80):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.pax_headers = {"comment": "a" * 3_000_000}
            archive.addfile(info)


def table(
    column: Callable[[], pa.Array], times: int = 1, metadata: bytes = b"{}", **options: object
) -> Callable[[Path], None]:
    """A table of a column that is written several times, each time as a part of its own."""

    def write(path: Path) -> None:
        part = pa.table({"a": column()}).replace_schema_metadata({"mstclipiqa": metadata})
        with pq.ParquetWriter(path, part.schema, **options) as writer:
            for _ in range(times):
                writer.write_table(part)
            if not options.get("store_schema", True):
                writer.add_key_value_metadata({"mstclipiqa": metadata})
        assert path.stat().st_size < 60_000_000

    return write


def repeated(value: str | bytes) -> pa.Array:
    """A value in a hundred thousand rows, which the file holds once."""
    return pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), [value])


def wide_table(path: Path) -> None:
    pq.write_table(pa.table({f"column {number}": [1] for number in range(40_000)}), path)


far = b"".join(b'<row><c r="XFD1"><v>1</v></c></row>' for _ in range(100_000))
STYLES = b"<xf/>" * 1_000_000
BOMBS: dict[str, tuple[str, Callable[[Path], None], tuple[str, str], str]] = {
    "a spreadsheet with a value in the last column of every row: 8.7 GB": (
        "a.xlsx", spreadsheet(sheet=far), SHEET, "16,384 columns; no benchmark's labels have more than 64"
    ),
    "one with formats of cells that are far out": (
        "a.xlsx", spreadsheet(sheet=far.replace(b"<v>1</v>", b"")), SHEET, "more cells or styles than"
    ),
    "one of a million styles: 8 GB": ("a.xlsx", spreadsheet(styles=STYLES), SHEET, "cells or styles than"),
    "a table of a million columns: 7.6 GB": (
        "a.csv", wide_csv, SHEET, "1,000,000 columns; no benchmark's labels have more than 64"
    ),
    "records that share no key": ("a.json", keyed_json, SHEET, "missing column name, prompt, mos; found 'column 0'"),
    "records without a key": ("a.json", empty_json, SHEET, "60 MB unpacked; no benchmark's labels have more than 34"),
    "a MATLAB file of 2 GB of zeros": ("a.mat", mat_of_zeros, MAT, "unpacked; no benchmark's labels have more than"),
    "aliases of aliases: 2.7 GB": ("a.yaml", aliases, YAML, "not YAML (more than 100,000 values"),
    "an alias of what it is in": ("a.yaml", itself, YAML, "not YAML (more than 100,000 values"),
    "a zip of two million members: 1 GB": ("a.zip", crowded_zip, ARCHIVE, "more than 100,000 members"),
    "a tar of folders": ("a.tar", crowded_tar, ARCHIVE, "more than 100,000 members"),
    "a tar of long comments": ("a.tar.gz", wordy_tar, ARCHIVE, "bytes of names"),
    "a table of one text in a million rows: 3.4 GB": (
        "a.parquet", table(lambda: repeated("a" * 3_000), 10, store_schema=False), TABLE, "takes more than 537 MB"
    ),
    "one of a short text in twenty million rows": (
        "a.parquet", table(lambda: repeated("a" * 20), 200, store_schema=False), TABLE, "takes more than 537 MB"
    ),
    "one of a hundred million zeros: 1.8 GB": (
        "a.parquet", table(lambda: pa.array(np.zeros(1_000_000)), 100), TABLE, "takes more than 537 MB"
    ),
    "one of rows without a value": (
        "a.parquet", table(lambda: pa.nulls(1_000_000), 100), TABLE, "takes more than 537 MB"
    ),
    "one of zeros that are not told apart: 1.6 GB": (
        "a.parquet", table(lambda: pa.array(np.zeros(2**20)), 80, use_dictionary=False), TABLE, "more than 537 MB"
    ),
    "one of texts that are told by what they share": (
        "a.parquet", table(lambda: pa.array(["a" * 50_000] * 4_000), use_dictionary=False,
                           column_encoding="DELTA_BYTE_ARRAY"), TABLE, "column a is packed by DELTA_BYTE_ARRAY"
    ),
    "one of packed zeros": (
        "a.parquet", table(lambda: pa.array(np.zeros(2**24)), compression="zstd", use_dictionary=False), TABLE,
        "column a is packed by ZSTD"
    ),
    "one of lists: 1.8 GB": (
        "a.parquet", table(lambda: pa.array([np.zeros(10_000_000, np.int8)]), 80), TABLE, "column a holds list<"
    ),
    "one of bytes: 3.7 GB": (
        "a.parquet", table(lambda: repeated(b"a" * 3_000), 10, store_schema=False), TABLE, "column a holds binary"
    ),
    "one of columns": ("a.parquet", wide_table, TABLE, "a footer of "),
    "one that says much of itself": (
        "a.parquet", table(lambda: pa.array([1]), metadata=b"[" + b"[]," * 8_000_000 + b"1]"), TABLE, "a footer of "
    ),
}  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no other system says how much memory was taken")
@pytest.mark.parametrize("bomb", BOMBS)
def test_refused_in_little_memory(bomb: str, tmp_path: Path):
    name, write, (imports, call), words = BOMBS[bomb]
    path = tmp_path / name
    write(path)
    script = SCRIPT.format(imports=imports, call=call)
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=300, check=True)
    said, megabytes = json.loads(done.stdout)
    assert said and said.startswith(f"{path}: ") and words in said and "\n" not in said, said
    assert len(said) < 600
    assert megabytes < MOST
