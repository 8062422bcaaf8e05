"""Two fixed models compared with plain loops over groups, and over all ways of swapping."""

import itertools
import math
import statistics

from scipy.stats import t as student
from tests.reference import jackknife_reference, scores_reference


def difference(baseline, other, metric, category=None, level=0.95):
    """Compare: (value, low, high, p, standard error), all groups counting."""
    old, new = (_score(arm, metric, category) for arm in (baseline, other))
    left = []
    for g in range(len(baseline)):
        rests = [[m for h, m in enumerate(arm) if h != g] for arm in (baseline, other)]
        left.append(_score(rests[1], metric, category) - _score(rests[0], metric, category))
    value, error = new - old, _standard_error(left)
    half = student.ppf((1 + level) / 2, len(left) - 1) * error
    p_value = 2 * student.sf(abs(value) / error, len(left) - 1)
    return value, value - half, value + half, p_value, error


def error_ratio(baseline, other, level=0.95):
    """Compute the ratio of errors and its bounds on the log scale."""
    logs = []
    for g in range(len(baseline)):
        rests = [[m for h, m in enumerate(arm) if h != g] for arm in (baseline, other)]
        logs.append(math.log(_errors(rests[1]) / _errors(rests[0])))
    value = _errors(other) / _errors(baseline)
    half = student.ppf((1 + level) / 2, len(logs) - 1) * _standard_error(logs)
    return value, value * math.exp(-half), value * math.exp(half)


def sign_flip(baseline, other, metric):
    """Swap the two models in every set of groups, one after another; undefined is extreme."""
    seen = abs(_score(other, metric) - _score(baseline, metric))
    pairs = list(zip(baseline, other, strict=True))
    extreme = ways = 0
    for swaps in itertools.product((False, True), repeat=len(baseline)):
        arms = [
            [pair[1 - i if swap else i] for swap, pair in zip(swaps, pairs, strict=True)]
            for i in (0, 1)
        ]
        apart = abs(_score(arms[1], metric) - _score(arms[0], metric))
        extreme += not apart < seen - 1e-12
        ways += 1
    return extreme / ways


def _score(matrices, metric, category=None):
    value = scores_reference.scores(jackknife_reference.add(matrices))[metric]
    return value if category is None else value[category]


def _errors(matrices):
    return sum(sum(map(sum, m)) - sum(m[c][c] for c in range(len(m))) for m in matrices)


def _standard_error(left):
    mean = statistics.fmean(left)
    return math.sqrt((len(left) - 1) / len(left) * sum((x - mean) ** 2 for x in left))
