"""Geometry of a chain as one map: where in the picture each place of the result is found.

Places are offsets in pixels from the centre, x to the right and y downwards. Operations map
the picture onto the result; a map goes the other way, as resampling needs it.
"""

import math
from dataclasses import dataclass

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.step import Operation

Affine = tuple[float, float, float, float, float, float]
"""(a, b, s, c, d, t): x becomes a x + b y + s, and y becomes c x + d y + t.

Plain numbers: for six of them an array costs more than the arithmetic."""
IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

GEOMETRY = frozenset(
    {
        "rotation_deg",
        "flip_horizontal",
        "flip_vertical",
        "transposition",
        "scaling",
        "shift",
        "shear_deg",
        "lens",
        "elastic",
    }
)
"""Names of the operations that move what is seen."""

_FLIPS: dict[str, Affine] = {
    "flip_horizontal": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "flip_vertical": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "transposition": (0.0, 1.0, 0.0, 1.0, 0.0, 0.0),
}
LEAST_FACTOR = 2 / 3
"""What a lens multiplies radii by at least; where r (1 + k r²) is highest, 1 + k r² is 2/3."""
_ROUNDING = 1e-12
_EXTREME = 13.0
"""Displacements of an elastic field, in units of its standard deviation, that none exceeds."""


@dataclass(frozen=True)
class Lens:
    """Bring a place at radius r to r (1 + strength r²), r in units of *radius_px*.

    A negative strength would turn back where the factor in brackets falls to 2/3, and show the
    picture once more, inside out: from there on the factor stays 2/3 (:data:`LEAST_FACTOR`).
    """

    strength: float
    radius_px: float


@dataclass(frozen=True)
class Elastic:
    """Move places by a smooth random field laid over the result."""

    displacement_px: float
    spacing_px: float
    seed: int


@dataclass(frozen=True)
class Map:
    """Hold what leads from a place of the result to its place in the picture.

    First the fields are added, then the stages follow one another.
    """

    fields: tuple[Elastic, ...]
    stages: tuple[Affine | Lens, ...]

    def affine(self) -> Affine | None:
        """Give the map as one affine map, or None if it bends lines."""
        if self.fields or len(self.stages) > 1:
            return None
        only = self.stages[0] if self.stages else IDENTITY
        return None if isinstance(only, Lens) else only

    def around_lens(self) -> tuple[Affine, Lens, Affine] | None:
        """Give what goes before the map's one lens, the lens, and what follows it.

        None for any other map, and for a lens alone.
        """
        lenses = [stage for stage in self.stages if isinstance(stage, Lens)]
        if self.fields or len(lenses) != 1 or len(self.stages) not in (2, 3):
            return None
        first, last = self.stages[0], self.stages[-1]
        before = IDENTITY if isinstance(first, Lens) else first
        return before, lenses[0], IDENTITY if isinstance(last, Lens) else last


def map_of(drawn: Draw, height: int, width: int) -> Map:
    """Compose the geometry of a draw, for a picture of one size.

    Parameters
    ----------
    drawn : Draw
        The drawn parameters; operations of light, focus and occlusion are passed over.
    height, width : int
        The picture's, pixels.

    Returns
    -------
    Map
        From the result to the picture. Chains of moves that end at a multiple of 90° and at
        whole pixels hold whole numbers exactly.
    """
    fields: list[Elastic] = []
    stages: list[Affine | Lens] = []
    affine = IDENTITY
    for operation in drawn.operations:
        name, given = operation
        if name not in GEOMETRY:
            continue
        if name == "elastic":
            shorter = min(height, width)
            if given[0] > 0:
                fields.append(Elastic(given[0] * shorter, given[1] * shorter, int(given[2])))
        elif name == "lens":
            if given[0] != 0:
                stages += [*_backwards(affine), Lens(given[0], _corner_px(height, width))]
                affine = IDENTITY
        else:
            affine = compose(_forwards(operation, height, width), affine)
    return Map(tuple(fields), tuple(reversed([*stages, *_backwards(affine)])))


def compose(last: Affine, first: Affine) -> Affine:
    """Do one affine map after another."""
    a, b, s, c, d, t = last
    e, f, u, g, h, v = first
    return (
        a * e + b * g,
        a * f + b * h,
        a * u + b * v + s,
        c * e + d * g,
        c * f + d * h,
        c * u + d * v + t,
    )


def inverse(affine: Affine) -> Affine:
    """Undo an affine map; one that is exact (see :func:`is_exact`) is undone exactly."""
    a, b, s, c, d, t = affine
    det = a * d - b * c
    # Adding 0 turns -0 into 0.
    a, b, c, d = d / det + 0.0, -b / det + 0.0, -c / det + 0.0, a / det + 0.0
    return a, b, -(a * s + b * t) + 0.0, c, d, -(c * s + d * t) + 0.0


def from_corner(affine: Affine, height: int, width: int) -> Affine:
    """Let a map about the centre count from the middle of the first pixel."""
    a, b, s, c, d, t = affine
    x0, y0 = (width - 1) / 2, (height - 1) / 2
    return a, b, s + x0 - a * x0 - b * y0, c, d, t + y0 - c * x0 - d * y0


def linear_part(route: Map) -> tuple[float, float, float, float]:
    """Multiply the affine stages of a map without their shifts, (a, b, c, d); lenses count as 1."""
    whole = IDENTITY
    for stage in route.stages:
        if not isinstance(stage, Lens):
            whole = compose(stage, whole)
    return whole[0], whole[1], whole[3], whole[4]


def reach_px(route: Map, height: int, width: int) -> float:
    """Bound how far from the centre of a picture its map looks for the pixels of the result."""
    reach = math.hypot(height, width) / 2
    reach += sum(_EXTREME * field.displacement_px for field in route.fields)
    for stage in route.stages:
        if isinstance(stage, Lens):
            reach *= 1 + abs(stage.strength) * (reach / stage.radius_px) ** 2
        else:
            a, b, s, c, d, t = stage
            stretch = math.hypot(a + d, c - b) / 2 + math.hypot(a - d, b + c) / 2
            reach = reach * stretch + math.hypot(s, t)
    return reach


def is_exact(affine: Affine) -> bool:
    """Tell whether a map only exchanges, negates and shifts axes by whole pixels."""
    a, b, s, c, d, t = affine
    straight = abs(a) == abs(d) == 1 and b == c == 0
    crossed = abs(b) == abs(c) == 1 and a == d == 0
    return (straight or crossed) and s == round(s) and t == round(t)


def _backwards(affine: Affine) -> list[Affine | Lens]:
    # Rounding in a chain must not turn a move of pixels into a resampling.
    if all(abs(value - round(value)) < _ROUNDING * max(1.0, abs(value)) for value in affine):
        a, b, s, c, d, t = map(float, map(round, affine))
        affine = a, b, s, c, d, t
    return [] if affine == IDENTITY else [inverse(affine)]


def _forwards(operation: Operation, height: int, width: int) -> Affine:
    name, given = operation
    match name:
        case "rotation_deg":
            cosine, sine = _unit(given[0])
            return cosine, sine, 0.0, -sine, cosine, 0.0
        case "scaling":
            return given[0], 0.0, 0.0, 0.0, given[1], 0.0
        case "shift":
            right, down = round(given[0] * width), round(given[1] * height)
            return 1.0, 0.0, float(right), 0.0, 1.0, float(down)
        case "shear_deg":
            across, slope = (math.tan(math.radians(angle)) for angle in given)
            return 1.0, across, 0.0, slope, 1.0 + across * slope, 0.0
        case _:
            return _FLIPS[name]


def _corner_px(height: int, width: int) -> float:
    return math.hypot(height - 1, width - 1) / 2 or 1.0


def _unit(angle_deg: float) -> tuple[float, float]:
    quarter, rest = divmod(angle_deg, 90.0)
    if rest == 0:
        return [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][int(quarter) % 4]
    angle = math.radians(angle_deg)
    return math.cos(angle), math.sin(angle)
