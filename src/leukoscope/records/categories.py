"""The words for leukocytes (after ICSH 2015), and the named maps from published labels to them.

Finer categories have a parent, so that a table labelled finely can be read
coarsely: ICSH counts band neutrophils as segmented ones, and every report shows
neutrophils merged beside the strict view.
"""

from collections.abc import Collection, Mapping, Sequence

from leukoscope.foundation.errors import DataError, unknown_name

NOZAKA6 = ("segmented", "band", "eosinophil", "basophil", "monocyte", "lymphocyte")
"""The six categories of the papers by Nozaka and others, in the order used throughout."""

PARENTS: Mapping[str, str] = {
    "segmented": "neutrophil",
    "band": "neutrophil",
    "promyelocyte": "immature granulocyte",
    "myelocyte": "immature granulocyte",
    "metamyelocyte": "immature granulocyte",
}
"""The coarser category each finer one belongs to."""

PBC13 = {
    "SNE": "segmented",
    "BNE": "band",
    "NEUTROPHIL": "neutrophil",
    "EO": "eosinophil",
    "BA": "basophil",
    "MO": "monocyte",
    "LY": "lymphocyte",
    "PMY": "promyelocyte",
    "MY": "myelocyte",
    "MMY": "metamyelocyte",
    "IG": "immature granulocyte",
    "ERB": "erythroblast",
    "PLATELET": "platelet",
}
"""File prefixes of the PBC set (Acevedo et al. 2020) and what they mean."""

MAPS: Mapping[str, Mapping[str, str]] = {
    "pbc13": PBC13,
    "pbc8": {prefix: PARENTS.get(name, name) for prefix, name in PBC13.items()},
    "nozaka6": {prefix: name for prefix, name in PBC13.items() if name in NOZAKA6},
}
"""Named maps from a PBC prefix to a category; a prefix a map lacks is left out, and counted."""


def category_map(name: str) -> Mapping[str, str]:
    """Look up a named map from prefixes to categories. Raises UsageError for an unknown name."""
    if name not in MAPS:
        raise unknown_name("category map", name, MAPS)
    return MAPS[name]


def ordered(categories: Sequence[str]) -> tuple[str, ...]:
    """Put categories in the house's order: the known ones first, then others by name."""
    known = list(dict.fromkeys((*NOZAKA6, *PBC13.values(), *PARENTS.values())))
    rank = {name: place for place, name in enumerate(known)}
    return tuple(sorted(set(categories), key=lambda name: (rank.get(name, len(rank)), name)))


def merged(categories: Sequence[str]) -> tuple[str, ...]:
    """Name, for each category, what it is called with neutrophils merged.

    Parameters
    ----------
    categories : sequence of str
        Strict categories.

    Returns
    -------
    tuple of str
        As long as *categories*: band and segmented become neutrophil, the rest stay.
    """
    return tuple("neutrophil" if PARENTS.get(name) == "neutrophil" else name for name in categories)


def answer_for(label: str, known: Collection[str]) -> str:
    """Name the known category that covers a label: itself, else its parent; else the label."""
    parent = PARENTS.get(label, label)
    return label if label in known or parent not in known else parent


def read_as(truth: Sequence[str], known: Sequence[str]) -> list[str]:
    """Read finer labels in the terms of a model's categories.

    Parameters
    ----------
    truth : sequence of str
        Labels of a table.
    known : sequence of str
        The categories a model can answer.

    Returns
    -------
    list of str
        Each label itself where the model knows it, else its parent.

    Raises
    ------
    DataError
        If neither the label nor its parent is known to the model.
    """
    table = {}
    for label in dict.fromkeys(truth):
        coarse = answer_for(label, known)
        if coarse not in known:
            raise DataError(
                f"The model answers {', '.join(known)}; the table holds {label!r}, which none of "
                "them covers. Nothing was scored. Leave those cells out or use another model."
            )
        table[label] = coarse
    return [table[label] for label in truth]
