"""Ranking by plain loops over cells and pairs of cells."""

import math


def wins(scores, positive, groups, n_groups):
    """Count the pairs won by group of the positive and of the negative cell, ties one half."""
    won = [[0.0] * n_groups for _ in range(n_groups)]
    for s, p, g in zip(scores, positive, groups, strict=True):
        for t, q, h in zip(scores, positive, groups, strict=True):
            if p and not q:
                won[g][h] += 1.0 if s > t else 0.5 if s == t else 0.0
    return won


def auroc(scores, positive, weights=None):
    """Share the concordant pairs, each weighing the product of its cells' weights."""
    weights = [1.0] * len(scores) if weights is None else weights
    won = total = 0.0
    for s, p, v in zip(scores, positive, weights, strict=True):
        for t, q, w in zip(scores, positive, weights, strict=True):
            if p and not q:
                won += v * w * (1.0 if s > t else 0.5 if s == t else 0.0)
                total += v * w
    return won / total if total else math.nan


def average_precision(scores, positive):
    """Average the precision at the score of every positive cell."""
    found = []
    for s, p in zip(scores, positive, strict=True):
        if p:
            called = [q for t, q in zip(scores, positive, strict=True) if t >= s]
            found.append(sum(called) / len(called))
    return sum(found) / len(found) if found else math.nan


def accuracy_at(scores, positive, threshold):
    """Call each cell and count the right calls."""
    right = [(s >= threshold) == bool(p) for s, p in zip(scores, positive, strict=True)]
    return sum(right) / len(right) if right else math.nan


def delong(scores, positive):
    """Compute the AUROC and its standard error by DeLong, DeLong and Clarke-Pearson (1988)."""
    above = [s for s, p in zip(scores, positive, strict=True) if p]
    below = [s for s, p in zip(scores, positive, strict=True) if not p]
    area = auroc(scores, positive)

    def won(s, t):
        return 1.0 if s > t else 0.5 if s == t else 0.0

    of_positives = [sum(won(s, t) for t in below) / len(below) for s in above]
    of_negatives = [sum(won(s, t) for s in above) / len(above) for t in below]
    variance = 0.0
    for parts in (of_positives, of_negatives):
        spread = sum((part - area) ** 2 for part in parts) / (len(parts) - 1)
        variance += spread / len(parts)
    return area, math.sqrt(variance)
