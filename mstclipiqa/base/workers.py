"""Processes that work for another one."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from mstclipiqa.base.errors import MstclipiqaError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: In a process that works for another one: what it does with each item.
_tasks: list[Callable] = []


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


def _begin(task: Callable) -> None:
    end_with_parent()
    _tasks.append(task)


def _work(item: object) -> Any:
    return _tasks[-1](item)


def spread(task: Callable[[Item], Result], items: Sequence[Item], workers: int, what: str) -> Iterator[Result]:
    """What `task`, a function of a module, gives of every item, in their order: here, or by so many processes, which
    changes nothing else. What a `partial` holds is sent once to each process. Raises as the task does, and
    MstclipiqaError where one of the processes was killed."""
    if min(workers, len(items)) <= 1:
        yield from map(task, items)
        return
    processes = min(workers, len(items))
    with (
        naming_killed_workers(what),
        ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin, initargs=(task,)) as pool,
    ):
        try:
            yield from pool.map(_work, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
