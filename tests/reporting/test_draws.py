"""What was drawn is told in words and units, whichever step it came from."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Literal, get_args, get_origin

import pytest

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.policies import STEPS
from leukoscope.augmentation.step import DrawnStep, Operation
from leukoscope.reporting.draws import OTHERWISE, WORDS, drawn_in_words

POLICIES = {"identity", "sequence", "one_of"}
TOLD = {
    "rotation": "turned by 180°",
    "flip": "mirrored left to right",
    "transposition": "mirrored at the diagonal",
    "scaling": "scaled to 100 %",
    "shift": "shifted by 0 % to the right and 0 % down",
    "shear": "sheared by 0° across and 0° down",
    "lens_distortion": "lens 0 %",
    "elastic_distortion": "elastic by 1 % on a grid of 15 %",
    "brightness": "brightness 100 %",
    "contrast": "contrast 100 %",
    "gamma": "gamma 1",
    "hue": "hue turned by 0°",
    "saturation": "saturation 100 %",
    "white_balance": "red 99 %, green 99 % and blue 99 %",
    "stain_jitter": "haematoxylin 100 %, eosin 100 %, the rest 100 %, absorbance 0, 0, 0",
    "jpeg_compression": "JPEG quality 78",
    "gaussian_blur": "blurred by 0.75 px",
    "defocus_blur": "out of focus by 1.5 px",
    "motion_blur": "blurred along 90° by 3.5 px",
    "gaussian_noise": "noise of 6.4 levels of 255",
    "poisson_noise": "noise of 632 photons",
    "salt_and_pepper": "salt and pepper on 1 % of the pixels",
    "erasing": "20 % × 20 % covered in black",
    "added_border": "black border of 7.5 %",
    "background_replacement": "background covered in its mean colour",
}
"""Kind of step → what is said of it in the middle of its ranges."""

OLDER = "turned by −12°, mirrored top to bottom"


def settings_of(step: type[DrawnStep]) -> Iterator[dict[str, str]]:
    """List all the ways in which words can be chosen for a step."""
    fields = {name: each.annotation for name, each in step.model_fields.items() if name != "kind"}
    words = {name: get_args(a) for name, a in fields.items() if get_origin(a) is Literal}
    for chosen in product(*words.values()):
        yield dict(zip(words, chosen, strict=True))


def words_of(*operations: Operation, lengths_at_px: int | None = None) -> str:
    """Tell operations as they stand in a manifest."""
    return drawn_in_words(Draw(operations, lengths_at_px=lengths_at_px).to_json())


def test_every_kind_of_step_is_told() -> None:
    """In the middle of its ranges, and at their ends whatever it is set to; none by its name."""
    assert set(TOLD) == set(STEPS) - POLICIES
    for kind, expected in TOLD.items():
        for setting in settings_of(STEPS[kind]):
            step = STEPS[kind](**setting)
            for number in (0.0, 0.5, 0.999):
                for operation in step.drawn([number] * step.n_numbers):
                    assert operation[0] in WORDS, operation[0]
                    assert words_of(operation) not in {OTHERWISE, ""}
        step = STEPS[kind](**next(settings_of(STEPS[kind])) if kind == "flip" else {})
        assert words_of(*step.drawn([0.5] * step.n_numbers)) == expected


def test_no_words_are_left_over() -> None:
    """Each word belongs to an operation that some step draws, and no two say the same."""
    names = set()
    for kind in set(STEPS) - POLICIES:
        for setting in settings_of(STEPS[kind]):
            step = STEPS[kind](**setting)
            names |= {name for name, _ in step.drawn([0.5] * step.n_numbers)}
    assert names == set(WORDS)
    assert len(set(WORDS.values())) == len(WORDS)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (("rotation_deg", (33.4,)), "turned by 33°"),
        (("rotation_deg", (-2.53,)), "turned by −2.5°"),
        (("rotation_deg", (359.99999,)), "turned by 360°"),
        (("scaling", (0.92, 0.92)), "scaled to 92 %"),
        (("scaling", (0.92, 1.05)), "scaled to 92 % across and 105 % down"),
        (("shift", (-0.1, 0.03)), "shifted by 10 % to the left and 3 % down"),
        (("shift", (0.0042, -0.2)), "shifted by 0.42 % to the right and 20 % up"),
        (("shear_deg", (10.0, -4.2)), "sheared by 10° across and −4.2° down"),
        (("lens", (0.12,)), "lens +12 %"),
        (("lens", (-0.07,)), "lens −7 %"),
        (("gamma", (1.2491,)), "gamma 1.25"),
        (("gaussian_blur_px", (1.37,)), "blurred by 1.4 px"),
        (("gaussian_noise_levels", (12.2, 5.0)), "noise of 12 levels of 255"),
        (("poisson_noise_photons", (1234.5, 5.0)), "noise of 1234 photons"),
        (("salt_and_pepper", (0.00001, 7.0)), "salt and pepper on 0.001 % of the pixels"),
        (("white_balance", (0.95, 1.0, 1.09)), "red 95 %, green 100 % and blue 109 %"),
        (
            ("stain", (0.95, 1.05, 1.0, -0.01, 0.0054, 0.00007)),
            "haematoxylin 95 %, eosin 105 %, the rest 100 %, absorbance −0.01, +0.005, 0",
        ),
        (("erasing_mean", (0.1, 0.3, 0.2, 0.25)), "20 % × 25 % covered in its mean colour"),
        (("added_border_reflect", (0.05,)), "mirrored border of 5 %"),
        (("sharpened_px", (1.5, 2.0)), "sharpened px 1.5 2"),
    ],
)
def test_numbers_are_told_in_their_units(operation: Operation, words: str) -> None:
    """As many digits as an eye can use; what is not known stands as it is."""
    assert words_of(operation) == words


def test_a_chain_is_told_in_its_order() -> None:
    """With commas; of lengths, the picture they are meant for."""
    chain = (("gaussian_blur_px", (2.0,)), ("flip_vertical", ()), ("motion_blur_px", (5.0, 90.0)))
    told = words_of(*chain, lengths_at_px=128)
    expected = "blurred by 2 px of 128, mirrored top to bottom, blurred along 90° by 5 px of 128"
    assert told == expected


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (None, "as taken"),
        ("", "as taken"),
        ('{"operations": [], "border": "reflect"}', "as taken"),
        ('{"fill_rgb": [255, 255, 255]}', "as taken"),
        ('{"moves": [["rotation_deg", -12.0], ["flip_vertical", 1.0]]}', OLDER),
        ("not JSON", OTHERWISE),
        ('["a"]', OTHERWISE),
        ("7", OTHERWISE),
        ('{"operations": [["rotation_deg"]]}', OTHERWISE),
        ('{"operations": [["shift", 0.1]]}', OTHERWISE),
        ('{"operations": [["lens", "much"]]}', OTHERWISE),
        ('{"operations": [["lens", [1]]]}', OTHERWISE),
        ('{"operations": [[]]}', OTHERWISE),
        ('{"operations": 3}', OTHERWISE),
        (json.dumps({"operations": [["{0.__class__}", 1]]}), "{0. class } 1"),
    ],
)
def test_what_cannot_be_read_is_no_error(draw: str | None, words: str) -> None:
    """Older draws and those of isolation are read too; a broken one is said to be otherwise."""
    assert drawn_in_words(draw) == words
