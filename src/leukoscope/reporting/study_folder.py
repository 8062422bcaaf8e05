"""From a study folder's files to what its page shows: the report sees files, never objects."""

from pathlib import Path
from typing import Any

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.records import tables
from leukoscope.records.recipes import read_yaml
from leukoscope.reporting.contents import StudyPage


def page_of(folder: Path) -> StudyPage:
    """Read a finished study's files.

    Parameters
    ----------
    folder : Path
        The study folder.

    Returns
    -------
    StudyPage
        What the page shows.

    Raises
    ------
    DataError
        If the folder is no study, or the study is not finished.
    """
    if not (folder / "study.yaml").is_file():
        raise DataError(f"{folder} is not a study folder: it holds no study.yaml.")
    if not (folder / "results.parquet").is_file():
        raise DataError(
            f"The study {folder} is not finished: it holds no results yet. "
            "Give its `leukoscope study` command again; it goes on where it stopped."
        )
    recipe = read_yaml(folder / "study.yaml")
    data = files.read_json(folder / "dataset.json")
    results = tables.read_table(folder / "results.parquet", tables.RESULTS)
    return StudyPage(
        name=recipe["name"],
        question=recipe["question"],
        metric=recipe["metric"],
        view="strict",
        margin=recipe["margin"],
        baseline=recipe["baseline"],
        arms=_arms(recipe),
        n_replicates=recipe["replicates"],
        unit=results["unit"][0],
        results=results,
        confusion=tables.read_table(folder / "confusion.parquet", tables.CONFUSION),
        composition=tables.read_table(folder / "composition.parquet", tables.COMPOSITION),
        provenance=_provenance(folder, recipe, data),
    )


def _arms(recipe: dict[str, Any]) -> dict[str, str]:
    names = sorted(recipe["arms"], key=lambda arm: arm != recipe["baseline"])
    return {arm: recipe["arms"][arm]["description"] for arm in names}


def _provenance(
    folder: Path, recipe: dict[str, Any], data: dict[str, Any]
) -> list[tuple[str, str]]:
    training = recipe["training"]
    unit = folder / "units" / recipe["baseline"] / "00"
    machine = files.read_json(unit / "environment.json")
    run = files.read_json(unit / "dataset.json")
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return [
        ("Dataset", f"{data['name']} (source {data['source']})"),
        ("Licence of the pictures", data["licence"] or "not stated"),
        ("Cite", data["citation"] or "not stated"),
        ("Digest of the cells", data["manifest_digest"]),
        ("Model", f"{training['model']}, {training['preprocessing']['size_px']} px"),
        ("Starting weights", _weights(training)),
        ("Training", _training(training)),
        ("Training cells a run", f"{run['n_cells']['train']}, drawn anew in each replicate"),
        ("Kept weights", "those with the best validation macro-F; the test was read once a run"),
        ("Seed", str(recipe["seed"])),
        ("Machine", f"{machine['processor']}, {machine['device']}, {machine['precision']}"),
        ("Software", packages),
        ("Command", f"leukoscope study {recipe['name']} --replicates {recipe['replicates']}"),
    ]


def _weights(training: dict[str, Any]) -> str:
    weights = training["weights"]
    if weights is None:
        return "random"
    return f"{weights['name']} (licence {weights['licence']}), sha256 {weights['sha256'][:16]}…"


def _training(training: dict[str, Any]) -> str:
    return (
        f"{training['updates']} updates of {training['batch_size']} cells in every arm, "
        f"{training['optimiser']}, learning rate {training['learning_rate']:g}, "
        f"{training['schedule']} schedule, validation every {training['validate_every']} updates"
    )
