"""The shape of every table kept on disk: its columns, its key and its order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from leukoscope.morphology.definitions import COLUMNS

SPLIT_NAMES = ("train", "validation", "calibration", "test")
TEXT, WHOLE, REAL = pl.String(), pl.Int32(), pl.Float64()
BOX = pl.Array(pl.Int32, 4)
BYTES = pl.Binary()
FLAG = pl.Boolean()


@dataclass(frozen=True)
class Shape:
    """State the columns of one kind of table, its key and its order."""

    name: str
    required: Mapping[str, pl.DataType]
    """Columns that must be there and hold no null."""
    optional: Mapping[str, pl.DataType]
    """Columns that may be null or absent; absent ones are added as null."""
    key: Sequence[str]
    """Columns that together name a row once."""
    open_prefix: str | None = None
    """Further real-valued columns may follow if they begin so."""
    ordered: bool = True
    """Rows are sorted by the key; otherwise their order is meant and kept."""
    allowed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns that hold one of a few words."""

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """List all named columns in their order."""
        return {**self.required, **self.optional}


MANIFEST = Shape(
    "manifest",
    required={"cell_id": TEXT, "path": TEXT, "content": TEXT, "category": TEXT}
    | {"original_label": TEXT, "family": TEXT, "source": TEXT}
    | {"width_px": WHOLE, "height_px": WHOLE},
    optional={"case": TEXT, "box_px": BOX, "field": TEXT, "mask_path": TEXT, "um_per_px": REAL}
    | {"stain": TEXT, "exif_orientation": WHOLE}
    | {"origin": TEXT, "recipe_id": TEXT, "draw": TEXT, "copy": WHOLE},
    key=("cell_id",),
)
SPLITS = Shape(
    "splits",
    required={"repeat": WHOLE, "fold": WHOLE, "cell_id": TEXT, "split": TEXT},
    optional={},
    key=("repeat", "fold", "cell_id"),
    allowed={"split": SPLIT_NAMES},
)
FITTED = Shape(
    "fitted cells",
    required={"cell_id": TEXT, "part": TEXT, "content": TEXT, "category": TEXT, "family": TEXT},
    optional={"case": TEXT},
    key=("cell_id",),
    allowed={"part": ("fit", "stop", "judge")},
)
"""The cells a generator was fitted to, stopped by, and is judged against."""
FINDINGS = Shape(
    "findings",
    required={"check": TEXT, "cell_id": TEXT, "severity": TEXT, "detail": TEXT},
    optional={"other_cell_id": TEXT, "score": REAL},
    key=("check", "cell_id", "other_cell_id"),
    allowed={"severity": ("info", "warning", "error")},
)
MEASURES = Shape(
    "measures",
    required={"cell_id": TEXT, "category": TEXT, "mask": TEXT},
    optional={"case": TEXT, "family": TEXT, "origin": TEXT, "copy": WHOLE}
    | {"flags": TEXT, "confidence": REAL}
    | dict.fromkeys(COLUMNS, REAL),
    key=("cell_id",),
    allowed={"mask": ("given", "found", "none")},
)
"""Measures of each cell, on a mask that was ``given`` with the dataset or ``found`` in the picture;
with ``none`` they are null, and ``flags`` says why. ``origin`` and ``copy`` are the manifest's: a
copy is no further cell where cells are counted."""
PREDICTIONS = Shape(
    "predictions",
    required={"cell_id": TEXT, "predicted": TEXT},
    optional={"run_id": TEXT, "case": TEXT, "family": TEXT, "category": TEXT, "role": TEXT},
    key=("run_id", "cell_id"),
    allowed={"role": ("new", "seen")},
    open_prefix="p_",
)
RESULTS = Shape(
    "results",
    required={"metric": TEXT, "view": TEXT, "method": TEXT},
    optional={"study": TEXT, "arm": TEXT, "baseline": TEXT, "replicate": WHOLE, "case": TEXT}
    | {"prevalence": TEXT, "category": TEXT, "value": REAL, "low": REAL, "high": REAL}
    | {"p_value": REAL, "p_adjusted": REAL}
    | {"n_cells": WHOLE, "n_families": WHOLE, "n_cases": WHOLE, "unit": TEXT},
    key=(
        *("study", "arm", "baseline", "replicate", "case"),
        *("metric", "view", "prevalence", "category", "method"),
    ),
    ordered=False,
)
EQUAL_EPOCHS = "-equal-epochs"
"""What the ``study`` of its second, descriptive analysis ends in, after the study's own name."""
CONFUSION = Shape(
    "confusion",
    required={"view": TEXT, "category": TEXT, "predicted": TEXT, "n_cells": REAL},
    optional={"arm": TEXT, "share": REAL},
    key=("arm", "view", "category", "predicted"),
    ordered=False,
)
"""Calls per true category: ``n_cells`` a mean over replicates in a study, ``share`` of its row."""
CURVES = Shape(
    "curves",
    required={"study": TEXT, "arm": TEXT, "replicate": WHOLE, "update": WHOLE, "rounds": REAL}
    | {"train_loss": REAL, "validation_loss": REAL, "validation_accuracy": REAL}
    | {"validation_balanced_accuracy": REAL, "validation_macro_f": REAL},
    optional={},
    key=("study", "arm", "replicate", "update"),
)
"""The histories of a study's runs: a row each time validation was scored."""
MISSED = Shape(
    "missed",
    required={"arm": TEXT, "cell_id": TEXT, "category": TEXT, "predicted": TEXT}
    | {"n_called": WHOLE, "n_replicates": WHOLE},
    optional={},
    key=("arm", "cell_id"),
)
"""Test cells that every replicate of an arm calls wrong: ``predicted`` the most frequent call,
``n_called`` how many replicates give it."""
PICTURES = Shape(
    "pictures",
    required={"kind": TEXT, "arm": TEXT, "cell_id": TEXT, "category": TEXT, "png": BYTES},
    optional={"copy": WHOLE, "draw": TEXT, "predicted": TEXT},
    key=("kind", "arm", "cell_id", "copy"),
    ordered=False,
    allowed={"kind": ("seen", "missed", "generated")},
)
"""Small pictures for the page: ``seen`` a training cell as an arm saw it (its *copy*-th time or
copy), ``missed`` a test cell that every replicate of an arm calls wrong, ``generated`` a cell that
the study's generator drew, as an arm with generated cells was given it."""
GENERATORS = Shape(
    "generators",
    required={"replicate": WHOLE, "n_fit": WHOLE, "n_sampled": WHOLE, "n_flagged": WHOLE},
    optional={"fold": WHOLE, "kid": REAL, "kid_real": REAL, "precision": REAL}
    | {"precision_real": REAL, "recall": REAL, "recall_real": REAL, "memorisation_p": REAL},
    key=("replicate", "fold"),
)
"""How a study's generators were judged: ``n_flagged`` of the sampled cells are memorised and were
not used; ``kid``, ``precision`` and ``recall`` of generated cells against those that judge, beside
them the same of real cells (``_real``), and the p value of the test of memorisation."""
PREVIEW = Shape(
    "preview",
    required={"section": WHOLE, "kind": TEXT, "row": WHOLE, "cell": WHOLE, "category": TEXT}
    | {"width_px": WHOLE, "height_px": WHOLE},
    optional={"strength": TEXT, "chance": REAL, "draw": TEXT, "png": BYTES, "lacks": TEXT},
    key=("section", "row", "cell"),
    allowed={"strength": ("low", "middle", "high"), "lacks": ("mask",)},
)
"""What a recipe does to a few cells: section 0 untouched, then a section a step (its ``kind``),
last the whole chain. ``chance`` is the share of pictures that a step is done to; ``width_px`` and
``height_px`` are the cell's own picture's. ``png`` may be reduced, and is null where the step needs
what the cell ``lacks``."""
POINTS = Shape(
    "points",
    required={"figure": TEXT, "view": TEXT, "place": WHOLE, "x": REAL, "y": REAL},
    optional={"arm": TEXT, "category": TEXT, "threshold": REAL}
    | {"low": REAL, "high": REAL, "n_cells": WHOLE},
    key=("arm", "figure", "view", "category", "place"),
    ordered=False,
    allowed={"figure": ("roc", "precision_recall", "reliability", "threshold", "coverage_risk")},
)
"""What the curves of an evaluation are drawn from, in the order of ``place`` along each."""
DIFFERENTIAL = Shape(
    "differential",
    required={"case": TEXT, "view": TEXT, "category": TEXT, "n_cells": WHOLE, "n_called": WHOLE}
    | {"share": REAL, "low": REAL, "high": REAL}
    | {"n_reference_cells": WHOLE, "n_reference": WHOLE, "reference_share": REAL},
    optional={"arm": TEXT},
    key=("arm", "case", "view", "category"),
)
"""Each case's differential count by the model, with exact counting limits, and by the reference.

``case`` is a pseudonym; the limits cover counting alone, not misclassification."""
GUARDS = Shape(
    "guards",
    required={"check": TEXT, "severity": TEXT, "detail": TEXT},
    optional={"arm": TEXT, "category": TEXT, "value": REAL, "expected": REAL, "p_value": REAL},
    key=("arm", "check", "category"),
    allowed={"severity": ("info", "warning", "error")},
)
"""What was checked before scores were believed, and what it showed; ``info`` is nothing odd."""
ERRORS = Shape(
    "errors",
    required={"cell_id": TEXT, "category": TEXT, "predicted": TEXT},
    optional={"p_predicted": REAL, "p_category": REAL},
    key=("cell_id",),
)
"""Test cells called wrong, with the probabilities of the call and of the truth."""
READERS = Shape(
    "readers",
    required={"cell_id": TEXT, "reader": TEXT, "category": TEXT},
    optional={},
    key=("cell_id", "reader"),
)
"""What each reader called each cell: a row a reading, so that a cell may lack some readers."""
SHEET_KEY = Shape(
    "sheet's key",
    required={"number": WHOLE, "made": TEXT, "category": TEXT}
    | {"cell_id": TEXT, "content": TEXT, "seed": TEXT},
    optional={},
    key=("number",),
    allowed={"made": ("real", "drawn")},
)
"""Which picture of a blinded sheet is real and which drawn: kept apart until it is scored."""
SHEET_ANSWERS = Shape(
    "sheet's answers",
    required={"number": WHOLE},
    optional={"reader": TEXT, "real_or_drawn": TEXT, "category": TEXT},
    key=("reader", "number"),
    ordered=False,
)
"""What readers wrote on a blinded sheet; a reader by initials, what was left blank is null."""
NEIGHBOURS = Shape(
    "neighbours",
    required={"cell_id": TEXT, "category": TEXT}
    | {"nearest_fit": TEXT, "distance_fit": REAL}
    | {"nearest_held_out": TEXT, "distance_held_out": REAL}
    | {"ratio": REAL, "pose": WHOLE, "memorised": FLAG, "in_manifold": FLAG},
    optional={},
    key=("cell_id",),
)
"""Each generated cell's nearest cell among those its generator was fitted to, and among held-out
ones, by the distance of their pixels over sixteen poses, in levels. ``ratio`` is that of both
distances as a share of what honest cells show between pools of these sizes: 1 is expected, and
below a judgement's threshold a cell is ``memorised``. ``pose`` (0 to 15, from 8 on turned by 45
degrees too) is how the fitted cell is turned to lie nearest; ``in_manifold`` tells whether real
cells lie round it in features."""
COUNTS = Shape(
    "counts",
    required={"category": TEXT, "n_cells": REAL},
    optional={},
    key=("category",),
    ordered=False,
)
"""Cells of each category, as counts or as shares: a mix, or the supports that a paper states."""
REFERENCE = Shape(
    "reference count",
    required={"case": TEXT, "category": TEXT, "n_cells": WHOLE},
    optional={},
    key=("case", "category"),
)
"""Each case's cells of each category by another method, as a count of 200 cells by eye; a
category that a case does not name was not seen in it."""
CASES = Shape("cases", required={"case": TEXT, "pseudonym": TEXT}, optional={}, key=("case",))
"""Which pseudonym stands for which case: the one table that tells, and it stays in the house."""
COMPOSITION = Shape(
    "composition",
    required={"split": TEXT, "category": TEXT, "n_cells": WHOLE, "n_families": WHOLE},
    optional={"n_cases": WHOLE},
    key=("split", "category"),
)
