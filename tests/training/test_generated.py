import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.intake.sampled import card_for, made
from tests.training.folders import change_table

from leukoscope.foundation.errors import DataError
from leukoscope.intake.combined import combine
from leukoscope.intake.splits import k_fold
from leukoscope.intake.store import open_store
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.generators import generators_in, write_card
from leukoscope.records.leaks import seen_by
from leukoscope.records.lineage import is_copy, is_generated
from leukoscope.records.runs import is_seen, read_model_card, seen_of
from leukoscope.training.cells import bag_weights, gather
from leukoscope.training.generated import refuse_more_seen, taken_of
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.run import train_run
from leukoscope.training.sides import of_people, people_in, sides_for
from leukoscope.training.sides import test_cells as separate_cells

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = {
    "model": "lenet",
    "preprocessing": {"size_px": 16},
    "batch_size": 8,
    "updates": 6,
    "validate_every": 3,
    "warmup_updates": 0,
}
FLIPPED = {"steps": [{"kind": "flip", "axis": "horizontal"}]}
LOGISTIC = {"preprocessing": {"size_px": 8}}


@pytest.fixture(scope="module")
def pool(cells, tmp_path_factory):
    """Combine 120 drawn cells with 30 generated ones of each category; tests leave it alone."""
    folder = tmp_path_factory.mktemp("pool")
    plain = shutil.copytree(cells, folder / "plain")
    drawn = made(plain, folder / "drawn", n=30)
    return combine(plain, drawn, out=folder / "combined")


@pytest.fixture
def own(pool, tmp_path):
    """Copy the combined dataset, to be changed."""
    return shutil.copytree(pool, tmp_path / "own")


def recipe_of(**changes):
    return TrainingRecipe.from_mapping(SHORT | changes, where="a test")


def probe_of(**changes):
    return ProbeRecipe.from_mapping(LOGISTIC | changes, where="a test")


def sides_of(folder, recipe):
    known = read_dataset(folder)
    divided = read_split(known, recipe.split, recipe.repeat, recipe.fold)
    return sides_for(divided, recipe, None, generators_in(folder))


def run_of(folder, recipe, out, **options):
    options = {"weights": None, "device": "cpu"} | options
    return train_run(read_dataset(folder), recipe, out=out, **options)


def counts(rows):
    return dict(rows["category"].value_counts().rows())


def train_rows(folder):
    return read_split(read_dataset(folder), "splits", 0, 0).filter(split="train")


# How many are taken


@given(st.floats(0, 1.5), st.integers(0, 5))
def test_a_share_of_the_drawn_originals_is_taken_by_number(share, more):
    """Of each category round(share × originals), the first; a larger share holds a smaller."""
    rows = [("band", i, None) for i in range(9)] + [("monocyte", i, None) for i in range(4)]
    rows += [(c, i, i + 1) for c in ("band", "monocyte") for i in range(14, -1, -1)]
    table = pl.DataFrame(rows, schema=["category", "i", "copy"], orient="row").with_columns(
        cell_id=pl.format("{}-{}-{}", "category", "i", pl.col("copy").is_null()),
        origin=pl.when(pl.col("copy").is_not_null()).then(pl.lit("generator:a")),
        content=pl.lit("x"),
    )
    kept = taken_of(table, recipe_of(generated=share))
    for category, n in (("band", 9), ("monocyte", 4)):
        numbers = kept.filter(category=category)["copy"].to_list()
        assert numbers == list(range(1, round(share * n) + 1))
    larger = taken_of(table, recipe_of(generated=min(share + more / 10, 15 / 9)))
    assert set(kept["cell_id"]) <= set(larger["cell_id"])


def test_all_are_taken_unless_said_and_none_with_0(pool):
    """Beside all originals, which are those of a run without any, in their order."""
    real = train_rows(pool).filter(~is_generated())
    for generated, n in ((None, 120), (0, 0)):
        train = sides_of(pool, recipe_of(generated=generated))["train"]
        assert train.filter(is_generated()).height == n
        assert train.filter(~is_generated())["cell_id"].equals(real["cell_id"])


@pytest.mark.parametrize("originals", [True, False])
def test_generated_cells_are_counted_by_the_drawn_originals(own, originals):
    """Half as many as there are of each category, whether these themselves train or not."""
    recipe = recipe_of(generated=0.5, originals=originals)
    train = sides_of(own, recipe)["train"]
    real = counts(train_rows(own).filter(~is_copy()))
    assert counts(train.filter(is_generated())) == {name: round(n / 2) for name, n in real.items()}
    assert train.filter(~is_generated()).is_empty() is not originals


def test_too_few_generated_cells_are_told_with_numbers(pool):
    """Needed and there, by category."""
    real = counts(train_rows(pool).filter(~is_copy()))
    category = max(sorted(real), key=real.get)
    said = rf"asks for 4 .* too few of .*{category} \({4 * real[category]} needed, 30 there\)"
    with pytest.raises(DataError, match=said):
        sides_of(pool, recipe_of(generated=4))


def test_without_generated_cells_what_asks_for_them_is_refused(cells):
    """A share above none, or nothing else; with 0 or unsaid all is as it was."""
    for generated in (None, 0):
        assert sides_of(cells, recipe_of(generated=generated))["train"].height == 72
    with pytest.raises(DataError, match=r"needed, 0 there.*leukoscope sample"):
        sides_of(cells, recipe_of(generated=1))
    with pytest.raises(DataError, match=r"generated cells alone .*leukoscope combine"):
        sides_of(cells, recipe_of(originals=False))


def test_a_recipe_that_leaves_nothing_is_refused():
    """Neither originals nor generated cells; numbers below none."""
    with pytest.raises(ValidationError, match="no cell to train on"):
        recipe_of().model_validate({"originals": False, "generated": 0})
    with pytest.raises(ValidationError):
        recipe_of().model_validate({"generated": -0.5})


# What a generator saw


def test_a_run_that_draws_fewer_cells_than_its_generator_saw_is_refused(pool):
    """It would have seen more than it says; not where none is used, or originals are not."""
    with pytest.raises(DataError, match=r"72 cells, of which 42 .* the 30 training cells drawn"):
        sides_of(pool, recipe_of(train_cells=30))
    assert sides_of(pool, recipe_of(train_cells=30, generated=0))["train"].height == 30
    alone = sides_of(pool, recipe_of(train_cells=30, generated=1, originals=False))
    assert alone["train"].height == 30


def test_a_generator_of_the_same_draw_is_let_in(cells, tmp_path):
    """Of equal number and seed, or of a part of it; another seed's is refused."""
    plain = shutil.copytree(cells, tmp_path / "plain")
    drawn = made(plain, tmp_path / "drawn", n=20, train_cells=30, seed=3)
    pool = combine(plain, drawn, out=tmp_path / "pool")
    for n_cells in (30, 41):
        train = sides_of(pool, recipe_of(train_cells=n_cells, seed=3, generated=1))["train"]
        assert train.filter(is_generated()).height == n_cells
    with pytest.raises(DataError, match=r"\(train_cells: 30, seed 4\)"):
        sides_of(pool, recipe_of(train_cells=30, seed=4))
    with pytest.raises(DataError, match="of which"):
        sides_of(pool, recipe_of(train_cells=28, seed=3))


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9), min_size=1))
def test_fitted_cells_are_held_against_drawn_ones(drawn, fit):
    """As sets, whatever they are."""
    names = [str(i) for i in range(10)]
    real = pl.DataFrame({"cell_id": names, "content": names}).with_columns(
        origin=pl.lit(None, pl.String)
    )[sorted(drawn)]
    rows = pl.DataFrame({"origin": ["generator:a"], "cell_id": ["g"]})
    card = _Card(fit=seen_of(_cells([str(i) for i in fit])))
    if fit <= drawn:
        refuse_more_seen(real, rows, recipe_of(), {"generator:a": card})
    else:
        with pytest.raises(DataError, match=rf"{len(fit)} cells, of which {len(fit - drawn)} are"):
            refuse_more_seen(real, rows, recipe_of(), {"generator:a": card})


class _Card:
    name = "gan"

    def __init__(self, fit):
        self.fit = fit


def _cells(contents):
    return pl.DataFrame({"content": contents, "family": contents}).with_columns(
        case=pl.lit(None, pl.String)
    )


def test_a_generator_that_nobody_gave_the_card_of_is_refused(pool):
    """Where its cells train; the split's own door is asked first."""
    divided = read_split(read_dataset(pool), "splits", 0, 0)
    with pytest.raises(DataError, match="nothing says which cells it saw"):
        sides_for(divided, recipe_of(), None)
    assert sides_for(divided, recipe_of(generated=0), None)["train"].height == 72


def test_a_generator_of_another_fold_is_refused(cells, tmp_path):
    """In its own fold a run trains with its cells, in the next it does not begin."""
    plain = shutil.copytree(cells, tmp_path / "plain")
    table = k_fold(read_dataset(plain).manifest, folds=3, repeats=1, seed=0)
    tables.write_table(plain / "splits.parquet", table, shapes.SPLITS)
    drawn = made(plain, tmp_path / "drawn", fold=1)
    pool = combine(plain, drawn, out=tmp_path / "pool")
    assert sides_of(pool, recipe_of(fold=1))["train"].filter(is_generated()).height == 16
    # The other folds, put back by hand with its cells in their training.
    names = read_dataset(pool).manifest.filter(is_generated())["cell_id"]
    more = [table.filter(fold=f).select(list(shapes.SPLITS.columns)) for f in (0, 1, 2)]
    for fold in (0, 1, 2):
        rows = {"repeat": 0, "fold": fold, "cell_id": names, "split": "train"}
        more.append(pl.DataFrame(rows).cast(dict(shapes.SPLITS.columns)))
    tables.write_table(pool / "splits.parquet", pl.concat(more), shapes.SPLITS)
    run_of(pool, recipe_of(fold=1), tmp_path / "run")
    for fold in (0, 2):
        with pytest.raises(DataError, match="that the generator gan learnt from, or belong"):
            run_of(pool, recipe_of(fold=fold), tmp_path / "not")
    assert not (tmp_path / "not").exists()


def test_a_test_collection_that_a_generator_saw_is_refused(own, cells, tmp_path):
    """Even where the training pool itself has no such cell any more."""
    known, other = read_dataset(own), read_dataset(cells)
    seen = read_split(other, "splits", 0, 0).filter(split="train").head(3)
    (card,) = generators_in(own).values()
    left = read_split(known, "splits", 0, 0).filter(
        is_generated() | ~is_seen(known.manifest, seen_of(seen))
    )
    apart = other.manifest.filter(is_seen(other.manifest, seen_of(seen)))
    divided = pl.concat(
        [left.filter(pl.col("split") != "test"), apart.with_columns(split=pl.lit("test"))]
    )
    with pytest.raises(DataError, match=r"test cells were seen by the generator gan .*training"):
        sides_for(divided, recipe_of(originals=False), None, {card.generator_id: card})
    with pytest.raises(DataError, match="belong to"):
        separate_cells(other, read_split(known, "splits", 0, 0), known.card.categories)


# What comes of it


def test_generated_cells_train_and_are_counted_as_seen(pool, tmp_path):
    """The model's card names what generators saw; predictions are of real cells alone."""
    run = run_of(pool, recipe_of(), tmp_path / "run")
    done = json.loads((run / "done.json").read_text())
    assert (done["n_train"], done["n_generated"]) == (192, 120)
    facts = json.loads((run / "dataset.json").read_text())
    assert facts["generators"] == {"generator:0123456789abcdef": "gan"}
    (card,) = generators_in(pool).values()
    model = read_model_card(run / "model")
    assert set(seen_by(card).contents) <= set(model.seen.contents)
    assert "generator:0123456789abcdef" in model.seen.families
    table = tables.read_table(run / "predictions.parquet", shapes.PREDICTIONS)
    assert not table["cell_id"].str.starts_with("generated").any()
    assert table["case"].null_count() == 0
    assert set(table["role"]) == {"new"}


def test_a_generator_from_elsewhere_is_remembered_by_the_model_and_its_heirs(own, tmp_path):
    """Cells that stopped it stand in no split here: predicted, they are seen all the same."""
    from leukoscope.models.cards import read_card
    from leukoscope.models.folders import load_model
    from leukoscope.models.predictions import prediction_table

    known = read_dataset(own)
    stopped = read_split(known, "splits", 0, 0).filter(split="validation").head(1)
    case = stopped["case"][0]
    names = known.manifest.filter(case=case)["cell_id"].to_list()
    splits = tables.read_table(own / "splits.parquet", shapes.SPLITS)
    tables.write_table(
        own / "splits.parquet", splits.filter(~pl.col("cell_id").is_in(names)), shapes.SPLITS
    )
    first = run_of(own, recipe_of(), tmp_path / "first")
    plain = run_of(own, recipe_of(generated=0), tmp_path / "plain")
    heir = run_of(
        own,
        recipe_of(generated=0, weights=read_card(first).origin.model_dump(mode="json")),
        tmp_path / "heir",
        weights=read_card(first),
    )
    cells = known.manifest.filter(pl.col("cell_id").is_in(names))
    for run, role in ((first, "seen"), (plain, "new"), (heir, "seen")):
        network, card = load_model(run / "model")
        table = prediction_table(known, cells, network, card, run_id="", device=torch.device("cpu"))
        assert set(table["role"]) == {role}


def test_a_training_without_generated_cells_is_the_same_beside_them(pool, cells, tmp_path):
    """With generated: 0 the run on the combined dataset is that on the plain one, bit by bit."""
    plain = shutil.copytree(cells, tmp_path / "plain")
    recipe = recipe_of(generated=0, augmentation=FLIPPED)
    runs = [run_of(f, recipe, tmp_path / n) for f, n in ((plain, "a"), (pool, "b"))]
    for name in ("history.csv", "model/model.safetensors"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes()
    seen = [read_model_card(run / "model").seen for run in runs]
    assert seen[0] == seen[1]


def test_generated_cells_change_what_is_learned(pool, tmp_path):
    """Their pictures are read: the weights are others, of generated cells alone too."""
    changes = ({"generated": 0}, {"generated": 1}, {"generated": 1, "originals": False})
    files = [
        run_of(pool, recipe_of(**each), tmp_path / str(i)) / "model/model.safetensors"
        for i, each in enumerate(changes)
    ]
    assert len({file.read_bytes() for file in files}) == 3


def test_generated_cells_alone_can_be_learned_by_any_classifier(pool, tmp_path):
    """Their colour is their category: logistic regression, support vectors, on copies as well."""
    copies = {"augmentation": FLIPPED, "augmentation_use": "copies", "copies": 1}
    for i, change in enumerate(({}, {"classifier": {"kind": "svm"}}, copies)):
        for originals in (True, False):
            recipe = probe_of(originals=originals, generated=1, **change)
            run = run_of(pool, recipe, tmp_path / f"{i}{originals}")
            done = json.loads((run / "done.json").read_text())
            assert done["n_generated"] == 72
            assert done["n_train"] == (144 if originals else 72)


def test_a_probe_on_frozen_features_and_measures_takes_them(pool, finished, tmp_path):
    """Features of a network and measures of each cell, for generated pictures of 16 px as well."""
    from leukoscope.models.cards import read_card
    from leukoscope.training.settings import with_weights

    weights = read_card(finished)
    stated = ProbeRecipe.from_mapping(
        {"model": weights.model, "preprocessing": {"size_px": 32}, "measures": True}
        | {"build_arguments": dict(weights.build_arguments), "generated": 0.5},
        where="a test",
    )
    # What the drawn weights saw is this test's own cells: here only the features count.
    blind = weights.__class__(**(weights.__dict__ | {"seen": seen_of(_cells([]))}))
    recipe = with_weights(stated, blind, None, None)
    run = run_of(pool, recipe, tmp_path / "run", weights=blind)
    card = read_model_card(run / "model")
    assert card.measures
    assert "generator:0123456789abcdef" in card.seen.families
    assert 30 < json.loads((run / "done.json").read_text())["n_generated"] < 42


def test_a_frozen_network_learns_its_head_from_them(own, finished, tmp_path):
    """Features are kept for generated pictures as for any."""
    from leukoscope.models.cards import read_card
    from leukoscope.training.settings import with_weights

    weights = read_card(finished)
    blind = weights.__class__(**(weights.__dict__ | {"seen": seen_of(_cells([]))}))
    stated = recipe_of(
        model=weights.model, preprocessing={"size_px": 32}, frozen_groups="all-but-head"
    )
    recipe = with_weights(stated, blind, None, None)
    run = run_of(own, recipe, tmp_path / "run", weights=blind)
    assert json.loads((run / "done.json").read_text())["n_generated"] == 120
    assert (own / "features").is_dir()


# Who a generated cell is


def test_a_generated_cell_is_nobodys(pool, cells):
    """Its case is unknown, and cases are counted as before; of whom it was drawn is asked."""
    known = read_dataset(pool)
    generators = generators_in(pool)
    for originals in (True, False):
        sides = sides_of(pool, recipe_of(originals=originals))
        people = people_in(known.manifest, sides, generators)
        assert of_people(sides["test"], people)["case"].null_count() == 0
    # One of those it learnt from has no known case: who stands behind its drawings is open.
    someone = pl.col("cell_id") == train_rows(pool).filter(~is_generated())["cell_id"][0]
    blank = pl.when(~someone).then("case").alias("case")
    people = people_in(known.manifest.with_columns(blank), sides, generators)
    assert of_people(sides["test"], people)["case"].null_count() == sides["test"].height


def test_bags_leave_out_generated_cells_one_by_one(pool):
    """All are of one family; as one, a bag would hold none of them or all."""
    known = read_dataset(pool)
    train = sides_of(pool, recipe_of())["train"]
    store = open_store(known, train, 16)
    cells = gather(train, known.card.categories, store)
    places = np.flatnonzero([name.startswith("generated") for name in cells.cell_ids])
    weights = bag_weights(cells, places, 3, seed=0)
    assert len(places) == 120
    assert (weights.min(axis=0) == 0).all()
    assert (np.abs(weights.mean(axis=0) - 1) < 0.4).all()


def test_a_cell_moved_into_the_test_stops_the_next_run(own, tmp_path):
    """The division is asked each time: what was right when combined may be changed after."""
    card = card_for(own)
    write_card(own, card)
    known = read_dataset(own)
    case = train_rows(own).filter(~is_generated())["case"][0]
    names = known.manifest.filter(case=case)["cell_id"].to_list()
    other = pl.when(pl.col("cell_id").is_in(names)).then(pl.lit("test")).otherwise("split")
    change_table(own / "splits.parquet", shapes.SPLITS, other.alias("split"))
    for recipe in (recipe_of(), recipe_of(generated=0), probe_of()):
        with pytest.raises(DataError, match=r"the generator gan learnt from.* in test"):
            run_of(own, recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
