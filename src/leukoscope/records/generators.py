"""What is known of a generator wherever its cells go: which cells it saw, and who it is."""

from pathlib import Path

from pydantic import Field

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.records.lineage import GENERATED
from leukoscope.records.recipes import Record
from leukoscope.records.runs import SeenCells

FOLDER = "generators"
"""Where a dataset keeps the cards of the generators that its cells come from."""


class GeneratorCard(Record):
    """Describe a fitted generator: what made it, and which cells it learnt from."""

    generator_id: str = Field(pattern=r"^generator:[0-9a-f]{16}$")
    """The origin of every cell it draws; follows from its recipe, its cells and its weights."""
    name: str
    """The name of its run's folder."""
    recipe_id: str
    """Of its recipe."""
    categories: tuple[str, ...]
    """What it draws, in the dataset's order."""
    size_px: int
    """Side of its pictures."""
    files: dict[str, str]
    """Weights' file in the run → SHA-256."""
    fit: SeenCells = Field(repr=False)
    """The training cells it was fitted to."""
    stop: SeenCells = Field(repr=False)
    """The validation cells that chose among the stages of its fit."""
    judge: SeenCells = Field(repr=False)
    """The validation cells its drawings are judged against."""
    dataset_digest: str
    """Digest of the manifest it was fitted on."""
    dataset_name: str
    """Name of that dataset."""
    licence: str | None = None
    """Licence of that dataset's pictures."""
    citation: str | None = None
    """What to cite for them."""


def read_generator(folder: Path) -> GeneratorCard:
    """Read the card of a finished generator run.

    Raises
    ------
    DataError
        If the folder is no such run, or it is not finished.
    """
    folder = Path(folder)
    if (folder / "recipe.yaml").is_file() and not (folder / "done.json").is_file():
        raise DataError(
            f"Generator run {folder} is not finished: it holds no done.json. Give its `leukoscope "
            "synthesise` command again; it goes on where it stopped."
        )
    if not (folder / "generator.json").is_file():
        raise DataError(
            f"{folder} is no generator run: it holds no generator.json. Make one with `leukoscope "
            "synthesise DATASET --out RUN`."
        )
    return GeneratorCard.from_json(folder / "generator.json")


def write_card(dataset: Path, card: GeneratorCard) -> None:
    """Keep a generator's card in the folder of a dataset that holds cells of it."""
    name = card.generator_id.removeprefix(GENERATED)
    files.write_json(dataset / FOLDER / f"{name}.json", card.model_dump(mode="json"))


def generators_in(dataset: Path) -> dict[str, GeneratorCard]:
    """Read the cards of the generators a dataset's cells come from, by their ids."""
    cards = [GeneratorCard.from_json(path) for path in sorted((dataset / FOLDER).glob("*.json"))]
    return {card.generator_id: card for card in cards}
