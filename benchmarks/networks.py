"""Images a second, parameters and peak memory of the networks of a study, each by itself.

No claim: figures for a person who chooses. Each network is built in a fresh process, does some
updates and predicts some cells on noise; its peak is the resident memory of that process, with
torch in it. Classical models on features are measured as their backbone is: by predicting.
"""

import argparse
import resource
from pathlib import Path
from typing import Any

from measuring import in_fresh_process

from leukoscope.fitting.machine import choose_device, choose_precision, describe
from leukoscope.foundation import files
from leukoscope.replication.recipe import Unit, load_study
from leukoscope.training.pace import measure_pace
from leukoscope.training.recipe import TrainingRecipe

_KIB = 1024


def figures_of(value: dict[str, Any], n_categories: int) -> dict[str, float]:
    """Measure one training, given as plain values."""
    recipe = TrainingRecipe.from_mapping(value, where="the study's arm")
    pace = measure_pace(recipe, n_categories, "cpu")
    return {
        "batch_size": recipe.batch_size,
        "size_px": recipe.preprocessing.size_px,
        "weights": pace.n_weights,
        "trained_images_per_s": recipe.batch_size / pace.update_s,
        "predicted_images_per_s": 1 / pace.predict_s,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB / 1e6,
    }


def main() -> None:
    """Measure the arms of a study that are trained by the loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="models", help="name of a study, or a YAML file")
    parser.add_argument("--categories", type=int, default=6, help="number of categories")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    asked = parser.parse_args()
    study = load_study(asked.study)
    arms = {}
    for arm in study.arms:
        training = study.training_of(Unit(arm, 0))
        if isinstance(training, TrainingRecipe):
            value = training.model_dump(mode="json")
            arms[arm] = in_fresh_process(figures_of, value, asked.categories)
    device = choose_device("cpu")
    machine = describe(device, choose_precision(device))
    files.write_json(asked.out, {"machine": machine, "study": study.name, "arms": arms})


if __name__ == "__main__":
    main()
