"""What is wrong with a table's column names, and which of them probably mean which of ours."""

import re
from collections.abc import Collection, Mapping, Sequence

OTHER_NAMES: Mapping[str, str] = {
    "cell_id": "id cell image imageid imagename imagefile imagepath img imgid imgname imgpath "
    "file filename filepath fname path name index key uid sample sampleid",
    "category": "label labels class classname target truth true ytrue truelabel trueclass "
    "groundtruth gt actual annotation celltype type diagnosis reference",
    "predicted": "pred preds prediction predictions ypred yhat predictedlabel predlabel "
    "predictedclass predclass predictedcategory call called output answer",
    "case": "patient patientid subject subjectid person personid donor slide slideid caseid",
    "family": "group groupid familyid",
    "run_id": "run",
    "reader": "rater annotator observer expert specialist labeller labeler grader readerid",
    "n_cells": "n count counts number support supports cells share shares percent frequency",
}
"""Our name → what other tools call it, in small letters without signs between them."""

_CHANCE = re.compile(
    r"(?:prob(?:a|s|ability|abilities)?|score|scores|softmax|confidence|conf)(?:[\W_]+(.+))?",
    re.IGNORECASE,
)
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "upright lines"}


def complaint(
    kind: str,
    seen: Sequence[str],
    required: Collection[str],
    known: Collection[str],
    open_prefix: str | None = None,
) -> str | None:
    """Say what is wrong with the columns of a table, if anything.

    Parameters
    ----------
    kind : str
        What the table is, for example ``"predictions"``.
    seen : sequence of str
        Its columns.
    required, known : collection of str
        Columns that must be there, and all that may.
    open_prefix : str, optional
        Further columns may follow if they begin so.

    Returns
    -------
    str or None
        What is missing, what is unknown, and which unknown column probably means which
        known one. Nothing is renamed: that is for a person to do. None where all is well.
    """
    missing = [name for name in required if name not in seen]
    unknown = [
        name
        for name in seen
        if name not in known and not (open_prefix and name.startswith(open_prefix))
    ]
    if not missing and not unknown:
        return None
    parts = ["lacks " + ", ".join(missing)] if missing else []
    parts += ["has unknown columns " + ", ".join(unknown)] if unknown else []
    wanted = ", ".join(known) + (f" and {open_prefix}…" if open_prefix else "")
    free = [name for name in known if name not in seen]
    return (
        f"The {kind} {' and '.join(parts)}; its columns are {wanted}. Nothing was written."
        + _hint(unknown, free, open_prefix)
    )


def _hint(unknown: Sequence[str], free: Sequence[str], open_prefix: str | None) -> str:
    if len(unknown) == 1:
        for sign, word in _SEPARATORS.items():
            if sign in unknown[0]:
                return f" The file seems to be parted by {word}: save it parted by commas."
    meant: dict[str, list[str]] = {}
    for name in unknown:
        ours = _meaning(name, free, open_prefix)
        if ours:
            meant.setdefault(ours, []).append(name)
    if not meant:
        return ""
    renames = "; ".join(f"{_listed(names, ours)} to {ours}" for ours, names in meant.items())
    return f" If that is what they mean, rename {renames}."


def _meaning(name: str, free: Sequence[str], open_prefix: str | None) -> str | None:
    plain = _plain(name)
    for ours in free:
        if plain == _plain(ours) or plain in OTHER_NAMES.get(ours, "").split():
            return ours
    chance = _CHANCE.fullmatch(name.strip()) if open_prefix else None
    if chance is None:
        return None
    word = chance.group(1)
    # A number is no category: which one it stands for only its maker can say.
    return f"{open_prefix}<category>" if word is None or word.isdigit() else f"{open_prefix}{word}"


def _listed(names: Sequence[str], ours: str) -> str:
    return (", ".join(names) + " each") if "<" in ours and len(names) > 1 else " or ".join(names)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
