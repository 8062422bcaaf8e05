"""Fréchet distance between two sets of features, taken for normal (Heusel et al. 2017).

Biased upwards with few images, the more the wider the features: only distances of equal numbers of
images can be compared, and none says much below some thousands.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.stats.kid import check_features

Numbers = NDArray[np.float64]


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Compute the Fréchet distance of two sets of features.

    Parameters
    ----------
    a, b : (n, d) and (m, d) float
        Features, at least two rows each.

    Returns
    -------
    float
        |mean a − mean b|² + tr(A + B − 2 (A B)^½) with the covariances A and B, never below 0. The
        trace of the root is the sum of the roots of the eigenvalues of A^½ B A^½, which is
        symmetric: no general matrix root is needed.

    Raises
    ------
    DataError
        If the arrays are not such features.
    """
    first, second = check_features(a, b, fewest=2)
    gap = float(np.square(first.mean(axis=0) - second.mean(axis=0)).sum())
    one, other = _covariance(first), _covariance(second)
    root = _root(one)
    product = root @ other @ root
    values: Numbers = np.asarray(np.linalg.eigvalsh((product + product.T) / 2), np.float64)
    joint = np.sqrt(_not_negative(values)).sum()
    return max(gap + float(np.trace(one) + np.trace(other) - 2 * joint), 0.0)


def warning_of(n_images: int, n_other: int, width: int) -> str:
    """Say in words how a Fréchet distance of so few images is to be read."""
    fewest = min(n_images, n_other)
    lack = f", fewer than the {width} features" if fewest <= width else ""
    return (
        f"Fréchet distance, biased with few images (n = {n_images} and {n_other}{lack}): compare "
        "it only with that of the same numbers; no interval"
    )


def _covariance(features: Numbers) -> Numbers:
    centred = features - features.mean(axis=0)
    return np.asarray(centred.T @ centred / (len(features) - 1))


def _root(matrix: Numbers) -> Numbers:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(_not_negative(values))) @ vectors.T)


def _not_negative(values: Numbers) -> Numbers:
    """Set what is rounding to 0: its root would not be small."""
    least = np.finfo(np.float64).eps * len(values) * max(float(values.max(initial=0.0)), 0.0)
    return np.where(values > least, values, 0.0)
