"""Scores counted cell by cell, slowly and in sight."""

import math


def confusion(truth, predicted, n_categories):
    """Count with two loops."""
    matrix = [[0] * n_categories for _ in range(n_categories)]
    for true, called in zip(truth, predicted, strict=True):
        matrix[true][called] += 1
    return matrix


def scores(matrix):
    """Compute every metric of one matrix, given as a list of lists."""
    k = len(matrix)
    recall, precision, f, support = [], [], [], []
    for c in range(k):
        hit = matrix[c][c]
        missed = sum(matrix[c][j] for j in range(k) if j != c)
        wrong = sum(matrix[i][c] for i in range(k) if i != c)
        recall.append(hit / (hit + missed) if hit + missed else math.nan)
        precision.append(hit / (hit + wrong) if hit + wrong else math.nan)
        f.append(2 * hit / (2 * hit + wrong + missed) if hit + wrong + missed else math.nan)
        support.append(hit + missed)
    occurring = [c for c in range(k) if support[c]]
    cells = sum(support)
    return {
        "accuracy": sum(matrix[c][c] for c in range(k)) / cells if cells else math.nan,
        "balanced_accuracy": _mean([recall[c] for c in occurring]),
        "macro_f": _mean([f[c] for c in occurring]),
        "recall": recall,
        "precision": precision,
        "f": f,
        "support": support,
    }


def _mean(values):
    return sum(values) / len(values) if values else math.nan
