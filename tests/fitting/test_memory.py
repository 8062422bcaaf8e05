import numpy as np
import pytest
import torch

from leukoscope.fitting.memory import in_parts, is_memory_error, memory_errors
from leukoscope.foundation.errors import RunError

TOO_MUCH = 2**46


def greedy(limit):
    """Give work that asks for more than any machine has unless it comes in parts enough."""
    asked = []

    def work(parts):
        asked.append(parts)
        if parts < limit:
            torch.empty(TOO_MUCH, dtype=torch.uint8)
        return "done"

    return work, asked


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_parts_are_doubled_until_memory_holds_them(limit):
    """From one part on, up to the most that are possible."""
    work, asked = greedy(limit)
    done, parts = in_parts(work, parts=1, most=6)
    assert done == "done"
    assert asked == [1, 2, 4, 6][: [1, 2, 4, 6].index(parts) + 1]
    assert parts >= limit > ([0, 1, 2, 4, 6][[1, 2, 4, 6].index(parts)])


def test_what_no_parts_can_hold_is_refused():
    """One sentence or two, with the reason and what to do."""
    work, asked = greedy(100)
    with pytest.raises(RunError, match=r"Memory does not hold.*can't allocate memory.*smaller"):
        in_parts(work, parts=1, most=4)
    assert asked == [1, 2, 4]


def test_any_other_error_comes_through_at_once():
    """A wrong shape is not cured by smaller parts."""

    def wrong(_):
        return torch.zeros(2) + torch.zeros(3)

    with pytest.raises(RuntimeError, match="must match"):
        in_parts(wrong, parts=1, most=4)
    with pytest.raises(RuntimeError, match="must match"), memory_errors():
        wrong(1)


def asking(function):
    """Give the error of asking for too much."""
    try:
        function()
    except (MemoryError, RuntimeError) as error:
        return error
    raise AssertionError("the machine had room for it")


def test_real_refusals_are_known_for_what_they_are():
    """torch's, numpy's and Python's own; and each becomes a RunError."""
    for function in (
        lambda: torch.empty(TOO_MUCH, dtype=torch.uint8),
        lambda: np.empty(2**60, dtype=np.uint8),
        lambda: bytearray(2**60),
    ):
        assert is_memory_error(asking(function))
        with pytest.raises(RunError, match="Memory does not hold"), memory_errors():
            function()
    assert not is_memory_error(RuntimeError("out of range"))
    assert not is_memory_error(ValueError("out of memory"))
