"""Gains and losses of each category are the results' own, drawn to one scale."""

from dataclasses import replace

import polars as pl
import pytest
from tests.reporting.reading import read, rows, table
from tests.reporting.rotation import EFFECTS, rotation

from leukoscope.reporting import gains
from leukoscope.reporting.contents import StudyPage, scores_of
from leukoscope.reporting.study_page import study_page

PAGE: StudyPage = rotation(n_replicates=2)
TABLE = gains.gain_table(PAGE, scores_of(PAGE))
LAID_OUT = gains.gain_tables(PAGE, TABLE)
HTML = study_page(PAGE)
PAIRED = pl.col("baseline").is_not_null() & pl.col("category").is_not_null()


def signed(value: float) -> str:
    """Write a difference in points with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def test_the_table_is_the_results() -> None:
    """Each strict category and the merged neutrophils, in every arm and metric, once."""
    given = PAGE.results.filter(PAIRED)
    merged_alone = (pl.col("view") == "strict") | (pl.col("category") == "neutrophil")
    columns = list(gains.GAIN)
    expected = given.filter(merged_alone).select(columns)
    assert sorted(TABLE.rows()) == sorted(expected.rows())


@pytest.mark.parametrize("metric", ["f", "recall", "precision"])
def test_the_page_shows_every_number(metric: str) -> None:
    """Row and column name the number, in points with its sign and interval."""
    shown = rows(table(read(HTML), f"gains-{metric}").all("tbody")[0])
    assert [row[0] for row in shown][-1] == "Neutrophil merged"
    for label, *cells in shown:
        name = label.removesuffix(" merged").lower()
        for arm, cell in zip(EFFECTS, cells, strict=True):
            chosen = TABLE.filter(
                pl.col("metric") == metric, pl.col("arm") == arm, pl.col("category") == name
            ).row(0, named=True)
            assert cell.split()[0] == signed(chosen["value"])
            bounds = [text for text in cell.split()[1:] if text != "to"]
            for text, bound in zip(bounds, (chosen["low"], chosen["high"]), strict=True):
                assert float(text.replace("−", "-")) == pytest.approx(100 * bound, abs=0.051)


def test_bars_read_back_as_values() -> None:
    """A gain starts in the middle and goes right, a loss ends there; all to the named edge."""
    for laid_out in LAID_OUT:
        edge = float(laid_out.edge) / 100
        assert edge >= TABLE.filter(pl.col("metric") == laid_out.metric)["high"].max()
        for category, merged, row in laid_out.rows:
            for arm, shown in zip(EFFECTS, row, strict=True):
                view = "merged" if merged else "strict"
                named = {"arm": arm, "metric": laid_out.metric, "category": category, "view": view}
                (given,) = TABLE.filter(**named).to_dicts()
                assert shown.bar is not None
                start, width, low, high = (
                    float(str(getattr(shown.bar, name)).rstrip("%"))
                    for name in ("start", "width", "low", "high")
                )
                side = 1 if given["value"] > 0 else -1
                assert shown.bar.kind == ("gain" if side > 0 else "loss")
                assert start == pytest.approx(50 - (0 if side > 0 else width), abs=0.11)
                assert side * width / 50 * edge == pytest.approx(given["value"], abs=2e-3 * edge)
                for place, name in ((low, "low"), (high, "high")):
                    assert (place - 50) / 50 * edge == pytest.approx(given[name], abs=2e-3 * edge)


def test_a_missing_interval_and_a_missing_value_say_why() -> None:
    """Without bounds there is a bar alone, without a value not even that."""
    chosen = PAIRED & (pl.col("arm") == "rotated-100") & (pl.col("metric") == "f")
    band, basophil = (chosen & (pl.col("category") == name) for name in ("band", "basophil"))
    nothing = [
        pl.when(band | basophil).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("low", "high")
    ]
    value = pl.when(basophil).then(None).otherwise(pl.col("value")).alias("value")
    why = pl.when(band | basophil).then(pl.lit("undefined: too few")).otherwise("method")
    results = PAGE.results.with_columns(*nothing, value, why.alias("method"))
    page = replace(PAGE, results=results)
    shown = table(read(study_page(page)), "gains-f").all("tbody")[0].all("tr")
    cells = [row.all("td")[0] for row in shown]
    assert cells[1].words().endswith("no interval: too few")
    assert not cells[1].all("line", **{"class": "reach"})
    assert len(cells[1].all("rect")) == 1
    assert cells[3].words() == "undefined too few"
    assert not cells[3].all("svg")


def test_without_numbers_there_is_no_table() -> None:
    """Older results show the scores of each category alone."""
    built = read(study_page(replace(PAGE, results=PAGE.results.filter(~PAIRED))))
    assert "Gains and losses" not in built.words()
    assert built.all("h2", id="categories")[0].words() == "Scores of each category"
