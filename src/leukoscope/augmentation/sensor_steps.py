"""Steps of focus, sensor and occlusion: what reaches the picture, and what does not.

Each names what asked for it: an id of the papers' list, or where the method is standard.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from leukoscope.augmentation import ranges
from leukoscope.augmentation.ranges import between, between_log
from leukoscope.augmentation.step import DrawnStep, Operation, seed_of


class GaussianBlur(DrawnStep):
    """Blur with a Gaussian (SR-S8)."""

    kind: Literal["gaussian_blur"] = "gaussian_blur"
    sigma_range_px: ranges.Length = (0.0, 1.5)
    """Standard deviations are drawn evenly from here; which pixels, see ``lengths_at_px``."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the standard deviation."""
        return (("gaussian_blur_px", (between(self.sigma_range_px, numbers[0]),)),)


class DefocusBlur(DrawnStep):
    """Blur with a disc, as a lens out of focus does (Hendrycks and Dietterich 2019)."""

    kind: Literal["defocus_blur"] = "defocus_blur"
    radius_range_px: ranges.Length = (0.0, 3.0)
    """Radii are drawn evenly from here; which pixels, see ``lengths_at_px``."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the radius."""
        return (("defocus_blur_px", (between(self.radius_range_px, numbers[0]),)),)


class MotionBlur(DrawnStep):
    """Blur along a line, as a stage that moves does (Hendrycks and Dietterich 2019)."""

    kind: Literal["motion_blur"] = "motion_blur"
    n_numbers: ClassVar[int] = 2
    length_range_px: ranges.Length = (0.0, 7.0)
    """Lengths of the way are drawn evenly from here; which pixels, see ``lengths_at_px``."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the length and the direction in degrees."""
        return (
            ("motion_blur_px", (between(self.length_range_px, numbers[0]), 180.0 * numbers[1])),
        )


class GaussianNoise(DrawnStep):
    """Add normal noise to every pixel and channel (SR-S8, in the units SR-20 asks for)."""

    kind: Literal["gaussian_noise"] = "gaussian_noise"
    n_numbers: ClassVar[int] = 2
    sd_range_levels: ranges.Levels = (0.0, 12.75)
    """Standard deviations in grey levels of 255, drawn evenly; 12.75 is 5 % of the full range."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the standard deviation and the seed of the noise."""
        sd = between(self.sd_range_levels, numbers[0])
        return (("gaussian_noise_levels", (sd, seed_of(numbers[1]))),)


class PoissonNoise(DrawnStep):
    """Count photons, the noise of light itself (shot noise of Hendrycks and Dietterich 2019)."""

    kind: Literal["poisson_noise"] = "poisson_noise"
    n_numbers: ClassVar[int] = 2
    photons_range: ranges.Photons = (200.0, 2000.0)
    """Photons at full brightness, drawn evenly in their logarithm; the fewer the noisier."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the photons and the seed of the noise."""
        photons = between_log(self.photons_range, numbers[0])
        return (("poisson_noise_photons", (photons, seed_of(numbers[1]))),)


class SaltAndPepper(DrawnStep):
    """Turn single pixels white or black, each as likely (Hendrycks and Dietterich 2019)."""

    kind: Literal["salt_and_pepper"] = "salt_and_pepper"
    n_numbers: ClassVar[int] = 2
    share_range: ranges.Share = (0.0, 0.02)
    """Shares of pixels, drawn evenly."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the share and the seed of the places."""
        return (("salt_and_pepper", (between(self.share_range, numbers[0]), seed_of(numbers[1]))),)


class Erasing(DrawnStep):
    """Cover one rectangle at a drawn place (SR-S17; DeVries and Taylor 2017; Zhong et al. 2020)."""

    kind: Literal["erasing"] = "erasing"
    n_numbers: ClassVar[int] = 4
    side_range: ranges.Share = (0.2, 0.2)
    """Sides, shares of width and of height, drawn evenly, each of its own."""
    fill: Literal["black", "white", "mean"] = "black"
    """What covers it; ``mean`` is the picture's mean colour."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw left, top, width and height, as shares; it lies whole within the picture."""
        width, height = (between(self.side_range, number) for number in numbers[:2])
        left, top = numbers[2] * (1 - width), numbers[3] * (1 - height)
        return ((f"erasing_{self.fill}", (left, top, width, height)),)


class AddedBorder(DrawnStep):
    """Cover the picture's edge with a border (SR-S17)."""

    kind: Literal["added_border"] = "added_border"
    share_range: ranges.Half = (0.05, 0.1)
    """Breadths, shares of the shorter side, drawn evenly."""
    fill: Literal["black", "white", "reflect"] = "black"
    """What covers it; ``reflect`` mirrors what lies within."""

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Draw the breadth."""
        return ((f"added_border_{self.fill}", (between(self.share_range, numbers[0]),)),)


class BackgroundReplacement(DrawnStep):
    """Cover everything outside the cell's mask (N20-S2); only offline, where masks are known."""

    kind: Literal["background_replacement"] = "background_replacement"
    n_numbers: ClassVar[int] = 0
    fill: Literal["black", "white", "mean"] = "mean"
    """What covers it; ``mean`` is the mean colour outside the mask."""

    def drawn(self, _numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Name the fill."""
        return ((f"background_{self.fill}", ()),)
