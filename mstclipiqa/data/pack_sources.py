"""Where a feature pack comes from: shipped with the package, a file, or an address whose file is downloaded once."""

import re
from pathlib import Path

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks import get_benchmark

#: The source that stands for the pack that ships with the package, and where those lie.
SHIPPED = "shipped"
FOLDER = Path(__file__).parent / "shipped"

#: An address with the hex SHA-256 of its file, and a file of a data set at Hugging Face at a commit.
ADDRESS = re.compile(r"(?P<url>https?://[^\s#]+)#sha256=(?P<sha256>[0-9a-f]{64})")
HUGGING_FACE = re.compile(
    r"hf://datasets/(?P<dataset>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})/(?P<path>[\w./-]+)"
    r"(?:#sha256=(?P<sha256>[0-9a-f]{64}))?"
)


def is_address(source: str) -> bool:
    """Whether a source is downloaded. Raises InputError for an address without what proves its file."""
    if not re.match(r"[a-z]+://", source):
        return False
    if not (ADDRESS.fullmatch(source) or HUGGING_FACE.fullmatch(source)):
        raise InputError(
            f"pack {source}: give an address as https://HOST/FILE#sha256=HEX, or a file of a data set as "
            "hf://datasets/OWNER/NAME@COMMIT/FILE, with the commit's 40 digits"
        )
    return True


def pack_file(benchmark: str, source: str) -> Path | None:
    """The file of a source that is on this machine; None for an address. It need not be there."""
    if is_address(source):
        return None
    return FOLDER / f"{benchmark}.zip" if source == SHIPPED else Path(source)


def is_missing(benchmark: str, source: str) -> bool:
    """Whether a source is a file that is not there."""
    file = pack_file(benchmark, source)
    return file is not None and not file.is_file()


def find_pack(benchmark: str, source: str, cache: Path, offline: bool = False) -> Path:
    """The pack's file; that of an address is downloaded into the cache, where it is not there.

    Raises InputError where there is none, and as `downloads.fetch` does.
    """
    from mstclipiqa.data.downloads import Source, fetch
    from mstclipiqa.data.packs import MOST_BYTES

    file = pack_file(benchmark, source)
    if file is None:
        found = ADDRESS.fullmatch(source) or HUGGING_FACE.fullmatch(source)
        assert found is not None, "is_address refuses others"
        named = found.groupdict()
        url = named.get("url") or "https://huggingface.co/datasets/{dataset}/resolve/{revision}/{path}".format(**named)
        return fetch([Source(url, f"{benchmark}.zip", sha256=named["sha256"], most=MOST_BYTES)], cache, offline)
    if not file.is_file():
        title = get_benchmark(benchmark).title
        what = f"no pack of {title} ships with this version" if source == SHIPPED else "no such file"
        raise InputError(f"{file}: {what}; name the pack's file or address")
    return file
