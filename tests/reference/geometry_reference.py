"""Pictures turned and sampled one pixel at a time, in floats."""

import math

import numpy as np

TURNS = {
    "rotation_deg": lambda pixels, angle: np.rot90(pixels, round(angle / 90)),
    "flip_horizontal": lambda pixels, _: pixels[:, ::-1],
    "flip_vertical": lambda pixels, _: pixels[::-1],
}


def exactly(moves, pixels):
    """Do quarter turns (counter-clockwise) and flips one after the other."""
    for name, value in moves:
        pixels = TURNS[name](pixels, value)
    return pixels


def inside(place, n, border):
    """Find the pixel that stands for a place outside, or None."""
    if 0 <= place < n:
        return place
    if border == "constant":
        return None
    if border == "edge":
        return min(max(place, 0), n - 1)
    # Mirrored about the middle of the outermost pixel, which is not repeated.
    while n > 1 and not 0 <= place < n:
        place = -place if place < 0 else 2 * (n - 1) - place
    return place if n > 1 else 0


def back(moves, x, y):
    """Find where an offset from the centre (y downwards) came from, move by move."""
    for name, value in reversed(moves):
        if name == "flip_horizontal":
            x = -x
        elif name == "flip_vertical":
            y = -y
        else:
            angle = math.radians(value)
            # Seen with y upwards, a turn to the left by the angle is undone.
            up = -y
            x, up = (
                x * math.cos(angle) + up * math.sin(angle),
                -x * math.sin(angle) + up * math.cos(angle),
            )
            y = -up
    return x, y


def warped(moves, pixels, border):
    """Sample every pixel of the result between the four pixels it came from."""
    height, width = pixels.shape[:2]
    result = np.zeros(pixels.shape)
    for row in range(height):
        for column in range(width):
            x, y = back(moves, column - (width - 1) / 2, row - (height - 1) / 2)
            x, y = x + (width - 1) / 2, y + (height - 1) / 2
            left, top = math.floor(x), math.floor(y)
            for i in (0, 1):
                for j in (0, 1):
                    share = abs(1 - i - (y - top)) * abs(1 - j - (x - left))
                    at_y = inside(top + i, height, border)
                    at_x = inside(left + j, width, border)
                    if at_y is not None and at_x is not None:
                        result[row, column] += share * pixels[at_y, at_x]
    return result
