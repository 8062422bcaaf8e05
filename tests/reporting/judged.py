"""Judgements as their page meets them: of an honest generator, and of one that copies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import encode_png
from leukoscope.reporting.judgement_pictures import in_pose
from leukoscope.reporting.judgement_tables import JudgementPage

CATEGORIES = ("segmented", "lymphocyte", "basophil")
THRESHOLD = 0.6
SIZE_PX = 24


def cell(*names: str | int) -> npt.NDArray[np.uint8]:
    """Draw a cell with no symmetry: an off-centre disc under noise."""
    drawing = stream(11, "judged", *names)
    down, across = np.mgrid[-1 : 1 : SIZE_PX * 1j, -1 : 1 : SIZE_PX * 1j]
    away = np.hypot(down + 0.3, across - 0.15)
    colour = np.where(
        (away < drawing.uniform(0.35, 0.5))[..., None], (110, 70, 150), (235, 205, 210)
    )
    colour = np.where((np.hypot(down, across) < 0.8)[..., None], 0.8 * colour, colour)
    return (colour + drawing.normal(0, 4, colour.shape)).clip(0, 255).astype(np.uint8)


def score(
    arm: str, metric: str, value: float | None, half: float = 0.0, **facts: Any
) -> dict[str, Any]:
    """Write a row of results with its bounds *half* to either side."""
    has = value is not None and half > 0
    return {
        "arm": arm,
        "metric": metric,
        "view": "strict",
        "value": value,
        "low": value - half if has and value is not None else None,
        "high": value + half if has and value is not None else None,
        "n_cells": 90,
        "method": "bootstrap over pictures",
    } | facts


def results(
    *,
    kid: float = 0.02,
    precision: float = 0.74,
    recall: float = 0.61,
    p_value: float = 0.4,
    flagged: float = 0.0,
) -> pl.DataFrame:
    """Write a judgement's results: only what matters to the verdict can be chosen."""
    rows = [score("generated", "kid", kid, 0.004), score("real", "kid", 0.0003, 0.002)]
    rows += [score("noise", "kid", 0.71, 0.01)]
    for metric, own, real in (
        *(("precision", precision, 0.86), ("recall", recall, 0.84)),
        *(("density", 0.9, 1.02), ("coverage", 0.7, 0.93), ("ssim", 0.31, 0.28)),
    ):
        rows += [score("generated", metric, own, 0.05), score("real", metric, real, 0.05)]
    few = "Gaussians of features, biased with few images (n = 90)"
    rows += [score("generated", "fid", 61.2, method=few), score("real", "fid", 22.4, method=few)]
    for number, category in enumerate(CATEGORIES):
        rows.append(score("generated", "kid", kid + 0.01 * number, 0.02, category=category))
        rows.append(score("real", "kid", 0.001, 0.01, category=category))
    share = {"low": max(flagged - 0.02, 0.0), "high": flagged + 0.05}
    rows.append(score("generated", "memorised", flagged) | share)
    rows.append(score("real", "memorised", 0.01))
    rows.append(score("generated", "memorisation", 0.3, p_value=p_value, method="rank sum"))
    return pl.DataFrame(rows, schema_overrides={"low": pl.Float64, "category": pl.String})


def neighbours(flagged: Sequence[int] = (), each: int = 30) -> pl.DataFrame:
    """Write the neighbours of *each* cells of a category; the numbers *flagged* are copies."""
    rows = []
    for place, category in enumerate(CATEGORIES):
        drawing = stream(2, "ratios", category)
        for number, drawn in enumerate(drawing.normal(1, 0.1, each)):
            at = place * each + number
            ratio = 0.2 + at / 1000 if at in flagged else max(float(drawn), THRESHOLD + 0.01)
            rows.append(
                {
                    "cell_id": f"generated-0123abcd/{category}/{number:06d}",
                    "category": category,
                    "nearest_fit": f"folder/ann-{at:03d}.png",
                    "distance_fit": 20 * ratio,
                    "nearest_held_out": f"folder/bob-{at:03d}.png",
                    "distance_held_out": 20.0,
                    "ratio": ratio,
                    "pose": at % 16,
                    "memorised": at in flagged,
                    "in_manifold": at % 5 != 0,
                }
            )
    return pl.DataFrame(rows, schema_overrides={"pose": pl.Int32})


def pictures(table: pl.DataFrame, *, real: bool) -> dict[str, bytes]:
    """Draw the generated cells, and if asked the real ones: flagged cells are turned copies."""
    found = {}
    for row in table.to_dicts():
        source = cell(row["nearest_fit"])
        own = in_pose(source, row["pose"]) if row["memorised"] else cell(row["cell_id"])
        found[row["cell_id"]] = encode_png(own)
        if real:
            found[row["nearest_fit"]] = encode_png(source)
    if real:
        held = {f"folder/cleo-{number}.png": cell("held", number) for number in range(12)}
        found |= {name: encode_png(pixels) for name, pixels in held.items()}
    return found


def about(**facts: Any) -> dict[str, Any]:
    """Tell of a judgement what its tables do not."""
    honest = stream(2, "honest").normal(1, 0.1, 120)
    return {
        "dataset": "slides of 2024",
        "generated": "drawn cells",
        "generator": "own",
        "generator_id": "generator:0123456789abcdef",
        "features": "mobilenetv2_100.tf2_coral_in1k up to its last layer, 0123abcd, 64 px",
        "size_px": SIZE_PX,
        "categories": list(CATEGORIES),
        "cells": [
            {"category": name, "n_fit": 200, "n_held_out": 40, "n_generated": 30}
            for name in CATEGORIES
        ],
        "threshold": THRESHOLD,
        "honest_ratios": [float(value) for value in honest],
        "honest_flagged": 0.008,
        "seed": 0,
        "licence": "CC BY 4.0",
        "citation": "Nobody et al. 2020",
    } | facts


def honest(*, real: bool = False) -> JudgementPage:
    """Judge a generator that does well enough."""
    table = neighbours()
    return JudgementPage(results(), table, about(), pictures(table, real=real))


COPIES = (3, 31, 62, 63, 70)


def copying(*, real: bool = True) -> JudgementPage:
    """Judge a generator that has learnt cells by heart."""
    table = neighbours(COPIES)
    return JudgementPage(
        results(kid=0.001, p_value=1e-5, flagged=len(COPIES) / 90),
        table,
        about(),
        pictures(table, real=real),
    )
