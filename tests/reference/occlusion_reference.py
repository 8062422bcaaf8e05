"""What is covered, told pixel by pixel."""

import numpy as np

COLOURS = {"black": [0, 0, 0], "white": [255, 255, 255]}


def rectangle(fill, x, y, across, down, pixels):
    """Cover *across* by *down* pixels from column x and row y on."""
    colour = COLOURS.get(fill) or np.rint(pixels.astype(float).mean(axis=(0, 1)))
    result = pixels.copy()
    for row in range(y, y + down):
        for column in range(x, x + across):
            result[row, column] = colour
    return result


def back_within(place, first, last):
    """Mirror a place at the outer edges of the pixels from first to last until it is one."""
    while not first <= place <= last:
        place = 2 * first - 1 - place if place < first else 2 * last + 1 - place
    return place


def border(fill, breadth, pixels):
    """Cover the outermost *breadth* rows and columns."""
    height, width = pixels.shape[:2]
    result = pixels.copy()
    for row in range(height):
        for column in range(width):
            y = back_within(row, breadth, height - 1 - breadth)
            x = back_within(column, breadth, width - 1 - breadth)
            if (y, x) != (row, column):
                result[row, column] = COLOURS.get(fill) or pixels[y, x]
    return result
