"""What is smoothed before it is shrunk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.augmentation.chains import draw_of, phantom, turned
from tests.reference import warp_reference

from leukoscope.augmentation.maps import linear_part, map_of
from leukoscope.augmentation.resampling import smoothed, smoothing_kernel


def test_fine_patterns_turn_grey_and_not_coarse():
    """A chessboard shrunk is flat grey; sampled without the blur it shows a pattern of its own."""
    fine = (np.indices((96, 96)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = np.repeat(fine[..., None], 3, axis=2)
    half = (("scaling", (0.47, 0.47)),)
    seen = turned(pixels, *half)[30:-30, 30:-30]
    assert seen.std() < 2
    assert seen.mean() == pytest.approx(127.5, abs=1)
    assert warp_reference.warped(half, pixels)[30:-30, 30:-30].std() > 30


@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0])
def test_waves_too_fine_for_the_result_are_flattened(angle):
    """A wave of 2.5 px, shrunk by half: under a tenth is left; a wave of 20 px stays."""
    row, column = np.mgrid[:128, :128]
    along = column * np.cos(np.radians(angle)) + row * np.sin(np.radians(angle))
    half = (("scaling", (0.5, 0.5)),)
    left = []
    for length_px in (2.5, 20):
        wave = np.rint(127.5 + 120 * np.sin(2 * np.pi * along / length_px)).astype(np.uint8)
        pixels = np.repeat(wave[..., None], 3, axis=2)
        left.append(turned(pixels, *half)[40:-40, 40:-40].std() / pixels.std())
    assert left[0] < 0.1
    assert left[1] > 0.9


LINEAR = st.builds(
    lambda turn, back, wide, narrow: rotation(turn) @ np.diag([wide, narrow]) @ rotation(back),
    *[st.floats(0, 6.3)] * 2,
    *[st.floats(1.8, 6)] * 2,
)


def rotation(angle):
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


@given(LINEAR)
def test_the_blur_adds_what_the_result_lacks(linear):
    """Second moments: half a pixel of the result each way, less half a pixel of the picture."""
    kernel = smoothing_kernel(tuple(linear.ravel())).astype(float)
    wanted = 0.25 * (linear @ linear.T - np.eye(2))
    reach = kernel.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    moments = np.array([[x * x, x * y], [x * y, y * y]])
    seen = (moments * kernel).sum(axis=(2, 3))
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])
    # It is cut off where a neighbour would get less than half a level.
    np.testing.assert_allclose(seen, wanted, atol=0.04 * np.trace(wanted))


def test_only_what_shrinks_is_blurred_and_only_along_it():
    """Turned, mirrored or enlarged: not at all. Shrunk across: rows alone, columns stay sharp."""
    for kept in ((1, 0, 0, 1), (0.6, 0.8, -0.8, 0.6), (0.5, 0, 0, 0.9), (0, 1, 1, 0)):
        assert smoothing_kernel(kept) is None
    across = smoothing_kernel((2.0, 0.0, 0.0, 1.0))
    middle = across.shape[0] // 2
    assert across[middle].sum() == pytest.approx(1)
    assert np.delete(across, middle, axis=0).max() == 0
    np.testing.assert_allclose(smoothing_kernel((1.0, 0.0, 0.0, 2.0)), across.T, atol=1e-7)
    np.testing.assert_allclose(smoothing_kernel((0.0, 2.0, 1.0, 0.0)), across, atol=1e-7)


@pytest.mark.parametrize("factors", [(0.8, 0.8), (0.5, 0.5), (0.3, 1.0), (0.25, 0.6)])
def test_smoothing_agrees_with_a_slow_blur(factors):
    """On phantom cells it is the Gaussian of the stated variances to two grey levels."""
    pixels = phantom(6).image
    chain = (("rotation_deg", (25.0,)), ("scaling", factors), ("rotation_deg", (40.0,)))
    linear = warp_reference.linear_part(chain)
    values, axes = np.linalg.eigh(0.25 * (linear @ linear.T - np.eye(2)))
    covariance = axes @ np.diag(np.maximum(values, 1e-6)) @ axes.T
    seen = smoothed(map_of(draw_of(*chain), 64, 64), pixels)
    expected = warp_reference.smoothed(pixels, covariance)
    assert np.abs(seen - expected).max() <= 2
    assert np.abs(seen - expected).mean() <= 0.5


def test_the_blur_of_a_lens_alone_is_none():
    """Its own, local shrinking is not counted: stated, so that it is noticed when it changes."""
    assert smoothing_kernel(linear_part(map_of(draw_of(("lens", (0.5,))), 64, 64))) is None
