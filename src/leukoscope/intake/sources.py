"""Readers of labelled picture collections: where the files are and what their names say.

A source only lists and labels; decoding, hashing and writing are the same for all.
"""

import csv
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.decode import SUFFIXES
from leukoscope.records import categories

SOURCES = {
    "folder": "A folder a category, or a zip of it.",
    "pbc": "The PBC collection of blood cells, folder or zip: the label is the file's prefix.",
    "phantom": "Drawn cells of which the truth is known: plain, rotation-helps, rotation-harms, "
    "rotation-indifferent, or a YAML file.",
}
"""What pictures are taken in from, and what it is."""
PBC_LICENCE = "CC BY 4.0"
PBC_CITATION = (
    "Acevedo A, Merino A, Alférez S, Molina Á, Boldú L, Rodellar J (2020). A dataset of "
    "microscopic peripheral blood cell images for development of automatic recognition systems. "
    "Data in Brief 30:105474."
)
# What systems leave behind in folders.
_DEBRIS = ("thumbs.db", "desktop.ini")
# What stands beside pictures and is none. A file of any other ending may be a picture.
_PAPERS = (
    *(
        ".csv",
        ".csv.gz",
        ".db",
        ".doc",
        ".docx",
        ".htm",
        ".html",
        ".ini",
        ".json",
        ".log",
        ".md",
        ".pdf",
    ),
    *(".rst", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml"),
)
_BARE_PAPERS = ("readme", "license", "licence", "citation", "changelog", "notice")
_SHOWN = 3


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
    """Label → number of pictures the category map leaves out."""
    passed_over: tuple[str, ...] = ()
    """Files that plainly are no pictures: tables, texts, papers."""


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
        If there is no picture, a picture lies outside any folder, only one category is
        left, or a file may be a picture of a kind that is not taken.
    """
    mapping = categories.category_map(category_map) if category_map else None
    pictures, passed_over = _pictures(root)
    wrapped = root.is_file() and all(path.startswith(f"{root.stem}/") for path in pictures)

    def label_of(path: str) -> str | None:
        folders = PurePosixPath(path).parts[int(wrapped) : -1]
        return folders[0] if folders else None

    found = _listing(root, pictures, label_of, mapping)
    return replace(found, passed_over=passed_over)


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
        If there is no picture, a prefix is unknown, only one category is left, or a file
        may be a picture of a kind that is not taken.
    """
    mapping = categories.category_map(category_map or "pbc13")
    pictures, passed_over = _pictures(root)
    found = _listing(root, pictures, _pbc_prefix, mapping)
    return replace(found, licence=PBC_LICENCE, citation=PBC_CITATION, passed_over=passed_over)


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
    return replace(listing, pictures=pictures)


def _listing(
    root: Path,
    paths: Sequence[str],
    label_of: Callable[[str], str | None],
    mapping: Mapping[str, str] | None,
) -> Listing:
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


def _pictures(root: Path) -> tuple[list[str], tuple[str, ...]]:
    """List the pictures below a root, and what plainly is none, in a stable order."""
    if not root.exists():
        raise DataError(f"{root} does not exist. Nothing was written.")
    names = _names_in_folder(root) if root.is_dir() else _names_in_zip(root)
    shown = sorted(name for name in names if not _is_hidden(name))
    pictures = [name for name in shown if name.lower().endswith(SUFFIXES)]
    papers = tuple(name for name in shown if _is_paper(name))
    _refuse_strange(root, sorted({*shown} - {*pictures} - {*papers}))
    # Bytes of a name that are no text reach Python as lone surrogates.
    odd = [name for name in pictures if re.search("[\ud800-\udfff]", name)]
    if odd:
        raise DataError(
            f"{root} holds {odd[0]!a}, whose name is not Unicode text. Nothing was written. "
            "Rename it."
        )
    return pictures, papers


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    is_hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return is_hidden or parts[-1].lower() in _DEBRIS


def _is_paper(name: str) -> bool:
    last = PurePosixPath(name.lower()).name
    return last.endswith(_PAPERS) or last in _BARE_PAPERS


def _refuse_strange(root: Path, names: Sequence[str]) -> None:
    if names:
        shown = ", ".join(ascii(name)[1:-1] for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise DataError(
            f"{root} holds what may be pictures but is not taken: {shown}{more}. "
            f"Taken are {', '.join(SUFFIXES)}. Nothing was written. Convert or move them."
        )


def _names_in_folder(root: Path) -> list[str]:
    names = []
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if _is_hidden(name):
            continue
        if path.is_symlink() and path.is_dir():
            # Followed, it may lead in a circle; passed over, its pictures would be lost unseen.
            raise DataError(
                f"{path} is a link to a folder. Nothing was written. "
                "Put the folder itself there, or remove the link."
            )
        if path.is_dir():
            continue
        if not path.is_file():
            raise DataError(
                f"{path} is no file that can be read: a link that leads nowhere, or a device. "
                "Nothing was written. Put the file there, or remove the link."
            )
        names.append(name)
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
    elif entry.file_size > files.MAX_FILE_MB * 1_000_000:
        reason = f"larger than {files.MAX_FILE_MB} MB"
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
