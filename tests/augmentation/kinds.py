"""One step of every kind, at a strength that shows and at the strength of doing nothing."""

from pydantic import TypeAdapter

from leukoscope.augmentation.policies import Step

_FLIP = {"kind": "flip", "axis": "horizontal", "probability": 1}
_BRIGHTER = {"kind": "brightness", "factor_range": [1.2, 1.4]}

# All numbers such a step takes are of use in it, and any picture of noise looks different after it.
STRONG = {
    "rotation": {"angle_range_deg": [20, 70]},
    "flip": {"axis": "vertical", "probability": 1},
    "transposition": {"probability": 1},
    "scaling": {"factor_range": [0.6, 0.9], "axes": "apart"},
    "shift": {"share_range": [0.2, 0.5]},
    "shear": {"angle_range_deg": [10, 20]},
    "lens_distortion": {"strength_range": [0.2, 0.4]},
    "elastic_distortion": {"displacement_range": [0.02, 0.06], "spacing": 0.3},
    "brightness": {"factor_range": [0.5, 0.8]},
    "contrast": {"factor_range": [0.3, 0.7]},
    "gamma": {"gamma_range": [1.5, 2.5]},
    "hue": {"angle_range_deg": [20, 60]},
    "saturation": {"factor_range": [0, 0.5]},
    "white_balance": {"gain_range": [0.5, 0.8]},
    "stain_jitter": {"factor_range": [0.5, 0.8], "shift_range": [0.1, 0.3]},
    "jpeg_compression": {"quality_range": [5, 40]},
    "gaussian_blur": {"sigma_range_px": [1, 1.5]},
    "defocus_blur": {"radius_range_px": [1.2, 2]},
    "motion_blur": {"length_range_px": [3, 5]},
    "gaussian_noise": {"sd_range_levels": [10, 20]},
    "poisson_noise": {"photons_range": [50, 100]},
    "salt_and_pepper": {"share_range": [0.2, 0.5]},
    "erasing": {"side_range": [0.3, 0.6]},
    "added_border": {"share_range": [0.1, 0.3]},
    "background_replacement": {"fill": "white"},
    "identity": {},
    "sequence": {"steps": [_FLIP, _BRIGHTER], "probability": 0.9},
    "one_of": {"steps": [_FLIP, _BRIGHTER], "probability": 0.9},
}
# A strength of nothing where there is one; where there is none, a probability of 0.
NOTHING = {
    "rotation": {"angle_range_deg": [0, 0]},
    "flip": {"axis": "vertical", "probability": 0},
    "transposition": {"probability": 0},
    "scaling": {"factor_range": [1, 1]},
    "shift": {"share_range": [0, 0]},
    "shear": {"angle_range_deg": [0, 0]},
    "lens_distortion": {"strength_range": [0, 0]},
    "elastic_distortion": {"displacement_range": [0, 0]},
    "brightness": {"factor_range": [1, 1]},
    "contrast": {"factor_range": [1, 1]},
    "gamma": {"gamma_range": [1, 1]},
    "hue": {"angle_range_deg": [0, 0]},
    "saturation": {"factor_range": [1, 1]},
    "white_balance": {"gain_range": [1, 1]},
    "stain_jitter": {"factor_range": [1, 1], "shift_range": [0, 0]},
    "jpeg_compression": {"probability": 0},
    "gaussian_blur": {"sigma_range_px": [0, 0]},
    "defocus_blur": {"radius_range_px": [0, 0]},
    "motion_blur": {"length_range_px": [0, 0]},
    "gaussian_noise": {"sd_range_levels": [0, 0]},
    "poisson_noise": {"probability": 0},
    "salt_and_pepper": {"share_range": [0, 0]},
    "erasing": {"side_range": [0, 0]},
    "added_border": {"share_range": [0, 0]},
    "background_replacement": {"probability": 0},
    "identity": {},
    "sequence": {"steps": [_FLIP | {"probability": 0}, _BRIGHTER | {"factor_range": [1, 1]}]},
    "one_of": {"steps": [_FLIP | {"probability": 0}, _BRIGHTER | {"factor_range": [1, 1]}]},
}
KINDS = sorted(STRONG)
_READER = TypeAdapter(Step)


def step_of(kind, settings):
    """Read one step as a recipe would."""
    return _READER.validate_python({"kind": kind} | settings)
