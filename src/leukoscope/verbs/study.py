"""The verb ``study``."""

from pathlib import Path

from leukoscope.models.backbones import check_name
from leukoscope.models.weights import read_card
from leukoscope.records.dataset import read_dataset
from leukoscope.replication.recipe import load_study, with_training
from leukoscope.replication.study import run_study
from leukoscope.training.settings import changed, with_weights
from leukoscope.verbs.report import report


def study(
    study: str,
    *,
    data: Path,
    out: Path,
    replicates: int | None = None,
    model: str | None = None,
    weights: Path | None = None,
    size_px: int | None = None,
    updates: int | None = None,
    split: str | None = None,
    seed: int | None = None,
    device: str = "auto",
    accept_licence: str | None = None,
) -> Path:
    """Compare ways of training over replicates and report which helps.

    All arms of a replicate share the draw of training cells, the starting weights, the
    order and the number of updates. A stopped study goes on when the same command is
    given again; a finished one is only reported.

    Parameters
    ----------
    study : str
        Name of a study (rotation) or a YAML file.
    data : Path
        The dataset folder, already split.
    out : Path
        The study folder.
    replicates : int, optional
        How often each arm is trained; under 5 the answer is exploratory.
    model : str, optional
        A timm network.
    weights : Path, optional
        Starting weights of all arms: a .safetensors file with its card beside it, or a
        model or run folder.
    size_px : int, optional
        Side of the pictures the network sees.
    updates : int, optional
        Number of optimiser updates of every run.
    split : str, optional
        Name of the dataset's split.
    seed : int, optional
        The replicates' seeds follow from it.
    device : str
        auto, cpu, cuda, cuda:1 or mps.
    accept_licence : str, optional
        Licence of the weights that you accept, by name, where it restricts their use.

    Returns
    -------
    Path
        The report, one HTML file in the study folder.

    Raises
    ------
    UsageError
        If a name is unknown, or another study stands at *out*.
    DataError
        If the split is missing, a picture is gone, or the weights do not fit.
    LicenceError
        If the licence of the weights was not accepted.
    RunError
        If a run fails; what is finished stands.
    """
    known = read_dataset(data)
    card = read_card(weights) if weights is not None else None
    stated = load_study(study)
    training = changed(stated.training, model=model, size_px=size_px, updates=updates, split=split)
    check_name(training.model)
    training = with_weights(training, card, model, accept_licence)
    recipe = with_training(stated, training, replicates=replicates, seed=seed)
    return report(run_study(recipe, known, weights=card, out=Path(out), device=device))
