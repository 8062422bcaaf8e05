"""The whole walk with the installed program, in the order a person would go it."""

import json
import os
import re
import subprocess

import polars as pl
import pytest
from tests.cli.command import ONE_THREAD, PROGRAM, leukoscope
from tests.conftest import CELLS, TRAINING
from tests.replication.conftest import STUDY

STEPS = {
    "ingest": ("ingest", "phantom", "tiny.yaml", "--out", "cells"),
    "split": ("split", "cells"),
    "augment": ("augment", "cells", "rotation", "--out", "more", "--factor", "1.5"),
    "isolate": ("isolate", "cells", "--out", "alone", "--fill", "white"),
    "measure": ("measure", "cells", "--out", "m.csv"),
    "train": ("train", "cells", "--recipe", "short.yaml", "--out", "run", "--device", "cpu"),
    "predict": ("predict", "run", "cells", "--out", "p.csv"),
    "evaluate": ("evaluate", "run"),
    "as json": ("evaluate", "run", "--json", "--out", "scores"),
    "study": ("study", "study.yaml", "--data", "cells", "--out", "study"),
    "report": ("report", "study", "--json"),
}


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Go all steps from an empty folder; give the folder and how each step ended."""
    folder = tmp_path_factory.mktemp("walk")
    for name, text in (("tiny", CELLS), ("short", TRAINING), ("study", STUDY)):
        (folder / f"{name}.yaml").write_text(text)
    return folder, {name: leukoscope(*words, cwd=folder) for name, words in STEPS.items()}


def test_every_step_ends_well(walk):
    """Code 0; stderr holds at most lines of progress, and what was found in the pictures.

    But evaluate: so short a training calls every cell by one name, which is a finding, code 1.
    """
    for name, ended in walk[1].items():
        finds = name in {"evaluate", "as json"}
        assert ended.code == int(finds), (name, ended.err)
        progress, notes = r"([a-z]+: \d+ of \d+\n)*", ""
        if name == "as json":
            notes = r"ERROR: 100\.00% of the calls are eosinophil.*\n"
        elif name == "ingest":
            notes = r"120 cells of 4 categories, 15 cases\.\n"
        elif name == "isolate":
            notes = r"\d+ of 120 cells were isolated\.\n(Left out.*\n)?(Kept and flagged.*\n)?"
            notes += r"(No cell is left of .*\n)?"
        elif name == "measure":
            notes = r"120 of 120 cells were measured, 120 on given masks\.\n"
        elif name == "augment":
            notes = r"108 training cells: 72 originals, 36 copies\.\n"
        assert re.fullmatch(progress + notes, ended.err), name


def test_a_step_that_writes_prints_the_path_and_nothing_else(walk):
    """So that a script can take it up; the path is there."""
    folder, ended = walk
    results = {"ingest": "cells", "split": "cells/splits.parquet", "augment": "more"}
    results |= {"isolate": "alone", "measure": "m.csv"}
    results |= {"train": "run", "predict": "p.csv", "study": "study/report.html"}
    for step, path in results.items():
        assert ended[step].out == f"{path}\n"
        assert (folder / path).exists()
    assert json.loads(ended["report"].out) == {"path": "study/report.html"}


def test_scores_are_tables_for_the_eye(walk):
    """Both views, every category, an interval each, and of whom they speak."""
    out = walk[1]["evaluate"].out
    for word in ("Neutrophils told apart", "Neutrophils merged", "macro-F", "intervals speak of"):
        assert word in out
    for category in ("segmented", "band", "eosinophil", "lymphocyte"):
        assert f"│ {category}" in out
    assert "…" not in out, "a number is cut"
    assert out.count("Rows: true category. Columns: what the model called it.") == 2


def test_scores_are_json_for_a_script(walk):
    """Metric → value, low, high, n, unit, method; the same numbers as in the kept table."""
    folder, ended = walk
    found = json.loads(ended["as json"].out)
    assert all(
        set(one) == {"value", "low", "high", "n", "unit", "method"} for one in found.values()
    )
    assert {"accuracy", "accuracy/merged", "recall/band", "support/neutrophil/merged"} <= set(found)
    kept = pl.read_csv(folder / "scores/results.csv").filter(
        pl.col("metric") == "accuracy", pl.col("view") == "strict"
    )
    one = found["accuracy"]
    assert (one["value"], one["low"], one["high"]) == kept.select("value", "low", "high").row(0)
    assert one["unit"] == "case"


def test_the_walk_is_the_one_the_python_names_go(walk, finished, cells):
    """The program's run equals the one trained by function on the cells drawn by function."""
    folder, _ = walk
    for name in ("history.csv", "model/model.safetensors", "predictions.parquet"):
        assert (folder / "run" / name).read_bytes() == (finished / name).read_bytes()
    assert (folder / "cells/manifest.parquet").read_bytes() == (
        cells / "manifest.parquet"
    ).read_bytes()


def test_a_reader_that_has_seen_enough_is_no_error(walk):
    """As with `| head`: no traceback, the code as ever, with tables and with JSON."""
    for more in ((), ("--json",)):
        program = subprocess.Popen(
            [PROGRAM, "evaluate", "run", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=walk[0],
            env=os.environ | ONE_THREAD,
        )
        program.stdout.close()
        err = program.stderr.read()
        program.stderr.close()
        # What is wrong with this model is a finding, whether or not all was read.
        assert program.wait(60) == 1
        assert err.decode().count("\n") == len(more)
        assert b"Traceback" not in err


def test_a_result_that_cannot_be_printed_is_said(walk):
    """A full disk behind stdout: code 4 and one sentence."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = subprocess.run(
            [PROGRAM, "evaluate", "run"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=walk[0],
        )
    assert ended.returncode == 4
    assert ended.stderr == "leukoscope: the result was not printed: No space left on device.\n"
