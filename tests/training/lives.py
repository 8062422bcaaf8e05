"""One training in several processes, one after the other: killed, starved of memory or of disk."""

import json
import os
import resource
from pathlib import Path

from tests.forked import ask, serve


def live(folder: Path, settings: dict, lives: list[dict]) -> list[dict]:
    """Train in *folder*, in a process of its own for each of *lives*; see :mod:`tests.forked`.

    Each may also hold ``file_limit`` (bytes a file may hold) and ``memory_mb`` (what may be taken
    beyond what is in use).

    Returns
    -------
    list of dict
        ``ended``: killed, done, or the error; ``notes``: what was said, of those not killed.
    """
    return ask("tests.training.lives", folder, {"settings": settings, "lives": lives})


def _one(folder: Path, plan: dict, life: dict, ticks: int, answer: Path) -> None:
    from tests.training.colours import coloured, recipe_of, run

    from leukoscope.foundation import progress
    from leukoscope.foundation.errors import LeukoscopeError

    notes: list[str] = []
    settings = plan["settings"]
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


if __name__ == "__main__":
    from tests.training import colours  # noqa: F401  imported once, before there are children

    from leukoscope.models.backbones import check_name

    check_name("test_resnet")
    serve(_one)
