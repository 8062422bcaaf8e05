import pytest
import yaml
from tests.replication.conftest import STUDY

from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.replication.recipe import (
    StudyRecipe,
    Unit,
    load_study,
    named_studies,
    with_training,
)
from leukoscope.training.recipe import TrainingRecipe


def changed(tmp_path, change):
    """Write the study with a change made to its mapping."""
    value = yaml.safe_load(STUDY)
    change(value)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def test_a_unit_is_a_pure_function_of_the_recipe(study_file):
    """The same recipe gives the same units; arms differ in their augmentation alone."""
    first, second = load_study(str(study_file)), load_study(str(study_file))
    for arm in first.arms:
        for replicate in range(3):
            unit = first.training_of(Unit(arm, replicate))
            assert unit == second.training_of(Unit(arm, replicate))
            assert unit.augmentation == first.arms[arm].augmentation
            plain = first.training_of(Unit("none", replicate))
            same = unit.model_copy(update={"augmentation": plain.augmentation})
            assert same == plain


def test_replicates_differ_by_their_seed_alone(study_file):
    """A thousand seeds are all different; more replicates leave the first ones as they are."""
    study = load_study(str(study_file))
    units = [study.training_of(Unit("none", replicate)) for replicate in range(1000)]
    assert len({unit.seed for unit in units}) == 1000
    assert len({unit.model_copy(update={"seed": 0}).recipe_id for unit in units}) == 1
    more = study.model_copy(update={"replicates": 50})
    assert more.training_of(Unit("turned", 1)) == study.training_of(Unit("turned", 1))
    other = study.model_copy(update={"seed": 1})
    assert other.training_of(Unit("turned", 1)).seed != study.training_of(Unit("turned", 1)).seed


@pytest.mark.parametrize("name", named_studies())
def test_the_named_studies_can_be_read(name):
    """Each states a question, arms with descriptions, and a margin."""
    study = load_study(name)
    assert study.question.endswith("?")
    assert all(arm.description for arm in study.arms.values())


def test_an_unknown_study_names_the_near_one():
    """A slip of the finger."""
    with pytest.raises(UsageError, match="Did you mean rotation"):
        load_study("rotatoin")


FAULTS = {
    "misspelt key": (lambda v: v.update(margn=0.1), "margin"),
    "misspelt key inside training": (lambda v: v["training"].update(updtes=3), "updates"),
    "misspelt key of an arm": (lambda v: v["arms"]["none"].update(descripton="x"), "description"),
    "baseline not an arm": (lambda v: v.update(baseline="nothing"), "baseline 'nothing'"),
    "patience": (lambda v: v["training"].update(patience=2), "patience"),
    "one arm": (lambda v: v["arms"].pop("turned"), "at least two arms"),
    "arm no word": (lambda v: v["arms"].update({"a/b": v["arms"]["none"]}), "'a/b'"),
    "unknown metric": (lambda v: v.update(metric="auc"), "metric"),
    "margin of nothing": (lambda v: v.update(margin=0), "margin"),
    "no arms": (lambda v: v.pop("arms"), "arms"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_study_file_is_refused_by_name(tmp_path, fault):
    """The file and the fault are named; for a misspelt key the near one is."""
    change, said = FAULTS[fault]
    path = changed(tmp_path, change)
    with pytest.raises(RecipeError) as seen:
        load_study(str(path))
    assert said in str(seen.value)
    assert str(path) in str(seen.value)


def test_a_study_file_that_is_not_there_or_not_yaml_is_refused(tmp_path):
    """Two sentences for two faults."""
    with pytest.raises(RecipeError, match="cannot be read"):
        load_study(str(tmp_path / "nowhere.yaml"))
    (tmp_path / "broken.yaml").write_text("arms: [")
    with pytest.raises(RecipeError, match="is not YAML"):
        load_study(str(tmp_path / "broken.yaml"))


def test_shared_training_replicates_and_seed_can_be_given(study_file):
    """What is not given stays; a value out of range is refused."""
    study = load_study(str(study_file))
    assert with_training(study, study.training, replicates=None, seed=None) == study
    other = TrainingRecipe(updates=9)
    seen = with_training(study, other, replicates=7, seed=3)
    assert (seen.training, seen.replicates, seen.seed) == (other, 7, 3)
    with pytest.raises(RecipeError, match="replicates"):
        with_training(study, study.training, replicates=0, seed=None)
    impatient = TrainingRecipe(patience=2)
    with pytest.raises(RecipeError, match="patience"):
        with_training(study, impatient, replicates=None, seed=None)


def test_a_study_written_down_reads_back(study_file, tmp_path):
    """YAML there and back."""
    study = load_study(str(study_file))
    (tmp_path / "again.yaml").write_text(study.to_yaml())
    assert StudyRecipe.from_yaml(tmp_path / "again.yaml") == study
