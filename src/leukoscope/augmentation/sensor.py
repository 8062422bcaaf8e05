"""Focus and sensor: blurs, noises, compression."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.foundation.errors import DataError

Pixels = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float32]
Kernel = npt.NDArray[np.float32]

BLURS = frozenset({"gaussian_blur_px", "defocus_blur_px", "motion_blur_px"})
"""Names of the operations that blur."""
_TRUNCATED = 4.0
"""Standard deviations after which a Gaussian is cut off."""
_FINE = 16
"""Lines a pixel by which a disc is counted, and points a pixel by which a way is."""


def blur(name: str, length_px: float, angle_deg: float, pixels: Pixels) -> Pixels:
    """Blur a picture; its edge is mirrored.

    Parameters
    ----------
    name : {"gaussian_blur_px", "defocus_blur_px", "motion_blur_px"}
        The shape of the blur.
    length_px : float
        Standard deviation, radius of the disc, or length of the way; 0 leaves the picture.
    angle_deg : float
        Direction of the way, counter-clockwise; without meaning for the other two.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.

    Raises
    ------
    DataError
        If the kernel reaches over the whole picture.
    """
    kernel = blur_kernel(name, length_px, angle_deg)
    if kernel is None:
        return pixels
    check_reach(len(kernel), *pixels.shape[:2])
    border = cv2.BORDER_REFLECT_101
    if kernel.shape[1] == 1:
        blurred = cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=border)
    else:
        blurred = cv2.filter2D(pixels, -1, kernel, borderType=border)
    return np.asarray(blurred, np.uint8)


def blur_kernel(name: str, length_px: float, angle_deg: float) -> Kernel | None:
    """Compute a blur's kernel, or None if no neighbour would get half a grey level.

    Returns
    -------
    numpy.ndarray of float32, shape (n, n) or, for a Gaussian, (n, 1) along both axes
        Sum 1, n odd.
    """
    match name:
        case "gaussian_blur_px":
            kernel = gaussian_kernel(length_px)
        case "defocus_blur_px":
            kernel = _disc_kernel(length_px)
        case _:
            kernel = _line_kernel(length_px, angle_deg)
    return None if kernel.max() > 1 - 1 / 512 else kernel


def gaussian_kernel(sigma_px: float) -> Kernel:
    """Compute a Gaussian along one axis, cut off at 4 standard deviations, shape (n, 1)."""
    radius = int(_TRUNCATED * sigma_px + 0.5)
    if radius == 0:
        return np.ones((1, 1), np.float32)
    place = np.arange(-radius, radius + 1)
    kernel = np.exp(-(place**2) / (2 * sigma_px**2))
    return np.asarray((kernel / kernel.sum())[:, None], np.float32)


def check_reach(size: int, height: int, width: int) -> None:
    """Refuse a kernel that is larger than what it is to blur. Raises DataError."""
    if size > 2 * min(height, width) - 1:
        raise DataError(
            f"A blur of {size} × {size} px does not fit a picture of {width} × {height} px: its "
            "mirrored edge would not reach far enough. Nothing was changed. Blur less, or state "
            "the recipe's lengths_at_px, so that they shrink with the picture."
        )


def gaussian_noise(sd_levels: float, seed: float, pixels: Pixels) -> Pixels:
    """Add normal noise of a standard deviation in grey levels of 255; cut and rounded once."""
    if sd_levels == 0:
        return pixels
    noise = normal_field(sd_levels, seed, pixels.shape)
    return np.asarray(cv2.add(pixels, noise, dtype=cv2.CV_8U), np.uint8)


def normal_field(sd_levels: float, seed: float, shape: Sequence[int]) -> Levels:
    """Draw the noise that a seed stands for, float32 of *shape*, grey levels of 255."""
    noise = _field(seed).standard_normal(tuple(shape), dtype=np.float32)
    noise *= np.float32(sd_levels)
    return noise


def poisson_noise(photons: float, seed: float, pixels: Pixels) -> Pixels:
    """Count photons at each pixel and channel, *photons* of them standing for 255.

    A level x becomes one of mean x and variance 255 x / photons, before it is cut and rounded.
    """
    expected = np.arange(256) * (photons / 255)
    counted = _field(seed).poisson(expected[pixels]) * (255 / photons)
    return np.asarray(np.rint(np.minimum(counted, 255)), np.uint8)


def salt_and_pepper(share: float, seed: float, pixels: Pixels) -> Pixels:
    """Turn a share of the pixels white or black, each as likely."""
    number = _field(seed).random(pixels.shape[0] * pixels.shape[1], dtype=np.float32)
    changed = pixels.copy()
    flat = changed.reshape(-1, 3)
    flat[np.flatnonzero(number < share / 2)] = 0
    flat[np.flatnonzero(number >= 1 - share / 2)] = 255
    return changed


def jpeg(quality: float, pixels: Pixels) -> Pixels:
    """Encode as JPEG at a quality of 1 to 100, colours at half the resolution, and decode again."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(np.asarray(decoded), cv2.COLOR_BGR2RGB), np.uint8)


def _field(seed: float) -> np.random.Generator:
    """Open the generator of a noise; its seed, a whole number, was drawn from a named stream."""
    return np.random.Generator(np.random.SFC64(int(seed)))


def _disc_kernel(radius_px: float) -> Kernel:
    reach = max(0, math.ceil(radius_px - 0.5))
    size = 2 * reach + 1
    # Of fine lines across the disc each covers, of every pixel, what lies within its chord.
    line = (np.arange(size * _FINE) + 0.5) / _FINE - size / 2
    half = np.sqrt(np.maximum(max(radius_px, 0.5) ** 2 - line**2, 0))
    edge = np.arange(size + 1) - size / 2
    chord = np.diff(np.clip(edge, -half[:, None], half[:, None]))
    kernel = chord.reshape(size, _FINE, size).sum(axis=1)
    kernel += kernel.T.copy()
    return np.asarray(kernel / kernel.sum(), np.float32)


def _line_kernel(length_px: float, angle_deg: float) -> Kernel:
    reach = math.ceil(length_px / 2)
    size = 2 * reach + 1
    n_points = max(1, 2 * _FINE * reach)
    way = ((np.arange(n_points) + 0.5) / n_points - 0.5) * length_px
    angle = math.radians(angle_deg)
    across, down = way * math.cos(angle), -way * math.sin(angle)
    # Each point of the way is shared out among its four pixels.
    place = np.arange(size) - reach
    near_x = np.maximum(1 - np.abs(across[:, None] - place), 0)
    near_y = np.maximum(1 - np.abs(down[:, None] - place), 0)
    kernel = near_y.T @ near_x
    return np.asarray(kernel / kernel.sum(), np.float32)
