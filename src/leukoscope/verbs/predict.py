"""The verb ``predict``."""

from pathlib import Path

from leukoscope.fitting.machine import choose_device
from leukoscope.foundation import files, progress
from leukoscope.models.folders import load_model
from leukoscope.models.predictions import prediction_table
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset
from leukoscope.records.lineage import is_generated
from leukoscope.records.runs import model_folder_of


def predict(model: Path, dataset: Path, *, out: Path, device: str = "auto") -> Path:
    """Classify the cells of a dataset with a trained model.

    Parameters
    ----------
    model : Path
        A finished run or a model folder; or the folder of a study's arm, whose replicates then
        answer together.
    dataset : Path
        The dataset folder; all its cells are classified.
    out : Path
        The predictions table to write, ending in .parquet or .csv.
    device : str
        auto, cpu, cuda, cuda:1 or mps.

    Returns
    -------
    Path
        The predictions table.

    Raises
    ------
    UsageError
        If something stands at *out*.
    DataError
        If the model or a replicate is unfinished, its files are not those that were written
        together, or a picture is gone.
    """
    folder = model_folder_of(model)
    known = read_dataset(dataset)
    out = Path(out)
    tables.check_ending(out)
    files.refuse_unwritable(out)
    if n_drawn := known.manifest.filter(is_generated()).height:
        progress.note(
            f"{n_drawn} of these cells were drawn by a generator: they are called and never scored."
        )
    network, card = load_model(folder)
    table = prediction_table(
        known,
        known.manifest,
        network,
        card,
        run_id=Path(model).resolve().name,
        device=choose_device(device),
    )
    tables.write_table(out, table, shapes.PREDICTIONS)
    return out
