"""Steps that move what is seen: together they are one map and one resampling."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from leukoscope.augmentation import ranges
from leukoscope.augmentation.ranges import between
from leukoscope.augmentation.step import DrawnStep, Operation, seed_of


class Rotation(DrawnStep):
    """Turn about the centre by a drawn angle."""

    kind: Literal["rotation"] = "rotation"
    angle_range_deg: ranges.Angle = (0.0, 360.0)
    """Angles are drawn evenly from here, counter-clockwise."""
    step_deg: float | None = Field(default=None, gt=0, le=360)
    """If given, only the lower end plus whole multiples of it are drawn, up to the upper end."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.angle_range_deg
        if self.step_deg and self._n_steps(self.step_deg) == 1:
            raise ValueError(
                f"step_deg {self.step_deg:g} leaves one angle in {low:g} to {high:g}; "
                "widen the range or shorten the step"
            )
        return self

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the angle."""
        return (("rotation_deg", (self._angle(numbers[0]),)),)

    def _angle(self, number: float) -> float:
        low, high = self.angle_range_deg
        if self.step_deg is None:
            return between((low, high), number)
        return low + int(number * self._n_steps(self.step_deg)) * self.step_deg

    def _n_steps(self, step_deg: float) -> int:
        low, high = self.angle_range_deg
        # Steps such as 7.2 divide a turn, but not in floating point.
        n_steps = (high - low) / step_deg
        n_whole = int(n_steps + 1e-9)
        # The upper end of a full turn is left out: it would be the lower end twice.
        is_turn = high > low and (high - low) % 360 == 0 and abs(n_steps - n_whole) < 1e-9
        return n_whole + 1 - is_turn


class Flip(DrawnStep):
    """Mirror the picture."""

    kind: Literal["flip"] = "flip"
    n_numbers: ClassVar[int] = 0
    axis: Literal["horizontal", "vertical"]
    """``horizontal`` exchanges left and right, ``vertical`` top and bottom."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """How often it is done."""

    def drawn(self, _numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Name the mirror."""
        return ((f"flip_{self.axis}", ()),)


class Transposition(DrawnStep):
    """Exchange rows and columns: mirror at the diagonal from the upper left."""

    kind: Literal["transposition"] = "transposition"
    n_numbers: ClassVar[int] = 0
    probability: float = Field(default=0.5, ge=0, le=1)
    """How often it is done."""

    def drawn(self, _numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Name the exchange."""
        return (("transposition", ()),)


class Scaling(DrawnStep):
    """Make what is seen larger or smaller about the centre; the picture keeps its size."""

    kind: Literal["scaling"] = "scaling"
    n_numbers: ClassVar[int] = 2
    factor_range: ranges.Scale = (0.8, 1.2)
    """Factors are drawn evenly from here; 1.2 shows the cell 20 % larger."""
    axes: Literal["together", "apart"] = "together"
    """``together``: one factor; ``apart``: one across and another down."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the factors across and down."""
        across = between(self.factor_range, numbers[0])
        down = between(self.factor_range, numbers[1]) if self.axes == "apart" else across
        return (("scaling", (across, down)),)


class Shift(DrawnStep):
    """Move the picture by whole pixels."""

    kind: Literal["shift"] = "shift"
    n_numbers: ClassVar[int] = 2
    share_range: ranges.Shift = (-0.1, 0.1)
    """Shares of width and height of the picture as it comes, right and down; rounded to pixels."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the shares of width and height."""
        return (("shift", tuple(between(self.share_range, number) for number in numbers[:2])),)


class Shear(DrawnStep):
    """Slant the picture: across by an angle, then down by another."""

    kind: Literal["shear"] = "shear"
    n_numbers: ClassVar[int] = 2
    angle_range_deg: ranges.Slant = (-10.0, 10.0)
    """Angles are drawn evenly from here, one across and one down."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the angles across and down."""
        angles = tuple(between(self.angle_range_deg, number) for number in numbers[:2])
        return (("shear_deg", angles),)


class LensDistortion(DrawnStep):
    """Distort as a lens does: a point at radius r shows what was at r (1 + k r²).

    The radius is 1 in the corners, so that a strength of .2 moves the corners by 20 %, the
    middle of a square's edge by 10 % and the centre not at all. Above 0: barrel, below: pincushion.
    """

    kind: Literal["lens_distortion"] = "lens_distortion"
    strength_range: ranges.Lens = (-0.2, 0.2)
    """k is drawn evenly from here."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the strength."""
        return (("lens", (between(self.strength_range, numbers[0]),)),)


class ElasticDistortion(DrawnStep):
    """Move neighbourhoods at random, smoothly (after Simard et al. 2003).

    The displacement is a cubic B-spline over normal random numbers on a grid.
    """

    kind: Literal["elastic_distortion"] = "elastic_distortion"
    n_numbers: ClassVar[int] = 2
    displacement_range: ranges.Displacement = (0.0, 0.02)
    """Standard deviation of the displacement, share of the shorter side; drawn evenly."""
    spacing: float = Field(default=0.15, ge=0.02, le=1)
    """Distance of the grid's points, share of the shorter side: what moves together."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        # At a fifth, one field in thirty folds somewhere, in two pixels of ten thousand on average
        # (seen with a spacing of .15; of .05: one in five); at a seventh, one in some hundreds.
        if self.displacement_range[1] > self.spacing / 5:
            raise ValueError(
                f"displacements up to {self.displacement_range[1]:g} fold the picture over where "
                f"the grid's spacing is {self.spacing:g}; they may reach a fifth of it, "
                f"{self.spacing / 5:.3g}"
            )
        return self

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the displacement and the seed of its field."""
        displacement = between(self.displacement_range, numbers[0])
        return (("elastic", (displacement, self.spacing, seed_of(numbers[1]))),)
