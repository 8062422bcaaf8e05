"""Writing augmented copies to disk, against a plain loop, and how near it comes to the encoder.

Claims, on two cores, for rotation by any angle from PNG to PNG: `augment` writes at least 1.5
times the images a second of a loop that reads a file with PIL, rotates it (bicubic, as Augmentor
does) and saves it as PNG, one by one; and it is bounded by the encoder: what it writes, over what
the same encoder makes of the same pictures alone, on both cores and without a disk. `augment`
does more than the loop: each original is compared with what was ingested, each copy is hashed and
has a row with its lineage. Augmentor itself (0.2.12, on threads) is timed too where it is
installed in the same environment; it is no part of the project. Sides take turns; ratios are
those of one round.
"""

import contextlib
import io
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from random import Random
from shutil import rmtree
from statistics import median
from typing import Any, NamedTuple

import measuring
import numpy as np
import numpy.typing as npt
import polars as pl
from measuring import spread
from PIL import Image

from leukoscope.intake.decode import decode, encode_png
from leukoscope.intake.phantom import PhantomRecipe, cells
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.verbs.augment import augment
from leukoscope.verbs.ingest import ingest
from leukoscope.verbs.split import split

TARGET = 1.5
CORES = 2
CASES = 12
AUGMENTOR = "Augmentor"


class Plan(NamedTuple):
    """Say how much is measured."""

    sizes_px: tuple[int, ...]
    cells_per_case: int
    factor: float
    loop_pictures: int
    rounds: int


FULL, QUICK = Plan((128, 224), 48, 5.0, 250, 5), Plan((64,), 12, 2.0, 20, 1)


class Originals(NamedTuple):
    """Hold a dataset and the files of its training cells."""

    dataset: Path
    files: list[Path]


def draw_originals(folder: Path, size_px: int, plan: Plan) -> Originals:
    """Write phantom cells as PNG files, one folder a category; ingest and split them."""
    recipe = PhantomRecipe(
        name="bench", n_cases=CASES, cells_per_case=plan.cells_per_case, size_px=size_px
    )
    for cell in cells(recipe):
        path = folder / "files" / cell.category / f"{cell.case}-{cell.index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cell.image).save(path)
    dataset = ingest("folder", str(folder / "files"), out=folder / "cells")
    split(dataset)
    known = read_dataset(dataset)
    train = read_split(known, "splits", 0, 0).filter(pl.col("split") == "train")
    return Originals(dataset, [Path(known.image_root) / path for path in train["path"].to_list()])


def ours(originals: Originals, out: Path, factor: float) -> Path:
    return augment(originals.dataset, "rotation", out=out, factor=factor)


def loop(originals: Originals, out: Path, n: int) -> None:
    """Do what Augmentor does to each picture, without Augmentor."""
    random = Random(0)
    out.mkdir()
    for i in range(n):
        picture = Image.open(random.choice(originals.files))
        turned = picture.rotate(random.uniform(0, 360), resample=Image.Resampling.BICUBIC)
        turned.save(out / f"{i}.png")


def augmentor(originals: Originals, out: Path, n: int) -> None:
    """Let Augmentor rotate without cutting; it draws its bar on stderr."""
    from Augmentor import Pipeline  # type: ignore[import-not-found]

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        chain = Pipeline(str(originals.files[0].parent), str(out))
        chain.rotate_without_crop(1, 180, 180)
        chain.sample(n)


def encoder_alone(pictures: list[npt.NDArray[np.uint8]]) -> None:
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(encode_png, pictures))


def written(out: Path) -> int:
    """Count the copies that are there as files."""
    return sum(1 for _ in out.rglob("*.png"))


def compared(scratch: Path, size_px: int, plan: Plan) -> dict[str, Any]:
    """Let all sides take turns; images a second."""
    originals = draw_originals(scratch, size_px, plan)
    first = ours(originals, scratch / "first", plan.factor)
    files = sorted(first.rglob("*.png"))[: plan.loop_pictures]
    pictures = [decode(one.read_bytes(), name=one.name).pixels for one in files]
    sides: dict[str, Callable[[], object]] = {
        "ours": partial(ours, originals, scratch / "ours", plan.factor),
        "loop": partial(loop, originals, scratch / "loop", plan.loop_pictures),
        AUGMENTOR: partial(augmentor, originals, scratch / "Augmentor", plan.loop_pictures),
    }
    if not find_spec(AUGMENTOR):
        del sides[AUGMENTOR]
    speeds: dict[str, list[float]] = {name: [] for name in (*sides, "encoder_alone")}
    for _ in range(plan.rounds):
        for name, run in sides.items():
            took = measuring.seconds(run)
            speeds[name].append(written(scratch / name) / took)
            rmtree(scratch / name)
        took = measuring.seconds(partial(encoder_alone, pictures))
        speeds["encoder_alone"].append(len(pictures) / took)
    ratios = {
        f"ours_over_{name}": [a / b for a, b in zip(speeds["ours"], values, strict=True)]
        for name, values in speeds.items()
        if name != "ours"
    }
    return {
        "originals": len(originals.files),
        "copies": written(first),
        "images_per_s": {name: spread(values) for name, values in speeds.items()},
        **{name: spread(values) for name, values in ratios.items()},
        "bytes_per_image": sum(one.stat().st_size for one in files) / len(files),
        "target": TARGET,
        "is_reached": median(ratios["ours_over_loop"]) >= TARGET,
    }


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    results: dict[str, Any] = {
        "absent": [] if find_spec(AUGMENTOR) else [AUGMENTOR],
        "versions": {AUGMENTOR: version(AUGMENTOR)} if find_spec(AUGMENTOR) else {},
        "cores": CORES,
        **plan._asdict(),
    }
    for size_px in plan.sizes_px:
        with tempfile.TemporaryDirectory() as scratch:
            results[f"{size_px}px"] = compared(Path(scratch), size_px, plan)
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
