"""Majority and kappa of readers, by asking every pair of them."""

import math
import statistics
from collections import Counter

from scipy.stats import t as student


def majority(labels):
    """Vote cell by cell; −1 abstains."""
    found = []
    for row in labels:
        votes = Counter(label for label in row if label != -1)
        winners = [name for name, n in votes.items() if 2 * n > votes.total()]
        found.append(winners[0] if winners else -1)
    return found


def cohen(first, second):
    """Compare two readers: (alike − by chance) / (1 − by chance)."""
    n = len(first)
    alike = sum(a == b for a, b in zip(first, second, strict=True)) / n
    by_chance = sum(a == b for a in first for b in second) / n**2
    return (alike - by_chance) / (1 - by_chance)


def fleiss(labels):
    """Compare every reader with every other at each cell, and any two calls by chance."""
    pairs = [
        a == b for row in labels for i, a in enumerate(row) for j, b in enumerate(row) if i != j
    ]
    calls = Counter(label for row in labels for label in row)
    by_chance = sum((n / calls.total()) ** 2 for n in calls.values())
    return (statistics.fmean(pairs) - by_chance) / (1 - by_chance)


def interval(kappa_of, cells, groups, level=0.95):
    """Give (value, low, high) by the jackknife t on the logit of (kappa + 1)/2."""
    names = sorted(set(groups))
    left = [
        _logit(kappa_of([cell for cell, g in zip(cells, groups, strict=True) if g != name]))
        for name in names
    ]
    value, m, mean = kappa_of(cells), len(names), statistics.fmean(left)
    error = math.sqrt((m - 1) / m * sum((one - mean) ** 2 for one in left))
    half = student.ppf((1 + level) / 2, m - 1) * error
    bounds = (_logit(value) + sign * half for sign in (-1, 1))
    return value, *(2 / (1 + math.exp(-bound)) - 1 for bound in bounds)


def _logit(kappa):
    return math.log((1 + kappa) / (1 - kappa))
