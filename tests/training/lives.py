"""One training in several processes, one after the other: killed, starved of memory or of disk.

Started as ``python -m tests.training.lives``, it takes trainings on stdin, each a line of JSON: the
folder, the settings, and what happens to each of its processes. It answers with a line of JSON
each. It imports torch once; every process that is to die is forked from it.
"""

import atexit
import functools
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def live(folder: Path, settings: dict, lives: list[dict]) -> list[dict]:
    """Train in *folder*, in a process of its own for each of *lives*.

    Each may hold ``folder`` (the name of another one beside it), ``ticks`` and ``then_s`` (killed
    so long after so many updates), ``file_limit`` (bytes a file may hold) and ``memory_mb`` (what
    may be taken beyond what is in use).

    Returns
    -------
    list of dict
        ``ended``: killed, done, or the error; ``notes``: what was said.
    """
    server = _server()
    plan = {"folder": str(folder), "settings": settings, "lives": lives}
    server.stdin.write(json.dumps(plan) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, "the process that trainings are forked from has ended"
    return json.loads(answer)


@functools.cache
def _server() -> subprocess.Popen:
    """Start the process once; it ends with this one."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.training.lives"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    atexit.register(server.communicate)
    return server


def _one(folder: Path, settings: dict, life: dict, ticks: int, answer: Path) -> None:
    from tests.training.colours import coloured, recipe_of, run

    from leukoscope.foundation import progress
    from leukoscope.foundation.errors import LeukoscopeError

    notes: list[str] = []
    if "memory_mb" in life:
        # Whatever torch and its libraries set up once is set up before the limit is drawn.
        _warm(recipe_of(**settings), coloured(8, "train"))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = used + int(life["memory_mb"] * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if "file_limit" in life:
        resource.setrlimit(resource.RLIMIT_FSIZE, (life["file_limit"], life["file_limit"]))
    ended = "done"
    with progress.listening(lambda *_: os.write(ticks, b".")), progress.noting(notes.append):
        try:
            run(folder, checkpoint_every_s=0, **settings)
        except LeukoscopeError as error:
            ended = f"{type(error).__name__}: {error}"
    answer.write_text(json.dumps({"ended": ended, "notes": notes}))


def _warm(recipe, cells) -> None:
    import torch

    from leukoscope.models.backbones import build
    from leukoscope.training.loop import begin, one_update

    small = recipe.model_copy(update={"batch_size": 4})
    network = build(small, 3, 24, seed=0)
    one_update(
        begin(network, small, torch.device("cpu")), cells, small, torch.device("cpu"), "float32"
    )


def _serve() -> None:
    import torch
    from tests.training import colours  # noqa: F401  imported once, before there are children

    from leukoscope.models.backbones import check_name

    # An optimiser's first step imports it, which takes longer than a whole training here.
    importlib.import_module("torch._dynamo")
    torch.set_num_threads(1)
    check_name("test_resnet")
    for line in sys.stdin:
        plan = json.loads(line)
        sys.stdout.write(json.dumps(_lived(Path(plan["folder"]), plan)) + "\n")
        sys.stdout.flush()


def _lived(folder: Path, plan: dict) -> list[dict]:
    found = []
    for number, life in enumerate(plan["lives"]):
        read, write = os.pipe()
        answer = folder.parent / f"{folder.name}-{number}.json"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(read)
                at = folder.parent / life.get("folder", folder.name)
                _one(at, plan["settings"], life, write, answer)
                code = 0
            except BaseException:  # noqa: BLE001  the parent tells by the code
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(write)
        if "ticks" in life:
            for _ in range(life["ticks"]):
                os.read(read, 1)
            time.sleep(life["then_s"])
            os.kill(child, signal.SIGKILL)
        while os.read(read, 4096):
            pass
        os.close(read)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            found.append({"ended": "killed", "notes": []})
        else:
            code = os.waitstatus_to_exitcode(status)
            said = {"ended": f"code {code}", "notes": []}
            found.append(said if code else json.loads(answer.read_text()))
    return found


if __name__ == "__main__":
    _serve()
