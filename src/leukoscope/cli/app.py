"""The command ``leukoscope``: verbs by name, results on stdout, progress and errors on stderr."""

import os
import sys
from collections.abc import Sequence
from types import NoneType
from typing import Any, get_args

from cyclopts import App, ArgumentCollection

from leukoscope.cli.progress import showing_progress
from leukoscope.foundation.errors import LeukoscopeError, UsageError
from leukoscope.verbs import SUMMARIES

_INTERRUPTED = 130


def _refuse_fractions(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse 1.5 where a whole number is asked; cyclopts would round it without a word."""
    for argument in arguments:
        kinds = set(get_args(argument.hint) or [argument.hint]) - {NoneType}
        for token in argument.tokens if kinds == {int} else ():
            if "." in token.value:
                raise UsageError(
                    f"{token.keyword or argument.name} is {token.value}; it should be a whole "
                    "number. Nothing was done."
                )


app = App(
    name="leukoscope",
    help="Classify white blood cells from microscope images, and say honestly what helps.",
    help_epilogue=(
        "Every command takes --json: results as JSON on stdout. "
        "Exit codes: 0 done, 1 findings, 2 usage, 3 data, 4 run failed, 130 interrupted."
    ),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    config=_refuse_fractions,
    # Text is wrapped anew; a word that looks like markup stands in double backticks.
    help_format="restructuredtext",
)
COMMANDS = {verb.replace("_", "-"): verb for verb in SUMMARIES}
"""Command as it is typed → verb."""
for _command, _verb in COMMANDS.items():
    # Named as text, so that help imports none of them.
    app.command(f"leukoscope.verbs.{_verb}:{_verb}", name=_command, help=SUMMARIES[_verb])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    # Threads of torch wait for each other many times a step. By default they spin for long while
    # they do, which beside other work makes training up to ten times slower; sleeping at once
    # halves its speed on a quiet machine. A short spin is within a third of the best on both.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    sys.exit(_run([word for word in words if word != "--json"], as_json=as_json))


def _run(words: list[str], *, as_json: bool) -> int:
    try:
        with showing_progress():
            _describe(words)
            result = app(words)
    except LeukoscopeError as error:
        print(f"leukoscope: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "leukoscope: stopped. What is finished is kept; give the same command to go on.",
            file=sys.stderr,
        )
        return _INTERRUPTED
    except MemoryError:
        print("leukoscope: the memory is full. Nothing half-written was kept.", file=sys.stderr)
        return 4
    except OSError as error:
        print(f"leukoscope: {error}. Nothing half-written was kept.", file=sys.stderr)
        return 4
    return _answer(result, as_json=as_json)


def _describe(words: Sequence[str]) -> None:
    """Let the help of the one verb that is asked for show its docstring whole."""
    command = next((word for word in words if word in COMMANDS), None)
    if command is not None and {"--help", "-h"} & set(words):
        # Cyclopts falls back to the docstring, which it has to import the verb for.
        app[command].help = None


def _answer(result: Any, *, as_json: bool) -> int:
    if result is None:
        return 0
    from leukoscope.cli.show import has_findings, show

    try:
        show(result, as_json=as_json)
        sys.stdout.flush()
    except OSError as error:
        # The rest of the buffer goes nowhere; python would complain once more on leaving.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"leukoscope: the result was not printed: {error.strerror}.", file=sys.stderr)
            return 4
        # The reader (head, less) has seen enough: nothing failed.
    return int(has_findings(result))
