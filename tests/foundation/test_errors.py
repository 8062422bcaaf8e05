import inspect
import re

from hypothesis import given
from hypothesis import strategies as st

from leukoscope.foundation import errors


def test_every_error_has_its_exit_code():
    """The tree drawn at the top of the module is the tree of classes, with their exit codes."""
    tree = inspect.getdoc(errors) or ""
    drawn = {name: int(code) for name, code in re.findall(r"─ (\w+) +(\d)", tree)}
    classes = {
        name: cls.exit_code
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.LeukoscopeError) and cls is not errors.LeukoscopeError
    }
    assert drawn == classes
    assert issubclass(errors.DecodeError, errors.DataError)
    assert issubclass(errors.SchemaError, errors.DataError)


def test_near_names_are_offered():
    """A misspelt name is answered with the near ones, and only those."""
    message = str(errors.unknown_name("study", "rotaton", ["rotation", "blur", "rotation-flips"]))
    assert "'rotaton'" in message
    assert "rotation" in message
    assert "blur" not in message


def test_a_name_near_nothing_is_answered_with_all():
    """Without a near name all are listed where they are few, and counted where they are many."""
    few = str(errors.unknown_name("model", "zzz", ["b", "a"]))
    assert "Known: a, b." in few
    many = str(errors.unknown_name("model", "zzz", [f"resnet{i}" for i in range(30)]))
    assert "30 known names" in many
    assert "resnet7" not in many


@given(st.text(max_size=10), st.lists(st.text(max_size=10), max_size=30))
def test_an_unknown_name_is_always_answered(name, known):
    """Whatever the names, the answer is a usage error that holds the name as it was given."""
    error = errors.unknown_name("thing", name, known)
    assert isinstance(error, errors.UsageError)
    assert repr(name) in str(error)
