"""From measures of cells, as they are and changed, to the tables of scripts/limits."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from limits_cells import ANEW, CARRIED, UNTOUCHED
from limits_methods import FOR_GRANULES, METHODS, SEED, SETTINGS
from scipy.stats import binomtest
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

from leukoscope.foundation.streams import stream
from leukoscope.morphology.definitions import NAMES
from leukoscope.records.categories import NOZAKA6
from leukoscope.stats.binomial import wilson

Reals = npt.NDArray[np.float64]
Shown = npt.NDArray[np.str_]

FOLDS = 10
LEAST_KEPT = 0.9
MOST_MOVED = 0.5
"""The rule: on outlines carried along at least this share of calls is kept; on outlines found anew,
of which there are fewer, the upper bound of the share kept is not below it; and either way no
measure of the category's border has a median shift of this share of the way across it, or more."""
ALL = "all"
KEYS = ("method", "strength", "outline")

GRANULARITIES = {
    f"{part}_granularity": [name for name in NAMES if name.startswith(f"{part}_granularity")]
    for part in ("nucleus", "cytoplasm")
}
"""Sums over all radii of a spectrum."""
CHOSEN = (
    *("cell_diameter_px", "nucleus_share", "lobe_count", "neck_ratio"),
    *("nucleus_granularity", "cytoplasm_granularity", "nucleus_lightness_mean"),
    *("cytoplasm_lightness_mean", "cytoplasm_red_green_mean", "cytoplasm_yellow_blue_mean"),
)
"""The measures whose shifts are reported."""


NEUTROPHILS = ("segmented", "band")
GRANULES = ("cytoplasm_granularity", "cytoplasm_red_green_mean", "cytoplasm_yellow_blue_mean")
BORDERS = {
    "segmented": ("band", ("neck_ratio", "lobe_count")),
    "band": ("segmented", ("neck_ratio", "lobe_count")),
    "eosinophil": ("basophil", GRANULES),
    "basophil": ("eosinophil", GRANULES),
    "monocyte": ("lymphocyte", ("nucleus_share", "cell_diameter_px")),
    "lymphocyte": ("monocyte", ("nucleus_share", "cell_diameter_px")),
}
"""The category each is told from by a few measures, and these, named before any result."""


Shifts = dict[tuple, dict[str, dict[str, float]]]


class Distance(NamedTuple):
    """Say how far, by one measure, a category lies from others, in spreads."""

    median: float
    spread: float
    """Standard deviation within categories, pooled over all six."""
    nearest: str
    """The nearest category, by medians, of those at least one spread away; empty if none is."""
    to_nearest: float
    """How far it is; NaN if there is none."""
    to_partner: float
    """How far the category across the border is."""


Distances = Mapping[tuple[str, str], Distance]


def with_sums(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the granularities over all radii."""
    sums = {name: pl.sum_horizontal(parts) for name, parts in GRANULARITIES.items()}
    known = {
        name: pl.when(pl.all_horizontal(pl.col(GRANULARITIES[name]).is_not_null())).then(total)
        for name, total in sums.items()
    }
    return rows.with_columns(**known)


def distances_of(pool: pl.DataFrame) -> dict[tuple[str, str], Distance]:
    """Measure how far categories lie apart, from cells as they are."""
    found = {}
    for measure in CHOSEN:
        by = {name: pool.filter(category=name)[measure].drop_nulls().to_numpy() for name in NOZAKA6}
        spread = float(np.sqrt(np.mean([values.var(ddof=1) for values in by.values()])))
        medians = {name: float(np.median(values)) for name, values in by.items()}
        for name, median in medians.items():
            apart = {other: abs(value - median) / spread for other, value in medians.items()}
            told = {other: value for other, value in apart.items() if value >= 1}
            nearest = min(told, key=lambda other: told[other], default="")
            to_nearest, to_partner = told.get(nearest, float("nan")), apart[BORDERS[name][0]]
            found[name, measure] = Distance(median, spread, nearest, to_nearest, to_partner)
    return found


def in_rule(category: str, distances: Distances) -> list[str]:
    """Name the measures that the rule looks at: those of the border that tell it, by a spread."""
    return [name for name in BORDERS[category][1] if distances[category, name].to_partner >= 1]


def distance_rows(distances: Distances) -> Iterator[dict]:
    for (category, measure), one in distances.items():
        row = {"category": category, "measure": measure, "median": one.median}
        row |= {"pooled_sd": one.spread, "nearest_told": one.nearest or None}
        row |= {"sd_to_nearest_told": one.to_nearest, "partner": BORDERS[category][0]}
        row |= {"sd_to_partner": one.to_partner}
        yield row | {"in_rule": int(measure in in_rule(category, distances))}


def values_of(rows: pl.DataFrame) -> Reals:
    return rows.select(NAMES).fill_null(np.nan).to_numpy().astype(np.float64)


def boosted() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=SEED)


def extra_trees() -> ExtraTreesClassifier:
    return ExtraTreesClassifier(500, random_state=SEED, n_jobs=1)


JUDGES: dict[str, Callable[[], HistGradientBoostingClassifier | ExtraTreesClassifier]] = {
    "call": boosted,
    "call_extra": extra_trees,
}
"""The primary judge, that of scripts/measures-real, and another to see what hangs on it."""


def folds_of(pool: pl.DataFrame) -> dict[str, int]:
    """Deal the cells of each category into folds."""
    folds = {}
    for category in NOZAKA6:
        cells = sorted(pool.filter(category=category)["cell_id"])
        order = stream(SEED, "limits", "folds", category).permutation(len(cells))
        folds |= {cells[place]: rank % FOLDS for rank, place in enumerate(order)}
    return folds


def judged(rows: pl.DataFrame) -> pl.DataFrame:
    """Call every row by trees that learnt from other cells, as they are; nothing found, no call."""
    pool = rows.filter((pl.col("method") == UNTOUCHED) & pl.col("found"))
    folds = folds_of(pool)
    fold = rows["cell_id"].replace_strict(folds, default=-1).to_numpy()
    values, found = values_of(rows), rows["found"].to_numpy()
    learnt = (rows["method"] == UNTOUCHED).to_numpy() & found
    truth = rows["category"].to_numpy()
    said = {name: np.full(rows.height, "", dtype=object) for name in JUDGES}
    for name, make in JUDGES.items():
        for held in range(FOLDS):
            seen, asked = learnt & (fold != held), found & (fold == held)
            if asked.any():
                said[name][asked] = make().fit(values[seen], truth[seen]).predict(values[asked])
    return rows.with_columns(pl.Series(name, calls, pl.String) for name, calls in said.items())


def judge_rows(calls: pl.DataFrame) -> Iterator[dict]:
    """Say how often the judges call cells rightly as they are."""
    pool = calls.filter((pl.col("method") == UNTOUCHED) & pl.col("found"))
    for judge in JUDGES:
        for category in (*NOZAKA6, ALL):
            some = pool if category == ALL else pool.filter(category=category)
            right = int((some[judge] == some["category"]).sum())
            low, high = wilson(right, some.height)
            named = {"judge": "boosted" if judge == "call" else "extra", "category": category}
            numbers = {"share": right / some.height, "low": low, "high": high}
            yield named | {"n": some.height, "right": right} | numbers


def before_and_after(calls: pl.DataFrame) -> pl.DataFrame:
    """Put beside each changed cell what it was before; names of that end in ``_before``."""
    before = calls.filter(method=UNTOUCHED).select("cell_id", *JUDGES, *CHOSEN)
    changed = calls.filter(pl.col("method") != UNTOUCHED)
    return changed.join(before, on="cell_id", suffix="_before", validate="m:1")


def of_complete(pairs: pl.DataFrame) -> pl.DataFrame:
    """Leave out the segmented cells that were outlined anew after scaling alone."""
    full = pairs.group_by("cell_id", "outline").len().filter(pl.col("len") == len(SETTINGS))
    return pairs.join(full.select("cell_id", "outline"), on=["cell_id", "outline"], how="semi")


def merged(name: str) -> pl.Expr:
    """Read a call with bands and segmented cells as one."""
    return pl.col(name).replace(dict.fromkeys(NEUTROPHILS, "neutrophil"))


def turned(pairs: pl.DataFrame) -> dict[tuple, str]:
    """Say in words what the calls that were not kept turned into."""
    other = pairs.filter(pl.col("found") & (pl.col("call") != pl.col("call_before")))
    counts = other.group_by(*KEYS, "category", "call_before", "call").len("n")
    said: dict[tuple, str] = {}
    for row in counts.sort("n", "call_before", "call", descending=[True, False, False]).rows():
        *keys, before, after, n = row
        said[*keys] = "; ".join(filter(None, [said.get((*keys,)), f"{before} to {after} {n}"]))
    return said


def counted(pairs: pl.DataFrame) -> pl.DataFrame:
    """Count what was kept, by method, strength, outline and category, and over all categories."""
    kept = pairs.with_columns(
        lost=~pl.col("found"),
        flagged=pl.col("found") & (pl.col("flags") != ""),
        kept=pl.col("found") & (pl.col("call") == pl.col("call_before")),
        kept_merged=pl.col("found") & (merged("call") == merged("call_before")),
        kept_extra=pl.col("found") & (pl.col("call_extra") == pl.col("call_extra_before")),
        right_before=pl.col("call_before") == pl.col("category"),
        right=pl.col("found") & (pl.col("call") == pl.col("category")),
    )
    both = pl.concat([kept, kept.with_columns(category=pl.lit(ALL))])
    sums = ("lost", "flagged", "kept", "kept_merged", "kept_extra", "right_before", "right")
    return both.group_by(*KEYS, "category").agg(pl.len().alias("n"), pl.col(sums).sum())


def moved(pairs: pl.DataFrame, distances: Distances) -> Shifts:
    """Compute median shifts in pooled spreads within categories, by setting and category.

    For each: ``absolute``, the median of absolute shifts, and ``signed``, that of shifts.
    """
    found: Shifts = {}
    for (*keys, category), some in pairs.filter("found").group_by(*KEYS, "category"):
        absolute, signed = {}, {}
        for measure in CHOSEN:
            shift = (some[measure] - some[f"{measure}_before"]).drop_nulls().to_numpy()
            if shift.size:
                spread = distances[category, measure].spread
                absolute[measure] = float(np.median(np.abs(shift))) / spread
                signed[measure] = float(np.median(shift)) / spread
        found[*keys, category] = {"absolute": absolute, "signed": signed}
    return found


def over_the_border(category: str, absolute: Mapping[str, float], distances: Distances) -> dict:
    """Divide shifts by the distance to the partner and name the measure that moves most."""
    shares = {
        name: absolute[name] / distances[category, name].to_partner
        for name in in_rule(category, distances)
        if name in absolute
    }
    most = max(shares, key=lambda name: shares[name], default=None)
    return {"most_moved": most, "shift": shares[most] if most else None}


def in_order(outlines: tuple[str, ...] = (ANEW, CARRIED)) -> Iterator[tuple[str, float, str]]:
    for setting in SETTINGS:
        for outline in outlines:
            yield setting.method, setting.strength, outline


def moved_rows(shifts: Shifts) -> Iterator[dict]:
    for keys in in_order():
        for category in NOZAKA6:
            for statistic, by in shifts.get((*keys, category), {}).items():
                named = dict(zip(KEYS, keys, strict=True)) | {"category": category}
                shown = {measure: by.get(measure) for measure in CHOSEN}
                yield named | {"statistic": statistic} | shown


def kept_rows(pairs: pl.DataFrame, shifts: Shifts, distances: Distances) -> Iterator[dict]:
    """Write shares of calls kept, with Wilson's bounds over cells, and the rule's verdict."""
    counts = {
        (*(row[key] for key in KEYS), row["category"]): row
        for row in counted(pairs).iter_rows(named=True)
    }
    words = turned(pairs)
    for keys in in_order():
        for category in (*NOZAKA6, ALL):
            row = counts[*keys, category]
            low, high = wilson(row["kept"], row["n"])
            named = dict(zip(KEYS, keys, strict=True)) | {"unit": METHODS[keys[0]].unit}
            named |= {"category": category, "n": row["n"], "lost": row["lost"]}
            named |= {"flagged": row["flagged"], "kept": row["kept"]}
            named |= {"share_kept": row["kept"] / row["n"], "low": low, "high": high}
            named |= {name: row[name] for name in ("kept_merged", "kept_extra")}
            named |= {"right_before": row["right_before"], "right": row["right"]}
            absolute = shifts.get((*keys, category), {}).get("absolute", {})
            said = {"turned": words.get((*keys, category))}
            if category == ALL:
                yield named | {"most_moved": None, "shift": None, "within_rule": None} | said
            else:
                named |= over_the_border(category, absolute, distances)
                yield named | {"within_rule": int(is_within(named))} | said


def is_within(row: dict) -> bool:
    """Apply the rule to one way of outlining."""
    return keeps(row, row["kept"]) and (row["shift"] or 0) < MOST_MOVED


def keeps(row: dict, n_kept: int) -> bool:
    """Ask for the share of calls itself on many cells, for what it could be on few."""
    if row["outline"] == CARRIED:
        return n_kept / row["n"] >= LEAST_KEPT
    return wilson(n_kept, row["n"])[1] >= LEAST_KEPT


def recommendation_rows(kept: list[dict]) -> Iterator[dict]:
    """Name, for each category and method, the strength up to which the rule holds both ways.

    Where it ends, say by what: whether the cell itself gives way, on its own outline carried
    along, or its outline found anew alone.
    """
    by = {(*(row[key] for key in KEYS), row["category"]): row for row in kept}
    for category in NOZAKA6:
        for method, one in METHODS.items():
            pairs = [
                tuple(by[method, float(v), way, category] for way in (CARRIED, ANEW))
                for v in one.strengths
            ]
            n_safe = until_first([all(way["within_rule"] for way in both) for both in pairs])
            row = {"category": category, "method": method, "unit": one.unit}
            row |= {"safe_up_to": one.strengths[n_safe - 1] if n_safe else None}
            for way, column in enumerate((CARRIED, ANEW)):
                last = pairs[n_safe - 1][way] if n_safe else {}
                row |= {f"{name}_{column}": last.get(name) for name in ("kept", "n", "low")}
            if category in NEUTROPHILS:
                n = until_first([all(keeps(w, w["kept_merged"]) for w in both) for both in pairs])
                row |= {"merged_safe_up_to": one.strengths[n - 1] if n else None}
            else:
                row |= {"merged_safe_up_to": None}
            yield row | what_ends(pairs[n_safe:])


def until_first(held: list[bool]) -> int:
    """Count the strengths, from the mildest, before the first that breaks the rule."""
    return next((i for i, holds in enumerate(held) if not holds), len(held))


def what_ends(pairs: list[tuple[dict, ...]]) -> dict:
    """Say at which strength the rule is first broken, by what, and what gives way."""
    if not pairs:
        return {"ends_at": None, "gives_way": None, "by": None}
    carried, anew = pairs[0]
    first = anew if carried["within_rule"] else carried
    reasons = []
    if not keeps(first, first["kept"]):
        lost = f", {first['lost']} lost" if first["lost"] else ""
        turned_into = f": {first['turned']}" if first["turned"] else ""
        reasons.append(f"{first['kept']} of {first['n']} calls kept{lost}{turned_into}")
    if (first["shift"] or 0) >= MOST_MOVED:
        reasons.append(f"{first['most_moved']} moves {first['shift']:.2f} of the way")
    gives_way = "outline" if carried["within_rule"] else "cell"
    return {"ends_at": first["strength"], "gives_way": gives_way, "by": ". ".join(reasons)}


def granule_rows(pairs: pl.DataFrame) -> Iterator[dict]:
    """Count segmented cells called eosinophil or basophil as scaling grows (N22-S18).

    Beside them, an exact sign test on the cells that turned granular against those that ceased.
    """
    granular = ["eosinophil", "basophil"]
    for method, strength in FOR_GRANULES:
        for outline in (ANEW, CARRIED):
            some = pairs.filter(
                method=method, strength=strength, outline=outline, category="segmented"
            )
            before, after = (some[name].is_in(granular) for name in ("call_before", "call"))
            begun, ceased = int((after & ~before).sum()), int((before & ~after).sum())
            row = {"method": method, "strength_percent": strength, "outline": outline}
            row |= {"n": some.height, "lost": int((~some["found"]).sum())}
            row |= {name: int((some["call"] == name).sum()) for name in (*granular, "band")}
            row |= {f"{name}_before": int((some["call_before"] == name).sum()) for name in granular}
            changed = begun + ceased
            p_value = binomtest(begun, changed).pvalue if changed else 1.0
            yield row | {"begun": begun, "ceased": ceased, "p_value": p_value}
