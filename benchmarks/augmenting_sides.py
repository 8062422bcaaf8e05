"""How each library augments, as its users write it: what ``augmenting.py`` sets side by side.

A maker takes pictures and a seed and gives a function that does so many pictures, each with
parameters of its own, one picture after another or batch by batch, and gives back the last
picture or batch.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import draw
from leukoscope.augmentation.recipe import AugmentationRecipe

Pixels = npt.NDArray[np.uint8]
Do = Callable[[int], Any]
Maker = Callable[[Sequence[Pixels], int], Do]

BATCH = 64
TURN_DEG, SCALE, LENS = 180.0, (0.8, 1.2), 0.2
LIGHT, HUE_TURN = 0.2, 0.05
DISPLACEMENT, SPACING = 0.02, 0.15
"""Elastic distortion, shares of a side: standard deviation of the displacement, and the distance
of the spline's knots, whose smoothness is that of a Gaussian of 1/√3 of it."""
SMOOTH = SPACING / math.sqrt(3)
_LINEAR, _REFLECT = cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101


class Way(NamedTuple):
    """Name one way to do a chain with a library."""

    variant: str
    make: Maker
    is_torch: bool = False
    """Whether torch's own threads can share one batch or picture between two cores."""
    unit: int = 1
    """How many pictures are done together."""


def one_by_one(act: Callable[[Any], Any], pictures: Sequence[Any]) -> Do:
    """Let a function do picture after picture, round and round."""
    turn = count()

    def do(n: int) -> Any:
        result = None
        for _ in range(n):
            result = act(pictures[next(turn) % len(pictures)])
        return result

    return do


def elastic_gain(size_px: int, sd_of_noise: float) -> float:
    """Give the factor that brings blurred noise to the displacement wanted, in pixels.

    White noise through a Gaussian of σ pixels keeps 1/(2 σ √π) of its standard deviation.
    """
    return DISPLACEMENT * size_px * 2 * SMOOTH * size_px * math.sqrt(math.pi) / sd_of_noise


# Ours

_FLIPS = [{"kind": "flip", "axis": "horizontal"}, {"kind": "flip", "axis": "vertical"}]
_TURN = {"kind": "rotation", "angle_range_deg": [-TURN_DEG, TURN_DEG]}
_SCALING = {"kind": "scaling", "factor_range": list(SCALE)}
_AROUND_ONE = [1 - LIGHT, 1 + LIGHT]
STEPS: dict[str, list[dict[str, Any]]] = {
    "rotate": [_TURN],
    "flips": _FLIPS,
    "affine": [_TURN, _SCALING],
    "papers": [
        *_FLIPS,
        _TURN,
        _SCALING,
        {"kind": "lens_distortion", "strength_range": [-LENS, LENS]},
    ],
    "elastic": [
        {
            "kind": "elastic_distortion",
            "displacement_range": [DISPLACEMENT, DISPLACEMENT],
            "spacing": SPACING,
        }
    ],
    "light": [
        {"kind": "brightness", "factor_range": _AROUND_ONE},
        {"kind": "contrast", "factor_range": _AROUND_ONE},
        {"kind": "saturation", "factor_range": _AROUND_ONE},
        {"kind": "hue", "angle_range_deg": [-360 * HUE_TURN, 360 * HUE_TURN]},
    ],
}
"""The chains, as recipes; the others do as nearly the same as they can."""


def ours(chain: str, pictures: Sequence[Pixels], seed: int) -> Do:
    recipe = AugmentationRecipe.from_mapping({"name": chain, "steps": STEPS[chain]}, where=chain)
    visit = count()

    def act(pixels: Pixels) -> Pixels:
        i = next(visit)
        return apply(draw(recipe, seed, f"cell-{i % len(pictures)}", i // len(pictures)), pixels)

    return one_by_one(act, pictures)


# OpenCV by hand


def hand_affine(scales: tuple[float, float], pictures: Sequence[Pixels], seed: int) -> Do:
    random = Random(seed)
    size = pictures[0].shape[0]
    centre = ((size - 1) / 2, (size - 1) / 2)

    def act(pixels: Pixels) -> Any:
        angle, scale = random.uniform(-TURN_DEG, TURN_DEG), random.uniform(*scales)
        matrix = cv2.getRotationMatrix2D(centre, angle, scale)
        return cv2.warpAffine(pixels, matrix, (size, size), flags=_LINEAR, borderMode=_REFLECT)

    return one_by_one(act, pictures)


def hand_papers(points: str, pictures: Sequence[Pixels], seed: int) -> Do:
    """One map: the grid through a matrix of turn, scale and flips, times the lens; one remap."""
    random = Random(seed)
    size = pictures[0].shape[0]
    centre = np.float32((size - 1) / 2)
    u = np.arange(size, dtype=np.float32) - centre
    v = u[:, None]
    r2 = (u * u + v * v) / (2 * centre * centre)

    def act(pixels: Pixels) -> Any:
        angle, scale = math.radians(random.uniform(-TURN_DEG, TURN_DEG)), random.uniform(*SCALE)
        cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
        across, down = random.choice((-1, 1)), random.choice((-1, 1))
        factor = 1 + np.float32(random.uniform(-LENS, LENS)) * r2
        x: Any = (
            np.float32(across * cosine) * u + np.float32(-across * sine) * v
        ) * factor + centre
        y: Any = (np.float32(down * sine) * u + np.float32(down * cosine) * v) * factor + centre
        if points == "fixed-point map":
            x, y = cv2.convertMaps(x, y, cv2.CV_16SC2)
        return cv2.remap(pixels, x, y, _LINEAR, borderMode=_REFLECT)

    return one_by_one(act, pictures)


def hand_elastic(pictures: Sequence[Pixels], seed: int) -> Do:
    """Blur two planes of noise, add them to the grid, remap (Simard et al. 2003)."""
    rng = np.random.default_rng(seed)
    size = pictures[0].shape[0]
    u = np.arange(size, dtype=np.float32)
    v = u[:, None]
    gain, sigma = np.float32(elastic_gain(size, 1.0)), SMOOTH * size

    def field() -> Any:
        noise = rng.standard_normal((size, size), dtype=np.float32)
        return cv2.GaussianBlur(noise, (0, 0), sigma) * gain

    def act(pixels: Pixels) -> Any:
        return cv2.remap(pixels, field() + u, field() + v, _LINEAR, borderMode=_REFLECT)

    return one_by_one(act, pictures)


def hand_light(pictures: Sequence[Pixels], seed: int) -> Do:
    """Brightness and contrast as one table, saturation and hue as tables in HSV."""
    random = Random(seed)
    levels = np.arange(256, dtype=np.float32)
    luma = np.array([0.299, 0.587, 0.114])

    def act(pixels: Pixels) -> Any:
        bright, contrast, colour = (random.uniform(*_AROUND_ONE) for _ in range(3))
        turn = round(180 * random.uniform(-HUE_TURN, HUE_TURN))
        grey = bright * float(luma @ cv2.mean(pixels)[:3])
        table = np.clip((levels * bright - grey) * contrast + grey, 0, 255).astype(np.uint8)
        hsv = cv2.cvtColor(cv2.LUT(pixels, table), cv2.COLOR_RGB2HSV)
        hue = ((levels + turn) % 180).astype(np.uint8)
        saturation = np.clip(levels * colour, 0, 255).astype(np.uint8)
        tables = cv2.merge([hue[None], saturation[None], levels[None].astype(np.uint8)])
        return cv2.cvtColor(cv2.LUT(hsv, tables), cv2.COLOR_HSV2RGB)

    return one_by_one(act, pictures)


def hand_flips(pictures: Sequence[Pixels], seed: int) -> Do:
    random = Random(seed)

    def act(pixels: Pixels) -> Any:
        code = random.choice((None, 0, 1, -1))
        return pixels if code is None else cv2.flip(pixels, code)

    return one_by_one(act, pictures)


# albumentations


def albumentations(chain: str, pictures: Sequence[Pixels], seed: int) -> Do:
    import albumentations as library  # type: ignore[import-not-found]

    size = pictures[0].shape[0]
    border: dict[str, Any] = {"border_mode": _REFLECT, "p": 1.0}
    around, elastic = tuple(_AROUND_ONE), {"sigma": SMOOTH * size, **border}
    # Its noise is divided by its greatest magnitude, some 4.3 standard deviations.
    elastic["alpha"] = elastic_gain(size, 1 / 4.3)
    flips = [library.HorizontalFlip(p=0.5), library.VerticalFlip(p=0.5)]
    affine = library.Affine(rotate=(-TURN_DEG, TURN_DEG), scale=SCALE, **border)
    steps: dict[str, list[Any]] = {
        "rotate": [library.Rotate(limit=TURN_DEG, **border)],
        "flips": flips,
        "affine": [affine],
        "papers": [*flips, affine, library.OpticalDistortion(distort_limit=LENS, **border)],
        "elastic": [library.ElasticTransform(**elastic)],
        "elastic, approximate": [library.ElasticTransform(approximate=True, **elastic)],
        "light": [library.ColorJitter(around, around, around, (-HUE_TURN, HUE_TURN), p=1.0)],
    }
    do = library.Compose(steps[chain], seed=seed)
    return one_by_one(lambda pixels: do(image=pixels)["image"], pictures)


# kornia


def kornia(chain: str, pictures: Sequence[Pixels], seed: int) -> Do:
    """From uint8 to float32 is counted, as kornia asks for it; the way back is not."""
    import kornia.augmentation as library  # type: ignore[import-not-found]
    import torch

    size = pictures[0].shape[0]
    around, middle = tuple(_AROUND_ONE), torch.zeros(2)
    # Displacements count half sides; noise is even in [-1, 1]; sizes of kernels are odd.
    alpha = elastic_gain(size, 1 / math.sqrt(3)) * 2 / size
    kernel = 2 * round(3 * SMOOTH * size) + 1
    flips = [library.RandomHorizontalFlip(p=0.5), library.RandomVerticalFlip(p=0.5)]
    affine = library.RandomAffine(TURN_DEG, scale=SCALE, padding_mode="reflection", p=1.0)
    steps: dict[str, list[Any]] = {
        "rotate": [library.RandomRotation(TURN_DEG, p=1.0)],
        "flips": flips,
        "affine": [affine],
        # The nearest to a lens: its strength is always 1, the power of the radius can be drawn.
        "papers": [*flips, affine, library.RandomFisheye(middle, middle, middle + 2.0, p=1.0)],
        "elastic": [
            library.RandomElasticTransform(
                (kernel,) * 2,
                (SMOOTH * size,) * 2,
                (alpha,) * 2,
                padding_mode="reflection",
                p=1.0,
            )
        ],
        "light": [library.ColorJitter(around, around, around, (-HUE_TURN, HUE_TURN), p=1.0)],
    }
    torch.manual_seed(seed)
    chained = torch.nn.Sequential(*steps[chain])
    batch = torch.from_numpy(np.stack(pictures[:BATCH])).permute(0, 3, 1, 2).contiguous()

    def do(n: int) -> Any:
        result = None
        for _ in range(n // len(batch)):
            result = chained(batch.float() / 255)
        return result

    return do


# torchvision


def torchvision(chain: str, kind: str, pictures: Sequence[Pixels], seed: int) -> Do:
    """Picture by picture, for a batch would share its parameters; tensors, or PIL's images."""
    import torch

    from leukoscope.models.torchvision_cure import make_importable

    make_importable()
    from PIL import Image
    from torchvision.transforms import v2 as library

    size = pictures[0].shape[0]
    bilinear = library.InterpolationMode.BILINEAR
    # Its alpha counts half pixels; noise is even in [-1, 1].
    alpha = 2 * elastic_gain(size, 1 / math.sqrt(3))
    steps: dict[str, list[Any]] = {
        "rotate": [library.RandomRotation(TURN_DEG, bilinear)],
        "flips": [library.RandomHorizontalFlip(0.5), library.RandomVerticalFlip(0.5)],
        "affine": [library.RandomAffine(TURN_DEG, scale=SCALE, interpolation=bilinear)],
        "elastic": [library.ElasticTransform(alpha, SMOOTH * size)],
        "light": [library.ColorJitter(LIGHT, LIGHT, LIGHT, HUE_TURN)],
    }
    torch.manual_seed(seed)
    if kind == "PIL":
        given: list[Any] = [Image.fromarray(pixels) for pixels in pictures]
    else:
        given = [torch.from_numpy(one).permute(2, 0, 1).contiguous() for one in pictures]
    return one_by_one(library.Compose(steps[chain]), given)


def as_pixels(result: Any) -> Pixels:
    """Bring what any side gives back to uint8, height × width × 3."""
    if hasattr(result, "numpy"):
        levels = result.permute(1, 2, 0).numpy()
        return np.asarray(levels if levels.dtype == np.uint8 else np.rint(levels * 255), np.uint8)
    return np.asarray(result, np.uint8)


BY_HAND: dict[str, tuple[Way, ...]] = {
    "rotate": (Way("", partial(hand_affine, (1.0, 1.0))),),
    "flips": (Way("", hand_flips),),
    "affine": (Way("", partial(hand_affine, SCALE)),),
    "papers": tuple(
        Way(points, partial(hand_papers, points)) for points in ("float map", "fixed-point map")
    ),
    "elastic": (Way("", hand_elastic),),
    "light": (Way("", hand_light),),
}


def ways(side: str, chain: str) -> tuple[Way, ...]:
    """List the ways a side can do a chain; none where it cannot."""
    kinds = ("tensor",) if chain == "elastic" else ("tensor", "PIL")
    known: dict[str, tuple[Way, ...]] = {
        "ours": (Way("", partial(ours, chain)),),
        "opencv": BY_HAND[chain],
        "albumentations": (Way("", partial(albumentations, chain)),),
        "kornia": (Way("batches", partial(kornia, chain), is_torch=True, unit=BATCH),),
    }
    if chain == "elastic":
        approximate = partial(albumentations, "elastic, approximate")
        known["albumentations_approximate"] = (Way("", approximate),)
    if chain != "papers":
        known["torchvision"] = tuple(
            Way(kind, partial(torchvision, chain, kind), is_torch=kind == "tensor")
            for kind in kinds
        )
    return known.get(side, ())
