"""Owen's pigeonhole bootstrap, written out draw by draw and group by group."""

import math
import statistics

from tests.reference import scores_reference


def draws(baseline, other, metric, rng, n_draws):
    """Value of every draw; NaN where the draw lost a category."""
    n_replicates, n_groups = len(baseline), len(baseline[0])
    replicates = [
        [int(rng.integers(n_replicates)) for _ in range(n_replicates)] for _ in range(n_draws)
    ]
    values = []
    for taken in replicates:
        groups = [int(rng.integers(n_groups)) for _ in range(n_groups)]
        values.append(
            statistics.fmean(
                _score(other[r], groups, metric) - _score(baseline[r], groups, metric)
                for r in taken
            )
        )
    return values


def interval(values, level=0.95):
    """Quantiles by linear interpolation between the sorted draws."""
    kept = sorted(value for value in values if not math.isnan(value))
    return tuple(_quantile(kept, tail) for tail in ((1 - level) / 2, (1 + level) / 2))


def _score(matrices, groups, metric):
    k = len(matrices[0])
    total = [[0] * k for _ in range(k)]
    for g in groups:
        for i in range(k):
            for j in range(k):
                total[i][j] += matrices[g][i][j]
    held = [any(sum(matrix[i]) for matrix in matrices) for i in range(k)]
    if metric != "accuracy" and any(held[i] and not sum(total[i]) for i in range(k)):
        return math.nan
    return scores_reference.scores(total)[metric]


def _quantile(values, share):
    place = share * (len(values) - 1)
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])
