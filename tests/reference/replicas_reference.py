"""The papers' tests, summed term by term."""

import math
import statistics

from scipy.stats import t as student


def mcnemar_exact(only_baseline, only_other):
    """Add up the binomial chances of every split at least as uneven, in either direction."""
    n, uneven = only_baseline + only_other, abs(only_baseline - only_other)
    ways = sum(math.comb(n, i) for i in range(n + 1) if abs(n - 2 * i) >= uneven)
    return ways / 2**n


def nadeau_bengio(differences, n_train, n_test):
    """Compute t and p from the formula of Nadeau and Bengio (2003), section 3."""
    r = len(differences)
    variance = (1 / r + n_test / n_train) * statistics.variance(differences)
    t = statistics.fmean(differences) / math.sqrt(variance)
    return t, 2 * student.sf(abs(t), r - 1)


def discordant_range(right_baseline, right_other, support):
    """Find the fewest and the most discordant cells that right calls a category allow."""
    fewest = most = 0
    for old, new, n in zip(right_baseline, right_other, support, strict=True):
        fewest += abs(new - old)
        most += min(old, n - new) + min(new, n - old)
    return fewest, most
