import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats
from tests.intake.pictures import drawn
from tests.reference import sensor_reference as reference

from leukoscope.augmentation import sensor
from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import Draw
from leukoscope.foundation.errors import DataError

BLURS = ("gaussian_blur_px", "defocus_blur_px", "motion_blur_px")
GREY = np.full((200, 200, 3), 128, np.uint8)
SEED = 2**53 - 1


def outer(kernel):
    """Write a kernel of one axis as that of both."""
    return kernel * kernel.T if kernel.shape[1] == 1 else kernel


def spread(kernel, angle_deg=0.0):
    """Measure a kernel's standard deviation along a direction, counter-clockwise."""
    kernel = outer(np.asarray(kernel, float))
    reach = len(kernel) // 2
    y, x = np.mgrid[reach : -reach - 1 : -1, -reach : reach + 1]
    along = x * np.cos(np.radians(angle_deg)) + y * np.sin(np.radians(angle_deg))
    return np.sqrt((kernel * along**2).sum())


# Blurs


@given(st.sampled_from(BLURS), st.floats(0, 12), st.floats(0, 180))
def test_a_kernel_has_the_sum_1_and_is_symmetric(name, length, angle):
    """No blur brightens, darkens or moves; it is left out only where no neighbour would count."""
    kernel = sensor.blur_kernel(name, length, angle)
    if kernel is None:
        assert length < 0.6
        return
    assert kernel.dtype == np.float32
    assert kernel.shape[0] % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    if name == "defocus_blur_px":
        np.testing.assert_allclose(kernel, kernel.T, atol=1e-7)


@pytest.mark.parametrize("sigma", [0.8, 1.0, 1.7, 3.0, 9.0])
def test_a_gaussian_has_the_standard_deviation_it_states(sigma):
    """To 1 %, along any direction."""
    kernel = sensor.blur_kernel("gaussian_blur_px", sigma, 0.0)
    assert spread(kernel) == pytest.approx(sigma, rel=0.01)
    assert spread(kernel, 30) == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize("radius", [0.55, 0.8, 1.0, 2.7, 3.5, 6.2])
def test_a_disc_is_the_disc_of_its_radius(radius):
    """Each pixel weighs as much of the disc as lies in it."""
    kernel = sensor.blur_kernel("defocus_blur_px", radius, 0.0)
    np.testing.assert_allclose(kernel, reference.disc(radius), atol=2e-3 / radius**2)


@pytest.mark.parametrize("length", [0.7, 2.0, 2.1, 5.0, 9.3])
@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_a_motion_is_a_way_of_its_length_to_the_right_and_up(length, angle):
    """It is the slow count's, counter-clockwise, and as long as stated."""
    kernel = sensor.blur_kernel("motion_blur_px", length, angle)
    np.testing.assert_allclose(kernel, reference.way(length, angle), atol=2e-3)
    if length > 5:
        # Sharing out among pixels widens it by up to a sixth of a square pixel.
        assert spread(kernel, angle) * np.sqrt(12) == pytest.approx(length, rel=0.03)
        assert spread(kernel, angle + 90) < 0.5


@pytest.mark.parametrize("name", BLURS)
@pytest.mark.parametrize("length", [0.4, 0.9, 1.6, 2.4])
def test_a_blur_weighs_the_neighbours_of_every_pixel(name, length):
    """Edges too are within a level of the sum in float64, mirrored about the outermost pixel."""
    pixels = drawn(5, 11, 13)
    kernel = sensor.blur_kernel(name, length, 35.0)
    seen = sensor.blur(name, length, 35.0, pixels)
    weights = np.ones((1, 1)) if kernel is None else outer(np.asarray(kernel, float))
    assert np.abs(seen - reference.blurred(weights, pixels)).max() <= 0.51


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0, 12.0])
def test_a_gaussian_blur_is_scipys(sigma):
    """Half a level from one in float64, and of the same mean."""
    pixels = drawn(1, 90, 100)
    expected = ndimage.gaussian_filter(
        pixels.astype(float), (sigma, sigma, 0), mode="mirror", truncate=4
    )
    seen = sensor.blur("gaussian_blur_px", sigma, 0.0, pixels)
    assert np.abs(seen - expected).max() <= 0.51
    assert abs((seen - expected).mean()) < 0.02


@pytest.mark.parametrize("name", BLURS)
def test_a_blur_of_nothing_is_the_very_picture_and_one_of_a_flat_picture_no_change(name):
    """Length 0 copies nothing; a picture of one level stays so, to the last bit, at any length."""
    pixels = drawn(2)
    assert sensor.blur(name, 0.0, 40.0, pixels) is pixels
    for level in (1, 37, 254, 255):
        flat = np.full((40, 50, 3), level, np.uint8)
        for length in (0.7, 1.5, 4.0, 9.0):
            np.testing.assert_array_equal(sensor.blur(name, length, 40.0, flat), flat)


@pytest.mark.parametrize("name", BLURS)
def test_a_blur_as_wide_as_a_picture_allows_is_done_and_a_wider_one_refused(name):
    """The kernel may be twice the shorter side less 1; the refusal says both sizes."""
    kernel = sensor.blur_kernel(name, 2.0, 0.0)
    reach = len(kernel) // 2
    fits, small = drawn(0, reach + 1, reach + 4), drawn(0, reach + 4, reach)
    before = small.copy()
    expected = reference.blurred(outer(np.asarray(kernel, float)), fits)
    assert np.abs(sensor.blur(name, 2.0, 0.0, fits) - expected).max() <= 0.51
    size = len(kernel)
    with pytest.raises(DataError, match=rf"{size} × {size} px .* {reach} × {reach + 4} px"):
        sensor.blur(name, 2.0, 0.0, small)
    np.testing.assert_array_equal(small, before)


@pytest.mark.parametrize(
    "operation", [("gaussian_blur_px", (3.0,)), ("motion_blur_px", (8.0, 70.0))]
)
def test_lengths_shrink_with_the_picture(operation):
    """Lengths stated at 128 px are half as long where the shorter side has 64."""
    name, (length, *rest) = operation
    pixels = drawn(0, 64, 80)
    seen = apply(Draw((operation,), lengths_at_px=128), pixels)
    np.testing.assert_array_equal(seen, apply(Draw(((name, (length / 2, *rest)),)), pixels))
    own = apply(Draw((operation,)), pixels)
    np.testing.assert_array_equal(own, apply(Draw((operation,), lengths_at_px=64), pixels))
    assert (own != seen).any()


# Noises


@pytest.mark.parametrize("sd", [1.0, 5.1, 12.75, 25.5])
def test_gaussian_noise_has_the_standard_deviation_it_states_in_grey_levels(sd):
    """On mid grey: the variance stated and a twelfth for rounding; the mean of all stays."""
    noise = sensor.gaussian_noise(sd, SEED, GREY).astype(float) - 128
    n = noise.size
    assert noise.var() == pytest.approx(sd**2 + 1 / 12, rel=5 * np.sqrt(2 / n))
    assert abs(noise.mean()) < 5 * sd / np.sqrt(n)
    channels = noise.reshape(-1, 3).T
    assert np.abs(np.corrcoef(channels) - np.eye(3)).max() < 0.03
    if sd < 5:
        return
    # Rounding is undone by noise of its own, but for what shows at small deviations.
    smooth = noise + np.random.default_rng(0).uniform(-0.5, 0.5, noise.shape)
    assert stats.kstest(smooth.ravel()[::7] / np.sqrt(sd**2 + 1 / 6), "norm").pvalue > 1e-4


@given(
    st.integers(0, 99), st.integers(1, 6), st.integers(1, 6), st.floats(0, 60), st.integers(0, SEED)
)
def test_gaussian_noise_is_added_and_cut_once(number, height, width, sd, seed):
    """At any size of picture it is the field of its seed, in float64 to a half level."""
    pixels = drawn(number, height, width)
    field = np.random.Generator(np.random.SFC64(seed)).standard_normal(
        pixels.shape, dtype=np.float32
    )
    seen = sensor.gaussian_noise(sd, seed, pixels)
    expected = (pixels + sd * field.astype(float)).clip(0, 255)
    assert np.abs(seen - expected).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("photons", [30.0, 200.0, 2000.0])
@pytest.mark.parametrize("level", [0, 10, 60, 128, 200])
def test_photons_are_counted_with_the_variance_of_their_number(level, photons):
    """A level x keeps its mean and has the variance 255 x / photons, least in the dark."""
    pixels = np.full((150, 150, 3), level, np.uint8)
    noisy = sensor.poisson_noise(photons, SEED, pixels).astype(float)
    if level == 0:
        assert not noisy.any()
        return
    # Compared with counts cut and rounded alike, for at few photons both show.
    count = np.arange(2000)
    shown = np.rint(np.minimum(count * 255 / photons, 255))
    share = stats.poisson(level * photons / 255).pmf(count)
    mean = (share * shown).sum()
    variance = (share * (shown - mean) ** 2).sum()
    n = noisy.size
    assert abs(noisy.mean() - mean) < 5 * np.sqrt(variance / n)
    assert noisy.var() == pytest.approx(variance, rel=0.05)
    if level < 200 and photons > 30:
        assert mean == pytest.approx(level, abs=0.1)
        assert variance == pytest.approx(255 * level / photons, rel=0.05, abs=0.2)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_salt_and_pepper_turns_its_share_of_the_pixels(share):
    """White and black are as likely, whole pixels are turned, and all others are left."""
    noisy = sensor.salt_and_pepper(share, SEED, GREY)
    n = 200 * 200
    assert (noisy == noisy[..., :1]).all()
    counts = [(noisy[..., 0] == level).sum() for level in (0, 255, 128)]
    assert sum(counts) == n
    for count, p in zip(counts, (share / 2, share / 2, 1 - share), strict=True):
        assert stats.binomtest(int(count), n, p).pvalue > 1e-4


NOISES = (sensor.gaussian_noise, sensor.poisson_noise, sensor.salt_and_pepper)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("strength", [0.3, 20.0])
def test_a_noise_follows_from_its_seed_alone(noise, strength):
    """The same again for the same seed, as a float too, whatever ran between; another for another.

    The picture given is left as it was.
    """
    strength = min(strength, 0.9) if noise is sensor.salt_and_pepper else strength
    pixels = drawn(0, 40, 30)
    before = pixels.copy()
    first = noise(strength, 5, pixels)
    others = [noise(strength, seed, pixels) for seed in (6, SEED)]
    np.testing.assert_array_equal(noise(strength, 5.0, pixels), first)
    assert all((other != first).any() for other in others) or strength < 0.5
    assert first.dtype == np.uint8
    assert first.shape == pixels.shape
    np.testing.assert_array_equal(pixels, before)


def test_noises_of_nothing_change_no_bit():
    """A standard deviation or a share of 0."""
    pixels = drawn(4)
    assert sensor.gaussian_noise(0.0, 1, pixels) is pixels
    np.testing.assert_array_equal(sensor.salt_and_pepper(0.0, 1, pixels), pixels)


# Compression


def test_jpeg_keeps_colours_in_their_channels_and_loses_more_at_less_quality():
    """Flat colours come back within 3 levels; on a drawn picture the error falls with quality."""
    for colour in ([200, 40, 60], [30, 180, 90], [120, 60, 220], [255, 255, 255]):
        flat = np.full((16, 24, 3), colour, np.uint8)
        assert np.abs(sensor.jpeg(95, flat).astype(int) - flat).max() <= 3
    pixels = drawn(0, 40, 56)
    errors = [np.abs(sensor.jpeg(q, pixels).astype(int) - pixels).mean() for q in (5, 30, 60, 95)]
    assert errors == sorted(errors, reverse=True)
    np.testing.assert_array_equal(sensor.jpeg(60.0, pixels), sensor.jpeg(60, pixels))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 3)])
def test_jpeg_takes_pictures_smaller_than_its_blocks(size):
    """Its blocks of 16 pixels are its own affair."""
    pixels = drawn(0, *size)
    assert sensor.jpeg(80, pixels).shape == pixels.shape
