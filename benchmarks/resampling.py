"""Scores of cases drawn anew, 10,000 times, against a plain loop of scikit-learn's functions.

Claim: at least 500 times as fast, from arrays of cells to every confusion-matrix metric and the
macro AUROC (one against the rest) of every draw. Both sides draw the same cases and alternate in
one process; the loop is timed on its first 50 draws, and the values of these must be equal.
"""

from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import measuring
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    balanced_accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
)

from leukoscope.foundation.streams import stream
from leukoscope.stats.concordance import concordance
from leukoscope.stats.resampled import resampled_auroc, resampled_scores, times_taken
from leukoscope.stats.scores import grouped_confusion

TARGET, TOLERANCE = 500, 1e-9
N_CASES, N_CELLS = 51, 10_000
MIX = np.array([5541, 536, 213, 88, 560, 2858]) / 9796
"""Shares of Nozaka's test cells: segmented, band, eosinophil, basophil, monocyte, lymphocyte."""


class Cells(NamedTuple):
    """Hold true codes (n,), probabilities (n, k), calls (n,) and cases (n,) of cells."""

    truth: NDArray[np.int64]
    shares: NDArray[np.float64]
    calls: NDArray[np.int64]
    cases: NDArray[np.int64]


class Plan(NamedTuple):
    """Say how much is measured."""

    draws: int
    loop_draws: int
    pairs: int


FULL, QUICK = Plan(10_000, 50, 9), Plan(200, 3, 2)


def drawn_cells() -> Cells:
    """Draw cells whose true category is some 2.5 likelier, on the log scale, than the others."""
    rng = stream(0, "benchmark", "resampling")
    truth = rng.choice(MIX.size, N_CELLS, p=MIX)
    logits = rng.normal(size=(N_CELLS, MIX.size)) + 2.5 * np.eye(MIX.size)[truth]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Cells(truth, shares, shares.argmax(axis=1), rng.integers(0, N_CASES, N_CELLS))


def all_draws(cells: Cells, n_draws: int) -> dict[str, NDArray[np.float64]]:
    """Score all draws by the package, drawing and counting included."""
    times = times_taken(stream(0, "benchmark", "draws"), n_draws, N_CASES)
    matrices = grouped_confusion(cells.truth, cells.calls, cells.cases, MIX.size, n_groups=N_CASES)
    areas = [
        resampled_auroc(concordance(share, cells.truth == code, cells.cases, N_CASES), times)
        for code, share in enumerate(cells.shares.T)
    ]
    return resampled_scores(matrices, times) | {"macro_auroc": np.mean(areas, axis=0)}


def loop(cells: Cells, n_draws: int) -> dict[str, NDArray[np.float64]]:
    """Score draws one by one, as one would with scikit-learn."""
    rng = stream(0, "benchmark", "draws")
    members = [np.flatnonzero(cells.cases == case) for case in range(N_CASES)]
    found = []
    for _ in range(n_draws):
        rows = np.concatenate([members[case] for case in rng.integers(0, N_CASES, N_CASES)])
        found.append(one_draw(cells.truth[rows], cells.calls[rows], cells.shares[rows]))
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def one_draw(
    truth: NDArray[np.int64], calls: NDArray[np.int64], shares: NDArray[np.float64]
) -> dict[str, Any]:
    labels = np.arange(MIX.size)
    matrix = confusion_matrix(truth, calls, labels=labels)
    precision, recall, f, support = precision_recall_fscore_support(truth, calls, labels=labels)
    false_calls = matrix.sum(axis=0) - matrix.diagonal()
    return {
        "accuracy": matrix.trace() / matrix.sum(),
        "balanced_accuracy": balanced_accuracy_score(truth, calls),
        "macro_f": f.mean(),
        "mcc": matthews_corrcoef(truth, calls),
        "kappa": cohen_kappa_score(truth, calls),
        "recall": recall,
        "specificity": 1 - false_calls / (truth.size - support),
        "precision": precision,
        "f": f,
        "macro_auroc": roc_auc_score(truth, shares, multi_class="ovr", labels=labels),
    }


def largest_difference(cells: Cells, plan: Plan) -> float:
    """Compare the loop's draws with the same ones of the package; stop unless they agree."""
    ours, theirs = all_draws(cells, plan.draws), loop(cells, plan.loop_draws)
    if ours.keys() != theirs.keys():
        raise SystemExit(f"Only one side has {sorted(ours.keys() ^ theirs.keys())}.")
    off = {name: np.abs(ours[name][: plan.loop_draws] - theirs[name]).max() for name in theirs}
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"The two sides differ, so no speed is compared: {off}.")
    return float(max(off.values()))


def compared(cells: Cells, plan: Plan) -> dict[str, Any]:
    """Alternate both sides; the loop's time is scaled to as many draws as the package made."""
    difference = largest_difference(cells, plan)
    ours, theirs = [], []
    for _ in range(plan.pairs):
        ours.append(measuring.seconds(partial(all_draws, cells, plan.draws)))
        of_loop = measuring.seconds(partial(loop, cells, plan.loop_draws))
        theirs.append(of_loop / plan.loop_draws * plan.draws)
    ratios = [slow / quick for quick, slow in zip(ours, theirs, strict=True)]
    return {
        "largest_difference": difference,
        "package_s": measuring.spread(ours),
        "loop_s_scaled": measuring.spread(theirs),
        "ratio_of_pairs": measuring.spread(ratios),
        "target": TARGET,
        "is_reached": bool(np.median(ratios) >= TARGET),
    }


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    results: dict[str, Any] = {"scikit_learn": version("scikit-learn")}
    results |= {"cases": N_CASES, "cells": N_CELLS, "categories": MIX.size}
    results |= plan._asdict() | compared(drawn_cells(), plan)
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
