"""Preview among the other verbs: a page of a person's own cells, before anything is trained."""

import io
import json
import re
from base64 import b64decode

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.cli.command import leukoscope as command
from tests.reporting.reading import read, table

import leukoscope
from leukoscope.foundation.errors import DataError, LeukoscopeError, RecipeError, UsageError
from leukoscope.intake.decode import decode
from leukoscope.records.dataset import open_pictures, read_dataset, read_split

RECIPE = """
name: mine
steps:
  - kind: flip
    axis: vertical
  - kind: one_of
    steps:
      - kind: gaussian_blur
      - kind: background_replacement
        fill: white
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "mine.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def page(cells, recipe, tmp_path_factory):
    """Preview the drawn cells; give the page's text."""
    out = tmp_path_factory.mktemp("preview") / "sheet.html"
    assert leukoscope.preview(cells, str(recipe), out=out) == out
    return out.read_text(encoding="utf-8")


def shown(page, section):
    """Decode the pictures of a section, row by row."""
    rows = table(read(page), f"cells-{section}").all("tbody")[0].all("tr")
    return [
        [
            np.array(Image.open(io.BytesIO(b64decode(each.attributes["src"].split(",")[1]))))
            for each in row.all("img")
        ]
        for row in rows
    ]


def test_the_page_shows_training_cells_untouched_and_changed(cells, page):
    """One of each category, of the training part; a flip flips them."""
    dataset = read_dataset(cells)
    train = read_split(dataset, "splits", 0, 0).filter(split="train")
    read_picture = open_pictures(dataset)
    known = {
        decode(read_picture(row["path"], False), name="").pixels.tobytes(): row["category"]
        for row in train.to_dicts()
    }
    (untouched,) = shown(page, "untouched")
    assert [known[pixels.tobytes()] for pixels in untouched] == list(dataset.card.categories)
    (flipped,) = shown(page, "step-1")
    for before, after in zip(untouched, flipped, strict=True):
        assert (after == before[::-1]).all()
    assert len(shown(page, "chain")) == 4


def test_masks_of_the_dataset_are_used(page):
    """Outside the drawn cell it is white, inside nothing changed."""
    (untouched,), (alone,) = shown(page, "untouched"), shown(page, "step-3")
    for before, after in zip(untouched, alone, strict=True):
        changed = (before != after).any(axis=2)
        assert changed.any()
        assert (after[changed] == 255).all()
        middle = before.shape[0] // 2
        assert (before[middle, middle] == after[middle, middle]).all()


def test_the_chain_is_what_augment_writes(cells, tmp_path):
    """Each chained picture is the copy of that number and seed, byte for byte."""
    page = leukoscope.preview(cells, "trivial-augment", out=tmp_path / "p.html", seed=5)
    chain = shown(page.read_text(encoding="utf-8"), "chain")
    out = leukoscope.augment(cells, "trivial-augment", out=tmp_path / "more", factor=5, seed=5)
    made = read_dataset(out)
    read_picture = open_pictures(made)
    for number, row in enumerate(chain, start=1):
        rows = made.manifest.filter(pl.col("copy") == number).to_dicts()
        written = {
            decode(read_picture(each["path"], True), name="").pixels.tobytes(): each["category"]
            for each in rows
        }
        assert [written[pixels.tobytes()] for pixels in row] == list(made.card.categories)


def test_no_cell_is_named(cells, page):
    """Neither by its id, nor by its file, nor by its case or family."""
    manifest = read_dataset(cells).manifest
    text = re.sub('base64,[^"]*', "", page)
    for column in ("cell_id", "path", "family", "content", "mask_path"):
        assert not [name for name in manifest[column] if name in text]


def test_the_recipe_can_be_taken_from_the_page(page, tmp_path):
    """Its YAML, kept as a file, is the same recipe."""
    path = tmp_path / "again.yaml"
    path.write_text(read(page).all("pre")[0].text())
    from leukoscope.augmentation.recipe import load_augmentation

    assert load_augmentation(path).recipe_id in page


def test_another_seed_shows_other_cells(cells, recipe, page, tmp_path):
    """And the same seed the same page, to the byte."""
    pages = []
    for seed in (0, 1):
        out = leukoscope.preview(cells, str(recipe), out=tmp_path / f"{seed}.html", seed=seed)
        pages.append(out.read_text(encoding="utf-8"))
    assert pages[0] == page
    assert pages[1] != page


def test_a_dataset_without_split_and_masks_is_shown_too(cells, tmp_path):
    """Where nothing is known of a split, any cell may be shown; what needs a mask says so."""
    dataset = read_dataset(cells)
    bare = tmp_path / "bare"
    bare.mkdir()
    dataset.manifest.with_columns(mask_path=pl.lit(None, dtype=pl.String)).write_parquet(
        bare / "manifest.parquet"
    )
    card = dataset.card.model_copy(update={"image_root": str(dataset.image_root)})
    (bare / "dataset.json").write_text(json.dumps(card.model_dump(mode="json")))
    path = tmp_path / "alone.yaml"
    path.write_text("name: alone\nsteps:\n  - kind: background_replacement\n")
    text = leukoscope.preview(bare, str(path), out=tmp_path / "p.html").read_text(encoding="utf-8")
    assert "which is not split" in text
    assert shown(text, "step-1") == [[]]
    assert "none of these cells" not in text
    assert "these cells have no mask" in text


@pytest.mark.parametrize(
    ("recipe_name", "out", "seed", "error", "words"),
    [
        ("rotatoin", "p.html", 0, UsageError, "rotation"),
        ("rotation", "p.png", 0, UsageError, "should end in .html"),
        ("rotation", "taken.html", 0, UsageError, "left untouched"),
        ("rotation", "p.html", -1, UsageError, "--seed is -1"),
        ("gone.yaml", "p.html", 0, RecipeError, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_refused(cells, tmp_path, recipe_name, out, seed, error, words):
    """By one sentence, with nothing written."""
    (tmp_path / "taken.html").write_text("mine")
    with pytest.raises(LeukoscopeError, match=words) as raised:
        leukoscope.preview(cells, recipe_name, out=tmp_path / out, seed=seed)
    assert type(raised.value) is error
    assert [path.name for path in tmp_path.iterdir()] == ["taken.html"]
    assert (tmp_path / "taken.html").read_text() == "mine"


def test_a_blur_that_does_not_fit_is_told_of(cells, tmp_path):
    """As augment would refuse it, before it is asked for hours of work."""
    path = tmp_path / "blur.yaml"
    path.write_text("name: b\nsteps:\n  - {kind: gaussian_blur, sigma_range_px: [0, 60]}\n")
    with pytest.raises(DataError, match="does not fit"):
        leukoscope.preview(cells, str(path), out=tmp_path / "p.html")
    assert not (tmp_path / "p.html").exists()


def test_the_command_prints_the_path(cells, tmp_path):
    """And nothing else."""
    out = tmp_path / "sheet.html"
    ended = command("preview", cells, "flips", "--out", out, "--seed", 2)
    assert (ended.code, ended.out, ended.err) == (0, f"{out}\n", "")
