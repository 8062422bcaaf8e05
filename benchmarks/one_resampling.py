"""How sharp a chain of rotations leaves a picture: one resampling, against one for each rotation.

Claim: rotating by 24 × 15° in one chain returns the picture itself, and so does any chain that
leads back; libraries that resample at each rotation blur it. Two chains: 24 rotations by 15°,
and 8 rotations by drawn angles followed by the same 8 back in reverse order. Given is the PSNR in
dB against the picture: the median over pictures, least and greatest; ``inf`` where all levels are
equal. It is counted within the circle that no rotation moves out of the picture, less its
outermost pixel, and within ``inner``, a circle of 3/4 of it, which what a library fills the
corners with (a mirrored edge; black with torchvision) does not reach by seeping inwards.

Each library runs bilinear and with the better interpolations it has, on uint8 and, where it takes
them, on float32 levels from end to end; ours also rotation by rotation, to show that the gain is
the one map and not the interpolation. ``albumentations``, ``kornia`` and ``torchvision`` as in
``augmenting.py``; the absent are named. Phantom cells, and real ones where the folder of shared
data is there. Deterministic.
"""

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import measuring
import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import draw
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import decode, resize
from leukoscope.intake.phantom import PhantomRecipe, cells

Pixels = npt.NDArray[np.uint8]
Rotate = Callable[[Pixels, Sequence[float]], Pixels]

SIZE_PX = 128
PER_CATEGORY = 2
CIRCLES = {"psnr_db": 1.0, "psnr_db_inner": 0.75}
LIBRARIES = ("albumentations", "kornia", "torchvision")


class Setting(NamedTuple):
    """Name a way to rotate a picture by angles (degrees) one after the other."""

    side: str
    interpolation: str
    levels: str
    rotate: Rotate


def chains() -> dict[str, list[float]]:
    there = stream(0, "benchmark", "one-resampling").uniform(-180, 180, 8).tolist()
    back = [-angle for angle in reversed(there)]
    return {"24 × 15°": [15.0] * 24, "8 drawn and back": there + back}


def by_recipe(interpolation: str, pixels: Pixels, angles: Sequence[float]) -> Pixels:
    """Rotate by one chain of ours."""
    steps = [{"kind": "rotation", "angle_range_deg": [angle, angle]} for angle in angles]
    value = {"name": "chain", "steps": steps, "interpolation": interpolation}
    recipe = AugmentationRecipe.from_mapping(value, where="the benchmark")
    return apply(draw(recipe, 0, "cell", 0), pixels)


def step_by_step(interpolation: str, pixels: Pixels, angles: Sequence[float]) -> Pixels:
    """Rotate by ours as a chained library would."""
    for angle in angles:
        pixels = by_recipe(interpolation, pixels, [angle])
    return pixels


def by_albumentations(flag: int, levels: str, pixels: Pixels, angles: Sequence[float]) -> Pixels:
    import albumentations as library  # type: ignore[import-not-found]

    fixed = {"interpolation": flag, "border_mode": cv2.BORDER_REFLECT_101, "p": 1.0}
    chain = library.Compose([library.Affine(rotate=(a, a), **fixed) for a in angles])
    given = pixels if levels == "uint8" else pixels.astype(np.float32) / 255
    done = chain(image=given)["image"]
    return np.asarray(done) if levels == "uint8" else rounded(done * 255)


def by_kornia(mode: str, pixels: Pixels, angles: Sequence[float]) -> Pixels:
    import torch
    from kornia.geometry.transform import rotate  # type: ignore[import-not-found]

    levels = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    for angle in angles:
        turn = torch.tensor([angle])
        levels = rotate(levels, turn, mode=mode, padding_mode="reflection", align_corners=True)
    return rounded((levels[0] * 255).permute(1, 2, 0).numpy())


def by_torchvision(mode: str, levels: str, pixels: Pixels, angles: Sequence[float]) -> Pixels:
    import torch

    from leukoscope.models.torchvision_cure import make_importable

    make_importable()
    from PIL import Image
    from torchvision.transforms import v2 as library

    how = library.InterpolationMode(mode)
    if levels == "uint8, PIL":
        given: Any = Image.fromarray(pixels)
    else:
        given = torch.from_numpy(pixels).permute(2, 0, 1)
        given = given.float() / 255 if levels == "float32" else given
    for angle in angles:
        given = library.functional.rotate(given, angle, how)
    if levels == "uint8, PIL":
        return np.asarray(given)
    done = given.permute(1, 2, 0).numpy()
    return done if levels == "uint8" else rounded(done * 255)


def rounded(levels: npt.NDArray[np.float32]) -> Pixels:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


SETTINGS = (
    *(Setting("ours, one chain", how, "uint8", partial(by_recipe, how)) for how in ("bilinear",)),
    *(
        Setting("ours, rotation by rotation", how, "uint8", partial(step_by_step, how))
        for how in ("bilinear", "bicubic")
    ),
    *(
        Setting("albumentations", how, levels, partial(by_albumentations, flag, levels))
        for how, flag in (
            ("bilinear", cv2.INTER_LINEAR),
            ("bicubic", cv2.INTER_CUBIC),
            ("Lanczos", cv2.INTER_LANCZOS4),
        )
        for levels in ("uint8", "float32")
    ),
    *(
        Setting("kornia", how, "float32", partial(by_kornia, how))
        for how in ("bilinear", "bicubic")
    ),
    *(
        Setting("torchvision", how, levels, partial(by_torchvision, how, levels))
        for how, levels in (
            ("bilinear", "uint8"),
            ("bilinear", "float32"),
            ("bilinear", "uint8, PIL"),
            ("bicubic", "uint8, PIL"),
        )
    ),
)


def psnr_db(share: float, pixels: Pixels, result: Pixels) -> float:
    """Compare levels within a share of the inscribed circle, whose outermost pixel is left out."""
    size = pixels.shape[0]
    offset = np.arange(size) - (size - 1) / 2
    inside = np.hypot(offset, offset[:, None]) <= share * ((size - 1) / 2 - 1)
    error = float(((pixels.astype(float) - result)[inside] ** 2).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def phantom_cells() -> list[Pixels]:
    recipe = PhantomRecipe(name="bench", n_cases=PER_CATEGORY, cells_per_case=6, size_px=SIZE_PX)
    return [cell.image for cell in cells(recipe)]


def real_cells() -> list[Pixels]:
    """Read some real cells of each category, at 128 px; none where they are not at hand."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("LEUKOSCOPE_SHARED", beside)) / "data" / "pbc"
    found = [sorted(each.glob("*.[jp][pn]g"))[:PER_CATEGORY] for each in sorted(folder.glob("*/"))]
    files = [file for category in found for file in category]
    return [resize(decode(one.read_bytes(), name=one.name).pixels, SIZE_PX) for one in files]


def psnr(share: float, pictures: Sequence[Pixels], results: Sequence[Pixels]) -> dict[str, Any]:
    found = [psnr_db(share, one, other) for one, other in zip(pictures, results, strict=True)]
    figures = {"median": median(found), "min": min(found), "max": max(found)}
    # JSON has no infinity.
    return {name: value if math.isfinite(value) else "inf" for name, value in figures.items()}


def table(pictures: Sequence[Pixels], angles: Sequence[float]) -> list[dict[str, Any]]:
    """Let each setting that is there do one chain to all pictures."""
    rows = []
    for setting in SETTINGS:
        if setting.side in LIBRARIES and not find_spec(setting.side):
            continue
        done = [setting.rotate(one, angles) for one in pictures]
        names = {
            "side": setting.side,
            "interpolation": setting.interpolation,
            "levels": setting.levels,
        }
        rows.append(names | {name: psnr(share, pictures, done) for name, share in CIRCLES.items()})
    return rows


def main() -> None:
    given = measuring.arguments(__doc__)
    facts = measuring.machine()
    there = {name for name in LIBRARIES if find_spec(name)}
    sets = {"phantom": phantom_cells(), "real (pbc)": real_cells()}
    if given.quick:
        sets = {name: pictures[:1] for name, pictures in sets.items()}
    results: dict[str, Any] = {
        "size_px": SIZE_PX,
        "absent": sorted(set(LIBRARIES) - there),
        "versions": {name: version(name) for name in sorted(there)},
        "angles_deg": chains(),
    }
    for name, pictures in sets.items():
        results[name] = {"pictures": len(pictures)}
        if pictures:
            results[name] |= {chain: table(pictures, angles) for chain, angles in chains().items()}
    ours = [
        row
        for name, pictures in sets.items()
        if pictures
        for chain in chains()
        for row in results[name][chain]
        if row["side"] == "ours, one chain"
    ]
    results["target"] = "ours, one chain: equal pictures"
    results["is_reached"] = all(row["psnr_db"]["min"] == "inf" for row in ours)
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
