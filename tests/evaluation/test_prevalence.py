import polars as pl
import pytest
from tests.evaluation.drawn import NAMES, values
from tests.evaluation.forecasting import forecasts

from leukoscope.evaluation.evaluation import Mix, evaluation_of
from leukoscope.evaluation.prevalence import REPRIORED
from leukoscope.foundation.errors import DataError

MIX = {"segmented": 5541, "band": 536, "eosinophil": 213, "lymphocyte": 2858}


def at(found, mix, how, view="strict"):
    """Give {(metric, category): value} at a mix, by one of the two ways to it."""
    rows = found.results.filter(pl.col("method").str.ends_with(how))
    return values(rows, prevalence=mix, view=view)


def test_at_the_mix_of_the_test_cells_nothing_changes():
    """Both ways to a mix end where they began."""
    table = forecasts(1, n_cells=400)
    own = {name: float((table["category"] == name).sum()) for name in NAMES}
    found = evaluation_of(table, mix=Mix("own", own))
    plain = values(found.results.filter(pl.col("prevalence").is_null()), view="strict", unit="case")
    reweighted = at(found, "own", "calls as they are")
    assert ("macro_f", None) in reweighted
    assert reweighted == pytest.approx({key: plain[key] for key in reweighted})
    repriored = at(found, "own", REPRIORED)
    assert repriored == pytest.approx({key: plain[key] for key in repriored})


def test_precision_at_a_mix_is_what_many_more_such_cells_would_show():
    """Each row repeated as often as the mix asks has the precision that reweighting gives."""
    table = forecasts(2, n_cells=120)
    counts = {name: int((table["category"] == name).sum()) for name in NAMES}
    wanted = {"segmented": 6, "band": 1, "eosinophil": 2, "lymphocyte": 3}
    lowest = 1
    for count in counts.values():
        lowest *= count
    times = {name: lowest // counts[name] * wanted[name] for name in NAMES}
    calls = table.group_by("category", "predicted").len()
    calls = calls.with_columns(n=pl.col("len") * pl.col("category").replace_strict(times))
    found = at(evaluation_of(table, mix=Mix("wanted", wanted)), "wanted", "calls as they are")
    for name in NAMES:
        called = calls.filter(pl.col("predicted") == name)
        right = called.filter(pl.col("category") == name)["n"].sum()
        assert found["precision", name] == pytest.approx(right / called["n"].sum())


def test_bands_are_called_less_where_they_are_stated_to_be_rare():
    """Re-priored to a tenth of bands, fewer cells are called band, and precision does not fall."""
    table = forecasts(3, n_cells=800, sharpness=1.0)
    found = evaluation_of(table, mix=Mix("nozaka", MIX))
    as_they_are = at(found, "nozaka", "calls as they are")
    again = at(found, "nozaka", REPRIORED)
    assert again["precision", "band"] > as_they_are["precision", "band"]
    assert again["accuracy", None] > as_they_are["accuracy", None]


def test_a_mix_of_finer_categories_holds_within_the_merged_one():
    """Merged precision is that of the reweighted cells, bands at their own stated share."""
    table = forecasts(4, n_cells=300, sharpness=1.0)
    found = evaluation_of(table, mix=Mix("m", MIX))
    merged = at(found, "m", "calls as they are", view="merged")
    counts = {name: (table["category"] == name).sum() for name in NAMES}
    weight = pl.col("category").replace_strict({n: MIX[n] / counts[n] for n in NAMES})
    neutrophil = pl.col("predicted").is_in(["band", "segmented"])
    called = table.filter(neutrophil).select("category", weight=weight)
    right = called.filter(pl.col("category").is_in(["band", "segmented"]))["weight"].sum()
    assert merged["precision", "neutrophil"] == pytest.approx(right / called["weight"].sum())
    assert ("precision", "neutrophil") in at(found, "m", REPRIORED, view="merged")


@pytest.mark.parametrize(
    ("mix", "said"),
    [({**MIX, "blast": 3}, "blast"), ({"segmented": 1.0, "band": 1.0}, "lymphocyte|eosinophil")],
)
def test_a_mix_of_other_categories_is_refused(mix, said):
    """A category too many or too few is named."""
    with pytest.raises(DataError, match=said):
        evaluation_of(forecasts(5), mix=Mix("odd", mix))


def test_a_model_that_answers_neutrophil_is_told_the_sum_of_band_and_segmented():
    """As stated supports are read: a finer mix is added up to the answers."""
    table = forecasts(6, names=("neutrophil", "eosinophil", "lymphocyte"))
    found = evaluation_of(table, mix=Mix("nozaka", MIX)).results
    shares = found.filter(pl.col("metric") == "stated_share")
    total = sum(MIX.values())
    stated = dict(shares.select("category", "value").rows())
    assert stated["neutrophil"] == pytest.approx((MIX["segmented"] + MIX["band"]) / total)
