import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukoscope.augmentation.draw import draw
from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.recipe import AugmentationRecipe, Rotation
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore, open_store
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.training.cells import (
    Cells,
    batch_pixels,
    batch_places,
    gather,
    training_draw,
)
from leukoscope.training.recipe import TrainingRecipe

TURNED = AugmentationRecipe(name="turned", steps=(Rotation(),))
N = 40


def noise(n=N, size_px=12):
    """Hold cells whose pixels are noise: no turn leaves one as it was."""
    pixels = stream(1, "noise").integers(0, 256, (n, size_px, size_px, 3), dtype=np.uint8)
    names = [f"cell-{i}" for i in range(n)]
    store = PixelStore(pixels, {name: i for i, name in enumerate(names)})
    return Cells(names, np.zeros(n, np.int64), np.arange(n), store, np.zeros(n, np.int64))


def pixels_at(cells, visit, **recipe):
    """Read all cells at a visit."""
    places = np.arange(len(cells.cell_ids))
    return batch_pixels(cells, places, np.full_like(places, visit), TrainingRecipe(**recipe))


# The order


@given(n_cells=st.integers(1, 40), batch_size=st.integers(2, 30), seed=st.integers(0, 99))
def test_each_visit_is_a_permutation_of_all_cells(n_cells, batch_size, seed):
    """The batches strung together are visits 0, 1, 2 …, and in each every cell comes once."""
    n_updates = 3 * n_cells // batch_size + 1
    drawn = [batch_places(update, batch_size, n_cells, seed) for update in range(n_updates)]
    places = np.concatenate([one for one, _ in drawn])
    visits = np.concatenate([one for _, one in drawn])
    assert (np.diff(visits) >= 0).all()
    for visit in range(len(places) // n_cells):
        assert sorted(places[visits == visit]) == list(range(n_cells))


def test_the_order_is_drawn_anew_at_each_visit_and_for_each_seed():
    """Two rounds, and two seeds, hardly ever agree."""
    first, _ = batch_places(0, 40, 40, 0)
    second, _ = batch_places(1, 40, 40, 0)
    other, _ = batch_places(0, 40, 40, 1)
    assert (first == second).mean() < 0.3
    assert (first == other).mean() < 0.3


def test_the_order_does_not_depend_on_the_batch_size():
    """Batches of another size cut the same chain elsewhere."""
    chain = [
        np.concatenate([batch_places(u, size, 30, 3)[0] for u in range(60 // size)])
        for size in (4, 15, 60)
    ]
    assert (chain[0] == chain[1]).all()
    assert (chain[0] == chain[2]).all()


# The pixels


@pytest.mark.parametrize("use", ["online", "in-place"])
def test_no_augmentation_gives_the_stored_pixels(use):
    """Bit for bit, at every visit, and as a copy: the store stays as it is."""
    cells = noise()
    for visit in (0, 3):
        seen = pixels_at(cells, visit, augmentation_use=use)
        assert np.array_equal(seen, cells.store.pixels)
        seen[:] = 0
    assert cells.store.pixels.any()


def test_online_augmentation_is_new_at_each_visit_and_the_same_for_the_same():
    """What a cell looks like follows from its name and its visit, not from the batch."""
    cells = noise()
    first, second = (pixels_at(cells, visit, augmentation=TURNED) for visit in (0, 1))
    assert (first != second).any(axis=(1, 2, 3)).all()
    assert np.array_equal(first, pixels_at(cells, 0, augmentation=TURNED))
    some = np.array([7, 3, 30])
    visits = np.array([0, 1, 0])
    mixed = batch_pixels(cells, some, visits, TrainingRecipe(augmentation=TURNED))
    assert np.array_equal(mixed[0], first[7])
    assert np.array_equal(mixed[1], second[3])
    assert np.array_equal(mixed[2], first[30])


def test_an_augmented_cell_is_the_draw_of_its_name_applied():
    """Replayed by hand from the seed, the cell and the visit."""
    cells = noise()
    seen = pixels_at(cells, 2, augmentation=TURNED, seed=5)
    for i in (0, 17):
        expected = apply(draw(TURNED, 5, cells.cell_ids[i], 2), cells.store.pixels[i])
        assert np.array_equal(seen[i], expected)


def test_in_place_augmentation_replaces_its_share_once_for_all():
    """Of 400 cells about 30 % are changed, and they are the same ones at every visit."""
    cells = noise(400, 6)
    some = TURNED.model_copy(update={"probability": 0.3})
    first = pixels_at(cells, 0, augmentation=some, augmentation_use="in-place")
    changed = (first != cells.store.pixels).any(axis=(1, 2, 3))
    # Four standard deviations of a binomial share.
    assert abs(changed.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 400)
    later = pixels_at(cells, 9, augmentation=some, augmentation_use="in-place")
    assert np.array_equal(first, later)


def test_cells_are_looked_up_by_content_and_category():
    """Codes follow the order of the categories given, rows those of the store."""
    part = pl.DataFrame(
        {"cell_id": ["x", "y"], "category": ["band", "segmented"], "content": ["c1", "c0"]}
    )
    store = PixelStore(np.zeros((2, 4, 4, 3), np.uint8), {"c0": 0, "c1": 1})
    seen = gather(part, ("segmented", "band"), store)
    assert seen.codes.tolist() == [1, 0]
    assert seen.rows.tolist() == [1, 0]


# The draw of training cells


def manifest(sizes, *, families=None):
    """Write the training part of a manifest: so many cells of each category."""
    rows = [(f"{name}-{i:03d}", name) for name, n in sizes.items() for i in range(n)]
    table = pl.DataFrame(rows, schema=["cell_id", "category"], orient="row")
    family = families(table) if families else pl.col("cell_id")
    return table.with_columns(family=family, origin=pl.lit(None, dtype=pl.String)).sample(
        fraction=1.0, shuffle=True, seed=3
    )


POOL = {"segmented": 60, "band": 30, "lymphocyte": 10}


def paired(table):
    """Let neighbours of one category be a family of two, but for a lone one here and there."""
    return pl.Series(
        [f"{c}-{int(i[-3:]) // 2}" for i, c in table.select("cell_id", "category").rows()]
    )


@given(n=st.integers(2, 99), seed=st.integers(0, 50))
def test_a_draw_of_single_cells_is_exact_stratified_and_part_of_any_larger(n, seed):
    """The number asked for; each category within a cell of its share; nested."""
    pool = manifest(POOL)
    drawn = training_draw(pool, n, seed)
    assert drawn.height == n
    counts = dict(drawn["category"].value_counts().rows())
    for name, size in POOL.items():
        assert abs(counts.get(name, 0) - n * size / 100) <= 1.5
    larger = training_draw(pool, n + 1, seed)
    assert set(drawn["cell_id"]) < set(larger["cell_id"])
    places = {name: i for i, name in enumerate(pool["cell_id"])}
    assert [places[name] for name in drawn["cell_id"]] == sorted(
        places[name] for name in drawn["cell_id"]
    )


@given(n=st.integers(2, 99), seed=st.integers(0, 50))
def test_a_draw_takes_whole_families(n, seed):
    """With families of two, at most one cell more than asked for; none is parted."""
    pool = manifest(POOL, families=paired)
    drawn = training_draw(pool, n, seed)
    assert n <= drawn.height <= n + 1
    rest = pool.join(drawn, on="cell_id", how="anti")
    assert not set(drawn["family"]) & set(rest["family"])
    assert set(drawn["cell_id"]) <= set(training_draw(pool, min(n + 7, 100), seed)["cell_id"])


def test_a_draw_follows_from_its_seed_and_not_from_the_order_of_rows():
    """Shuffled rows give the same cells; another seed gives others."""
    pool = manifest(POOL)
    drawn = set(training_draw(pool, 30, 1)["cell_id"])
    shuffled = pool.sample(fraction=1.0, shuffle=True, seed=8)
    assert set(training_draw(shuffled, 30, 1)["cell_id"]) == drawn
    assert len(set(training_draw(pool, 30, 2)["cell_id"]) & drawn) < 25


def test_derived_cells_follow_their_origin():
    """They do not count, and come along exactly where their origin is drawn."""
    pool = manifest(POOL)
    derived = pool.with_columns(origin=pl.col("cell_id"), cell_id=pl.col("cell_id") + "+1")
    both = pl.concat([pool, derived])
    drawn = training_draw(both, 30, 1)
    originals = set(training_draw(pool, 30, 1)["cell_id"])
    assert drawn.height == 60
    assert set(drawn.filter(pl.col("origin").is_null())["cell_id"]) == originals
    assert set(drawn["origin"].drop_nulls()) == originals


def test_renderings_are_drawn_as_the_cells_they_show():
    """They count: of cells without their background the same are drawn as with it."""
    pool = manifest(POOL)
    alone = pool.with_columns(origin=pl.col("cell_id"), cell_id=pl.col("cell_id") + "+isolated")
    assert training_draw(alone, 30, 1)["origin"].equals(training_draw(pool, 30, 1)["cell_id"])


def test_a_family_of_two_categories_is_drawn_whole_and_once():
    """One picture filed under two categories stays together."""
    pool = manifest({"segmented": 10, "band": 10}).with_columns(
        family=pl.when(pl.col("cell_id").str.ends_with("000"))
        .then(pl.lit("twins"))
        .otherwise("cell_id")
    )
    for n in range(2, 20):
        drawn = training_draw(pool, n, 4)
        assert (drawn["family"] == "twins").sum() in (0, 2)
        assert drawn["cell_id"].is_unique().all()
        assert n <= drawn.height <= n + 1


def test_all_cells_are_drawn_where_none_or_their_number_is_asked_for():
    """And more than there are is refused."""
    pool = manifest(POOL)
    assert training_draw(pool, None, 0).equals(pool)
    assert training_draw(pool, 100, 0).equals(pool)
    with pytest.raises(DataError, match="holds 100 original cells, 101 were asked for"):
        training_draw(pool, 101, 0)


# Copies beside the cells


def with_copies(cells, copies):
    """Name each cell once more for each copy, as gather does."""
    times = 1 + copies
    n = len(cells.cell_ids)
    return Cells(
        list(cells.cell_ids) * times,
        np.tile(cells.codes, times),
        np.tile(cells.rows, times),
        cells.store,
        np.repeat(np.arange(times), n),
    )


@pytest.mark.parametrize("copies", [1, 2])
def test_copies_stand_beside_the_cells_and_never_change(copies):
    """The first part is the cells bit for bit; the rest their copies, the same at each visit."""
    cells = with_copies(noise(), copies)
    how = {"augmentation": TURNED, "augmentation_use": "copies", "copies": copies, "seed": 5}
    first, later = pixels_at(cells, 0, **how), pixels_at(cells, 4, **how)
    assert np.array_equal(first, later)
    assert np.array_equal(first[:N], cells.store.pixels)
    for place in range(N, len(first)):
        drawn = draw(TURNED, 5, cells.cell_ids[place], place // N)
        assert np.array_equal(first[place], apply(drawn, cells.store.pixels[place % N]))
        assert not np.array_equal(first[place], cells.store.pixels[place % N])


def test_fewer_copies_are_the_first_of_more():
    """+100 % is part of +200 %: the arms of a study are nested."""
    how = {"augmentation": TURNED, "augmentation_use": "copies", "seed": 2}
    one = pixels_at(with_copies(noise(), 1), 0, copies=1, **how)
    two = pixels_at(with_copies(noise(), 2), 0, copies=2, **how)
    assert np.array_equal(two[: 2 * N], one)


def test_copies_in_training_are_those_that_augment_writes(cells, tmp_path):
    """Pixel for pixel, and every one of them: online or on disk is a matter of room alone."""
    known = read_dataset(cells)
    divided = read_split(known, "splits", 0, 0)
    train = divided.filter(pl.col("split") == "train")
    augment_offline(known, divided, TURNED, out=tmp_path / "more", factor=3.0, seed=9)
    written = read_dataset(tmp_path / "more")
    derived = written.manifest.filter(pl.col("origin").is_not_null())
    names = dict(zip(derived.select("origin", "copy").rows(), derived["content"], strict=True))
    on_disk = open_store(written, derived, 40)
    here = gather(train, known.card.categories, open_store(known, train, 40), copies=2)
    seen = pixels_at(here, 0, augmentation=TURNED, augmentation_use="copies", copies=2, seed=9)
    assert derived.height == 2 * train.height
    for cell_id, copy, picture in zip(here.cell_ids, here.copies.tolist(), seen, strict=True):
        if copy:
            row = on_disk.rows([names[cell_id, copy]])
            assert np.array_equal(picture, on_disk.take(row)[0])


@pytest.mark.parametrize(
    ("use", "copies", "steps"),
    [("copies", 0, True), ("online", 1, True), ("copies", 1, False)],
)
def test_copies_of_nothing_are_refused(use, copies, steps):
    """A number without the use, the use without a number, copies that would be the cells."""
    plan = TURNED if steps else AugmentationRecipe()
    with pytest.raises(ValidationError, match="copies"):
        TrainingRecipe(augmentation=plan, augmentation_use=use, copies=copies)
