"""Downloads from a loopback server that misbehaves: each recovers or fails in one line, and nothing wrong is kept."""

import contextlib
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.cli.main import main
from mstclipiqa.data.acquisition import acquire, list_sources, read_sources
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.downloads import Patience, Source, fetch, fetch_all

REPOSITORY = Path(__file__).parents[2]
QUICK = Patience(attempts=3, pause=0.01, longest=0.2, timeout=(30, 30))
HASTY = replace(QUICK, timeout=(30, 0.3))  # for servers that stall; a busy machine may stall too
PAGE = b"<!DOCTYPE html><html><head><title>Quota exceeded</title></head><body>Too many users</body></html>"


def make_zip(seed: int = 0, size: int = 300_000) -> bytes:
    """An archive of one member that does not compress, so that a cut anywhere matters."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("images/a.png"), random.Random(seed).randbytes(size))
    return out.getvalue()


BODY = make_zip()
OTHER = make_zip(seed=1)
NAME = "images.zip"


class Handler(BaseHTTPRequestHandler):
    """Answers the n-th request for a path by its n-th action, the last one from then on."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with self.server.guard:
            seen = self.server.seen.setdefault(self.path, [])
            seen.append(dict(self.headers))
            actions = self.server.actions[self.path]
            action = actions[min(len(seen), len(actions)) - 1]
        with contextlib.suppress(ConnectionError, TimeoutError):
            action(self)
        self.close_connection = True

    def log_message(self, *_):
        pass

    def start(self, status: int = 200, length: int | None = None, **headers: object):
        self.send_response(status)
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


Action = Callable[[Handler], None]


class Server:
    """A loopback server; `serve` gives a path its actions and returns its address."""

    def __init__(self):
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.actions, self.http.seen, self.http.guard = {}, {}, threading.Lock()
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, *actions: Action, path: str = "/images.zip") -> str:
        self.http.actions[path] = actions
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def seen(self, path: str = "/images.zip") -> list[dict]:
        """The headers of the requests so far."""
        return self.http.seen.get(path, [])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def good(body: bytes = BODY, tag: str | None = '"1"', ranges: bool = True, heed: bool = True) -> Action:
    """A correct server, but for what is asked: without ranges, or without heeding If-Range."""

    def act(handler: Handler):
        asked = handler.headers.get("Range") if ranges else None
        named = {"ETag": tag} if tag else {}
        if asked and (not heed or handler.headers.get("If-Range") == tag):
            offset = int(asked.removeprefix("bytes=").rstrip("-"))
            if offset >= len(body):
                handler.start(416, 0, Content_Range=f"bytes */{len(body)}", **named)
                return
            content = f"bytes {offset}-{len(body) - 1}/{len(body)}"
            handler.start(206, len(body) - offset, Content_Range=content, **named)
            handler.wfile.write(body[offset:])
        else:
            handler.start(200, len(body), **named)
            handler.wfile.write(body)

    return act


def cut(at: int = 200_000, body: bytes = BODY, tag: str = '"1"') -> Action:
    def act(handler: Handler):
        handler.start(200, len(body), ETag=tag)
        handler.wfile.write(body[:at])

    return act


def stall(at: int = 200_000) -> Action:
    def act(handler: Handler):
        handler.start(200, len(BODY), ETag='"1"')
        handler.wfile.write(BODY[:at])
        handler.wfile.flush()
        time.sleep(0.6)

    return act


def answer(code: int, body: bytes = b"", claimed: int | None = None, **headers: object) -> Action:
    """A status and a body, `claimed` bytes long if it is to be asked."""

    def act(handler: Handler):
        handler.start(code, len(body) if claimed is None else claimed, **headers)
        handler.wfile.write(body)

    return act


def slam(handler: Handler):
    """Close without a word."""


def to(location: str) -> Action:
    return answer(302, Location=location)


def flipped(body: bytes = BODY) -> bytes:
    """Wrong bytes of the right size."""
    return body[:1000] + bytes([body[1000] ^ 1]) + body[1001:]


def known(url: str) -> Source:
    return Source(url, NAME, len(BODY), hashlib.sha256(BODY).hexdigest())


def unknown(url: str) -> Source:
    return Source(url, NAME)


def kept(cache: Path) -> list[Path]:
    return sorted(cache.rglob(NAME))


def assert_refused(source: Source, cache: Path, *words: str, patience: Patience = QUICK) -> None:
    with pytest.raises(InputError) as error:
        fetch([source], cache, patience=patience)
    message = str(error.value)
    assert "\n" not in message
    assert [word for word in (NAME, *words) if word not in message] == [], message
    assert kept(cache) == []


#: Faults that pass: what the server does, and the number of requests until the file is there.
RECOVERS = {
    "cut body, resumed": ([cut(), good()], 2),
    "cut three times": ([cut(100_000), cut(200_000), cut(250_000), good()], 4),
    "cut, and no ranges": ([cut(), good(ranges=False)], 2),
    "cut, and no ETag to resume by": ([cut(tag="W/1"), good(tag=None)], 2),
    "stalls, then resumed": ([stall(), good()], 2),
    "closed without an answer": ([slam, good()], 2),
    "503, then fine": ([answer(503), good()], 2),
    "500 with a page, then fine": ([answer(500, PAGE), good()], 2),
    "429 with Retry-After, then fine": ([answer(429, Retry_After=1), good()], 2),
    "changed between attempts": ([cut(body=OTHER, tag='"0"'), good()], 2),
    "changed, If-Range not heeded": ([cut(body=OTHER, tag='"0"'), good(heed=False), good()], 3),
    "changed under the same ETag": ([cut(body=OTHER), good(), good()], 3),
    "claims more than it has, then fine": ([answer(200, BODY[:100_000], len(BODY) + 1, ETag='"0"'), good()], 2),
    "a page for the rest": ([cut(), answer(206, PAGE, Content_Range="bytes 0-9/10", ETag='"1"'), good()], 3),
}


@pytest.mark.parametrize("fault", RECOVERS)
def test_recovers(fault: str, server: Server, tmp_path: Path):
    actions, requests = RECOVERS[fault]
    stalls = "stalls" in fault
    path = fetch([unknown(server.serve(*actions))], tmp_path, patience=HASTY if stalls else QUICK)
    assert path.read_bytes() == BODY
    assert len(server.seen()) == requests or (stalls and len(server.seen()) > requests)
    assert not list(tmp_path.rglob("download.*"))


def test_resumes_where_it_was(server: Server, tmp_path: Path):
    fetch([unknown(server.serve(cut(200_000), good()))], tmp_path, patience=QUICK)
    second = server.seen()[1]
    offset = int(second["Range"].removeprefix("bytes=").rstrip("-"))
    assert 100_000 < offset <= 200_000 and second["If-Range"] == '"1"'


def test_waits_as_long_as_it_is_told_to(server: Server, tmp_path: Path):
    start = time.monotonic()
    fetch([unknown(server.serve(answer(429, Retry_After=60), good()))], tmp_path, patience=replace(QUICK, longest=0.3))
    assert 0.3 <= time.monotonic() - start < 60


#: Faults that stay: the source's knowledge of the file, what the server does, and words of the one line.
REFUSED = {
    "cut every time": (unknown, [cut(100_000)], ["gave up after 3 attempts"]),
    "stalls every time": (unknown, [stall(1000)], ["timed out", "gave up after 3"]),
    "closed every time": (unknown, [slam], ["gave up after 3"]),
    "wrong bytes of the right size": (known, [good(flipped())], ["sha256", "expected", "other bytes"]),
    "wrong bytes, hash unknown, in an archive": (unknown, [good(flipped())], ["damaged", "CRC"]),
    "a page with status 200": (unknown, [answer(200, PAGE)], ["web page", "Quota exceeded"]),
    "a page with status 200, size known": (known, [answer(200, PAGE)], ["web page", "Quota exceeded"]),
    "no archive": (unknown, [answer(200, b"hello" * 100)], ["no archive"]),
    "empty": (unknown, [answer(200)], ["empty"]),
    "403": (unknown, [answer(403)], ["403"]),
    "404": (unknown, [answer(404, PAGE)], ["404"]),
    "429 every time": (unknown, [answer(429, Retry_After=0)], ["429", "gave up"]),
    "503 every time": (unknown, [answer(503)], ["503", "gave up"]),
    "redirect loop": (unknown, [to("/images.zip")], ["redirects"]),
    "redirect to another scheme": (unknown, [to("file:///etc/hostname")], ["file:///etc/hostname"]),
    "claims too few bytes": (unknown, [answer(200, BODY, 100_000)], ["damaged"]),
    "claims too few bytes, size known": (known, [answer(200, BODY, 100_000)], ["100,000 bytes", f"{len(BODY):,}"]),
    "claims too many bytes": (unknown, [answer(200, BODY, len(BODY) + 9)], ["gave up"]),
    "no length, and more than it should be": (
        known, [lambda handler: (handler.start(200), handler.wfile.write(BODY + b"more"))], ["more than the expected"]
    ),
    "no length, and cut": (
        unknown, [lambda handler: (handler.start(200), handler.wfile.write(BODY[:150_000]))], ["damaged"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refused_in_one_line_and_not_kept(fault: str, server: Server, tmp_path: Path):
    describe, actions, words = REFUSED[fault]
    url = server.serve(*actions)
    assert_refused(describe(url), tmp_path, url, *words, patience=HASTY if "stalls" in fault else QUICK)


def test_text_without_a_hash_is_not_mixed_of_two_versions(server: Server, tmp_path: Path):
    """It has no checksum of its own: only the ETag of the second answer tells that it is of another version."""
    old, new = b"old line\n" * 30_000, b"new line\n" * 30_000
    source = Source(server.serve(cut(body=old, tag='"0"'), good(new, heed=False), good(new)), "data.csv")
    assert fetch([source], tmp_path, patience=QUICK).read_bytes() == new


def test_text_of_another_size_than_known_is_refused(server: Server, tmp_path: Path):
    """By a server that does not say how much it sends."""
    url = server.serve(lambda handler: (handler.start(200), handler.wfile.write(b"name,mos\n")))
    with pytest.raises(InputError, match="9 bytes, expected 100"):
        fetch([Source(url, "data.csv", size=100)], tmp_path, patience=QUICK)


def test_no_server_is_one_line(tmp_path: Path):
    assert_refused(unknown("http://127.0.0.1:9/images.zip"), tmp_path, "refused")


def test_next_source_is_tried_and_all_refusals_are_told(server: Server, tmp_path: Path):
    bad, fine = server.serve(answer(404), path="/bad"), server.serve(good(), path="/good")
    assert fetch([unknown(bad), unknown(fine)], tmp_path, patience=QUICK).read_bytes() == BODY
    worse = server.serve(answer(200, PAGE), path="/worse")
    with pytest.raises(InputError, match="404 Not Found; .*web page"):
        fetch([unknown(bad), unknown(worse)], tmp_path, patience=QUICK)


def test_unknown_hash_is_recorded_and_held_to(server: Server, tmp_path: Path):
    url = server.serve(good(), good(OTHER, tag='"2"'))
    path = fetch([unknown(url)], tmp_path, patience=QUICK)
    record = path.with_name("record.json")
    assert json.loads(record.read_text()) == {"url": url, "sha256": sha256(path), "size": len(BODY)}
    assert fetch([unknown(url)], tmp_path, patience=QUICK) == path and len(server.seen()) == 1
    path.unlink()
    assert_refused(unknown(url), tmp_path, "first download", "changed", str(record))
    record.unlink()
    assert fetch([unknown(url)], tmp_path, patience=QUICK).read_bytes() == OTHER


def test_damaged_file_of_the_cache_is_replaced_but_not_offline(server: Server, tmp_path: Path):
    source = unknown(server.serve(good()))
    path = fetch([source], tmp_path, patience=QUICK)
    path.write_bytes(flipped())
    with pytest.raises(InputError, match="not in the cache .* offline"):
        fetch([source], tmp_path, offline=True)
    assert fetch([source], tmp_path, patience=QUICK).read_bytes() == BODY
    assert fetch([source], tmp_path, offline=True) == path


def test_cache_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        fetch([unknown(server.serve(good()))], tmp_path / "cache", patience=QUICK)


def test_full_disk_is_one_line_and_what_came_is_resumed(server: Server, tmp_path: Path, monkeypatch):
    source = unknown(server.serve(good()))
    opened = Path.open

    def full(self: Path, mode: str = "r", *arguments, **options):
        stream = opened(self, mode, *arguments, **options)
        if "download.part" in self.name and "a" in mode:
            write = stream.write

            class Full:
                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    stream.close()

                def tell(self):
                    return stream.tell()

                def write(self, chunk):
                    if stream.tell() > 100_000:
                        raise OSError(28, "No space left on device")
                    return write(chunk)

            return Full()
        return stream

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(InputError, match="No space left on device"):
            fetch([source], tmp_path, patience=QUICK)
    assert kept(tmp_path) == []
    assert fetch([source], tmp_path, patience=QUICK).read_bytes() == BODY
    assert server.seen()[1]["Range"].startswith("bytes=1")


def test_several_at_once_and_one_failure_spares_the_others(server: Server, tmp_path: Path):
    paths = [f"/{number}.zip" for number in range(6)]
    actions = [good(make_zip(number)) if number != 3 else answer(404) for number in range(6)]
    sources = [[unknown(server.serve(one, path=path))] for path, one in zip(paths, actions, strict=True)]
    found = fetch_all(sources, tmp_path, patience=QUICK)
    assert [path.read_bytes() == make_zip(number) for number, path in enumerate(found) if number != 3] == [True] * 5
    assert isinstance(found[3], InputError)


SCRIPT = """
import sys
from pathlib import Path
from mstclipiqa.acquisition import Source, fetch
print(fetch([Source(sys.argv[1], "images.zip")], Path(sys.argv[2])))
"""


def start_process(url: str, cache: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, str(cache)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_killed_midway_then_resumed(server: Server, tmp_path: Path):
    held = threading.Event()

    def hold(handler: Handler):
        handler.start(200, len(BODY), ETag='"1"')
        handler.wfile.write(BODY[:200_000])
        handler.wfile.flush()
        held.wait(300)

    url = server.serve(hold, good())
    process = start_process(url, tmp_path)
    deadline = time.monotonic() + 300
    while not any(part.stat().st_size > 50_000 for part in tmp_path.rglob("download.part")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    held.set()
    assert kept(tmp_path) == []
    assert fetch([unknown(url)], tmp_path, patience=QUICK).read_bytes() == BODY
    assert "Range" in server.seen()[1]


def test_killed_after_the_last_byte(server: Server, tmp_path: Path):
    """Before the move: the server has no more bytes to give."""
    url = server.serve(good())
    path = fetch([unknown(url)], tmp_path, patience=QUICK)
    path.rename(path.with_name("download.part"))
    path.with_name("download.json").write_text('{"validator": "\\"1\\""}')
    assert fetch([unknown(url)], tmp_path, patience=QUICK).read_bytes() == BODY
    assert len(server.seen()) == 2


def test_two_processes_download_once(server: Server, tmp_path: Path):
    def slow(handler: Handler):
        handler.start(200, len(BODY), ETag='"1"')
        for start in range(0, len(BODY), 100_000):
            handler.wfile.write(BODY[start : start + 100_000])
            time.sleep(0.3)

    url = server.serve(slow)
    processes = [start_process(url, tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len(server.seen()) == 1
    assert [path.read_bytes() for path in kept(tmp_path)] == [BODY]


def test_the_sources_are_those_of_every_benchmark():
    sources = read_sources(REPOSITORY / "config" / "sources.yaml")
    assert set(sources["benchmarks"]) == set(BENCHMARKS)
    for name, facts in sources["benchmarks"].items():
        assert facts["licence"].startswith(BENCHMARKS[name].licence)
    addresses = [
        source.url
        for facts in sources["benchmarks"].values()
        for entry in facts["files"]
        for source in list_sources(entry)
    ]
    assert len(set(addresses)) == len(addresses)
    assert (
        "https://huggingface.co/datasets/IntMeGroup/AIGIs/resolve/dfdcd9efded13b223a67ce0d20b96f6c04a1b938/"
        + ("AIGCIQA2023.zip")
        in addresses
    )


def test_label_files_at_hand_are_those_that_the_sources_promise(shared_data: Path):
    """Of every file whose name, size and hash are known: an outside copy of it has them."""
    sources, same = read_sources(REPOSITORY / "config" / "sources.yaml"), 0
    for name, facts in sources["benchmarks"].items():
        for entry in facts["files"]:
            path, hashes = shared_data / name / entry["name"], {one.sha256 for one in list_sources(entry)}
            if path.is_file() and None not in hashes:
                assert sha256(path) in hashes, path
                assert path.stat().st_size in {one.size for one in list_sources(entry)}
                same += 1
    assert same >= 6


def image_bytes(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def small(server: Server, tmp_path: Path) -> dict:
    """Sources of a benchmark of three images in AGIQA-3K's format, on the loopback server."""
    names = [f"sd1.5_normal_00{number}.jpg" for number in range(3)]
    rows = [f"{name},a prompt {number},,,,{number},0.1,{number},0.1" for number, name in enumerate(names)]
    labels = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\n" + "\n".join(rows) + "\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(f"AGIQA-3K/{name}", image_bytes(number))
        archive.writestr("AGIQA-3K/data.csv", "other labels\n")
        archive.writestr("AGIQA-3K/readme.txt", "hello\n")
    (tmp_path / "own.zip").write_bytes(out.getvalue())
    facts = read_yaml(REPOSITORY / "config" / "sources.yaml")["benchmarks"]["agiqa-3k"]
    files = [
        {"name": "data.csv", "kind": "labels", "sources": [{"url": server.serve(good(labels.encode()), path="/csv")}]},
        {"name": "a.zip", "kind": "images", "sources": [{"url": server.serve(good(out.getvalue()), path="/zip")}]},
    ]
    return {"benchmarks": {"agiqa-3k": facts | {"files": files}}}


def found(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_acquire_completes_an_empty_folder(small: dict, tmp_path: Path):
    state = acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", patience=QUICK)
    assert state.complete and state.labelled == state.images == 3
    images = [f"AGIQA-3K/sd1.5_normal_00{number}.jpg" for number in range(3)]
    assert found(tmp_path / "data" / "agiqa-3k") == [*images, "data.csv"]


def test_acquire_again_asks_no_server(small: dict, server: Server, tmp_path: Path):
    for _ in range(2):
        acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", patience=QUICK)
    acquire("agiqa-3k", tmp_path / "elsewhere", small, tmp_path / "cache", offline=True)
    assert len(server.seen("/csv")) == len(server.seen("/zip")) == 1


def test_acquire_prefers_and_keeps_what_the_user_has(small: dict, server: Server, tmp_path: Path):
    own = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\nsd1.5_normal_000.jpg,p,,,,4,1,4,1\n"
    folder = tmp_path / "data" / "agiqa-3k"
    folder.mkdir(parents=True)
    (folder / "data.csv").write_text(own)
    archive = tmp_path / "own.zip"
    state = acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", archive, patience=QUICK)
    assert (state.labelled, state.images) == (1, 1)
    assert (folder / "data.csv").read_text() == own
    assert server.seen("/csv") == server.seen("/zip") == []


def test_acquire_labels_only(small: dict, server: Server, tmp_path: Path):
    state = acquire("agiqa-3k", tmp_path, small, tmp_path / "cache", labels_only=True, patience=QUICK)
    assert (state.labelled, state.images) == (3, 0)
    assert server.seen("/zip") == []


@pytest.mark.parametrize("gone", ["/csv", "/zip"])
def test_acquire_that_stays_incomplete_is_one_line(gone: str, small: dict, server: Server, tmp_path: Path):
    server.serve(answer(404), path=gone)
    with pytest.raises(InputError, match="404 Not Found") as error:
        acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", patience=QUICK)
    assert "\n" not in str(error.value)
    assert (tmp_path / "data" / "agiqa-3k" / "data.csv").exists() == (gone == "/zip")


def test_acquire_offline_without_a_cache_is_one_line(small: dict, tmp_path: Path):
    with pytest.raises(InputError, match=r"data\.csv: not in the cache .* offline"):
        acquire("agiqa-3k", tmp_path / "data", small, tmp_path / "cache", offline=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "abc"}, ["sha256", "abc"]),
        ({"url": "http://example.org/data.csv"}, ["http://example.org"]),
        ({"google_drive": "1ObuOZ6YZqZuxe4oRlaf3kdOBlTRg2GE4"}, ["sources"]),
        ({"mirror": "x"}, ["mirror"]),
    ],
)
def test_bad_file_of_sources_is_one_line(change: dict, words: list[str], tmp_path: Path):
    document = read_yaml(REPOSITORY / "config" / "sources.yaml")
    document["benchmarks"]["agiqa-3k"]["files"][0]["sources"][0] |= change
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InputError) as error:
        read_sources(path)
    message = str(error.value)
    assert "\n" not in message and [word for word in [str(path), *words] if word not in message] == [], message


def test_the_verb_fails_in_one_line(tmp_path: Path):
    options = ["--data-root", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--offline"]
    options += ["--sources", str(REPOSITORY / "config" / "sources.yaml")]
    done = CliRunner().invoke(main, ["acquire", "agiqa-3k", *options])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert done.stderr.splitlines()[-1].startswith("Error: data.csv: not in the cache ")
    assert not (tmp_path / "cache").exists()
