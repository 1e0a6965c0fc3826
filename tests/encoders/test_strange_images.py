"""One rule for pixels: `samples`, `extract` and `score` read the same images, and refuse the same in one line."""

import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import IMAGE_FORMATS
from mstclipiqa.base.pixels import FORMATS, MOST_RATIO
from mstclipiqa.data.samples import find_images, inspect_image
from mstclipiqa.encoders.images import read_image
from mstclipiqa.scoring.scorer import find_images as find_scored

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
#: What `samples` asks of an image, and what `extract` and `score` do.
READERS = {"samples": inspect_image, "extract and score": read_image}


def save(image: Image.Image, format: str, **options: object) -> Callable[[Path], None]:
    return lambda path: image.save(path, format, **options)


def put(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int = 1, data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


GREY = Image.fromarray(PIXELS[..., 0])
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 20\n%%EndComments\nshowpage\n%%EOF\n"

#: What the file is, how it is written, and words of the line.
REFUSED = {
    "16 bits of grey": (save(Image.fromarray(PIXELS[..., 0].astype(np.uint16)), "PNG"), "more than 8 bits of grey"),
    "32 bits of grey": (save(GREY.convert("I"), "TIFF"), "more than 8 bits of grey"),
    "floating point": (save(GREY.convert("F"), "TIFF"), "more than 8 bits of grey"),
    "a thin PNG": (put(png(1, 20_000, data=bytes(2) * 20_000)), "1 x 20000 pixels"),
    "a thin JPEG": (save(Image.new("RGB", (65_000, 1)), "JPEG"), "65000 x 1 pixels"),
    "thinner by a pixel than may be": (save(Image.new("L", (3, 3 * MOST_RATIO + 1)), "PNG"), "3 x 301 pixels"),
    "beyond Pillow's limit": (put(png(12_000, 12_000)), "too large an image"),
    "beyond twice Pillow's limit": (put(png(60_000, 60_000)), "too large an image"),
    "EPS, for which Pillow runs Ghostscript": (put(EPS), "not a readable image"),
    "DDS": (save(Image.fromarray(PIXELS), "DDS"), "not a readable image"),
    "a damaged DDS": (put(b"DDS " + struct.pack("<I", 124) + bytes(range(256))), "not a readable image"),
    "a damaged BLP": (put(b"BLP2" + bytes(64)), "not a readable image"),
    "a damaged AVIF": (put(b"\0\0\0\x1cftypavif" + bytes(64)), "not a readable image"),
    "a SPIDER": (save(GREY.convert("F"), "SPIDER"), "not a readable image"),
    "ICO": (save(Image.fromarray(PIXELS), "ICO"), "not a readable image"),
    "PPM": (save(Image.fromarray(PIXELS), "PPM"), "not a readable image"),
    "PCX": (save(Image.fromarray(PIXELS), "PCX"), "not a readable image"),
    "no bytes": (put(b""), "the file is empty"),
    "a page": (put(b"<html>Quota"), "not a readable image"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_all_in_the_same_line(kind: str, reader: str, tmp_path: Path, monkeypatch):
    Image.init()
    monkeypatch.setattr(Image, "EXTENSION", dict(Image.EXTENSION))  # whoever saves a SPIDER makes its ending SPIDER's
    write, words = REFUSED[kind]
    path = tmp_path / "a.jpg"
    write(path)
    with warnings.catch_warnings(), pytest.raises(InputError) as error:
        warnings.simplefilter("error")
        READERS[reader](path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and words in message and "\n" not in message


#: Images that were read before the rule, with the pixels that are read of them.
RGB = Image.fromarray(PIXELS)
READ = {
    "PNG": save(RGB, "PNG"),
    "JPEG": save(RGB, "JPEG"),
    "WebP": save(RGB, "WEBP", lossless=True),
    "GIF": save(RGB, "GIF"),
    "BMP": save(RGB, "BMP"),
    "TIFF": save(RGB, "TIFF"),
    "grey": save(GREY, "PNG"),
    "palette": save(RGB.convert("P"), "PNG"),
    "transparent": save(RGB.convert("RGBA"), "PNG"),
    "CMYK": save(RGB.convert("CMYK"), "JPEG"),
    "1 bit": save(RGB.convert("1"), "PNG"),
    "16 bits of colour": put(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.repeat(2, axis=-1).tobytes() for row in PIXELS)))
        + chunk(b"IEND", b"")
    ),
    "as thin as may be": save(Image.new("L", (3, 3 * MOST_RATIO)), "PNG"),
}


@pytest.mark.parametrize("kind", READ)
def test_what_benchmarks_have_is_read_as_pillow_reads_it(kind: str, tmp_path: Path):
    path = tmp_path / "a.png"
    READ[kind](path)
    with Image.open(path) as plain:
        assert inspect_image(path)[0] == plain.size
        assert read_image(path).tobytes() == plain.convert("RGB").tobytes()


def test_every_format_of_the_rule_is_one_that_pillow_has():
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
    endings = Image.registered_extensions()
    assert {ending: endings[ending] for ending in IMAGE_FORMATS} == IMAGE_FORMATS


@pytest.mark.parametrize("ending", IMAGE_FORMATS)
def test_an_image_of_any_format_that_is_read_is_found_too(ending: str, tmp_path: Path):
    path = tmp_path / f"a{ending.upper()}"
    Image.fromarray(PIXELS).save(path)
    assert find_images(tmp_path, [path.name])[0] == {path.name: path}
    assert list(find_scored([tmp_path])) == [path]
    assert inspect_image(path)[0] == (30, 20)


def test_whatever_a_reader_raises_is_one_line(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)

    def fail(*_: object, **__: object) -> None:
        raise struct.error("unpack requires\na buffer")

    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(InputError, match=r"a.png: does not decode \(unpack requires a buffer\); replace it from the"):
        read_image(path)
    monkeypatch.setattr(Image, "open", fail)
    for reader in READERS.values():
        with pytest.raises(InputError, match=r"not a readable image of \d+ bytes \(error\); replace it"):
            reader(path)


def test_an_image_that_may_not_be_read_is_not_to_be_replaced(tmp_path: Path, monkeypatch):
    """The tests may run as root, who may read everything."""
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)

    def forbid(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", forbid)
    for reader in READERS.values():
        with pytest.raises(InputError, match="a.png: may not be read; give yourself the right to$"):
            reader(path)


def test_many_threads_leave_the_filters_of_warnings_as_they_were(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(png(12_000, 12_000))
    before = list(warnings.filters)

    def refuse(_: int) -> bool:
        with pytest.raises(InputError, match="too large an image"):
            read_image(tmp_path / "a.png")
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(refuse, range(100)))
    assert warnings.filters == before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no other system says how much memory was taken")
def test_the_thinnest_image_fits_into_memory_in_clips_resize(tmp_path: Path):
    """In a process of its own: on eac8ac7 a PNG of 166 bytes took 4.8 GB."""
    path = tmp_path / "a.png"
    Image.new("L", (200, 200 * MOST_RATIO)).save(path)
    script = r"""
import re, sys
from pathlib import Path
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.images import read_image
prepare = load_encoder("mst-small-32", "random:1").preprocess
def peak():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
before = peak()
prepare(read_image(Path(sys.argv[1])))
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=300, check=True)
    assert int(done.stdout.splitlines()[-1]) < 400
