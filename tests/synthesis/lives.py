"""One run of a generator in several processes, one after the other: killed or starved of disk."""

import json
import os
import resource
import signal
import sys
from pathlib import Path

from tests.forked import ask, serve


def live(folder: Path, dataset: Path, lives: list[dict], *, kind: str, **settings) -> list[dict]:
    """Fit generators into *folder*, in a process of its own for each life; see :mod:`tests.forked`.

    Each may also hold ``at_tick`` (killed when it tells of its so-manieth update), ``at_write``
    (killed just before the so-manieth file comes to stand in its place) and ``file_limit`` (bytes
    a file may hold).

    Returns
    -------
    list of dict
        ``ended``: killed, done, or the error; ``told``: how often it told of an update, of those
        not killed.
    """
    plan = {"dataset": str(dataset), "kind": kind, "settings": settings, "lives": lives}
    return ask("tests.synthesis.lives", folder, plan)


def _one(at: Path, plan: dict, life: dict, ticks: int, answer: Path) -> None:
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
    dataset = read_dataset(Path(plan["dataset"]))
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
            synthesise_run(dataset, recipe, features=features, out=at, device="cpu")
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


if __name__ == "__main__":
    from tests.synthesis import tiny  # noqa: F401  imported once, before there are children

    import leukoscope.synthesis.run  # noqa: F401  the same

    serve(_one)
