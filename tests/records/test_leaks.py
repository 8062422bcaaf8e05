import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.records.tabling import manifest_of
from tests.records.test_dataset import written

from leukoscope.foundation.errors import DataError
from leukoscope.records.dataset import read_split
from leukoscope.records.generators import GeneratorCard, write_card
from leukoscope.records.leaks import check_generators, generator_ids, seen_by
from leukoscope.records.lineage import is_copy
from leukoscope.records.runs import SeenCells, is_seen, joined_seen, seen_of

ID = "generator:0123456789abcdef"
ROWS = [
    {"case": "a", "family": "1"},
    {"case": "b", "family": "2"},
    {"case": "b", "family": "3"},
    {"case": None, "family": "4"},
    {"case": "c", "family": "5"},
    {"cell_id": "g", "family": ID, "origin": ID, "copy": 1},
]
MANIFEST = manifest_of(ROWS)
SIDES = ["train", "validation", "validation", "calibration", "test", "train"]
HELD_OUT = ("validation", "calibration", "test")


def card_of(**parts):
    """Write a card of which a test names only what the generator saw."""
    return GeneratorCard(
        generator_id=ID,
        name="gan",
        recipe_id="r",
        categories=("band",),
        size_px=16,
        files={},
        **({name: SeenCells() for name in ("fit", "stop", "judge")} | parts),
        dataset_digest="d",
        dataset_name="drawn",
    )


def seen(*places):
    """Name cells of the manifest as seen."""
    return seen_of(MANIFEST[list(places)])


def test_a_generator_that_saw_what_it_may_is_let_in(tmp_path):
    """Fit in training, stop and judge in validation: the division is read with its cells."""
    known = written(tmp_path, ROWS, SIDES)
    write_card(tmp_path, card_of(fit=seen(0), stop=seen(1), judge=seen(2)))
    divided = read_split(known, "splits", 0, 0)
    assert divided.filter(is_copy()).select("cell_id", "split").rows() == [("g", "train")]


@pytest.mark.parametrize("part", ["fit", "stop", "judge"])
@pytest.mark.parametrize("how", ["contents", "families", "cases"])
@pytest.mark.parametrize("place", [1, 3, 4])
def test_each_way_a_generator_can_carry_a_cell_over_is_found(tmp_path, part, how, place):
    """By its pixels, its family or its case; but validation may stop and judge."""
    known = written(tmp_path, ROWS, SIDES)
    met = getattr(seen(place), how)
    write_card(tmp_path, card_of(**{part: SeenCells(**{how: met})}))
    side = SIDES[place]
    if not met or (side == "validation" and part != "fit"):
        read_split(known, "splits", 0, 0)
        return
    verb = "learnt from" if part == "fit" else "was chosen or judged by"
    n_cells = 2 if side == "validation" else 1
    said = rf"{n_cells} cells outside training .* the generator gan {verb}, .* c00{place} in {side}"
    if place == 1:
        said = said.replace("c001", "c00[12]")
    with pytest.raises(DataError, match=said):
        read_split(known, "splits", 0, 0)


def test_what_belongs_to_a_seen_cell_is_seen(tmp_path):
    """The other cell of a person in the test, whose seen cell the split leaves out."""
    rows = [{"case": "a"}, {"case": "b"}, {"case": "b"}, ROWS[-1]]
    known = written(tmp_path, rows, ["train", "test", "test", "train"])
    gone = seen_of(manifest_of(rows)[[1]]).model_copy(update={"contents": (), "cases": ()})
    write_card(tmp_path, card_of(fit=gone))
    with pytest.raises(DataError, match="2 cells outside training"):
        read_split(known, "splits", 0, 0)


def test_a_generator_nobody_knows_is_refused(tmp_path):
    """Without its card its cells may not train; where they do not, no card is asked for."""
    known = written(tmp_path, ROWS, SIDES)
    with pytest.raises(DataError, match=r"cells that generator:01.* drew, and no card of it"):
        read_split(known, "splits", 0, 0)
    write_card(tmp_path, card_of().model_copy(update={"generator_id": "generator:" + "f" * 16}))
    with pytest.raises(DataError, match=r"Put its card generators/0123456789abcdef\.json there"):
        read_split(known, "splits", 0, 0)
    bare = written(tmp_path / "bare", ROWS[:5], SIDES[:5])
    assert read_split(bare, "splits", 0, 0).height == 5


@given(
    st.lists(st.sampled_from(["train", *HELD_OUT]), min_size=5, max_size=5),
    st.sets(st.integers(0, 4)),
    st.sets(st.integers(0, 4)),
)
def test_the_law_is_the_slow_one(sides, fit, judge):
    """Any division of cells without cases, any sets that fit and judge: refused as by hand."""
    table = manifest_of([{"family": str(i)} for i in range(5)] + [ROWS[-1]])
    names = {str(i): side for i, side in enumerate(sides)}
    side = table["family"].replace_strict(names, default="train")
    divided = table.with_columns(side.alias("split"))
    side_of = dict(divided.select("family", "split").rows())
    cells = {str(i): table.filter(family=str(i)) for i in range(5)}
    parts = {
        "fit": joined_seen(*(seen_of(cells[str(i)]) for i in fit)),
        "judge": joined_seen(*(seen_of(cells[str(i)]) for i in judge)),
    }
    leaks = any(side_of[str(i)] != "train" for i in fit) or any(
        side_of[str(i)] in ("calibration", "test") for i in judge
    )
    cards = {ID: card_of(**parts)}
    if leaks:
        with pytest.raises(DataError, match="that the generator gan"):
            check_generators(divided, cards, "here")
    else:
        check_generators(divided, cards, "here")


def test_seen_cells_are_joined_and_named_once():
    """Of fit, stop and judge, sorted; of none, none."""
    card = card_of(fit=seen(0, 1), stop=seen(1), judge=seen(2, 3))
    assert seen_by(card) == seen_of(MANIFEST[[0, 1, 2, 3]])
    assert joined_seen() == SeenCells()
    assert joined_seen(seen(3), seen(0)) == joined_seen(seen(0), seen(3), seen(0))
    assert is_seen(MANIFEST, seen_by(card)).to_list() == [True] * 4 + [False] * 2


def test_generators_are_those_of_rows(tmp_path):
    """Sorted, each once; copies and renderings come from none."""
    rows = [ROWS[-1], ROWS[-1] | {"cell_id": "h"}, {"family": "1", "cell_id": "x", "origin": "y"}]
    other = {"cell_id": "a", "family": "generator:a", "origin": "generator:a"}
    assert generator_ids(manifest_of([*rows, other])) == [ID, "generator:a"]
    assert generator_ids(manifest_of([{}])) == []
