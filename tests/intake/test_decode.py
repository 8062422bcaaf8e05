import io
import random
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.intake.pictures import drawn, encoded
from tests.reference import decode_reference

from leukoscope.foundation.errors import DataError, DecodeError
from leukoscope.intake import decode as room

ORIENTATION = 0x0112
SMALL = drawn(0, 13, 10)
FILES = {
    "png": encoded(SMALL, "PNG"),
    "bmp": encoded(SMALL, "BMP"),
    "tiff": encoded(SMALL, "TIFF"),
    "tiff lzw": encoded(SMALL, "TIFF", compression="tiff_lzw"),
    "tiff deflate": encoded(SMALL, "TIFF", compression="tiff_adobe_deflate"),
    "jpeg": encoded(SMALL, "JPEG", quality=80),
    "jpeg 4:4:4": encoded(SMALL, "JPEG", quality=95, subsampling=0),
    "jpeg progressive": encoded(SMALL, "JPEG", progressive=True),
}


def opencv(data):
    """Decode with the other library."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)[..., ::-1]


def with_exif(kind, orientation, pixels, **options):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010E] = "drawn"
    return encoded(pixels, kind, exif=exif, **options)


# Good files


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=20)
@given(number=st.integers(0, 10**6), height=st.integers(1, 40), width=st.integers(1, 40))
def test_pixels_agree_with_another_decoder_bit_for_bit(kind, number, height, width):
    """PNG, BMP, TIFF and JPEG of any size give what OpenCV gives, as RGB."""
    plain = {"png": "PNG", "bmp": "BMP", "jpeg": "JPEG"}
    options = {
        "tiff lzw": {"compression": "tiff_lzw"},
        "tiff deflate": {"compression": "tiff_adobe_deflate"},
        "jpeg 4:4:4": {"quality": 95, "subsampling": 0},
        "jpeg progressive": {"progressive": True},
    }.get(kind, {})
    pixels = drawn(number, height, width)
    data = encoded(pixels, plain.get(kind, kind.split()[0].upper()), **options)
    seen = room.decode(data, name="x")
    assert seen.pixels.dtype == np.uint8
    assert seen.exif_orientation == 1
    np.testing.assert_array_equal(seen.pixels, opencv(data))
    if "jpeg" not in kind:
        np.testing.assert_array_equal(seen.pixels, pixels)


KINDS = {
    "PNG": {},
    "JPEG": {"quality": 90},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "PNG opaque": {},
    "TIFF opaque": {},
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_turned_upright_and_its_orientation_kept(kind, orientation):
    """All eight orientations equal the table of the Exif standard, in every kind of file."""
    pixels = drawn(3, 7, 11)
    if "opaque" in kind:
        pixels = np.dstack([pixels, np.full((7, 11), 255, np.uint8)])
    data = with_exif(kind.split()[0], orientation, pixels, **KINDS[kind])
    # OpenCV turns a TIFF whatever it is told; what was stored is known there without it.
    stored = opencv(data) if kind == "JPEG" else pixels[..., :3]
    seen = room.decode(data, name="x")
    assert seen.exif_orientation == orientation
    expected = np.array(decode_reference.upright(stored.tolist(), orientation))
    np.testing.assert_array_equal(seen.pixels, expected)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_is_upright(orientation):
    """A number outside 1 to 8 turns nothing and is recorded as 1."""
    seen = room.decode(with_exif("JPEG", orientation, SMALL), name="x")
    assert seen.exif_orientation == 1
    np.testing.assert_array_equal(seen.pixels, opencv(encoded(SMALL, "JPEG")))


def test_an_opaque_picture_is_taken_without_its_alpha():
    """An alpha channel that hides nothing is dropped."""
    opaque = np.dstack([SMALL, np.full(SMALL.shape[:2], 255, np.uint8)])
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(room.decode(encoded(opaque, kind), name="x").pixels, SMALL)


@pytest.mark.parametrize("tag", [0x0100, 0x0103, 0x011A])
def test_a_broken_remark_keeps_no_sound_picture_out(tag):
    """A camera's remark under a wrong kind of number is passed over; the orientation is kept."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x011A] = 2.5
    data = bytearray(encoded(SMALL, "JPEG", exif=exif))
    place = data.index(struct.pack(">HH", 0x011A, 5))
    for kind in (1, 2, 5, 7, 10, 11, 12):
        data[place : place + 4] = struct.pack(">HH", tag, kind)
        seen = room.decode(bytes(data), name="x")
        assert seen.exif_orientation == 6
        expected = np.rot90(opencv(bytes(data)), -1)
        np.testing.assert_array_equal(seen.pixels, expected)


# Bad files


def png_claiming(width, height, *, depth=8, kind=2):
    """Write a PNG file whose head promises a picture that is not there."""

    def block(name, data):
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    head = block(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + block(b"IDAT", zlib.compress(b"")) + block(b"IEND", b"")


def bmp_claiming(side):
    data = bytearray(FILES["bmp"])
    data[18:26] = struct.pack("<ii", side, side)
    return bytes(data)


def jpeg_claiming(side):
    data = bytearray(FILES["jpeg"])
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", side, side)
    return bytes(data)


def frames(kind, **options):
    buffer = io.BytesIO()
    first, second = Image.fromarray(SMALL), Image.fromarray(SMALL[::-1].copy())
    first.save(buffer, kind, save_all=True, append_images=[second], **options)
    return buffer.getvalue()


def as_mode(kind, mode):
    buffer = io.BytesIO()
    Image.fromarray(SMALL).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def opencv_file(ending, pixels):
    return cv2.imencode(ending, pixels)[1].tobytes()


DEEP = SMALL.astype(np.uint16) * 257
FITS = b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80)
BAD = {
    "nothing": (b"", "is empty"),
    "text": (b"cell_id,path\n", "is not a PNG"),
    "zeros": (bytes(5000), "is not a PNG"),
    "gif": (as_mode("GIF", "P"), "is not a PNG"),
    "webp": (encoded(SMALL, "WEBP"), "is not a PNG"),
    "pdf": (encoded(SMALL, "PDF"), "is not a PNG"),
    "eps": (encoded(SMALL, "EPS"), "is not a PNG"),
    "fits": (FITS.ljust(5760), "is not a PNG"),
    "png 16-bit": (opencv_file(".png", DEEP), "16 bits"),
    "png 16-bit with alpha": (opencv_file(".png", np.dstack([DEEP, DEEP[..., :1]])), "16 bits"),
    "png 16-bit grey": (opencv_file(".png", DEEP[..., 0]), "16 or 32 bits"),
    "tiff 16-bit": (opencv_file(".tiff", DEEP), "16 bits"),
    "tiff 16-bit grey": (opencv_file(".tiff", DEEP[..., 0]), "16 or 32 bits"),
    "tiff float": (as_mode("TIFF", "F"), "16 or 32 bits"),
    "tiff 32-bit": (as_mode("TIFF", "I"), "16 or 32 bits"),
    "png grey": (as_mode("PNG", "L"), "is grey"),
    "png grey with alpha": (as_mode("PNG", "LA"), "is grey"),
    "png black and white": (as_mode("PNG", "1"), "is grey"),
    "jpeg grey": (as_mode("JPEG", "L"), "is grey"),
    "png palette": (as_mode("PNG", "P"), "stored as P"),
    "bmp palette": (as_mode("BMP", "P"), "stored as P"),
    "jpeg cmyk": (as_mode("JPEG", "CMYK"), "stored as CMYK"),
    "tiff lab": (as_mode("TIFF", "LAB"), "stored as LAB"),
    "png see-through": (encoded(np.dstack([SMALL, SMALL[..., :1]]), "PNG"), "partly transparent"),
    "tiff frames": (frames("TIFF"), "several frames"),
    "png frames": (frames("PNG"), "several frames"),
    "jpeg frames": (frames("MPO"), "several frames"),
    "png 56 megapixels": (png_claiming(8000, 7000), "too large: 8000 × 7000"),
    "png 100 megapixels": (png_claiming(10_000, 10_000), "too large"),
    "png bomb": (png_claiming(60_000, 60_000), "too large"),
    "png without end": (png_claiming(2**31 - 1, 2**31 - 1), "too large"),
    "bmp bomb": (bmp_claiming(30_000), "too large"),
    "jpeg bomb": (jpeg_claiming(65_500), "too large"),
    "png hollow": (png_claiming(100, 100), "broken or cut short"),
    "png no width": (png_claiming(0, 5), "x.png"),
    "jpeg hollow": (FILES["jpeg"][:200], "x.png"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_told_by_name(fault):
    """Each planted fault is a decoding error of one line that names the file and the fault."""
    data, told = BAD[fault]
    with pytest.raises(DecodeError) as caught:
        room.decode(data, name="a/x.png")
    message = str(caught.value)
    assert message.startswith("a/x.png ")
    assert told in message
    assert "\n" not in message
    assert "0x" not in message


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_short_is_refused_wherever_it_is_cut(kind):
    """A beginning of a file is refused unless it holds all of the picture's pixels."""
    data = FILES[kind]
    whole = room.decode(data, name="x").pixels
    taken = 0
    for length in range(len(data)):
        try:
            seen = room.decode(data[:length], name="x").pixels
        except DecodeError:
            continue
        np.testing.assert_array_equal(seen, whole)
        taken += 1
    # What may be missing: check sums and closing marks behind the pixels.
    assert taken <= 24


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_large_file_cut_short_is_refused(kind):
    """A picture of which the lower half never arrived is not taken with a grey half."""
    data = encoded(drawn(1, 200, 200), kind)
    for share in (0.3, 0.5, 0.9, 0.99):
        with pytest.raises(DecodeError):
            room.decode(data[: int(share * len(data))], name="x")


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_a_changed_file_is_decoded_or_refused(kind, seed):
    """Whatever bytes are changed, the answer is a picture or a decoding error, nothing else."""
    chance = random.Random(seed)
    data = bytearray(FILES[kind])
    head = chance.choice([40, 250, len(data)])
    for _ in range(chance.choice([1, 1, 2, 5])):
        place = chance.randrange(min(head, len(data)))
        data[place] = chance.choice([0, 255, chance.randrange(256)])
    try:
        pixels = room.decode(bytes(data), name="x").pixels
    except DecodeError:
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


@settings(max_examples=80)
@given(block=st.binary(max_size=60), order=st.sampled_from([b"II*\x00", b"MM\x00*"]))
def test_a_hostile_camera_block_is_borne_or_refused(block, order):
    """Any bytes under EXIF give the picture, upright or turned, or a decoding error."""
    head = order + (b"\x08\x00\x00\x00" if order[:1] == b"I" else b"\x00\x00\x00\x08")
    data = encoded(SMALL, "JPEG", exif=b"Exif\x00\x00" + head + block)
    try:
        seen = room.decode(data, name="x")
    except DecodeError:
        return
    assert sorted(seen.pixels.shape[:2]) == [10, 13]


def test_many_threads_leave_the_warnings_as_they_were():
    """Decoding at once in many threads leaves no filter of the process changed behind it.

    Otherwise a harmless warning of another library would end a training hours later.
    """
    data = [*FILES.values(), BAD["png 100 megapixels"][0], BAD["tiff frames"][0]] * 8

    def decode(each):
        try:
            room.decode(each, name="x")
        except DecodeError:
            return False
        return True

    with warnings.catch_warnings():
        # The tests' own filters make errors of warnings, which would hide a change to that.
        warnings.simplefilter("ignore")
        before = list(warnings.filters)
        for _ in range(6):
            with ThreadPoolExecutor(8) as pool:
                assert sum(pool.map(decode, data)) == 8 * len(FILES)
        assert list(warnings.filters) == before


# Contents and sizes


@given(number=st.integers(0, 99), height=st.integers(1, 9), width=st.integers(1, 9))
def test_content_follows_pixels_and_shape(number, height, width):
    """Equal pixels give equal content however they lie in memory; shape and every pixel count."""
    pixels = drawn(number, height, width)
    content = room.content_of(pixels)
    assert content == room.content_of(np.asfortranarray(pixels))
    assert content == room.content_of(pixels[::-1][::-1])
    other = pixels.copy()
    other[-1, -1, -1] ^= 1
    assert room.content_of(other) != content
    if height != width:
        assert room.content_of(pixels.reshape(width, height, 3)) != content


def test_content_is_pinned():
    """A change of this value would part every dataset from its pixels."""
    content = room.content_of(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    assert content == "b3b31f806a2cc9ba175f758279abebd2"


def test_a_known_picture_is_recognised():
    """A file of the same pixels passes, another kind of file included; any other is told."""
    content = room.content_of(SMALL)
    for kind in ("png", "bmp"):
        seen = room.decode_known(FILES[kind], name="x", content=content)
        np.testing.assert_array_equal(seen, SMALL)
    with pytest.raises(DataError, match=r"x is no longer the picture that was ingested"):
        room.decode_known(encoded(SMALL[::-1], "PNG"), name="x", content=content)


@given(number=st.integers(0, 99), height=st.integers(1, 30), width=st.integers(1, 30))
def test_what_has_the_size_keeps_every_bit(number, height, width):
    """The central square of the right size is not resampled."""
    pixels = drawn(number, height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    expected = pixels[top : top + side, left : left + side]
    np.testing.assert_array_equal(room.resize(pixels, side), expected)


@settings(max_examples=30)
@given(
    number=st.integers(0, 99),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.integers(1, 40),
)
def test_resizing_agrees_with_exact_arithmetic_to_one_level(number, height, width, size):
    """Growing or shrinking, every pixel is within one level of the triangle filter in floats."""
    pixels = drawn(number, height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    seen = room.resize(pixels, size)
    assert seen.shape == (size, size, 3)
    for channel in range(3):
        expected = decode_reference.resized(square[..., channel].tolist(), size)
        assert np.abs(seen[..., channel].astype(int) - expected).max() <= 1


@given(number=st.integers(0, 99), height=st.integers(1, 9), width=st.integers(1, 9))
def test_writing_png_loses_nothing(number, height, width):
    """Pixels written as PNG are read back bit for bit."""
    pixels = drawn(number, height, width)
    np.testing.assert_array_equal(room.decode(room.encode_png(pixels), name="x").pixels, pixels)


@given(number=st.integers(0, 99), height=st.integers(1, 9), width=st.integers(1, 9))
def test_writing_a_mask_loses_nothing(number, height, width):
    """Levels written as a grey PNG are read back bit for bit, and taken for no picture."""
    levels = np.ascontiguousarray(drawn(number, height, width)[..., 1])
    data = room.encode_png(levels)
    read = room.decode_levels(data, name="x", shape=(height, width))
    np.testing.assert_array_equal(read, levels)
    with pytest.raises(DecodeError, match="is grey"):
        room.decode(data, name="x")


def test_writing_does_not_hang_on_how_pixels_lie_in_memory():
    """Turned, mirrored and cut arrays are written as their plain copies are."""
    pixels = drawn(3, 9, 8)
    views = (
        pixels[:, ::-1],
        pixels.transpose(1, 0, 2),
        pixels[1:7, 2:5],
        np.asfortranarray(pixels),
    )
    for view in (*views, pixels[::2, ::-1, 0]):
        assert room.encode_png(view) == room.encode_png(view.copy(order="C"))


MASKS = {
    "another size": (np.zeros((4, 5), np.uint8), r"has 5 × 4 pixels, its picture 4 × 4\."),
    "in colour": (np.zeros((4, 4, 3), np.uint8), r"is stored as RGB; a grey PNG of 8 bits"),
}


@pytest.mark.parametrize("fault", MASKS)
def test_a_mask_that_is_none_is_refused(fault):
    """With what it is."""
    pixels, said = MASKS[fault]
    with pytest.raises(DecodeError, match=f"^m.png {said}"):
        room.decode_levels(room.encode_png(pixels), name="m.png", shape=(4, 4))


@pytest.mark.parametrize("end", [0, 1, 8, 20, 45])
def test_a_mask_cut_short_is_refused(end):
    """No beginning of a file is taken for a mask."""
    data = room.encode_png(np.full((4, 4), 128, np.uint8))[:end]
    with pytest.raises(DecodeError, match="is broken or no PNG picture"):
        room.decode_levels(data, name="m.png", shape=(4, 4))
