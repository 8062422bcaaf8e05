"""Folders whose making may be stopped at any moment: given again, it goes on and ends the same.

What is unfinished lies beside its final place, under a hidden name, with the plan of what it is
to be. What is finished is derived from the files there: no ledger could disagree with them.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import UsageError

Plan = Mapping[str, str | int | float | bool | None]
_OWN = ("plan.json", "lock")


def build_resumable(path: Path, plan: Plan, build: Callable[[Path], None]) -> Path:
    """Build a folder, or go on with what a stopped process built of it; it appears when whole.

    Parameters
    ----------
    path : Path
        Where the finished folder is to stand. Nothing, or an empty folder, may be there.
    plan : mapping of str to text or number
        What follows from this plan is the same: only the same plan goes on.
    build : callable
        Fills the folder it is given. Files may stand there already, whole ones, which it takes
        over or overwrites.

    Returns
    -------
    Path
        *path*. If *build* raises, what it wrote is kept for the next time, and a note says where.

    Raises
    ------
    UsageError
        If something stands at *path*, or another plan was begun for it; both stay untouched.
    RunError
        If the disk refuses, or another process is at work on *path*.
    """
    path = Path(path)
    work = unfinished(path)
    if path.name in {"", ".."}:
        raise UsageError(f"{path} names no folder to make. Nothing was written. Give --out a name.")
    files.refuse_existing(path)
    with files.locked(work / "lock", wait=False), files.disk_errors(path), _kept(work):
        # Another process may have finished it since.
        files.refuse_existing(path)
        _begin(work, plan, path)
        build(work / "whole")
        (work / "whole").replace(path)
        shutil.rmtree(work, ignore_errors=True)
    return path


def unfinished(path: Path) -> Path:
    """Name the hidden folder in which *path* is built."""
    return path.parent / f".{path.name}.unfinished"


def put(path: Path, data: bytes) -> None:
    """Write one of many files in one step, for folders that are built here.

    It is not flushed to the disk, which for each of many files takes longer than writing it: after
    a power cut, other than after a kill, it may be torn. Whoever goes on makes sure of it.
    """
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    temporary.replace(path)


def _begin(work: Path, plan: Plan, path: Path) -> None:
    own = {work / "lock", work / "plan.json", *work.glob(".plan.json.*.part")}
    if any(each.is_file() and each not in own for each in work.rglob("*")):
        _refuse_other(work, plan, path)
        progress.note(f"Going on with what a stopped command left in {work}.")
    (work / "whole").mkdir(exist_ok=True)
    files.write_json(work / "plan.json", dict(plan))
    # What a stopped process was writing; the lock says that no other is.
    for torn in work.rglob(".*.part"):
        torn.unlink()


def _refuse_other(work: Path, plan: Plan, path: Path) -> None:
    """Refuse to go on with files that were made by another plan, or by nobody knows whom."""
    begun = files.read_json(work / "plan.json") if (work / "plan.json").exists() else None
    if not isinstance(begun, dict):
        raise UsageError(
            f"{work} is where {path} would be built, and holds files that are no beginning of it. "
            "They were left untouched. Move them away, or give --out a new name."
        )
    differing = [
        f"{name} {begun.get(name)} there, {plan.get(name)} here"
        for name in {**begun, **plan}
        if begun.get(name) != plan.get(name)
    ]
    if differing:
        raise UsageError(
            f"{work} holds what a stopped command made of another {path.name} "
            f"({'; '.join(differing)}). It was left untouched. Give that command again to go on, "
            "give --out a new name, or remove that folder."
        )


@contextlib.contextmanager
def _kept(work: Path) -> Iterator[None]:
    """Keep what was made when an error comes, and say so; remove a beginning without files."""
    try:
        yield
    except BaseException as error:
        if not any(each.is_file() and each.name not in _OWN for each in work.rglob("*")):
            shutil.rmtree(work, ignore_errors=True)
        elif isinstance(error, Exception) and not isinstance(error, UsageError):
            progress.note(f"What was made so far is kept in {work}; the same command goes on.")
        raise
