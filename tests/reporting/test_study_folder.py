"""A study folder is told by its files alone: recipe, split, machines, units."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml
from tests.reporting.example import example
from tests.reporting.reading import read, rows, table
from tests.reporting.rotation import missed, pictures

from leukoscope.foundation.errors import SchemaError
from leukoscope.records import shapes, tables
from leukoscope.reporting.contents import StudyPage
from leukoscope.reporting.study_folder import page_of
from leukoscope.reporting.study_page import study_page

PAGE: StudyPage = example(n_replicates=2)
MACHINE = {"processor": "A", "device": "cpu", "precision": "float32", "packages": {"torch": "2.0"}}
DATA = {"name": "cells", "source": "folder", "licence": None, "citation": None}
DATA |= {"manifest_digest": "0" * 8}
TRAINING = {"model": "resnet18", "preprocessing": {"size_px": 64}, "weights": None}
TRAINING |= {"updates": 9, "batch_size": 8, "optimiser": "adamw", "learning_rate": 0.001}
TRAINING |= {"schedule": "cosine", "validate_every": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Lay a study folder down by hand: two arms, two replicates."""
    recipe = {"name": "rotation", "question": "Does it help?", "metric": "macro_f", "margin": 0.01}
    recipe |= {"baseline": "none", "replicates": 2, "seed": 0, "training": TRAINING}
    recipe |= {"arms": {name: {"description": text} for name, text in PAGE.arms.items()}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(recipe))
    write(tmp_path / "dataset.json", DATA)
    results = PAGE.results.with_columns(unit=pl.lit("case"))
    tables.write_table(tmp_path / "results.parquet", results, shapes.RESULTS)
    tables.write_table(tmp_path / "confusion.parquet", PAGE.confusion, shapes.CONFUSION)
    tables.write_table(tmp_path / "composition.parquet", PAGE.composition, shapes.COMPOSITION)
    for arm in PAGE.arms:
        for replicate in ("00", "01"):
            unit = tmp_path / "units" / arm / replicate
            unit.mkdir(parents=True)
            write(unit / "dataset.json", {"n_cells": {"train": 100}})
            write(unit / "environment.json", MACHINE)
    return tmp_path


def write(path: Path, content: object) -> None:
    """Write JSON."""
    path.write_text(json.dumps(content))


def test_no_command_is_told_but_the_recipe(folder: Path) -> None:
    """What cannot be run is not shown; recipe and split are named by their digests."""
    write(folder / "dataset.json", DATA | {"recipe_id": "r1", "split": "s", "split_digest": "d1"})
    told = dict(page_of(folder).provenance)
    assert "Command" not in told
    assert "study.yaml" in told["Recipe"]
    assert told["Digest of the recipe"] == "r1"
    assert told["Split"] == "s"
    assert told["Digest of the split"] == "d1"


def test_an_older_study_states_no_split(folder: Path) -> None:
    """What dataset.json does not hold is called not stated."""
    told = dict(page_of(folder).provenance)
    for label in ("Split", "Digest of the split", "Digest of the recipe"):
        assert told[label] == "not stated"


def test_one_machine_has_one_row(folder: Path) -> None:
    """Equal units are told once."""
    told = [row for row in page_of(folder).provenance if row[0].startswith(("Mach", "Soft"))]
    assert told == [("Machine", "A, cpu, float32"), ("Software", "torch 2.0")]


def test_every_machine_is_told(folder: Path) -> None:
    """A unit made elsewhere, in whichever arm, has its own row with how many runs it made."""
    other = MACHINE | {"device": "cuda", "packages": {"torch": "2.1"}}
    write(folder / "units" / "online-rotation" / "01" / "environment.json", other)
    told = [row for row in page_of(folder).provenance if row[0].startswith(("Mach", "Soft"))]
    assert told == [
        ("Machine of 3 of 4 runs", "A, cpu, float32"),
        ("Machine of 1 of 4 runs", "A, cuda, float32"),
        ("Software of 3 of 4 runs", "torch 2.0"),
        ("Software of 1 of 4 runs", "torch 2.1"),
    ]


def test_the_page_shows_the_provenance(folder: Path) -> None:
    """Each row stands in its table as it is, and the folder's place has no say."""
    page = page_of(folder)
    shown = rows(table(read(study_page(page)), "table-provenance").all("tbody")[0])
    assert shown[: len(page.provenance)] == [list(row) for row in page.provenance]
    moved = shutil.copytree(folder, folder / "moved")
    assert study_page(page_of(moved)) == study_page(page)


def test_an_assumed_unit_is_not_the_unit(folder: Path) -> None:
    """Rows as wide as for other people neither name the unit nor count as a second answer."""
    results = tables.read_table(folder / "results.parquet", shapes.RESULTS)
    results = results.with_columns(unit=pl.lit("family"))
    wide = results.filter(pl.col("low").is_not_null()).with_columns(
        unit=pl.lit("as if 50 cells a person"), method=pl.lit("widened")
    )
    tables.write_table(folder / "results.parquet", results, shapes.RESULTS)
    plain = study_page(page_of(folder))
    tables.write_table(folder / "results.parquet", pl.concat([wide, results]), shapes.RESULTS)
    assert page_of(folder).unit == "family"
    assert study_page(page_of(folder)) == plain


def test_an_older_folder_gives_a_page(folder: Path) -> None:
    """Without curves, missed cells and pictures the page lacks their sections and says the last."""
    page = page_of(folder)
    assert (page.curves, page.missed) == (None, None)
    assert page.pictures is not None
    assert page.pictures.is_empty()
    assert "keeps no pictures" in study_page(page)


def laid_down(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write missed cells and pictures of the folder's arms beside its other tables."""
    rename = {"originals": "none", "rotated-online": "online-rotation"}

    def own(each: pl.DataFrame) -> pl.DataFrame:
        kept = each.filter(pl.col("arm").is_in(list(rename)))
        return kept.with_columns(pl.col("arm").replace(rename))

    wrong, shown = own(missed(2)), own(pictures())
    tables.write_table(folder / "missed.parquet", wrong, shapes.MISSED)
    tables.write_table(folder / "pictures.parquet", shown, shapes.PICTURES)
    return wrong, shown


def test_what_is_there_is_read(folder: Path) -> None:
    """Missed cells and pictures reach the page as they were written."""
    wrong, shown = laid_down(folder)
    page = page_of(folder)
    assert page.missed is not None
    assert sorted(page.missed.rows()) == sorted(wrong.rows())
    assert page.pictures is not None
    assert set(page.pictures["png"]) == set(shown["png"])
    assert study_page(page).count("<img") > 10


def test_left_out_pictures_are_not_even_read(folder: Path) -> None:
    """With a broken file of pictures the page without them is made as ever."""
    laid_down(folder)
    whole = study_page(page_of(folder, pictures=False))
    (folder / "pictures.parquet").write_bytes(b"not a table")
    assert study_page(page_of(folder, pictures=False)) == whole
    assert "<img" not in whole
    assert "left out of this page on purpose" in whole
    with pytest.raises(SchemaError, match="pictures"):
        page_of(folder)


def stated(folder: Path, arm: dict[str, object], **changes: object) -> dict[str, str]:
    """Tell the provenance of the study with an arm that states more, and other keys."""
    recipe = yaml.safe_load((folder / "study.yaml").read_text()) | changes
    recipe["arms"]["online-rotation"] |= arm
    (folder / "study.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return dict(page_of(folder).provenance)


def test_what_an_arm_has_of_its_own_is_told(folder: Path) -> None:
    """A row for it, and a word beside what is shared; without any, neither."""
    before = dict(page_of(folder).provenance)
    assert not any(label.startswith("Arm ") or "below" in before[label] for label in before)
    arm = {"training": {"model": "lenet", "batch_size": 4, "build_arguments": {"grey": True}}}
    told = stated(folder, arm)
    assert told["Arm online-rotation"] == "model: lenet; batch_size: 4; build_arguments: grey yes"
    for label in ("Model", "Starting weights", "Training"):
        assert told[label] == f"{before[label]}; an arm may state otherwise, below"


def test_weights_of_an_arm_are_told_with_their_licence(folder: Path) -> None:
    """By name and digest."""
    origin = {"name": "theirs", "licence": "mit", "sha256": "a" * 64}
    told = stated(folder, {"weights": "theirs", "origin": origin})
    own = f"starting weights: theirs (licence mit), sha256 {'a' * 16}…"
    assert told["Arm online-rotation"] == own


def test_equal_updates_are_claimed_only_where_they_are_equal(folder: Path) -> None:
    """Not of arms that get equal time, nor of classical ones."""
    assert dict(page_of(folder).provenance)["Training"].startswith("9 updates in every arm, of 8")
    classical = {"training": {"classifier": {"kind": "svm"}}}
    told = stated(folder, classical)
    assert "9 updates in every arm but the classical ones, which do none" in told["Training"]
    told = stated(folder, {"training": {"updates": 20}}, budget="equal-time")
    assert told["Training"].startswith("equal time, each arm as many updates as it states")
    assert "updates in every arm" not in told["Training"]
    assert any("equal time, not equal updates" in note for note in page_of(folder).notes)


def test_weights_are_told_to_be_kept_by_what_chose_them(folder: Path) -> None:
    """Macro-F in a study from before it could be chosen."""
    assert "validation macro-F;" in dict(page_of(folder).provenance)["Kept weights"]
    told = stated(folder, {}, training=TRAINING | {"choose_by": "loss"})
    assert told["Kept weights"].startswith("those with the best validation loss;")
