"""Processes that work for another one."""

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process

from mstclipiqa.base.errors import MstclipiqaError


@contextlib.contextmanager
def naming_killed_workers(what: str) -> Iterator[None]:
    """Around a pool of processes that work on `what`: that one of them was killed becomes one line."""
    try:
        yield
    except BrokenProcessPool:
        raise MstclipiqaError(
            f"{what}: a worker process was killed, probably for want of memory; what was finished is kept: run again, "
            "with fewer workers"
        ) from None


def end_with_parent() -> None:
    """Let this worker process end with the one that started it, also if that is killed: nobody takes what it does."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    parent = parent_process()
    if parent is not None:  # the first process has none
        parent.join()
        os._exit(1)
