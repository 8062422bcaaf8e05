"""The rows of a preview: each step alone at the ends of its ranges, on cells chosen by a seed."""

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.copies import open_parents
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.policies import STEPS
from leukoscope.augmentation.preview import (
    MOST_CELLS,
    MOST_PX,
    N_CHAINS,
    chosen_cells,
    preview_table,
    rows_of,
    strengths_of,
)
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.augmentation.step import Operation
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import content_of, encode_png
from leukoscope.records import shapes
from leukoscope.records.dataset import Dataset, read_dataset

POLICIES = {"sequence", "one_of"}
LEAVES = [
    {"kind": kind} | ({"axis": "vertical"} if kind == "flip" else {})
    for kind in STEPS
    if kind not in POLICIES
]
NESTED = {
    "name": "nested",
    "probability": 0.9,
    "steps": [
        {"kind": "rotation", "probability": 0.5},
        {
            "kind": "one_of",
            "probability": 0.8,
            "steps": [
                {"kind": "identity"},
                {"kind": "gamma"},
                {
                    "kind": "sequence",
                    "probability": 0.6,
                    "steps": [{"kind": "lens_distortion"}, {"kind": "hue", "probability": 0.5}],
                },
                {"kind": "one_of", "steps": [{"kind": "shear"}, {"kind": "brightness"}]},
            ],
        },
    ],
}


def recipe_of(value: dict[str, object]) -> AugmentationRecipe:
    """Read a recipe from plain values."""
    return AugmentationRecipe.from_mapping(value, where="the test")


@pytest.fixture(scope="module")
def dataset(cells: Path) -> Dataset:
    """Read the drawn cells."""
    return read_dataset(cells)


def pixels_of(png: bytes) -> np.ndarray:
    """Decode a PNG."""
    return np.array(Image.open(io.BytesIO(png)))


def operations(step: dict[str, object]) -> list[tuple[str | None, tuple[Operation, ...]]]:
    """Give what a step alone is shown at."""
    return strengths_of(recipe_of({"steps": [step]}).steps[0])


def test_every_picture_is_what_its_row_says(dataset: Dataset) -> None:
    """Untouched pixels are the cell's; all others come of the row's draw, applied to them."""
    recipe = recipe_of({"name": "all", "steps": LEAVES, "border": "edge", "lengths_at_px": 80})
    table = preview_table(dataset, dataset.manifest, recipe, seed=4)
    chosen = chosen_cells(dataset.manifest, dataset.card.categories, 4)
    parents = [open_parents(dataset)(row) for row in chosen.to_dicts()]
    for row in table.to_dicts():
        parent = parents[row["cell"] - 1]
        shown = pixels_of(row["png"])
        if row["section"] == 0:
            assert row["draw"] is None
            assert (shown == parent.pixels).all()
        else:
            drawn = Draw.from_json(row["draw"])
            assert (drawn.border, drawn.lengths_at_px) == ("edge", 80)
            assert (shown == apply(drawn, parent.pixels, parent.mask)).all()


def test_every_kind_of_step_has_its_section_in_order(dataset: Dataset) -> None:
    """Each step once, whatever its place, between the untouched cells and the chain."""
    recipe = recipe_of({"name": "all", "steps": LEAVES})
    table = preview_table(dataset, dataset.manifest, recipe, seed=0)
    sections = dict(table.select("section", "kind").unique().sort("section").rows())
    kinds = [leaf["kind"] for leaf in LEAVES]
    assert sections == dict(enumerate(["untouched", *kinds, "chain"]))
    for section, part in table.group_by("section"):
        assert part["cell"].n_unique() == 4, section
        assert part.height == 4 * part["row"].n_unique()


def test_the_whole_chain_is_that_of_the_copies(dataset: Dataset) -> None:
    """Copy n of a cell is drawn as augment draws it; chances do not count for steps alone."""
    recipe = recipe_of(NESTED)
    table = preview_table(dataset, dataset.manifest, recipe, seed=9)
    chosen = chosen_cells(dataset.manifest, dataset.card.categories, 9)["cell_id"]
    chain = table.filter(kind="chain").to_dicts()
    assert len(chain) == N_CHAINS * 4
    for row in chain:
        drawn = draw(recipe, 9, chosen[row["cell"] - 1], row["row"])
        assert row["draw"] == drawn.to_json()
    alone = table.filter(pl.col("chance").is_not_null(), kind="rotation")
    assert all(json.loads(text)["operations"] for text in alone["draw"])


def test_a_chance_is_the_share_of_pictures() -> None:
    """Counted over four thousand draws, each step of nested policies comes as often as stated."""
    recipe = recipe_of(NESTED)
    name_of = {"rotation": "rotation_deg", "gamma": "gamma", "lens_distortion": "lens"}
    name_of |= {"hue": "hue_deg", "shear": "shear_deg", "brightness": "brightness"}
    n, seen = 4000, Counter[str]()
    for copy in range(n):
        seen.update(name for name, _ in draw(recipe, 1, "cell", copy).operations)
    stated = {row.kind: row.chance for row in rows_of(recipe, 1, ["cell"]) if row.chance}
    assert set(stated) == {*name_of, "identity"}
    for kind, name in name_of.items():
        assert abs(seen[name] / n - stated[kind]) < 0.035, kind


LOW, MIDDLE, HIGH = "low", "middle", "high"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            {"kind": "rotation", "angle_range_deg": [-20, 40]},
            [(LOW, (-20,)), (MIDDLE, (10,)), (HIGH, (40,))],
        ),
        ({"kind": "rotation"}, [(None, (45,)), (None, (180,)), (None, (315,))]),
        ({"kind": "rotation", "step_deg": 90}, [(None, (0,)), (None, (180,)), (None, (270,))]),
        (
            {"kind": "rotation", "angle_range_deg": [0, 90], "step_deg": 90},
            [(LOW, (0,)), (HIGH, (90,))],
        ),
        ({"kind": "flip", "axis": "horizontal"}, [(None, ())]),
        ({"kind": "scaling"}, [(LOW, (0.8, 0.8)), (MIDDLE, (1, 1)), (HIGH, (1.2, 1.2))]),
        (
            {"kind": "scaling", "axes": "apart"},
            [(LOW, (0.8, 1.2)), (MIDDLE, (1, 1)), (HIGH, (1.2, 0.8))],
        ),
        ({"kind": "gamma"}, [(LOW, (0.8,)), (MIDDLE, (1,)), (HIGH, (1.25,))]),
        (
            {"kind": "white_balance", "gain_range": [0.5, 2]},
            [(LOW, (0.5, 1, 2)), (MIDDLE, (1, 1, 1)), (HIGH, (2, 1, 0.5))],
        ),
        ({"kind": "jpeg_compression", "quality_range": [70, 70]}, [(None, (70,))]),
    ],
)
def test_strengths_are_the_ends_and_the_middle(
    step: dict[str, object], expected: list[tuple[str | None, tuple[float, ...]]]
) -> None:
    """A full turn is shown at three of its eighths; what is the same is shown once."""
    shown = operations(step)
    assert [name for name, _ in shown] == [name for name, _ in expected]
    for (_, done), (_, numbers) in zip(shown, expected, strict=True):
        assert done[0][1] == pytest.approx(numbers)


def test_the_last_number_is_one_that_is_drawn() -> None:
    """The high end lies below 1, where no step leaves its ranges or runs out of choices."""
    for leaf in LEAVES:
        for _, done in operations(leaf):
            assert all(np.isfinite(number) for _, given in done for number in given)
    for step_deg in (360 / n for n in range(2, 40)):
        shown = operations({"kind": "rotation", "angle_range_deg": [0, 359], "step_deg": step_deg})
        assert max(given[0] for _, done in shown for _, given in done) <= 359


def test_cells_are_chosen_by_the_seed_alone(dataset: Dataset) -> None:
    """One of each category in their order, whatever order the rows have; another seed, others."""
    names = dataset.card.categories
    first = chosen_cells(dataset.manifest, names, 0)
    assert first["category"].to_list() == list(names)
    mixed = dataset.manifest.sample(fraction=1, shuffle=True, seed=1)
    assert chosen_cells(mixed, names, 0)["cell_id"].equals(first["cell_id"])
    others = [chosen_cells(dataset.manifest, names, seed)["cell_id"] for seed in range(1, 9)]
    assert len({tuple(each) for each in others}) > 4


def test_copies_are_never_shown_and_the_cells_are_few(dataset: Dataset) -> None:
    """Of twenty categories eight stay, in order; a category of copies alone is left out."""
    names = [f"category {number:02d}" for number in range(20)]
    rows = [
        dataset.manifest[number].with_columns(category=pl.lit(name), cell_id=pl.lit(f"c{number}"))
        for number, name in enumerate(names)
    ]
    many = pl.concat(rows).with_columns(
        origin=pl.when(pl.col("category") == names[3]).then(pl.lit("parent")).otherwise("origin")
    )
    kept = set()
    for seed in range(30):
        shown = chosen_cells(many, names, seed)["category"].to_list()
        assert len(shown) == MOST_CELLS
        assert shown == sorted(shown)
        kept |= set(shown)
    assert kept == set(names) - {names[3]}
    with pytest.raises(DataError, match="no cell to show"):
        chosen_cells(many.filter(category=names[3]), names, 0)


def test_without_a_mask_only_what_needs_one_is_empty(dataset: Dataset) -> None:
    """The place says what is lacking; the cells that have a mask are shown."""
    chosen = chosen_cells(dataset.manifest, dataset.card.categories, 0)["cell_id"]
    bare = dataset.manifest.with_columns(
        mask_path=pl.when(pl.col("cell_id") == chosen[1]).then(None).otherwise("mask_path")
    )
    recipe = recipe_of(
        {"name": "r", "steps": [{"kind": "rotation"}, {"kind": "background_replacement"}]}
    )
    table = preview_table(replace(dataset, manifest=bare), bare, recipe, seed=0)
    empty = table.filter(pl.col("png").is_null())
    assert empty["lacks"].to_list() == ["mask"] * empty.height
    assert set(empty["cell"]) == {2}
    assert set(empty["kind"]) == {"background_replacement", "chain"}
    assert table.filter(pl.col("png").is_not_null())["lacks"].null_count() == (
        table.height - empty.height
    )


def test_large_pictures_are_reduced_in_their_shape(tmp_path: Path, dataset: Dataset) -> None:
    """To 160 px on the longer side, after the augmentation; the table keeps the picture's size."""
    height, width = 200, 400
    large = stream(1, "large").integers(0, 256, (height, width, 3)).astype(np.uint8)
    (tmp_path / "large.png").write_bytes(encode_png(large))
    manifest = dataset.manifest.head(1).with_columns(
        path=pl.lit("large.png"), content=pl.lit(content_of(large)), mask_path=None
    )
    card = dataset.card.model_copy(update={"image_root": str(tmp_path)})
    recipe = recipe_of({"name": "turned", "steps": [{"kind": "rotation", "step_deg": 90}]})
    table = preview_table(Dataset(tmp_path, card, manifest), manifest, recipe, seed=0)
    assert set(table.select("width_px", "height_px").rows()) == {(width, height)}
    assert pixels_of(table["png"][0]).shape == (MOST_PX // 2, MOST_PX, 3)
    quarter = table.filter(section=1, row=3)["png"][0]
    assert pixels_of(quarter).shape == (MOST_PX, MOST_PX // 2, 3)


def test_a_recipe_that_does_nothing_shows_the_cells(dataset: Dataset) -> None:
    """Without steps there is neither a step nor a chain to show."""
    table = preview_table(dataset, dataset.manifest, AugmentationRecipe(), seed=0)
    assert set(table["kind"]) == {"untouched"}
    assert table.columns == list(shapes.PREVIEW.columns)


def test_the_same_seed_gives_the_same_table(dataset: Dataset) -> None:
    """Twice the same, to the byte."""
    recipe = recipe_of(NESTED)
    first, second = (preview_table(dataset, dataset.manifest, recipe, seed=3) for _ in range(2))
    assert first.equals(second)
