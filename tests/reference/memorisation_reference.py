"""Distances over eight poses by plain loops over pixels."""

import math


def poses(picture):
    """List the poses of a square picture, a list of rows of colours: four turns, then mirrored."""
    found = []
    for start in (picture, [row[::-1] for row in picture]):
        turned = start
        for _ in range(4):
            found.append(turned)
            n = len(turned)
            # A quarter turn against the clock: the last column becomes the first row.
            turned = [[turned[row][n - 1 - line] for row in range(n)] for line in range(n)]
    return found


def centred(picture):
    n = len(picture) ** 2
    mean = [sum(pixel[c] for row in picture for pixel in row) / n for c in range(3)]
    return [[[pixel[c] - mean[c] for c in range(3)] for pixel in row] for row in picture]


def distance(one, other):
    squares = [
        (p - q) ** 2
        for row, line in zip(one, other, strict=True)
        for pixel, place in zip(row, line, strict=True)
        for p, q in zip(pixel, place, strict=True)
    ]
    return math.sqrt(sum(squares) / len(squares))


def nearest(query, pool):
    """Give distance, place and pose of the nearest picture of a pool."""
    found = [
        (distance(centred(query), centred(turned)), place, pose)
        for place, picture in enumerate(pool)
        for pose, turned in enumerate(poses(picture))
    ]
    return min(found)
