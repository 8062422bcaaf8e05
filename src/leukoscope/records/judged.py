"""What a judgement leaves in the folder of a generated dataset, and whether it is of these cells.

``findings.parquet`` (and ``.csv``) names what is odd about single pictures, ``judged.json`` the
digest of the manifest that was judged, so that findings of another set are not taken for this one.
"""

import polars as pl

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, manifest_digest
from leukoscope.records.lineage import is_copy

MEMORISED = "memorised"
"""The check that a generated picture is too near to one its generator learnt from."""
OUTSIDE = "outside real cells"
"""The check that it lies where no real cell does."""
_NAME = "judged.json"


def write_judged(generated: Dataset, findings: pl.DataFrame) -> None:
    """Keep what a judgement found beside the pictures, and last of which manifest it speaks.

    Parameters
    ----------
    generated : Dataset
        What was judged.
    findings : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.FINDINGS`; without rows where nothing
        was found.
    """
    tables.write_both(generated.folder, "findings", findings, shapes.FINDINGS)
    digest = {"manifest_digest": manifest_digest(generated.manifest)}
    files.write_json(generated.folder / _NAME, digest)


def read_judged(generated: Dataset) -> pl.DataFrame:
    """Read what a judgement found about a generated dataset.

    Raises
    ------
    DataError
        If it was not judged, or its cells are not those that were.
    """
    folder = generated.folder
    advice = f"Judge it first: `leukoscope judge DATASET {folder} --out JUDGEMENT`."
    if not (folder / "findings.parquet").is_file() or not (folder / _NAME).is_file():
        raise DataError(
            f"{folder} was not judged: it holds no findings.parquet with {_NAME}. Nothing was "
            f"written. {advice}"
        )
    told = files.read_json(folder / _NAME)
    judged = told.get("manifest_digest") if isinstance(told, dict) else None
    if judged != manifest_digest(generated.manifest):
        raise DataError(
            f"The findings in {folder} are of another manifest: its cells were changed since they "
            f"were judged. Nothing was written. {advice}"
        )
    return tables.read_table(folder / "findings.parquet", shapes.FINDINGS)


def refuse_real(dataset: Dataset, generated: Dataset) -> None:
    """Refuse real cells in the place of generated ones. Raises DataError."""
    own = dataset.manifest.filter(~is_copy())
    # By name too: a generator may have copied a picture to the byte, and that is to be found out.
    shared = generated.manifest.join(own, on=["cell_id", "content"], how="semi")
    if shared.height:
        raise DataError(
            f"{shared.height} pictures of {generated.folder} are cells of {dataset.folder}, for "
            f"example {shared['cell_id'][0]}; they cannot be both drawn and real. Nothing was "
            "made or written. Name the dataset first, then the generated cells."
        )
