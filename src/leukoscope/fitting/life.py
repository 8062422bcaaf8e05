"""The life of a run folder: begun, gone on with, finished; never overwritten.

What stands in it differs between a training and a generator's fit; that one process at a time works
there, that what a killed one left is swept, and that another run's folder is refused, does not.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from leukoscope.fitting.machine import describe, keep_memory
from leukoscope.foundation import files
from leukoscope.foundation.errors import UsageError
from leukoscope.records.recipes import Recipe

_ENVIRONMENT, _LOCK = "environment.json", "lock"


def is_begun(out: Path) -> bool:
    """Tell whether a run was begun in a folder: it fixed the machine it runs on."""
    return (out / _ENVIRONMENT).is_file()


def other_settings(stored: Recipe, recipe: Recipe) -> list[str]:
    """Name the fields in which two recipes differ, of whatever kind each is."""
    names = type(recipe).model_fields | type(stored).model_fields
    return [name for name in names if getattr(stored, name, None) != getattr(recipe, name, None)]


def refuse_other_run(out: Path, differing: Callable[[], Sequence[str]]) -> None:
    """Refuse a folder that holds something else than what is asked for.

    Parameters
    ----------
    out : Path
        The run folder, there or not.
    differing : callable
        Names what differs between the run that was begun there and this one; asked only if one
        was.

    Raises
    ------
    UsageError
        If another run, or anything that is none, stands there.
    """
    if not is_begun(out):
        files.refuse_existing(out)
    elif other := differing():
        raise UsageError(
            f"{out} holds another run: {', '.join(other)} differ. It was left untouched. "
            "Give --out a new name, or the options it was started with."
        )


def begin_run(
    out: Path, device: torch.device, precision: str, lay_down: Callable[[Path], None]
) -> dict[str, Any]:
    """Lay a run folder down, or read what was fixed when it was.

    Parameters
    ----------
    out : Path
        The run folder.
    device : torch.device
        Where it will compute.
    precision : str
        ``"float32"`` or ``"bfloat16"``.
    lay_down : callable
        Writes what the run is into the folder it is given; the folder appears when all is written.

    Returns
    -------
    dict
        The machine, ``precision`` and ``threads`` of the run's first start.
    """
    if not is_begun(out):
        environment = describe(device, precision)

        def build(folder: Path) -> None:
            lay_down(folder)
            files.write_json(folder / _ENVIRONMENT, environment)

        files.build_folder(out, build)
        return environment
    begun: dict[str, Any] = files.read_json(out / _ENVIRONMENT)
    return begun


@contextmanager
def working(out: Path, threads: int) -> Iterator[None]:
    """Work in a run folder alone, with as many threads as it was begun with.

    Raises RunError if another process does, or nothing can be written there.
    """
    with files.locked(out / _LOCK, wait=False):
        # What a killed process was writing; the lock says that nobody writes now.
        for left in out.rglob(".*.part"):
            if left.is_file():
                left.unlink()
        torch.set_num_threads(threads)
        keep_memory()
        yield


def finish_run(out: Path, facts: dict[str, Any], seconds: float) -> None:
    """Say that a run is finished and how; what only an unfinished one needs is removed."""
    files.write_json(out / "done.json", facts | {"seconds_since_last_start": round(seconds, 1)})
    (out / "checkpoint.safetensors").unlink(missing_ok=True)
    (out / _LOCK).unlink(missing_ok=True)
