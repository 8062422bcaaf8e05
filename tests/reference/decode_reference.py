"""Pictures turned upright and resized pixel by pixel."""

import math


def upright(stored, orientation):
    """Turn rows of pixels as the Exif standard says where row 0 and column 0 belong."""
    height, width = len(stored), len(stored[0])
    place = {
        1: lambda y, x: (y, x),
        2: lambda y, x: (y, width - 1 - x),
        3: lambda y, x: (height - 1 - y, width - 1 - x),
        4: lambda y, x: (height - 1 - y, x),
        5: lambda y, x: (x, y),
        6: lambda y, x: (height - 1 - x, y),
        7: lambda y, x: (height - 1 - x, width - 1 - y),
        8: lambda y, x: (x, width - 1 - y),
    }[orientation]
    if orientation >= 5:
        height_seen, width_seen = width, height
    else:
        height_seen, width_seen = height, width
    rows = []
    for y in range(height_seen):
        row = []
        for x in range(width_seen):
            from_y, from_x = place(y, x)
            row.append(stored[from_y][from_x])
        rows.append(row)
    return rows


def weights(n_in, n_out):
    """List, for each place of the output, what each place of the input adds: a triangle."""
    scale = n_in / n_out
    reach = max(scale, 1.0)
    table = []
    for i in range(n_out):
        centre = (i + 0.5) * scale
        row = [max(0.0, 1 - abs(j + 0.5 - centre) / reach) for j in range(n_in)]
        table.append([value / sum(row) for value in row])
    return table


def resized(rows, size):
    """Resize a square of numbers, in exact arithmetic until the last rounding."""
    table = weights(len(rows), size)
    across = [
        [math.fsum(w * v for w, v in zip(t, row, strict=True)) for t in table] for row in rows
    ]
    columns = list(zip(*across, strict=True))
    down = [[math.fsum(w * v for w, v in zip(t, c, strict=True)) for c in columns] for t in table]
    return [[min(255, max(0, math.floor(value + 0.5))) for value in row] for row in down]
