"""How alike pictures of one set are: structural similarity of random pairs.

The mean over pairs of one set tells its variety (Odena et al. 2017): a generator that draws one
picture again and again stands near 1, above real cells.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.binomial import Interval, tail_of

Numbers = NDArray[np.float64]
Pairs = NDArray[np.int64]


def random_pairs(n: int, rng: np.random.Generator, n_pairs: int) -> Pairs:
    """Draw pairs of different pictures.

    Returns
    -------
    (p, 2) int
        All pairs there are where *n_pairs* is no fewer; no pair stands twice, and no picture
        stands in more than two pairs before each stands in two.

    Raises
    ------
    DataError
        If there are fewer than two pictures.
    """
    if n < 2:
        raise DataError(f"Pairs need at least two pictures; seen {n}.")
    if n_pairs >= n * (n - 1) // 2:
        return np.stack(np.triu_indices(n, 1), axis=1)
    # A circle through all pictures for each distance along it: pairs cannot repeat.
    order = rng.permutation(n)
    steps = np.arange(1, (n - 1) // 2 + 1)
    place = np.arange(n)
    circles = [np.stack([order, order[(place + step) % n]], axis=1) for step in steps]
    if n % 2 == 0:
        circles.append(np.stack([order[: n // 2], order[n // 2 :]], axis=1))
    return np.concatenate(circles)[:n_pairs]


def structural_similarity_of(pixels: ArrayLike, pairs: ArrayLike) -> Numbers:
    """Compute the structural similarity of pairs of pictures (Wang et al. 2004).

    Parameters
    ----------
    pixels : (n, s, s, 3) uint8
        Pictures of at least 11 px.
    pairs : (p, 2) int
        Rows of *pixels*.

    Returns
    -------
    (p,) float
        Between -1 and 1, the mean over colours; Gaussian windows of σ = 1.5 px.

    Raises
    ------
    DataError
        If pictures are smaller than 11 px.
    """
    from skimage.metrics import structural_similarity

    known = np.asarray(pixels)
    if known.ndim != 4 or min(known.shape[1:3]) < 11:
        raise DataError(f"Pictures of at least 11 px are expected; seen {known.shape}.")
    return np.array(
        [
            structural_similarity(  # type: ignore[no-untyped-call]
                known[one],
                known[other],
                channel_axis=2,
                data_range=255,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for one, other in np.asarray(pairs)
        ]
    )


def pairwise_interval(values: ArrayLike, pairs: ArrayLike, level: float = 0.95) -> Interval:
    """Average values of pairs, with an interval that knows which pairs share a picture.

    Parameters
    ----------
    values : (p,) float
        One a pair.
    pairs : (p, 2) int
        The pictures of each.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Interval
        Mean ± normal bounds by the dyadic-robust variance (Fafchamps and Gubert 2007): products of
        the residuals of all pairs of pairs that share a picture; of independent pairs where that
        sum is not above 0.

    Raises
    ------
    DataError
        If there are no pairs.
    UsageError
        If *level* is not between 0 and 1.
    """
    from scipy.special import ndtri

    known, members = np.asarray(values, dtype=np.float64), np.asarray(pairs)
    if not len(known) or members.shape != (len(known), 2):
        raise DataError(f"One value a pair is expected; seen {known.shape}, {members.shape}.")
    tail, mean = tail_of(level), float(known.mean())
    residual = known - mean
    per_picture = np.bincount(members.ravel(), weights=np.repeat(residual, 2))
    alone = float(np.square(residual).sum())
    # A pair meets itself at both of its pictures.
    shared = float(np.square(per_picture).sum()) - alone
    half = -float(ndtri(tail)) * np.sqrt(shared if shared > 0 else alone) / len(known)
    method = f"mean of {len(known)} random pairs; dyadic-robust over pictures"
    return Interval(mean, mean - half, mean + half, method)
