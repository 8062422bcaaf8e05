import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.foundation.errors import DataError
from leukoscope.intake.stratified import training_draw


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


@given(n=st.integers(2, 100), seed=st.integers(0, 20))
def test_generated_cells_are_all_kept_and_change_no_draw(n, seed):
    """They are of no cell's family: the originals are those drawn without them."""
    pool = manifest(POOL)
    name = "generator:0123456789abcdef"
    made = pool.head(7).with_columns(
        cell_id=pl.lit("g-") + pl.col("cell_id"), family=pl.lit(name), origin=pl.lit(name)
    )
    drawn = training_draw(pl.concat([made, pool]), n, seed)
    assert drawn["cell_id"].to_list()[:7] == made["cell_id"].to_list()
    assert drawn["cell_id"].to_list()[7:] == training_draw(pool, n, seed)["cell_id"].to_list()


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
