"""Laws of a run folder's life: whole or not there, one at a time, never another's."""

import pytest
import torch

from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.fitting.life import (
    begin_run,
    finish_run,
    is_begun,
    other_settings,
    refuse_other_run,
    working,
)
from leukoscope.foundation import files
from leukoscope.foundation.errors import RunError, UsageError
from leukoscope.records.runs import is_finished

CPU = torch.device("cpu")


def lay_down(folder):
    (folder / "what.txt").write_text("this run")


@pytest.fixture
def run(tmp_path):
    begin_run(tmp_path / "run", CPU, "float32", lay_down)
    return tmp_path / "run"


def test_what_was_fixed_at_the_start_stays(run):
    first = begin_run(run, CPU, "float32", lay_down)
    files.write_json(run / "environment.json", first | {"threads": 7})
    again = begin_run(run, CPU, "bfloat16", lambda _: pytest.fail("laid down twice"))
    assert (again["threads"], again["precision"]) == (7, "float32")


def test_a_folder_that_could_not_be_laid_down_is_not_there(tmp_path):
    def broken(folder):
        lay_down(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin_run(tmp_path / "run", CPU, "float32", broken)
    assert not is_begun(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_one_at_a_time_works_in_a_folder(run):
    with working(run, 1), pytest.raises(RunError, match="Another process"), working(run, 1):
        pytest.fail("two at work")
    with working(run, 1):
        pass


def test_what_a_killed_process_left_is_swept_at_any_depth_and_nothing_else(run):
    deep = run / "generators" / "shared"
    deep.mkdir(parents=True)
    for folder in (run, deep):
        (folder / ".history.csv.abc.part").write_text("half")
        (folder / "history.csv").write_text("whole")
    with working(run, 1):
        left = sorted(path.name for path in run.rglob("*hist*"))
    assert left == ["history.csv", "history.csv"]


def test_the_threads_of_the_start_are_taken_up(run):
    before = torch.get_num_threads()
    try:
        with working(run, 1):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_another_run_is_refused_by_what_differs_and_left(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(UsageError, match="seed, updates differ"):
        refuse_other_run(run, lambda: ["seed", "updates"])
    refuse_other_run(run, list)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_anything_else_in_the_place_is_refused_without_a_look(tmp_path):
    def asked():
        pytest.fail("nothing was begun there")

    refuse_other_run(tmp_path / "none", asked)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(UsageError):
        refuse_other_run(tmp_path / "thesis", asked)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_finished_run_keeps_what_it_says_and_neither_lock_nor_checkpoint(run):
    (run / "checkpoint.safetensors").write_bytes(b"state")
    with working(run, 1):
        assert not is_finished(run)
        finish_run(run, {"recipe_id": "abc"}, 1.26)
    assert is_finished(run)
    assert files.read_json(run / "done.json") == {
        "recipe_id": "abc",
        "seconds_since_last_start": 1.3,
    }
    assert sorted(path.name for path in run.iterdir()) == [
        "done.json",
        "environment.json",
        "what.txt",
    ]


def test_settings_differ_in_exactly_what_was_changed():
    plain = AugmentationRecipe(name="a")
    assert other_settings(plain, plain) == []
    assert other_settings(plain, AugmentationRecipe(name="b")) == ["name"]
