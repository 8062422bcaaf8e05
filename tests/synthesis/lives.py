"""One run of a generator in several processes, one after the other: killed or starved of disk.

Started as ``python -m tests.synthesis.lives FOLDER DATASET PLAN``; the plan is JSON: kind and
settings of the recipe, and what happens to each process. The answer is JSON too, on stdout.
"""

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


def live(folder: Path, dataset: Path, lives: list[dict], *, kind: str, **settings) -> list[dict]:
    """Fit generators into *folder*, in a process of its own for each of *lives*.

    Each may hold ``folder`` (the name of another one beside it), ``ticks`` and ``then_s`` (killed
    so long after it told so often of an update), ``at_tick`` (killed when it does), ``at_write``
    (killed just before the so-manieth file comes to stand in its place) and ``file_limit`` (bytes
    a file may hold).

    Returns
    -------
    list of dict
        ``ended``: killed, done, or the error; ``told``: how often it told of an update.
    """
    plan = json.dumps({"kind": kind, "settings": settings, "lives": lives})
    done = subprocess.run(
        [sys.executable, "-m", "tests.synthesis.lives", str(folder), str(dataset), plan],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=580,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _one(at: Path, dataset: Path, plan: dict, life: dict, ticks: int, answer: Path) -> None:
    from tests.synthesis.tiny import recipe_of

    from leukoscope.foundation import progress
    from leukoscope.foundation.errors import LeukoscopeError
    from leukoscope.records.dataset import read_dataset
    from leukoscope.synthesis.features import open_judge_features
    from leukoscope.synthesis.run import synthesise_run

    if "file_limit" in life:
        resource.setrlimit(resource.RLIMIT_FSIZE, (life["file_limit"], life["file_limit"]))
    if "at_write" in life:
        _kill_at_write(life["at_write"])
    recipe = recipe_of(plan["kind"], **plan["settings"])
    ended, told = "done", []

    def tell(stage: str, done: int, total: int) -> None:
        if not stage.startswith("fitting"):
            return
        told.append(done)
        os.write(ticks, b".")
        if len(told) == life.get("at_tick"):
            os.kill(os.getpid(), signal.SIGKILL)

    with progress.listening(tell):
        try:
            features = open_judge_features(None, size_px=16)
            synthesise_run(read_dataset(dataset), recipe, features=features, out=at, device="cpu")
        except LeukoscopeError as error:
            ended = f"{type(error).__name__}: {error}"
    resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[:1] * 2)
    answer.write_text(json.dumps({"ended": ended, "told": len(told)}))


def _kill_at_write(last: int) -> None:
    written = 0

    def listen(event: str, _: object) -> None:
        nonlocal written
        if event == "os.rename":
            written += 1
            if written == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(listen)


def _main(folder: Path, dataset: Path, plan: dict) -> list[dict]:
    import torch
    from tests.synthesis import tiny  # noqa: F401  imported once, before there are children

    import leukoscope.synthesis.run  # noqa: F401  the same

    # An optimiser's first step imports it, which takes longer than a whole fit here.
    importlib.import_module("torch._dynamo")

    torch.set_num_threads(1)
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
                _one(at, dataset, plan, life, write, answer)
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
            found.append({"ended": "killed", "told": 0})
        else:
            code = os.waitstatus_to_exitcode(status)
            said = {"ended": f"code {code}", "told": 0}
            found.append(said if code else json.loads(answer.read_text()))
    return found


if __name__ == "__main__":
    sys.stdout.write(
        json.dumps(_main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])))
    )
