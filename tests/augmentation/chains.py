"""Chains of geometry as hypothesis draws them, and phantom cells to do them to."""

import functools

from hypothesis import strategies as st
from tests.intake.pictures import drawn

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.resampling import move_and_warp
from leukoscope.intake.phantom import PhantomRecipe, draw_cell

BORDERS = ("reflect", "edge", "constant")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
FILL = (10, 200, 90)

RIGHT_ANGLE = st.integers(-5, 5).map(lambda k: ("rotation_deg", (90.0 * k,)))
MIRROR = st.sampled_from(
    [("flip_horizontal", ()), ("flip_vertical", ()), ("transposition", ())],
)
ORIENTING = st.one_of(RIGHT_ANGLE, MIRROR)


def pairs(low, high):
    return st.tuples(st.floats(low, high), st.floats(low, high))


ROTATION = st.floats(-400, 400).map(lambda angle: ("rotation_deg", (angle,)))
SCALING = pairs(0.6, 1.5).map(lambda factors: ("scaling", factors))
SHIFT = pairs(-0.4, 0.4).map(lambda shares: ("shift", shares))
SHEAR = pairs(-25, 25).map(lambda angles: ("shear_deg", angles))
LENS = st.floats(-0.32, 0.5).map(lambda strength: ("lens", (strength,)))
ELASTIC = st.tuples(
    st.floats(0, 0.02), st.sampled_from([0.1, 0.15, 0.166, 0.5]), st.integers(0, 2**53 - 1)
).map(lambda given: ("elastic", (given[0], given[1], float(given[2]))))

STRAIGHT = st.one_of(ROTATION, RIGHT_ANGLE, MIRROR, SCALING, SHIFT, SHEAR)
ANY = st.one_of(STRAIGHT, STRAIGHT, LENS, ELASTIC)
STRAIGHT_CHAIN = st.lists(STRAIGHT, min_size=1, max_size=5).map(tuple)
CHAIN = st.lists(ANY, min_size=2, max_size=5).map(tuple)

SIZE = st.sampled_from(
    [(1, 1), (1, 7), (7, 1), (2, 2), (2, 5), (3, 3), (9, 14), (16, 16), (31, 24)]
)
PICTURE = st.builds(lambda number, size: drawn(number, *size), st.integers(0, 99), SIZE)

NEUTRAL = (
    ("rotation_deg", (0.0,)),
    ("rotation_deg", (-720.0,)),
    ("scaling", (1.0, 1.0)),
    ("shift", (0.0, 0.0)),
    ("shift", (0.004, -0.004)),
    ("shear_deg", (0.0, 0.0)),
    ("lens", (0.0,)),
    ("elastic", (0.0, 0.15, 5.0)),
)
"""Every operation at the strength of doing nothing; a shift by less than half a pixel of 100."""


@functools.cache
def phantom(number, size_px=64):
    recipe = PhantomRecipe(name="geometry", n_cases=3, cells_per_case=8, size_px=size_px)
    return draw_cell(recipe, number // 8, number % 8)


def draw_of(*operations, border="reflect", interpolation="bilinear"):
    return Draw(operations, border, FILL if border == "constant" else (0, 0, 0), interpolation)


def turned(pixels, *operations, **rules):
    return move_and_warp(draw_of(*operations, **rules), pixels)
