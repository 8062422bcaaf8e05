"""Cells drawn by a finished generator: rows of a dataset, each to be drawn again from its row."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from leukoscope.fitting.machine import choose_device
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.resumable import Plan, build_resumable, put
from leukoscope.foundation.streams import check_seed
from leukoscope.intake.decode import content_of, encode_png
from leukoscope.records import shapes
from leukoscope.records.dataset import DatasetCard, write_dataset
from leukoscope.records.generators import GeneratorCard, read_generator, write_card
from leukoscope.records.lineage import GENERATED
from leukoscope.synthesis.cells import Member
from leukoscope.synthesis.drawing import Pixels, draw_pixels, latents_of
from leukoscope.synthesis.networks import build_networks
from leukoscope.synthesis.recipe import GeneratorRecipe
from leukoscope.synthesis.run import WEIGHTS, member_folder

_CHUNK = 256


class Run(NamedTuple):
    """Hold a finished run: its card, its recipe, its generators by what they draw."""

    card: GeneratorCard
    recipe: GeneratorRecipe
    generators: dict[Member, nn.Module]


def sample_run(run: Path, *, n: int, out: Path, seed: int = 0, device: str = "cpu") -> Path:
    """Draw cells and write them as a dataset of their own.

    Parameters
    ----------
    run : Path
        A finished generator run.
    n : int
        How many cells in all, evenly over the categories; the first get one more.
    out : Path
        The dataset folder to make.
    seed : int
        A larger sample of the same seed holds the smaller.
    device : str
        ``auto``, ``cpu``, ``cuda`` …; bytes hold on one kind of processor.

    Returns
    -------
    Path
        *out*: copies by law, which no validation or test takes.

    Raises
    ------
    UsageError
        If *n* is below 1, the seed below 0, or something stands at *out*.
    DataError
        If the run is none, is unfinished, or its weights are not those it wrote.
    RunError
        If the disk refuses.
    """
    check_seed(seed)
    if n < 1:
        raise UsageError(f"--n is {n}; at least 1 cell can be drawn. Nothing was written.")
    files.refuse_existing(out)
    opened = open_run(run)
    plan: Plan = {"generator": opened.card.generator_id, "n": n, "seed": seed}
    place = choose_device(device)

    def build(folder: Path) -> None:
        (folder / "images").mkdir(exist_ok=True)
        drawn = list(_drawn(opened, folder, n, seed, place))
        manifest = pl.concat([pl.DataFrame(schema=shapes.MANIFEST.columns), *drawn])
        write_card(folder, opened.card)
        write_dataset(folder, _dataset_card(opened, n, seed), manifest)

    return build_resumable(Path(out), plan, build)


def open_run(run: Path) -> Run:
    """Open a finished run with its generators.

    Raises
    ------
    DataError
        If it is none, is unfinished, or a weights file is not the one it wrote.
    """
    run = Path(run)
    card = read_generator(run)
    recipe = GeneratorRecipe.from_yaml(run / "recipe.yaml")
    members = files.read_json(run / "dataset.json")["members"]
    named = [Member(name, tuple(categories)) for name, categories in members.items()]
    return Run(card, recipe, {member: _load(run, member, card, recipe) for member in named})


def replayed_cell(run: Path, row: Mapping[str, Any]) -> Pixels:
    """Draw one sampled cell again from its row of a manifest.

    Parameters
    ----------
    run : Path
        The generator's run.
    row : mapping
        ``cell_id``, ``category``, ``origin`` and ``draw`` of the row.

    Returns
    -------
    numpy.ndarray of uint8, shape (size, size, 3)

    Raises
    ------
    DataError
        If another generator drew it, or its draw cannot be followed.
    """
    opened = open_run(run)
    if row["origin"] != opened.card.generator_id:
        raise DataError(
            f"{row['cell_id']} was drawn by {row['origin']}, and {run} is "
            f"{opened.card.generator_id}. Nothing was written. Give the run that drew it."
        )
    try:
        asked = json.loads(row["draw"] or "")
        seed, number = int(asked["seed"]), int(asked["number"])
        member = _member_for(opened, row["category"])
    except (ValueError, TypeError, LookupError):
        raise DataError(
            f"{row['cell_id']} cannot be drawn again: its draw is {str(row['draw'])[:120]}. "
            "Nothing was written."
        ) from None
    drawn = _pixels(opened, member, row["category"], seed, [number], torch.device("cpu"))
    return np.asarray(drawn[0])


def _drawn(
    opened: Run, folder: Path, n: int, seed: int, device: torch.device
) -> Iterator[pl.DataFrame]:
    categories = opened.card.categories
    done = 0
    for place, category in enumerate(categories):
        own = n // len(categories) + (place < n % len(categories))
        member = _member_for(opened, category)
        for start in range(0, own, _CHUNK):
            numbers = list(range(start, min(start + _CHUNK, own)))
            pixels = _pixels(opened, member, category, seed, numbers, device)
            rows = [
                _row(opened, folder, category, seed, number, picture)
                for number, picture in zip(numbers, pixels, strict=True)
            ]
            yield pl.DataFrame(rows, schema=shapes.MANIFEST.columns)
            done += len(numbers)
            progress.tell("drawing", done, n)


def _pixels(
    opened: Run, member: Member, category: str, seed: int, numbers: list[int], device: torch.device
) -> Pixels:
    codes = [member.categories.index(category)] * len(numbers)
    latents = latents_of(opened.recipe, seed, numbers, codes, member.name)
    return draw_pixels(opened.generators[member].to(device), latents, device)


def _row(
    opened: Run, folder: Path, category: str, seed: int, number: int, pixels: Pixels
) -> dict[str, Any]:
    card = opened.card
    path = f"images/{category}-{number:06d}.png"
    put(folder / path, encode_png(pixels))
    short = card.generator_id.removeprefix(GENERATED)[:8]
    return {
        # A sample of another seed has other cells: they are not to share names.
        "cell_id": f"generated-{short}-{seed}/{category}/{number:06d}",
        "path": path,
        "content": content_of(pixels),
        "category": category,
        "original_label": category,
        "family": card.generator_id,
        "source": "generator",
        "width_px": card.size_px,
        "height_px": card.size_px,
        "origin": card.generator_id,
        "recipe_id": card.recipe_id,
        "draw": json.dumps({"seed": seed, "number": number}),
        "copy": number + 1,
    }


def _dataset_card(opened: Run, n: int, seed: int) -> DatasetCard:
    card = opened.card
    return DatasetCard(
        name=f"{card.dataset_name}+{card.name}",
        source="generator",
        categories=card.categories,
        image_root=".",
        licence=card.licence,
        citation=card.citation,
        recipe={
            "generator": opened.recipe.model_dump(mode="json"),
            "generator_id": card.generator_id,
            "n": n,
            "seed": seed,
        },
    )


def _member_for(opened: Run, category: str) -> Member:
    """Find the generator of a category. Raises LookupError if none draws it."""
    return [member for member in opened.generators if category in member.categories][0]  # noqa: RUF015


def _load(run: Path, member: Member, card: GeneratorCard, recipe: GeneratorRecipe) -> nn.Module:
    path = member_folder(run, member.name) / WEIGHTS
    name = path.relative_to(run).as_posix()
    known = card.files.get(name)
    if not path.is_file() or files.digest_of(path) != known:
        raise DataError(
            f"{path} is not the file this run wrote: its SHA-256 should be {known}. Nothing was "
            "drawn. Put the run's own file back, or fit the generator again."
        )
    networks = build_networks(recipe, len(member.categories), seed=recipe.seed)
    try:
        networks.generator.load_state_dict(load(path.read_bytes()))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} does not fit {run / 'recipe.yaml'}: {reason}.") from None
    return networks.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
