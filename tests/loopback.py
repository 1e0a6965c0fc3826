"""A loopback server that does what a test asks of it, and an archive to ask it for."""

import contextlib
import io
import random
import threading
import time
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mstclipiqa.data.downloads import Patience

QUICK = Patience(attempts=3, pause=0.01, longest=0.2, timeout=(30, 30))


def make_zip(seed: int = 0, size: int = 300_000) -> bytes:
    """An archive of one member that does not compress, so that a cut anywhere matters."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("images/a.png"), random.Random(seed).randbytes(size))
    return out.getvalue()


BODY = make_zip()


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
