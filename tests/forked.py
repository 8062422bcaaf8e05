"""One piece of work in several processes, one after the other: killed, starved of memory or disk.

A server imports torch once; every process that is to die is forked from it. A room's module of
lives says what one of them does, and is the server when it is started by ``python -m``.
"""

import atexit
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
One = Callable[[Path, dict[str, Any], dict[str, Any], int, Path], None]


def ask(module: str, folder: Path, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Let each of the plan's ``lives`` work in *folder*, in a process of its own.

    Each may hold ``folder`` (the name of another one beside it), ``ticks`` and ``then_s`` (killed
    so long after it told so often of its work), and what the module's own function understands.

    Returns
    -------
    list of dict
        ``ended``: killed, a code, or what the function wrote.
    """
    server = _server(module)
    server.stdin.write(json.dumps(plan | {"at": str(folder)}) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, "the process that the others are forked from has ended"
    found: list[dict[str, Any]] = json.loads(answer)
    return found


@functools.cache
def _server(module: str) -> Any:
    """Start the process once; it ends with this one."""
    server = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    atexit.register(server.communicate)
    return server


def serve(one: One) -> None:
    """Answer plans on stdin, a line of JSON each, until there are no more."""
    import torch

    # An optimiser's first step imports it, which takes longer than a whole fit here.
    importlib.import_module("torch._dynamo")
    torch.set_num_threads(1)
    for line in sys.stdin:
        plan = json.loads(line)
        lives = [
            _lived(Path(plan["at"]), plan, number, one) for number in range(len(plan["lives"]))
        ]
        sys.stdout.write(json.dumps(lives) + "\n")
        sys.stdout.flush()


def _lived(folder: Path, plan: dict[str, Any], number: int, one: One) -> dict[str, Any]:
    life = plan["lives"][number]
    read, write = os.pipe()
    answer = folder.parent / f"{folder.name}-{number}.json"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            one(folder.parent / life.get("folder", folder.name), plan, life, write, answer)
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
        return {"ended": "killed"}
    code = os.waitstatus_to_exitcode(status)
    return {"ended": f"code {code}"} if code else dict(json.loads(answer.read_text()))
