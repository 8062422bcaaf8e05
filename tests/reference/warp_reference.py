"""Geometry of a chain, operation by operation, in double precision, sampled by SciPy.

Nothing here composes maps: every place of the result is carried back through each operation in
turn. Places are offsets in pixels from the centre, x to the right and y upwards, as in a textbook.
"""

import math

import numpy as np
from scipy import ndimage

SCIPY_BORDERS = {"reflect": "mirror", "edge": "nearest", "constant": "grid-constant"}


def places(operations, height, width, *, is_crossed=False):
    """Find, for each pixel of the result, column and row of the picture it is taken from.

    The result is as large as the picture; crossed, it is as broad as the picture is high.
    """
    rows, columns = (width, height) if is_crossed else (height, width)
    row, column = np.mgrid[:rows, :columns].astype(float)
    x, up = column - (columns - 1) / 2, (rows - 1) / 2 - row
    x, up = carried_back(operations, x, up, height, width)
    return x + (width - 1) / 2, (height - 1) / 2 - up


def carried_back(operations, x, up, height, width):
    """Undo the operations, the last one first; elastic fields lie over the result."""
    at_x, at_up = x, up
    for name, given in operations:
        if name == "elastic":
            right, upwards = elastic(given, at_x, at_up, height, width)
            x, up = x + right, up + upwards
    for name, given in reversed(operations):
        if name != "elastic":
            x, up = UNDO[name](given, x, up, height, width)
    return x, up


def undo_rotation(given, x, up, _height, _width):
    """Turn clockwise what was turned counter-clockwise."""
    turned = (x + 1j * up) * np.exp(-1j * math.radians(given[0]))
    return turned.real, turned.imag


def undo_shear(given, x, up, _height, _width):
    """Slant back down, then back across; both angles count with y downwards."""
    across, slope = (math.tan(math.radians(angle)) for angle in given)
    up = up + slope * x
    return x + across * up, up


def undo_lens(given, x, up, height, width):
    """Show what was at r (1 + k r²), with r = 1 in the corners.

    Beyond the height of that curve a pincushion shows what was at 2/3 r, as it does there.
    """
    strength = given[0]
    corner = math.hypot((height - 1) / 2, (width - 1) / 2) or 1.0
    r = np.hypot(x, up) / corner
    shown = r * (1 + strength * r**2)
    if strength < 0:
        turning = 1 / math.sqrt(-3 * strength)
        shown = np.where(r > turning, 2 / 3 * r, shown)
    share = np.where(r > 0, shown / np.where(r > 0, r, 1), 1.0)
    return x * share, up * share


UNDO = {
    "rotation_deg": undo_rotation,
    "flip_horizontal": lambda _given, x, up, _h, _w: (-x, up),
    "flip_vertical": lambda _given, x, up, _h, _w: (x, -up),
    "transposition": lambda _given, x, up, _h, _w: (-up, -x),
    "scaling": lambda given, x, up, _h, _w: (x / given[0], up / given[1]),
    "shift": lambda given, x, up, h, w: (x - round(given[0] * w), up + round(given[1] * h)),
    "shear_deg": undo_shear,
    "lens": undo_lens,
}


def whole_places(operations, height, width, *, is_crossed):
    """Find the whole pixels that a chain of flips, right angles and whole shifts takes."""
    x, y = places(operations, height, width, is_crossed=is_crossed)
    assert max(np.abs(x - np.rint(x)).max(), np.abs(y - np.rint(y)).max()) < 1e-9
    return np.rint(x).astype(int), np.rint(y).astype(int)


def linear_part(operations):
    """Measure how far and where to two steps in the result lead, without lenses and fields."""
    kept = [each for each in operations if each[0] not in ("lens", "elastic", "shift")]
    x, up = carried_back(kept, np.array([1.0, 0.0]), np.array([0.0, -1.0]), 1, 1)
    return np.array([x, -up])


def elastic(given, x, up, height, width):
    """Evaluate the stated cubic B-spline field, right and up, at places of the result."""
    displacement, spacing, seed = given
    shorter = min(height, width)
    step = spacing * shorter
    shape = [math.ceil(round(size / step, 9)) + 3 for size in (height, width)]
    rng = np.random.Generator(np.random.Philox(key=int(seed)))
    grid = rng.standard_normal((2, *shape), dtype=np.float32).astype(float)
    # Knots lie at whole multiples of the spacing from the picture's outer edge; the first is one
    # before it. The mean over a cell of the sum of squared weights is 151/315 along each axis.
    at = [(height / 2 - up) / step + 1, (width / 2 + x) / step + 1]
    right, down = (
        ndimage.map_coordinates(plane, at, order=3, prefilter=False, mode="grid-constant")
        for plane in grid
    )
    strength = displacement * shorter * 315 / 151
    return strength * right, -strength * down


def warped(operations, pixels, *, border="reflect", fill=(0, 0, 0), interpolation="bilinear"):
    """Sample a picture at the places of a chain; levels as floats, cut but not rounded."""
    x, y = places(operations, *pixels.shape[:2])
    sample = {"nearest": nearest, "bilinear": bilinear, "bicubic": bicubic}[interpolation]
    planes = [sample(pixels[..., i].astype(float), x, y, border, fill[i]) for i in range(3)]
    return np.stack(planes, axis=-1).clip(0, 255)


def moved(operations, pixels, *, border, fill, is_crossed):
    """Look up the pixels of a chain that only moves them."""
    x, y = whole_places(operations, *pixels.shape[:2], is_crossed=is_crossed)
    planes = [at_pixel(pixels[..., i], y, x, border, fill[i]) for i in range(3)]
    return np.stack(planes, axis=-1)


def bilinear(plane, x, y, border, fill):
    """Weigh the four pixels around each place."""
    return ndimage.map_coordinates(
        plane, [y, x], order=1, mode=SCIPY_BORDERS[border], cval=float(fill)
    )


def nearest(plane, x, y, border, fill):
    """Take the pixel nearest to each place."""
    return ndimage.map_coordinates(
        plane, [y, x], order=0, mode=SCIPY_BORDERS[border], cval=float(fill)
    )


def bicubic(plane, x, y, border, fill):
    """Weigh the sixteen pixels around each place by Keys' kernel with a = −0.75."""
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros(x.shape)
    for row in range(-1, 3):
        for column in range(-1, 3):
            weight = keys(x - left - column) * keys(y - top - row)
            total += weight * at_pixel(plane, top + row, left + column, border, fill)
    return total


def keys(distance, a=-0.75):
    """Evaluate Keys' cubic convolution kernel (1981)."""
    t = np.abs(distance)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def at_pixel(plane, row, column, border, fill):
    """Look pixels up, places outside by the rule of the border."""
    height, width = plane.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    if border == "reflect":
        row, column = mirrored(row, height), mirrored(column, width)
    found = plane[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.where(inside, found, fill) if border == "constant" else found


def mirrored(place, size):
    """Walk to and fro between the middles of the outermost pixels."""
    if size == 1:
        return np.zeros_like(place)
    period = 2 * (size - 1)
    return (size - 1) - np.abs(place % period - (size - 1))


def smoothed(pixels, covariance):
    """Blur by a Gaussian of a 2 × 2 covariance (x, y), 4 standard deviations wide; mirrored."""
    spread = np.linalg.inv(covariance)
    reach = math.ceil(4 * math.sqrt(np.linalg.eigvalsh(covariance)[-1]))
    total, weights = np.zeros(pixels.shape), 0.0
    height, width = pixels.shape[:2]
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            step = np.array([right, down])
            weight = math.exp(-step @ spread @ step / 2)
            rows = mirrored(np.arange(height) + down, height)
            columns = mirrored(np.arange(width) + right, width)
            total += weight * pixels[np.ix_(rows, columns)]
            weights += weight
    return total / weights
