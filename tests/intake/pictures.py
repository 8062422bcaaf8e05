"""Small drawn pictures, folders of them, and datasets made from those folders."""

import io

import numpy as np
from PIL import Image

from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import encode_png
from leukoscope.intake.ingest import ingest_listing
from leukoscope.intake.sources import list_folder
from leukoscope.records.dataset import read_dataset


def drawn(number, height_px=8, width_px=8):
    """Draw a picture without any symmetry: noise over two slopes."""
    rng = stream(1, "test picture", number)
    y, x = np.mgrid[:height_px, :width_px]
    slope = np.stack([9 * x, 7 * y, 90 - 2 * x + y], axis=-1)
    return (slope + rng.integers(0, 60, (height_px, width_px, 3))).clip(0, 255).astype(np.uint8)


def encoded(pixels, kind, **options):
    """Write pixels as a picture file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def lay_out(root, pictures):
    """Write pictures, given as pixels or as bytes, under their relative paths."""
    for name, picture in pictures.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture if isinstance(picture, bytes) else encode_png(picture))
    return root


def cells(n, height_px=8, width_px=8):
    """Draw *n* pictures in two folders, turn by turn."""
    return {
        f"{'band' if i % 2 else 'monocyte'}/{i:04d}.png": drawn(i, height_px, width_px)
        for i in range(n)
    }


def dataset_of(folder, pictures):
    """Take pictures in and read the dataset back."""
    root = lay_out(folder / "pictures", pictures)
    out = ingest_listing(list_folder(root, None), source="folder", root=root, out=folder / "d")
    return read_dataset(out)
