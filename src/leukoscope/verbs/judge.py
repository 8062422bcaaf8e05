"""The verb ``judge``."""

from pathlib import Path

import polars as pl

from leukoscope.fitting.machine import choose_device
from leukoscope.foundation import files
from leukoscope.foundation.streams import check_seed, stream
from leukoscope.intake.thumbnails import thumbnails
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.records.judged import MEMORISED, OUTSIDE, refuse_real, write_judged
from leukoscope.records.judgements import Judgement, write_judgement_tables
from leukoscope.reporting.judgement_folder import write_judgement
from leukoscope.synthesis.features import open_judge_features
from leukoscope.synthesis.judge import judge_generated

_CLOSEST, _SHOWN = 20, 64


def judge(
    dataset: Path,
    generated: Path,
    *,
    out: Path,
    features: str | None = None,
    size_px: int = 64,
    seed: int = 0,
    pictures: bool = False,
    accept_licence: str | None = None,
    device: str = "auto",
) -> Judgement:
    """Judge whether generated cells are like real ones, and whether they are copies.

    They are held against cells of validation that the generator never saw, and against those
    it was fitted to. Cells that are called copies are written into the generated dataset's
    findings, and `combine` leaves them out.

    Parameters
    ----------
    dataset : Path
        The dataset folder of the real cells, the one the generator was fitted on.
    generated : Path
        The dataset folder of the generated cells. Pictures of another tool are held against
        the dataset's split: training was fitted, validation judges.
    out : Path
        The folder to make, with a report, its tables and its figures.
    features : str, optional
        What cells are compared by: a weights file with its card, the name of fetched weights, a
        run or a model folder. By default a network at random, which sees colour and texture.
    size_px : int
        Side the pictures have for these features; a run brings its own.
    seed : int
        Subsets, pairs and permutations follow from it.
    pictures : bool
        Show real cells too, beside the generated ones nearest to them; without, the report may
        leave the house.
    accept_licence : str, optional
        The licence of the weights, accepted by name, where it restricts their use.
    device : str
        auto, cpu, cuda, cuda:1 or mps.

    Returns
    -------
    Judgement
        Its ``results`` (distances, each beside that of real cells against real ones),
        ``neighbours`` (each generated cell's nearest) and ``findings``.

    Raises
    ------
    UsageError
        If something stands at *out*, or the features cannot be had.
    DataError
        If cells or the generator's card are missing, or fewer than 16 held-out cells would
        judge.
    LicenceError
        If the weights' licence restricts their use and was not accepted.
    """
    files.refuse_existing(out)
    files.refuse_table_name(out)
    check_seed(seed)
    real, drawn = read_dataset(dataset), read_dataset(generated)
    refuse_real(real, drawn)
    network = open_judge_features(
        features,
        size_px=size_px,
        device=str(choose_device(device)),
        accept_licence=accept_licence,
    )
    judged = judge_generated(real, drawn, features=network, seed=seed)
    files.build_folder(out, lambda folder: _write(folder, judged, real, drawn, seed, pictures))
    write_judged(drawn, _kept_findings(drawn, judged.findings))
    return judged


def _write(
    folder: Path, judged: Judgement, real: Dataset, drawn: Dataset, seed: int, with_real: bool
) -> None:
    write_judgement_tables(folder, judged)
    closest = judged.neighbours.sort("ratio", "cell_id").head(_CLOSEST)
    rng = stream(seed, "judge", "shown")
    shown = _some(judged.neighbours["cell_id"], rng.random(judged.neighbours.height))
    size = judged.about["size_px"]
    cells = thumbnails(drawn, [*shown, *closest["cell_id"]], size)
    if with_real:
        held = judged.neighbours["nearest_held_out"].unique().sort()
        near = [*closest["nearest_fit"], *closest["nearest_held_out"]]
        cells |= thumbnails(real, [*_some(held, rng.random(len(held))), *near], size)
    write_judgement(
        folder,
        results=judged.results,
        neighbours=judged.neighbours,
        about={**judged.about, "shown": shown},
        pictures=cells,
    )


def _some(names: pl.Series, chances: object) -> list[str]:
    """Take some of the names at random, for they are shown and not chosen."""
    table = pl.DataFrame({"name": names, "chance": chances})
    return table.sort("chance").head(_SHOWN)["name"].sort().to_list()


def _kept_findings(drawn: Dataset, found: pl.DataFrame) -> pl.DataFrame:
    """Put findings beside those of other checks; those of an earlier judgement give way."""
    path = drawn.folder / "findings.parquet"
    if not path.is_file():
        return found
    others = tables.read_table(path, shapes.FINDINGS)
    others = others.filter(~pl.col("check").is_in([MEMORISED, OUTSIDE]))
    return pl.concat([others, found])
