"""From the bytes of a picture file to uint8 RGB pixels: the only decoder and the only resizer."""

import contextlib
import hashlib
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from leukoscope.foundation.errors import DataError, DecodeError

Pixels = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MAX_MEGAPIXELS = 50
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers let out on broken files; a hostile one reaches corners nobody foresaw.
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
)
_RUNS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
)
_gate = threading.Lock()
_decoding: list[int] = []
_filters = contextlib.ExitStack()


class Picture(NamedTuple):
    """Hold decoded pixels and the EXIF orientation that was applied to them."""

    pixels: Pixels
    """uint8, shape (height, width, 3), RGB."""
    exif_orientation: int
    """1 to 8; 1 where the file was already upright."""


def decode(data: bytes, *, name: str) -> Picture:
    """Decode one picture file, upright.

    Parameters
    ----------
    data : bytes
        The whole file: PNG, JPEG, BMP or TIFF, 8 bits a channel, RGB.
    name : str
        What to call it in an error.

    Returns
    -------
    Picture
        Its pixels with the EXIF orientation applied, and that orientation.

    Raises
    ------
    DecodeError
        If the file is empty, broken, not such a picture, grey, 16-bit, transparent,
        of several frames, or larger than 50 megapixels.
    """
    if not data:
        raise DecodeError(f"{name} is empty (0 bytes).")
    try:
        with _doubts_refused(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_kind(image, name)
            orientation = _orientation(image)
            pixels = _upright_rgb(image, name)
    except UnidentifiedImageError:
        raise DecodeError(f"{name} is not a PNG, JPEG, BMP or TIFF picture.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name, "far more") from None
    except DecodeError:
        raise
    except _BROKEN as error:
        raise DecodeError(f"{name} is broken or cut short ({error}).") from None
    return Picture(pixels, orientation)


def decode_known(data: bytes, *, name: str, content: str) -> Pixels:
    """Decode a picture that was decoded before, and make sure that it is the same.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What to call it in an error.
    content : str
        What :func:`content_of` gave for its pixels then.

    Returns
    -------
    numpy.ndarray of uint8, shape (height, width, 3)
        Its pixels, upright.

    Raises
    ------
    DataError
        If it cannot be decoded, or its pixels are others now.
    """
    pixels = decode(data, name=name).pixels
    if content_of(pixels) != content:
        raise DataError(
            f"{name} is no longer the picture that was ingested (its pixels differ). Nothing was "
            "made from it. Put it back, or ingest the collection again."
        )
    return pixels


def decode_levels(data: bytes, *, name: str, shape: tuple[int, int]) -> Levels:
    """Decode a mask: a grey PNG of 8 bits, of its picture's size.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What to call it in an error.
    shape : tuple of int
        Height and width of its picture.

    Returns
    -------
    numpy.ndarray of uint8, shape (height, width)
        Its levels; 0 is outside the cell.

    Raises
    ------
    DecodeError
        If it is of another size or kind, or broken.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            # Before a pixel is read: a small file may claim to be of any size.
            if picture.size != shape[::-1]:
                (width, height), (tall, wide) = picture.size, shape
                raise DecodeError(
                    f"{name} has {width} × {height} pixels, its picture {wide} × {tall}."
                )
            if picture.mode != "L":
                raise DecodeError(
                    f"{name} is stored as {picture.mode}; a grey PNG of 8 bits is expected."
                )
            return np.array(picture, dtype=np.uint8)
    except UnidentifiedImageError:
        raise DecodeError(f"{name} is broken or no PNG picture.") from None
    except DecodeError:
        raise
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise DecodeError(f"{name} is broken or no PNG picture ({error}).") from None


def content_of(pixels: Pixels) -> str:
    """Hash decoded pixels: equal pictures, equal content, whatever the file.

    Returns
    -------
    str
        32 hexadecimal digits (BLAKE2b of shape and bytes).
    """
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def resize(pixels: Pixels, size_px: int) -> Pixels:
    """Take the central square of a picture and bring it to a size.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        Any size.
    size_px : int
        Side of the result.

    Returns
    -------
    numpy.ndarray of uint8, shape (size_px, size_px, 3)
        Bilinear, anti-aliased when it shrinks; unchanged where the size is right.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    if side == size_px:
        return np.ascontiguousarray(square)
    image = Image.fromarray(np.ascontiguousarray(square))
    return np.array(image.resize((size_px, size_px), Image.Resampling.BILINEAR), dtype=np.uint8)


def encode_png(pixels: Pixels | Levels) -> bytes:
    """Write a picture or a mask as a PNG file's bytes, without loss.

    Runs of equal bytes alone are looked for: of photographs that takes half the time of a search
    for what came before, and the files are no larger.
    """
    image = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", image, _RUNS)[1].tobytes()


def _refuse_kind(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise _too_large(name, f"{width} × {height}")
    if getattr(image, "n_frames", 1) > 1:
        raise DecodeError(f"{name} holds several frames; give one cell a file.")
    if image.mode.startswith(("I", "F")) or "16" in str(image.info.get("raw_mode", "")):
        raise DecodeError(f"{name} has 16 or 32 bits a channel; 8-bit RGB is expected.")
    if image.mode in {"L", "LA", "1"}:
        raise DecodeError(f"{name} is grey; cells are told apart by colour: RGB is expected.")
    if image.mode not in {"RGB", "RGBA"}:
        raise DecodeError(f"{name} is stored as {image.mode}; 8-bit RGB is expected.")
    if any(bits > 8 for bits in _bits(image)):
        raise DecodeError(f"{name} has 16 bits a channel; 8-bit RGB is expected.")


def _bits(image: Image.Image) -> tuple[int, ...]:
    """Read bits a channel as the file states them: Pillow narrows 16-bit RGB without a word."""
    if image.format == "TIFF":
        stated = getattr(image, "tag_v2", {}).get(258, (8,))
        return tuple(stated) if isinstance(stated, tuple) else (int(stated),)
    if image.format == "PNG":
        modes = [str(tile[3]) for tile in getattr(image, "tile", [])]
        return (16,) if any("16" in mode for mode in modes) else (8,)
    return (8,)


def _upright_rgb(image: Image.Image, name: str) -> Pixels:
    image.load()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        raise DecodeError(f"{name} is partly transparent; plain RGB is expected.")
    # Pillow turns a TIFF while it loads it, and only a TIFF: what is left to do is asked again.
    turn = _UPRIGHT.get(_orientation(image))
    rgb = image.convert("RGB")
    return np.array(rgb if turn is None else rgb.transpose(turn), dtype=np.uint8)


def _orientation(image: Image.Image) -> int:
    stated = int(image.getexif().get(_ORIENTATION, 1))
    return stated if 1 <= stated <= 8 else 1


@contextlib.contextmanager
def _doubts_refused() -> Iterator[None]:
    """Make Pillow's doubts (a bomb, a broken EXIF block) errors while any thread decodes.

    Warning filters belong to the process, not to a thread: the first thread in sets them and
    the last one out puts back what stood there.
    """
    with _gate:
        if not _decoding:
            _filters.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("error", module=r"PIL\.")
        _decoding.append(threading.get_ident())
    try:
        yield
    finally:
        with _gate:
            _decoding.pop()
            if not _decoding:
                _filters.close()


def _too_large(name: str, seen: str) -> DecodeError:
    return DecodeError(
        f"{name} is too large: {seen} pixels, at most {MAX_MEGAPIXELS} megapixels are taken. "
        "Cut it into single cells first."
    )
