#!/usr/bin/env python3
"""Prints tables 1 and 2 of Gaur et al. 2021 beside finished studies of the same arms.

Beside each printed figure stands how many images it is of how many, and beside ours its interval
and how many cells it rests on; below, what in the print does not hold. Our numbers are of other
cells than theirs: what can be compared is the order of the arms, not their height. Run it as
`.venv/bin/python scripts/gaur_tables.py STUDY [STUDY ...] [--shared ../shared]
[--positive CATEGORY] [--on-generated]`, with studies of gaur-2021, gaur-2021-logistic,
gaur-2021-svm or gaur-2021-resnet18. With two categories --positive says which one precision, recall
and specificity are told of. --on-generated lets the runs of each replicate call what its own
generator drew (table 1), which takes some minutes; the environment's LEUKOSCOPE_SHARED stands in
for --shared. Figure 4 against updates is in the report of each study whose arms do updates.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from leukoscope.foundation import files
from leukoscope.records import shapes, tables
from leukoscope.records.recipes import read_yaml

ROOT = Path(__file__).resolve().parents[1]
CLASSIFIERS = {
    "gaur-2021": "neural network",
    "gaur-2021-resnet18": "neural network",
    "gaur-2021-logistic": "logistic regression",
    "gaur-2021-svm": "svm",
}
ARMS = {
    "real": "real",
    "rotations": "real+aug",
    "generated": "real+gen",
    "both": "real+aug+gen",
}
"""Our arm → the paper's."""
QUANTITIES = ("accuracy", "precision", "recall", "f1", "specificity")
SIZES = {"Table 1": 203, "Table 2": 52}
"""Images behind the printed rates, as these imply them (G-1, G-5)."""
ERRATA = {
    "G-1": "table 2 is of 52 images, 28 leukemia and 24 healthy; one image is 1.9 points",
    "G-2": "logistic regression, real+aug: the printed recall 87.14 % is no share of 28; 82.14 is",
    "G-3": "logistic regression, real+aug+gen: specificity 79.71 % is 79.17 with figures turned",
    "G-4": "svm, real+aug+gen: precision 74.41 % should be 79.41, which the F1 fits",
    "G-5": "table 1 is of 203 images, 102 and 101; neither 400, 260 nor 52 fits any row",
    "G-6": "table 1 says trained on real images only; three of its rows have rotations too",
    "G-7": "real+aug to all: 0, 1 and 2 of 52 images; no exact test of these can be below p .5",
    "G-8": "generated alone on top of real: the svm loses 4 images, and 6 against rotations",
    "G-9": "equal scores on generated images show easy images, not faithful ones",
    "G-10": "the 400 generated images were picked by hand; how many were rejected is not told",
    "G-11": "the generator saw all 260 images, the 52 of the test among them, as far as told",
    "G-12": "400 generated images are more than the 260 they were not to overwhelm",
    "G-13": "penalty and rates were tuned with a training and a test part only, in one split",
    "G-14": "the svm's 1,875 features are 25 x 25 pixels in colour, a size named nowhere else",
    "G-15": "both losses are printed with the opposite sign of the usual; consistent as printed",
    "G-16": "specificity is the lowest of five in 9 of 12 rows, not in all",
    "G-17": "figure 4 is drawn over epochs, and arms differ in images and so in updates an epoch",
    "G-18": "that Adam is like RMSprop, and WGAN-GP the best of three, is judged by eye",
}


class Told(NamedTuple):
    """Hold a score: a share, its 95 % interval where there is one, and what it rests on."""

    value: float
    low: float | None = None
    high: float | None = None
    n_cells: int | None = None


Scores = dict[str, dict[str, Told]]
"""Arm → quantity → score."""


def printed(metrics: pl.DataFrame, place: str, classifier: str) -> Scores:
    """Read a printed table: the paper's arm → quantity → rate, of one classifier."""
    own = metrics.filter(
        (pl.col("paper") == "gaur-2021")
        & (pl.col("place") == place)
        & pl.col("arm").str.starts_with(f"{classifier}, ")
    )
    found: Scores = {}
    for row in own.iter_rows(named=True):
        arm = row["arm"].removeprefix(f"{classifier}, ")
        found.setdefault(arm, {})[row["quantity"]] = Told(float(row["value"]), n_cells=SIZES[place])
    return found


def measured(results: pl.DataFrame, study: str, positive: str | None) -> Scores:
    """Read a study's scores: its arm → quantity, those of the positive category where asked."""
    means = results.filter(
        (pl.col("study") == study)
        & (pl.col("view") == "strict")
        & pl.all_horizontal(pl.col("replicate", "baseline", "case").is_null())
    ).drop_nulls("value")
    found: Scores = {}
    for row in means.iter_rows(named=True):
        for name in _names(row["metric"], row["category"], positive):
            told = Told(row["value"], row["low"], row["high"], row["n_cells"])
            found.setdefault(row["arm"], {})[name] = told
    return found


def _names(metric: str, category: str | None, positive: str | None) -> tuple[str, ...]:
    if category is None:
        return (metric,)
    if positive is None:
        return ()
    if category == positive:
        return {"f": ("f1",), "recall": ("recall",), "precision": ("precision",)}.get(metric, ())
    return ("specificity",) if metric == "recall" else ()


def differences(results: pl.DataFrame, study: str, metric: str) -> dict[str, tuple[Told, float]]:
    """Read each arm's paired difference from the baseline with its adjusted p value."""
    rows = results.filter(
        (pl.col("study") == study)
        & (pl.col("view") == "strict")
        & (pl.col("metric") == metric)
        & pl.col("category").is_null()
        & pl.col("p_adjusted").is_not_null()
    )
    return {
        row["arm"]: (Told(row["value"], row["low"], row["high"]), row["p_adjusted"])
        for row in rows.iter_rows(named=True)
    }


def side_by_side(theirs: Scores, ours: Scores) -> Iterator[str]:
    """Write the rows of a table: a quantity of an arm, the print beside ours."""
    yield "| arm | quantity | printed | ours |"
    yield "|---|---|---|---|"
    for arm, name in ARMS.items():
        asked = [*QUANTITIES, *(("balanced_accuracy", "macro_f") if name in theirs else ())]
        for quantity in asked:
            left = theirs.get(name, {}).get(quantity)
            right = ours.get(arm, {}).get(quantity)
            if left or right:
                own = (
                    right
                    if right is None or quantity == "accuracy"
                    else right._replace(n_cells=None)
                )
                yield f"| {name} | {quantity} | {_print(left, quantity)} | {_ours(own)} |"


def _print(told: Told | None, quantity: str) -> str:
    if told is None:
        return "-"
    share = f"{100 * told.value:.2f} %"
    if quantity != "accuracy" or told.n_cells is None:
        return share
    return f"{share} ({round(told.value * told.n_cells)} of {told.n_cells})"


def _ours(told: Told | None) -> str:
    if told is None:
        return "-"
    text = f"{100 * told.value:.1f} %"
    if told.low is not None and told.high is not None:
        text += f" ({100 * told.low:.1f} to {100 * told.high:.1f})"
    return text if told.n_cells is None else f"{text}, n = {told.n_cells}"


def _span(told: Told) -> str:
    if told.low is None or told.high is None:
        return "no interval"
    return f"{100 * told.low:+.1f} to {100 * told.high:+.1f}"


def on_generated(study: Path) -> dict[str, tuple[int, int]]:
    """Let each run of the arms of table 1 call what its own generator drew; count right of all."""
    from leukoscope.fitting.machine import choose_device
    from leukoscope.models.folders import load_model
    from leukoscope.models.predictions import prediction_table
    from leukoscope.records.dataset import read_dataset
    from leukoscope.records.lineage import is_generated

    counts = {arm: [0, 0] for arm in ("real", "rotations")}
    device = choose_device("cpu")
    for path in sorted((study / "generators").rglob("used.json")):
        combined = read_dataset(path.parent / "combined")
        cells = combined.manifest.filter(is_generated())
        for arm, count in counts.items():
            unit = study / "units" / arm / path.parent.relative_to(study / "generators")
            network, card = load_model(unit)
            called = prediction_table(combined, cells, network, card, run_id=arm, device=device)
            count[0] += called.filter(pl.col("predicted") == pl.col("category")).height
            count[1] += called.height
    return {arm: (right, n) for arm, (right, n) in counts.items()}


def first_table(
    theirs: Scores, ours: Scores, called: Mapping[str, tuple[int, int]]
) -> Iterator[str]:
    """Write table 1, and its reverse: what is learnt from generated cells, shown real ones."""
    yield "| trained on | tested on | printed accuracy | ours |"
    yield "|---|---|---|---|"
    for arm in ("real", "rotations"):
        right, n = called.get(arm, (0, 0))
        own = f"{100 * right / n:.1f} % ({right} of {n})" if n else "not asked for"
        left = _print(theirs.get(ARMS[arm], {}).get("accuracy"), "accuracy")
        yield f"| {ARMS[arm]} | generated | {left} | {own} |"
    alone = ours.get("generated-alone", {}).get("accuracy")
    yield f"| generated alone | real | - | {_ours(alone)} |"


def _network(recipe: Mapping[str, Any]) -> str:
    """Say what answers in a study's baseline, and at which size."""
    own = recipe["arms"][recipe["baseline"]]["training"]
    training = recipe["training"] | own
    size_px = training["preprocessing"]["size_px"]
    kind = own.get("classifier", {}).get("kind")
    return f"{kind or training['model']}, {size_px} px"


def pages(study: Path, metrics: pl.DataFrame, positive: str | None, *, call: bool) -> Iterator[str]:
    """Write all that is told of one study, line by line."""
    recipe = read_yaml(study / "study.yaml")
    data = files.read_json(study / "dataset.json")
    results = tables.read_table(study / "results.parquet", shapes.RESULTS)
    name, classifier = recipe["name"], CLASSIFIERS[recipe["name"]]
    ours = measured(results, name, positive)
    folds = f" of {data['n_folds']} folds" if "n_folds" in data else ""
    yield f"## {name}: {classifier} of the print, beside {_network(recipe)}"
    about = f", precision, recall and specificity of {positive}" if positive else ""
    yield f"\nOurs: {data['name']}, {recipe['replicates']} replicates{folds}{about}."
    yield "\nTable 2, tested on real images; ours with 95 % intervals over replicates:\n"
    yield from side_by_side(printed(metrics, "Table 2", classifier), ours)
    yield f"\nDifferences of ours from {recipe['baseline']}, {recipe['metric']}, in points:\n"
    found = differences(results, name, recipe["metric"])
    if not found:
        yield "- none was tested: that takes two replicates at least"
    for arm, (told, p) in found.items():
        yield f"- {arm}: {100 * told.value:+.1f} ({_span(told)}), Holm p {p:.3g}"
    yield "\nTable 1, tested on generated images, and the reverse:\n"
    called = on_generated(study) if call else {}
    yield from first_table(printed(metrics, "Table 1", classifier), ours, called)
    yield ""


def main() -> int:
    """Read what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("studies", type=Path, nargs="+")
    shared = os.environ.get("LEUKOSCOPE_SHARED", str(ROOT.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=Path(shared))
    parser.add_argument("--positive")
    parser.add_argument("--on-generated", action="store_true")
    asked = parser.parse_args()
    metrics = pl.read_csv(asked.shared / "papers" / "metrics.csv", infer_schema_length=None)
    for study in asked.studies:
        for line in pages(study, metrics, asked.positive, call=asked.on_generated):
            print(line)
    print("What in the print does not hold, or cannot be checked:\n")
    for erratum, text in ERRATA.items():
        print(f"- {erratum}: {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
