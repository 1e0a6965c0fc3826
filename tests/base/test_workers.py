"""Items spread over processes."""

import operator
from functools import partial

import pytest

from mstclipiqa.base.workers import spread


class Held:
    """What counts how often it is sent to another process, where it arrives as 10."""

    sent = 0

    def __reduce__(self) -> tuple:
        Held.sent += 1
        return int, (10,)

    def __mul__(self, other: int) -> int:
        return 10 * other


@pytest.mark.parametrize(("workers", "sent"), [(1, 0), (2, 2)])
def test_what_a_task_holds_is_sent_once_to_each_process(workers: int, sent: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Held, "sent", 0)
    assert list(spread(partial(operator.mul, Held()), [3, 1, 2, 5, 4], workers, "multiply")) == [30, 10, 20, 50, 40]
    assert Held.sent == sent


def test_an_error_of_a_process_is_the_callers():
    with pytest.raises(ZeroDivisionError):
        list(spread(partial(operator.truediv, 1), [2, 0, 1], 2, "divide"))
