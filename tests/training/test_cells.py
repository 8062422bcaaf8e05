import dataclasses
from math import exp, factorial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.batch import apply_on_device
from leukoscope.augmentation.draw import draw
from leukoscope.augmentation.geometry_steps import Rotation
from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount
from leukoscope.augmentation.recipe import AugmentationRecipe, load_augmentation
from leukoscope.fitting.orders import balanced_places, batch_places
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import decode, resize
from leukoscope.intake.store import PixelStore, open_store
from leukoscope.models.prediction import to_tensor
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.training.batches import network_input
from leukoscope.training.cells import (
    Cells,
    bag_weights,
    batch_draws,
    batch_pixels,
    gather,
    order_of,
)
from leukoscope.training.recipe import TrainingRecipe

TURNED = AugmentationRecipe(name="turned", steps=(Rotation(),))
N = 40
FEEDING = {"size_px": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


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


# Balanced order


CODES = st.lists(st.integers(0, 3), min_size=1, max_size=30).map(np.array)


def balanced_chain(codes, batch_size, n_updates, seed):
    """String balanced batches together."""
    drawn = [balanced_places(update, batch_size, codes, seed) for update in range(n_updates)]
    return np.concatenate([p for p, _ in drawn]), np.concatenate([v for _, v in drawn])


@given(codes=CODES, batch_size=st.integers(2, 12), seed=st.integers(0, 99))
def test_categories_come_equally_often(codes, batch_size, seed):
    """In any stretch of rounds each category with cells comes once a round, however rare."""
    n_present = len(np.unique(codes))
    places, _ = balanced_chain(codes, batch_size, 12, seed)
    whole = len(places) // n_present * n_present
    rounds = codes[places[:whole]].reshape(-1, n_present)
    assert (np.sort(rounds, axis=1) == np.unique(codes)).all()


@given(codes=CODES, seed=st.integers(0, 99))
def test_no_cell_comes_again_before_all_of_its_category(codes, seed):
    """Within each category the visits 0, 1, 2 … are permutations of its cells, one by one."""
    places, visits = balanced_chain(codes, 5, 25, seed)
    for code in np.unique(codes):
        own = codes[places] == code
        cells, seen = places[own], visits[own]
        members = np.flatnonzero(codes == code)
        assert (seen == np.arange(own.sum()) // len(members)).all()
        for visit in range(own.sum() // len(members)):
            assert sorted(cells[seen == visit]) == members.tolist()


def test_the_balanced_order_is_drawn_anew_and_needs_no_memory():
    """Other seeds and visits give other orders; other batch sizes cut the same chain."""
    codes = np.repeat([0, 1], [40, 10])
    chains = [balanced_chain(codes, size, 240 // size, 3)[0] for size in (4, 15, 120)]
    assert (chains[0] == chains[1]).all()
    assert (chains[0] == chains[2]).all()
    other, _ = balanced_chain(codes, 4, 60, 4)
    assert (chains[0] == other).mean() < 0.3
    rare = chains[0][codes[chains[0]] == 1]
    assert (rare[:10] == rare[10:20]).mean() < 0.5


def test_the_order_follows_the_recipes_sampling():
    """As they come, or balanced."""
    cells = dataclasses.replace(noise(), codes=np.repeat([0, 1], [30, 10]))
    plain = order_of(cells, 3, TrainingRecipe(batch_size=10, seed=2))
    assert all(map(np.array_equal, plain, batch_places(3, 10, 40, 2)))
    balanced = order_of(cells, 3, TrainingRecipe(batch_size=10, seed=2, sampling="balanced"))
    assert all(map(np.array_equal, balanced, balanced_places(3, 10, cells.codes, 2)))


# Bags


def test_a_bag_holds_whole_families_each_as_often_as_a_poisson_number_says():
    """The shares of 0, 1, 2 … of 6000 families; the cells of one are in a bag equally often."""
    cells = dataclasses.replace(noise(6000, 1), families=[f"f{i // 2}" for i in range(6000)])
    bags = bag_weights(cells, np.arange(6000), 2, 0)
    assert bags.dtype == np.float32
    assert (bags[::2] == bags[1::2]).all()
    # Four standard deviations of each share, over 2 × 3000 families.
    for times in range(5):
        share = exp(-1) / factorial(times)
        assert abs((bags == times).mean() - share) < 4 * np.sqrt(share * (1 - share) / 6000)
    assert abs(np.corrcoef(bags[::2].T)[0, 1]) < 4 / np.sqrt(3000)


def test_a_bag_follows_from_names_alone():
    """Whatever else is in the batch, and wherever the cell stands; another seed, another bag."""
    cells = noise(50)
    whole = bag_weights(cells, np.arange(50), 3, 7)
    some = np.array([40, 3, 3])
    assert (bag_weights(cells, some, 3, 7) == whole[some]).all()
    turned = dataclasses.replace(cells, cell_ids=cells.cell_ids[::-1])
    assert (bag_weights(turned, np.arange(50), 3, 7) == whole[::-1]).all()
    assert (bag_weights(cells, np.arange(50), 3, 8) != whole).any()


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


def test_none_is_a_plain_resize(cells):
    """The network sees each file decoded, resized and normalised, and nothing else: no draw, no
    visit, no seed changes a bit of it."""
    known = read_dataset(cells)
    part = known.manifest.head(12)
    here = gather(part, known.card.categories, open_store(known, part, 32))
    places, visits = np.arange(12), np.arange(12) % 3
    plain = [
        resize(decode((Path(known.image_root) / path).read_bytes(), name=path).pixels, 32)
        for path in part["path"]
    ]
    expected = (np.stack(plain).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
    for use, seed in (("online", 0), ("online", 7), ("in-place", 7)):
        how = {"preprocessing": FEEDING, "augmentation_use": use, "seed": seed}
        arm = TrainingRecipe(augmentation=load_augmentation("none"), **how)
        np.testing.assert_array_equal(batch_pixels(here, places, visits, arm), np.stack(plain))
        seen = network_input(here, places, visits, arm, torch.device("cpu"))
        np.testing.assert_allclose(seen.numpy(), expected, atol=1e-6)
        assert not any(drawn.operations for drawn in batch_draws(here, places, visits, arm))


@pytest.mark.parametrize("use", ["online", "in-place"])
def test_neither_the_batch_size_nor_a_resumed_run_changes_what_is_seen(use):
    """Batches of another size, and updates out of their order, show the same pictures."""
    cells = noise(10)
    recipe = TrainingRecipe(augmentation=TURNED, augmentation_use=use, seed=4)

    def chain(size, updates):
        parts = {}
        for update in updates:
            places, visits = batch_places(update, size, 10, 4)
            parts[update] = batch_pixels(cells, places, visits, recipe)
        return np.concatenate([parts[update] for update in sorted(parts)])

    whole = chain(60, [0])
    np.testing.assert_array_equal(chain(4, range(15)), whole)
    np.testing.assert_array_equal(chain(15, [3, 1, 0, 2]), whole)


def test_a_copy_online_is_the_visit_number():
    """Over a run each cell comes as its copies 0, 1, 2 …, each once and drawn for it by name."""
    cells, recipe = noise(6), TrainingRecipe(augmentation=TURNED, seed=4)
    seen = {}
    for update in range(9):
        places, visits = batch_places(update, 4, 6, 4)
        for place, drawn in zip(places, batch_draws(cells, places, visits, recipe), strict=True):
            seen.setdefault(cells.cell_ids[place], []).append(drawn)
    expected = {name: [draw(TURNED, 4, name, copy) for copy in range(6)] for name in cells.cell_ids}
    assert seen == expected


DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("steps", [(Rotation(),), ()])
def test_what_is_augmented_on_a_device_is_what_the_processor_augments(steps):
    """Drawn alike and put into the network alike: within one level, and without steps exactly."""
    cells, places = noise(size_px=24), np.arange(N)
    recipe = TrainingRecipe(augmentation=AugmentationRecipe(steps=steps), preprocessing=FEEDING)
    stored = torch.from_numpy(cells.store.take(cells.rows)).to(DEVICE)
    there = apply_on_device(batch_draws(cells, places, places, recipe), stored)
    fed = to_tensor(there, recipe.preprocessing, there.device)
    here = network_input(cells, places, places, recipe, torch.device("cpu"))
    one_level = 1 / 255 / 0.5
    assert fed.is_contiguous(memory_format=torch.channels_last)
    assert float((fed.cpu() - here).abs().max()) <= (1.001 * one_level if steps else 0)
    if DEVICE.type == "cuda":
        assert torch.equal(network_input(cells, places, places, recipe, DEVICE), fed)


def test_levels_are_looked_up_as_they_are_computed():
    """A batch that is on its device already becomes the same input, bit for bit."""
    feeding = {"size_px": 12, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    recipe = TrainingRecipe(preprocessing=feeding)
    pixels = noise().store.pixels
    expected = to_tensor(pixels, recipe.preprocessing, torch.device("cpu"))
    assert torch.equal(
        to_tensor(torch.from_numpy(pixels), recipe.preprocessing, torch.device("cpu")), expected
    )


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
    assert seen.families == ()
    with_family = gather(
        part.with_columns(family=pl.Series(["f", "g"])), ("segmented", "band"), store, copies=1
    )
    assert with_family.families == ["f", "g", "f", "g"]


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
    augment_offline(
        known, divided, TURNED, out=tmp_path / "more", amount=Amount(factor=3.0), seed=9
    )
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


MASKED = {"kind": "background_replacement"}


@pytest.mark.parametrize("use", ["online", "in-place", "copies"])
@pytest.mark.parametrize(
    "step",
    [
        MASKED,
        {
            "kind": "one_of",
            "steps": [{"kind": "rotation"}, {"kind": "sequence", "steps": [MASKED]}],
        },
    ],
)
def test_a_step_that_needs_masks_is_refused_before_training(use, step):
    """However deep it lies and however it is used: no mask reaches the network's batches."""
    augmentation = AugmentationRecipe.from_mapping({"steps": [step]}, where="a test")
    with pytest.raises(ValidationError, match="background_replacement needs each cell's mask"):
        TrainingRecipe(augmentation=augmentation, augmentation_use=use, copies=int(use == "copies"))


@pytest.mark.parametrize(
    ("use", "copies", "steps"),
    [("copies", 0, True), ("online", 1, True), ("copies", 1, False)],
)
def test_copies_of_nothing_are_refused(use, copies, steps):
    """A number without the use, the use without a number, copies that would be the cells."""
    plan = TURNED if steps else AugmentationRecipe()
    with pytest.raises(ValidationError, match="copies"):
        TrainingRecipe(augmentation=plan, augmentation_use=use, copies=copies)
