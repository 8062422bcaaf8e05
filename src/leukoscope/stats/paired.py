"""Paired comparisons of two arms over replicates and groups."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError, unknown_name
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.jackknife import (
    cells_behind,
    filled,
    group_margins,
    leave_one_out,
    total_of,
)
from leukoscope.stats.scores import (
    CATEGORY_METRICS,
    SCALAR_METRICS,
    Margins,
    scores_of_margins,
)

NO_VARIANCE = 1e-20
"""A variance below this is rounding: one cell in a million in one of a hundred replicates
moves it more."""

NO_DIFFERENCE = (
    "no group and no replicate shows a difference on average, and nothing tells how far others "
    "would"
)
"""Why arms alike everywhere have no bounds: a few groups can be alike by luck."""


@dataclass(frozen=True)
class TwoWay:
    """Hold the difference of two arms, its interval, and where its variance comes from.

    Attributes
    ----------
    value : float
        Mean over replicates of the other arm's score minus the baseline's.
    low, high : float
        Confidence bounds; NaN where no interval can be given.
    p_value : float
        Two-sided, against a difference of 0; 1 where no group and no replicate shows a
        difference, NaN where no interval can be given for another reason.
    degrees : float
        Degrees of freedom of the t interval.
    variance_groups, variance_replicates : float
        Variance of *value* that goes with the groups, and with the replicates. Each
        holds the interaction of both once; NaN where it cannot be estimated.
    n_groups, n_replicates : int
        Groups with cells, and replicates.
    method : str
        How the bounds were got, or why there are none.
    variance_interaction : float
        What the two variances hold in common: the interaction of groups and replicates.
    """

    value: float
    low: float
    high: float
    p_value: float
    degrees: float
    variance_groups: float
    variance_replicates: float
    n_groups: int
    n_replicates: int
    method: str
    variance_interaction: float = np.nan


def paired_difference(
    baseline: ArrayLike, other: ArrayLike, metric: str, level: float = 0.95
) -> TwoWay:
    r"""Compare two arms that were trained in paired replicates and tested on the same cells.

    Parameters
    ----------
    baseline, other : (r, g, k, k) integers
        A confusion matrix for each replicate and group; rows = truth. Replicate i of
        both arms shares its training draw, and all are tested on the same cells.
    metric : str
        ``accuracy``, ``balanced_accuracy`` or ``macro_f``.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    TwoWay
        The mean over replicates of d_r, the other arm's score minus the baseline's,
        with a t interval and a two-sided p value. With one replicate, one group, or
        a category whose true cells lie all in one group (for the means over
        categories) the bounds are NaN and the method says why. So they are without
        any spread to judge by: where the same difference is seen everywhere, and
        where none is, as of an arm against itself. Of the latter p is 1: there is no
        sign of a difference, but a few groups may be alike by luck.

    Raises
    ------
    DataError
        If the shapes differ, the matrices are not counts, or the true cells of a group
        are not the same in all replicates of both arms.
    UsageError
        If the metric is unknown or *level* is not between 0 and 1.

    Notes
    -----
    *What the parts stand for.* Another set of cases would give another difference:
    the part of the groups (cases, or families). Another training draw and another
    start of the network would too: the part of the replicates. That an arm does
    better on some cases in some replicates only is their interaction. The answer is
    for new cases and new training runs, conditional on the pool from which the
    training draws come: all replicates share it, so how the answer would change
    with another pool cannot be seen here.

    *Formulae.* The influence of group g in replicate r is
    u_rg = (G − 1)(d_r − d_{r,−g}), with d_{r,−g} the difference without the group.
    With a bar for a mean, and u'_rg what is left of u_rg after its row and column means:

    - S_G = var_g(ū_g) / G, with G − 1 degrees,
    - S_R = var_r(d_r) / R, with R − 1 degrees,
    - S_GR = Σ u'² / ((G − 1)(R − 1)) / (G R), with (G − 1)(R − 1) degrees.

    In the random model d_rg = δ + a_r + b_g + e_rg each of S_G and S_R has
    σ_e²/(G R) in its expectation besides its own part, and S_GR is just that; hence
    V = S_G + S_R − S_GR, and by Satterthwaite (1946), equating the first two moments
    of V with those of a scaled χ²,

    ν = max(V² / (S_G²/(G − 1) + S_R²/(R − 1) + S_GR²/((G − 1)(R − 1))), min(G − 1, R − 1)).

    The floor: V estimates a sum of parts that are at least 0, and such a sum is known
    no worse than the part with the fewest degrees. That the formula can fall below is
    an artefact of the term subtracted from V, which its denominator adds.

    Where S_GR exceeds the smaller of S_G and S_R, that part is not above noise:
    V is the larger one, with its own degrees. So V = max(S_G + S_R − S_GR, S_G, S_R).
    The bounds, the mean ± t_ν √V, are clipped to [−1, 1]: no two scores differ by more.
    """
    if metric not in SCALAR_METRICS:
        raise unknown_name("metric of a paired comparison", metric, SCALAR_METRICS)
    tail = tail_of(level)
    differences, without = _differences(paired_margins(baseline, other), metric)
    return _compared(differences, without, tail)


def paired_by_category(
    baseline: ArrayLike, other: ArrayLike, metric: str, level: float = 0.95
) -> list[TwoWay]:
    """Compare two arms category by category, as :func:`paired_difference` does as a whole.

    Parameters
    ----------
    baseline, other : (r, g, k, k) integers
        As for :func:`paired_difference`.
    metric : str
        ``recall``, ``specificity``, ``precision`` or ``f``.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    list of k TwoWay
        A group counts for a category, and lends degrees, under the condition of
        :func:`~leukoscope.stats.replicated.replicated_intervals`: if it has true cells
        of the category for recall, calls in any replicate of either arm for precision,
        either for F. Bounds are NaN, with the reason, as for
        :func:`paired_difference`; the value too where the score is undefined in a
        replicate, as precision is without calls.

    Raises
    ------
    DataError, UsageError
        As :func:`paired_difference`.
    """
    if metric not in CATEGORY_METRICS:
        raise unknown_name("metric of a comparison by category", metric, CATEGORY_METRICS)
    tail = tail_of(level)
    pairs = paired_margins(baseline, other)
    differences, without = _differences(pairs, metric)
    counts = np.array([[cells_behind(arm, metric) > 0 for arm in pair] for pair in pairs])
    used = np.asarray(counts.any(axis=(0, 1)))
    return [
        _compared(differences[:, c], without[:, used[:, c], c], tail) for c in range(used.shape[1])
    ]


def paired_margins(baseline: ArrayLike, other: ArrayLike) -> list[tuple[Margins, Margins]]:
    """Read the margins of both arms off each replicate, groups without cells left out.

    Raises
    ------
    DataError
        If the shapes differ, the matrices are not counts, or the true cells of a group
        are not the same in all replicates of both arms.
    """
    before, after = np.asarray(baseline), np.asarray(other)
    if before.shape != after.shape or before.ndim != 4 or before.shape[0] == 0:
        raise DataError(
            "Two arms are compared as counts of one shape (replicates, groups, categories, "
            f"categories); seen {before.shape} and {after.shape}. Nothing was compared."
        )
    pairs = [
        (group_margins(old), group_margins(new)) for old, new in zip(before, after, strict=True)
    ]
    expected = pairs[0][0].truth
    if any((arm.truth != expected).any() for pair in pairs for arm in pair):
        raise DataError(
            "The true cells of a group differ between replicates or arms, so these arms were "
            "not tested on the same cells. Nothing was compared. Join predictions by cell_id."
        )
    return [(filled(old), filled(new)) for old, new in pairs]


def _differences(
    pairs: list[tuple[Margins, Margins]], metric: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute d_r, of shape (r,) or (r, k), and d_{r,−g}, of shape (r, g) or (r, g, k)."""
    whole = [[scores_of_margins(total_of(arm))[metric] for arm in pair] for pair in pairs]
    differences = np.array([new - old for old, new in whole])
    without = np.stack(
        [leave_one_out(new)[metric] - leave_one_out(old)[metric] for old, new in pairs]
    )
    return differences, without


def _compared(
    differences: NDArray[np.float64], without: NDArray[np.float64], tail: float
) -> TwoWay:
    """Take the interval from differences, (r,), and those without each group, (r, g)."""
    n_replicates, n_groups = without.shape
    influence = (n_groups - 1) * (differences[:, None] - without)
    groups, replicates, interaction = variance_parts(differences, influence)
    blank = TwoWay(
        value=float(differences.mean()),
        low=np.nan,
        high=np.nan,
        p_value=np.nan,
        degrees=np.nan,
        variance_groups=groups,
        variance_replicates=replicates,
        n_groups=n_groups,
        n_replicates=n_replicates,
        method="",
        variance_interaction=interaction,
    )
    if np.isnan(blank.value):
        where = "" if np.isnan(differences).all() else " in one of the replicates"
        return replace(blank, method=f"undefined: no cells to score{where}")
    # A group that cannot be left out makes its column of influences NaN, and so every part.
    reason = _missing(blank, defined=not np.isnan(influence).any())
    if reason:
        return replace(blank, method=f"undefined: {reason}")
    return _with_interval(blank, interaction, tail)


def variance_parts(
    differences: NDArray[np.float64], influence: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Estimate S_G, S_R and S_GR, NaN where there are too few groups or replicates."""
    n_replicates, n_groups = influence.shape
    groups = replicates = interaction = np.nan
    by_group = influence.mean(axis=0)
    if n_groups > 1:
        groups = float(by_group.var(ddof=1)) / n_groups
    if n_replicates > 1:
        replicates = float(differences.var(ddof=1)) / n_replicates
    if n_groups > 1 and n_replicates > 1:
        rest = influence - influence.mean(axis=1, keepdims=True) - by_group + influence.mean()
        degrees = (n_groups - 1) * (n_replicates - 1)
        interaction = float((rest**2).sum()) / degrees / (n_groups * n_replicates)
    return groups, replicates, interaction


def _missing(result: TwoWay, *, defined: bool) -> str:
    if result.n_groups < 2:
        return "fewer than 2 groups"
    if not defined:
        return "without one of the groups nothing can be said: a category is seen in it only"
    if result.n_replicates < 2:
        return "fewer than 2 replicates"
    if result.value != 0 and _no_variance(result):
        return "the difference is the same in every group and replicate"
    return ""


def _no_variance(result: TwoWay) -> bool:
    return max(result.variance_groups, result.variance_replicates) <= NO_VARIANCE


def _with_interval(result: TwoWay, interaction: float, tail: float) -> TwoWay:
    from scipy.special import stdtr, stdtrit

    if _no_variance(result):
        return replace(result, p_value=1.0, method=f"undefined: {NO_DIFFERENCE}")
    variance, degrees, how = combined_variance(result, interaction)
    error = float(np.sqrt(variance))
    half = float(stdtrit(degrees, 1 - tail)) * error
    return replace(
        result,
        low=max(result.value - half, -1.0),
        high=min(result.value + half, 1.0),
        p_value=2 * float(stdtr(degrees, -abs(result.value) / error)),
        degrees=degrees,
        method=f"two-way jackknife t, {result.n_groups} groups × {result.n_replicates} "
        f"replicates, {how}",
    )


def combined_variance(result: TwoWay, interaction: float) -> tuple[float, float, str]:
    """Add up the parts to a variance, its degrees, and the words for how that was done."""
    groups, replicates = result.variance_groups, result.variance_replicates
    variance, degrees = added_up(
        groups, replicates, interaction, (result.n_groups, result.n_replicates)
    )
    how = "Satterthwaite degrees"
    if interaction > min(groups, replicates):
        how = f"spread of {'groups' if groups >= replicates else 'replicates'} alone"
    return float(variance), float(degrees), how


def added_up(
    groups: ArrayLike, replicates: ArrayLike, interaction: ArrayLike, design: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute V and ν of :func:`paired_difference` from S_G, S_R, S_GR of any shape, and (G, R)."""
    s_g, s_r, s_gr = (
        np.asarray(part, dtype=np.float64) for part in (groups, replicates, interaction)
    )
    of_groups, of_replicates = design[0] - 1, design[1] - 1
    variance = np.maximum(s_g + s_r - s_gr, np.maximum(s_g, s_r))
    moments = s_g**2 / of_groups + s_r**2 / of_replicates + s_gr**2 / (of_groups * of_replicates)
    together = variance**2 / np.maximum(moments, np.finfo(np.float64).tiny)
    alone = np.where(s_g >= s_r, of_groups, of_replicates)
    floor = min(of_groups, of_replicates)
    return variance, np.where(s_gr > np.minimum(s_g, s_r), alone, np.maximum(together, floor))
