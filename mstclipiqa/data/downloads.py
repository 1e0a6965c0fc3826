"""Downloads: from ordered sources, checked, resumed, into a cache that checkouts share."""

import contextlib
import json
import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import requests
import urllib3
from filelock import FileLock, Timeout
from tqdm import tqdm

from mstclipiqa.base.archives import check_archive, is_page
from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.files import digest, sha256, write_json
from mstclipiqa.base.progress import LINE, say
from mstclipiqa.base.text import printable
from mstclipiqa.base.version import __version__
from mstclipiqa.data.label_files import MOST_BYTES

#: Checked through before they enter the cache, since their own checksums tell what an unknown hash cannot.
ARCHIVES = (".zip", ".xlsx", ".tar", ".gz", ".tgz", ".xz", ".bz2")

#: Answers that another attempt may change.
PASSING = {408, 425, 429, 500, 502, 503, 504}

CHUNK = 2**16  # what a cut connection loses at most
DOWNLOADS_AT_ONCE = 4

#: Bytes of the disk that a download of unknown size leaves free.
RESERVE = 2**28


@dataclass(frozen=True)
class Source:
    """An address, the name that its file goes by, and what is known of the file: bytes and hex SHA-256.

    A file of unknown size may have `most` bytes.
    """

    url: str
    name: str
    size: int | None = None
    sha256: str | None = None
    most: int = MOST_BYTES


@dataclass(frozen=True)
class Patience:
    """How long a download is tried: attempts in a row that bring nothing new, and seconds between and within them.

    The pause doubles from attempt to attempt; a server's Retry-After is heeded up to `longest`. A server that sends
    fewer than `slowest` bytes a second for `window` seconds is left. `stop` ends all.
    """

    attempts: int = 6
    pause: float = 1.0
    longest: float = 60.0
    timeout: tuple[float, float] = (15.0, 60.0)
    slowest: float = 1024.0
    window: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)


class _RefusedError(Exception):
    """This source will not give the file."""


class _PassingError(Exception):
    """This attempt failed; another may not."""

    def __init__(self, reason: str, pause: float = 0.0):
        super().__init__(reason)
        self.pause = pause


class _Place:
    """A source's folder in the cache: the file, its recorded hash, what there is of a download, and the lock."""

    def __init__(self, cache: Path, source: Source):
        self.folder = cache / digest(source.url)[:16]
        self.file = self.folder / source.name
        self.record = self.folder / "record.json"
        self.part = self.folder / "download.part"
        self.validator = self.folder / "download.json"

    @property
    def got(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def clear(self) -> None:
        """Forget the download; in this order, so that old bytes never stand beside a new validator."""
        self.part.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)

    def read(self, path: Path, key: str) -> str | None:
        try:
            return json.loads(path.read_text())[key]
        except FileNotFoundError:
            return None
        except PermissionError:
            raise no_rights(path) from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InputError(f"{path}: damaged ({error}); delete the folder {self.folder}") from None


def fetch(sources: Sequence[Source], cache: Path, offline: bool = False, patience: Patience | None = None) -> Path:
    """The file of the first source that gives it, checked, in the cache; what is there already is not downloaded.

    A file must have the size and hash that are known; an archive must be whole by its own checksums, and nothing may
    be a web page. A hash that is not known is recorded at the first download, beside the file, and held to from then
    on. Interrupted downloads go on where they were if the server says that the file is the same. Processes that share
    the cache wait for each other.
    Raises InputError with every source's refusal, or offline where the cache has none.
    """
    places = [(source, _Place(Path(cache), source)) for source in sources]
    for source, place in places:
        if _is_kept(source, place):
            return place.file
    name = sources[0].name
    if offline:
        raise InputError(f"{name}: not in the cache {cache}, and offline; run this once with a network")
    refusals = []
    for source, place in places:
        try:
            with _locked(place, name):
                if not _is_kept(source, place):
                    _download(source, place, patience or Patience())
                return place.file
        except _RefusedError as error:
            refusals.append(f"{source.url}: {error}")
        except OSError as error:
            raise InputError(f"{place.folder}: cannot be written ({error.strerror}); free space or rights") from error
    raise InputError(f"{name}: no source gives it ({'; '.join(refusals)})")


def fetch_all(
    wanted: Sequence[Sequence[Source]], cache: Path, offline: bool = False, patience: Patience | None = None
) -> list[Path | InputError]:
    """`fetch` for several files at once: each one's path, or the error that says why not.

    Interrupted (Ctrl-C) it ends at once: its threads, of which one may wait for a server, keep no process alive.
    """
    patience = patience or Patience()
    todo: queue.SimpleQueue[tuple[Sequence[Source], Future]] = queue.SimpleQueue()
    results: list[Future] = [Future() for _ in wanted]
    for pair in zip(wanted, results, strict=True):
        todo.put(pair)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                sources, result = todo.get_nowait()
                try:
                    result.set_result(fetch(sources, cache, offline, patience))
                except InputError as error:
                    result.set_result(error)
                except BaseException as error:
                    result.set_exception(error)

    for _ in range(DOWNLOADS_AT_ONCE):
        threading.Thread(target=work, daemon=True).start()
    try:
        return [result.result() for result in results]
    except BaseException:
        patience.stop.set()
        raise


def forget(path: Path) -> str | None:
    """Take a file that `fetch` gave out of the cache again, with its recorded hash. Returns its address."""
    record = path.with_name("record.json")
    address = json.loads(record.read_text())["url"] if record.exists() else None
    path.unlink(missing_ok=True)
    record.unlink(missing_ok=True)
    return address


@contextlib.contextmanager
def _locked(place: _Place, name: str) -> Iterator[None]:
    """Alone with a place of the cache. The system frees the lock of a process that was killed."""
    place.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{name}: waiting for another process that downloads it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_kept(source: Source, place: _Place) -> bool:
    if not place.file.is_file():
        return False
    try:
        _check(place.file, source, place)
    except _RefusedError as error:
        say(f"{place.file}: {error}; it is not used")
        return False
    return True


def _check(path: Path, source: Source, place: _Place, through: bool = False) -> str:
    """The hash of a file that is what its source promises, or _RefusedError; `through` reads archives too."""
    size = path.stat().st_size
    if size == 0:
        raise _RefusedError("it is empty")
    if source.size not in (None, size):
        raise _RefusedError(f"{size:,} bytes, expected {source.size:,}")
    found, recorded = sha256(path), place.read(place.record, "sha256")
    if source.sha256 not in (None, found):
        raise _RefusedError(f"sha256 {found[:12]}..., expected {source.sha256[:12]}...: other bytes than the published")
    if recorded not in (None, found) and source.sha256 is None:
        raise _RefusedError(
            f"sha256 {found[:12]}..., but {recorded[:12]}... at the first download: the file has changed; if its "
            f"publisher says so, delete {place.record}"
        )
    if through and source.name.endswith(ARCHIVES):
        try:
            check_archive(path)
        except InputError as error:
            raise _RefusedError(str(error).removeprefix(f"{path}: ")) from None
    return found


def _download(source: Source, place: _Place, patience: Patience) -> None:
    """Attempt until the file is in its place. Raises _RefusedError where that is hopeless or out of attempts."""
    failures, most = 0, place.got
    while True:
        try:
            resumed = _attempt(source, place, patience)
            try:
                found = _check(place.part, source, place, through=True)
                break
            except _RefusedError as error:
                place.clear()
                if not resumed:
                    raise
                raise _PassingError(f"{error}, after it was resumed") from None
        except _PassingError as error:
            failures = 0 if place.got > most else failures + 1
            most = max(most, place.got)
            if failures >= patience.attempts:
                raise _RefusedError(f"{error}; gave up after {failures} attempts in a row") from None
            pause = min(max(error.pause, patience.pause * 2 ** max(failures - 1, 0)), patience.longest)
            say(f"{source.name}: {error}; again in {pause:.0f} s")
            if patience.stop.wait(pause):
                raise _RefusedError("stopped") from None
    write_json(place.record, {"url": source.url, "sha256": found, "size": place.got})
    with place.part.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(place.part, place.file)
    place.clear()


def _attempt(source: Source, place: _Place, patience: Patience) -> bool:
    """One request, its body added to the part. Returns whether it went on from bytes of an earlier one."""
    offset, validator = place.got, place.read(place.validator, "validator")
    headers = {"User-Agent": f"mstclipiqa/{__version__}", "Accept-Encoding": "identity"}
    if offset and validator:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    elif offset:
        place.clear()
    try:
        with (
            _session(source.url) as session,
            session.get(source.url, headers=headers, stream=True, timeout=patience.timeout) as response,
        ):
            return _receive(response, source, place, patience)
    except (requests.exceptions.SSLError, requests.exceptions.TooManyRedirects) as error:
        raise _RefusedError(_reason(error)) from None
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise _PassingError(_reason(error)) from None
    except requests.RequestException as error:
        raise _RefusedError(_reason(error)) from None


def _session(url: str) -> requests.Session:
    session = requests.Session()
    session.max_redirects = 10
    if url.startswith("https:"):
        del session.adapters["http://"]  # no redirect to what anybody on the way can change
    return session


def _receive(response: requests.Response, source: Source, place: _Place, patience: Patience) -> bool:
    offset, headers = place.got, response.headers
    if response.status_code == 416:
        if headers.get("Content-Range") == f"bytes */{offset}":
            return True  # killed between the last byte and the move
        place.clear()
        raise _PassingError("the file has changed meanwhile, from the start")
    reason = printable(str(response.reason)[:100])
    if response.status_code in PASSING:
        raise _PassingError(f"{response.status_code} {reason}", _asked_pause(response))
    if response.status_code not in {200, 206}:
        raise _RefusedError(f"{response.status_code} {reason}")
    encoding = headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":  # a few bytes of it may stand for gigabytes
        raise _RefusedError(f"sends it as {printable(encoding[:100])}, though asked for the file as it is")
    if response.status_code == 206:
        same = place.read(place.validator, "validator") == _validator(response)
        if not same or not headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            place.clear()
            raise _PassingError("the file has changed meanwhile, from the start")
    else:
        offset = 0
        place.clear()
        if _validator(response):
            write_json(place.validator, {"validator": _validator(response)})
    chunks = _chunks(response, patience)
    chunk = b""
    while len(chunk) < 512 and (more := next(chunks, b"")):
        chunk += more
    if not offset and is_page(chunk):
        raise _RefusedError(f"sends a web page{_title(chunk)}, not the file")
    length = headers.get("Content-Length", "")
    total = offset + int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    if total is not None and source.size not in (None, total):
        place.clear()
        raise _RefusedError(f"{total:,} bytes, expected {source.size:,}")
    free = offset + shutil.disk_usage(place.folder).free
    if total is not None and total > free:
        raise _RefusedError(f"{total:,} bytes, and the disk of {place.folder} has room for {free:,}")
    most = source.size or min(source.most, free - RESERVE)
    if (total or 0) > most:
        raise _RefusedError(f"{total:,} bytes, more than the {most:,} that a file of unknown size may have here")
    bar = tqdm(
        desc=source.name, total=total, initial=offset, unit="B", unit_scale=True, mininterval=5, bar_format=LINE,
        disable=total is not None and total < 2**22,
    )  # fmt: skip
    with bar, place.part.open("ab") as out:
        while chunk:
            out.write(chunk)
            bar.update(len(chunk))
            if out.tell() > most:
                place.clear()
                known = "expected" if source.size else "allowed, where the size is unknown,"
                raise _RefusedError(f"more than the {known} {most:,} bytes")
            chunk = next(chunks, b"")
    return offset > 0


def _chunks(response: requests.Response, patience: Patience) -> Iterator[bytes]:
    """What comes, as it comes. Raises _RefusedError where that is too little, or `stop` was asked for."""
    since, came = time.monotonic(), 0
    while chunk := response.raw.read1(CHUNK):
        if patience.stop.is_set():
            raise _RefusedError("stopped")
        yield chunk
        came, passed = came + len(chunk), time.monotonic() - since
        if passed > patience.window:
            if came < patience.slowest * passed:
                raise _RefusedError(f"sends {came / passed:,.0f} bytes a second, too few to wait for")
            since, came = time.monotonic(), 0


def _validator(response: requests.Response) -> str | None:
    """What tells this version of the file from others: its strong ETag, or its date."""
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if tag.startswith("W/") else tag


def _asked_pause(response: requests.Response) -> float:
    try:
        return urllib3.Retry().parse_retry_after(response.headers["Retry-After"])
    except (KeyError, urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return 0.0


def _title(page: bytes) -> str:
    """A web page's title in quotes, to be put behind a word; nothing where there is none."""
    found = re.search(rb"<title[^>]*>([^<]{1,80})", page, re.IGNORECASE) if is_page(page) else None
    title = " ".join(found[1].decode("utf-8", "replace").split()) if found else ""
    return f" ({title!r})" if title else ""


def _reason(error: Exception) -> str:
    """The innermost cause, in a few words: requests and urllib3 wrap it several times."""
    cause: BaseException = error
    while cause.args and isinstance(cause.args[0], BaseException):
        cause = cause.args[0]
    reason = getattr(cause, "reason", None)
    cause = reason if isinstance(reason, BaseException) else cause
    said = cause.args[0] if cause.args and isinstance(cause.args[0], str) else str(cause)
    return printable(re.sub(r"^HTTPS?Connection[^:]*: ", "", " ".join(said.split()))[:160]) or type(cause).__name__
