"""Drawing kernels of the phantom cells: outlines, nuclei, granules, erythrocytes on a canvas.

All lengths are micrometres from the picture's centre, x to the right and y
*up*, as on paper; all angles are degrees, anticlockwise from the right as a
person sees the picture. Only :class:`Canvas` knows pixels.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Points = NDArray[np.float64]

_SUBPIXEL_BITS = 4
_THREAD_UM = 0.2
"""Half the width of the thinnest bridge between two lobes."""


@dataclass(frozen=True)
class Canvas:
    """Hold the size of the picture being drawn: *side_px* pixels across *view_um* micrometres."""

    side_px: int
    view_um: float

    @property
    def px_per_um(self) -> float:
        """Give the magnification."""
        return self.side_px / self.view_um

    def centre(self, reach_um: float) -> "Canvas":
        """Give the middle of this canvas, as much as holds everything within *reach_um*."""
        half = math.ceil(reach_um * self.px_per_um) + 2
        side = min(self.side_px, 2 * half + self.side_px % 2)
        return Canvas(side, side / self.px_per_um)

    def within(self, larger: "Canvas") -> tuple[slice, slice]:
        """Give the place of this canvas in the middle of a larger one of equal parity."""
        first = (larger.side_px - self.side_px) // 2
        place = slice(first, first + self.side_px)
        return place, place

    def empty(self) -> Plane:
        """Make a plane of nothing: float32 *(side_px, side_px)*."""
        return np.zeros((self.side_px, self.side_px), np.float32)

    def to_px(self, points_um: Points) -> Points:
        """Turn points *(n, 2)* in micrometres into pixel coordinates (column, row)."""
        return points_um * (self.px_per_um, -self.px_per_um) + (self.side_px - 1) / 2


def unit(angle_deg: float) -> Points:
    """Give the vector of length one at an angle, shape *(2,)*."""
    angle = math.radians(angle_deg)
    return np.array([math.cos(angle), math.sin(angle)])


def turned(points: Points, angle_deg: float) -> Points:
    """Turn points *(n, 2)* about the origin, anticlockwise."""
    along = unit(angle_deg)
    return np.asarray(points @ np.array([along, [-along[1], along[0]]]))


def stretched(points: Points, ratio: float, axis_deg: float) -> Points:
    """Stretch points *(n, 2)* along an axis so that length : width is *ratio*, area kept."""
    along = turned(points, -axis_deg) * (math.sqrt(ratio), 1 / math.sqrt(ratio))
    return turned(along, axis_deg)


def noise_field(rng: np.random.Generator, canvas: Canvas, grain_um: float) -> Plane:
    """Draw a smooth random field of about unit spread whose blots are *grain_um* across."""
    side = max(4, round(canvas.view_um / grain_um))
    coarse = rng.standard_normal((side, side), np.float32)
    size = (canvas.side_px, canvas.side_px)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)


def outline(rng: np.random.Generator, radius_um: float, roughness: float) -> Points:
    """Draw a closed outline: a circle whose radius carries random waves of isotropic phase.

    Parameters
    ----------
    rng : numpy.random.Generator
    radius_um : float
        Mean radius.
    roughness : float
        Standard deviation of the radius, relative to the mean.

    Returns
    -------
    ndarray, shape (72, 2)
        Points in micrometres about the origin.
    """
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    order = np.arange(2, 8)
    size = roughness * rng.standard_normal(order.size) / np.sqrt(order - 1)
    phase = rng.uniform(0, 2 * np.pi, order.size)
    radius = radius_um * np.exp(np.cos(np.outer(angle, order) + phase) @ size)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def filled(canvas: Canvas, *outlines_um: Points) -> Plane:
    """Fill outlines; 1 inside, 0 outside, the edges softened over about two pixels."""
    mask = np.zeros((canvas.side_px, canvas.side_px), np.uint8)
    for points in outlines_um:
        corners = np.round(canvas.to_px(points) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_8, _SUBPIXEL_BITS)
    return _softened(mask)


def beads(canvas: Canvas, centres_um: Points, radii_um: Points) -> Plane:
    """Fill the union of discs; 1 inside, 0 outside, the edge softened over about two pixels."""
    mask = np.zeros((canvas.side_px, canvas.side_px), np.uint8)
    for x, y, radius in _discs(canvas, centres_um, radii_um):
        cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_8, _SUBPIXEL_BITS)
    return _softened(mask)


def stamped(canvas: Canvas, centres_um: Points, radii_um: Points, values: Points) -> Plane:
    """Draw discs one over the other, each with its own value, on an empty plane."""
    plane = canvas.empty()
    discs = _discs(canvas, centres_um, radii_um)
    for (x, y, radius), value in zip(discs, values.tolist(), strict=True):
        cv2.circle(plane, (x, y), radius, value, -1, cv2.LINE_8, _SUBPIXEL_BITS)
    return plane


def scattered(rng: np.random.Generator, outline_um: Points, count: int) -> Points:
    """Scatter points evenly over the inside of a star-shaped outline, shape *(count, 2)*."""
    place = rng.uniform(0, len(outline_um), count)
    before = place.astype(int)
    share = (place - before)[:, None]
    rim = outline_um[before] * (1 - share) + outline_um[(before + 1) % len(outline_um)] * share
    return np.asarray(rim * np.sqrt(rng.uniform(0, 1, count))[:, None])


def spine(rng: np.random.Generator, length_um: float, bend_deg: float, wiggle_deg: float) -> Points:
    """Draw the middle line of a nucleus: an arc that opens upwards, its mean at the origin.

    Parameters
    ----------
    rng : numpy.random.Generator
    length_um : float
        Length of the line.
    bend_deg : float
        How far the line turns from one end to the other; 0 is straight, 360 a closed ring.
    wiggle_deg : float
        Spread of a wave added to the heading, which makes S and Z shapes.

    Returns
    -------
    ndarray, shape (49, 2)
    """
    place = (np.arange(48) + 0.5) / 48 - 0.5
    wave = wiggle_deg * rng.standard_normal() * np.sin(2 * np.pi * (place + rng.uniform()))
    heading = np.radians(bend_deg * place + wave)
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (length_um / 48)
    line = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    return np.asarray(line - line.mean(axis=0))


def half_widths(
    rng: np.random.Generator,
    lobe_um: float,
    lobes: int,
    *,
    constriction: float,
    spacing: float,
    closed: bool,
) -> Points:
    """Narrow an even sausage between its lobes.

    Parameters
    ----------
    rng : numpy.random.Generator
        Gives each lobe its own size and the outline its unevenness.
    lobe_um : float
        Half the width of a lobe.
    lobes : int
        Number of lobes along the spine, 1 or more.
    constriction : float
        0 leaves the width even; 1 leaves a thread between neighbouring lobes.
    spacing : float
        Distance of neighbouring lobes in widths of a lobe; above 1.12 lobes are longer than wide.
    closed : bool
        Whether the spine is a ring, with as many bridges as lobes.

    Returns
    -------
    ndarray, shape (49,)
        Half the width in micrometres along the spine.
    """
    place = np.linspace(0, 1, 49)
    along = place * lobes + rng.uniform() if closed else 0.5 + place * (lobes - 1)
    # Discs are drawn along the spine, so that a lobe reaches its own radius beyond its flat part.
    flat = rng.uniform(0.4, 1) * max(0.0, spacing - 1.12) / (2 * spacing)
    # At least one point of the spine falls on each lobe.
    profile = np.abs(along % 1 - 0.5) <= max(flat, 0.55 * lobes / 48)
    size = rng.uniform(0.85, 1.08, lobes)[np.minimum(along.astype(int) % lobes, lobes - 1)]
    uneven = np.interp(place, np.linspace(0, 1, 9), 1 + 0.04 * rng.standard_normal(9))
    width = lobe_um * size * uneven * np.where(profile, 1, 1 - constriction)
    return np.asarray(np.maximum(width, _THREAD_UM))


def add_erythrocyte(
    plane: Plane,
    canvas: Canvas,
    centre_um: Points,
    *,
    radius_um: float,
    ratio: float,
    axis_deg: float,
    pallor: float,
) -> None:
    """Add the thickness of one erythrocyte to a plane, in place.

    The thickness across a discocyte follows Evans and Fung (1972), "Improved
    measurements of the erythrocyte geometry", divided by its greatest value.

    Parameters
    ----------
    plane : ndarray, float32, shape (side, side)
        Overlapping cells add up, as their absorbances do.
    canvas : Canvas
    centre_um : ndarray, shape (2,)
        May lie outside the picture.
    radius_um, ratio, axis_deg : float
        Size, length : width, and direction of the length.
    pallor : float
        1 for the formula's central pallor, 0 for a flat disc, above 1 for a paler centre.
    """
    column, row = canvas.to_px(centre_um[None])[0]
    reach = radius_um * math.sqrt(ratio) * canvas.px_per_um + 1
    left, right = _clipped(column, reach, canvas.side_px)
    top, bottom = _clipped(row, reach, canvas.side_px)
    if left >= right or top >= bottom:
        return
    x = (np.arange(left, right) - column) / (canvas.px_per_um * radius_um)
    y = (row - np.arange(top, bottom))[:, None] / (canvas.px_per_um * radius_um)
    cosine, sine = unit(axis_deg)
    # Squared distance from the centre in units of the radius: a quadratic form in x and y.
    xx, yy = cosine**2 / ratio + sine**2 * ratio, sine**2 / ratio + cosine**2 * ratio
    rho = (2 * cosine * sine * (1 / ratio - ratio) * y).astype(np.float32) * x.astype(np.float32)
    rho += (xx * x * x).astype(np.float32)
    rho += (yy * y * y).astype(np.float32)
    np.minimum(rho, 1, out=rho)
    thickness = _thickness(pallor)
    plane[top:bottom, left:right] += thickness[(rho * (len(thickness) - 1)).astype(np.intp)]


def _thickness(pallor: float) -> Plane:
    """Tabulate the thickness against the squared distance from the centre, 0 to 1."""
    rho = np.linspace(0, 1, 257, dtype=np.float32)
    edge = np.sqrt(1 - rho)
    disc = edge * (0.315 + 3.047 * rho - 1.708 * rho * rho)
    return np.asarray(pallor * disc + (1 - pallor) * np.minimum(1.6 * edge, 0.85), np.float32)


def _clipped(centre: float, reach: float, side: int) -> tuple[int, int]:
    return max(0, math.floor(centre - reach)), min(side, math.ceil(centre + reach) + 1)


def _softened(mask: NDArray[np.uint8]) -> Plane:
    return np.asarray(cv2.blur(mask.astype(np.float32) / 255, (3, 3)), np.float32)


def _discs(canvas: Canvas, centres_um: Points, radii_um: Points) -> list[tuple[int, int, int]]:
    scale = 1 << _SUBPIXEL_BITS
    centres = np.round(canvas.to_px(centres_um) * scale).astype(int)
    radii = np.round(radii_um * canvas.px_per_um * scale).astype(int)
    return [(x, y, r) for (x, y), r in zip(centres.tolist(), radii.tolist(), strict=True)]
