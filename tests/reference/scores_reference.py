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
    recall, specificity, precision, f, support = [], [], [], [], []
    for c in range(k):
        hit = matrix[c][c]
        missed = sum(matrix[c][j] for j in range(k) if j != c)
        wrong = sum(matrix[i][c] for i in range(k) if i != c)
        spared = sum(matrix[i][j] for i in range(k) for j in range(k) if c not in (i, j))
        recall.append(hit / (hit + missed) if hit + missed else math.nan)
        specificity.append(spared / (spared + wrong) if spared + wrong else math.nan)
        precision.append(hit / (hit + wrong) if hit + wrong else math.nan)
        f.append(2 * hit / (2 * hit + wrong + missed) if hit + wrong + missed else math.nan)
        support.append(hit + missed)
    occurring = [c for c in range(k) if support[c]]
    cells = sum(support)
    return {
        "accuracy": sum(matrix[c][c] for c in range(k)) / cells if cells else math.nan,
        "balanced_accuracy": _mean([recall[c] for c in occurring]),
        "macro_f": _mean([f[c] for c in occurring]),
        "mcc": mcc(matrix),
        "kappa": kappa(matrix),
        "recall": recall,
        "specificity": specificity,
        "precision": precision,
        "f": f,
        "support": support,
    }


def mcc(matrix):
    """Correlate the indicators of truth and call over all cells, one pair a category."""
    k, cells = len(matrix), sum(map(sum, matrix))
    truth = [sum(row) for row in matrix]
    calls = [sum(row[c] for row in matrix) for c in range(k)]
    if sum(count > 0 for count in truth) < 2 or sum(count > 0 for count in calls) < 2:
        return math.nan
    both = of_truth = of_calls = 0.0
    for c in range(k):
        for i in range(k):
            for j in range(k):
                x = (i == c) - truth[c] / cells
                y = (j == c) - calls[c] / cells
                both += matrix[i][j] * x * y
                of_truth += matrix[i][j] * x * x
                of_calls += matrix[i][j] * y * y
    return both / math.sqrt(of_truth * of_calls)


def kappa(matrix):
    """Compare the share of agreement with what independent readers would agree by chance."""
    k, cells = len(matrix), sum(map(sum, matrix))
    if not cells or any(matrix[c][c] == cells for c in range(k)):
        return math.nan
    seen = sum(matrix[c][c] for c in range(k)) / cells
    chance = 0.0
    for c in range(k):
        chance += sum(matrix[c]) / cells * sum(row[c] for row in matrix) / cells
    return (seen - chance) / (1 - chance)


def _mean(values):
    return sum(values) / len(values) if values else math.nan
