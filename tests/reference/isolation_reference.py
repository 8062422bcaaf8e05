"""Masks, fields and closed paths, pixel by pixel in plain Python: slow and obvious."""

import itertools
import math

Pixel = tuple[int, int]
Grid = list[list[float]]


def pixels_of(mask: list[list[bool]]) -> set[Pixel]:
    """List the pixels of a mask as (row, column)."""
    return {(r, c) for r, row in enumerate(mask) for c, inside in enumerate(row) if inside}


def dice(one: set[Pixel], other: set[Pixel]) -> float:
    """Compare two sets of pixels."""
    if not one and not other:
        return 1.0
    return 2 * len(one & other) / (len(one) + len(other))


def nearest_level(level: int) -> int:
    """Take a grey level for the nearest of three; half-way lies what is inside."""
    return max((0, 128, 255), key=lambda of_three: (-abs(level - of_three), of_three))


def depths(mask: list[list[bool]]) -> list[list[float]]:
    """Measure how far each pixel is from the nearest one outside the mask, 0 there."""
    outside = [(r, c) for r, row in enumerate(mask) for c, inside in enumerate(row) if not inside]
    return [
        [min(math.dist((r, c), pixel) for pixel in outside) for c in range(len(row))]
        for r, row in enumerate(mask)
    ]


def filled(pixels: set[Pixel], height: int, width: int) -> set[Pixel]:
    """Add what cannot be left by steps up, down, left and right without crossing the pixels."""
    free = {(r, c) for r in range(-1, height + 1) for c in range(-1, width + 1)} - pixels
    todo = [(-1, -1)]
    free.discard((-1, -1))
    while todo:
        r, c = todo.pop()
        beside = {(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)} & free
        free -= beside
        todo += beside
    return pixels | free


def reaching_in(pixels: set[Pixel], height: int, width: int) -> set[Pixel]:
    """Keep the pixels that can be reached from the frame by steps within the pixels."""
    todo = [(r, c) for r, c in pixels if r in (0, height - 1) or c in (0, width - 1)]
    reached = set(todo)
    while todo:
        r, c = todo.pop()
        beside = {(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)} & pixels - reached
        reached |= beside
        todo += beside
    return reached


def near(pixels: set[Pixel], height: int, width: int, *, steps: int) -> set[Pixel]:
    """Add all pixels that lie up to so many rows and columns away."""
    around = range(-steps, steps + 1)
    whole = itertools.product(range(height), range(width))
    return {
        (r, c) for r, c in whole if any((r + i, c + j) in pixels for i in around for j in around)
    }


def shrunk(values: Grid, mask: list[list[bool]]) -> list[list[float | None]]:
    """Take the mean of the masked pixels of each two by two; None where fewer than two are."""
    found: list[list[float | None]] = []
    for r in range(0, len(values), 2):
        found.append([])
        for c in range(0, len(values[0]), 2):
            four = [(r + i, c + j) for i in (0, 1) for j in (0, 1)]
            held = [values[i][j] for i, j in four if mask[i][j]]
            found[-1].append(sum(held) / len(held) if len(held) >= 2 else None)
    return found


def density(level: int, blank: float, *, darkest: float) -> float:
    """Take the logarithm of what the empty field lets through over what a pixel lets through."""
    return math.log(blank / max(level, darkest))


def path_cost(cost: Grid, path: list[int], *, toll: float, most_jump: int, closed: bool) -> float:
    """Add up what a path costs; infinite if it jumps too far, at the closing too if closed."""
    steps = list(itertools.pairwise(path)) + ([(path[-1], path[0])] if closed else [])
    if any(abs(one - other) > most_jump for one, other in steps):
        return math.inf
    tolls = sum(toll * (one - other) ** 2 for one, other in steps)
    return tolls + sum(row[column] for row, column in zip(cost, path, strict=True))


def every_path(cost: Grid, *, toll: float, most_jump: int, closed: bool) -> float:
    """Try every choice of a column in each row; give the least cost."""
    choices = itertools.product(range(len(cost[0])), repeat=len(cost))
    return min(
        path_cost(cost, list(path), toll=toll, most_jump=most_jump, closed=closed)
        for path in choices
    )


def closed_path(cost: Grid, *, toll: float, most_jump: int) -> float:
    """Give the least cost of a closed path: the best open one from and to each column in turn."""
    n = len(cost[0])
    best = math.inf
    for start in range(n):
        totals = {start: cost[0][start]}
        for row in cost[1:]:
            totals = _step(totals, row, n, toll, most_jump)
        ends = [
            t + toll * (c - start) ** 2 for c, t in totals.items() if abs(c - start) <= most_jump
        ]
        best = min([best, *ends])
    return best


def open_path(cost: Grid, *, toll: float, most_jump: int) -> float:
    """Give the least cost of a path with free ends."""
    totals = dict(enumerate(cost[0]))
    for row in cost[1:]:
        totals = _step(totals, row, len(row), toll, most_jump)
    return min(totals.values())


def _step(
    totals: dict[int, float], row: list[float], n: int, toll: float, most_jump: int
) -> dict[int, float]:
    found = {}
    for column in range(n):
        ways = [
            total + toll * (column - source) ** 2
            for source, total in totals.items()
            if abs(column - source) <= most_jump
        ]
        if ways:
            found[column] = min(ways) + row[column]
    return found
