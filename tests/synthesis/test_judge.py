"""The judge: real cells score best, noise worst, copies are caught, honest cells are not."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.ndimage import gaussian_filter, rotate
from tests.synthesis import judged

from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import resize
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.reporting.judgement_tables import JudgementPage
from leukoscope.reporting.judgement_words import doubts, likeness_of
from leukoscope.synthesis.features import open_judge_features
from leukoscope.synthesis.judge import judge_generated


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return judged.drawn_cells(tmp_path_factory.mktemp("judged"))


@pytest.fixture(scope="module")
def mixed(dataset, tmp_path_factory, one_thread):
    """Judge honest cells with ten planted copies behind them, and noise beside."""
    cells = judged.cells_of(dataset, "test")[:54] + judged.copies_of(
        judged.cells_of(dataset, "train")[:10], 1
    )
    drawn = judged.ingested(cells, tmp_path_factory.mktemp("mixed"))
    return judge(dataset, drawn, noise=True)


def judge(dataset, drawn, **more):
    features = open_judge_features(None, size_px=32)
    return judge_generated(read_dataset(dataset), read_dataset(drawn), features=features, **more)


def value(found, arm, metric, category=None, what="value"):
    rows = found.results.filter(
        (pl.col("arm") == arm)
        & (pl.col("metric") == metric)
        & pl.col("category").eq_missing(category)
    )
    return rows[what].item()


def test_each_planted_copy_is_found_and_no_honest_cell(mixed):
    """Ten of sixty-four are copies; they, and they alone, are called so."""
    number = mixed.neighbours["cell_id"].str.extract(r"(\d{4})").cast(pl.Int32)
    assert mixed.neighbours["memorised"].to_list() == (number >= 54).to_list()
    assert value(mixed, "generated", "memorised") == pytest.approx(10 / 64)
    assert value(mixed, "real", "memorised") <= 0.01
    assert mixed.has_errors
    named = mixed.findings.filter(check="memorised")
    assert named["cell_id"].to_list() == mixed.neighbours.filter("memorised")["cell_id"].to_list()
    assert set(named["severity"]) == {"error"}


def test_real_scores_best_and_noise_worst(mixed):
    """Generated cells, here mostly real ones, stand near the reference and far from noise."""
    for metric in ("precision", "density", "coverage"):
        assert value(mixed, "noise", metric) < 0.2 < value(mixed, "generated", metric)
    for metric in ("kid", "fid"):
        worst = value(mixed, "noise", metric)
        assert worst > 10 * max(value(mixed, arm, metric) for arm in ("real", "generated"))
    assert value(mixed, "real", "kid", what="low") < 0 < value(mixed, "real", "kid", what="high")
    assert "biased" in value(mixed, "generated", "fid", what="method")


def test_every_number_has_its_reference_and_its_interval(mixed):
    """Beside each generated value stands the real one, and bounds round all but FID and test."""
    own = mixed.results.filter(arm="generated").select("metric", "category")
    real = mixed.results.filter(arm="real").select("metric", "category")
    lacking = own.join(real, on=["metric", "category"], how="anti", nulls_equal=True)
    assert set(lacking["metric"]) <= {"memorised", "memorisation"}
    told = mixed.results.filter(~pl.col("metric").is_in(["fid", "memorisation"]))
    known = told.drop_nulls("value")
    assert (known["low"] <= known["value"]).all()
    assert (known["value"] <= known["high"]).all()


def test_outside_cells_are_named_and_no_error(mixed):
    """Where no real cell lies round a generated one, a finding says so."""
    named = mixed.findings.filter(check="outside real cells")
    outside = mixed.neighbours.filter(~pl.col("in_manifold"))
    assert set(named["cell_id"]) == set(outside["cell_id"])
    assert set(named["severity"]) <= {"info"}


@pytest.mark.parametrize("seed", range(3))
def test_honest_cells_are_no_memoriser(dataset, tmp_path, seed):
    """Held-out cells that neither fitted nor judge are not called copies, one by one or all."""
    rng = np.random.default_rng(seed)
    cells = judged.cells_of(dataset, "test")
    chosen = [cells[place] for place in rng.permutation(len(cells))[:48]]
    found = judge(dataset, judged.ingested(chosen, tmp_path), seed=seed)
    assert not found.neighbours["memorised"].any()
    assert found.memorisation_p_value > 0.02


@pytest.mark.parametrize("seed", range(2))
def test_a_memoriser_is_caught_whole(dataset, tmp_path, seed):
    """Copies of fitted cells alone: all are called so, and the test is significant."""
    cells = judged.copies_of(judged.cells_of(dataset, "train")[seed * 40 :][:40], seed)
    found = judge(dataset, judged.ingested(cells, tmp_path), seed=seed)
    assert found.neighbours["memorised"].all()
    assert found.memorisation_p_value < 0.05


def oblique_copies(cells, seed):
    """Turn cells by an odd multiple of 45 degrees, mirror some of them, and add noise."""
    rng = np.random.default_rng(seed)
    found = []
    for category, one in cells:
        angle = 45 + 90 * rng.integers(4)
        moved = rotate(one.astype(float), angle, (1, 0), reshape=False, order=1, mode="mirror")
        moved = moved[:, :: rng.choice([-1, 1])] + rng.normal(0, 3, one.shape)
        found.append((category, np.clip(moved, 0, 255).round().astype(np.uint8)))
    return found


def test_copies_turned_by_45_degrees_are_flagged(dataset, tmp_path):
    """Nine in ten of them at least, in a pose of the second eight; of honest cells 1 % at most."""
    cells = judged.cells_of(dataset, "test")[:40]
    cells += oblique_copies(judged.cells_of(dataset, "train")[:40], 3)
    found = judge(dataset, judged.ingested(cells, tmp_path)).neighbours
    copied = found["cell_id"].str.extract(r"(\d{4})").cast(pl.Int32) >= 40
    flagged = found.filter(copied & pl.col("memorised"))
    assert flagged.height >= 36
    assert (flagged["pose"] >= 8).all()
    assert found.filter(~copied)["memorised"].sum() == 0


def with_few_judging(dataset, cells, folder):
    """Write cells as a generator's that 26 cells judge."""
    real = read_dataset(dataset)
    sides = read_split(real, "splits", 0, 0).sort("content")
    fit = sides.filter(pl.col("split") == "train")["content"].to_list()
    held = sides.filter(pl.col("split") == "validation")["content"].to_list()
    return judged.sampled(cells, folder, fit=fit, stop=[], judge=held[:26])


def test_few_cells_call_nothing_alike(dataset, tmp_path):
    """By 26 held-out cells neither blurred cells, nor five repeated, nor honest ones are alike."""
    honest = judged.cells_of(dataset, "test")[:40]
    blurred = [
        (category, gaussian_filter(one.astype(float), (2, 2, 0)).round().astype(np.uint8))
        for category, one in honest
    ]
    for name, cells in (("honest", honest), ("blurred", blurred), ("repeated", honest[:5] * 8)):
        drawn = with_few_judging(dataset, cells, tmp_path / name)
        features = replace(open_judge_features(None, size_px=32), name="a trained network")
        found = judge_generated(read_dataset(dataset), read_dataset(drawn), features=features)
        page = JudgementPage(found.results, found.neighbours, found.about, {})
        assert likeness_of(page) != "alike"
        assert "26 held-out cells cannot tell" in doubts(page)[0]


def test_the_card_says_which_cells_fit_and_judge(dataset, tmp_path):
    """Only named cells are compared, at the generator's size; those that stopped are not."""
    real = read_dataset(dataset)
    sides = read_split(real, "splits", 0, 0)
    fit = sides.filter(pl.col("split") == "train")["content"][:100]
    held = sides.filter(pl.col("split") == "validation")["content"]
    cells = [(name, resize(one, 16)) for name, one in judged.cells_of(dataset, "test")[:30]]
    parts = {"fit": fit, "stop": held[:20], "judge": held[20:]}
    found = judge(dataset, judged.sampled(cells, tmp_path / "set", **parts))
    assert found.about["size_px"] == 16
    assert sum(one["n_fit"] for one in found.about["cells"]) == 100
    assert sum(one["n_held_out"] for one in found.about["cells"]) == len(held) - 20
    known = dict(real.manifest.select("cell_id", "content").iter_rows())
    assert {known[one] for one in found.neighbours["nearest_fit"]} <= set(fit)
    assert {known[one] for one in found.neighbours["nearest_held_out"]} <= set(held[20:])


def test_a_run_of_these_categories_calls_the_cells(cells, finished, tmp_path):
    """The share called as asked stands beside that of real cells, with exact bounds."""
    some = [one for one in judged.cells_of(cells, "test") if one[0] != "band"]
    features = open_judge_features(finished)
    real, drawn = read_dataset(cells), read_dataset(judged.ingested(some, tmp_path))
    found = judge_generated(real, drawn, features=features)
    called = np.array(features.calls(np.stack([one for _, one in some])))
    right = called == np.array([category for category, _ in some])
    assert value(found, "generated", "called_as_asked") == pytest.approx(right.mean())
    assert value(found, "generated", "called_as_asked", what="n_cells") == len(some)
    assert "trained or chose" in value(found, "real", "called_as_asked", what="method")


def test_a_category_of_few_cells_is_told_and_not_refused(dataset, tmp_path):
    """Its rows say that there are too few, and the others stand."""
    some = judged.cells_of(dataset, "test")
    few = [one for one in some if one[0] == "lymphocyte"][:3]
    many = [one for one in some if one[0] == "segmented"][:20]
    found = judge(dataset, judged.ingested(few + many, tmp_path))
    assert value(found, "generated", "kid", "lymphocyte") is None
    assert "3 cells" in value(found, "generated", "kid", "lymphocyte", what="method")
    assert value(found, "generated", "kid", "segmented") is not None


def test_the_same_seed_gives_the_same_tables(dataset, tmp_path):
    """Two judgements of one set are equal, and another seed changes draws alone."""
    drawn = judged.ingested(judged.cells_of(dataset, "test")[:40], tmp_path)
    one, again, other = judge(dataset, drawn), judge(dataset, drawn), judge(dataset, drawn, seed=1)
    assert one.results.equals(again.results)
    assert one.neighbours.equals(other.neighbours)


def test_refuses_a_set_without_ground(dataset, tmp_path):
    """Too few cells that judge, a card that is gone, cells of another dataset."""
    sides = read_split(read_dataset(dataset), "splits", 0, 0)
    held = sides.filter(pl.col("split") == "validation")["content"]
    fit = sides.filter(pl.col("split") == "train")["content"]
    some = judged.cells_of(dataset, "test")[:20]
    few = judged.sampled(some, tmp_path / "few", fit=fit, stop=held[15:], judge=held[:15])
    with pytest.raises(DataError, match="Only 15 held-out cells"):
        judge(dataset, few)
    gone = judged.sampled(some, tmp_path / "gone", fit=fit, stop=[], judge=held)
    next((gone / "generators").iterdir()).unlink()
    with pytest.raises(DataError, match="without its card"):
        judge(dataset, gone)
    strange = judged.sampled(some, tmp_path / "strange", fit=["f" * 32], stop=[], judge=held)
    with pytest.raises(DataError, match=r"1 of \d+ cells .* are not in"):
        judge(dataset, strange)
