"""A blinded sheet betrays nothing, its key follows from the seed, and its answers are scored."""

import io
import re
import shutil
from base64 import b64decode
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.intake.sampled import NOTHING, card_for, judged, sampled
from tests.reporting.reading import read
from tests.reporting.test_evaluation_page import assert_sound

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.decode import decode, resize
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import open_pictures, read_dataset, read_split, write_dataset
from leukoscope.verbs.score_sheet import score_sheet
from leukoscope.verbs.sheet import sheet

N = 12
SIZE_PX = 20


@pytest.fixture(scope="module")
def drawn(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what a generator fitted on these cells might have drawn; two are flagged."""
    out = tmp_path_factory.mktemp("drawn") / "gan"
    sampled(out, card_for(cells, size_px=SIZE_PX), n=6)
    flagged = read_dataset(out).manifest["cell_id"].to_list()[:2]
    return judged(out, memorised=flagged)


@pytest.fixture(scope="module")
def printed(cells: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Print a sheet."""
    return sheet(cells, drawn, out=tmp_path_factory.mktemp("printed") / "sheet", n=N)


def key_of(folder: Path) -> pl.DataFrame:
    """Open the key, as a reader must not."""
    return tables.read_table(folder / "key" / "key.parquet", shapes.SHEET_KEY)


def pictures_of(folder: Path) -> list[bytes]:
    """List the pictures of a sheet in their order."""
    built = read((folder / "sheet.html").read_text(encoding="utf-8"))
    return [b64decode(each.attributes["src"].split(",")[1]) for each in built.all("img")]


def pixels_of(png: bytes) -> np.ndarray:
    """Decode a picture with another program's reader."""
    with Image.open(io.BytesIO(png)) as image:
        assert image.info == {}
        return np.array(image)


def chunks_of(png: bytes) -> list[bytes]:
    """List the parts of a PNG file by name, each once where it is repeated."""
    at, found = 8, []
    while at < len(png):
        found.append(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return list(dict.fromkeys(found))


def test_half_are_real_in_every_category(printed: Path) -> None:
    """As many real as drawn, in all and in each category."""
    counts = key_of(printed).group_by("category", "made").len()
    assert counts["len"].sum() == N
    for _, part in counts.group_by("category"):
        assert part.height == 2
        assert part["len"].n_unique() == 1


def test_pictures_are_what_the_key_says(printed: Path, cells: Path, drawn: Path) -> None:
    """Each picture is its cell, brought to the generated size by the house's resizer."""
    for row, png in zip(key_of(printed).to_dicts(), pictures_of(printed), strict=True):
        known = read_dataset(cells if row["made"] == "real" else drawn)
        path = known.manifest.filter(cell_id=row["cell_id"])["path"][0]
        data = open_pictures(known)(path, row["made"] == "drawn")
        expected = resize(decode(data, name=path).pixels, SIZE_PX)
        assert np.array_equal(pixels_of(png), expected)


def test_real_cells_are_those_that_judge(printed: Path, cells: Path, drawn: Path) -> None:
    """No cell that fitted or stopped the generator is shown, and no flagged one of its own."""
    card = card_for(cells, size_px=SIZE_PX)
    shown = key_of(printed)
    assert set(shown.filter(made="real")["content"]) <= set(card.judge.contents)
    flagged = tables.read_table(drawn / "findings.parquet", shapes.FINDINGS)["cell_id"]
    assert not set(shown["cell_id"]) & set(flagged)


def test_files_betray_nothing(printed: Path) -> None:
    """All pictures have one number of bytes and hold pixels alone; no name is on the page."""
    pngs = pictures_of(printed)
    assert len({len(png) for png in pngs}) == 1
    assert {tuple(chunks_of(png)) for png in pngs} == {(b"IHDR", b"IDAT", b"IEND")}
    text = (printed / "sheet.html").read_text(encoding="utf-8")
    told = (printed / "sheet.json").read_text(encoding="utf-8") + text
    for row in key_of(printed).to_dicts():
        assert row["cell_id"] not in told
        assert row["content"] not in told
    blank = pl.read_csv(printed / "answers.csv")
    assert blank["number"].to_list() == list(range(1, N + 1))
    assert blank.drop("number").null_count().row(0) == (N, N, N)


def test_every_item_of_the_page_is_built_alike(printed: Path) -> None:
    """But for number and pixels all items are the same text."""
    text = (printed / "sheet.html").read_text(encoding="utf-8")
    items = re.findall(r"<li><span.*?</li>", text)
    assert len(items) == N
    bare = [re.sub(r'base64,[^"]*', "", item) for item in items]
    assert {re.sub(rf"\b{at}\b", "#", item) for at, item in enumerate(bare, start=1)} == {
        re.sub(r"\b1\b", "#", bare[0])
    }
    assert_sound(read(text))
    assert "stays in the house" in text


def test_the_seed_decides_and_nothing_else(
    printed: Path, cells: Path, drawn: Path, tmp_path: Path
) -> None:
    """The same seed prints the same bytes, another one another sheet in another order."""
    again = sheet(cells, drawn, out=tmp_path / "again", n=N)
    for path in ("sheet.html", "sheet.json", "answers.csv", "key/key.parquet"):
        assert (again / path).read_bytes() == (printed / path).read_bytes()
    other = sheet(cells, drawn, out=tmp_path / "other", n=N, seed=1)
    assert not key_of(other)["content"].equals(key_of(printed)["content"])
    assert key_of(other)["seed"].unique().to_list() == ["1"]


def test_numbers_tell_nothing(cells: Path, drawn: Path, tmp_path: Path) -> None:
    """Over seeds each place is real about half of the time."""
    kinds = np.array(
        [
            (
                key_of(sheet(cells, drawn, out=tmp_path / str(seed), n=4, seed=seed))["made"]
                == "real"
            )
            for seed in range(16)
        ]
    )
    assert (kinds.sum(axis=1) == 2).all()
    assert len({tuple(row) for row in kinds.tolist()}) >= 4
    assert (kinds.mean(axis=0) > 0).all()
    assert (kinds.mean(axis=0) < 1).all()


def test_another_tools_pictures_are_held_against_validation(
    cells: Path, drawn: Path, tmp_path: Path
) -> None:
    """Without a card the real cells are those of the validation split."""
    known = read_dataset(drawn)
    bare = known.manifest.with_columns(
        pl.lit(None).alias(name) for name in ("origin", "copy", "draw", "recipe_id")
    ).with_columns(family="cell_id")
    shutil.copytree(drawn / "images", tmp_path / "bare" / "images")
    write_dataset(tmp_path / "bare", known.card, bare)
    found = key_of(sheet(cells, tmp_path / "bare", out=tmp_path / "sheet", n=N))
    real = read_split(read_dataset(cells), "splits", 0, 0).filter(split="validation")
    assert set(found.filter(made="real")["cell_id"]) <= set(real["cell_id"])


def test_what_cannot_be_printed_is_refused(cells: Path, drawn: Path, tmp_path: Path) -> None:
    """Odd numbers, too many, sets without a card or of other cells; nothing is left behind."""
    out = tmp_path / "sheet"
    for n in (0, 7, 402):
        with pytest.raises(UsageError, match="an even number"):
            sheet(cells, drawn, out=out, n=n)
    with pytest.raises(DataError, match="or fewer"):
        sheet(cells, drawn, out=out, n=400)
    with pytest.raises(DataError, match="cannot be both drawn and real"):
        sheet(cells, cells, out=out, n=N)
    lost = sampled(tmp_path / "lost", card_for(cells), n=6, is_carded=False)
    with pytest.raises(DataError, match="no card"):
        sheet(cells, lost, out=out, n=N)
    strange = sampled(tmp_path / "strange", card_for(cells, judge=NOTHING), n=6)
    with pytest.raises(DataError, match="holds none of the 0 cells"):
        sheet(cells, strange, out=out, n=N)
    assert not out.exists()


def answered(printed: Path, path: Path, reader: str = "AB") -> Path:
    """Fill the answers in rightly."""
    key_of(printed).select(
        "number", reader=pl.lit(reader), real_or_drawn="made", category="category"
    ).write_csv(path)
    return path


def test_a_perfect_reader_scores_all(printed: Path, tmp_path: Path) -> None:
    """Answers that follow the key are right throughout; the report names initials alone."""
    path = answered(printed, tmp_path / "answers.csv")
    found = score_sheet(printed, path, out=tmp_path / "scored")
    assert found.filter(metric="told_right")["value"].unique().to_list() == [1.0]
    html = (tmp_path / "scored" / "report.html").read_text(encoding="utf-8")
    assert "Reader AB told real from drawn cells better than by guessing" in html
    assert_sound(read(html))
    kept = tables.read_table(tmp_path / "scored" / "results.parquet", shapes.RESULTS)
    assert kept["value"].to_list() == found["value"].to_list()


def test_sheets_and_readers_are_not_mixed_up(printed: Path, tmp_path: Path) -> None:
    """No answers, a reader twice, a folder that is no sheet and a changed key are refused."""
    path = answered(printed, tmp_path / "answers.csv")
    with pytest.raises(UsageError, match="at least one"):
        score_sheet(printed)
    with pytest.raises(DataError, match="several files"):
        score_sheet(printed, path, path)
    with pytest.raises(DataError, match="no blinded sheet"):
        score_sheet(tmp_path, path)
    shutil.copytree(printed, tmp_path / "other")
    turned = key_of(printed).with_columns(made=pl.lit("real"))
    tables.write_table(tmp_path / "other" / "key" / "key.parquet", turned, shapes.SHEET_KEY)
    with pytest.raises(DataError, match="not the key"):
        score_sheet(tmp_path / "other", path)
