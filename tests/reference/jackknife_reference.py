"""The delete-one-group jackknife and the two-way comparison, written out with loops."""

import math
import statistics

from scipy.stats import t as student
from tests.reference import scores_reference


def add(matrices):
    """Add up matrices given as lists of lists."""
    k = len(matrices[0])
    return [[sum(m[i][j] for m in matrices) for j in range(k)] for i in range(k)]


def without_each(matrices, metric):
    """Score all groups but one, for each."""
    left = []
    for g in range(len(matrices)):
        rest = [m for h, m in enumerate(matrices) if h != g]
        left.append(scores_reference.scores(add(rest))[metric])
    return left


def logit_interval(value, left, level=0.95):
    """Take the jackknife t interval on the logit scale."""
    logits = [math.log(x / (1 - x)) for x in left]
    g, mean = len(logits), statistics.fmean(logits)
    error = math.sqrt((g - 1) / g * sum((x - mean) ** 2 for x in logits))
    half = student.ppf((1 + level) / 2, g - 1) * error
    centre = math.log(value / (1 - value))
    return tuple(1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1))


def agreement_interval(value, left, level=0.95):
    """Do the same for a score from -1 to 1, on the logit of its place in that range."""
    bounds = logit_interval((value + 1) / 2, [(x + 1) / 2 for x in left], level)
    return tuple(2 * bound - 1 for bound in bounds)


def two_way(baseline, other, metric, level=0.95):
    """Compare two arms: (value, low, high, p, degrees, S_G, S_R, S_GR) by plain sums."""
    d, left = [], []
    for old, new in zip(baseline, other, strict=True):
        whole = [scores_reference.scores(add(arm))[metric] for arm in (new, old)]
        d.append(whole[0] - whole[1])
        pairs = zip(without_each(new, metric), without_each(old, metric), strict=True)
        left.append([a - b for a, b in pairs])
    return _two_way(d, left, level)


def two_way_of_category(baseline, other, metric, category, level=0.95):
    """Do the same for one category, with the groups that have cells of it in truth or call."""
    used = [
        g
        for g in range(len(baseline[0]))
        if any(_speaks(arm[g], metric, category) for arm in (*baseline, *other))
    ]
    d, left = [], []
    for old, new in zip(baseline, other, strict=True):
        whole = [scores_reference.scores(add(arm))[metric][category] for arm in (new, old)]
        d.append(whole[0] - whole[1])
        without = [[one[category] for one in without_each(arm, metric)] for arm in (new, old)]
        left.append([without[0][g] - without[1][g] for g in used])
    return _two_way(d, left, level)


def _speaks(matrix, metric, category):
    truth = sum(matrix[category])
    calls = sum(row[category] for row in matrix)
    others = sum(map(sum, matrix)) - truth
    trials = {"recall": truth, "specificity": others, "precision": calls, "f": truth + calls}
    return trials[metric] > 0


def _two_way(d, left, level):
    n_replicates, n_groups = len(left), len(left[0])
    u = [[(n_groups - 1) * (d[r] - x) for x in left[r]] for r in range(n_replicates)]
    of_group = [statistics.fmean(row[g] for row in u) for g in range(n_groups)]
    of_replicate = [statistics.fmean(row) for row in u]
    grand = statistics.fmean(of_group)
    s_g = statistics.variance(of_group) / n_groups
    s_r = statistics.variance(d) / n_replicates
    squares = 0.0
    for r in range(n_replicates):
        for g in range(n_groups):
            squares += (u[r][g] - of_group[g] - of_replicate[r] + grand) ** 2
    of_rest = (n_groups - 1) * (n_replicates - 1)
    s_gr = squares / of_rest / (n_groups * n_replicates)
    variance = max(s_g + s_r - s_gr, s_g, s_r)
    if variance == s_g:
        degrees = n_groups - 1
    elif variance == s_r:
        degrees = n_replicates - 1
    else:
        degrees = variance**2 / (
            s_g**2 / (n_groups - 1) + s_r**2 / (n_replicates - 1) + s_gr**2 / of_rest
        )
        degrees = max(degrees, min(n_groups, n_replicates) - 1)
    value = statistics.fmean(d)
    half = student.ppf((1 + level) / 2, degrees) * math.sqrt(variance)
    p = 2 * student.sf(abs(value) / math.sqrt(variance), degrees)
    return value, max(value - half, -1), min(value + half, 1), p, degrees, s_g, s_r, s_gr
