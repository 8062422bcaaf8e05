"""A full-grown study of invented numbers: five arms, curves, missed cells and drawn pictures."""

import io
import json
from dataclasses import replace

import numpy as np
import polars as pl
from PIL import Image
from tests.reporting.example import THIRTEEN, example

from leukoscope.foundation.streams import stream
from leukoscope.records import shapes
from leukoscope.reporting.contents import StudyPage, categories_of, scores_of

ARMS = {
    "originals": "the training cells of the replicate's draw, each as it was taken",
    "rotated-100": "the originals and beside each one rotated copy, made once (+100 %)",
    "rotated-200": "the originals and beside each two rotated copies, made once (+200 %)",
    "rotated-online": "the originals, each turned by a new angle at every visit",
    "more-originals": "the originals and twice as many further ones, the fair rival of +200 %",
}
EFFECTS = {
    "rotated-100": (0.004, 0.003),
    "rotated-200": (0.009, 0.012),
    "rotated-online": (-0.041, 0.022),
    "more-originals": (0.026, 0.012),
}
"""Planted difference in the primary metric, and half of its interval."""

N_CASES = 51
UPDATES = 200


def rotation(*, unit: str = "family", n_replicates: int = 8) -> StudyPage:
    """Build the page of a study that has everything; cases only where they are the unit."""
    lifts = {arm: value for arm, (value, _) in EFFECTS.items()}
    page = example(arms=ARMS, n_replicates=n_replicates, unit=unit, lifts=lifts)
    page = replace(page, results=planted(page))
    extra = [parts_rows(page), gain_rows(page), convergence_rows(page), epoch_rows(page)]
    extra += [case_rows(page)] if unit == "case" else []
    results = pl.concat([page.results, *extra])
    return replace(
        page,
        question="Does rotating the training cells help?",
        results=results,
        curves=curves(page.n_replicates),
        missed=missed(page.n_replicates),
        pictures=pictures(),
    )


def many(*, n_arms: int = 8) -> StudyPage:
    """Build a page of many arms and thirteen categories, with gains and both intervals."""
    arms = dict.fromkeys(["originals", *(f"rotated-{n}00" for n in range(1, n_arms))], "as named")
    page = example(arms=arms, categories=THIRTEEN, n_replicates=2)
    effects = {arm: (0.02 * place - 0.07, 0.012) for place, arm in enumerate(arms) if place}
    results = pl.concat([page.results, parts_rows(page), gain_rows(page, effects)])
    return replace(page, results=results)


def planted(page: StudyPage) -> pl.DataFrame:
    """Give each arm's differences an interval of its own and a p value that fits it."""
    rows = page.results.to_dicts()
    for row in rows:
        if row["baseline"] is not None:
            _, half = EFFECTS[row["arm"]]
            row |= {"low": row["value"] - half, "high": row["value"] + half}
            row["p_value"] = 0.0004 if row["low"] * row["high"] > 0 else 0.2
            row["p_adjusted"] = None if row["p_adjusted"] is None else 4 * row["p_value"]
    return pl.DataFrame(rows, schema=shapes.RESULTS.columns)


def row(page: StudyPage, **values: object) -> dict[str, object]:
    """Make a row of the results; what is not named is null."""
    common = dict.fromkeys(shapes.RESULTS.columns) | {"study": page.name, "view": "strict"}
    return common | {"n_cells": 900, "n_families": 880, "unit": page.unit} | values


def table(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Make a results table."""
    return pl.DataFrame(rows, schema=shapes.RESULTS.columns)


def differences(page: StudyPage) -> list[dict[str, object]]:
    """List the rows of the results that compare arms."""
    return page.results.filter(pl.col("baseline").is_not_null()).to_dicts()


def parts_rows(page: StudyPage) -> pl.DataFrame:
    """Give each difference its two standard errors and a pigeonhole interval."""
    rows = []
    for each in differences(page):
        half = (each["high"] - each["low"]) / 2
        empty = {"low": None, "high": None, "p_value": None, "p_adjusted": None}
        for name, share in (("groups", 0.3), ("replicates", 0.35), ("interaction", 0.1)):
            part = {"metric": f"{each['metric']}_se_{name}", "value": share * half}
            rows.append(each | empty | part | {"method": "two-way jackknife"})
        bounds = {"low": each["value"] - 0.9 * half, "high": each["value"] + 0.9 * half}
        method = {"method": "pigeonhole bootstrap percentile, 2000 draws"}
        rows.append(each | empty | bounds | method)
    return table(rows)


def gain_rows(page: StudyPage, effects: dict[str, tuple[float, float]] = EFFECTS) -> pl.DataFrame:
    """Let bands lose what segmented cells gain where an arm harms, and the reverse."""
    rows = []
    side = {"band": 1.0, "segmented": -0.5}
    for arm, (value, half) in effects.items():
        for view in ("strict", "merged"):
            for category in categories_of(scores_of(page), view):
                for metric in ("recall", "precision", "f"):
                    lift = value * side.get(category, 0.2) * {"recall": 5, "f": 2}.get(metric, 1)
                    bounds = {"low": lift - 1.5 * half, "high": lift + 1.5 * half, "value": lift}
                    named = {"metric": metric, "category": category, "view": view, "p_value": 0.3}
                    paired = {"arm": arm, "baseline": page.baseline, "method": "two-way t"}
                    rows.append(row(page, **bounds, **named, **paired))
    return table(rows)


def convergence_rows(page: StudyPage) -> pl.DataFrame:
    """Say when each run converged; one run never did."""
    rows = []
    for place, arm in enumerate(ARMS):
        for replicate in range(page.n_replicates):
            for metric, first in (("validation_accuracy", 60), ("train_loss", 120)):
                at = first + 10 * place + 10 * (replicate % 3)
                never = arm == "rotated-online" and replicate == 1
                named = {"arm": arm, "replicate": replicate, "metric": f"convergence_{metric}"}
                value = {"value": None if never else float(at), "method": "first within 1 %"}
                rows.append(row(page, **named, **value))
    return table(rows)


def epoch_rows(page: StudyPage) -> pl.DataFrame:
    """Repeat the differences as a second analysis would find them."""
    rows = [
        each
        | {"study": f"{page.name}-equal-epochs"}
        | {name: each[name] + 0.003 for name in ("value", "low", "high")}
        for each in differences(page)
    ]
    return table(rows).with_columns(p_adjusted=pl.lit(None, dtype=pl.Float64))


def case_rows(page: StudyPage) -> pl.DataFrame:
    """Give each case its accuracy; a few are hard in every arm."""
    rows = []
    for number in range(1, N_CASES + 1):
        drawing = stream(11, "example case", number)
        easy, n_cells = drawing.beta(14, 2), int(drawing.integers(8, 40))
        for arm in ARMS:
            value = EFFECTS.get(arm, (0.0, 0.0))[0] + easy + drawing.normal(0, 0.01)
            for view, lift in (("strict", 0.0), ("merged", 0.05)):
                named = {"arm": arm, "view": view, "case": f"case-{number:03d}"}
                found = {"metric": "accuracy", "value": float(np.clip(value + lift, 0, 1))}
                counted = {"n_cells": n_cells, "n_cases": 1, "method": "mean over replicates"}
                rows.append(row(page, **named, **found, **counted))
    return table(rows)


def curves(n_replicates: int) -> pl.DataFrame:
    """Draw histories that rise and flatten, and a second analysis' beside them."""
    rows = []
    for place, arm in enumerate(ARMS):
        for replicate in range(n_replicates):
            drawing = stream(13, "example curve", place, replicate)
            end = 0.88 + EFFECTS.get(arm, (0.0, 0.0))[0] + drawing.normal(0, 0.006)
            for update in range(10, UPDATES + 1, 10):
                grown = 1 - np.exp(-update / 35)
                score = end * grown + drawing.normal(0, 0.006)
                loss = 1.7 * np.exp(-update / 30) + 0.12 + 0.03 * place + drawing.normal(0, 0.015)
                rows.append(
                    {"study": "rotation", "arm": arm, "replicate": replicate, "update": update}
                    | {"rounds": update / 16, "train_loss": loss, "validation_loss": loss + 0.1}
                    | {"validation_accuracy": score + 0.02, "validation_macro_f": score}
                    | {"validation_balanced_accuracy": score + 0.01}
                )
    own = pl.DataFrame(rows, schema=shapes.CURVES.columns)
    return pl.concat([own, own.with_columns(study=pl.lit("rotation-equal-epochs"))])


KINDS = (
    *(("band", "segmented", 21), ("segmented", "band", 14), ("monocyte", "lymphocyte", 4)),
    *(("lymphocyte", "monocyte", 3), ("basophil", "lymphocyte", 1)),
)
"""True category, call, and how many cells of that kind every replicate misses."""


def missed(n_replicates: int) -> pl.DataFrame:
    """Plant errors: of each kind so many, fewer in later arms, the first ones in all of them."""
    rows = []
    for place, arm in enumerate(ARMS):
        for category, predicted, n_cells in KINDS:
            for number in range(max(n_cells - 2 * place, 1)):
                cell = f"smears/by-name_{category}_{number:03d}.png"
                named = {"arm": arm, "cell_id": cell, "category": category, "predicted": predicted}
                called = n_replicates - (number % 3 == 2)
                rows.append(named | {"n_called": called, "n_replicates": n_replicates})
    return pl.DataFrame(rows, schema=shapes.MISSED.columns)


def drawn(category: str, number: int, angle_deg: float, *, size_px: int = 64) -> bytes:
    """Draw a disc with two blots on noise: no cell, only something that shows its angle."""
    drawing = stream(17, "example picture", category, number)
    noise = drawing.normal(0, 6, (size_px, size_px, 3))
    y, x = np.mgrid[:size_px, :size_px] - (size_px - 1) / 2
    turn = np.deg2rad(angle_deg)
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    pixels = np.full((size_px, size_px, 3), (236.0, 214.0, 218.0)) + noise
    pixels[x**2 + y**2 < (0.36 * size_px) ** 2] -= (20, 40, 10)
    tint = drawing.uniform(40, 90, 3)
    for at, radius in ((-9, 10), (8, 7)):
        blot = (x - at) ** 2 + (y - at / 3) ** 2 < radius**2
        pixels[blot] -= tint
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def pictures() -> pl.DataFrame:
    """Draw what each arm saw of four cells, and some of the cells that it always misses."""
    rows = []
    times = {"originals": 1, "rotated-100": 2, "rotated-200": 3, "rotated-online": 4}
    for arm in ARMS:
        for number, category in enumerate(("segmented", "band", "eosinophil", "lymphocyte")):
            for copy in range(times.get(arm, 1)):
                angle = 0.0
                if copy or arm == "rotated-online":
                    angle = float(stream(19, "angle", arm, number, copy).uniform(0, 360))
                done = [["rotation_deg", angle]] if angle else []
                named = {"kind": "seen", "arm": arm, "cell_id": f"seen-{category}", "copy": copy}
                named |= {"category": category, "draw": json.dumps({"operations": done})}
                rows.append(named | {"png": drawn(category, number, angle), "predicted": None})
    for each in missed(1).to_dicts():
        named = {name: each[name] for name in ("arm", "cell_id", "category", "predicted")}
        number = int(each["cell_id"][-7:-4])
        if number < 12:
            shown = drawn(each["category"], 100 + number, 0.0)
            rows.append(named | {"kind": "missed", "copy": None, "draw": None, "png": shown})
    columns = list(shapes.PICTURES.columns)
    return pl.DataFrame(
        [{name: each[name] for name in columns} for each in rows], schema=shapes.PICTURES.columns
    )
