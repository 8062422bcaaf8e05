"""The smallest difference of two arms that a design of groups and replicates could see."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukoscope.foundation.errors import UsageError
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.design import design_effect
from leukoscope.stats.paired import NO_VARIANCE, TwoWay, added_up

_FEW, _MANY = 10, 120
"""Quantiles taken of a part of the variance with many degrees, and of the one with the fewest."""


@dataclass(frozen=True)
class Parts:
    """Hold what the variance of a difference is expected to be made of, at a design's size.

    Attributes
    ----------
    variance_groups, variance_replicates : float
        As in :class:`~leukoscope.stats.paired.TwoWay`: the variance of the mean
        difference that goes with the groups, and with the replicates, each with the
        interaction in it once.
    variance_interaction : float
        That interaction. All three are squares of fractions, at least 0.
    n_groups, n_replicates : int
        The design they are meant for.
    """

    variance_groups: float
    variance_replicates: float
    variance_interaction: float
    n_groups: int
    n_replicates: int

    def __post_init__(self) -> None:
        """Refuse what are no variances. Raises UsageError."""
        parts = (self.variance_groups, self.variance_replicates, self.variance_interaction)
        if not all(0 <= part < np.inf for part in parts):
            raise UsageError(f"Variances are finite and at least 0; seen {parts}.")
        _check_design(self.n_groups, self.n_replicates)


def smallest_difference(
    parts: Parts, *, power: float = 0.8, level: float = 0.95, n_comparisons: int = 1
) -> float:
    """Compute the smallest true difference that a paired comparison finds with some power.

    Parameters
    ----------
    parts : Parts
        Expected variance, and the design.
    power : float
        The probability with which it should be found, with its right sign; above
        1 − *level*, below 1.
    level : float
        Confidence of the two-sided test, between 0 and 1.
    n_comparisons : int
        Planned contrasts that are adjusted together by Holm, at least 1. The test is
        taken at (1 − *level*)/n: the level of Holm's first step (Bonferroni's), to
        which a contrast is held if no other is found. Later steps are milder, so the
        answer is conservative.

    Returns
    -------
    float
        Fraction units, for either sign. 0 without variance; NaN with fewer than 2
        groups or replicates, where there is no test. A difference larger than the
        baseline leaves room for says that the design can see none.

    Raises
    ------
    UsageError
        If *power*, *level* or *n_comparisons* are out of range.

    Notes
    -----
    The test is that of :func:`~leukoscope.stats.paired.paired_difference`, as it is: V
    and ν are estimated too. In the random model with normal effects S_G, S_R and S_GR
    are independent multiples of χ², and the difference is independent of them; so the
    power at δ is the mean over them of Φ(δ/σ − t_ν √V/σ), σ² the true variance, here
    a sum over quantiles of each χ². Where one part is all the variance this is the
    noncentral t (Cohen 1988, chapter 2); with two parts and few replicates a
    noncentral t at the expected ν says less than is needed. The variance never grows
    with more replicates or groups. The answer can, by little, with few groups: the
    degrees then shrink to those of the groups.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, stdtrit

    tail = tail_of(level) / _checked(n_comparisons)
    if not 1 - level < power < 1:
        raise UsageError(f"Power lies between 1 − level and 1, as 0.8 does; seen {power}.")
    design = (parts.n_groups, parts.n_replicates)
    if min(design) < 2:
        return np.nan
    expected = (parts.variance_groups, parts.variance_replicates, parts.variance_interaction)
    if max(expected[:2]) <= NO_VARIANCE:
        return 0.0
    error = np.sqrt(float(added_up(*expected, design)[0]))
    groups, replicates, interaction, weights = _mean_squares(expected, design)
    variances, degrees = added_up(groups, replicates, interaction, design)
    needed = stdtrit(degrees, 1 - tail) * np.sqrt(variances) / error

    def excess(shift: float) -> float:
        return float((ndtr(shift - needed) * weights).sum()) - power

    return float(error * brentq(excess, 0.0, needed.max() + 10))


def assumed_parts(
    *,
    n_groups: int,
    n_replicates: int,
    discordance: float,
    replicate_sd: float,
    cells_per_group: float = 1.0,
    icc: float = 0.0,
    common_share: float = 1.0,
) -> Parts:
    """Assume the parts of a difference of accuracy before anything was run.

    Parameters
    ----------
    n_groups, n_replicates : int
        The design, each at least 1.
    discordance : float
        The share of test cells on which one arm is right and the other wrong within a
        replicate, in [0, 1].
    replicate_sd : float
        Standard deviation, over replicates, of the difference in accuracy on endlessly
        many cells; a fraction, at least 0.
    cells_per_group : float
        Test cells in a case or family, at least 1.
    icc : float
        Intraclass correlation of the differences of a group's cells, in [0, 1].
    common_share : float
        The correlation of a cell's difference in one replicate with its difference in
        another, in [0, 1]: the share of the cells' variance that is common to all
        replicates and shrinks with more cells only. The rest is the interaction, which
        shrinks with more replicates too. 1 is the cautious choice; the same arm trained
        twice would have 0.

    Returns
    -------
    Parts
        With c = discordance · (1 + (m − 1) icc) / (n_groups · m), m cells a group:
        interaction (1 − common_share) c / R; groups common_share · c + interaction;
        replicates replicate_sd² / R + interaction.

    Raises
    ------
    UsageError
        If a number is out of its range.

    Notes
    -----
    A cell's difference is −1, 0 or 1. Its variance is discordance − δ², taken as the
    discordance: for a small effect that is nearly so, and never less (Miettinen 1968).
    """
    shares = {"discordance": discordance, "common_share": common_share}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UsageError(f"{name} is a share between 0 and 1; seen {share}.")
    if not 0 <= replicate_sd < np.inf:
        raise UsageError(f"replicate_sd is a standard deviation, at least 0; seen {replicate_sd}.")
    _check_design(n_groups, n_replicates)
    of_cells = discordance * design_effect(icc, cells_per_group) / (n_groups * cells_per_group)
    interaction = (1 - common_share) * of_cells / n_replicates
    return Parts(
        common_share * of_cells + interaction,
        replicate_sd**2 / n_replicates + interaction,
        interaction,
        n_groups,
        n_replicates,
    )


def pilot_parts(pilot: TwoWay) -> Parts:
    """Take the parts from a comparison that was made, and leave its difference behind.

    Raises
    ------
    UsageError
        If the comparison could not estimate them: fewer than 2 groups or replicates.
    """
    return Parts(
        pilot.variance_groups,
        pilot.variance_replicates,
        pilot.variance_interaction,
        pilot.n_groups,
        pilot.n_replicates,
    )


def scaled_parts(pilot: Parts, *, n_groups: int, n_replicates: int) -> Parts:
    """Rescale a pilot's variance to another number of groups and replicates.

    Parameters
    ----------
    pilot : Parts
        Of the same kind of groups, cells a group and training; see :func:`pilot_parts`.
    n_groups, n_replicates : int
        The new design, each at least 1.

    Returns
    -------
    Parts
        What is the groups' own shrinks as their number grows, what is the replicates'
        own as theirs, the interaction with the product. An interaction above one of
        the parts that hold it is noise, and cut to it. A pilot of few groups or
        replicates knows its variance badly, and that is not in the answer.

    Raises
    ------
    UsageError
        If a number is below 1.
    """
    _check_design(n_groups, n_replicates)
    interaction = min(pilot.variance_interaction, pilot.variance_groups, pilot.variance_replicates)
    by_groups = pilot.n_groups / n_groups
    by_replicates = pilot.n_replicates / n_replicates
    scaled = interaction * by_groups * by_replicates
    return Parts(
        (pilot.variance_groups - interaction) * by_groups + scaled,
        (pilot.variance_replicates - interaction) * by_replicates + scaled,
        scaled,
        n_groups,
        n_replicates,
    )


def _mean_squares(
    expected: tuple[float, float, float], design: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """Lay out quantiles of S_G, S_R and S_GR in a cube, and with them each point's weight."""
    from scipy.special import gammaincinv

    of_groups, of_replicates = design[0] - 1, design[1] - 1
    freedom = (of_groups, of_replicates, of_groups * of_replicates)
    drawn, weights = [], []
    for place, (part, degrees) in enumerate(zip(expected, freedom, strict=True)):
        # With few degrees the t quantile makes the power nearly a step in this part.
        few = place == freedom.index(min(freedom))
        nodes, shares = np.polynomial.legendre.leggauss(_MANY if few else _FEW)
        drawn.append(part * gammaincinv(degrees / 2, (nodes + 1) / 2) * 2 / degrees)
        weights.append(shares / 2)
    return [*np.meshgrid(*drawn, indexing="ij"), np.einsum("i,j,k->ijk", *weights)]


def _check_design(n_groups: int, n_replicates: int) -> None:
    if min(n_groups, n_replicates) < 1:
        raise UsageError(
            "A design has at least 1 group and 1 replicate; "
            f"seen {n_groups} groups and {n_replicates} replicates."
        )


def _checked(n_comparisons: int) -> int:
    if n_comparisons < 1:
        raise UsageError(f"At least 1 comparison is planned; seen {n_comparisons}.")
    return n_comparisons
