"""A dataset with generated cells in its training: what their generators saw is held against it."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import polars as pl

from leukoscope import __version__
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, DecodeError
from leukoscope.foundation.resumable import Plan, build_resumable, put
from leukoscope.intake.chosen import Choice, check_choice, chosen_rows
from leukoscope.intake.decode import content_of, decode, decode_known
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import (
    Dataset,
    DatasetCard,
    divisions_of,
    manifest_digest,
    open_pictures,
    read_dataset,
    read_split,
    rebased_masks,
    splits_path,
    write_dataset,
)
from leukoscope.records.generators import GeneratorCard, generators_in, write_card
from leukoscope.records.judged import read_judged
from leukoscope.records.leaks import cards_of, check_generators, generator_ids
from leukoscope.records.lineage import GENERATED, is_copy, is_generated

Cards = Mapping[str, GeneratorCard]


class _Carried(NamedTuple):
    rows: pl.DataFrame
    """The splits table of the divisions that are carried."""
    left_out: int
    """How many others there are."""


def combine(
    dataset: Path,
    generated: Path,
    *,
    out: Path,
    n: int | None = None,
    select: str = "unflagged",
    picked: Path | None = None,
    picked_by: str | None = None,
    split: str = "splits",
) -> Path:
    """Write a dataset whose training holds generated cells beside the real ones.

    Stopped at any moment, it goes on when called again, and ends the same.

    Parameters
    ----------
    dataset : Path
        The dataset folder of real cells, copies of them, or generated cells of other generators;
        originals stay where they are.
    generated : Path
        The dataset folder of generated cells, judged.
    out : Path
        The dataset folder to make; it owns all pictures but those of originals.
    n, select, picked, picked_by
        See :class:`leukoscope.intake.chosen.Choice`.
    split : str
        Name of the split that is carried: those of its divisions that the generators may be used
        in, under their own numbers.

    Returns
    -------
    Path
        *out*. What was taken, by which rule, stands on its card under ``combined``.

    Raises
    ------
    UsageError
        If the choice contradicts itself, something stands at *out*, or there is no such split.
    DataError
        If the generated cells were not judged, are not generated, are of other categories, come
        from a generator that saw other cells or cells that every division holds out, or are
        there already; or a picture is not what it was.
    RunError
        If the disk refuses, or another process is at work on *out*.
    """
    out = Path(out)
    choice = Choice(n, select, None if picked is None else Path(picked), picked_by)
    check_choice(choice)
    files.refuse_existing(out)
    known, drawn = read_dataset(dataset), read_dataset(generated)
    cards = _cards(known, drawn)
    kept, facts = chosen_rows(drawn, read_judged(drawn), choice, known.card.categories)
    carried = _carried(known, kept, cards, split)
    facts |= {"generators": {name: cards[name].name for name in generator_ids(kept)}}
    moved = kept.with_columns(path=_new_paths(kept), mask_path=pl.lit(None, pl.String))

    def build(folder: Path) -> None:
        own = known.manifest.filter(is_copy())
        _write_pictures(known, own, own["path"], folder)
        _write_pictures(drawn, kept, moved["path"], folder)
        for card in (generators_in(known.folder) | dict(cards)).values():
            write_card(folder, card)
        rows = pl.concat([rebased_masks(known.manifest, known.folder, out), moved])
        write_dataset(folder, _card(known, facts), rows)
        tables.write_table(splits_path(folder, split), carried.rows, shapes.SPLITS)

    build_resumable(out, _plan(known, kept, facts, split), build)
    _note(known, facts, carried)
    return out


def _cards(known: Dataset, drawn: Dataset) -> Cards:
    """Give the cards of the generators of some cells, and refuse cells that do not fit together."""
    real = drawn.manifest.filter(~is_generated())
    if real.height or drawn.manifest.is_empty():
        some = f"{real.height} cells that no generator drew, for example {real['cell_id'][0]}"
        raise DataError(
            f"{drawn.folder} holds {some if real.height else 'no cell'}; generated cells alone are "
            "expected, with their generator as origin. Nothing was written. Give the dataset that "
            "`leukoscope sample` made."
        )
    odd = sorted(set(drawn.manifest["category"]) - set(known.card.categories))
    if odd:
        raise DataError(
            f"{drawn.folder} holds generated cells of {', '.join(odd)}, and the categories of "
            f"{known.folder} are {', '.join(known.card.categories)}. Nothing was written. Combine "
            "them with the dataset their generator was fitted on."
        )
    ids = generator_ids(drawn.manifest)
    twice = sorted({*ids} & {*generator_ids(known.manifest)})
    if twice:
        raise DataError(
            f"{known.folder} holds cells of {twice[0]} already. Nothing was written. Combine the "
            "dataset without them with as many as you want."
        )
    found = generators_in(drawn.folder)
    cards = {card.generator_id: card for card in cards_of(ids, found, drawn.folder)}
    for card in cards.values():
        _refuse_stranger(known, card)
    return cards


def _refuse_stranger(known: Dataset, card: GeneratorCard) -> None:
    """Refuse a generator that learnt from cells the dataset has not."""
    missing = set(card.fit.contents) - set(known.manifest["content"])
    if missing or not card.fit.contents:
        raise DataError(
            f"The generator {card.name} was fitted on {card.dataset_name}, and {len(missing)} of "
            f"the {len(card.fit.contents)} cells it learnt from are not in {known.folder}: what is "
            "trained on its cells would have seen cells that nobody here knows of. Nothing was "
            "written. Combine its cells with the dataset it was fitted on."
        )


def _carried(known: Dataset, kept: pl.DataFrame, cards: Cards, split: str) -> _Carried:
    """Keep the divisions that the generators may be used in, with their cells in training."""
    divisions = divisions_of(known, split)
    every = generators_in(known.folder) | dict(cards)
    parts, reasons = [], []
    for repeat, fold in divisions:
        divided = read_split(known, split, repeat, fold)
        with_made = pl.concat([divided, kept.with_columns(split=pl.lit("train"))])
        try:
            _refuse_unfit(with_made, cards)
            check_generators(with_made, every, known.folder)
        except DataError as error:
            reasons.append(str(error))
            continue
        numbers = {"repeat": pl.lit(repeat, shapes.WHOLE), "fold": pl.lit(fold, shapes.WHOLE)}
        parts.append(with_made.select("cell_id", "split").with_columns(**numbers))
    if not parts:
        some = "" if len(divisions) == 1 else f"None of {len(divisions)} divisions will do. "
        raise DataError(f"{some}{reasons[0]}")
    return _Carried(pl.concat(parts), len(reasons))


def _refuse_unfit(divided: pl.DataFrame, cards: Cards) -> None:
    """Refuse a division in which a cell that a generator learnt from is not in training."""
    train = set(divided.filter(pl.col("split") == "train")["content"])
    for card in cards.values():
        strays = divided.filter(
            pl.col("content").is_in(list(set(card.fit.contents) - train)) & ~is_generated()
        )
        if set(card.fit.contents) <= train:
            continue
        where = (
            f", for example {strays['cell_id'][0]} in {strays['split'][0]}" if strays.height else ""
        )
        raise DataError(
            f"{len(set(card.fit.contents) - train)} of the {len(card.fit.contents)} cells that the "
            f"generator {card.name} learnt from stand outside training{where}. Nothing was "
            "written. Combine in the division it was fitted in, or fit one in this division."
        )


def _new_paths(kept: pl.DataFrame) -> pl.Series:
    """Name pictures by their generator too: those of two may be called alike."""
    names = [
        f"images/{origin.removeprefix(GENERATED)}-{_plain(path)}"
        for origin, path in kept.select("origin", "path").rows()
    ]
    return pl.Series("path", names, dtype=pl.String)


def _plain(path: str) -> str:
    parts = PurePosixPath(path).parts
    return "-".join(parts[1:] if parts[0] == "images" and len(parts) > 1 else parts)


def _write_pictures(dataset: Dataset, rows: pl.DataFrame, paths: pl.Series, folder: Path) -> None:
    """Copy pictures of a dataset's own folder, each made sure of; what stands there whole stays."""
    if rows.is_empty():
        return
    (folder / "images").mkdir(exist_ok=True)
    read = open_pictures(dataset)

    def carry(task: tuple[str, str, str]) -> None:
        old, content, new = task
        if _stands(folder / new, content):
            return
        data = read(old, True)
        decode_known(data, name=old, content=content)
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        put(folder / new, data)

    tasks = list(zip(rows["path"], rows["content"], paths, strict=True))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(carry, tasks), start=1):
            progress.tell("combining", done, len(tasks))


def _stands(path: Path, content: str) -> bool:
    try:
        return content_of(decode(path.read_bytes(), name=path.name).pixels) == content
    except (FileNotFoundError, DecodeError):
        return False


def _card(known: Dataset, facts: dict[str, Any]) -> DatasetCard:
    before = known.card.recipe.get("combined", [])
    combined = [*(before if isinstance(before, list) else [before]), facts]
    names = "+".join(facts["generators"].values())
    return known.card.model_copy(
        update={
            "name": f"{known.card.name}+{names}",
            "image_root": str(known.image_root),
            "recipe": {**known.card.recipe, "combined": combined},
        }
    )


def _plan(known: Dataset, kept: pl.DataFrame, facts: dict[str, Any], split: str) -> Plan:
    taken = kept.select("cell_id", "content").write_csv()
    return {
        "version": __version__,
        "dataset": manifest_digest(known.manifest)[:16],
        "split": split,
        "rule": facts["rule"],
        "generated_cells": kept.height,
        "digest": hashlib.sha256(taken.encode()).hexdigest()[:16],
    }


def _note(known: Dataset, facts: dict[str, Any], carried: _Carried) -> None:
    told = f"{facts['kept']} of {facts['offered']} generated cells stand in training beside "
    told += f"{known.manifest.height} cells; {facts['flagged']} flagged as memorised were left out."
    if facts["rule"] == "in-manifold":
        told = told[:-1] + f", as were {facts['outside']} that lie outside real cells."
    progress.note(told)
    if facts.get("picked_and_flagged"):
        progress.note(
            f"{facts['picked_and_flagged']} of those that were picked by hand are among them."
        )
    if "note" in facts:
        progress.note(facts["note"])
    if carried.left_out:
        progress.note(
            f"{carried.left_out} divisions of the split were left out: they hold out cells that "
            "the generator saw."
        )
