"""Geometry of a chain as one matrix, and its one application to pixels.

Chains of flips and right angles only move pixels; everything else is one warp with
one bilinear interpolation, however long the chain.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.draw import Draw

Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]

_BORDERS = {
    "reflect": cv2.BORDER_REFLECT_101,
    "edge": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
}


def apply(drawn: Draw, pixels: Pixels) -> Pixels:
    """Do to a picture what was drawn for it.

    Parameters
    ----------
    drawn : Draw
        The drawn parameters.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.

    Returns
    -------
    numpy.ndarray of uint8
        Of the same size; a right angle exchanges height and width of a picture
        that is not square.
    """
    matrix = matrix_of(drawn)
    if is_exact(matrix):
        return move(matrix, pixels)
    return warp(matrix, pixels, drawn.border)


def matrix_of(drawn: Draw) -> Matrix:
    """Compose the moves of a draw about the picture's centre.

    Returns
    -------
    numpy.ndarray of float64, shape (2, 2)
        Maps (x, y) offsets from the centre, y downwards, of the picture to those of
        the result. Chains that end at a multiple of 90° give whole numbers exactly.
    """
    matrix = np.eye(2)
    for name, value in drawn.moves:
        matrix = _one(name, value) @ matrix
    # Rounding in a chain must not turn a move of pixels into a resampling.
    whole = np.round(matrix)
    return whole if np.abs(matrix - whole).max() < 1e-12 else matrix


def is_exact(matrix: Matrix) -> bool:
    """Tell whether a matrix only exchanges and negates axes: one of the 8 orientations."""
    return bool(np.isin(np.abs(matrix), (0.0, 1.0)).all())


def move(matrix: Matrix, pixels: Pixels) -> Pixels:
    """Bring a picture into one of its 8 orientations by moving pixels."""
    if matrix[0, 0] == 0:
        # (x, y) → (±y, ±x): exchange the axes first.
        pixels = pixels.transpose(1, 0, 2)
        signs = matrix[0, 1], matrix[1, 0]
    else:
        signs = matrix[0, 0], matrix[1, 1]
    x_step, y_step = int(signs[0]), int(signs[1])
    return np.ascontiguousarray(pixels[::y_step, ::x_step])


def warp(matrix: Matrix, pixels: Pixels, border: str) -> Pixels:
    """Resample a picture once through a matrix about its centre, bilinearly."""
    height, width = pixels.shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    inverse = np.linalg.inv(matrix)
    transform = np.column_stack([inverse, centre - inverse @ centre])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        pixels, transform, (width, height), flags=flags, borderMode=_BORDERS[border]
    )
    return np.asarray(warped, dtype=np.uint8)


def _one(name: str, value: float) -> Matrix:
    match name:
        case "rotation_deg":
            cosine, sine = _unit(value)
            return np.array([[cosine, sine], [-sine, cosine]])
        case "flip_horizontal":
            return np.diag([-1.0, 1.0])
        case "flip_vertical":
            return np.diag([1.0, -1.0])
        case _:
            raise ValueError(f"no move is called {name!r}")


def _unit(angle_deg: float) -> tuple[float, float]:
    quarter, rest = divmod(angle_deg, 90.0)
    if rest == 0:
        return [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][int(quarter) % 4]
    angle = math.radians(angle_deg)
    return math.cos(angle), math.sin(angle)
