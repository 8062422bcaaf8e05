"""Light done one operation after the other on uncut levels in float64."""

from itertools import groupby

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])
YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])


def amounts_of(levels):
    """Find how much of each stain absorbs what a colour lacks, by one linear system a colour."""
    absorbance = np.log(256 / (np.maximum(levels, 0) + 1))
    return np.linalg.solve(STAINS.T, absorbance.reshape(-1, 3).T).T.reshape(levels.shape)


def seen_through(amounts):
    """Find the colour that amounts of the three stains leave."""
    return 256 * np.exp(-(amounts @ STAINS)) - 1


def turned(levels, angle_deg):
    """Turn the two differences of colour, as one complex number, clockwise in their plane."""
    luma, i, q = np.linalg.solve(np.linalg.inv(YIQ), levels.reshape(-1, 3).T)
    difference = (i + 1j * q) * np.exp(-1j * np.radians(angle_deg))
    back = np.linalg.solve(YIQ, np.stack([luma, difference.real, difference.imag]))
    return back.T.reshape(levels.shape)


def one(name, given, levels, mean):
    """Do one operation to levels of shape (..., 3); *mean* is the picture's mean colour."""
    grey = (levels @ LUMA)[..., None]
    match name:
        case "brightness":
            return levels * given[0]
        case "white_balance":
            return levels * np.array(given)
        case "contrast":
            return mean @ LUMA + given[0] * (levels - mean @ LUMA)
        case "saturation":
            return grey + given[0] * (levels - grey)
        case "hue_deg":
            return turned(levels, given[0])
        case "gamma":
            return 255 * (np.maximum(levels, 0) / 255) ** given[0]


def stained(each_given, levels):
    """Change the amounts of stain several times; only then look through them."""
    amounts = amounts_of(levels)
    for given in each_given:
        amounts = amounts * np.array(given[:3]) + np.array(given[3:])
    return seen_through(amounts)


def one_by_one(operations, pixels):
    """Do operations in their order; the mean colour is carried along as if it were a pixel."""
    levels = pixels.astype(np.float64)
    mean = levels.mean(axis=(0, 1))
    for name, group in groupby(operations, lambda operation: operation[0]):
        each_given = [given for _, given in group]
        if name == "stain":
            levels, mean = stained(each_given, levels), stained(each_given, mean)
            continue
        for given in each_given:
            levels, mean = one(name, given, levels, mean), one(name, given, mean, mean)
    return levels
