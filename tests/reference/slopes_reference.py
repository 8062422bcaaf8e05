"""Slopes of a critic by finite differences in float64, and losses number by number."""

from math import exp, log, log1p

import torch


def slope(score, picture, *, step=1e-6):
    """Give the gradient of score(picture), one number at a time."""
    found = torch.zeros_like(picture)
    for place in range(picture.numel()):
        ends = []
        for sign in (1, -1):
            moved = picture.clone()
            moved.view(-1)[place] += sign * step
            ends.append(float(score(moved)))
        found.view(-1)[place] = (ends[0] - ends[1]) / (2 * step)
    return found


def norm(slopes):
    return sum(float(each) ** 2 for each in slopes.flatten()) ** 0.5


def penalty(score, real, drawn, shares):
    """Mean of (norm of the slope - 1)² at real * share + drawn * (1 - share)."""
    between = [s * r + (1 - s) * d for r, d, s in zip(real, drawn, shares, strict=True)]
    return sum((norm(slope(score, each)) - 1) ** 2 for each in between) / len(between)


def at_real(score, real):
    return sum(norm(slope(score, each)) ** 2 for each in real) / len(real)


def softplus(x):
    return max(x, 0) + log1p(exp(-abs(x)))


def critic_loss(real, drawn, objective):
    n, m = len(real), len(drawn)
    if objective == "hinge":
        return sum(max(0, 1 - x) for x in real) / n + sum(max(0, 1 + x) for x in drawn) / m
    if objective == "non-saturating":
        return sum(softplus(-x) for x in real) / n + sum(softplus(x) for x in drawn) / m
    return sum(drawn) / m - sum(real) / n


def generator_loss(drawn, objective):
    if objective == "non-saturating":
        return sum(softplus(-x) for x in drawn) / len(drawn)
    return -sum(drawn) / len(drawn)


def information(guessed, codes, n_values):
    """Cross-entropy of the categorical code plus mean squared error of the others."""
    total, squares = 0.0, []
    for guess, code in zip(guessed, codes, strict=True):
        top = max(guess[:n_values])
        whole = top + log(sum(exp(x - top) for x in guess[:n_values]))
        total += whole - guess[code[:n_values].index(1)]
        squares += [(x - y) ** 2 for x, y in zip(guess[n_values:], code[n_values:], strict=True)]
    return total / len(guessed) + (sum(squares) / len(squares) if squares else 0.0)
