"""Counting limits, Deming's line and limits of agreement, by search and by loops."""

import math
import statistics

from scipy.stats import t as student

REACH = statistics.NormalDist().inv_cdf(0.975)


def counting_limits(hits, cells, level=0.95):
    """Search the shares at which so many hits, or more, or fewer, become too rare."""
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else _crossing(lambda p: _at_least(hits, cells, p) - tail)
    high = 1.0 if hits == cells else _crossing(lambda p: tail - _at_most(hits, cells, p))
    return low, high


def coverage(p, limits):
    """Add up the chances of the counts 0, 1, … whose limits hold p."""
    cells = len(limits) - 1
    return sum(
        _chance(hits, cells, p) for hits, (low, high) in enumerate(limits) if low <= p <= high
    )


def line(x, y, ratio):
    """Find the slope and intercept of least weighted distance: a grid of angles, then halving."""
    scaled = [value / math.sqrt(ratio) for value in y]
    grid = [math.pi * (step / 720 - 0.5) for step in range(720)]
    best = min(grid, key=lambda angle: _distance(x, scaled, angle))
    width = math.pi / 720
    while width > 1e-15:
        best = min((best - width, best, best + width), key=lambda a: _distance(x, scaled, a))
        width *= 0.7
    slope = math.tan(best) * math.sqrt(ratio)
    return slope, statistics.fmean(y) - slope * statistics.fmean(x)


def line_interval(x, y, ratio, level=0.95):
    """Give (value, low, high) of slope and of intercept, leaving each case out in turn."""
    m = len(x)
    left = [line(x[:i] + x[i + 1 :], y[:i] + y[i + 1 :], ratio) for i in range(m)]
    found = []
    for value, without in zip(line(x, y, ratio), zip(*left, strict=True), strict=True):
        mean = statistics.fmean(without)
        error = math.sqrt((m - 1) / m * sum((one - mean) ** 2 for one in without))
        half = student.ppf((1 + level) / 2, m - 2) * error
        found.append((value, value - half, value + half))
    return found


def agreement_limits(x, y, level=0.95):
    """Give (value, low, high) of bias, lower and upper limit by the formulas of 1999."""
    m, differences = len(x), [b - a for a, b in zip(x, y, strict=True)]
    bias, s = statistics.fmean(differences), statistics.stdev(differences)
    quantile = student.ppf((1 + level) / 2, m - 1)
    of_limit = quantile * s * math.sqrt(1 / m + REACH**2 / (2 * (m - 1)))
    centres = (
        (bias, quantile * s / math.sqrt(m)),
        *((bias + sign * REACH * s, of_limit) for sign in (-1, 1)),
    )
    return [(value, value - half, value + half) for value, half in centres]


def _distance(x, y, angle):
    """Sum the squared distances to the best line at an angle."""
    across = [b * math.cos(angle) - a * math.sin(angle) for a, b in zip(x, y, strict=True)]
    mean = statistics.fmean(across)
    return sum((value - mean) ** 2 for value in across)


def _chance(hits, cells, p):
    return math.comb(cells, hits) * p**hits * (1 - p) ** (cells - hits)


def _at_least(hits, cells, p):
    return sum(_chance(one, cells, p) for one in range(hits, cells + 1))


def _at_most(hits, cells, p):
    return sum(_chance(one, cells, p) for one in range(hits + 1))


def _crossing(rising):
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
