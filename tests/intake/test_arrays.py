import numpy as np
import polars as pl
import pytest
from tests.intake.pictures import drawn

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.arrays import check_pictures, dataset_of_arrays
from leukoscope.intake.store import open_store
from leukoscope.records.dataset import read_dataset, read_split

PICTURES = np.stack([drawn(i, 8, 8) for i in range(20)])
LABELS = ["monocyte", "band"] * 10


def test_arrays_become_a_dataset_of_the_same_pixels(tmp_path):
    """Every picture, label and case is found again, in order, and split by case."""
    cases = [i // 2 for i in range(20)]
    out = dataset_of_arrays(PICTURES, LABELS, cases, out=tmp_path / "d", seed=1)
    known = read_dataset(out)
    assert known.card.categories == ("band", "monocyte")
    assert known.manifest["category"].to_list() == LABELS
    assert known.manifest["case"].to_list() == [str(case) for case in cases]
    store = open_store(known, known.manifest, 8)
    np.testing.assert_array_equal(store.take(store.rows(list(known.manifest["content"]))), PICTURES)
    divided = read_split(known, "splits", 0, 0)
    assert dict(divided.group_by("split").len().rows()) == {"train": 16, "validation": 4}
    sides = divided.group_by("case").agg(pl.col("split").n_unique())
    assert set(sides["split"]) == {1}


def test_equal_pictures_stay_together(tmp_path):
    """Copies within an array are one family, on one side."""
    pictures = np.concatenate([PICTURES, PICTURES[:10]])
    out = dataset_of_arrays(pictures, LABELS + LABELS[:10], None, out=tmp_path / "d", seed=1)
    divided = read_split(read_dataset(out), "splits", 0, 0)
    assert divided["family"].n_unique() == 20
    assert set(divided.group_by("content").agg(pl.col("split").n_unique())["split"]) == {1}


@pytest.mark.parametrize(
    "pictures",
    [PICTURES.astype(np.float32), PICTURES[..., 0], PICTURES[0], PICTURES.astype(np.uint16)],
)
def test_arrays_of_another_form_are_refused(pictures, tmp_path):
    """Floats, grey, single and 16-bit pictures: what was seen and what is wanted is told."""
    with pytest.raises(DataError, match=r"uint8 of shape \(n, height, width, 3\).*seen"):
        check_pictures(pictures)
    with pytest.raises(DataError, match="seen"):
        dataset_of_arrays(pictures, LABELS, None, out=tmp_path / "d", seed=0)
    assert list(tmp_path.iterdir()) == []


def test_lists_that_do_not_fit_and_places_taken_are_refused(tmp_path):
    """Too few labels or cases, one picture of a category, a full folder: nothing is left."""
    for labels, cases in ((LABELS[1:], None), (LABELS, ["a"])):
        with pytest.raises(DataError, match="20 pictures need 20 labels"):
            dataset_of_arrays(PICTURES, labels, cases, out=tmp_path / "d", seed=0)
    with pytest.raises(DataError, match=r"band \(1\)"):
        dataset_of_arrays(PICTURES, ["band"] + ["monocyte"] * 19, None, out=tmp_path / "d", seed=0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x").write_text("old")
    with pytest.raises(UsageError, match="untouched"):
        dataset_of_arrays(PICTURES, LABELS, None, out=tmp_path, seed=0)
