"""Laws of isolation: the right cell, the same however it is shown, and a flag where it is odd."""

import functools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.reference import shape_reference as reference

from leukoscope.foundation.streams import stream
from leukoscope.intake import phantom_shapes as shapes
from leukoscope.intake import phantom_stain as stain
from leukoscope.intake.decode import decode
from leukoscope.intake.phantom import VIEW_UM, PhantomRecipe, cells
from leukoscope.morphology.isolation import FLAGS, isolate_cell
from leukoscope.morphology.masks import dice, masks_of, without_background

NONE_FOUND = tuple(FLAGS)[:7]
FIELD, CYTOPLASM, NUCLEUS = (245, 231, 217), (205, 175, 205), (95, 55, 135)
ERYTHROCYTE = (215, 150, 140)
AREA = cv2.INTER_AREA
N_CASES = {64: 1, 72: 4, 128: 2, 224: 1}


@functools.cache
def phantoms(size_px):
    """Draw phantom cells of the six categories: forty at 72 px, fewer at others."""
    n_cases = N_CASES[size_px]
    recipe = PhantomRecipe(
        name="isolation", seed=11, n_cases=n_cases, cells_per_case=10, size_px=size_px
    )
    return tuple(cells(recipe))


@functools.cache
def isolated(size_px):
    """Isolate all of them."""
    return tuple(isolate_cell(cell.image) for cell in phantoms(size_px))


def few(size_px, number=10):
    """Take some of them with what was found; every category among them."""
    return list(zip(phantoms(size_px)[:number], isolated(size_px)[:number], strict=True))


def drawn(side, *discs, blur_px=0.7, noise=1.0):
    """Draw discs, each (row, column, radius, colour), on an empty field."""
    y, x = np.mgrid[:side, :side]
    image = np.empty((side, side, 3))
    image[:] = FIELD
    for row, column, radius, colour in discs:
        image[np.hypot(y - row, x - column) <= radius] = colour
    image = cv2.GaussianBlur(image, (0, 0), blur_px)
    image += stream(0, "drawn").normal(0, noise, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def round_cell(row, column, scale=1.0):
    """Place one round cell with a round nucleus."""
    return (row, column, 18 * scale, CYTOPLASM), (row, column, 10 * scale, NUCLEUS)


def empty_like(result, shape):
    """Draw an empty field of the colour that was found in a picture."""
    noise = stream(1, "empty").normal(0, 2.5, (*shape, 3))
    return np.clip(np.rint(noise + np.array(result.blank_rgb)), 0, 255).astype(np.uint8)


def padded(image, result, margin):
    """Put a picture into a larger empty field."""
    height, width = image.shape[:2]
    larger = empty_like(result, (height + 2 * margin, width + 2 * margin))
    larger[margin : margin + height, margin : margin + width] = image
    return larger


def erythrocytes(number, size_px=72, spread=0.0):
    """Draw fourteen erythrocytes, one of them in the middle, and no leukocyte."""
    rng = stream(number, "erythrocytes")
    canvas = shapes.Canvas(2 * size_px, VIEW_UM)
    red = canvas.empty()
    centres = rng.uniform(-15, 15, (14, 2))
    centres[0] = 0
    for centre in centres:
        shape = {"radius_um": 3.6 * rng.normal(1, 0.06), "ratio": rng.uniform(1, 1.15)}
        own = {"axis_deg": rng.uniform(0, 180), "pallor": 1.25 * rng.beta(6, 1.2)}
        shapes.add_erythrocyte(red, canvas, centre, **shape, **own)
    densities = np.zeros((2 * size_px, 2 * size_px, 4), np.float32)
    densities[..., 3] = red / (1 + 0.25 * red)
    densities = cv2.resize(densities, (size_px, size_px), interpolation=cv2.INTER_AREA)
    look, um_per_px = stain.draw_look(rng, spread), VIEW_UM / size_px
    light = stain.develop(densities, look, um_per_px=um_per_px, slope=0.04, slope_deg=30.0)
    light += 2.5 * rng.standard_normal(light.shape, np.float32)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def agreement(changed, back=lambda mask: mask, size_px=72, number=6):
    """Isolate changed pictures; Dice with what was found in the unchanged ones, shape (n, 2)."""
    scores = []
    for cell, result in few(size_px, number):
        other = isolate_cell(changed(cell.image))
        assert other.masks is not None, other.flags
        pairs = zip(other.masks, result.masks, strict=True)
        scores.append([dice(back(mask), expected) for mask, expected in pairs])
    return np.array(scores)


def check(image, result):
    """Demand what holds for every picture."""
    assert 0 <= result.confidence <= 1
    assert set(result.flags) <= set(FLAGS)
    assert sorted(result.flags, key=list(FLAGS).index) == list(result.flags)
    assert all(type(level) is int and 0 <= level <= 255 for level in result.blank_rgb)
    assert (result.masks is None) == bool(result.flags and result.flags[0] in NONE_FOUND)
    if result.masks is None:
        assert result.confidence == 0
        assert len(result.flags) == 1
        return
    for mask in result.masks:
        assert mask.dtype == bool
        assert mask.shape == image.shape[:2]
        assert mask.any()
    assert not (result.masks.nucleus & ~result.masks.cell).any()
    n_pieces, _ = cv2.connectedComponents(result.masks.cell.astype(np.uint8), connectivity=8)
    assert n_pieces == 2


# Right


@pytest.mark.parametrize(
    ("size_px", "nucleus", "cell", "least"),
    [
        (64, 0.87, 0.92, 0.75),
        (72, 0.86, 0.92, 0.75),
        (128, 0.86, 0.95, 0.85),
        (224, 0.87, 0.95, 0.8),
    ],
)
def test_phantom_cells_are_found(size_px, nucleus, cell, least):
    """Against the known masks, mean Dice of nucleus and cell and the least of cells.

    Seen at 64, 72, 128 and 224 px: nucleus .90, .89, .88, .91; cell .95, .96, .97, .97. Granules
    cover the nuclei of drawn basophils: .6; of all others .95.
    """
    truth, found = phantoms(size_px), isolated(size_px)
    whole = [dice(f.masks.cell, t.cell_mask) for t, f in zip(truth, found, strict=True)]
    inner = [dice(f.masks.nucleus, t.nucleus_mask) for t, f in zip(truth, found, strict=True)]
    seen = [score for score, t in zip(inner, truth, strict=True) if t.category != "basophil"]
    assert np.mean(whole) > cell
    assert np.min(whole) > least
    assert np.mean(inner) > nucleus - 0.02
    assert np.mean(seen) > 0.9


@pytest.mark.parametrize("size_px", [72, 128])
def test_erythrocytes_and_platelets_are_left_out(size_px):
    """Of what absorbs light outside the true cell, away from its border, hardly any is taken."""
    taken = []
    for truth, found in zip(phantoms(size_px), isolated(size_px), strict=True):
        near = cv2.dilate(truth.cell_mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        dark = truth.image[..., 1] < 0.85 * found.blank_rgb[1]
        taken.append((found.masks.cell & dark & ~near).sum() / truth.cell_mask.sum())
    assert np.mean(taken) < 0.03
    assert np.quantile(taken, 0.9) < 0.08


@pytest.mark.parametrize("size_px", [72, 128])
def test_good_pictures_carry_no_flag(size_px):
    """False alarms on forty phantom cells at 72 px and twenty at 128: mostly of being unsure."""
    flags = [flag for found in isolated(size_px) for flag in found.flags]
    assert len(flags) <= (8 if size_px == 72 else 2)
    assert sum(flag != "unsure" for flag in flags) <= 3


@pytest.mark.parametrize("size_px", [64, 72, 128, 224])
def test_what_holds_for_every_picture_holds_for_phantoms(size_px):
    """Masks lie in one another, are of one piece, and confidence is a share."""
    for cell, result in zip(phantoms(size_px), isolated(size_px), strict=True):
        check(cell.image, result)


@pytest.mark.parametrize(
    ("dataset", "nucleus", "cell"), [("dataset-1", 0.94, 0.93), ("dataset-2", 0.94, 0.92)]
)
def test_real_cells_are_found(shared, dataset, nucleus, cell):
    """Every eighth picture masked by hand: seen .956 and .974 in dataset 1, .974 and .937 in 2."""
    folder = shared / "data" / "segmentation-wbc" / dataset
    if not folder.is_dir():
        pytest.skip("The shared folder holds no pictures with masks.")
    scores = []
    for path in sorted((folder / "images").glob("*.png"))[::8]:
        image = decode(path.read_bytes(), name=path.name).pixels
        levels = cv2.imread(str(folder / "masks" / path.name), cv2.IMREAD_GRAYSCALE)
        result = isolate_cell(image)
        check(image, result)
        pairs = zip(result.masks or (), masks_of(levels), strict=False)
        scores.append([dice(one, other) for one, other in pairs] or [0.0, 0.0])
    means = np.mean(scores, axis=0)
    assert means[0] > nucleus
    assert means[1] > cell


# The same however it is shown


@pytest.mark.parametrize("view", ["turned", "upside down", "mirrored", "transposed"])
def test_a_turned_picture_has_turned_masks(view):
    """Right angles and flips: seen .997 in the mean for nuclei and .985 for cells; least .954."""
    turns = {"turned": 1, "upside down": 2}.get(view)
    if turns:
        scores = agreement(lambda im: np.rot90(im, turns), lambda mask: np.rot90(mask, -turns))
    elif view == "mirrored":
        scores = agreement(lambda im: im[:, ::-1], lambda mask: mask[:, ::-1])
    else:
        scores = agreement(lambda im: im.transpose(1, 0, 2), lambda mask: mask.T)
    assert (scores.mean(axis=0) > (0.99, 0.97)).all()
    assert scores.min() > 0.93


@pytest.mark.parametrize("size_px", [72, 128])
def test_more_empty_field_changes_little(size_px):
    """A twelfth of the side more all around: seen .99 for nuclei and .98 for cells."""
    scores, margin = [], size_px // 12
    for cell, result in few(size_px, 8):
        other = isolate_cell(padded(cell.image, result, margin))
        inner = (slice(margin, -margin), slice(margin, -margin))
        pairs = zip(other.masks, result.masks, strict=True)
        scores.append([dice(mask[inner], expected) for mask, expected in pairs])
    assert (np.mean(scores, axis=0) > (0.97, 0.95)).all()


@pytest.mark.parametrize("factor", [0.8, 0.5])
def test_a_dimmer_lamp_changes_little(factor):
    """One factor on all channels: seen .997 for nuclei, .989 for cells."""
    scores = agreement(lambda image: np.rint(image * factor).astype(np.uint8))
    assert (scores.mean(axis=0) > (0.99, 0.97)).all()
    assert scores.min() > 0.93


@pytest.mark.parametrize("lamp", [(0.85, 1, 1), (1, 0.9, 1), (1, 0.95, 0.85)])
def test_the_lamps_colour_changes_little(lamp):
    """A factor on each channel: seen .99 for nuclei and .975 for cells, least .82 in a basophil."""
    scores = agreement(lambda image: np.rint(image * np.array(lamp)).astype(np.uint8))
    assert (scores.mean(axis=0) > (0.97, 0.955)).all()
    assert scores.min() > 0.75


@pytest.mark.parametrize("size_px", [72, 128])
def test_an_enlarged_picture_has_enlarged_masks(size_px):
    """Twice the size: seen .94 for nuclei and .97 for cells at 72 px, .96 and .98 at 128.

    One pixel of border is taken in at either size, and is half as broad in the larger.
    """
    scores = agreement(
        lambda image: cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR),
        lambda mask: mask.reshape(size_px, 2, size_px, 2).mean(axis=(1, 3)) > 0.5,
        size_px,
        6,
    )
    assert (scores.mean(axis=0) > ((0.91, 0.95) if size_px == 72 else (0.93, 0.955))).all()


@functools.cache
def uncut(size_px=72):
    """Take cells whose removed background surrounds them."""
    return [pair for pair in few(size_px) if "cut by the border" not in pair[1].flags]


FILLS = pytest.mark.parametrize(
    "fill",
    [(255, 255, 255), (0, 0, 0), (120, 60, 160), None],
    ids=["white", "black", "violet", "own"],
)
LEAST_NUCLEUS = 0.33
"""Share of nucleus from which no cell cut out is taken for a field: seen up to .326."""


def again(cell, result, fill):
    """Isolate what was isolated, before a colour; None stands for the picture's own blank."""
    return isolate_cell(without_background(cell.image, result.masks.cell, fill or result.blank_rgb))


def nucleus_share(result):
    """Divide the nucleus by the cell."""
    return result.masks.nucleus.sum() / result.masks.cell.sum()


@FILLS
@pytest.mark.parametrize("size_px", [72, 128])
def test_what_was_isolated_is_isolated_as_it_is(size_px, fill):
    """Before whichever colour, the same masks to the byte, where a third or more is nucleus."""
    n_seen = 0
    for cell, result in uncut(size_px):
        if nucleus_share(result) < LEAST_NUCLEUS:
            continue
        seen = again(cell, result, fill)
        assert as_bytes(seen)[0] == as_bytes(result)[0]
        n_seen += 1
    assert n_seen >= 4


@pytest.mark.parametrize("size_px", [72, 128])
def test_the_fill_of_a_removed_background_does_not_matter(size_px):
    """Four fills give the same bytes, of cells with little nucleus too."""
    for cell, result in uncut(size_px)[:6]:
        fills = ((255, 255, 255), (0, 0, 0), (120, 60, 160), None)
        assert len({as_bytes(again(cell, result, fill))[0] for fill in fills}) == 1


def test_a_pale_cell_is_isolated_as_it_is():
    """The same masks to the byte; of 60 cells 1 with little nucleus is taken for a round field."""
    pairs = zip(phantoms(72), isolated(72), strict=True)
    same = [as_bytes(again(c, r, (0, 0, 0)))[0] == as_bytes(r)[0] for c, r in pairs]
    assert np.mean(same) > 0.94


def turned(plane, deg):
    """Turn a picture or a mask about its middle; the corners are black."""
    height, width = plane.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), deg, 1)
    return cv2.warpAffine(plane, turn, (width, height), flags=cv2.INTER_LINEAR)


@pytest.mark.parametrize("size_px", [72, 128])
def test_a_picture_turned_with_black_corners_has_turned_masks(size_px):
    """By 30 degrees: seen .97 for nuclei and .96 for cells at 72 px, .98 and .98 at 128."""
    scores = []
    for cell, result in few(size_px):
        other = isolate_cell(turned(cell.image, 30))
        assert other.flags == ()
        expected = [turned(mask.astype(np.uint8), 30) > 0 for mask in result.masks]
        scores.append([dice(*pair) for pair in zip(other.masks, expected, strict=True)])
    assert (np.mean(scores, axis=0) > 0.945).all()
    assert np.min(scores) > 0.88


@pytest.mark.parametrize("size_px", [72, 128])
@pytest.mark.parametrize("share", [0.98])
def test_a_round_field_is_not_taken_for_the_cell(size_px, share):
    """A field cut round, black about it: cells are found as before, but for one of ten.

    A monocyte leaves little of its field empty: the field is taken for it, unsure.
    """
    y, x = np.mgrid[:size_px, :size_px] - (size_px - 1) / 2
    inside = np.hypot(y, x) <= share * size_px / 2 - 1
    black = (0, 0, 0)
    pairs = few(size_px)
    others = [isolate_cell(without_background(cell.image, inside, black)) for cell, _ in pairs]
    taken = [other.flags for other in others if other.masks.cell.sum() > 0.8 * inside.sum()]
    assert taken in ([], [("unsure",)])
    scores = [
        dice(other.masks.cell, result.masks.cell)
        for other, (_, result) in zip(others, pairs, strict=True)
    ]
    assert np.median(scores) > 0.97
    assert np.sum(np.array(scores) > 0.9) >= 9


@pytest.mark.parametrize("number", range(6))
def test_the_share_of_nucleus_does_not_hang_on_the_number_of_pixels(number):
    """One cell from 224 down to 64 px: seen within .02, in one basophil .037."""
    cell = phantoms(224)[number]
    pictures = [
        cell.image if side == 224 else cv2.resize(cell.image, (side, side), interpolation=AREA)
        for side in (224, 128, 96, 72, 64)
    ]
    assert np.ptp([nucleus_share(isolate_cell(picture)) for picture in pictures]) < 0.04


def as_bytes(result):
    """Lay a result out as bytes."""
    masks = b"".join(mask.tobytes() for mask in result.masks or ())
    return masks, result.confidence, result.flags, result.blank_rgb


def test_threads_and_repetition_change_no_byte():
    """Eight cells, again and in four threads."""
    images = [cell.image for cell in phantoms(72)[:8]]
    expected = [as_bytes(result) for result in isolated(72)[:8]]
    assert [as_bytes(isolate_cell(image)) for image in images] == expected
    with ThreadPoolExecutor(4) as threads:
        assert [as_bytes(result) for result in threads.map(isolate_cell, images)] == expected


def test_the_picture_is_not_changed_nor_its_layout_asked_for():
    """Read-only arrays, views and other orders of memory give the same bytes."""
    image, expected = phantoms(72)[0].image, as_bytes(isolated(72)[0])
    twice = image.repeat(2, axis=0).repeat(2, axis=1)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    for view in (image.copy(), twice[::2, ::2], np.asfortranarray(image), mirrored[:, ::-1]):
        kept = view.copy()
        view.flags.writeable = False
        assert as_bytes(isolate_cell(view)) == expected
        np.testing.assert_array_equal(view, kept)


# Cells that touch


@pytest.mark.parametrize("apart", [32, 35, 38])
@pytest.mark.parametrize("turns", [0, 1])
def test_two_cells_that_touch_are_parted(apart, turns):
    """The one in the middle is outlined, with its own nucleus, and the other said to be there."""
    image = drawn(144, *round_cell(71.5, 71.5), *round_cell(71.5, 71.5 + apart))
    result = isolate_cell(np.rot90(image, turns))
    y, x = np.mgrid[:144, :144] - 71.5
    cell = np.rot90((np.hypot(y, x) <= 18) & (x < apart / 2), turns)
    assert result.flags == ("several leukocytes",)
    assert dice(result.masks.cell, cell) > 0.9
    assert dice(result.masks.nucleus, np.rot90(np.hypot(y, x) <= 10, turns)) > 0.88


@pytest.mark.parametrize(
    ("apart", "scale"),
    [
        (50, 1),
        (50, 2),
        (40, 1),
        (40, 2),
        pytest.param(35, 128 / 72, marks=pytest.mark.xfail(reason="The neck is smoothed away.")),
    ],
)
def test_a_second_leukocyte_is_said_to_be_there(apart, scale):
    """A cell with a nucleus beside another, near or far, in small pictures and large ones."""
    middle = 72 * scale - 0.5
    one, other = (round_cell(middle, middle + x * scale, scale) for x in (0, apart))
    image = drawn(round(144 * scale), *one, *other)
    assert isolate_cell(image).flags == ("several leukocytes",)


def pasted(one, other, *, gap_px):
    """Paste two phantom cells of one field side by side, the first in the middle."""
    image = np.full((160, 160, 3), FIELD, float) + stream(2, "pair").normal(0, 2.5, (160, 160, 3))
    centre = [
        (first + last) // 2 for first, last in zip(one.box_px[:2], one.box_px[2:], strict=True)
    ]
    beside = [other.box_px[0] - gap_px, (other.box_px[1] + other.box_px[3]) // 2]
    edge = 80 + one.box_px[2] - centre[0]
    mask = np.zeros((160, 160), bool)
    for cell, column, row in (
        (other, edge - beside[0], 80 - beside[1]),
        (one, *(80 - np.array(centre))),
    ):
        part = (slice(row, row + 72), slice(column, column + 72))
        image[part][cell.cell_mask] = cell.image[cell.cell_mask]
        mask[part] = cell.cell_mask if cell is one else False
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask


@pytest.mark.parametrize("gap_px", [-2, 1])
def test_phantom_cells_that_touch_are_mostly_parted(gap_px):
    """Of twelve pairs: seen ten and eleven flagged, ten and eleven outlined as one alone."""
    recipe = PhantomRecipe(name="pairs", seed=11, n_cases=2, cells_per_case=12, case_spread=0)
    alike = [cell for cell in cells(recipe) if cell.category != "monocyte"]
    results = []
    for one, other in zip(alike[:12], alike[7:19], strict=True):
        image, mask = pasted(one, other, gap_px=gap_px)
        result = isolate_cell(image)
        score = dice(result.masks.cell, mask) if result.masks else 0.0
        results.append(("several leukocytes" in result.flags, score))
    flagged, scores = np.array(results).T
    assert flagged.sum() >= 8
    assert (scores > 0.85).sum() >= 8


@pytest.mark.parametrize("side", [72, 128])
def test_one_bent_cell_is_not_parted(side):
    """A bow with a bent nucleus is one leukocyte: seen .87."""
    y, x = np.mgrid[:side, :side] - side / 2
    away, angle = np.hypot(y, x), np.abs(np.arctan2(y, x))
    cell = (np.abs(away - 0.2 * side) < 0.09 * side) & (angle < 2.2)
    nucleus = (np.abs(away - 0.2 * side) < 0.045 * side) & (angle < 1.5)
    image = np.full((side, side, 3), FIELD, np.uint8)
    image[cell], image[nucleus] = CYTOPLASM, NUCLEUS
    result = isolate_cell(cv2.GaussianBlur(image, (0, 0), 0.7))
    assert result.flags == ()
    assert dice(result.masks.cell, cell) > 0.8
    pieces = reference.pieces(reference.pixels_of(result.masks.nucleus.tolist()))
    assert len(pieces) == 1


# Flags, planted


def grey(image, tint=(1, 1, 1)):
    """Take the colour out, and lay another over."""
    levels = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return np.rint(levels * np.array(tint)).astype(np.uint8)


def cut(cell):
    """Cut a picture through a quarter of the cell."""
    left, _, right, _ = cell.box_px
    return cell.image[:, left + (right - left) // 4 :]


def alone(cell, field):
    """Put a cell alone into the middle of an empty field."""
    margin = (field.shape[0] - 72) // 2
    near = cv2.dilate(cell.cell_mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    field[margin : margin + 72, margin : margin + 72][near] = cell.image[near]
    return field


def spoilt(how, cell, result):
    """Spoil the picture of a cell in one way."""
    if how == "blank":
        return empty_like(result, (72, 72))
    if how == "grey":
        return grey(cell.image)
    if how == "grey, tinted":
        return grey(cell.image, (1, 0.94, 0.82))
    if how == "too small":
        return cv2.resize(cell.image, (14, 14), interpolation=cv2.INTER_AREA)
    if how == "cut by the border":
        return cut(cell)
    return alone(cell, empty_like(result, (400, 400)))


@pytest.mark.parametrize(
    "how",
    ["blank", "grey", "grey, tinted", "too small", "cut by the border", "little of the picture"],
)
def test_a_planted_flag_is_found_and_no_other(how):
    """Ten phantom cells, each spoilt in one way; one whose cut makes it unsure may be so too."""
    unspoilt = [(cell, result) for cell, result in few(72) if not result.flags]
    others = []
    for cell, result in unspoilt:
        image = spoilt(how, cell, result)
        seen = isolate_cell(image)
        check(image, seen)
        assert seen.flags[0] == how.split(",")[0]
        others += seen.flags[1:]
    assert len(unspoilt) >= 8
    assert others in ([], ["unsure"])
    assert others == [] or how == "cut by the border"


def test_a_negative_is_inverted():
    """Of 16 negatives all or all but one are called so."""
    flags = [isolate_cell(255 - cell.image).flags for cell in phantoms(72)[:16]]
    assert sum(flag == ("inverted",) for flag in flags) >= 15
    assert () not in flags


@pytest.mark.parametrize("size_px", [72, 128])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_erythrocytes_alone_are_no_leukocyte(size_px, spread):
    """Pictures of nothing but erythrocytes, in the plain stain and in others."""
    for number in range(6):
        image = erythrocytes(number, size_px, spread)
        assert isolate_cell(image).flags == ("no leukocyte",)


def test_a_cell_of_few_pixels_is_too_small():
    """Eight pixels across are not outlined, in however large a picture."""
    discs = (35.5, 35.5, 4, CYTOPLASM), (35.5, 35.5, 3, NUCLEUS)
    assert isolate_cell(drawn(72, *discs)).flags == ("too small",)


def test_a_picture_within_a_cell_is_too_close_or_cut():
    """Trimmed to two fifths of the cell: some too close and nothing else, nearly all flagged."""
    mix = {"monocyte": 1.0, "lymphocyte": 1.0}
    recipe = PhantomRecipe(name="close", seed=11, n_cases=2, cells_per_case=7, size_px=224, mix=mix)
    flags = []
    for cell in cells(recipe):
        left, top, right, bottom = cell.box_px
        reach = 0.2 * min(right - left, bottom - top)
        y, x = (top + bottom) / 2, (left + right) / 2
        rows, columns = (slice(int(at - reach), int(at + reach)) for at in (y, x))
        flags.append(isolate_cell(cell.image[rows, columns]).flags)
    assert ("too close",) in flags
    assert flags.count(()) <= 1


@pytest.mark.parametrize("blur_px", [3, 4, 5, 6])
def test_a_border_out_of_focus_is_less_sure(blur_px):
    """Where the border is as broad as the cytoplasm: seen .80 to .84, in focus .94."""
    sharp, blurred = (
        isolate_cell(drawn(72, *round_cell(35.5, 35.5), blur_px=blur)) for blur in (0.7, blur_px)
    )
    assert blurred.masks is not None
    assert blurred.confidence < sharp.confidence - 0.07


@pytest.mark.parametrize("radius", [12, 16, 22])
def test_a_bare_nucleus_has_hardly_any_cytoplasm(radius):
    """A nucleus that lies bare in the field, as of a burst cell: the rim is seen 1.5 px broad."""
    result = isolate_cell(drawn(72, (35.5, 35.5, radius, NUCLEUS)))
    nucleus, cell = (np.sqrt(mask.sum() / np.pi) for mask in result.masks)
    assert nucleus == pytest.approx(radius, abs=0.5)
    assert radius < cell < radius + 1.8


PLACES = ((22, 22), (22, 74), (74, 22), (74, 74), (12, 48), (84, 48))


@pytest.mark.parametrize("scale", [1, 2])
def test_a_platelet_among_erythrocytes_is_small_as_one(scale):
    """The same among smaller ones, or alone, is outlined."""
    middle = 48 * scale - 0.5
    spot = (middle, middle, 8 * scale, CYTOPLASM), (middle, middle, 6 * scale, NUCLEUS)

    def seen(radius):
        discs = [(y * scale, x * scale, radius * scale, ERYTHROCYTE) for y, x in PLACES if radius]
        return isolate_cell(drawn(96 * scale, *discs, *spot))

    assert seen(11).flags == ("small as an erythrocyte",)
    assert seen(11).masks is None
    assert seen(6).flags == seen(0).flags == ()


# Any picture at all


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 40), (40, 1), (15, 90), (16, 16), (16, 17), (5000, 20), (5000, 16)]
)
def test_extreme_shapes_are_taken(shape):
    """Noise of any shape gives masks or a reason, and no error."""
    image = stream(5, "shape", *shape).integers(0, 256, (*shape, 3)).astype(np.uint8)
    check(image, isolate_cell(image))


@pytest.mark.timeout(60)
def test_a_large_picture_is_taken():
    """Two million pixels: the cell as sharp as in a small one."""
    y, x = np.mgrid[:1500, :1500]
    away = np.hypot(y - 750, x - 750)
    image = np.full((1500, 1500, 3), FIELD, np.uint8)
    image[away < 450], image[away < 250] = CYTOPLASM, NUCLEUS
    image[0, 0] -= 1
    result = isolate_cell(image)
    check(image, result)
    assert result.flags == ()
    assert dice(result.masks.cell, away < 450) > 0.97
    assert dice(result.masks.nucleus, away < 250) > 0.97


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_pure_colour_is_blank(colour):
    """One colour alone, whichever."""
    assert isolate_cell(np.full((30, 30, 3), colour, np.uint8)).flags == ("blank",)


SIDES = st.integers(16, 40)
BLOTS = st.lists(
    st.tuples(SIDES, SIDES, st.integers(1, 25), st.tuples(*[st.integers(0, 255)] * 3)), max_size=6
)


@settings(max_examples=25)
@given(BLOTS, st.sampled_from([0.3, 1.0, 3.0]), st.sampled_from([0.0, 3.0, 30.0]))
def test_any_drawing_gives_masks_or_a_reason(discs, blur_px, noise):
    """Discs of any colours, sharp and blurred, clean and noisy."""
    image = drawn(48, *discs, blur_px=blur_px, noise=noise)
    check(image, isolate_cell(image))


@settings(max_examples=30)
@given(
    st.tuples(SIDES, SIDES).flatmap(
        lambda sides: arrays(np.uint8, (*sides, 3), elements=st.integers(0, 255))
    )
)
def test_any_pixels_give_masks_or_a_reason(image):
    """Arrays as hypothesis draws them: mostly one value and a few others."""
    check(image, isolate_cell(image))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.tuples(SIDES, SIDES), st.integers(2, 16))
def test_noise_gives_masks_or_a_reason(seed, sides, grain):
    """Coarse and fine noise of any colours."""
    coarse = stream(seed, "noise").integers(0, 256, (grain, grain, 3)).astype(np.uint8)
    image = cv2.resize(coarse, sides, interpolation=cv2.INTER_CUBIC)
    check(image, isolate_cell(image))
