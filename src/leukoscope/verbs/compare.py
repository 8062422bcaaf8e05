"""The verb ``compare``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from leukoscope.evaluation.fixed_models import KEPT, Comparison, comparison_of
from leukoscope.evaluation.labels import labelled_from
from leukoscope.foundation import files
from leukoscope.foundation.errors import UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset
from leukoscope.records.runs import predictions_of, refuse_equal_models
from leukoscope.reporting.evaluation_folder import write_pages
from leukoscope.verbs.evaluate import refuse_arm


def compare(
    baseline: Path,
    *others: Path,
    metric: str = "macro_f",
    margin: float = 0.01,
    dataset: Path | None = None,
    split: str | None = None,
    out: Path | None = None,
) -> Comparison:
    """Compare trained models on the same cells, each with the baseline.

    The answer is about these very models; how another training of them would do is
    asked by a study. Metric and margin are named before the predictions are looked at.

    Parameters
    ----------
    baseline : Path
        A finished run or a predictions table, as for evaluate.
    others : Path
        The runs or tables to compare with it, of the same cells.
    metric : str
        The planned metric: accuracy, balanced_accuracy or macro_f.
    margin : float
        The smallest difference in it that matters, for example 0.01 for one point.
    dataset : Path, optional
        The dataset folder of these cells, whose labels are joined by cell_id.
    split : str, optional
        Name of that dataset's split; its first one unless given.
    out : Path, optional
        A folder to make, with a report, its tables and its figures.

    Returns
    -------
    Comparison
        Its ``results``: each model's scores, and each difference with an interval, a
        permutation test, a test of non-inferiority, and p values adjusted by Holm.

    Raises
    ------
    UsageError
        If nothing is to be compared, two sources go by one name, the metric is unknown,
        the margin not above 0, or something stands at *out*.
    DataError
        If the predictions are not of the same cells with the same labels, two runs hold
        the same weights, or a source is a whole arm's folder.
    """
    if out is not None:
        files.refuse_existing(out)
        files.refuse_table_name(out)
    if split is not None and dataset is None:
        raise UsageError("--split names a split of --dataset, and none is given.")
    if not others:
        raise UsageError("Give at least one run or table to compare with the baseline.")
    if not 0 < margin < 1:
        raise UsageError(
            f"--margin is {margin}; it is a share between 0 and 1, as 0.01 is for one point."
        )
    sources = dict(zip(_names([baseline, *others]), (baseline, *others), strict=True))
    for source in sources.values():
        refuse_arm(source)
    refuse_equal_models(sources)
    arms = {
        name: tables.read_table(predictions_of(source), shapes.PREDICTIONS)
        for name, source in sources.items()
    }
    if dataset is not None:
        known = read_dataset(dataset)
        arms = {name: labelled_from(table, known, split)[0] for name, table in arms.items()}
    found = comparison_of(arms, next(iter(arms)), metric, margin)
    if out is not None:
        files.build_folder(out, lambda folder: _write(folder, found))
    return found


def _names(sources: Sequence[Path]) -> list[str]:
    """Call each source by its file's or folder's name, with its parent's where that is shared."""
    paths = [Path(source).resolve() for source in sources]
    often = Counter(path.stem for path in paths)
    names = [
        path.stem if often[path.stem] == 1 else f"{path.parent.name}/{path.stem}" for path in paths
    ]
    shared = [name for name, count in Counter(names).items() if count > 1]
    if shared:
        raise UsageError(
            f"Several sources go by the name {shared[0]}: the same one twice, or files of one name "
            "in folders of one name. Nothing was compared. Give each once, or rename one."
        )
    return names


def _write(folder: Path, found: Comparison) -> None:
    for name, shape in KEPT.items():
        tables.write_both(folder, name, getattr(found, name), shape)
    facts = {"baseline": found.baseline, "metric": found.metric, "margin": found.margin}
    files.write_json(folder / "comparison.json", facts)
    write_pages(folder)
