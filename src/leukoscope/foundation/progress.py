"""How far a piece of work is: rooms tell, and whoever listens shows it.

The library never prints. The command line listens and draws a bar; a notebook or
a test may listen too; without a listener telling costs nothing.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("progress_listener", default=None)


def tell(stage: str, done: int, total: int) -> None:
    """Tell the listener, if there is one, that *done* of *total* steps of a stage are done."""
    listener = _listener.get()
    if listener is not None:
        listener(stage, done, total)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send what is told inside the block to a listener, called with stage, done and total."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
