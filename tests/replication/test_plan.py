"""The plan of a study: what it would take and could see, without anything of it being done."""

import json
import shutil

import polars as pl
import pytest
from tests.training.folders import change_table, state_of

import leukoscope
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.replication.plan import pilot_variance

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def studied(cells, study_file, tmp_path_factory, one_thread):
    """Do the short study."""
    out = tmp_path_factory.mktemp("pilot") / "study"
    leukoscope.study(str(study_file), data=cells, out=out, device="cpu")
    return out


def plan(study_file, cells, out, **options):
    """Plan it; give {quantity: value}."""
    table = leukoscope.study(
        str(study_file), data=cells, out=out, device="cpu", dry_run=True, **options
    )
    return dict(table.select("quantity", "value").rows())


def test_a_plan_counts_and_writes_nothing(cells, study_file, tmp_path):
    """Two arms, two replicates, four updates each; the dataset and the folder stay as they were."""
    before = state_of(cells)
    seen = plan(study_file, cells, tmp_path / "study")
    assert (seen["units"], seen["updates"], seen["replicates"]) == (4, 16, 2)
    assert seen["time"] > 0
    assert 0 < seen["disk"] < 1
    assert not (tmp_path / "study").exists()
    assert state_of(cells) == before


def test_what_is_finished_is_not_planned_again(cells, study_file, studied):
    """Of a finished study nothing is left to do, and nothing of it is touched."""
    before = state_of(studied)
    seen = plan(study_file, cells, studied)
    assert (seen["units"], seen["updates"], seen["time"]) == (4, 0, 0)
    assert state_of(studied) == before


def test_more_replicates_take_longer_and_see_more(cells, study_file, tmp_path):
    """Time grows with the units; the smallest difference shrinks."""
    few = plan(study_file, cells, tmp_path / "study", replicates=3)
    many = plan(study_file, cells, tmp_path / "study", replicates=30)
    name = "smallest difference it could see"
    assert many[name] < few[name]
    assert many["updates"] == 10 * few["updates"]


def test_a_pilot_gives_its_variance_and_never_its_effect(cells, study_file, studied, tmp_path):
    """The differences of the pilot are changed at will; the plan does not notice."""
    name = "smallest difference it could see"
    assumed = plan(study_file, cells, tmp_path / "study")
    seen = plan(study_file, cells, tmp_path / "study", pilot=studied)
    assert seen[name] != assumed[name]
    table = tables.read_table(studied / "results.parquet", shapes.RESULTS)
    is_effect = pl.col("baseline").is_not_null() & ~pl.col("metric").str.contains("_se_")
    shifted = table.with_columns(
        pl.when(is_effect).then(pl.col(column) + 0.3).otherwise(pl.col(column)).alias(column)
        for column in ("value", "low", "high")
    )
    (tmp_path / "pilot").mkdir()
    tables.write_table(tmp_path / "pilot" / "results.parquet", shifted, shapes.RESULTS)
    assert plan(study_file, cells, tmp_path / "study", pilot=tmp_path / "pilot")[name] == seen[name]
    halved = table.with_columns(
        pl.when(pl.col("metric").str.contains("_se_"))
        .then(0.5 * pl.col("value"))
        .otherwise(pl.col("value"))
        .alias("value")
    )
    tables.write_table(tmp_path / "pilot" / "results.parquet", halved, shapes.RESULTS)
    closer = plan(study_file, cells, tmp_path / "study", pilot=tmp_path / "pilot")[name]
    assert closer == pytest.approx(0.5 * seen[name])


def test_the_parts_of_a_pilot_are_those_of_its_table(studied):
    """Squares of the standard errors, with the design they were got from."""
    known = pilot_variance(studied, "accuracy", "case")
    table = tables.read_table(studied / "results.parquet", shapes.RESULTS)
    errors = dict(table.filter(view="strict").select("metric", "value").drop_nulls().rows())
    assert known.variance_groups == pytest.approx(errors["accuracy_se_groups"] ** 2)
    assert known.variance_replicates == pytest.approx(errors["accuracy_se_replicates"] ** 2)
    assert (known.n_groups, known.n_replicates) == (3, 2)


def test_what_is_no_pilot_is_refused(cells, study_file, studied, tmp_path):
    """No study, another metric, and a pilot for a study that is to be run."""
    with pytest.raises(DataError, match="is no finished study"):
        plan(study_file, cells, tmp_path / "study", pilot=tmp_path)
    with pytest.raises(DataError, match="does not tell the variance"):
        pilot_variance(studied, "auc", "case")
    with pytest.raises(DataError, match="one's variance says nothing"):
        pilot_variance(studied, "accuracy", "family")
    with pytest.raises(UsageError, match="holds a study with another recipe"):
        plan(study_file, cells, studied, updates=9)
    with pytest.raises(UsageError, match="belongs to --dry-run"):
        leukoscope.study(str(study_file), data=cells, out=tmp_path / "study", pilot=studied)


def test_the_command_prints_the_plan(cells, study_file, tmp_path):
    """A table for the eye, records for a script, nothing on disk."""
    from tests.cli.command import Process

    words = ["study", study_file, "--data", cells, "--out", tmp_path / "s", "--dry-run"]
    shown = Process(words, tmp_path).wait()
    assert shown.code == 0
    assert "smallest difference it could see" in shown.out
    record = json.loads(Process([*words, "--json"], tmp_path).wait().out)
    assert {row["quantity"]: row["value"] for row in record}["units"] == 4
    assert not (tmp_path / "s").exists()


def test_a_design_that_sees_nothing_says_so(cells, study_file, tmp_path):
    """One replicate has no spread: no number is given, in JSON null."""
    seen = plan(study_file, cells, tmp_path / "study", replicates=1)
    assert seen["smallest difference it could see"] is None


def test_one_unknown_person_in_training_makes_the_unit_the_family(cells, study_file, tmp_path):
    """As in the study itself: the test's people may be that person."""
    own = shutil.copytree(cells, tmp_path / "cells")
    train = pl.read_parquet(own / "splits.parquet").filter(split="train")["cell_id"][0]
    unknown = pl.when(pl.col("cell_id") != train).then(pl.col("case")).alias("case")
    change_table(own / "manifest.parquet", shapes.MANIFEST, unknown)
    table = leukoscope.study(
        str(study_file), data=own, out=tmp_path / "study", device="cpu", dry_run=True
    )
    basis = dict(table.select("quantity", "basis").rows())
    assert "the unit is the family" in basis["test cells"]
