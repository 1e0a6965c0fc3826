"""Servers that send too much, too little or something else, and archives of other data: refused, and not kept."""

import gzip
import hashlib
import io
import signal
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import BODY, QUICK, Handler, Server, answer, good, make_zip

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.data import downloads
from mstclipiqa.data.acquisition import MOST_PER_IMAGE, acquire, list_sources, read_sources
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.downloads import Source, fetch
from mstclipiqa.data.label_files import MOST_BYTES

SOURCES = Path(__file__).parents[2] / "config" / "sources.yaml"
LIMIT = 1_000_000


def refusal(source: Source, cache: Path, **patience: float) -> str:
    with pytest.raises(InputError) as error:
        fetch([source], cache, patience=replace(QUICK, **patience))
    message = str(error.value)
    assert "\n" not in message and message.isprintable()
    assert not list(cache.rglob(source.name))
    return message


class Sent:
    """Sends without end, and counts what was taken."""

    def __init__(self, **headers: object):
        self.headers, self.bytes = headers, 0

    def __call__(self, handler: Handler):
        handler.start(200, **self.headers)
        while self.bytes < 400 * LIMIT:
            handler.wfile.write(bytes(2**16))
            self.bytes += 2**16


# Too much


def test_a_download_of_unknown_size_has_a_limit(server: Server, tmp_path: Path):
    endless = Sent()
    source = Source(server.serve(endless), "images.zip", most=LIMIT)
    assert "more than the allowed, where the size is unknown, 1,000,000 bytes" in refusal(source, tmp_path)
    assert endless.bytes < 20 * LIMIT
    assert not list(tmp_path.rglob("download.part"))


def test_a_size_beyond_the_limit_is_refused_by_what_the_server_says(server: Server, tmp_path: Path):
    source = Source(server.serve(Sent(Content_Length=10**12)), "data.csv")
    message = refusal(source, tmp_path)
    assert "1,000,000,000,000 bytes" in message


def test_more_than_the_disk_has_is_refused_before_it_is_written(server: Server, tmp_path: Path, monkeypatch):
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10_000))
    message = refusal(Source(server.serve(good()), "images.zip", most=10**9), tmp_path)
    assert f"{len(BODY):,} bytes, and the disk of {tmp_path}" in message and "has room for 10,000" in message
    assert not list(tmp_path.rglob("download.part"))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip", "br"])
def test_what_is_compressed_on_the_way_is_refused(encoding: str, server: Server, tmp_path: Path):
    """10 kB that were 10 MB: nobody asked for it."""
    body = gzip.compress(bytes(10**7))
    message = refusal(Source(server.serve(answer(200, body, Content_Encoding=encoding)), "data.csv"), tmp_path)
    assert f"sends it as {encoding}, though asked for the file as it is" in message


def test_every_download_has_a_limit_that_fits_what_it_is():
    for name, facts in read_sources(SOURCES)["benchmarks"].items():
        for entry in facts["files"]:
            assert all(source.most == MOST_BYTES for source in list_sources(entry))
            sizes = [source.size for source in list_sources(entry) if source.size]
            most = MOST_BYTES if entry["kind"] == "labels" else MOST_PER_IMAGE * BENCHMARKS[name].images
            assert all(size < most for size in [*sizes, facts.get("image_bytes", 0) * (entry["kind"] == "images")])


# Too little


def drip(handler: Handler, first: bytes = b""):
    handler.start(200)
    handler.wfile.write(first)
    for _ in range(1000):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.02)


@pytest.mark.parametrize("first", [b"", bytes(100_000)])
def test_a_drip_is_left(first: bytes, server: Server, tmp_path: Path):
    source = Source(server.serve(lambda handler: drip(handler, first)), "data.csv")
    start = time.monotonic()
    message = refusal(source, tmp_path, window=0.5, slowest=10_000)
    assert "bytes a second, too few to wait for" in message and time.monotonic() - start < 10
    assert len(server.seen()) == 1, "a server that drips is not asked again"


def test_a_slow_server_that_is_fast_enough_is_waited_for(server: Server, tmp_path: Path):
    def slow(handler: Handler):
        handler.start(200, 20_000)
        for _ in range(20):
            handler.wfile.write(b"a" * 1000)
            time.sleep(0.05)

    path = fetch([Source(server.serve(slow), "data.csv")], tmp_path, patience=replace(QUICK, window=0.2, slowest=1000))
    assert path.stat().st_size == 20_000


#: What a shell runs in the background ignores SIGINT; the handler of the foreground is set again.
SCRIPT = """
import signal, sys
from pathlib import Path
from mstclipiqa.data.downloads import Source, fetch_all
signal.signal(signal.SIGINT, signal.default_int_handler)
print("ready", flush=True)
fetch_all([[Source(sys.argv[1], "a.csv")], [Source(sys.argv[1], "b.csv")]], Path(sys.argv[2]))
"""


@pytest.mark.parametrize("behaviour", ["drips", "says nothing"])
def test_one_interrupt_ends_it(behaviour: str, server: Server, tmp_path: Path):
    url = server.serve(drip if behaviour == "drips" else lambda handler: time.sleep(60))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not server.seen():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - start < 30 and process.returncode not in (0, None)  # a busy machine is slow, too
    assert "KeyboardInterrupt" in said


# Something else


def test_a_page_in_small_pieces_is_a_page(server: Server, tmp_path: Path):
    def pieces(handler: Handler):
        handler.start(200)
        for byte in b"<!doctype html><title>Quota exceeded</title>" + b" " * 1000:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()

    assert "sends a web page ('Quota exceeded'), not" in refusal(Source(server.serve(pieces), "data.csv"), tmp_path)


def raw(*lines: bytes):
    def act(handler: Handler):
        handler.wfile.write(b"\r\n".join([*lines, b"Connection: close", b"Content-Length: 0", b"", b""]))

    return act


STRANGE = {
    "an escape in the reason": raw(b"HTTP/1.1 403 \x1b[31mNo\x07"),
    "an escape in the reason of a passing fault": raw(b"HTTP/1.1 503 \x1b[31mLater"),
    "a reason of 60 kB": raw(b"HTTP/1.1 404 " + b"a" * 60_000),
    "an escape in the title of a page": answer(200, b"<html><title>\x1b[31mQuota\x9b</title></html>"),
    "an escape in the address that it sends to": raw(b"HTTP/1.1 302 Found", b"Location: ftp://a/\x1b[31m"),
    "an escape in the encoding": answer(200, b"abc", Content_Encoding="\x1b[31mgzip"),
    "a wait until the end of days": raw(b"HTTP/1.1 503 Later", b"Retry-After: Fri, 31 Dec 99999999999 23:59:59 GMT"),
    "a length of 5,000 digits": raw(b"HTTP/1.1 200 OK", b"X-A: b", b"Content-Length: " + b"9" * 5000),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_a_server_says_is_shown_and_not_obeyed(kind: str, server: Server, tmp_path: Path, capfd):
    assert len(refusal(Source(server.serve(STRANGE[kind]), "data.csv"), tmp_path)) < 600
    shown = capfd.readouterr()
    assert "\x1b" not in shown.out + shown.err


# Archives and labels of other data

HEADER = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\n"
LABELS = HEADER + "".join(f"sd1.5_normal_00{n}.jpg,a prompt {n},,,,{n},0.1,{n},0.1\n" for n in (1, 2, 3))
PNG = make_zip(7, 10)  # images are counted, not opened


def packed(**files: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return out.getvalue()


def facts(labels: dict, images: dict | None = None) -> dict:
    """Sources of AGIQA-3K, of which these are the addresses."""
    known = read_yaml(SOURCES)["benchmarks"]["agiqa-3k"]
    files = [{"name": "data.csv", "kind": "labels", "sources": [labels]}]
    files += [{"name": "a.zip", "kind": "images", "sources": [images]}] if images else []
    return {"benchmarks": {"agiqa-3k": known | {"files": files}}}


def get(sources: dict, folder: Path, archive: bytes | None = None, **options: object):
    path = folder / "mine.zip" if archive else None
    if path:
        path.write_bytes(archive)
    return acquire("agiqa-3k", folder / "data", sources, folder / "cache", path, patience=QUICK, **options)


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "data").rglob("*") if path.is_file())


IMAGES = {f"all__sd1.5_normal_00{n}.jpg": PNG for n in (1, 2, 3)}
PUBLISHED = {"url": "https://example.org/data.csv", "sha256": hashlib.sha256(LABELS.encode()).hexdigest()}


def test_labels_of_an_archive_are_the_published(tmp_path: Path):
    state = get(facts(PUBLISHED), tmp_path, packed(**IMAGES | {"data.csv": LABELS}))
    assert state.complete and state.files == {"data.csv": True}


def test_other_labels_in_an_archive_are_refused_before_anything_is_written(tmp_path: Path):
    """A drawn data.csv with 96 images passed, on eac8ac7."""
    with pytest.raises(InputError) as error:
        get(facts(PUBLISHED), tmp_path, packed(**IMAGES | {"deep__data.csv": LABELS.replace(",1,", ",4,")}))
    message = str(error.value)
    assert f"{tmp_path / 'mine.zip'}: deep/data.csv has sha256 " in message
    assert f"the published file {PUBLISHED['sha256'][:12]}...; to use other labels, unpack the archive into" in message
    assert written(tmp_path) == []


def test_labels_that_are_there_already_stay_and_are_said_to_be_others(tmp_path: Path, capfd):
    (tmp_path / "data" / "agiqa-3k").mkdir(parents=True)
    own = LABELS.replace(",1,", ",4,")
    (tmp_path / "data" / "agiqa-3k" / "data.csv").write_text(own)
    state = get(facts(PUBLISHED), tmp_path, packed(**IMAGES | {"all__data.csv": LABELS}))
    assert state.complete and state.files == {"data.csv": False}
    assert (tmp_path / "data" / "agiqa-3k" / "data.csv").read_text() == own
    said = capfd.readouterr().err
    assert "CHECK: data.csv has other bytes than the published" in said
    assert "CHECK: 3 images have labels, the published labels name 2,982" in said


def test_drawn_data_cannot_lose_their_mark_in_an_archive(tmp_path: Path):
    content = packed(**IMAGES | {"drawn__SYNTHETIC.md": "drawn", "drawn__data.csv": LABELS})
    with pytest.raises(InputError, match=r"mine.zip: drawn/SYNTHETIC.md says that this was drawn, it is not the bench"):
        get(facts(PUBLISHED), tmp_path, content)
    assert written(tmp_path) == []


def test_wrong_labels_of_unknown_hash_do_not_stick(server: Server, tmp_path: Path):
    url = server.serve(good(b"try again later\n", tag='"0"'), good(LABELS.encode()), path="/csv")
    with pytest.raises(InputError) as error:
        get(facts({"url": url}), tmp_path, labels_only=True)
    message = str(error.value)
    assert "missing column name" in message and "not kept" in message
    assert f"{tmp_path / 'cache'}" in message and message.endswith(url)
    assert written(tmp_path) == [] and not list((tmp_path / "cache").rglob("data.csv"))
    state = get(facts({"url": url}), tmp_path, labels_only=True)  # the server is mended
    assert state.labelled == 3


def test_wrong_labels_that_are_known_never_enter(server: Server, tmp_path: Path):
    url = server.serve(good(b"try again later\n"), path="/csv")
    with pytest.raises(InputError, match="other bytes than the published"):
        get(facts(PUBLISHED | {"url": url}), tmp_path, labels_only=True)
    assert not list((tmp_path / "cache").rglob("data.csv"))


def test_an_archive_of_other_images_does_not_stick(server: Server, tmp_path: Path):
    other, right = packed(**{"x__other.jpg": PNG}), packed(**IMAGES)
    labels = {"url": server.serve(good(LABELS.encode()), path="/csv")}
    images = {"url": server.serve(good(other, tag='"0"'), good(right), path="/zip")}
    with pytest.raises(InputError) as error:
        get(facts(labels, images), tmp_path)
    message = str(error.value)
    assert "0 of 3 images" in message and images["url"] in message and "is not kept" in message
    assert not list((tmp_path / "cache").rglob("a.zip"))
    assert get(facts(labels, images), tmp_path).complete


def test_an_archive_that_has_some_of_the_images_is_kept(server: Server, tmp_path: Path):
    some = packed(**dict(list(IMAGES.items())[:2]))
    labels = {"url": server.serve(good(LABELS.encode()), path="/csv")}
    images = {"url": server.serve(good(some), path="/zip")}
    with pytest.raises(InputError, match="2 of 3 images"):
        get(facts(labels, images), tmp_path)
    (kept,) = (tmp_path / "cache").rglob("a.zip")
    assert sha256(kept) == hashlib.sha256(some).hexdigest()
