"""Shape and lobes of a mask, pixel by pixel in plain Python: slow and obvious."""

import math

Pixel = tuple[int, int]


def pixels_of(mask: list[list[bool]]) -> set[Pixel]:
    """List the pixels of a mask as (row, column)."""
    return {(r, c) for r, row in enumerate(mask) for c, inside in enumerate(row) if inside}


def pieces(pixels: set[Pixel]) -> list[set[Pixel]]:
    """Divide pixels into pieces that touch neither at an edge nor at a corner."""
    left, found = set(pixels), []
    while left:
        todo, piece = [left.pop()], set()
        while todo:
            r, c = todo.pop()
            piece.add((r, c))
            beside = {(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= beside
            todo += beside
        found.append(piece)
    return found


def perimeter(pixels: set[Pixel]) -> float:
    """Count the crossings with lines in four directions; a mean over directions of their length."""
    lengths = []
    for step, spacing in (((0, 1), 1.0), ((1, 0), 1.0), ((1, 1), 0.5**0.5), ((1, -1), 0.5**0.5)):
        crossings = sum((r + step[0], c + step[1]) not in pixels for r, c in pixels)
        crossings += sum((r - step[0], c - step[1]) not in pixels for r, c in pixels)
        # An outline of length L is crossed 2 L / (pi x spacing) times by the lines of a direction.
        lengths.append(crossings * math.pi * spacing / 2)
    return sum(lengths) / 4


def hull_size(pixels: set[Pixel]) -> int:
    """Count the points of the grid that no line through two pixels parts from the others."""
    rows, columns = zip(*pixels, strict=True)
    grid = {
        (r, c)
        for r in range(min(rows), max(rows) + 1)
        for c in range(min(columns), max(columns) + 1)
    }
    for one in pixels:
        for other in pixels:
            if one != other and all(_side(one, other, pixel) >= 0 for pixel in pixels):
                grid = {pixel for pixel in grid if _side(one, other, pixel) >= 0}
    return len(grid)


def elongation(pixels: set[Pixel]) -> float:
    """Compute the axes' ratio from second moments, each pixel a square and not a point."""
    count = len(pixels)
    rows, columns = sum(r for r, _ in pixels) / count, sum(c for _, c in pixels) / count
    rr = sum((r - rows) ** 2 for r, _ in pixels) / count + 1 / 12
    cc = sum((c - columns) ** 2 for _, c in pixels) / count + 1 / 12
    rc = sum((r - rows) * (c - columns) for r, c in pixels) / count
    half, root = (rr + cc) / 2, math.hypot((rr - cc) / 2, rc)
    return math.sqrt((half + root) / (half - root))


def lobes(pixels: set[Pixel], *, bridge_share: float, lobe_share: float) -> tuple[int, float]:
    """Count lobes by laying the nucleus bare from its thickest pixel to its outline.

    Pixel after pixel comes up, the one furthest from the outside first. One that touches nothing
    founds a part. One that touches two parts is the bridge between them: if it is narrow they
    stay two, else they become one. No smoothing, no enlarging.

    Returns
    -------
    count : int
        Parts of at least *lobe_share* of the pixels.
    neck_ratio : float
        Width of the narrowest bridge or neck between such parts, over that of the smaller; 0
        between parts that do not touch.
    """
    depth = _depths(pixels)
    part: dict[Pixel, int] = {}
    width: dict[int, float] = {}
    size: dict[int, int] = {}
    kept: set[frozenset[int]] = set()
    neck = 1.0
    for r, c in sorted(pixels, key=lambda pixel: (-depth[pixel], pixel)):
        beside = [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        found = sorted({part[p] for p in beside if p in part}, key=lambda name: -width[name])
        if not found:
            found = [len(part)]
            width[found[0]], size[found[0]] = depth[(r, c)], 0
        first = found[0]
        for other in found[1:]:
            if frozenset((first, other)) in kept:
                continue
            share = depth[(r, c)] / width[other]
            if min(size[first], size[other]) >= lobe_share * len(pixels):
                neck = min(neck, share)
            if share <= bridge_share:
                kept.add(frozenset((first, other)))
                continue
            for pixel, name in part.items():
                part[pixel] = first if name == other else name
            size[first] += size.pop(other)
            kept = {frozenset(first if name == other else name for name in pair) for pair in kept}
        part[(r, c)] = first
        size[first] += 1
    large = [piece for piece in pieces(pixels) if len(piece) >= lobe_share * len(pixels)]
    count = sum(number >= lobe_share * len(pixels) for number in size.values())
    return count, 0.0 if len(large) > 1 else neck


def _depths(pixels: set[Pixel]) -> dict[Pixel, float]:
    rows, columns = zip(*pixels, strict=True)
    outside = [
        (r, c)
        for r in range(min(rows) - 1, max(rows) + 2)
        for c in range(min(columns) - 1, max(columns) + 2)
        if (r, c) not in pixels
    ]
    # The outline runs half a pixel before the first pixel outside.
    return {p: min(math.dist(p, other) for other in outside) - 0.5 for p in pixels}


def _side(one: Pixel, other: Pixel, pixel: Pixel) -> int:
    along = (other[0] - one[0], other[1] - one[1])
    return along[0] * (pixel[1] - one[1]) - along[1] * (pixel[0] - one[0])
