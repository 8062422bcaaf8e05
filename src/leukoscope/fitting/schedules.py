"""Courses of the learning rate, each a function of what was done so far and of nothing else."""

import itertools
import math
from collections.abc import Sequence
from typing import Literal

Schedule = Literal["constant", "cosine", "step", "plateau", "one-cycle"]


def rate_at(
    schedule: Schedule,
    update: int,
    *,
    rate: float,
    updates: int,
    warmup_updates: int,
    step_every: int | None = None,
    factor: float = 0.3,
) -> float:
    """Compute the learning rate of an update.

    Parameters
    ----------
    schedule : {"constant", "cosine", "step", "plateau", "one-cycle"}
        ``cosine`` falls to 0 without restarts (Loshchilov and Hutter 2017). ``plateau`` is
        constant here; :func:`plateau_factor` lowers it by validation. ``one-cycle``: see
        :func:`one_cycle`.
    update : int
        0, 1, …, *updates* - 1.
    rate : float
        The highest rate.
    updates : int
        Number of all updates.
    warmup_updates : int
        The rate rises evenly over these; not with ``one-cycle``, which rises by itself.
    step_every : int, optional
        With ``step``: number of updates at one rate, the first of them counted with the warm-up.
    factor : float
        With ``step``: what the rate is multiplied by after each of them.

    Returns
    -------
    float
        Above 0, at most *rate*.
    """
    if schedule == "one-cycle":
        return one_cycle(update, rate=rate, updates=updates)
    if update < warmup_updates:
        return rate * (update + 1) / (warmup_updates + 1)
    if schedule == "step" and step_every is not None:
        # A rate that has become too small for a number would be 0.
        return max(rate * factor ** (update // step_every), 1e-300)
    if schedule != "cosine":
        return rate
    share = (update - warmup_updates) / max(1, updates - warmup_updates)
    return rate * 0.5 * (1 + math.cos(math.pi * share))


def one_cycle(update: int, *, rate: float, updates: int) -> float:
    """Compute the rate of Smith's one cycle (2018).

    Evenly from a tenth of the rate up to it over the first 45 % of the updates, evenly down again
    over the next 45 %, and evenly on to a thousandth of it over the last 10 %. Momentum stays as
    it is. The shares are ours; the paper asks for a cycle somewhat shorter than the training and
    for a last part some orders of magnitude lower.

    Returns
    -------
    float
        Between a thousandth of *rate* and *rate*.
    """
    place = update / max(1, updates - 1)
    turns = itertools.pairwise(((0.0, 0.1), (0.45, 1.0), (0.9, 0.1), (1.0, 0.001)))
    (left, low), (right, high) = next(pair for pair in turns if place <= pair[1][0])
    return rate * (low + (high - low) * (place - left) / (right - left))


def plateau_factor(scores: Sequence[float], *, patience: int, factor: float = 0.3) -> float:
    """Compute how far validation scores so far have lowered the rate.

    Parameters
    ----------
    scores : sequence of float
        Validation scores in order, higher is better.
    patience : int
        After so many scores in a row without a new best, the rate is lowered once.
    factor : float
        By which it is multiplied each time.

    Returns
    -------
    float
        A function of the scores alone, so that a resumed run finds the same rate.
    """
    best, since, lowered = -math.inf, 0, 1.0
    for score in scores:
        if score > best:
            best, since = score, 0
            continue
        since += 1
        if since >= patience:
            since, lowered = 0, lowered * factor
    return lowered
