"""Phantom cells: drawn leukocytes whose category, case and shape are known exactly.

They stand in for real cells where none may be shipped, and they are a truth to
test against: how far two categories overlap, and whether turning the pictures
helps, harms or does nothing, is decided by the recipe and not by luck.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from leukoscope.foundation.errors import UsageError, unknown_name
from leukoscope.foundation.streams import stream
from leukoscope.intake import phantom_leukocytes as leukocytes
from leukoscope.intake import phantom_stain as stain
from leukoscope.intake.phantom_shapes import Canvas
from leukoscope.intake.phantom_styles import EOSINOPHIL, STYLES, Style
from leukoscope.morphology.masks import bounds_px
from leukoscope.records.categories import NOZAKA6
from leukoscope.records.recipes import Recipe

Direction = Literal["any", "by-case", "tells-category", "none"]

VIEW_UM = 26.0
"""Width of a picture in micrometres."""

_TOLD_BY_TURN = {"segmented": 90.0, "band": 270.0, "eosinophil": 90.0, "basophil": 270.0}
"""Where the nucleus opens to when direction alone tells the category: up or down."""


class PhantomRecipe(Recipe):
    """Describe a set of phantom cells."""

    name: str = Field(min_length=1)
    """What the set is called."""

    seed: int = 0
    """Seed of everything drawn at random."""

    n_cases: int = Field(ge=1)
    """Number of cases."""

    cells_per_case: int = Field(ge=1)
    """Number of cells in each case."""

    mix: dict[str, float] = Field(default_factory=lambda: dict.fromkeys(NOZAKA6, 1.0))
    """Share of each category, in any unit: shares are divided by their sum when used."""

    size_px: int = Field(default=72, ge=24, le=512)
    """Height and width of a picture in pixels."""

    overlap: float = Field(default=0.3, ge=0, le=1)
    """How far bands and segmented cells overlap: twice the least error in telling them apart."""

    case_spread: float = Field(default=1.0, ge=0, le=4)
    """Strength of each case's own stain, light and focus; 1 is ordinary, 0 none."""

    direction: Direction = "any"
    """What the direction of a cell means: nothing (any, none), its case, or its category."""

    noise_levels: float = Field(default=2.5, ge=0, le=40)
    """Standard deviation of the camera's noise in grey levels."""

    @field_validator("mix")
    @classmethod
    def _check_mix(cls, mix: dict[str, float]) -> dict[str, float]:
        for category, share in mix.items():
            if category not in NOZAKA6:
                raise ValueError(str(unknown_name("category", category, NOZAKA6)))
            if share <= 0:
                raise ValueError(
                    f"the share of {category} should be above 0, and is {share:g}; "
                    "leave the category out instead"
                )
        if not mix:
            raise ValueError("mix should name at least one category")
        return mix

    @property
    def um_per_px(self) -> float:
        """Give the width of a pixel in micrometres."""
        return VIEW_UM / self.size_px

    @property
    def categories(self) -> tuple[str, ...]:
        """Name the categories of the mix in the house's order."""
        return tuple(category for category in NOZAKA6 if category in self.mix)


@dataclass(frozen=True)
class PhantomCell:
    """Hold one drawn cell and the truth about it."""

    image: NDArray[np.uint8]
    """RGB, shape (h, w, 3)."""
    nucleus_mask: NDArray[np.bool_]
    """Pixels of the nucleus, shape (h, w)."""
    cell_mask: NDArray[np.bool_]
    """Pixels of the whole leukocyte, its nucleus included, shape (h, w)."""
    box_px: tuple[int, int, int, int]
    """Bounds of *cell_mask*: left, top, right, bottom, the last two just outside."""
    nucleus_um: NDArray[np.float64]
    """Discs whose union is the nucleus, shape (n, 3): x, y from the middle of the picture, y up,
    and radius, in micrometres."""
    lobes: int
    """Number of nuclear lobes: parts of *nucleus_um* joined by necks of at most a third of a lobe's
    width, or apart. A neck is a bridge or where lobes overlap, as those of a bent nucleus may.
    Found from the discs themselves, so that it is the same at every size of the picture."""
    category: str
    """One of the six."""
    case: str
    """Name of the case, counted from 1: ``case-001``."""
    index: int
    """Place of the cell in its case, counted from 0."""
    turn_deg: float
    """Where the nucleus opens to, anticlockwise from the right, 0 to 360."""
    constriction: float
    """Narrowing between nuclear lobes: 0 an even sausage, 1 a thread."""


def cells(recipe: PhantomRecipe) -> Iterator[PhantomCell]:
    """Draw all cells of a recipe, case by case, in the order of their index."""
    for case in range(recipe.n_cases):
        for index in range(recipe.cells_per_case):
            yield draw_cell(recipe, case, index)


def draw_cell(recipe: PhantomRecipe, case: int, index: int) -> PhantomCell:
    """Draw one cell: a pure function of the recipe and the two numbers.

    Parameters
    ----------
    recipe : PhantomRecipe
    case : int
        Number of the case, from 0.
    index : int
        Number of the cell in the case, from 0.

    Returns
    -------
    PhantomCell

    Raises
    ------
    UsageError
        If the recipe has no such case or cell.

    Notes
    -----
    What *direction* means:

    any
        Every cell is turned at random. Nothing is to be learnt from direction.
    none
        Nuclei are round or rings about the centre, the light is even, and
        neighbours lie at random: the distribution of pictures is unchanged by a
        turn, and so is what tells the categories apart. Turned copies can add
        nothing beyond regularisation.
    by-case
        Nucleus, length of the cell, length of the erythrocytes and growth of the
        light all follow one direction of the case, as in a smear. Within a case
        each category departs from it by an angle of its own, which is drawn
        afresh for the next case: a shortcut that fails on other cases, and that
        turned copies take away.
    tells-category
        Segmented and band cells are drawn alike and so are eosinophils and
        basophils; only the nucleus opens upwards in the first and downwards in
        the second of each pair. A turn of arbitrary angle destroys the label.
    """
    if not (0 <= case < recipe.n_cases and 0 <= index < recipe.cells_per_case):
        raise UsageError(
            f"Phantom set {recipe.name!r} has no cell {index} in case {case}; cases are numbered "
            f"0 to {recipe.n_cases - 1}, cells 0 to {recipe.cells_per_case - 1}."
        )
    category = _category(recipe, case, index)
    look = stain.draw_look(_case_stream(recipe, case, "look"), recipe.case_spread)
    rng = stream(recipe.seed, "phantom", case, index)
    style = _style(recipe, category)
    constriction = _draw_constriction(rng, recipe, category, style)
    pose, slope, slope_deg = _draw_pose(rng, recipe, case, category)
    scale = 2 if recipe.size_px >= 48 else 3
    canvas = Canvas(recipe.size_px * scale, VIEW_UM)
    drawing = leukocytes.draw(rng, canvas, style, pose, constriction)
    light = stain.develop(
        _reduced(drawing.densities, recipe.size_px),
        look,
        um_per_px=recipe.um_per_px,
        slope=slope,
        slope_deg=slope_deg,
    )
    light += recipe.noise_levels * rng.standard_normal(light.shape, np.float32)
    cell_mask = _reduced(drawing.cell, recipe.size_px) > 0.5
    return PhantomCell(
        image=np.clip(np.rint(light), 0, 255).astype(np.uint8),
        nucleus_mask=(_reduced(drawing.nucleus, recipe.size_px) > 0.5) & cell_mask,
        cell_mask=cell_mask,
        box_px=bounds_px(cell_mask),
        nucleus_um=drawing.nucleus_um,
        lobes=drawing.lobes,
        category=category,
        case=f"case-{case + 1:03d}",
        index=index,
        turn_deg=pose.turn_deg % 360,
        constriction=constriction,
    )


def bayes_error(recipe: PhantomRecipe) -> float:
    """Compute the least error of any rule that tells bands from segmented cells.

    Both have one shape of nucleus, narrowed between its lobes by a constriction
    c = 1 / (1 + exp(-1.8 z - ln 2)). The latent z is normal with spread 1 and
    mean +d/2 in segmented cells, -d/2 in bands, where d = -2 Phi^-1(overlap / 2):
    *overlap* is the overlapping coefficient of the two distributions. At even
    shares the best rule is the textbook's (segmented where a bridge is at most
    a third of a lobe's width, that is z >= 0) and errs in Phi(-d/2) = overlap / 2
    of the cells. With shares p and q of the two the best border moves to
    ln(q / p) / d.

    Parameters
    ----------
    recipe : PhantomRecipe
        Its *overlap* and *mix* are used.

    Returns
    -------
    float
        Share of bands and segmented cells that a rule must misjudge even if it
        knows the constriction exactly, 0 to 0.5; 0 if the mix lacks one of them.
        Where direction tells the category it is 0 too: the turn gives it away.
    """
    from scipy.stats import norm

    segmented, band = recipe.mix.get("segmented", 0.0), recipe.mix.get("band", 0.0)
    if not (segmented and band) or recipe.direction == "tells-category":
        return 0.0
    p = segmented / (segmented + band)
    distance = _latent_distance(recipe.overlap)
    if distance < 1e-9:
        return min(p, 1 - p)
    border = math.log((1 - p) / p) / distance
    missed = norm.cdf(border - distance / 2)
    return float(p * missed + (1 - p) * norm.sf(border + distance / 2))


def settings() -> list[str]:
    """List the names of the packaged settings."""
    folder = resources.files("leukoscope.intake") / "phantoms"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def load_setting(name_or_path: str) -> PhantomRecipe:
    """Load a packaged setting by name, or a recipe from a path ending in .yaml or .yml.

    Raises
    ------
    UsageError
        If no setting has the name; near ones are given.
    RecipeError
        If the file cannot be read as a phantom recipe.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return PhantomRecipe.from_yaml(Path(name_or_path))
    if name_or_path not in settings():
        raise unknown_name("phantom setting", name_or_path, settings())
    file = resources.files("leukoscope.intake") / "phantoms" / f"{name_or_path}.yaml"
    with resources.as_file(file) as path:
        return PhantomRecipe.from_yaml(path)


def _case_stream(recipe: PhantomRecipe, case: int, *purpose: str) -> np.random.Generator:
    return stream(recipe.seed, "phantom", "case", case, *purpose)


def _category(recipe: PhantomRecipe, case: int, index: int) -> str:
    quota = _in_turn(
        recipe.seed,
        tuple((category, recipe.mix[category]) for category in recipe.categories),
        recipe.n_cases * recipe.cells_per_case,
    )
    # Within a case the order is shuffled, so that an index says nothing about a category.
    order = _case_stream(recipe, case, "order").permutation(recipe.cells_per_case)
    return quota[case * recipe.cells_per_case + int(order[index])]


@functools.lru_cache(maxsize=8)
def _in_turn(seed: int, mix: Sequence[tuple[str, float]], n_cells: int) -> tuple[str, ...]:
    """Deal categories so that every run from the start keeps within one cell of its share.

    Tijdeman (1980), "The chairman assignment problem": among the categories
    that are owed enough, the one takes its turn that would be overdue first.
    Ties fall by a seeded order.
    """
    chance = stream(seed, "phantom", "quota").permutation(len(mix))
    names = [mix[place][0] for place in chance]
    share = np.array([mix[place][1] for place in chance])
    share = share / share.sum()
    slack = 1 / (2 * len(mix) - 2) if len(mix) > 1 else 0.0
    dealt = np.zeros(len(mix))
    turn: list[str] = []
    for number in range(1, n_cells + 1):
        owed = share * number - dealt
        due = np.where(owed >= slack - 1e-9, (1 - slack - owed) / share, np.inf)
        taker = int(due.argmin())
        dealt[taker] += 1
        turn.append(names[taker])
    return tuple(turn)


def _style(recipe: PhantomRecipe, category: str) -> Style:
    told = recipe.direction == "tells-category"
    return EOSINOPHIL if told and category == "basophil" else STYLES[category]


def _latent_distance(overlap: float) -> float:
    from scipy.special import ndtri

    # An overlap of exactly 0 would need an infinite distance; eight spreads err once in 30 000.
    return float(min(8.0, -2 * ndtri(overlap / 2))) if overlap > 0 else 8.0


def _draw_constriction(
    rng: np.random.Generator, recipe: PhantomRecipe, category: str, style: Style
) -> float:
    """Draw the narrowing between lobes; :func:`bayes_error` states its distributions."""
    side, latent = rng.uniform(), rng.standard_normal()
    allowed = style.nucleus.constriction_range
    if allowed is not None:
        return float(allowed[0] + side * (allowed[1] - allowed[0]))
    if recipe.direction == "tells-category":
        sign = 1 if side < 0.5 else -1
    else:
        sign = 1 if category == "segmented" else -1
    latent += sign * _latent_distance(recipe.overlap) / 2
    return 1 / (1 + math.exp(-1.8 * latent - math.log(2)))


def _draw_pose(
    rng: np.random.Generator, recipe: PhantomRecipe, case: int, category: str
) -> tuple[leukocytes.Pose, float, float]:
    """Draw how a cell lies, and how strongly and where to the light grows."""
    own_deg, stretch_deg, slope_deg = rng.uniform(0, 360, 3)
    stretch, jitter = rng.uniform(0, 1), rng.normal(0, 1)
    turn_deg, erythrocyte_deg = own_deg, None
    stretch, slope, longest = 1 + 0.12 * stretch, 0.04, 1.15
    if recipe.direction == "none":
        stretch, slope = 1.0, 0.0
    elif recipe.direction == "by-case":
        case_deg, departure = _case_direction(recipe, case, category)
        turn_deg = case_deg + departure + 9 * jitter
        stretch_deg = slope_deg = erythrocyte_deg = case_deg
        stretch, slope, longest = stretch + 0.13, 0.22, 1.45
    elif recipe.direction == "tells-category":
        slope = 0.0
        if category in _TOLD_BY_TURN:
            turn_deg = _TOLD_BY_TURN[category] + 12 * jitter
    pose = leukocytes.Pose(
        turn_deg=float(turn_deg),
        stretch=float(stretch),
        stretch_deg=float(stretch_deg),
        erythrocyte_stretch_range=(1.2 if erythrocyte_deg is not None else 1.0, longest),
        erythrocyte_deg=erythrocyte_deg,
        clear=recipe.direction in ("by-case", "tells-category"),
        concentric=recipe.direction == "none",
    )
    return pose, slope, float(slope_deg)


def _case_direction(recipe: PhantomRecipe, case: int, category: str) -> tuple[float, float]:
    """Draw a case's direction and a category's departure from it, in degrees."""
    direction = _case_stream(recipe, case, "direction").uniform(0, 360)
    departure = _case_stream(recipe, case, "departure", category).normal(0, 50)
    return float(direction), float(departure)


def _reduced(plane: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(plane, (size_px, size_px), interpolation=cv2.INTER_AREA))
