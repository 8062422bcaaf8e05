"""Small pictures of some cells of a dataset, for a page."""

from collections.abc import Iterable

from leukoscope.intake.decode import encode_png
from leukoscope.intake.store import open_store
from leukoscope.records.dataset import Dataset


def thumbnails(dataset: Dataset, cell_ids: Iterable[str], size_px: int) -> dict[str, bytes]:
    """Decode some cells at a size.

    Parameters
    ----------
    dataset : Dataset
        Which holds them all.
    cell_ids : iterable of str
        Which cells; one may be asked for more than once.
    size_px : int
        Side of the square each is brought to.

    Returns
    -------
    dict of str to bytes
        PNG of each cell.

    Raises
    ------
    DataError
        If a picture is gone.
    """
    wanted = set(cell_ids)
    cells = dataset.manifest.filter(dataset.manifest["cell_id"].is_in(list(wanted)))
    if cells.is_empty():
        return {}
    store = open_store(dataset, cells, size_px)
    pixels = store.take(store.rows(cells["content"].to_list()))
    return {
        cell_id: encode_png(picture)
        for cell_id, picture in zip(cells["cell_id"], pixels, strict=True)
    }
