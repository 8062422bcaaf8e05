"""Draw one picture: a leukocyte in the middle, erythrocytes behind it, platelets around."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from leukoscope.intake import phantom_shapes as shapes
from leukoscope.intake.phantom_lobes import lobe_count
from leukoscope.intake.phantom_shapes import Canvas, Plane, Points
from leukoscope.intake.phantom_styles import RING_LOBE_UM, Style

SEGMENTED_AT = 2 / 3
"""Constriction from which bridges are narrow enough to part lobes, unless lobes overlap."""

_OPEN_BEND_DEG = (110.0, 200.0)
"""Bend of a nucleus that shows plainly where it opens to."""

_RING_SPACING = 1.5
"""Distance of neighbouring lobes of a ring, in widths of a lobe."""

_ROOM_UM = 0.35
"""Cytoplasm left between nucleus and border."""


@dataclass(frozen=True)
class Pose:
    """Hold how a cell and its neighbourhood lie in the picture."""

    turn_deg: float
    """Where the nucleus opens to; its body lies to the other side."""
    stretch: float
    """Length : width of the cell."""
    stretch_deg: float
    """Direction of the cell's length."""
    erythrocyte_stretch_range: tuple[float, float]
    """Length : width of the erythrocytes."""
    erythrocyte_deg: float | None
    """Direction of their length; None gives each its own."""
    clear: bool
    """Whether the nucleus is to lie well off the centre and open wide, so that turn is plain."""
    concentric: bool
    """Whether the nucleus is round or a ring about the centre, so that there is no turn."""


@dataclass(frozen=True)
class Drawing:
    """Hold a drawn cell before it is stained and lit."""

    densities: NDArray[np.float32]
    """Dye densities, shape (side, side, 4)."""
    cell: Plane
    """1 inside the leukocyte, 0 outside."""
    nucleus: Plane
    """1 inside the nucleus, 0 outside."""
    nucleus_um: Points
    """Discs whose union is the nucleus: x, y and radius, shape (n, 3)."""
    lobes: int
    """Number of separate nuclear lobes."""


@dataclass(frozen=True)
class _NucleusPlan:
    spine_um: Points
    half_widths_um: Points


def draw(
    rng: np.random.Generator, canvas: Canvas, style: Style, pose: Pose, constriction: float
) -> Drawing:
    """Draw one leukocyte in its surroundings.

    Parameters
    ----------
    rng : numpy.random.Generator
        Everything that is not given comes from here.
    canvas : Canvas
    style : Style
        What kind of leukocyte.
    pose : Pose
        How it lies.
    constriction : float
        Narrowing of the nucleus between lobes, 0 to 1.

    Returns
    -------
    Drawing
    """
    radius_um = rng.uniform(*style.radius_um_range)
    border = shapes.outline(rng, radius_um, style.roughness)
    border = shapes.stretched(border, pose.stretch, pose.stretch_deg)
    nucleus = _plan_nucleus(rng, style, pose, constriction, border)
    # The picture is trimmed about the cell by a machine, which misses its centre a little.
    shift = np.clip(rng.normal(0, 0.4, 2), -1, 1)
    border = border + shift
    inner = canvas.centre(float(np.abs(border).max()) + style.granules.radius_um_range[1])
    planes, cell, core = _leukocyte(rng, inner, style, border, nucleus, shift)
    place = inner.within(canvas)
    whole, whole_core = canvas.empty(), canvas.empty()
    whole[place], whole_core[place] = cell, core
    scene = _surroundings(rng, canvas, pose, radius_um)
    # A little of an erythrocyte shows through the leukocyte that lies on it.
    scene[place] *= 1 - np.array([1, 1, 1, 0.94], np.float32) * cell[..., None]
    scene[(*place, slice(3))] += planes
    discs = np.column_stack([nucleus.spine_um + shift, nucleus.half_widths_um])
    return Drawing(scene, whole, whole_core, discs, lobe_count(discs))


def _leukocyte(
    rng: np.random.Generator,
    canvas: Canvas,
    style: Style,
    border: Points,
    nucleus: _NucleusPlan,
    shift: Points,
) -> tuple[NDArray[np.float32], Plane, Plane]:
    """Draw the leukocyte alone: its dyes, where it is, where its nucleus is."""
    cell = shapes.filled(canvas, border)
    core = shapes.beads(canvas, nucleus.spine_um + shift, nucleus.half_widths_um) * cell
    planes = _cytoplasm(rng, canvas, style, cell)
    _pierce(rng, canvas, style, planes, border)
    grains, grain_mask = _granules(rng, canvas, style, border)
    _lay(planes, grains, grain_mask * (1 - core))
    _lay(planes, _chromatin(rng, canvas, style, core), core)
    _lay(planes, grains, grain_mask * core * np.float32(style.granules.over_nucleus))
    return planes, np.maximum(cell, grain_mask), core


def _plan_nucleus(
    rng: np.random.Generator, style: Style, pose: Pose, constriction: float, border: Points
) -> _NucleusPlan:
    nucleus = style.nucleus
    counts = tuple(RING_LOBE_UM) if pose.concentric and _is_lobed(style) else tuple(nucleus.lobe_um)
    shares = nucleus.shares if len(counts) == len(nucleus.shares) else None
    count = int(rng.choice(counts, p=shares))
    spacing = rng.uniform(*nucleus.spacing_range)
    free = rng.uniform(*style.free_share_range)
    if pose.concentric:
        line, widths = _concentric_nucleus(rng, style, count, constriction)
        free = 0.0
    else:
        bend = rng.uniform(*(_OPEN_BEND_DEG if pose.clear else nucleus.bend_deg[count]))
        wiggle = 0.0 if pose.clear else nucleus.wiggle_deg
        lobe = nucleus.lobe_um[count] * rng.uniform(0.92, 1.08)
        line = shapes.spine(rng, 2 * lobe * spacing * max(count - 1, 1), bend, wiggle)
        line = shapes.turned(line, pose.turn_deg - 90)
        widths = shapes.half_widths(
            rng, lobe, count, constriction=constriction, spacing=spacing, closed=False
        )
        free = max(free, 0.7) if pose.clear else free
    line, widths = _fitted(line, widths, border, free, pose.turn_deg + 180)
    return _NucleusPlan(line, widths)


def _is_lobed(style: Style) -> bool:
    allowed = style.nucleus.constriction_range
    return allowed is None or allowed[1] >= SEGMENTED_AT


def _concentric_nucleus(
    rng: np.random.Generator, style: Style, count: int, constriction: float
) -> tuple[Points, Points]:
    """Draw a ring of lobes for lobed kinds, else a disc of the same area as an ordinary nucleus."""
    if _is_lobed(style):
        lobe = RING_LOBE_UM[count]
        line = shapes.spine(rng, 2 * lobe * _RING_SPACING * count, 360, 0)
        # The ring starts anywhere, so that its bridges have no direction.
        line = shapes.turned(line, rng.uniform(0, 360))
        return line, shapes.half_widths(
            rng, lobe, count, constriction=constriction, spacing=_RING_SPACING, closed=True
        )
    lobe = style.nucleus.lobe_um[count] * (1.0 if count == 1 else 1.45)
    line = shapes.outline(rng, 0.08 * lobe, 0.2)
    return line, np.full(len(line), lobe * rng.uniform(0.92, 1.05))


def _fitted(
    line: Points, widths: Points, border: Points, free: float, towards_deg: float
) -> tuple[Points, Points]:
    """Shrink a nucleus that is too large for its cell, then move it off the centre."""
    angle = np.arctan2(border[:, 1], border[:, 0])
    reach = np.hypot(border[:, 0], border[:, 1])
    order = np.argsort(angle)
    room = np.interp(
        np.arctan2(line[:, 1], line[:, 0]), angle[order], reach[order], period=2 * np.pi
    )
    room = np.maximum(room - _ROOM_UM, 0.5)
    scale = min(1.0, float((room / (np.hypot(line[:, 0], line[:, 1]) + widths)).min()))
    line, widths = line * scale, widths * scale
    inner = float(reach.min()) - _ROOM_UM
    along = shapes.unit(towards_deg)
    # |line + s along| + width <= inner, solved for the largest s, point by point.
    across = line @ along
    slack = np.maximum(inner - widths, 0) ** 2 - (line**2).sum(axis=1) + across**2
    furthest = float((np.sqrt(np.maximum(slack, 0)) - across).min())
    return line + max(0.0, furthest) * free * along, widths


def _cytoplasm(
    rng: np.random.Generator, canvas: Canvas, style: Style, cell: Plane
) -> NDArray[np.float32]:
    blots = 1 + style.mottle * shapes.noise_field(rng, canvas, 1.6)
    deep = cv2.GaussianBlur(cell, (0, 0), 1.2 * canvas.px_per_um)
    body = cell * np.maximum(blots, 0.2) * (1 + style.rim * (2 - 2 * deep))
    planes = body[..., None] * np.array(style.cytoplasm, np.float32)
    if style.dust:
        grain = np.maximum(shapes.noise_field(rng, canvas, 0.42), 0) * cell * style.dust
        planes[..., 0] += grain
        planes[..., 2] += grain
    return np.asarray(planes, np.float32)


def _pierce(
    rng: np.random.Generator,
    canvas: Canvas,
    style: Style,
    planes: NDArray[np.float32],
    border: Points,
) -> None:
    """Take the dye out of vacuoles, in place."""
    low, high = style.vacuoles_range
    count = int(rng.integers(low, high + 1))
    if count:
        centres = shapes.scattered(rng, border * 0.92, count)
        hole = shapes.beads(canvas, centres, rng.uniform(0.28, 0.75, count))
        planes *= 1 - 0.8 * hole[..., None]


def _granules(
    rng: np.random.Generator, canvas: Canvas, style: Style, border: Points
) -> tuple[NDArray[np.float32], Plane]:
    """Draw the granules' dye, shape (side, side, 3), and where they are."""
    granules = style.granules
    count = int(rng.integers(granules.count_range[0], granules.count_range[1] + 1))
    radii = rng.uniform(*granules.radius_um_range, count)
    inner = border - (border - border.mean(axis=0)) * (0.8 * granules.radius_um_range[1] / 6)
    centres = shapes.scattered(rng, inner - border.mean(axis=0), count) + border.mean(axis=0)
    depth = rng.uniform(0.7, 1.15, count)
    stamp = shapes.stamped(canvas, centres, radii, depth)
    dye = cv2.blur(stamp, (3, 3))[..., None] * np.array(granules.density, np.float32)
    where = np.asarray(cv2.blur(np.sign(stamp), (3, 3)), np.float32)
    return np.asarray(dye, np.float32), where


def _chromatin(
    rng: np.random.Generator, canvas: Canvas, style: Style, core: Plane
) -> NDArray[np.float32]:
    """Draw clumps, and the darker line of chromatin along the membrane, shape (side, side, 3)."""
    nucleus = style.nucleus
    clumps = np.tanh(1.3 * shapes.noise_field(rng, canvas, nucleus.clump_um))
    clumps += 0.5 * shapes.noise_field(rng, canvas, 0.5 * nucleus.clump_um)
    membrane = core - cv2.GaussianBlur(core, (0, 0), 0.5 * canvas.px_per_um)
    density = nucleus.density * (1 + nucleus.contrast * clumps + 0.35 * np.maximum(membrane, 0))
    violet = np.maximum(density, 0.2).astype(np.float32)
    return np.asarray(cv2.merge([violet, np.full_like(violet, 0.12), canvas.empty()]), np.float32)


def _lay(planes: NDArray[np.float32], other: NDArray[np.float32], share: Plane) -> None:
    """Replace a share of the dye by another dye, in place."""
    planes += share[..., None] * (other - planes)


def _surroundings(
    rng: np.random.Generator, canvas: Canvas, pose: Pose, radius_um: float
) -> NDArray[np.float32]:
    """Draw the erythrocytes and platelets around a leukocyte, shape (side, side, 4)."""
    red = canvas.empty()
    half = canvas.view_um / 2 + 3.5
    for centre in _strewn(rng, half, 0.0125):
        # Erythrocytes yield to the leukocyte, but not altogether.
        if math.hypot(*centre) < radius_um + rng.uniform(1.2, 3.4):
            continue
        own = rng.uniform(0, 180)
        shapes.add_erythrocyte(
            red,
            canvas,
            centre,
            radius_um=3.6 * rng.normal(1, 0.06),
            ratio=rng.uniform(*pose.erythrocyte_stretch_range),
            axis_deg=own if pose.erythrocyte_deg is None else pose.erythrocyte_deg,
            pallor=1.25 * rng.beta(6, 1.2),
        )
    # In a dried smear cells that overlap flatten one another: thicknesses do not quite add up.
    red /= 1 + 0.25 * red
    places = [at for at in _strewn(rng, half, 0.0016) if math.hypot(*at) > radius_um + 2]
    body, grains = _platelets(rng, canvas, places)
    violet = 0.16 * body + 0.45 * grains
    return np.asarray(cv2.merge([violet, 0.14 * body, 0.1 * grains, red]), np.float32)


def _strewn(rng: np.random.Generator, half_um: float, per_um2: float) -> Points:
    """Strew points over a square at a mean density, shape (n, 2)."""
    return rng.uniform(-half_um, half_um, (rng.poisson(per_um2 * (2 * half_um) ** 2), 2))


def _platelets(
    rng: np.random.Generator, canvas: Canvas, centres: list[Points]
) -> tuple[Plane, Plane]:
    """Draw the bodies of platelets and the granules in their middles."""
    if not centres:
        return canvas.empty(), canvas.empty()
    borders = [shapes.outline(rng, rng.uniform(0.8, 1.6), 0.12) for _ in centres]
    body = shapes.filled(canvas, *(b + at for b, at in zip(borders, centres, strict=True)))
    grains = [
        shapes.scattered(rng, 0.7 * b, 7) + at for b, at in zip(borders, centres, strict=True)
    ]
    middle = np.concatenate(grains)
    return body, shapes.beads(canvas, middle, rng.uniform(0.15, 0.35, len(middle))) * body
