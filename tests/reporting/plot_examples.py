"""Tables of invented numbers for figures: of 2, 6 and 13 categories, and what lies in a figure."""

import functools
import io
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from tests.reporting.example import THIRTEEN

from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.records.categories import NOZAKA6
from leukoscope.reporting import (
    plot_agreement,
    plot_calibration,
    plot_confusion,
    plot_errors,
    plot_forest,
    plot_learning,
    plot_ranking,
    plotting,
)
from leukoscope.reporting.plot_results import drawn_differences, drawn_scores
from leukoscope.reporting.plot_selection import drawn_points

CATEGORIES = {2: ("healthy", "leukemic"), 6: NOZAKA6, 13: THIRTEEN}
BORDER = "band against segmented"
LONG = ("atypical large granular lymphocyte of uncertain lineage", "w" * 60, "smudge $x_1$ & <b>")


def matrix(names: Sequence[str], largest: int = 400) -> np.ndarray:
    """Count calls that are mostly right, and else mostly of the category beside the true one."""
    rng = stream(0, "matrix", *names)
    k = len(names)
    truth = np.linspace(largest, largest / 20, k).astype(int)
    near = np.exp(-1.5 * np.abs(np.subtract.outer(np.arange(k), np.arange(k))))
    near[np.diag_indices(k)] *= 4
    near[near < 0.005] = 0
    shares = near / near.sum(axis=1, keepdims=True)
    return np.array([rng.multinomial(n, p) for n, p in zip(truth, shares, strict=True)])


def confusion(names: Sequence[str], largest: int = 400, view: str = "strict") -> pl.DataFrame:
    """Make the confusion table of :func:`matrix`."""
    counts = matrix(names, largest)
    rows = [
        (view, truth, call, float(n), n / row.sum() if row.sum() else None)
        for truth, row in zip(names, counts, strict=True)
        for call, n in zip(names, row, strict=True)
    ]
    columns = ("view", "category", "predicted", "n_cells", "share")
    schema = {name: shapes.CONFUSION.columns[name] for name in columns}
    return tables.check(pl.DataFrame(rows, schema=schema, orient="row"), shapes.CONFUSION)


def texts_of(figure: Figure) -> list[tuple[Text, tuple[float, float, float, float]]]:
    """Measure every text that is drawn: left, bottom, right and top in pixels."""
    figure.draw_without_rendering()
    found = []
    for text in figure.findobj(Text):
        shown = text.get_visible() and text.get_text().strip()
        parent = getattr(text, "axes", None)
        if shown and not (parent is not None and not parent.axison and text in _ticks(parent)):
            found.append((text, text.get_window_extent().extents))
    return found


def _ticks(axes: object) -> list[Text]:
    return [*axes.xaxis.findobj(Text), *axes.yaxis.findobj(Text)]  # type: ignore[attr-defined]


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Name the pairs of texts that cover each other by more than a third of a pixel."""
    return [
        (one.get_text(), other.get_text())
        for (one, a), (other, b) in itertools.combinations(texts_of(figure), 2)
        if min(a[2], b[2]) - max(a[0], b[0]) > 0.3 and min(a[3], b[3]) - max(a[1], b[1]) > 0.3
    ]


def beyond(figure: Figure) -> list[str]:
    """Name the texts that reach over the edge of the figure."""
    wide, high = figure.get_size_inches() * figure.dpi
    return [
        text.get_text()
        for text, (left, bottom, right, top) in texts_of(figure)
        if left < -0.5 or bottom < -0.5 or right > wide + 0.5 or top > high + 0.5
    ]


def smallest(figure: Figure) -> float:
    """Give the smallest size of a text in points."""
    return min(text.get_fontsize() for text, _ in texts_of(figure))


def scored(names: Sequence[str], n_cells: int = 1200, skill: float = 1.2) -> tuple:
    """Draw the true codes of cells and probabilities that tell them apart so well."""
    rng = stream(0, "scored", *names)
    k = len(names)
    mix = np.linspace(3, 0.4, k)
    truth = rng.choice(k, n_cells, p=mix / mix.sum())
    latent = rng.normal(size=(n_cells, k))
    latent[np.arange(n_cells), truth] += 2.2 * skill
    odds = np.exp(1.6 * latent) * mix
    return truth, odds / odds.sum(axis=1, keepdims=True)


def points(names: Sequence[str], arm: str | None = None, skill: float = 1.2) -> pl.DataFrame:
    """Make the points of every curve from :func:`scored`, in plain loops."""
    truth, probabilities = scored(names, skill=skill)
    rows: list[dict[str, object]] = []
    for code, name in enumerate(names):
        rows += _ranked(name, probabilities[:, code], truth == code)
    if {"band", "segmented"} <= set(names):
        pair = [names.index("band"), names.index("segmented")]
        kept = np.isin(truth, pair)
        of_two = probabilities[kept][:, pair]
        score = of_two[:, 0] / of_two.sum(axis=1)
        rows += _ranked(BORDER, score, truth[kept] == pair[0])
    rows += _top(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)
    named = [row | {"arm": arm, "view": "strict"} for row in rows]
    return tables.check(pl.DataFrame(named, schema=shapes.POINTS.columns), shapes.POINTS)


def _ranked(name: str, score: np.ndarray, positive: np.ndarray) -> list[dict[str, object]]:
    rows = []
    own, others = max(positive.sum(), 1), max((~positive).sum(), 1)
    cuts = [np.inf, *np.unique(np.round(score, 3))[::-1]]
    for place, cut in enumerate(cuts):
        called = np.round(score, 3) >= cut
        hits, alarms = (called & positive).sum(), (called & ~positive).sum()
        row = {"category": name, "place": place, "threshold": None if place == 0 else float(cut)}
        rows.append(row | {"figure": "roc", "x": alarms / others, "y": hits / own})
        if called.any():
            found = {"x": hits / own, "y": hits / called.sum()}
            rows.append(row | {"figure": "precision_recall"} | found)
    for place, cut in enumerate(np.round(np.arange(0, 1.001, 0.05), 2)):
        right = ((score >= cut) == positive).mean()
        row = {"figure": "threshold", "category": name, "place": place, "threshold": float(cut)}
        rows.append(row | {"x": float(cut), "y": float(right)})
    return rows


def _top(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, object]]:
    order = np.argsort(-confidence)
    risk = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    rows: list[dict[str, object]] = [
        {"figure": "coverage_risk", "place": place, "x": (place + 1) / len(order)}
        | {"y": float(risk[place]), "threshold": float(confidence[order[place]])}
        for place in range(len(order))
    ]
    for place, part in enumerate(np.array_split(np.argsort(confidence), 10)):
        share, n = float(right[part].mean()), len(part)
        half = 1.96 * np.sqrt(max(share * (1 - share), 0.002) / n)
        row = {"figure": "reliability", "place": place, "x": float(confidence[part].mean())}
        bounds = {"low": max(share - half, 0.0), "high": min(share + half, 1.0)}
        rows.append(row | {"y": share, "n_cells": n} | bounds)
    return rows


def results(names: Sequence[str], *, unit: str = "case") -> pl.DataFrame:
    """Make the results of one model: overall and by category, one of them undefined."""
    rng = stream(0, "results", *names)
    rows: list[dict[str, object]] = []
    for metric, value in {"accuracy": 0.934, "balanced_accuracy": 0.891, "macro_f": 0.887}.items():
        rows.append(_score(metric, value, 0.02, unit=unit))
        if unit == "family":
            wide = {"unit": "as if 50 cells a person", "method": "jackknife t, widened"}
            rows.append(_score(metric, value, 0.04, **wide))
    rows += [_score("mcc", 0.874, 0.03, unit=unit), _score("kappa", 0.871, 0.03, unit=unit)]
    rows += [_score("auroc", 0.991, 0.004, unit=unit)]
    for place, name in enumerate(names):
        n = int(400 / (place + 1))
        rows.append(_score("support", float(n), None, category=name, unit=unit))
        for metric in ("recall", "specificity", "precision", "f", "auroc"):
            value = 1.0 if metric == "specificity" else float(rng.uniform(0.7, 0.99))
            rows.append(_score(metric, value, 0.4 / np.sqrt(n), category=name, unit=unit))
    nothing = {"value": None, "low": None, "high": None, "method": "undefined: never called"}
    rows[-3] |= nothing
    rows[-2] |= {"low": None, "high": None, "method": "undefined: one group"}
    return tables.check(pl.DataFrame(rows, schema=shapes.RESULTS.columns), shapes.RESULTS)


def _score(metric: str, value: float, half: float | None, **facts: object) -> dict[str, object]:
    common = dict.fromkeys(shapes.RESULTS.columns) | {"view": "strict", "method": "jackknife t"}
    bounds = {} if half is None else {"low": value - half, "high": min(value + half, 1.0)}
    return common | {"metric": metric, "value": value} | bounds | facts


def differences(names: Sequence[str], arms: Sequence[str] = ("rotated-online",)) -> pl.DataFrame:
    """Make the results of a comparison: intervals, a permutation test, and a replica."""
    rng = stream(0, "differences", *names)
    rows = []
    for arm in arms:
        facts = {"arm": arm, "baseline": "plain", "unit": "case"}
        for metric in ("macro_f", "mcc", "brier"):
            value = float(rng.normal(0.01, 0.02))
            rows.append(_score(metric, value, 0.018, **facts))
            rows.append(_score(metric, value, None, **facts | {"method": "sign flip"}))
        wald = facts | {"method": "replica: Wald interval of the other's accuracy"}
        rows.append(_score("macro_f", 0.9, 0.02, **wald))
        for name in names:
            value = float(rng.normal(0, 0.03))
            rows.append(_score("recall", value, 0.03, category=name, **facts))
    return tables.check(pl.DataFrame(rows, schema=shapes.RESULTS.columns), shapes.RESULTS)


def differential(names: Sequence[str], n_cases: int = 24) -> pl.DataFrame:
    """Count the differentials of some cases, the model a little biased in the first category."""
    rng = stream(0, "differential", *names)
    k = len(names)
    mix = np.linspace(4, 0.2, k)
    rows = []
    for case in range(1, n_cases + 1):
        shares = rng.dirichlet(8 * mix)
        n = int(rng.integers(100, 220))
        truth = rng.multinomial(n, shares)
        called = np.zeros(k, dtype=int)
        for place, number in enumerate(truth):
            moved = rng.binomial(number, 0.08 if place == 0 else 0.05)
            called[place] += number - moved
            called[(place + rng.choice([1, k - 1])) % k] += moved
        for name, x, y in zip(names, called, truth, strict=True):
            half = 1.96 * np.sqrt(x / n * (1 - x / n) / n)
            limits = (max(x / n - half, 0.0), min(x / n + half, 1.0))
            model = (f"case-{case:03d}", "strict", name, n, x, x / n, *limits)
            rows.append((*model, n, y, y / n, None))
    schema = shapes.DIFFERENTIAL.columns
    return tables.check(pl.DataFrame(rows, schema=schema, orient="row"), shapes.DIFFERENTIAL)


def agreement(counts: pl.DataFrame) -> pl.DataFrame:
    """Compute bias and limits of agreement of each category as Bland and Altman (1986) do."""
    rows = []
    for (name,), cases in counts.partition_by("category", as_dict=True).items():
        off = (cases["share"] - cases["reference_share"]).to_numpy()
        n, spread = len(off), off.std(ddof=1) if len(off) > 1 else np.nan
        for metric, value, error in (
            ("bias", off.mean(), spread / np.sqrt(n)),
            ("limit_low", off.mean() - 1.96 * spread, np.sqrt(3 / n) * spread),
            ("limit_high", off.mean() + 1.96 * spread, np.sqrt(3 / n) * spread),
        ):
            known = bool(np.isfinite(error))
            facts = {"value": float(value)} if known else {"value": None}
            bounds = {"low": value - 2 * error, "high": value + 2 * error} if known else {}
            row = {"metric": metric, "category": name, "view": "strict", "method": "t"}
            rows.append(dict.fromkeys(shapes.RESULTS.columns) | row | facts | bounds)
    return tables.check(pl.DataFrame(rows, schema=shapes.RESULTS.columns), shapes.RESULTS)


def history(n_updates: int = 40, replicate: int = 0) -> pl.DataFrame:
    """Make a training's history that learns, then overfits a little."""
    rng = stream(replicate, "history")
    update = np.arange(1, n_updates + 1) * 50
    t = update / 400
    noise = rng.normal(size=(5, n_updates))
    score = 0.95 - 0.6 * np.exp(-t) + 0.008 * noise[2]
    return pl.DataFrame(
        {
            "update": update,
            "rounds": update / 15,
            "train_loss": 1.8 * np.exp(-t) + 0.05 + 0.02 * np.abs(noise[0]),
            "validation_loss": 1.5 * np.exp(-t) + 0.2 + 0.03 * t + 0.02 * noise[1],
            "validation_accuracy": score,
            "validation_balanced_accuracy": score - 0.05 + 0.004 * noise[3],
            "validation_macro_f": score - 0.055 + 0.004 * noise[4],
            "is_best": score == score.max(),
        }
    )


def curves(n_replicates: int = 4) -> pl.DataFrame:
    """Make the histories of several replicates of one arm."""
    parts = [
        history(20, replicate)
        .drop("is_best")
        .with_columns(study=pl.lit("s"), arm=pl.lit("rotated"), replicate=pl.lit(replicate))
        for replicate in range(n_replicates)
    ]
    return tables.check(pl.concat(parts), shapes.CURVES)


def errors(names: Sequence[str], n_cells: int = 30) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make pictures of drawn cells called wrong, and the table of errors."""
    rng = stream(0, "errors", *names)
    wrong, shown = [], []
    for place in range(n_cells):
        truth, call = rng.choice(len(names), 2, replace=False)
        p = float(rng.uniform(0.4, 0.99))
        facts = {"cell_id": f"set/cell-{place:03d}.png", "category": names[truth]}
        facts |= {"predicted": names[call]}
        wrong.append(facts | {"p_predicted": p, "p_category": (1 - p) * float(rng.uniform(0, 1))})
        shown.append(facts | {"kind": "missed", "arm": "run", "png": png(place)})
    pictures = pl.DataFrame(shown, schema=shapes.PICTURES.columns)
    table = pl.DataFrame(wrong, schema=shapes.ERRORS.columns)
    return tables.check(pictures, shapes.PICTURES), tables.check(table, shapes.ERRORS)


def png(number: int, size_px: tuple[int, int] = (64, 64)) -> bytes:
    """Draw a violet disc on a rosy ground, another one for each number."""
    rng = stream(number, "png")
    high, wide = size_px
    y, x = np.mgrid[:high, :wide]
    centre = rng.uniform(0.4, 0.6, 2)
    inside = np.hypot(y - centre[0] * high, x - centre[1] * wide) < 0.28 * min(high, wide)
    pixels = np.where(inside[..., None], (110, 70, 150), (238, 214, 222)).astype(float)
    pixels += rng.normal(0, 8, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def shuffled(table: pl.DataFrame) -> pl.DataFrame:
    """Put the rows of a table into another order."""
    return table.sample(fraction=1.0, shuffle=True, seed=7)


class Example(NamedTuple):
    """Hold a figure's function, the tables it is made of, and the table it draws."""

    draw: Callable[..., Figure]
    given: tuple[pl.DataFrame, ...]
    drawn: pl.DataFrame

    def figure(self) -> Figure:
        """Draw the figure."""
        return self.draw(*self.given)

    def figure_of_shuffled(self) -> Figure:
        """Draw the figure from the same rows in another order."""
        return self.draw(*map(shuffled, self.given))


@functools.cache
def example_figure(name: str, names: tuple[str, ...]) -> Example:
    """Make one of the figures from invented numbers of these categories."""
    counts = differential(names)
    compared = differences(names, ("rotated-online", "rotated-100"))
    pictures, wrong = errors(names)
    ranked = {
        "roc": plot_ranking.roc_figure,
        "precision_recall": plot_ranking.precision_recall_figure,
        "threshold": plot_ranking.threshold_figure,
        "reliability": plot_calibration.reliability_figure,
        "coverage_risk": plot_calibration.coverage_risk_figure,
    }
    if name in ranked:
        given = points(names)
        return Example(ranked[name], (given,), drawn_points(given, name))
    found = {
        "confusion": lambda: Example(
            lambda table: plot_confusion.confusion_figure(table, "strict"),
            (confusion(names),),
            plot_confusion.drawn_confusion(confusion(names), "strict"),
        ),
        "scores": lambda: Example(
            plot_forest.forest_figure, (results(names),), drawn_scores(results(names))
        ),
        "differences": lambda: Example(
            lambda table: plot_forest.difference_figure(table, "recall", margin=0.02),
            (compared,),
            drawn_differences(compared, "recall"),
        ),
        "agreement": lambda: Example(
            lambda *two: plot_agreement.bland_altman_figure(*two, "strict"),
            (counts, agreement(counts)),
            plot_agreement.drawn_agreement(counts, agreement(counts), "strict"),
        ),
        "learning": lambda: Example(
            plot_learning.learning_figure, (history(),), plot_learning.drawn_history(history())
        ),
        "errors": lambda: Example(
            plot_errors.errors_figure, (pictures, wrong), plot_errors.drawn_errors(pictures, wrong)
        ),
    }
    return found[name]()


@functools.cache
def svg(name: str) -> str:
    """Write one of the figures of six categories, once for all tests."""
    return plotting.svg_of(example_figure(name, NOZAKA6).figure())


FIGURES = (
    *("confusion", "scores", "differences", "roc", "precision_recall", "threshold"),
    *("reliability", "coverage_risk", "agreement", "learning", "errors"),
)
"""The names of all figures."""
