"""What the design of a study cannot say."""

from leukoscope.reporting import sections
from leukoscope.reporting.contents import Scores, StudyPage


def limits(page: StudyPage, scores: Scores) -> list[str]:
    """List what the design of the study cannot say, a sentence or two each."""
    if page.unit == "case":
        unit = "Intervals take cases as independent: they speak of other cases like these."
    else:
        unit = (
            "The persons behind the cells are not known: intervals take families of images as "
            "independent and speak of other cells of this collection only. How cells differ "
            "from person to person, slide to slide and laboratory to laboratory is not in them."
        )
    return [
        (
            "All training draws come from one pool of cells, so the answer is conditional on this "
            "pool, and on the models and the training that were compared."
        ),
        _on_test(page),
        unit,
        *_on_bands(scores),
        (
            "Accuracy and macro-F depend on how often each category occurs in the test set, which "
            "is not its share in blood."
        ),
        (
            "Only the primary metric in its view was named beforehand and carries a verdict; every "
            "other difference is descriptive."
        ),
        *page.notes,
        "For research use. This is not a medical device, and no finding here is a diagnosis.",
    ]


def _on_test(page: StudyPage) -> str:
    if page.n_folds is None:
        return (
            "The validation and test cells are the same in every arm and replicate; the best state "
            "of a run is chosen on validation, and the test cells are scored once."
        )
    return (
        f"Each replicate divides the cells anew into {page.n_folds} folds, the same in every arm; "
        "each cell is called once a replicate, by the run whose fold it is the test of, and the "
        "best state of a run is chosen on another fold. The runs of a replicate share most of "
        "their training cells, and a cell tested in one fold is trained on in others: no unbiased "
        "variance of cross-validation exists (Bengio and Grandvalet 2004), and intervals, which "
        "take cells as independent, may be somewhat too narrow."
    )


def _on_bands(scores: Scores) -> list[str]:
    icsh = (
        "ICSH counts band neutrophils as segmented ones. The border between them is a matter of "
        "judgement"
    )
    if not sections.why_not_merged(scores):
        return [f"{icsh}, so the merged view stands beside every strict score."]
    return [f"{icsh}."] if sections.has_bands_to_confuse(scores) else []
