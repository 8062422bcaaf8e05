import polars as pl
import pytest

from leukoscope.foundation.errors import SchemaError
from leukoscope.records import shapes, tables
from leukoscope.records.columns import OTHER_NAMES, complaint


def said_of(columns, shape=shapes.PREDICTIONS):
    return complaint(
        shape.name, columns, list(shape.required), list(shape.columns), shape.open_prefix
    )


def test_columns_of_the_shape_are_no_complaint():
    """With all optional ones, with none, with probabilities, in any order."""
    for columns in (["cell_id", "predicted"], ["p_a", "predicted", "case", "cell_id"]):
        assert said_of(columns) is None


def test_columns_of_another_tool_are_named_and_translated():
    """What is missing, what was seen, and what to rename; what may mean several is left open."""
    said = said_of(["filename", "label", "pred", "prob_0", "prob_1"])
    for part in (
        "lacks cell_id, predicted",
        "unknown columns filename, label, pred, prob_0, prob_1",
        "rename filename to cell_id; label to category; pred to predicted; prob_0, prob_1 each to ",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("columns", "renames"),
    [
        (["Image_Name", "Y True", "Predicted"], "Image_Name to cell_id; Y True to category; "),
        (["file", "path", "predicted"], "rename file or path to cell_id."),
        (["cell_id", "predicted", "Probability band"], "rename Probability band to p_band."),
        (["cell_id", "predicted", "patient"], "rename patient to case."),
        (["cell_id", "predicted", "score"], "rename score to p_<category>."),
    ],
)
def test_names_are_recognised_however_they_are_spelled(columns, renames):
    """Letters small or large, signs between words or none."""
    assert renames in said_of(columns)


def test_what_is_there_is_not_asked_for_again():
    """A file name beside a cell_id is only unknown, and so is a word nobody knows."""
    for columns in (["cell_id", "predicted", "filename"], ["cell_id", "predicted", "weight"]):
        said = said_of(columns)
        assert f"unknown columns {columns[-1]}" in said
        assert "rename" not in said


def test_a_column_missing_alone_is_told_alone():
    """No unknown column, no suggestion."""
    said = said_of(["cell_id", "category"])
    assert "lacks predicted; its columns are" in said
    assert "rename" not in said


@pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_file_parted_otherwise_is_told(tmp_path, sign, word):
    """The whole head is one name then."""
    (tmp_path / "x.csv").write_text(f"cell_id{sign}predicted\na{sign}band\n")
    with pytest.raises(SchemaError, match=f"parted by {word}: save it parted by commas"):
        tables.read_table(tmp_path / "x.csv", shapes.PREDICTIONS)


def test_nothing_is_renamed(tmp_path):
    """However sure the meaning, the table is refused and stays as it was."""
    path = tmp_path / "theirs.csv"
    pl.DataFrame({"image": ["a"], "pred": ["band"]}).write_csv(path)
    before = path.read_bytes()
    with pytest.raises(SchemaError, match="image to cell_id; pred to predicted"):
        tables.read_table(path, shapes.PREDICTIONS)
    assert path.read_bytes() == before


def test_no_other_name_stands_for_two_of_ours():
    """And none is a name of ours."""
    words = [word for words in OTHER_NAMES.values() for word in words.split()]
    assert len(words) == len(set(words))
    ours = {name.replace("_", "") for name in OTHER_NAMES}
    for name, others in OTHER_NAMES.items():
        assert not ours - {name.replace("_", "")} & set(others.split())
