"""Losses, bins and risks by plain loops over cells."""

import math
import statistics

from scipy.stats import t as student


def brier(row, true):
    """Add up the squared distances from certainty."""
    return sum((p - (c == true)) ** 2 for c, p in enumerate(row))


def mean_interval(losses, groups, level=0.95):
    """Take the delete-one-group jackknife t interval of the mean over cells."""
    left = []
    for g in sorted(set(groups)):
        left.append(statistics.fmean(x for x, h in zip(losses, groups, strict=True) if h != g))
    n, mean = len(left), statistics.fmean(left)
    error = math.sqrt((n - 1) / n * sum((x - mean) ** 2 for x in left))
    half = student.ppf((1 + level) / 2, n - 1) * error
    centre = statistics.fmean(losses)
    return centre - half, centre + half


def bins(confidence, n_bins):
    """Sort the cells into bins by the middle rank of all cells of the same confidence."""
    found = {}
    for i, one in enumerate(confidence):
        below = sum(other < one for other in confidence)
        alike = sum(other == one for other in confidence)
        # In halves of a rank, so that whole numbers decide.
        place = (2 * below + alike) * n_bins // (2 * len(confidence))
        found.setdefault(place, []).append(i)
    return [found[place] for place in sorted(found)]


def calibration_error(confidence, right, n_bins):
    """Weigh each bin's distance between confidence and share of right calls by its cells."""
    total = 0.0
    for cells in bins(confidence, n_bins):
        stated = statistics.fmean(confidence[i] for i in cells)
        seen = statistics.fmean(float(right[i]) for i in cells)
        total += len(cells) / len(confidence) * abs(stated - seen)
    return total


def coverage_risk(confidence, right):
    """Count what is kept and what of it is wrong at each distinct confidence."""
    rows = []
    for threshold in sorted(set(confidence), reverse=True):
        kept = [r for c, r in zip(confidence, right, strict=True) if c >= threshold]
        rows.append((len(kept) / len(right), kept.count(False) / len(kept), threshold))
    return rows
