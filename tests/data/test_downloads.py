"""Downloads from a loopback server that misbehaves: each recovers or fails in one line, and nothing wrong is kept."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import BODY, QUICK, Handler, Server, answer, cut, good, make_zip, slam, stall, to

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.data.downloads import Patience, Source, fetch, fetch_all

HASTY = replace(QUICK, timeout=(30, 0.3))  # for servers that stall; a busy machine may stall too
PAGE = b"<!DOCTYPE html><html><head><title>Quota exceeded</title></head><body>Too many users</body></html>"
OTHER = make_zip(seed=1)
NAME = "images.zip"


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
from mstclipiqa.data.downloads import Source, fetch
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
