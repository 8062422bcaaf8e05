"""The errors a person can act on.

LeukoscopeError            exit code
├── UsageError             2   a word of the command is wrong: an unknown name, a missing option
├── DataError              3   pictures or tables are not what they should be
│   ├── DecodeError        3   one file is not an image this tool takes
│   └── SchemaError        3   a table or a record breaks its written shape
├── RecipeError            2   a recipe or study file is wrong
├── LicenceError           2   a licence forbids it, or was not accepted
└── RunError               4   the work itself failed: disk full, weights missing, loss not finite

Every message says what failed, where, seen against expected, what was left
untouched, and what to do next.
"""

import difflib
from collections.abc import Iterable


class LeukoscopeError(Exception):
    """Say in one or two sentences what failed and what to do about it."""

    exit_code = 4


class UsageError(LeukoscopeError):
    """Report a word of the command that cannot be acted on."""

    exit_code = 2


class DataError(LeukoscopeError):
    """Report pictures or tables that are not what they should be."""

    exit_code = 3


class DecodeError(DataError):
    """Report one file that is not an image this tool takes."""


class SchemaError(DataError):
    """Report a table or record that breaks its written shape."""


class RecipeError(LeukoscopeError):
    """Report a recipe or study file that cannot be read as one."""

    exit_code = 2


class LicenceError(LeukoscopeError):
    """Report a licence that forbids the work or was not accepted."""

    exit_code = 2


class RunError(LeukoscopeError):
    """Report work that failed on the way."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that is not one of *known*, with the nearest ones in it.

    Parameters
    ----------
    kind : str
        What the name stands for, for example ``"study"``.
    name : str
        The name as it was given.
    known : iterable of str
        The names that would have worked.

    Returns
    -------
    UsageError
        Not raised here, so that the caller's ``raise`` stays visible.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = "Did you mean " + " or ".join(near) + "?"
    elif len(names) > 20:
        hint = f"There are {len(names)} known names, none of them near it."
    else:
        hint = "Known: " + ", ".join(names) + "."
    return UsageError(f"No {kind} is called {name!r}. {hint}")
