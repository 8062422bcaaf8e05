"""Tables of a page, cell by cell as they are shown: one shape for all, and how numbers stand in it.

What a cell has to say beside its number, as how often such an interval covered the truth in
simulation, stands below the table once and is pointed at by a letter.
"""

from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import NamedTuple

from leukoscope.reporting import wording
from leukoscope.reporting.evaluated import Number
from leukoscope.stats.reached import sentence_in

COEFFICIENTS = frozenset(
    {
        *("mcc", "kappa", "auroc", "average_precision", "reader_kappa", "fleiss_kappa"),
        *("brier", "brier_constant", "log_loss", "log_loss_constant"),
        *("slope", "error_ratio"),
    }
)
"""Metrics written as the coefficients they are; all others are shares and written in percent."""

_FEWEST_DIGITS = 0.0005
_NOISE = 1e-9

Write = Callable[[float], str]


class Shown(NamedTuple):
    """Show a value with its interval, or with the reason why there is none.

    Attributes
    ----------
    value, interval, reason : str
        The number, its bounds, and why bounds or number are missing.
    further : tuple of str
        Lines below the interval, as the interval for assumed persons.
    note : str
        A sentence that stands below the table.
    mark : str
        The letter that points at it; given by :func:`marked`.
    """

    value: str
    interval: str = ""
    reason: str = ""
    further: tuple[str, ...] = ()
    note: str = ""
    mark: str = ""


class Row(NamedTuple):
    """Show one row: what it is of, a word in grey beside that, and its cells."""

    label: str
    cells: tuple[Shown, ...]
    aside: str = ""
    primary: bool = False


class Group(NamedTuple):
    """Show rows that belong together, under a title that may be empty."""

    title: str
    rows: tuple[Row, ...]


class Grid(NamedTuple):
    """Show a table: its id, what it is, its heads, its rows, and notes by their letters."""

    name: str
    caption: str
    heads: tuple[str, ...]
    groups: tuple[Group, ...]
    notes: tuple[tuple[str, str], ...] = ()


def grid(
    name: str, caption: str, heads: Sequence[str], groups: Sequence[tuple[str, Sequence[Row]]]
) -> Grid | None:
    """Build a table, its notes lettered in the order a reader meets them; None without rows."""
    filled = tuple(Group(title, tuple(rows)) for title, rows in groups if rows)
    if not filled:
        return None
    return marked(Grid(name, caption, tuple(heads), filled))


def marked(table: Grid) -> Grid:
    """Point at each distinct note with a letter."""
    cells = [cell for group in table.groups for row in group.rows for cell in row.cells]
    texts = list(dict.fromkeys(cell.note for cell in cells if cell.note))
    marks = dict(zip(texts, map(_letters, range(len(texts))), strict=True))
    groups = tuple(
        group._replace(rows=tuple(_marked_row(row, marks) for row in group.rows))
        for group in table.groups
    )
    notes = tuple((mark, wording.sentence_case(text)) for text, mark in marks.items())
    return table._replace(groups=groups, notes=notes)


def shown(metric: str, number: Number | None) -> Shown:
    """Show a score: in percent with one decimal, a coefficient with three."""
    return estimate(number, writer(metric))


def writer(metric: str) -> Write:
    """Give how values of a metric are written."""
    return coefficient if metric in COEFFICIENTS else wording.percent


def estimate(number: Number | None, write: Write) -> Shown:
    """Show a number as *write* writes it; what is undefined is said, never shown as 0."""
    if number is None:
        return Shown("not measured")
    if number.value is None:
        return Shown(wording.UNDEFINED, reason=reason(number.method))
    if number.bounds is None:
        why = f"no interval: {reason(number.method)}" if "undefined" in number.method else ""
        return Shown(write(number.value), reason=why)
    _, low, high = number.bounds
    return Shown(write(number.value), f"{write(low)} to {write(high)}", note=_how(number.method))


def with_reached(cell: Shown, number: Number | None) -> Shown:
    """Note how often such an interval covered the truth in simulation, where that is worth saying.

    The results' own sentence is shown, for they know the calls that a precision speaks of.
    """
    if number is None or number.bounds is None:
        return cell
    found = sentence_in(number.method)
    text = f"{found}; 95 % is wanted" if found else ""
    return cell._replace(note="; ".join(part for part in (cell.note, text) if part))


def with_assumed(cell: Shown, assumed: Number | None, write: Write) -> Shown:
    """Add the interval as if the cells came from persons, where there is one."""
    if assumed is None or assumed.bounds is None:
        return cell
    _, low, high = assumed.bounds
    return cell._replace(further=(*cell.further, f"as if persons {write(low)} to {write(high)}"))


def reason(method: str) -> str:
    """Say why a number or its interval is missing, from the method that could not give it."""
    _, found, after = method.partition("undefined:")
    return wording.reason((after if found else method).split(";")[0])


def coefficient(value: float) -> str:
    """Write a coefficient or a loss with three decimals: 0.8468 is ``0.847``."""
    text = f"{value:.3f}"
    return text.replace("-", wording.MINUS) if float(text) else text.lstrip("-")


def signed_coefficient(value: float) -> str:
    """Write a difference of coefficients with its sign: ``+0.012``."""
    text = coefficient(value)
    if not float(text.replace(wording.MINUS, "-")) and abs(value) > _NOISE:
        # An interval that excludes 0 is not shown as if it did not.
        text = f"{value:.1g}".replace("-", wording.MINUS)
    return f"+{text}" if value > _NOISE else text


def threshold(value: float) -> str:
    """Write a probability in percent with one decimal, or as many as a small one needs."""
    return f"{100 * value:.1f}" if value == 0 or value >= _FEWEST_DIGITS else f"{100 * value:.1g}"


def plain(text: str) -> Shown:
    """Show a text by itself."""
    return Shown(text)


def _how(method: str) -> str:
    """Name the method that took the place of a degenerate one; the usual ones need no word."""
    if not method.startswith("exact") and "clipped" not in method:
        return ""
    return wording.method_in_short(method.split("; ", maxsplit=1)[0])


def _marked_row(row: Row, marks: dict[str, str]) -> Row:
    return row._replace(
        cells=tuple(cell._replace(mark=marks.get(cell.note, "")) for cell in row.cells)
    )


def _letters(number: int) -> str:
    tens, ones = divmod(number, len(ascii_lowercase))
    return (ascii_lowercase[tens - 1] if tens else "") + ascii_lowercase[ones]
