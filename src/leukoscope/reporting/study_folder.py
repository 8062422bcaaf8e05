"""From a study folder's files to what its page shows: the report sees files, never objects."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes, tables
from leukoscope.records.categories import read_as
from leukoscope.records.recipes import read_yaml
from leukoscope.reporting import wording
from leukoscope.reporting.contents import UNITS, StudyPage


def page_of(folder: Path, *, pictures: bool = True) -> StudyPage:
    """Read a finished study's files.

    Parameters
    ----------
    folder : Path
        The study folder. One from before curves, missed cells or pictures were kept
        gives a page without them.
    pictures : bool
        Whether the page shows cells; if not, they are not even read.

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
    results = tables.read_table(folder / "results.parquet", shapes.RESULTS)
    composition = tables.read_table(folder / "composition.parquet", shapes.COMPOSITION)
    return StudyPage(
        name=recipe["name"],
        question=recipe["question"],
        metric=recipe["metric"],
        view="strict",
        margin=recipe["margin"],
        baseline=recipe["baseline"],
        arms=_arms(recipe),
        n_replicates=recipe["replicates"],
        unit=next(unit for unit in results["unit"] if unit in UNITS),
        results=results,
        confusion=tables.read_table(folder / "confusion.parquet", shapes.CONFUSION),
        composition=composition,
        provenance=_provenance(folder, recipe, data),
        curves=_if_there(folder / "curves.parquet", shapes.CURVES),
        missed=_if_there(folder / "missed.parquet", shapes.MISSED),
        pictures=_pictures(folder) if pictures else None,
        notes=[*_notes(data, composition), *_on_budget(recipe)],
        n_folds=data.get("n_folds"),
        generators=_if_there(folder / "generators.parquet", shapes.GENERATORS),
    )


def _if_there(path: Path, shape: shapes.Shape) -> pl.DataFrame | None:
    return tables.read_table(path, shape) if path.is_file() else None


def _pictures(folder: Path) -> pl.DataFrame:
    """Read the pictures; a study that keeps none has an empty table, which says so."""
    found = _if_there(folder / "pictures.parquet", shapes.PICTURES)
    return pl.DataFrame(schema=shapes.PICTURES.columns) if found is None else found


def _arms(recipe: dict[str, Any]) -> dict[str, str]:
    names = sorted(recipe["arms"], key=lambda arm: arm != recipe["baseline"])
    return {arm: recipe["arms"][arm]["description"] for arm in names}


def _provenance(
    folder: Path, recipe: dict[str, Any], data: dict[str, Any]
) -> list[tuple[str, str]]:
    training = recipe["training"]
    own = {arm: text for arm, stated in recipe["arms"].items() if (text := _own(stated))}
    unless = "; an arm may state otherwise, below" if own else ""
    # Over folds the runs stand a folder deeper; the first will do.
    first = folder / "units" / recipe["baseline"] / "00"
    inner = first if (first / "dataset.json").is_file() else first / "00"
    run = files.read_json(inner / "dataset.json")
    machines = [files.read_json(path) for path in _environments(folder)]
    return [
        ("Dataset", f"{data['name']} (source {data['source']})"),
        ("Licence of the pictures", data["licence"] or "not stated"),
        ("Cite", data["citation"] or "not stated"),
        ("Digest of the cells", data["manifest_digest"]),
        *_tested(data),
        ("Split", data.get("split") or "not stated"),
        ("Digest of the split", data.get("split_digest") or "not stated"),
        ("Model", f"{training['model']}, {training['preprocessing']['size_px']} px{unless}"),
        ("Starting weights", f"{_weights(training['weights'])}{unless}"),
        ("Training", f"{_training(recipe)}{unless}"),
        *((f"Arm {arm}", text) for arm, text in own.items()),
        (
            "Training cells a run",
            f"{run['n_cells']['train']} in the baseline, "
            + ("of another fold" if data.get("n_folds") else "drawn anew"),
        ),
        *_generator(recipe, data),
        ("Kept weights", f"{_kept(training)}; the test was read once a run"),
        ("Seed", str(recipe["seed"])),
        *_distinct("Machine", [_machine(each) for each in machines]),
        *_distinct("Software", [_packages(each) for each in machines]),
        ("Recipe", "study.yaml in the study folder holds every setting"),
        ("Digest of the recipe", data.get("recipe_id") or "not stated"),
    ]


def _generator(recipe: dict[str, Any], data: dict[str, Any]) -> list[tuple[str, str]]:
    """Tell of the generators that a study fits, where it has any."""
    stated = recipe.get("generator")
    if not stated:
        return []
    text = (
        f"{stated['name']}, {stated['size_px']} px, {stated['objective']}, "
        f"{stated['updates']} updates of {stated['batch_size']} cells, one fit a replicate"
        + (" and fold" if data.get("n_folds") else "")
        + ", to the training cells of its own draw"
    )
    features = data.get("features", {}).get("name", "not stated")
    return [("Generator", text), ("Features that stop and judge it", features)]


def _tested(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Tell of the collection the arms were tested on, where it is one of its own."""
    test = data.get("test")
    if test is None:
        return []
    return [
        ("Test collection", f"{test['name']} (source {test['source']})"),
        ("Licence of its pictures", test["licence"] or "not stated"),
        ("Cite for it", test["citation"] or "not stated"),
        ("Digest of its cells", test["manifest_digest"]),
    ]


def _notes(data: dict[str, Any], composition: pl.DataFrame) -> list[str]:
    if "test" not in data:
        return []
    apart = (
        f"The test cells are a collection of their own, {data['test']['name']}. It shares no "
        "picture, no family and no named case with training and validation; that none of its "
        "people is among the training cells under another name is its owner's word."
    )
    notes = [apart]
    finer = _finer(composition)
    if finer:
        notes.append(f"True labels were read in the model's terms: {finer}.")
    return notes


def _finer(composition: pl.DataFrame) -> str:
    """Say which categories of the test were read as coarser ones, for the model knows no finer."""
    by_split = {
        split: composition.filter(split=split)["category"].unique().sort().to_list()
        for split in ("train", "test")
    }
    read = zip(by_split["test"], read_as(by_split["test"], by_split["train"]), strict=True)
    return ", ".join(f"{fine} as {coarse}" for fine, coarse in read if fine != coarse)


def _environments(folder: Path) -> list[Path]:
    found = [*folder.glob("units*/*/*/environment.json")]
    return sorted([*found, *folder.glob("units*/*/*/*/environment.json")])


def _distinct(label: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Give a row for each distinct text, with how many runs it holds for if there are several."""
    counts = Counter(texts)
    if len(counts) == 1:
        return [(label, texts[0])]
    return [(f"{label} of {n} of {len(texts)} runs", text) for text, n in sorted(counts.items())]


def _machine(environment: dict[str, Any]) -> str:
    return ", ".join(str(environment[name]) for name in ("processor", "device", "precision"))


def _packages(environment: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in environment["packages"].items())


def _weights(weights: dict[str, Any] | None) -> str:
    if weights is None:
        return "random"
    return f"{weights['name']} (licence {weights['licence']}), sha256 {weights['sha256'][:16]}…"


def _training(recipe: dict[str, Any]) -> str:
    training = recipe["training"]
    classical = any(arm.get("training", {}).get("classifier") for arm in recipe["arms"].values())
    updates = f"{training['updates']} updates in every arm"
    updates += " but the classical ones, which do none" if classical else ""
    if recipe.get("budget") == "equal-time":
        updates = "equal time, each arm as many updates as it states"
    return (
        f"{updates}, of {training['batch_size']} cells, "
        f"{training['optimiser']}, learning rate {training['learning_rate']:g}, "
        f"{training['schedule']} schedule, validation every {training['validate_every']} updates"
    )


def _kept(training: dict[str, Any]) -> str:
    chosen = training.get("choose_by", "macro_f")
    name = "loss" if chosen == "loss" else wording.metric_name(chosen)
    return f"those with the best validation {name}"


def _own(arm: dict[str, Any]) -> str:
    """Say what an arm's training has of its own; empty where it has nothing."""
    stated = _cells_of(arm)
    stated += [f"{key}: {_plain(value)}" for key, value in arm.get("training", {}).items()]
    if arm.get("origin"):
        stated.append(f"starting weights: {_weights(arm['origin'])}")
    return "; ".join(stated)


def _cells_of(arm: dict[str, Any]) -> list[str]:
    """Say which cells beside or instead of the drawn ones an arm is trained on."""
    made = arm.get("generated", 0)
    if not made:
        return []
    alone = "" if arm.get("originals", True) else ", and no cell as it was taken"
    return [f"{made:g} generated cells for each drawn one{alone}"]


def _plain(value: Any) -> str:
    """Write a value of a recipe on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items()) or "none"
    if isinstance(value, list):
        return " / ".join(map(_plain, value)) or "none"
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return str(value)


def _on_budget(recipe: dict[str, Any]) -> list[str]:
    """Say of arms that get equal time what that means."""
    if recipe.get("budget") != "equal-time":
        return []
    return [
        (
            "The arms were meant to take equal time, not equal updates: each did as many updates "
            "as it states. On another machine these would take other times, and may rank otherwise."
        )
    ]
