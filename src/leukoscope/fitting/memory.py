"""Work that is done in smaller parts where memory does not hold it at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from leukoscope.fitting.machine import give_back_memory
from leukoscope.foundation.errors import RunError

T = TypeVar("T")

_SIGNS = (
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    # What oneDNN says when the room for its own copies is refused.
    "could not create a primitive",
    "could not create a memory object",
)


def in_parts(work: Callable[[int], T], *, parts: int, most: int) -> tuple[T, int]:
    """Do some work in parts, in twice as many each time that memory does not hold them.

    Parameters
    ----------
    work : callable
        Does the work in the number of parts it is given, from its beginning.
    parts : int
        How many to try first.
    most : int
        How many are possible.

    Returns
    -------
    object
        What *work* gave.
    int
        In how many parts it was done.

    Raises
    ------
    RunError
        If memory does not hold the smallest parts either.
    """
    while True:
        try:
            return work(parts), parts
        except (MemoryError, RuntimeError) as error:
            if not is_memory_error(error):
                raise
            if parts >= most:
                raise _refused(error) from None
        # Only here, when the error and with it the failed try is gone, its memory is free.
        give_back_memory()
        parts = min(2 * parts, most)


def is_memory_error(error: BaseException) -> bool:
    """Tell whether an error says that memory was refused, on a GPU or in the machine itself."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Tell what memory refuses inside the block as one RunError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory_error(error):
            raise
        raise _refused(error) from None


def _refused(error: Exception) -> RunError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return RunError(
        f"Memory does not hold this training, not even a few cells at a time: {reason}. The last "
        "checkpoint is untouched. Close other programs and give the same command again, or start "
        "a run with a smaller model or size_px."
    )
