"""Leukoscope: classify white blood cells from microscope images, and say honestly what helps.

The names below are the whole public interface; each is imported when it is first asked for.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "AugmentationRecipe": "leukoscope.augmentation.recipe",
    "Dataset": "leukoscope.records.dataset",
    "GeneratorRecipe": "leukoscope.synthesis.recipe",
    "LeukocyteClassifier": "leukoscope.verbs.classifier",
    "LeukoscopeError": "leukoscope.foundation.errors",
    "ProbeRecipe": "leukoscope.training.probe",
    "StudyRecipe": "leukoscope.replication.recipe",
    "TrainingRecipe": "leukoscope.training.recipe",
    "augment": "leukoscope.verbs.augment",
    "catalogue": "leukoscope.verbs.catalogue",
    "combine": "leukoscope.verbs.combine",
    "compare": "leukoscope.verbs.compare",
    "demo": "leukoscope.verbs.demo",
    "evaluate": "leukoscope.verbs.evaluate",
    "export": "leukoscope.verbs.export",
    "fetch": "leukoscope.verbs.fetch",
    "ingest": "leukoscope.verbs.ingest",
    "isolate": "leukoscope.verbs.isolate",
    "judge": "leukoscope.verbs.judge",
    "measure": "leukoscope.verbs.measure",
    "predict": "leukoscope.verbs.predict",
    "preview": "leukoscope.verbs.preview",
    "read_dataset": "leukoscope.records.dataset",
    "replay": "leukoscope.verbs.replay",
    "report": "leukoscope.verbs.report",
    "sample": "leukoscope.verbs.sample",
    "score_sheet": "leukoscope.verbs.score_sheet",
    "sheet": "leukoscope.verbs.sheet",
    "split": "leukoscope.verbs.split",
    "study": "leukoscope.verbs.study",
    "synthesise": "leukoscope.verbs.synthesise",
    "train": "leukoscope.verbs.train",
}

__all__ = sorted(_PLACES)  # noqa: PLE0605  the table above is the one list


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'leukoscope' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
