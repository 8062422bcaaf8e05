import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.batch import apply_batch, apply_on_device
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.policies import Step
from leukoscope.augmentation.recipe import (
    AugmentationRecipe,
    load_augmentation,
    named_augmentations,
)
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.intake.phantom import PhantomRecipe, draw_cell

pytestmark = pytest.mark.usefixtures("one_thread")
N, SIDE = 12, 40
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BORDERS = ("reflect", "edge", "constant", "background")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
PAPERS = (
    {"kind": "rotation"},
    {"kind": "scaling"},
    {"kind": "lens_distortion"},
    {"kind": "flip", "axis": "horizontal"},
    {"kind": "flip", "axis": "vertical"},
)
# Every kind of step alone, some in several forms; `one_of` and `sequence` are in the chains.
ALONE = (
    *PAPERS,
    {"kind": "transposition"},
    {"kind": "scaling", "factor_range": [0.3, 0.7], "axes": "apart"},
    {"kind": "shift", "share_range": [-1, 1]},
    {"kind": "shear", "angle_range_deg": [-40, 40]},
    {"kind": "elastic_distortion", "displacement_range": [0.01, 0.02]},
    {"kind": "brightness", "factor_range": [0.5, 1.5]},
    {"kind": "contrast", "factor_range": [0.3, 1.7]},
    {"kind": "gamma", "gamma_range": [0.5, 2]},
    {"kind": "hue", "angle_range_deg": [-30, 30]},
    {"kind": "saturation", "factor_range": [0, 2]},
    {"kind": "white_balance"},
    {"kind": "stain_jitter", "factor_range": [0.7, 1.3], "shift_range": [-0.05, 0.05]},
    {"kind": "jpeg_compression"},
    {"kind": "gaussian_blur", "sigma_range_px": [0, 4]},
    {"kind": "defocus_blur", "radius_range_px": [0, 5]},
    {"kind": "motion_blur", "length_range_px": [0, 12]},
    {"kind": "gaussian_noise"},
    {"kind": "poisson_noise"},
    {"kind": "salt_and_pepper"},
    *({"kind": "erasing", "fill": fill} for fill in ("black", "white", "mean")),
    *(
        {"kind": "added_border", "share_range": [0, 0.45], "fill": fill}
        for fill in ("black", "white", "reflect")
    ),
    {"kind": "identity"},
)
SOME = {"probability": 0.6}
LIGHT = tuple(
    {"kind": kind} | SOME
    for kind in ("brightness", "contrast", "gamma", "saturation", "hue", "stain_jitter")
)
CHAINS = {
    "papers": PAPERS,
    "all geometry": (
        *PAPERS,
        {"kind": "shear"} | SOME,
        {"kind": "elastic_distortion"} | SOME,
        {"kind": "lens_distortion"} | SOME,
        {"kind": "shift"},
        {"kind": "scaling", "axes": "apart"} | SOME,
    ),
    "far outside": (
        {"kind": "scaling", "factor_range": [0.1, 0.3], "axes": "apart"},
        {"kind": "lens_distortion", "strength_range": [-0.32, 1]} | SOME,
        {"kind": "rotation"},
        {"kind": "lens_distortion", "strength_range": [-0.32, 1]} | SOME,
        {"kind": "shift", "share_range": [-1, 1]},
    ),
    "steep": (
        {"kind": "scaling", "factor_range": [0.4, 0.8]},
        {"kind": "contrast", "factor_range": [2, 10]},
        {"kind": "gaussian_blur"},
        {"kind": "saturation", "factor_range": [2, 10]},
    ),
    "light": LIGHT,
    "everything in turn": (
        {"kind": "gaussian_blur"} | SOME,
        *LIGHT[:3],
        {"kind": "erasing", "fill": "mean"} | SOME,
        *PAPERS,
        {"kind": "gaussian_noise"} | SOME,
        {"kind": "saturation"} | SOME,
        {"kind": "added_border", "fill": "reflect"} | SOME,
        {"kind": "motion_blur"} | SOME,
        {"kind": "salt_and_pepper"} | SOME,
        {"kind": "jpeg_compression", "probability": 0.2},
    ),
    "policies": (
        {"kind": "one_of", "steps": [*PAPERS, *LIGHT]},
        {"kind": "sequence", "steps": [{"kind": "gamma"}, {"kind": "defocus_blur"}]} | SOME,
    ),
}


def recipe(*steps, **rules):
    return AugmentationRecipe.from_mapping({"steps": list(steps), **rules}, where="a test")


def draws_of(plan, n=N, seed=0):
    return [draw(plan, seed, f"cell-{i}", 1) for i in range(n)]


def pictures(n=N, side=SIDE):
    """Draw cells for one half, noise for the other: no level of it follows from its neighbours."""
    cells = PhantomRecipe(name="batch", n_cases=n, cells_per_case=1, size_px=side)
    noise = stream(1, "noise").integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    for case in range(n // 2):
        noise[case] = draw_cell(cells, case, 0).image
    return noise


def there(draws, pixels):
    """Do it on the device and bring it back."""
    return apply_on_device(draws, torch.from_numpy(pixels).to(DEVICE)).cpu().numpy()


def levels_apart(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


MIXED = recipe(*CHAINS["everything in turn"], probability=0.8)
PIXELS = pictures()
DRAWS = draws_of(MIXED)


# As arrays


@settings(max_examples=30)
@given(st.permutations(range(N)), st.integers(1, N))
def test_a_batch_is_its_pictures_one_by_one(order, size):
    """In any order and any size of batch, bit for bit."""
    for start in range(0, N, size):
        places = order[start : start + size]
        seen = apply_batch([DRAWS[place] for place in places], PIXELS[places])
        for place, picture in zip(places, seen, strict=True):
            np.testing.assert_array_equal(picture, apply(DRAWS[place], PIXELS[place]))


def test_a_batch_is_left_as_it_was_and_only_drawn_pictures_change():
    """Where nothing was drawn the result is the picture; what is given is never written to."""
    before = PIXELS.copy()
    seen = apply_batch(DRAWS, PIXELS)
    np.testing.assert_array_equal(PIXELS, before)
    empty = [not drawn.operations for drawn in DRAWS]
    assert 0 < sum(empty) < N
    for place in range(N):
        assert np.array_equal(seen[place], PIXELS[place]) == empty[place]
    seen[:] = 0
    np.testing.assert_array_equal(PIXELS, before)


FAULTS = [
    (PIXELS.astype(np.float32), r"batch of float32"),
    (PIXELS[0], r"shape \(40, 40, 3\)"),
    (PIXELS[..., 0], r"shape \(12, 40, 40\)"),
    (PIXELS[..., :2], r"shape \(12, 40, 40, 2\)"),
    (PIXELS[:, :30], "are 40 × 30 px; they should be square"),
    (PIXELS[:5], "5 pictures need as many draws, not 12"),
]


@pytest.mark.parametrize(("pixels", "told"), FAULTS)
def test_what_is_no_batch_is_refused(pixels, told):
    """Levels as floats, no batch, grey, two channels, not square, draws too many: both ways."""
    with pytest.raises(DataError, match=told):
        apply_batch(DRAWS, pixels)
    with pytest.raises(DataError, match=told):
        there(DRAWS, pixels)


def test_backgrounds_and_blurs_that_do_not_fit_are_refused_both_ways():
    """There are no masks in a batch; a kernel may not reach over the whole picture."""
    masked = draws_of(recipe({"kind": "background_replacement"}), 2)
    blurred = draws_of(recipe({"kind": "defocus_blur", "radius_range_px": [50, 50]}), 2)
    for do in (apply_batch, there):
        with pytest.raises(UsageError, match="needs the cell's mask"):
            do(masked, PIXELS[:2])
        with pytest.raises(DataError, match="does not fit a picture of 40 × 40 px"):
            do(blurred, PIXELS[:2])


def test_augmenting_arrays_does_not_start_torch():
    """Importing the batch and using it on arrays leaves torch where it is."""
    script = (
        "import sys, numpy as np\n"
        "from leukoscope.augmentation.batch import apply_batch\n"
        "from leukoscope.augmentation.draw import Draw\n"
        "turn = Draw((('rotation_deg', (10.0,)),))\n"
        "apply_batch([turn], np.zeros((1, 8, 8, 3), np.uint8))\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"


# On a device


def test_every_kind_of_step_is_compared():
    """The lists above name each kind there is, but for the one that needs masks."""
    kinds = {get_args(s.model_fields["kind"].annotation)[0] for s in get_args(get_args(Step)[0])}
    listed = {step["kind"] for step in (*ALONE, *CHAINS["policies"])}
    assert listed == kinds - {"background_replacement"}


@pytest.mark.parametrize("step", ALONE, ids=lambda step: "-".join(map(str, step.values())))
def test_a_step_on_a_device_is_the_step_on_the_processor(step):
    """The same draw, the same pixels within one level, and not because nothing is done."""
    draws = draws_of(recipe(step))
    here = apply_batch(draws, PIXELS)
    assert levels_apart(here, there(draws, PIXELS)) <= 1
    assert np.array_equal(here, PIXELS) == (step["kind"] == "identity")


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("chain", ["papers", "all geometry", "far outside"])
def test_every_border_and_interpolation_agrees(chain, border, interpolation):
    """Chains whose map bends lines and chains whose map does not."""
    rules = {"border": border, "interpolation": interpolation}
    if border == "constant":
        rules["border_rgb"] = (10, 200, 77)
    draws = draws_of(recipe(*CHAINS[chain], **rules))
    assert levels_apart(apply_batch(draws, PIXELS), there(draws, PIXELS)) <= 1


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("seed", range(3))
def test_chains_agree(chain, seed):
    """Pictures that need different things at each place of their chains stay apart."""
    draws = draws_of(recipe(*CHAINS[chain], lengths_at_px=64), seed=seed)
    assert levels_apart(apply_batch(draws, PIXELS), there(draws, PIXELS)) <= 1


@pytest.mark.parametrize("name", named_augmentations())
def test_named_recipes_agree(name):
    """Each recipe of the package."""
    draws = draws_of(load_augmentation(name))
    assert levels_apart(apply_batch(draws, PIXELS), there(draws, PIXELS)) <= 1


EXACT = st.one_of(
    st.integers(-4, 4).map(lambda k: ("rotation_deg", (90.0 * k,))),
    st.sampled_from([("flip_horizontal", ()), ("flip_vertical", ()), ("transposition", ())]),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(lambda shares: ("shift", shares)),
)


@given(
    st.lists(st.lists(EXACT, max_size=4), min_size=1, max_size=5),
    st.integers(1, 9),
    st.sampled_from(BORDERS),
    st.sampled_from(INTERPOLATIONS),
)
def test_what_moves_pixels_alone_is_exact(chains, side, border, interpolation):
    """Right angles, flips and whole shifts, bit for bit, of pictures of even and odd sides."""
    pixels = np.ascontiguousarray(PIXELS[-len(chains) :, :side, :side])
    draws = [Draw(tuple(chain), border, interpolation=interpolation) for chain in chains]
    np.testing.assert_array_equal(there(draws, pixels), apply_batch(draws, pixels))


@settings(max_examples=20)
@given(st.permutations(range(N)), st.integers(1, N))
def test_on_a_device_too_a_batch_is_its_pictures_one_by_one(order, size):
    """Neither order nor company changes a bit."""
    whole = there(DRAWS, PIXELS)
    for start in range(0, N, size):
        places = order[start : start + size]
        seen = there([DRAWS[place] for place in places], PIXELS[places])
        np.testing.assert_array_equal(seen, whole[places])


def test_draws_of_different_recipes_share_a_batch():
    """Borders, colours, interpolations and lengths belong to a draw, not to its batch."""
    rules = [
        {"border": "constant", "border_rgb": (200, 0, 0)},
        {"border": "constant", "border_rgb": (0, 200, 0), "interpolation": "nearest"},
        {"border": "edge", "lengths_at_px": 20},
        {"border": "background", "lengths_at_px": 80},
    ]
    steps = (*PAPERS, {"kind": "gaussian_blur", "sigma_range_px": [1, 2]})
    draws = [draw(recipe(*steps, **rules[i % 4]), 0, f"cell-{i}", 1) for i in range(N)]
    assert levels_apart(apply_batch(draws, PIXELS), there(draws, PIXELS)) <= 1


@pytest.mark.parametrize("do", [apply_batch, there])
def test_a_batch_of_nothing_is_nothing(do):
    """No draws for no pictures."""
    assert do([], PIXELS[:0]).shape == (0, SIDE, SIDE, 3)


def test_a_tensor_is_left_as_it_was_and_stays_on_its_device():
    """Without operations the result is the pictures, bit for bit, in a tensor of its own."""
    given_pixels = torch.from_numpy(PIXELS).to(DEVICE)
    for draws in ([Draw()] * N, DRAWS):
        seen = apply_on_device(draws, given_pixels)
        assert seen.device == given_pixels.device
        assert seen.dtype == torch.uint8
        assert seen.data_ptr() != given_pixels.data_ptr()
        np.testing.assert_array_equal(given_pixels.cpu().numpy(), PIXELS)
        for place, drawn in enumerate(draws):
            if not drawn.operations:
                assert torch.equal(seen[place], given_pixels[place])
