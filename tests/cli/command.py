"""The command in a process of its own: started, killed, starved of disk, and waited for."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("leukoscope")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
PATIENCE_S = 120


@dataclass(frozen=True)
class Ended:
    """Say how a command ended and what it wrote."""

    code: int
    out: str
    err: str


def leukoscope(*words: object, cwd: Path | None = None) -> Ended:
    """Run the installed program and wait for it."""
    done = subprocess.run(
        [PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | ONE_THREAD,
        timeout=PATIENCE_S,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Process:
    """Run the command in a process forked from one that has imported torch and timm already.

    Parameters
    ----------
    words : sequence
        The command's words.
    scratch : Path
        A folder for what it writes to stdout and stderr.
    killed_at_write : int, optional
        The process kills itself as `kill -9` would, just before its so-manieth file
        comes to stand in its place.
    file_limit : int, optional
        Bytes that a file of it may hold: the disk seems full beyond.
    """

    def __init__(
        self,
        words: Sequence[object],
        scratch: Path,
        *,
        killed_at_write: int | None = None,
        file_limit: int | None = None,
    ) -> None:
        self._out, self._err = scratch / "stdout.txt", scratch / "stderr.txt"
        _warm_up()
        self._process = multiprocessing.get_context("forkserver").Process(
            target=_work,
            args=([str(word) for word in words], self._out, self._err, killed_at_write, file_limit),
        )
        self._process.start()

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self._process.pid, number)

    def is_running(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.is_alive()

    def wait(self) -> Ended:
        """Wait for its end."""
        self._process.join(PATIENCE_S)
        code = self._process.exitcode
        assert code is not None, "the process did not end"
        self._process.close()
        return Ended(code, self._out.read_text(), self._err.read_text())


def _warm_up() -> None:
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.cli.warm"])
    forkserver.ensure_running()
    os.environ.clear()
    os.environ.update(before)


def _work(
    words: Sequence[str], out: Path, err: Path, killed_at_write: int | None, file_limit: int | None
) -> None:
    from leukoscope.cli.app import main

    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if killed_at_write is not None:
        _kill_at_write(killed_at_write)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    main(words)


def _kill_at_write(last: int) -> None:
    written = 0

    def listen(event: str, _: object) -> None:
        nonlocal written
        if event == "os.rename":
            written += 1
            if written == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(listen)
