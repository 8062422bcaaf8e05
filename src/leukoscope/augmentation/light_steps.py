"""Steps of light and stain: levels and colours change, nothing moves.

Each names what asked for it: an id of the papers' list, or where the method is standard.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from leukoscope.augmentation import ranges
from leukoscope.augmentation.ranges import between, between_log
from leukoscope.augmentation.step import DrawnStep, Operation


class Brightness(DrawnStep):
    """Multiply all levels by a factor (SR-S17)."""

    kind: Literal["brightness"] = "brightness"
    factor_range: ranges.Factor = (0.9, 1.1)
    """Factors are drawn evenly from here."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the factor."""
        return (("brightness", (between(self.factor_range, numbers[0]),)),)


class Contrast(DrawnStep):
    """Spread all levels about the picture's mean grey by a factor (Tellez et al. 2019)."""

    kind: Literal["contrast"] = "contrast"
    factor_range: ranges.Factor = (0.9, 1.1)
    """Factors are drawn evenly from here."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the factor."""
        return (("contrast", (between(self.factor_range, numbers[0]),)),)


class Gamma(DrawnStep):
    """Raise levels, as shares of 255, to a power; above 1 darkens (Isensee et al. 2021)."""

    kind: Literal["gamma"] = "gamma"
    gamma_range: ranges.Gain = (0.8, 1.25)
    """Powers are drawn from here, evenly in their logarithm."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the power."""
        return (("gamma", (between_log(self.gamma_range, numbers[0]),)),)


class Hue(DrawnStep):
    """Turn all colours about the axis of greys, in YIQ, where luma stays (Tellez et al. 2019)."""

    kind: Literal["hue"] = "hue"
    angle_range_deg: ranges.Turn = (-10.0, 10.0)
    """Angles are drawn evenly from here; above 0 red turns towards yellow, yellow to green."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the angle."""
        return (("hue_deg", (between(self.angle_range_deg, numbers[0]),)),)


class Saturation(DrawnStep):
    """Spread each pixel's colour about its own grey by a factor (Tellez et al. 2019)."""

    kind: Literal["saturation"] = "saturation"
    factor_range: ranges.Factor = (0.8, 1.2)
    """Factors are drawn evenly from here; 0 leaves grey."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the factor."""
        return (("saturation", (between(self.factor_range, numbers[0]),)),)


class WhiteBalance(DrawnStep):
    """Multiply red, green and blue each by its own factor (Afifi and Brown 2019)."""

    kind: Literal["white_balance"] = "white_balance"
    n_numbers: ClassVar[int] = 3
    gain_range: ranges.Gain = (0.9, 1.1)
    """Factors are drawn from here, evenly in their logarithm."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the three factors."""
        return (("white_balance", tuple(between_log(self.gain_range, n) for n in numbers[:3])),)


class StainJitter(DrawnStep):
    """Change how much of each stain there is, HED jitter (Tellez et al. 2018).

    Absorbance is taken apart into haematoxylin, eosin and a third component (Ruifrok and
    Johnston 2001), each is multiplied and shifted. Smears carry Romanowsky's stains, whose
    azure and eosin these vectors only approach.
    """

    kind: Literal["stain_jitter"] = "stain_jitter"
    n_numbers: ClassVar[int] = 6
    factor_range: ranges.Factor = (0.95, 1.05)
    """Factors are drawn evenly from here, one a component."""
    shift_range: ranges.Absorbance = (-0.01, 0.01)
    """Absorbance (natural logarithm) added, one a component, drawn evenly."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw three factors and three shifts."""
        factors = (between(self.factor_range, number) for number in numbers[:3])
        shifts = (between(self.shift_range, number) for number in numbers[3:6])
        return (("stain", (*factors, *shifts)),)


class JpegCompression(DrawnStep):
    """Encode as JPEG and decode again (Hendrycks and Dietterich 2019)."""

    kind: Literal["jpeg_compression"] = "jpeg_compression"
    quality_range: ranges.Quality = (60.0, 95.0)
    """Quality, 1 to 100, is drawn evenly from here and rounded."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the quality."""
        return (("jpeg", (float(round(between(self.quality_range, numbers[0]))),)),)
