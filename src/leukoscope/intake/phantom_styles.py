"""How each kind of leukocyte looks under May-Grünwald-Giemsa: numbers only, no drawing.

Sizes follow the usual descriptions of dried smears (erythrocyte 7.2 µm,
neutrophil 12-14 µm, monocyte 14-18 µm, small lymphocyte 8-11 µm). Densities are
those of :data:`leukoscope.intake.phantom_stain.DYES`, without haemoglobin:
violet, blue, eosin.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Range = tuple[float, float]
Density = tuple[float, float, float]


@dataclass(frozen=True)
class Nucleus:
    """Hold the ranges from which a nucleus is drawn."""

    lobe_um: Mapping[int, float]
    """Half the width of a lobe, by number of lobes."""
    shares: tuple[float, ...]
    """How often each number of lobes occurs, in the order of *lobe_um*."""
    spacing_range: Range
    """Distance between neighbouring lobes, in widths of a lobe."""
    bend_deg: Mapping[int, Range]
    """How far the spine turns from end to end, by number of lobes."""
    wiggle_deg: float
    """Spread of the spine's departure from an arc."""
    constriction_range: Range | None
    """Narrowing between lobes; None where the category itself is a matter of narrowing."""
    density: float
    """Violet of the chromatin."""
    clump_um: float
    """Size of the chromatin clumps."""
    contrast: float
    """Relative spread of the chromatin's density."""


@dataclass(frozen=True)
class Granules:
    """Hold the ranges from which granules are drawn."""

    count_range: tuple[int, int]
    """How many, both ends included."""
    radius_um_range: Range
    """Radius of one granule."""
    density: Density
    """Dye in a granule, in place of the cytoplasm's."""
    over_nucleus: float
    """How much of a granule shows where it lies over the nucleus, 0 to 1."""


@dataclass(frozen=True)
class Style:
    """Hold everything that makes a kind of leukocyte recognisable."""

    radius_um_range: Range
    """Radius of the whole cell."""
    roughness: float
    """Relative spread of the outline's radius."""
    nucleus: Nucleus
    """Shape and chromatin of the nucleus."""
    free_share_range: Range
    """Distance of the nucleus from the centre, as a share of the room there is for it."""
    cytoplasm: Density
    """Dye in the cytoplasm."""
    rim: float
    """How much more cytoplasmic dye there is at the border than at the centre."""
    mottle: float
    """Relative spread of the cytoplasm's dye over larger blots."""
    dust: float
    """Violet and eosin of the grain too fine to see singly."""
    granules: Granules
    """Granules to be seen singly."""
    vacuoles_range: tuple[int, int]
    """How many vacuoles, both ends included."""


_LOBED_BEND = {2: (50, 150), 3: (100, 210), 4: (150, 255), 5: (190, 285)}

NEUTROPHIL = Style(
    radius_um_range=(5.9, 7.1),
    roughness=0.025,
    nucleus=Nucleus(
        lobe_um={2: 2.1, 3: 1.8, 4: 1.58, 5: 1.42},
        shares=(0.15, 0.43, 0.32, 0.1),
        spacing_range=(1.2, 1.55),
        bend_deg=_LOBED_BEND,
        wiggle_deg=22,
        constriction_range=None,
        density=0.98,
        clump_um=0.95,
        contrast=0.3,
    ),
    free_share_range=(0.1, 0.9),
    cytoplasm=(0.035, 0.05, 0.14),
    rim=0.1,
    mottle=0.15,
    dust=0.07,
    granules=Granules((60, 130), (0.14, 0.24), (0.15, 0.02, 0.26), 0.0),
    vacuoles_range=(0, 0),
)

EOSINOPHIL = Style(
    radius_um_range=(6.2, 7.4),
    roughness=0.025,
    nucleus=Nucleus(
        lobe_um={2: 2.15, 3: 1.75},
        shares=(0.8, 0.2),
        spacing_range=(1.2, 1.55),
        bend_deg=_LOBED_BEND,
        wiggle_deg=12,
        constriction_range=(0.72, 0.97),
        density=0.88,
        clump_um=1.0,
        contrast=0.2,
    ),
    free_share_range=(0.5, 1.0),
    cytoplasm=(0.04, 0.04, 0.45),
    rim=0.0,
    mottle=0.2,
    dust=0.0,
    granules=Granules((180, 250), (0.34, 0.5), (0.06, 0.0, 1.05), 0.12),
    vacuoles_range=(0, 0),
)

BASOPHIL = Style(
    radius_um_range=(5.3, 6.5),
    roughness=0.03,
    nucleus=Nucleus(
        lobe_um={2: 2.2, 3: 1.9},
        shares=(0.6, 0.4),
        spacing_range=(0.8, 1.1),
        bend_deg=_LOBED_BEND,
        wiggle_deg=20,
        constriction_range=(0.3, 0.7),
        density=0.78,
        clump_um=1.6,
        contrast=0.15,
    ),
    free_share_range=(0.0, 0.8),
    cytoplasm=(0.14, 0.05, 0.12),
    rim=0.0,
    mottle=0.2,
    dust=0.05,
    granules=Granules((85, 150), (0.32, 0.62), (1.3, 0.2, 0.15), 0.85),
    vacuoles_range=(0, 2),
)

MONOCYTE = Style(
    radius_um_range=(7.0, 8.8),
    roughness=0.055,
    nucleus=Nucleus(
        lobe_um={2: 2.65},
        shares=(1.0,),
        spacing_range=(1.2, 1.9),
        bend_deg={2: (70, 230)},
        wiggle_deg=14,
        constriction_range=(0.02, 0.32),
        density=0.74,
        clump_um=0.75,
        contrast=0.22,
    ),
    free_share_range=(0.2, 0.9),
    cytoplasm=(0.07, 0.46, 0.10),
    rim=0.15,
    mottle=0.2,
    dust=0.07,
    granules=Granules((0, 25), (0.12, 0.2), (0.35, 0.2, 0.1), 0.0),
    vacuoles_range=(0, 14),
)

LYMPHOCYTE = Style(
    radius_um_range=(3.9, 5.7),
    roughness=0.03,
    nucleus=Nucleus(
        lobe_um={1: 3.3},
        shares=(1.0,),
        spacing_range=(0.1, 0.3),
        bend_deg={1: (0, 40)},
        wiggle_deg=10,
        constriction_range=(0.0, 0.0),
        density=1.1,
        clump_um=1.5,
        contrast=0.14,
    ),
    free_share_range=(0.4, 1.0),
    cytoplasm=(0.12, 0.95, 0.0),
    rim=0.35,
    mottle=0.15,
    dust=0.0,
    granules=Granules((0, 4), (0.16, 0.26), (0.7, 0.1, 0.35), 0.0),
    vacuoles_range=(0, 0),
)

RING_LOBE_UM = {3: 1.75, 4: 1.55, 5: 1.4}
"""Half the width of a lobe in a ring-shaped nucleus, by number of lobes."""

STYLES: Mapping[str, Style] = {
    "segmented": NEUTROPHIL,
    "band": NEUTROPHIL,
    "eosinophil": EOSINOPHIL,
    "basophil": BASOPHIL,
    "monocyte": MONOCYTE,
    "lymphocyte": LYMPHOCYTE,
}
"""The look of each category; bands and segmented cells differ by their constriction alone."""
