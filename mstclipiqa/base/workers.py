"""Processes that work for another one."""

import os
import threading
from multiprocessing import parent_process


def end_with_parent() -> None:
    """Let this worker process end with the one that started it, also if that is killed: nobody takes what it does."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    parent = parent_process()
    if parent is not None:  # the first process has none
        parent.join()
        os._exit(1)
