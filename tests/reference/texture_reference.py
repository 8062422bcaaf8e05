"""Colour and texture one pixel at a time, in plain Python."""

import itertools
import math


def linear(level):
    """Undo the gamma of sRGB."""
    share = level / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def luminance(rgb):
    """Weigh linear red, green and blue."""
    return sum(
        weight * linear(level) for weight, level in zip((0.2126, 0.7152, 0.0722), rgb, strict=True)
    )


def lab(rgb):
    """Compute L*a*b* of one colour as CIE 15 writes it."""
    red, green, blue = (linear(level) for level in rgb)
    share = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.0890,
    )
    x, y, z = (s ** (1 / 3) if s > (6 / 29) ** 3 else (29 / 6) ** 2 * s / 3 + 4 / 29 for s in share)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def near(mask, row, column, radius):
    """List the pixels of the mask whose centres are at most so far away."""
    return [
        (i, j)
        for i in range(row - radius, row + radius + 1)
        for j in range(column - radius, column + radius + 1)
        if 0 <= i < len(mask)
        and 0 <= j < len(mask[0])
        and mask[i][j]
        and (i - row) ** 2 + (j - column) ** 2 <= radius**2
    ]


def opened(values, mask, radius):
    """Take the least value about each pixel of the mask, then the greatest of those."""
    inside = [(i, j) for i in range(len(mask)) for j in range(len(mask[0])) if mask[i][j]]
    least = {p: min(values[i][j] for i, j in near(mask, *p, radius)) for p in inside}
    result = [[0.0] * len(mask[0]) for _ in mask]
    for i, j in inside:
        result[i][j] = max(least[p] for p in near(mask, i, j, radius))
    return result


def shrunk(values, mask, n_rows, n_columns):
    """Average what each pixel of a coarser grid covers of the mask; it is kept if half is."""
    down, across = len(mask) / n_rows, len(mask[0]) / n_columns
    result = [[0.0] * n_columns for _ in range(n_rows)]
    inside = [[False] * n_columns for _ in range(n_rows)]
    for row in range(n_rows):
        for column in range(n_columns):
            weight = total = 0.0
            for i in touched(row * down, (row + 1) * down, len(mask)):
                for j in touched(column * across, (column + 1) * across, len(mask[0])):
                    covered = overlap(i, row * down, (row + 1) * down) * overlap(
                        j, column * across, (column + 1) * across
                    )
                    if mask[i][j] and covered > 0:
                        weight += covered
                        total += covered * values[i][j]
            inside[row][column] = weight >= down * across / 2
            if inside[row][column]:
                result[row][column] = total / weight
    return result, inside


def touched(low, high, n):
    """List the pixels of a line of *n* that reach between two bounds."""
    return range(math.floor(low), min(n, math.ceil(high)))


def overlap(pixel, low, high):
    """Measure how much of one pixel lies between two bounds."""
    return max(0.0, min(pixel + 1, high) - max(pixel, low))


def spectrum(values, mask, n_radii):
    """Compute what openings by a disc or a larger one take beyond those before, per pixel."""
    planes = [opened(values, mask, radius) for radius in range(n_radii + 1)]
    inside = [(i, j) for i in range(len(mask)) for j in range(len(mask[0])) if mask[i][j]]
    means = [
        math.fsum(max(plane[i][j] for plane in planes[radius:]) for i, j in inside) / len(inside)
        for radius in range(n_radii + 1)
    ]
    return [before - after for before, after in itertools.pairwise(means)]


def focus(values, mask):
    """Divide the mean squared Laplacian by the variance, both within the mask."""
    squares, inside = [], []
    for i in range(len(mask)):
        for j in range(len(mask[0])):
            if not mask[i][j]:
                continue
            inside.append(values[i][j])
            four = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            if all(0 <= y < len(mask) and 0 <= x < len(mask[0]) and mask[y][x] for y, x in four):
                squares.append((sum(values[y][x] for y, x in four) - 4 * values[i][j]) ** 2)
    middle = math.fsum(inside) / len(inside)
    variance = math.fsum((v - middle) ** 2 for v in inside) / len(inside)
    return math.fsum(squares) / len(squares) / variance
