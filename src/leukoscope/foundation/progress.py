"""How far a piece of work is, and what it found: rooms tell, and whoever listens shows it.

The library never prints. The command line listens, draws a bar and writes a line a
note; a notebook or a test may listen too; without a listener telling costs nothing.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
Reader = Callable[[str], None]

_listener: ContextVar[Listener | None] = ContextVar("progress_listener", default=None)
_reader: ContextVar[Reader | None] = ContextVar("progress_reader", default=None)


def tell(stage: str, done: int, total: int) -> None:
    """Tell the listener, if there is one, that *done* of *total* steps of a stage are done."""
    listener = _listener.get()
    if listener is not None:
        listener(stage, done, total)


def note(sentence: str) -> None:
    """Tell the reader, if there is one, something a person should know: one sentence, one line."""
    reader = _reader.get()
    if reader is not None:
        reader(sentence)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send what is told inside the block to a listener, called with stage, done and total."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextlib.contextmanager
def noting(reader: Reader) -> Iterator[None]:
    """Send what is noted inside the block to a reader, called with one sentence at a time."""
    token = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(token)
