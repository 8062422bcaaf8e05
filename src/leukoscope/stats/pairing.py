"""Whether calls and labels belong together: dealt at random, or with names exchanged."""

from collections.abc import Iterator
from math import exp, lgamma, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_ROUNDING = 1e-9


class Relabelling(NamedTuple):
    """Name categories whose calls would be read in a circle, and what that would gain."""

    members: tuple[int, ...]
    """Codes of the true categories moved."""
    called: tuple[int, ...]
    """For each of them, the code of the call that is read as it."""
    gain: float
    """By how much the mean recall of the members would rise."""
    p_value: float
    """A bound on how often such a gain is seen where there is none, over all relabellings of
    as many categories."""


def right_by_chance(truth: Counts, calls: Counts, rng: np.random.Generator, n_draws: int) -> Counts:
    """Draw how many calls would be right if they were dealt to the cells at random.

    Parameters
    ----------
    truth, calls : (k,) int64
        True cells and calls of each category, with the same sum.
    rng : numpy.random.Generator
        The stream to draw from.
    n_draws : int
        How many pairings.

    Returns
    -------
    (n_draws,) int64
        The trace of the confusion matrix of a shuffle. Its cells are drawn one after the
        other from their hypergeometric distributions, which is the distribution that
        shuffling the calls over the cells gives, at a cost that does not grow with them.
    """
    left = np.tile(calls, (n_draws, 1))
    right = np.zeros(n_draws, dtype=np.int64)
    for row, n_true in enumerate(truth):
        need = np.full(n_draws, n_true)
        others = left.sum(axis=1)
        for column in range(len(calls)):
            others -= left[:, column]
            taken = rng.hypergeometric(left[:, column], others, need)
            left[:, column] -= taken
            need -= taken
            if column == row:
                right += taken
    return right


def relabellings(matrix: Counts) -> list[Relabelling]:
    """Find which exchanges of category names would raise the mean recall most.

    Parameters
    ----------
    matrix : (k, k) int64
        A confusion matrix, rows = truth, of at least one cell.

    Returns
    -------
    list of Relabelling
        The circles of the best one-to-one relabelling of the calls (an assignment problem,
        Kuhn 1955) that gain anything. It is the best by mean recall, not by accuracy: calls
        that say nothing of the truth gain no recall from any relabelling, but would gain
        accuracy from being named after the largest category. Of a category without true
        cells the recall is unknown; it is taken to be what it would be if calls said nothing.

    Notes
    -----
    The p-value is Hoeffding's bound (1963, theorem 2) on the sum of what each cell adds to the
    gain, where the circle's true gain is 0 or less, times the number of relabellings that move
    as many categories. It holds for any number of cells, however rare the category. Cells are
    counted singly: the question is about this table, not about other people.
    """
    from scipy.optimize import linear_sum_assignment

    support = matrix.sum(axis=1)
    share = np.where(
        support[:, None] > 0,
        matrix / np.maximum(support, 1)[:, None],
        matrix.sum(axis=0) / matrix.sum(),
    )
    # Of relabellings that gain alike, the one that moves fewest.
    _, called = linear_sum_assignment(share + _ROUNDING * np.eye(len(share)), maximize=True)
    found = (_relabelling(share, support, np.array(one), called) for one in _circles(called))
    return [one for one in found if one.gain > _ROUNDING]


def _circles(called: Counts) -> Iterator[list[int]]:
    """Take a permutation apart into its circles of two and more."""
    left = set(range(len(called)))
    while left:
        circle = [min(left)]
        while (following := int(called[circle[-1]])) != circle[0]:
            circle.append(following)
        left -= set(circle)
        if len(circle) > 1:
            yield circle


def _relabelling(
    share: NDArray[np.float64], support: Counts, members: Counts, called: Counts
) -> Relabelling:
    k, m = len(share), len(members)
    total = float((share[members, called[members]] - share[members, members]).sum())
    # Fewer than k!/(k − m)!/2 relabellings move m of k categories, exactly that many for m = 2.
    log_tries = lgamma(k + 1) - lgamma(k - m + 1) - log(2)
    log_p = log_tries - max(total, 0.0) ** 2 / _squares(support, members) / 2
    return Relabelling(
        tuple(members.tolist()), tuple(called[members].tolist()), total / m, exp(min(log_p, 0.0))
    )


def _squares(support: Counts, members: Counts) -> float:
    """Add up the squares of the most that each cell can add to the gain of a circle."""
    n, true = support.sum(), support[members]
    # Every cell has a part in the recall of a category without true cells: 1/n at most.
    shared = 1 / n if (true == 0).any() else 0.0
    seen = true[true > 0]
    return float((seen * (1 / seen + shared) ** 2).sum() + (n - seen.sum()) * shared**2)
