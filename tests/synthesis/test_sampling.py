import shutil

import numpy as np
import polars as pl
import pytest
from tests.synthesis.tiny import recipe_of
from tests.training.folders import state_of

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.decode import content_of, decode
from leukoscope.records.dataset import read_dataset
from leukoscope.records.generators import generators_in, read_generator
from leukoscope.records.lineage import is_copy, is_generated
from leukoscope.synthesis.run import synthesise_run
from leukoscope.synthesis.sampling import open_run, replayed_cell, sample_run

pytestmark = pytest.mark.usefixtures("one_thread")
WEIGHTS = "generators/shared/generator.safetensors"


@pytest.fixture(scope="module")
def drawn(finished_run, tmp_path_factory):
    """Draw 200 cells."""
    return sample_run(finished_run, n=200, out=tmp_path_factory.mktemp("drawn") / "set", seed=3)


@pytest.fixture
def own(finished_run, tmp_path):
    """Copy the finished run, to be changed."""
    return shutil.copytree(finished_run, tmp_path / "own")


def pixels_of(folder):
    """Read all pictures of a set by name."""
    manifest = read_dataset(folder).manifest
    return {
        name: decode((folder / path).read_bytes(), name=path).pixels
        for name, path in manifest.select("cell_id", "path").rows()
    }


def test_cells_are_spread_evenly_over_the_categories(drawn, finished_run):
    """200 over three: 67, 67, 66, the first get one more; numbered from 0 in each."""
    manifest = read_dataset(drawn).manifest
    categories = read_generator(finished_run).categories
    counts = dict(manifest.group_by("category").len().iter_rows())
    assert [counts[name] for name in categories] == [67, 67, 66]
    for name in categories:
        own = manifest.filter(category=name).sort("copy")
        assert own["copy"].to_list() == list(range(1, counts[name] + 1))
        assert own["path"].to_list() == [f"images/{name}-{i:06d}.png" for i in range(counts[name])]


def test_fewer_cells_than_categories_go_to_the_first(finished_run, tmp_path):
    two = read_dataset(sample_run(finished_run, n=2, out=tmp_path / "two")).manifest
    assert sorted(two["category"]) == sorted(read_generator(finished_run).categories[:2])


def test_each_row_says_where_it_comes_from(drawn, finished_run):
    """Generator, recipe, draw, copy; a copy by law, all of one family, with the card beside it and
    no split."""
    card, manifest = read_generator(finished_run), read_dataset(drawn).manifest
    assert manifest.select(is_copy() & is_generated()).to_series().all()
    assert set(manifest["origin"]) == set(manifest["family"]) == {card.generator_id}
    assert set(manifest["recipe_id"]) == {card.recipe_id}
    assert set(manifest["source"]) == {"generator"}
    assert manifest["cell_id"].is_unique().all()
    assert set(manifest["width_px"]) == set(manifest["height_px"]) == {16}
    assert manifest.filter(copy=5)["draw"].to_list() == ['{"seed": 3, "number": 4}'] * 3
    assert generators_in(drawn) == {card.generator_id: card}
    assert not (drawn / "splits.parquet").exists()


def test_a_picture_is_what_its_row_says(drawn):
    """Content by content; and pictures are of many kinds."""
    manifest = read_dataset(drawn).manifest
    found = pixels_of(drawn)
    contents = dict(manifest.select("cell_id", "content").rows())
    assert all(content_of(pixels) == contents[name] for name, pixels in found.items())
    assert len(set(contents.values())) > 190


# The same cell everywhere


def test_a_larger_sample_of_a_seed_holds_the_smaller(drawn, finished_run, tmp_path):
    """Byte for byte, file by file; twice the same is the same folder."""
    small = sample_run(finished_run, n=7, out=tmp_path / "small", seed=3)
    whole, part = pixels_of(drawn), pixels_of(small)
    assert part.keys() < whole.keys()
    for path in (small / "images").iterdir():
        assert path.read_bytes() == (drawn / "images" / path.name).read_bytes()
    again = sample_run(finished_run, n=7, out=tmp_path / "again", seed=3)
    one, other = ({n: b for n, (_, b) in state_of(each).items()} for each in (small, again))
    assert one == other


def test_another_seed_has_other_cells_under_other_names(drawn, finished_run, tmp_path):
    """So that two samples can be taken together."""
    other = sample_run(finished_run, n=30, out=tmp_path / "other", seed=4)
    one, two = (read_dataset(each).manifest for each in (drawn, other))
    assert not set(one["cell_id"]) & set(two["cell_id"])
    assert not set(one["content"]) & set(two["content"])


def test_a_cell_is_drawn_again_from_its_row(drawn, finished_run):
    """Byte for byte, the first, the last and some between, of every category."""
    found = pixels_of(drawn)
    manifest = read_dataset(drawn).manifest
    for place in (0, 63, 64, 66, 67, 133, 134, 199):
        row = manifest.row(place, named=True)
        assert (replayed_cell(finished_run, row) == found[row["cell_id"]]).all()


def test_a_run_carried_elsewhere_draws_the_same(drawn, own):
    """Opened again from a copy under another name; what its card calls it stays."""
    row = read_dataset(drawn).manifest.row(100, named=True)
    assert (replayed_cell(own, row) == pixels_of(drawn)[row["cell_id"]]).all()


def test_generators_of_one_category_each_draw_their_own(phantoms, features, tmp_path):
    """Each row is drawn by its category's member and can be replayed."""
    recipe = recipe_of("infogan", members="one-each", updates=1, validate_every=1)
    run = synthesise_run(
        read_dataset(phantoms), recipe, features=features, out=tmp_path / "run", device="cpu"
    )
    drawn = sample_run(run, n=6, out=tmp_path / "drawn")
    found, manifest = pixels_of(drawn), read_dataset(drawn).manifest
    assert len({pixels.tobytes() for pixels in found.values()}) == 6
    for row in manifest.iter_rows(named=True):
        assert (replayed_cell(run, row) == found[row["cell_id"]]).all()


# What is refused


def test_a_foreign_weights_file_is_refused(own, finished_run, tmp_path):
    """Another one of the right shape, a broken one, none: the SHA-256 is named, nothing is
    written."""
    whole = (own / WEIGHTS).read_bytes()
    digest = read_generator(finished_run).files[WEIGHTS]
    for content in (whole[:-4] + b"\0\0\0\1", b"broken", None):
        if content is None:
            (own / WEIGHTS).unlink()
        else:
            (own / WEIGHTS).write_bytes(content)
        with pytest.raises(DataError, match=f"its SHA-256 should be {digest}"):
            sample_run(own, n=3, out=tmp_path / "drawn")
        assert not (tmp_path / "drawn").exists()
        assert not list(tmp_path.glob(".drawn*"))


def test_an_unfinished_run_is_not_sampled(own, tmp_path):
    """Nor a folder that is none."""
    (own / "done.json").unlink()
    with pytest.raises(DataError, match=r"is not finished: it holds no done\.json"):
        sample_run(own, n=3, out=tmp_path / "drawn")
    with pytest.raises(DataError, match="is no generator run"):
        sample_run(tmp_path / "nowhere", n=3, out=tmp_path / "drawn")
    assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"n": 0}, "--n is 0"), ({"n": -3}, "--n is -3"), ({"n": 3, "seed": -1}, "--seed is -1")],
)
def test_numbers_that_make_no_sense_are_refused(finished_run, tmp_path, options, said):
    with pytest.raises(UsageError, match=said):
        sample_run(finished_run, out=tmp_path / "drawn", **options)
    assert not (tmp_path / "drawn").exists()


def test_what_stands_at_out_is_left_untouched(finished_run, drawn):
    before = state_of(drawn)
    with pytest.raises(UsageError, match="already exists"):
        sample_run(finished_run, n=3, out=drawn)
    assert state_of(drawn) == before


@pytest.mark.parametrize(
    "change",
    [
        {"draw": None},
        {"draw": "torn"},
        {"draw": "[1, 2]"},
        {"draw": '{"seed": 3}'},
        {"draw": '{"seed": "a", "number": 1}'},
        {"category": "monocyte"},
    ],
)
def test_a_row_that_cannot_be_followed_is_said_to_be_one(drawn, finished_run, change):
    row = read_dataset(drawn).manifest.row(0, named=True) | change
    with pytest.raises(DataError, match="cannot be drawn again: its draw is"):
        replayed_cell(finished_run, row)


def test_a_row_of_another_generator_is_refused(drawn, finished_run):
    row = read_dataset(drawn).manifest.row(0, named=True) | {"origin": "generator:" + "0" * 16}
    with pytest.raises(DataError, match="was drawn by generator:0000000000000000, and"):
        replayed_cell(finished_run, row)


def test_generated_cells_are_no_training_for_another_generator(
    drawn, finished_run, features, tmp_path
):
    """A sampled set given to synthesise: the reason, and nothing is begun."""
    from leukoscope.synthesis.cells import parted

    with pytest.raises(DataError, match="200 cells that a generator drew"):
        parted(read_dataset(drawn), recipe_of())
    with pytest.raises(DataError, match="learns the mistakes of another"):
        synthesise_run(
            read_dataset(drawn), recipe_of(), features=features, out=tmp_path / "r", device="cpu"
        )
    assert not (tmp_path / "r").exists()


def test_an_opened_run_draws_by_its_kept_weights(finished_run):
    """One member, in evaluation when it draws; equal weights each time it is opened."""
    one, other = (open_run(finished_run).generators for _ in range(2))
    (member,) = one
    assert member.categories == read_generator(finished_run).categories
    states = [next(iter(each.values())).state_dict() for each in (one, other)]
    assert all(np.array_equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_the_manifest_is_a_datasets(drawn):
    """Read as any other; its recipe says what was asked for."""
    dataset = read_dataset(drawn)
    assert dataset.card.recipe["n"] == 200
    assert dataset.card.recipe["seed"] == 3
    assert isinstance(dataset.manifest, pl.DataFrame)
