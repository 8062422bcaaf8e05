"""Reweighting to a stated mix, written out with loops and by Bayes's rule."""

import math

from tests.reference import jackknife_reference, scores_reference


def reweighted(matrix, mix):
    """Give each row of one matrix its share of the mix, of as many cells as before."""
    cells, k = sum(map(sum, matrix)), len(matrix)
    found = []
    for i in range(k):
        row = sum(matrix[i])
        share = mix[i] / sum(mix)
        found.append([matrix[i][j] / row * share * cells if row else 0.0 for j in range(k)])
    return found


def precision(matrix, mix, category):
    """Apply Bayes's rule: true calls of all calls, each category as common as the mix says."""
    rates = [row[category] / sum(row) if sum(row) else 0.0 for row in matrix]
    called = sum(share * rate for share, rate in zip(mix, rates, strict=True))
    return mix[category] * rates[category] / called if called else math.nan


def specificity(matrix, mix, category):
    """Average over the other categories how often they are not called so."""
    spared, others = 0.0, 0.0
    for i, row in enumerate(matrix):
        if i != category and sum(row):
            spared += mix[i] * (1 - row[category] / sum(row))
            others += mix[i]
    return spared / others if others else math.nan


def without_each(matrices, mix, metric):
    """Score all groups but one at the mix, weighted anew, for each."""
    left = []
    for g in range(len(matrices)):
        rest = jackknife_reference.add([m for h, m in enumerate(matrices) if h != g])
        left.append(scores_reference.scores(reweighted(rest, mix))[metric])
    return left


def repriored(row, assumed, stated):
    """Take the likelihood out of one cell's probabilities, and put another prior to it."""
    likelihood = [p / prior for p, prior in zip(row, assumed, strict=True)]
    joint = [each * prior for each, prior in zip(likelihood, stated, strict=True)]
    return [each / sum(joint) for each in joint]
