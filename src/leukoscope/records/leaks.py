"""What a generator saw, held against the cells that a division of a dataset keeps from training."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.records.generators import FOLDER, GeneratorCard
from leukoscope.records.lineage import GENERATED, is_generated
from leukoscope.records.runs import SeenCells, is_seen, joined_seen

_HELD_OUT = ("validation", "calibration", "test")
_TESTED = ("calibration", "test")


def generator_ids(rows: pl.DataFrame) -> list[str]:
    """Name the generators that some rows of a manifest come from, sorted."""
    return rows.filter(is_generated())["origin"].unique().sort().to_list()


def seen_by(card: GeneratorCard) -> SeenCells:
    """Join all cells that a generator's drawings depend on.

    Those that judged it too: by them it is decided which of its drawings are taken.
    """
    return joined_seen(card.fit, card.stop, card.judge)


def cards_of(
    ids: Iterable[str], cards: Mapping[str, GeneratorCard], where: Path
) -> list[GeneratorCard]:
    """Look up the cards of generators.

    Raises
    ------
    DataError
        If one is missing: nobody knows then which cells its drawings come from.
    """
    wanted = list(ids)
    missing = [name for name in wanted if name not in cards]
    if missing:
        file = f"{missing[0].removeprefix(GENERATED)}.json"
        raise DataError(
            f"{where} holds cells that {missing[0]} drew, and no card of it in {FOLDER}/: nobody "
            "knows which cells it saw. Nothing was trained or scored. Put its card "
            f"{FOLDER}/{file} there from the sampled dataset, or leave its cells out."
        )
    return [cards[name] for name in wanted]


def check_generators(
    divided: pl.DataFrame, cards: Mapping[str, GeneratorCard], where: Path
) -> None:
    """Refuse a division in which a generator carries held-out cells into training.

    What it learnt from may stand in no side but training; what chose among its stages, and what
    it was judged against, in neither calibration nor test. With a cell goes all that belongs to
    it: its family, its case and equal pixels.

    Parameters
    ----------
    divided : polars.DataFrame
        A manifest with a column ``split``.
    cards : mapping of str to GeneratorCard
        The cards of generators by their ids.
    where : Path
        The dataset folder, for the error.

    Raises
    ------
    DataError
        If a card is missing, or such a cell stands where it must not; one is named.
    """
    train = divided.filter(pl.col("split") == "train")
    for card in cards_of(generator_ids(train), cards, where):
        _refuse_met(divided, card.fit, card, _HELD_OUT, "learnt from")
        chosen = joined_seen(card.stop, card.judge)
        _refuse_met(divided, chosen, card, _TESTED, "was chosen or judged by")


def _refuse_met(
    divided: pl.DataFrame, seen: SeenCells, card: GeneratorCard, sides: tuple[str, ...], how: str
) -> None:
    met = divided.filter(is_seen(divided, seen) & pl.col("split").is_in(sides))
    if met.height:
        raise DataError(
            f"{met.height} cells outside training are cells that the generator {card.name} {how}, "
            f"or belong to such cells, for example {met['cell_id'][0]} in {met['split'][0]}; and "
            "its drawings stand in training. Nothing was trained or scored. Take the division that "
            "it was fitted in, or fit one in this division with `leukoscope synthesise`."
        )
