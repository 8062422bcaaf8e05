"""Readers of labelled picture collections: where the files are and what their names say.

A source only lists and labels; decoding, hashing and writing are the same for all.
"""

import csv
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.decode import SUFFIXES
from leukoscope.records import categories

PBC_LICENCE = "CC BY 4.0"
PBC_CITATION = (
    "Acevedo A, Merino A, Alférez S, Molina Á, Boldú L, Rodellar J (2020). A dataset of "
    "microscopic peripheral blood cell images for development of automatic recognition systems. "
    "Data in Brief 30:105474."
)
_MAX_MEMBER_MB = 200


@dataclass(frozen=True)
class Listed:
    """Name one picture of a collection and what is known of it before it is opened."""

    path: str
    """Relative to the collection's root, with forward slashes."""
    category: str
    original_label: str
    case: str | None = None


@dataclass(frozen=True)
class Listing:
    """Hold a collection's pictures in the order of their paths, and its papers."""

    pictures: tuple[Listed, ...]
    licence: str | None = None
    citation: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


def list_folder(root: Path, category_map: str | None) -> Listing:
    """List a collection with one folder a category (or a zip of it).

    Parameters
    ----------
    root : Path
        Folder or zip; the first folder below it names the category. A zip may
        wrap everything in one folder of its own name.
    category_map : str or None
        A named map from folder names to categories; without one a folder's name
        is its category.

    Raises
    ------
    DataError
        If there is no picture, a picture lies outside any folder, or only one
        category is left.
    """
    mapping = categories.category_map(category_map) if category_map else None
    wrapped = root.is_file() and all(path.startswith(f"{root.stem}/") for path in _pictures(root))

    def label_of(path: str) -> str | None:
        folders = PurePosixPath(path).parts[int(wrapped) : -1]
        return folders[0] if folders else None

    return _listing(root, label_of, mapping)


def list_pbc(root: Path, category_map: str | None) -> Listing:
    """List the PBC collection: the category is the file's prefix, as in ``BNE_191112.jpg``.

    Parameters
    ----------
    root : Path
        Folder or zip, in any arrangement of folders.
    category_map : str or None
        ``pbc13`` (the default), ``pbc8`` or ``nozaka6``.

    Raises
    ------
    DataError
        If there is no picture, a prefix is unknown, or only one category is left.
    """
    mapping = categories.category_map(category_map or "pbc13")
    found = _listing(root, _pbc_prefix, mapping)
    return Listing(found.pictures, PBC_LICENCE, PBC_CITATION, found.left_out)


def with_cases(listing: Listing, case_from: str) -> Listing:
    """Add to each picture the case it comes from.

    Parameters
    ----------
    listing : Listing
        Pictures without cases.
    case_from : str
        Path of a CSV file with columns ``path`` and ``case`` (an empty case says
        that it is unknown), or a regular expression searched in the relative
        path, whose group ``case``, else first group, else whole match is the case.

    Raises
    ------
    UsageError
        If the expression is not one.
    DataError
        If it fails to name a case for a picture.
    """
    if case_from.lower().endswith(".csv"):
        find = _cases_from_csv(Path(case_from))
    else:
        find = _cases_from_regex(case_from)
    cases = [find(picture.path) for picture in listing.pictures]
    missing = [p.path for p, c in zip(listing.pictures, cases, strict=True) if c is None]
    if missing:
        raise DataError(
            f"{case_from!r} names no case for {len(missing)} of {len(cases)} pictures, "
            f"for example {missing[0]}. Nothing was written. Correct it; in a CSV, an empty case "
            "says that it is unknown."
        )
    pictures = tuple(
        Listed(p.path, p.category, p.original_label, c or None)
        for p, c in zip(listing.pictures, cases, strict=True)
    )
    return Listing(pictures, listing.licence, listing.citation, listing.left_out)


def _listing(
    root: Path, label_of: Callable[[str], str | None], mapping: Mapping[str, str] | None
) -> Listing:
    paths = _pictures(root)
    if not paths:
        raise DataError(
            f"{root} holds no picture ({', '.join(SUFFIXES)}). Nothing was written. "
            "Give the folder that holds one folder a category."
        )
    labels = [label_of(path) for path in paths]
    _refuse_unlabelled(paths, labels, mapping)
    known = mapping if mapping is not None else {label: label for label in labels if label}
    left_out = Counter(label for label in labels if label and label not in known)
    pictures = tuple(
        Listed(path, known[label], label)
        for path, label in zip(paths, labels, strict=True)
        if label is not None and label in known
    )
    _refuse_single_category(root, pictures)
    return Listing(pictures, left_out=dict(sorted(left_out.items())))


def _refuse_unlabelled(
    paths: Sequence[str], labels: Sequence[str | None], mapping: Mapping[str, str] | None
) -> None:
    # A map may leave known prefixes out; a prefix that no map knows is a mistake.
    known = set(categories.PBC13) if mapping is not None else None
    odd = [
        path
        for path, label in zip(paths, labels, strict=True)
        if label is None or (known is not None and label not in known)
    ]
    if odd:
        raise DataError(
            f"{len(odd)} pictures have no known label, for example {odd[0]}. Nothing was written. "
            + (
                f"Known: {', '.join(sorted(known))}."
                if known is not None
                else "Put each picture into the folder of its category."
            )
        )


def _refuse_single_category(root: Path, pictures: Sequence[Listed]) -> None:
    names = sorted({picture.category for picture in pictures})
    if len(names) < 2:
        raise DataError(
            f"{root} holds {len(pictures)} pictures of {len(names)} category "
            f"({', '.join(names) or 'none'}); telling apart takes at least two. "
            "Nothing was written."
        )


def _pbc_prefix(path: str) -> str | None:
    name = PurePosixPath(path).name
    return name.split("_")[0].upper() if "_" in name else None


def _pictures(root: Path) -> list[str]:
    """List the pictures below a root by relative path, hidden ones left out, in a stable order."""
    if not root.exists():
        raise DataError(f"{root} does not exist. Nothing was written.")
    names = _names_in_folder(root) if root.is_dir() else _names_in_zip(root)
    shown = [n for n in names if not any(p.startswith((".", "__MACOSX")) for p in n.split("/"))]
    pictures = sorted(name for name in shown if name.lower().endswith(SUFFIXES))
    # Bytes of a name that are no text reach Python as lone surrogates.
    odd = [name for name in pictures if re.search("[\ud800-\udfff]", name)]
    if odd:
        raise DataError(
            f"{root} holds {odd[0]!a}, whose name is not Unicode text. Nothing was written. "
            "Rename it."
        )
    return pictures


def _names_in_folder(root: Path) -> list[str]:
    names = []
    for path in root.rglob("*"):
        if path.is_symlink() and path.is_dir():
            # Followed, it may lead in a circle; passed over, its pictures would be lost unseen.
            raise DataError(
                f"{path} is a link to a folder. Nothing was written. "
                "Put the folder itself there, or remove the link."
            )
        if path.is_file():
            names.append(path.relative_to(root).as_posix())
    return names


def _names_in_zip(path: Path) -> list[str]:
    with files.open_zip(path) as archive:
        entries = archive.infolist()
    names = Counter(entry.filename for entry in entries)
    for entry in entries:
        _refuse_entry(path, entry, names[entry.filename])
    return [entry.filename for entry in entries if not entry.is_dir()]


def _refuse_entry(path: Path, entry: zipfile.ZipInfo, n_times: int) -> None:
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    reason = None
    if ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in entry.filename:
        reason = "a path that leaves the archive"
    elif stat.S_ISLNK(entry.external_attr >> 16):
        reason = "a link"
    elif entry.flag_bits & 1:
        reason = "encrypted"
    elif n_times > 1:
        reason = "named twice"
    elif entry.file_size > _MAX_MEMBER_MB * 1_000_000:
        reason = f"larger than {_MAX_MEMBER_MB} MB"
    if reason:
        raise DataError(f"{path} holds {entry.filename!r}, which is {reason}. Nothing was read.")


def _cases_from_regex(expression: str) -> Callable[[str], str | None]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise UsageError(
            f"--case-from {expression!r} is neither a CSV file nor a regular expression: {error}."
        ) from None

    def find(path: str) -> str | None:
        match = pattern.search(path)
        if match is None:
            return None
        found = match["case"] if "case" in pattern.groupindex else match[min(1, pattern.groups)]
        return found or None

    return find


def _cases_from_csv(path: Path) -> Callable[[str], str | None]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}. Nothing was written.") from None
    if not rows or not {"path", "case"} <= set(rows[0]):
        raise DataError(f"{path} should have columns path and case. Nothing was written.")
    table = {(row["path"] or "").replace("\\", "/"): (row["case"] or "").strip() for row in rows}
    if len(table) < len(rows):
        raise DataError(f"{path} names {len(rows) - len(table)} paths twice. Nothing was written.")
    return table.get
