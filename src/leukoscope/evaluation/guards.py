"""What is checked before scores are believed: the mistakes that others have published.

A check gives a row whether or not it finds something. ``error``: the scores mean nothing
before this is cleared up; ``warning``: some of them mean less than they seem to; ``info``:
nothing odd, or why nothing could be told.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.evaluation.predictions import Scored, in_order, prepare, read_truth
from leukoscope.foundation.streams import stream
from leukoscope.records import categories, shapes, tables
from leukoscope.stats.forecasts import LEAST_PROBABILITY
from leukoscope.stats.pairing import relabellings, right_by_chance
from leukoscope.stats.scores import scores

Counts = npt.NDArray[np.int64]
Row = dict[str, Any]

COLLAPSED = 0.98
"""A larger share of calls of one category, its true share being less, is flagged."""

LEVEL = 0.05
"""Pairings of calls and labels that chance reaches more often than this are not believed."""

CLEARLY = 0.01
"""Chance must reach a model half way to the best possible no more often than this, or the cells
are too few to hold a pairing against anyone."""

N_DRAWS = 1_999
"""Random pairings drawn: their p-value has an error of .005 where it is .05."""

LEAST_GAIN = 0.1
"""By how much a relabelling must raise the mean recall of the categories it moves."""

LEAST_CHANCE = 0.01
"""Relabellings whose gain chance reaches more often than this are not spoken of."""

_ROUNDING = 1e-9

MANY_STRANGE = 0.05
"""From this share of calls on, categories that no cell is of are worth a warning."""


def guards_of(predictions: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """Check one run's predictions for the mistakes that make scores meaningless.

    Parameters
    ----------
    predictions : polars.DataFrame
        A labelled predictions table; labels alone are enough for most checks.
    seed : int
        Seed of the random pairings.

    Returns
    -------
    polars.DataFrame
        A guards table, at least a row a check. ``collapse``: more than 98 % of the calls
        are one category whose true share is less. ``chance``: whether calls and labels
        agree better than if they were paired at random. ``relabelling``: whether some
        categories' names are exchanged. ``constant``: whether a predictor of one category
        scores its share. ``argmax``: calls that are not the largest probability. ``ties``:
        probabilities that rank nothing. ``strange``: calls of a category that no cell is
        of. ``ruled out``: true categories of probability 0.
        ``one case``: whether there is more than one.

    Raises
    ------
    DataError
        If the predictions cannot be scored; see
        :func:`~leukoscope.evaluation.predictions.prepare`.
    """
    table = in_order(predictions)
    seen = prepare(table)
    matrix = seen.matrices.sum(axis=0)
    rows = [_collapse(seen.names, matrix), _chance(seen.names, matrix, seed)]
    rows += _relabelled(seen.names, matrix)
    rows += [*constant_rows(table), _strange(seen.names, matrix)]
    rows += [_argmax(table), *_ties(table), *_ruled_out(table), _cases(seen, table)]
    return tables.check(pl.DataFrame(rows, schema=shapes.GUARDS.columns), shapes.GUARDS)


def constant_rows(
    table: pl.DataFrame, score: Callable[[pl.DataFrame], tuple[float, float]] | None = None
) -> list[Row]:
    """Check that a predictor of one category scores that category's share.

    Parameters
    ----------
    table : polars.DataFrame
        A labelled predictions table.
    score : callable, optional
        What gives a table's accuracy and balanced accuracy: by default the way that
        every table is scored here.

    Returns
    -------
    list of dict
        Rows of a guards table: an error for each category whose predictor scores something
        else than its share of the labels as counted apart from scoring; if there is none,
        a row that states what answering without looking would score.
    """
    score = score or _score
    names = prepare(table).names
    share = _shares(table, names)
    n_true = sum(one > 0 for one in share.values())
    errors = []
    for name in names:
        accuracy, balanced = score(_always(table, name, names))
        wanted = 1 / n_true if share[name] else 0.0
        if abs(accuracy - share[name]) > _ROUNDING or abs(balanced - wanted) > _ROUNDING:
            detail = (
                f"Always answering {name} scores an accuracy of {accuracy:.6g} and a balanced "
                f"accuracy of {balanced:.6g}; its share of the labels is {share[name]:.6g}, and "
                f"one of {n_true} categories is {wanted:.6g}. Scoring reads the labels wrongly."
            )
            errors.append(_row("constant", "error", detail, name, accuracy, share[name]))
    if errors:
        return errors
    largest = max(names, key=lambda name: share[name])
    blind = sum(one**2 for one in share.values())
    detail = (
        f"Always answering {largest} scores an accuracy of {share[largest]:.4g}, its share, and a "
        f"balanced accuracy of {1 / n_true:.4g} (1 of {n_true}); answers drawn by the true shares "
        f"score {blind:.4g}. So much needs no skill."
    )
    return [_row("constant", "info", detail, largest, share[largest], share[largest])]


def _row(
    check: str,
    severity: str,
    detail: str,
    category: str | None = None,
    value: float | None = None,
    expected: float | None = None,
    p_value: float | None = None,
) -> Row:
    return {
        "check": check,
        "severity": severity,
        "detail": detail,
        "category": category,
        "value": value,
        "expected": expected,
        "p_value": p_value,
    }


def _collapse(names: Sequence[str], matrix: Counts) -> Row:
    calls, truth, n = matrix.sum(axis=0), matrix.sum(axis=1), int(matrix.sum())
    most = int(calls.argmax())
    share, true = calls[most] / n, truth[most] / n
    numbers = f"{share:.2%} of the calls are {names[most]}, its true share is {true:.2%}"
    if share <= COLLAPSED or share <= true:
        return _row("collapse", "info", f"{numbers}.", names[most], share, true)
    # Where nearly all cells are of one category, a good model calls nearly all so.
    others = matrix.sum() - truth[most]
    told = 1 - (calls[most] - matrix[most, most]) / others
    severity = "warning" if told >= 0.5 else "error"
    detail = (
        f"{numbers}, and {told:.1%} of the other cells are called anything else: the model answers "
        "one category, whatever it sees. See that calls are labels and not scores cut to whole "
        "numbers, and that training and prediction prepare pictures alike."
    )
    return _row("collapse", severity, detail, names[most], share, true)


def _chance(names: Sequence[str], matrix: Counts, seed: int) -> Row:
    """Test the pairing: with the margins fixed, accuracy and Cohen's kappa order shuffles alike."""
    calls, truth, n = matrix.sum(axis=0), matrix.sum(axis=1), int(matrix.sum())
    right, most = int(np.trace(matrix)), int(np.minimum(truth, calls).sum())
    expected = float((truth / n * calls).sum())
    numbers = (None, right / n, expected / n)
    if most == 0:
        detail = (
            "No call is a word of the labels: called are "
            f"{_named(names, calls)}, true are {_named(names, truth)}. Write both in the same "
            "words."
        )
        return _row("chance", "error", detail, *numbers, 1.0)
    drawn = right_by_chance(truth, calls, stream(seed, "guards", "chance"), N_DRAWS)
    p = (1 + int((drawn >= right).sum())) / (1 + N_DRAWS)
    said = (
        f"{right / n:.2%} of the calls are right; dealt to the cells at random, {expected / n:.2%} "
        f"would be, and as many in a share p = {p:.4g} of {N_DRAWS:,} shuffles over all cells "
        "(within cases or across them: the pairing is in question, not people)"
    )
    halfway = expected + (most - expected) / 2 - _ROUNDING
    if p <= LEVEL:
        return _row("chance", "info", f"{said}.", *numbers, p)
    if (1 + int((drawn >= halfway).sum())) / (1 + N_DRAWS) > CLEARLY:
        detail = (
            f"{said}. That tells nothing here: with so few cells, or so few calls or labels beside "
            "the most frequent one, a model half way to the best possible would hardly stand out."
        )
        return _row("chance", "info", detail, *numbers, p)
    below = (1 + int((drawn <= right).sum())) / (1 + N_DRAWS) <= LEVEL
    why = (
        "They are right less often than chance: names of categories may be exchanged, see "
        "relabelling."
        if below
        else "Labels and predictions may be joined wrongly: join them by the cells' names, never "
        "by order."
    )
    return _row("chance", "error", f"{said}. {why}", *numbers, p)


def _relabelled(names: Sequence[str], matrix: Counts) -> list[Row]:
    n = int(matrix.sum())
    as_is = int(np.trace(matrix)) / n
    rows = []
    for one in relabellings(matrix):
        if one.gain <= LEAST_GAIN or one.p_value >= LEAST_CHANCE:
            continue
        pairs = [
            pair for pair in zip(one.called, one.members, strict=True) if matrix[:, pair[0]].any()
        ]
        moved = sum(
            int(matrix[i, j] - matrix[i, i]) for j, i in zip(one.called, one.members, strict=True)
        )
        reading = ", ".join(f"{names[call]} as {names[true]}" for call, true in pairs)
        detail = (
            f"If calls were read otherwise ({reading}), the mean recall of these categories would "
            f"be {one.gain:.2f} higher and accuracy {as_is + moved / n:.2%} instead of "
            f"{as_is:.2%}: their names or codes seem to be exchanged in the labels or the calls. "
            "Correct the category map; nothing was read otherwise here."
        )
        first = names[one.members[0]]
        rows.append(
            _row("relabelling", "error", detail, first, as_is, as_is + moved / n, one.p_value)
        )
    if rows:
        return rows
    detail = "No exchange of category names does far better than the names as they are."
    return [_row("relabelling", "info", detail, None, as_is, as_is)]


def _named(names: Sequence[str], counts: Counts) -> str:
    return ", ".join(name for name, count in zip(names, counts, strict=True) if count)


def _shares(table: pl.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Count the labels without the code that scores."""
    share = dict.fromkeys(names, 0.0)
    for label, count in table["category"].value_counts().iter_rows():
        share[categories.answer_for(label, names)] += count / table.height
    return share


def _always(table: pl.DataFrame, answer: str, names: Sequence[str]) -> pl.DataFrame:
    stated = {f"p_{name}": pl.lit(float(name == answer)) for name in names}
    # Groups do not enter a pooled score, and one is counted faster than many.
    return table.select("cell_id", "run_id", "role", "category").with_columns(
        predicted=pl.lit(answer),
        case=pl.lit(None, dtype=pl.String),
        family=pl.lit("all"),
        **stated,
    )


def _score(table: pl.DataFrame) -> tuple[float, float]:
    found = scores(prepare(table).matrices.sum(axis=0))
    return float(found["accuracy"]), float(found["balanced_accuracy"])


def _argmax(table: pl.DataFrame) -> Row:
    answers, chances = _probabilities(table)
    if not answers:
        return _row("argmax", "info", "There are labels alone, no probabilities to compare with.")
    place = {name: column for column, name in enumerate(answers)}
    called = np.array([place[name] for name in table["predicted"]])
    own = chances[np.arange(len(called)), called]
    odd = np.flatnonzero(own < chances.max(axis=1) - _ROUNDING)
    if not odd.size:
        detail = "Every call is the category of largest probability, or one of those that tie."
        return _row("argmax", "info", detail, None, 0.0, 0.0)
    # No cell is named: a file's name may hold a person's, and this line stands on the page.
    detail = (
        f"{odd.size} of {len(called)} calls are not the category of largest probability. Calls and "
        "probabilities are of different models or thresholds, and scores from either differ."
    )
    return _row("argmax", "warning", detail, None, float(odd.size), 0.0)


def _ties(table: pl.DataFrame) -> list[Row]:
    answers, chances = _probabilities(table)
    if not answers:
        return [_row("ties", "info", "There are labels alone, no probabilities to rank by.")]
    if np.isin(chances, (0.0, 1.0)).all():
        detail = "All probabilities are 0 or 1: they are calls, and rank cells no further."
        return [_row("ties", "warning", detail)]
    top = chances.max(axis=1)[:, None]
    tied = float(((chances >= top - _ROUNDING).sum(axis=1) > 1).mean())
    if tied > 0.5:
        detail = (
            f"In {tied:.1%} of the cells two or more categories share the largest probability: "
            "which is called is an accident of their order."
        )
        return [_row("ties", "warning", detail, None, tied, 0.0)]
    true = {categories.answer_for(label, answers) for label in table["category"].unique()}
    flat = [
        _row("ties", "warning", _flat(name, column), name, 1.0, None)
        for name, column in zip(answers, chances.T, strict=True)
        if name in true and np.ptp(column) <= _ROUNDING
    ]
    detail = f"In {tied:.2%} of the cells categories share the largest probability."
    return flat or [_row("ties", "info", detail, None, tied, 0.0)]


def _strange(names: Sequence[str], matrix: npt.NDArray[np.int64]) -> Row:
    """Say which calls are of a category that no cell has: the mean F is over the others."""
    calls, truth = matrix.sum(axis=0), matrix.sum(axis=1)
    strange = [f"{n} {name}" for name, n, t in zip(names, calls, truth, strict=True) if n and not t]
    share = float(calls[truth == 0].sum() / calls.sum())
    detail = (
        f"{share:.2%} of the calls are of categories that no cell is of ({', '.join(strange)}): "
        "they count as wrong, and means over categories are over the others."
    )
    if not strange:
        detail = "Every category that is called has cells."
    return _row("strange", "warning" if share > MANY_STRANGE else "info", detail, None, share, 0.0)


def _ruled_out(table: pl.DataFrame) -> list[Row]:
    answers, chances = _probabilities(table)
    if not answers:
        return []
    place = {name: column for column, name in enumerate(answers)}
    truth = [place[name] for name in read_truth(table)]
    n = int((chances[np.arange(len(truth)), truth] < LEAST_PROBABILITY).sum())
    if not n:
        detail = "No cell's true category was given a probability of 0."
        return [_row("ruled out", "info", detail, None, 0.0)]
    detail = (
        f"In {n} of {len(truth)} cells the true category was given a probability of 0 (less than "
        f"{LEAST_PROBABILITY:g}): the log loss takes it for that, and rests on this choice. Few "
        "decimals in the table do it too."
    )
    return [_row("ruled out", "warning", detail, None, float(n), 0.0)]


def _flat(name: str, column: npt.NDArray[np.float64]) -> str:
    return (
        f"The probability of {name} is {column[0]:.4g} for every cell: a constant forecast, which "
        "ranks nothing."
    )


def _probabilities(table: pl.DataFrame) -> tuple[list[str], npt.NDArray[np.float64]]:
    stated = [name for name in table.columns if name.startswith("p_")]
    answers = [name.removeprefix("p_") for name in stated]
    return answers, table.select(stated).cast(pl.Float64).to_numpy()


def _cases(seen: Scored, table: pl.DataFrame) -> Row:
    unknown = table["case"].null_count()
    known = unknown < table.height
    counted = seen.n_cases if seen.n_cases is not None else seen.n_families
    if counted == 1:
        detail = (
            f"All {seen.n_cells} cells are of one {seen.unit}: no score here says anything about "
            "other people, and no interval over cases can be given."
        )
        return _row("one case", "warning", detail, None, 1.0)
    if seen.n_cases is None and known:
        detail = (
            f"The case of {unknown} of {seen.n_cells} cells is unknown, so that no interval speaks "
            "of other people. Name it, or leave those cells out."
        )
        return _row("one case", "warning", detail, None, float(counted))
    if seen.n_cases is None:
        detail = (
            f"Not every cell's case is known: intervals are over {counted} families and speak of "
            "this collection, not of other people."
        )
    else:
        detail = f"The cells are of {counted} cases."
    return _row("one case", "info", detail, None, float(counted))
