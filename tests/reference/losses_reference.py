"""Losses cell by cell in plain NumPy, as their papers write them, and gradients by differences."""

import numpy as np


def softmax(logits):
    """Probabilities of one cell."""
    shifted = np.exp(logits - max(logits))
    return shifted / shifted.sum()


def loss_of_cell(logits, code, *, weights=None, offsets=None, gamma=0.0, smoothing=0.0):
    """Compute the loss of one cell of one network."""
    k = len(logits)
    probability = softmax(logits + (0 if offsets is None else offsets))
    asked = np.full(k, smoothing / k)
    asked[code] += 1 - smoothing
    loss = -sum(asked[c] * np.log(probability[c]) for c in range(k))
    loss *= (1 - probability[code]) ** gamma
    return loss if weights is None else loss * weights[code]


def summed_loss(logits, codes, *, bags=None, **how):
    """Add up the losses of cells, of one network or several: the mean over networks."""
    logits = logits[:, None] if logits.ndim == 2 else logits
    n, m, _ = logits.shape
    total = 0.0
    for i in range(n):
        for j in range(m):
            times = 1 if bags is None else bags[i, j]
            total += times * loss_of_cell(logits[i, j], codes[i], **how) / m
    return total


def slope(function, at, step=1e-5):
    """Differentiate a function of an array by central differences."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[place] += step
        down[place] -= step
        found[place] = (function(up) - function(down)) / (2 * step)
    return found
