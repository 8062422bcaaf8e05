"""Live progress with the time left, on stderr, where a person watches."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from leukoscope.foundation import progress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY_S = 0.2
_PLAIN_EVERY_S = 30.0


@contextlib.contextmanager
def showing_progress() -> Iterator[None]:
    """Show what rooms tell inside the block: bars on a terminal, a line now and then elsewhere.

    Notes are lines of their own.
    """
    if not sys.stderr.isatty():
        with progress.listening(_PlainLines()), progress.noting(_print_note):
            yield
        return
    bars = _Bars()
    try:
        with progress.listening(bars), progress.noting(bars.note):
            yield
    finally:
        bars.stop()


def _print_note(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


class _PlainLines:
    """Write a line at most every half minute: logs of long runs stay short."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _PLAIN_EVERY_S:
            self._last = now
            print(f"{stage}: {done} of {total}", file=sys.stderr, flush=True)


class _Bars:
    """Draw one bar a stage with rich, made at the first word so that quick verbs stay quick."""

    def __init__(self) -> None:
        self._display: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last.get(stage, 0.0) < _EVERY_S:
            return
        self._last[stage] = now
        display = self._open()
        if stage not in self._tasks:
            self._tasks[stage] = display.add_task(stage, total=total)
        if done == 0:
            display.reset(self._tasks[stage], total=total)
        display.update(self._tasks[stage], completed=done, total=total)

    def note(self, sentence: str) -> None:
        if self._display is None:
            _print_note(sentence)
        else:
            # Above the bars, whole: a category may be called "[b]".
            self._display.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        if self._display is not None:
            self._display.stop()

    def _open(self) -> Progress:
        if self._display is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self._display = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._display.start()
        return self._display
