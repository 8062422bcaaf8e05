"""What is measured of a cell: the name, unit, definition and source of every measure.

Nothing is computed here, so that a table's columns can be known without a picture.
"""

from typing import NamedTuple


class Measure(NamedTuple):
    """State one measure."""

    name: str
    """Column of the table; ends in its unit where it has one."""
    unit: str
    """px, px², 1 (a ratio, share or count) or a scale's name."""
    meaning: str
    """What it is."""
    source: str
    """Where the definition comes from."""


_LAB = "CIE 1976 L*a*b*, D65, from sRGB (IEC 61966-2-1)"
_OWN = "defined here"
_SPECTRUM = "pattern spectrum of Maragos 1989, IEEE Trans. PAMI 11:701, per pixel"
N_RADII = 5
"""Number of radii of a granularity spectrum."""
DIAMETER_PX = 64.0
"""Diameter to which a cell is brought before its texture is measured."""


def _of_parts(name: str, unit: str, meaning: str, source: str) -> list[Measure]:
    return [
        Measure(f"{part}_{name}", unit, meaning.format(part=part), source)
        for part in ("cell", "nucleus")
    ]


def _spectrum(part: str) -> list[Measure]:
    return [
        Measure(
            f"{part}_granularity_{radius}",
            "OD",
            f"mean optical density (-log10 of luminance) of the {part} that openings by discs "
            f"of radius {radius} px and more take away beyond radius {radius - 1}, the cell "
            f"brought to a diameter of {DIAMETER_PX:.0f} px; a stronger lamp changes nothing",
            _SPECTRUM,
        )
        for radius in range(1, N_RADII + 1)
    ]


def _colours(part: str) -> list[Measure]:
    return [
        Measure(f"{part}_{axis}_{kind}", "L*a*b*", f"{meaning} of {letter} in the {part}", _LAB)
        for kind, meaning in (("mean", "mean"), ("spread", "standard deviation"))
        for axis, letter in (("lightness", "L*"), ("red_green", "a*"), ("yellow_blue", "b*"))
    ]


MEASURES: tuple[Measure, ...] = (
    *_of_parts("area_px2", "px²", "number of pixels of the {part}", _OWN),
    Measure("cytoplasm_area_px2", "px²", "number of pixels of the cell outside its nucleus", _OWN),
    *_of_parts("diameter_px", "px", "diameter of a disc of the {part}'s area", "ISO 9276-6:2008"),
    Measure("nucleus_to_cytoplasm", "1", "area of the nucleus over that of the cytoplasm", _OWN),
    Measure("nucleus_share", "1", "area of the nucleus over that of the whole cell", _OWN),
    *_of_parts(
        "circularity",
        "1",
        "4π area over squared perimeter of the {part} (Crofton): Cox's form factor, which is the "
        "square of what ISO 9276-6 calls circularity",
        "Cox 1927",
    ),
    *_of_parts("solidity", "1", "area of the {part} over that of its convex hull", _OWN),
    *_of_parts(
        "elongation",
        "1",
        "long over short axis of the ellipse with the {part}'s second moments",
        "Haralick & Shapiro 1992",
    ),
    Measure("nucleus_offset", "1", "distance of the centroids over the cell's half diameter", _OWN),
    Measure("nucleus_parts", "1", "pieces of the nucleus that do not touch", _OWN),
    Measure(
        "lobe_count",
        "1",
        "parts of the nucleus, each a twentieth of it or more, that lie apart or touch only by "
        "bridges of at most a third of the smaller lobe's width",
        "defined here, third and twentieth alike: laboratories agree on no border, and some count "
        "a lobe only beyond a thread",
    ),
    Measure(
        "bridge_width_px",
        "px",
        "width of the narrowest bridge between two lobes; 0 where lobes lie apart, empty with one "
        "lobe",
        _OWN,
    ),
    Measure(
        "neck_ratio",
        "1",
        "width of the nucleus at its deepest narrowing over that of the smaller bulge beside it; "
        "1 if even, 0 where lobes lie apart",
        _OWN,
    ),
    Measure("nucleus_length_px", "px", "length of the nucleus along its middle line", _OWN),
    Measure("nucleus_width_px", "px", "mean width of the nucleus along its middle line", _OWN),
    *_spectrum("nucleus"),
    *_spectrum("cytoplasm"),
    *_colours("nucleus"),
    *_colours("cytoplasm"),
    Measure(
        "colour_contrast",
        "L*a*b*",
        "distance of the mean colours of nucleus and cytoplasm",
        "CIE 1976 ΔE*ab",
    ),
    Measure(
        "focus",
        "1",
        f"mean squared Laplacian over the variance of L*, both within the cell, brought to a "
        f"diameter of {DIAMETER_PX:.0f} px; a stronger lamp changes nothing",
        "after Subbarao et al. 1993 and Pertuz et al. 2013",
    ),
)

NAMES = tuple(measure.name for measure in MEASURES)
LENGTHS = tuple(name for name in NAMES if name.endswith("_px"))
AREAS = tuple(name for name in NAMES if name.endswith("_px2"))
"""Measures that have a twin in micrometres where the scale is known: ``_um`` and ``_um2``."""
TWINS = {name: name.replace("_px", "_um") for name in NAMES if name in LENGTHS + AREAS}
"""Name of the twin in micrometres of each length and area."""
COLUMNS = (*NAMES, *TWINS.values())
"""All names in a table of measures, in their order."""
