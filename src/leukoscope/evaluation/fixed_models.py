"""Fixed models compared on the same cells: conditional on the trained networks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.evaluation.forecasts import Forecasts, forecasts_of
from leukoscope.evaluation.guards import guards_of
from leukoscope.evaluation.points import points_table
from leukoscope.evaluation.predictions import (
    Scored,
    answers_of,
    in_order,
    prepare_together,
    read_truth,
    views_of,
)
from leukoscope.evaluation.results import (
    AS_IF_CASES,
    assumed_effect,
    confusion_table,
    facts_of,
    icc_of,
    score_rows,
    to_table,
)
from leukoscope.foundation.errors import DataError, unknown_name
from leukoscope.foundation.progress import note
from leukoscope.foundation.streams import stream
from leukoscope.records import categories, shapes, tables
from leukoscope.stats import fixed, ranking, replicas
from leukoscope.stats import forecasts as losses
from leukoscope.stats.blocks import blocks
from leukoscope.stats.fixed import CONDITIONAL, FixedDifference
from leukoscope.stats.intervals import grouped_intervals
from leukoscope.stats.scores import AGREEMENT_METRICS, CATEGORY_METRICS, SCALAR_METRICS, scores
from leukoscope.stats.sign_flip import sign_flip
from leukoscope.stats.verdicts import holm

COMPARED = (*SCALAR_METRICS, *AGREEMENT_METRICS)
"""The metrics of calls that two models are compared in."""

NON_INFERIORITY = "non-inferiority"
REPLICA = "replica"
"""How the method of a test begins that is given because it was published, not to be relied on."""

KEPT = {
    "results": shapes.RESULTS,
    "confusion": shapes.CONFUSION,
    "points": shapes.POINTS,
    "guards": shapes.GUARDS,
}
"""The tables of a comparison, by name; all may leave the house."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Hold the tables of a comparison of fixed models, and what was named before it.

    Attributes
    ----------
    baseline : str
        The model the others are compared with.
    metric : str
        The primary metric.
    margin : float
        The smallest difference in it that matters.
    results, confusion, points, guards : polars.DataFrame
        In the shapes of their names, models in the column ``arm``.
    """

    baseline: str
    metric: str
    margin: float
    results: pl.DataFrame
    confusion: pl.DataFrame
    points: pl.DataFrame
    guards: pl.DataFrame

    def _repr_html_(self) -> str:
        return self.results.filter(pl.col("baseline").is_not_null())._repr_html_()


def comparison_of(
    arms: Mapping[str, pl.DataFrame], baseline: str, primary: str, margin: float
) -> Comparison:
    """Compare fixed models and check the predictions of each; see :func:`comparison_table`."""
    results = comparison_table(arms, baseline, primary, margin)
    _note_same_calls(arms)
    spoken = {arm: forecasts_of(table) for arm, table in arms.items()}
    points = [
        points_table({"strict": said}).with_columns(arm=pl.lit(arm))
        for arm, said in spoken.items()
        if said
    ]
    guards = [guards_of(table).with_columns(arm=pl.lit(arm)) for arm, table in arms.items()]
    return Comparison(
        baseline,
        primary,
        margin,
        results,
        confusion_table({arm: [table] for arm, table in arms.items()}),
        tables.check(pl.concat([points_table({}), *points]), shapes.POINTS),
        tables.check(pl.concat(guards), shapes.GUARDS),
    )


def comparison_table(
    arms: Mapping[str, pl.DataFrame], baseline: str, primary: str, margin: float
) -> pl.DataFrame:
    """Compare fixed models with one of them, on the same cells.

    Parameters
    ----------
    arms : mapping of str to polars.DataFrame
        Model → its predictions; all of the same labelled cells.
    baseline : str
        The model the others are compared with.
    primary : str
        The metric whose strict view is planned: its p values are adjusted by Holm over
        the models, and non-inferiority is tested in it.
    margin : float
        The smallest difference that matters, above 0, named before.

    Returns
    -------
    polars.DataFrame
        A results table: each model's scores; for each other model its differences from
        the baseline with the jackknife t interval over groups, the sign-flip
        permutation test, the ratio of errors, differences of each category and of
        the probabilities' scores, and replicas of published tests.

    Raises
    ------
    UsageError
        If the metric is unknown or the margin not above 0.
    DataError
        If the predictions are not of the same cells with the same labels, or the models
        answer different categories, so that the same label is read differently.
    """
    if primary not in SCALAR_METRICS:
        raise unknown_name("primary metric", primary, SCALAR_METRICS)
    counted = dict(zip(arms, prepare_together(list(arms.values())), strict=True))
    _refuse_other_words(arms, baseline)
    spoken = {arm: forecasts_of(table) for arm, table in arms.items()}
    _note_other_probabilities(spoken, baseline)
    rows: list[Row] = []
    for view in views_of(counted[baseline].names):
        seen = {arm: one.view(view) for arm, one in counted.items()}
        for arm, one in seen.items():
            found = grouped_intervals(one.matrices, assumed_icc=icc_of(one.unit))
            rows += [row | {"arm": arm} for row in score_rows(one, view, found)]
            rows.append(facts_of(one, view) | {"arm": arm} | _wald(one))
        planned = primary if view == "strict" else None
        rows += _call_rows(seen, view, baseline, planned, margin)
        said = {arm: one.view(view) for arm, one in spoken.items() if one is not None}
        if baseline in said:
            facts = facts_of(seen[baseline], view)
            rows += [facts | row for row in _probability_rows(said, baseline)]
    facts = facts_of(counted[baseline], "strict")
    rows += [facts | row for row in _mcnemar(arms, baseline)]
    return to_table(rows)


def _call_rows(
    seen: Mapping[str, Scored], view: str, baseline: str, planned: str | None, margin: float
) -> list[Row]:
    others = [arm for arm in seen if arm != baseline]
    pairs = {arm: (seen[baseline].matrices, seen[arm].matrices) for arm in others}
    facts = facts_of(seen[baseline], view)
    assumed = facts["unit"] != "case"
    rows: list[Row] = []
    for metric in COMPARED:
        tests: list[list[Row]] = []
        for arm, pair in pairs.items():
            found = fixed.fixed_difference(*pair, metric)
            rng = stream(0, "sign flip", view, metric, baseline, arm)
            tests.append([_numbers(found), _flip(found.value, *sign_flip(*pair, metric, rng))])
            if metric == planned:
                tests[-1].append(_not_worse(found, margin))
            if assumed:
                tests[-1].append(_as_if_cases(found))
        if metric == planned:
            _adjust(tests)
        for arm, of_arm in zip(others, tests, strict=True):
            about = facts | {"metric": metric, "arm": arm, "baseline": baseline}
            rows += [about | test for test in of_arm]
    for arm, pair in pairs.items():
        about = facts | {"arm": arm, "baseline": baseline}
        names = seen[baseline].names
        rows += [about | row for row in [*_by_category(pair, names), *_replicas(pair)]]
    return rows


def _as_if_cases(found: FixedDifference) -> Row:
    """Widen interval and test of a difference to what other people would ask."""
    from scipy.special import stdtr

    row = _numbers(found) | {"unit": AS_IF_CASES, "method": f"{found.method}; widened"}
    if np.isnan(found.low):
        return row
    factor = float(np.sqrt(assumed_effect(1.0)))
    value, error = found.value, factor * found.standard_error
    return row | {
        "low": value + factor * (found.low - value),
        "high": value + factor * (found.high - value),
        "p_value": 2 * float(stdtr(found.degrees, -abs(value) / error)),
    }


def _adjust(tests: list[list[Row]]) -> None:
    """Adjust the p values of each kind of planned test by Holm over the models, in place."""
    for kind in zip(*tests, strict=True):
        adjusted = holm([row["p_value"] for row in kind]).tolist()
        for row, p_value in zip(kind, adjusted, strict=True):
            row["p_adjusted"] = p_value


def _by_category(pair: tuple[Any, Any], names: tuple[str, ...]) -> Iterator[Row]:
    for metric in CATEGORY_METRICS:
        found = fixed.fixed_by_category(*pair, metric)
        for name, one in zip(names, found, strict=True):
            yield {"metric": metric, "category": name} | _numbers(one)
    ratio = fixed.error_ratio(*pair)
    bounds = {"low": ratio.low, "high": ratio.high, "method": ratio.method}
    yield {"metric": "error_ratio", "value": ratio.value} | bounds


def _not_worse(found: FixedDifference, margin: float) -> Row:
    low, p_value = fixed.non_inferiority(found, margin)
    test = found.method.split("; ")[0] if np.isnan(low) else "one-sided jackknife t"
    how = f"{NON_INFERIORITY}: {test}; margin {margin:g}; {CONDITIONAL}"
    return {"value": found.value, "low": low, "p_value": p_value, "method": how}


def _flip(value: float, p_value: float, method: str) -> Row:
    # Undefined for one reason, this test and the interval would be one row.
    named = method if method.startswith("sign-flip") else f"sign-flip permutation test: {method}"
    return {"value": value, "p_value": p_value, "method": named}


def _replicas(pair: tuple[Any, Any]) -> Iterator[Row]:
    """Give the tests of the papers, so that they can be seen to differ from the right ones."""
    before, after = (np.asarray(one) for one in pair)
    totals = [scores(one.sum(axis=0)) for one in (before, after)]
    for metric in ("recall", "f"):
        by_category = [of_arm[metric] for of_arm in totals]
        used = ~np.isnan(by_category).any(axis=0)
        _, _, p_value = replicas.paired_t(*(values[used] for values in by_category))
        how = f"{REPLICA}: paired t over categories, which are no sample of anything"
        mean = float((by_category[1] - by_category[0])[used].mean())
        yield {"metric": f"mean_{metric}", "value": mean, "p_value": p_value, "method": how}
    per_group = [np.trace(one, axis1=1, axis2=2) / one.sum(axis=(1, 2)) for one in (before, after)]
    if len(before) > 1:
        _, _, p_value = replicas.paired_t(*per_group)
        how = f"{REPLICA}: paired t of group accuracies, groups weighing alike whatever their size"
        # What its p value is about: not the difference of the pooled cells.
        mean = float((per_group[1] - per_group[0]).mean())
        yield {"metric": "accuracy", "value": mean, "p_value": p_value, "method": how}


def _wald(one: Scored) -> Row:
    """Give the interval of a model's own accuracy that the papers gave."""
    counts = one.matrices.sum(axis=0)
    share = float(np.trace(counts) / counts.sum())
    low, high = replicas.wald(share, int(counts.sum()))
    how = f"{REPLICA}: Wald interval of a model's own accuracy, cells taken as independent"
    return {"metric": "accuracy", "value": share, "low": low, "high": high, "method": how}


def _mcnemar(arms: Mapping[str, pl.DataFrame], baseline: str) -> Iterator[Row]:
    """Give McNemar's exact test of each other model's calls, its cells taken as independent."""
    right = {}
    for arm, table in arms.items():
        ready = in_order(table)
        right[arm] = np.array(read_truth(ready)) == ready["predicted"].to_numpy()
    for arm in (one for one in arms if one != baseline):
        lost = int((right[baseline] & ~right[arm]).sum())
        won = int((right[arm] & ~right[baseline]).sum())
        how = (
            f"{REPLICA}: McNemar exact, {lost} cells right in the baseline alone, {won} in the "
            "other alone, cells taken as independent"
        )
        yield {"arm": arm, "baseline": baseline, "metric": "accuracy", "method": how} | {
            "value": (won - lost) / len(right[arm]),
            "p_value": replicas.mcnemar_exact(lost, won),
        }


def _refuse_other_words(arms: Mapping[str, pl.DataFrame], baseline: str) -> None:
    """Refuse models whose answers differ so that the same true label is two categories."""
    first = in_order(arms[baseline])
    read = read_truth(first)
    for arm, table in arms.items():
        other = in_order(table)
        pairs = zip(read, read_truth(other), first["category"], strict=True)
        unlike = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if unlike is None:
            continue
        answers = [set(answers_of(one)) for one in (first, other)]
        mine, theirs = (
            ", ".join(categories.ordered([*one])) or "no other"
            for one in (answers[0] - answers[1], answers[1] - answers[0])
        )
        raise DataError(
            f"The models {baseline} and {arm} answer different categories, {mine} against "
            f"{theirs}, so that the true label {unlike[2]} is read as {unlike[0]} for one and as "
            f"{unlike[1]} for the other. Nothing was compared. Give predictions of both in the "
            "coarser words: in the table of the finer model merge band and segmented to "
            "neutrophil (or whichever words the other lacks), in the column predicted, and add up "
            "their columns p_…."
        )


def _note_other_probabilities(spoken: Mapping[str, Forecasts | None], baseline: str) -> None:
    first = spoken[baseline]
    for arm, other in spoken.items():
        if first is None or other is None or first.names == other.names:
            continue
        lone = categories.ordered([*set(first.names) ^ set(other.names)])
        note(
            f"AUROC, Brier score and log loss of {arm} are not compared with those of {baseline}: "
            f"their probabilities are of different categories ({', '.join(lone)} only in one)."
        )


def _note_same_calls(arms: Mapping[str, pl.DataFrame]) -> None:
    called = {arm: in_order(table)["predicted"] for arm, table in arms.items()}
    for (one, calls), (two, others) in combinations(called.items(), 2):
        if calls.equals(others):
            note(f"The calls of {one} and {two} are the same in all {len(calls)} cells.")


def _probability_rows(said: Mapping[str, Forecasts], baseline: str) -> Iterator[Row]:
    first = said[baseline]
    n_groups = int(first.groups.max()) + 1
    codes, n_blocks = blocks(first.groups, n_groups)
    before, without = _auroc(first, codes, n_blocks)
    for arm, other in said.items():
        if arm == baseline or other.names != first.names:
            continue
        about = {"arm": arm, "baseline": baseline}
        value, left = _auroc(other, codes, n_blocks)
        row = _numbers(fixed.difference_interval(value - before, left - without))
        if n_blocks < n_groups:
            blocked = f"{n_blocks} blocks of {n_groups} groups"
            row["method"] = row["method"].replace(f"{n_blocks} groups", blocked)
        yield about | {"metric": "auroc"} | row
        for metric, of_cells in (("brier", losses.brier_losses), ("log_loss", losses.log_losses)):
            one, two = (of_cells(x.probabilities, x.truth) for x in (first, other))
            excess = losses.mean_without_each(two - one, first.groups)
            row = _numbers(fixed.difference_interval(*excess, bound=np.inf))
            yield about | row | {"metric": metric, "method": f"{row['method']}; less is better"}


def _auroc(
    one: Forecasts, codes: npt.NDArray[np.int64], n_blocks: int
) -> tuple[float, npt.NDArray[np.float64]]:
    """Compute the mean AUROC of one category against the rest, whole and without each block."""
    occurs = [c for c in range(len(one.names)) if 0 < (one.truth == c).sum() < len(one.truth)]
    pairs = [
        ranking.concordance(one.probabilities[:, c], one.truth == c, codes, n_blocks)
        for c in occurs
    ]
    whole = float(np.mean([ranking.auroc_of(pair) for pair in pairs])) if pairs else np.nan
    without = [ranking.auroc_without_each(pair) for pair in pairs]
    return whole, np.mean(without, axis=0) if pairs else np.full(n_blocks, np.nan)


def _numbers(found: FixedDifference) -> Row:
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "method": found.method,
    }
