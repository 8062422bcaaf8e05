"""From the bytes of a picture file to uint8 RGB pixels: the only decoder and the only resizer."""

import hashlib
import io
import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from leukoscope.foundation.errors import DecodeError

Pixels = npt.NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MAX_MEGAPIXELS = 50
_ORIENTATION = 0x0112


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
        with warnings.catch_warnings():
            # Pillow's doubts (bombs, broken EXIF) are refusals here: our own limits come first.
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _refuse_kind(image, name)
                orientation = int(image.getexif().get(_ORIENTATION, 1))
                upright = ImageOps.exif_transpose(_as_rgb(image, name))
    except UnidentifiedImageError:
        raise DecodeError(f"{name} is not a PNG, JPEG, BMP or TIFF picture.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name, "far more") from None
    except DecodeError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, KeyError, TypeError, Warning) as error:
        raise DecodeError(f"{name} is broken or cut short ({error}).") from None
    return Picture(np.array(upright, dtype=np.uint8), orientation if 1 <= orientation <= 8 else 1)


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


def encode_png(pixels: Pixels) -> bytes:
    """Write pixels as a PNG file's bytes, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


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


def _as_rgb(image: Image.Image, name: str) -> Image.Image:
    image.load()
    if image.mode == "RGBA":
        if image.getchannel("A").getextrema() != (255, 255):
            raise DecodeError(f"{name} is partly transparent; plain RGB is expected.")
        exif = image.getexif()
        image = image.convert("RGB")
        image.info["exif"] = exif.tobytes() if exif else b""
    return image


def _too_large(name: str, seen: str) -> DecodeError:
    return DecodeError(
        f"{name} is too large: {seen} pixels, at most {MAX_MEGAPIXELS} megapixels are taken. "
        "Cut it into single cells first."
    )
