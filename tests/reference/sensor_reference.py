"""Blurs by their definition: shapes counted in very small parts, pictures one pixel at a time."""

import math

import numpy as np


def disc(radius_px, n_fine=60):
    """Count, for each pixel, which of its small parts lie in the disc."""
    reach = max(0, math.ceil(radius_px - 0.5))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    part = (np.arange(n_fine) + 0.5) / n_fine - 0.5
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            far = np.hypot((row + part)[:, None], column + part)
            kernel[row + reach, column + reach] = (far <= radius_px).mean()
    return kernel / kernel.sum()


def way(length_px, angle_deg, n_points=4000):
    """Move a point along its way, to the right and upwards, and share it out where it is."""
    reach = math.ceil(length_px / 2)
    kernel = np.zeros((2 * reach + 3, 2 * reach + 3))
    for i in range(n_points):
        at = ((i + 0.5) / n_points - 0.5) * length_px
        x = at * math.cos(math.radians(angle_deg)) + reach + 1
        y = -at * math.sin(math.radians(angle_deg)) + reach + 1
        left, top = math.floor(x), math.floor(y)
        kernel[top, left] += (top + 1 - y) * (left + 1 - x)
        kernel[top, left + 1] += (top + 1 - y) * (x - left)
        kernel[top + 1, left] += (y - top) * (left + 1 - x)
        kernel[top + 1, left + 1] += (y - top) * (x - left)
    return kernel[1:-1, 1:-1] / n_points


def mirrored(place, size):
    """Find the pixel that stands for a place outside, mirrored about the outermost one."""
    while not 0 <= place < size:
        place = -place if place < 0 else 2 * (size - 1) - place
    return place


def blurred(kernel, pixels):
    """Weigh the neighbours of every pixel, in float64."""
    height, width = pixels.shape[:2]
    reach_y, reach_x = kernel.shape[0] // 2, kernel.shape[1] // 2
    result = np.zeros(pixels.shape)
    for row in range(height):
        for column in range(width):
            for down in range(-reach_y, reach_y + 1):
                for right in range(-reach_x, reach_x + 1):
                    there = mirrored(row + down, height), mirrored(column + right, width)
                    weight = kernel[down + reach_y, right + reach_x]
                    result[row, column] += weight * pixels[there]
    return result
