"""Precision, recall, density and coverage by plain loops."""

import math


def radii(points, k):
    return [
        sorted(math.dist(p, q) for j, q in enumerate(points) if j != i)[k - 1]
        for i, p in enumerate(points)
    ]


def scores(real, generated, k):
    of_real, of_generated = radii(real, k), radii(generated, k)
    balls = [
        sum(math.dist(x, g) <= r for x, r in zip(real, of_real, strict=True)) for g in generated
    ]
    recalled = [
        any(math.dist(x, g) <= r for g, r in zip(generated, of_generated, strict=True))
        for x in real
    ]
    covered = [
        any(math.dist(x, g) <= r for g in generated) for x, r in zip(real, of_real, strict=True)
    ]
    return {
        "precision": sum(count > 0 for count in balls) / len(balls),
        "recall": sum(recalled) / len(recalled),
        "density": sum(balls) / (k * len(balls)),
        "coverage": sum(covered) / len(covered),
    }
