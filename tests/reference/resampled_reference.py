"""Groups drawn anew, by laying their cells out again and again and counting from the start."""

import math

from tests.reference import scores_reference


def times_taken(rng, n_draws, n):
    """Draw one by one and count."""
    counts = []
    for _ in range(n_draws):
        taken = [0] * n
        for _ in range(n):
            taken[int(rng.integers(n))] += 1
        counts.append(taken)
    return counts


def repeated(matrices, times):
    """Add up each group's matrix as often as it is taken."""
    k = len(matrices[0])
    total = [[0] * k for _ in range(k)]
    for matrix, often in zip(matrices, times, strict=True):
        for _ in range(often):
            for i in range(k):
                for j in range(k):
                    total[i][j] += matrix[i][j]
    return total


def scores(matrices, times):
    """Score the repeated cells; the means are undefined where a category was lost."""
    k, total = len(matrices[0]), repeated(matrices, times)
    found = scores_reference.scores(total)
    held = [any(sum(matrix[i]) for matrix in matrices) for i in range(k)]
    if any(held[i] and not sum(total[i]) for i in range(k)):
        found |= {"balanced_accuracy": math.nan, "macro_f": math.nan}
    return found


def auroc(scores, positive, groups, times):
    """Lay out the repeated cells and compare each positive one with each negative one."""
    cells = [
        (score, is_positive)
        for score, is_positive, group in zip(scores, positive, groups, strict=True)
        for _ in range(times[group])
    ]
    won = pairs = 0.0
    for score, is_positive in cells:
        for rival, other in cells:
            if is_positive and not other:
                pairs += 1
                won += 1.0 if score > rival else 0.5 if score == rival else 0.0
    return won / pairs if pairs else math.nan
