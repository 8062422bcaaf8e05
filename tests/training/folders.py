"""What a run folder holds, for comparing one with another."""

import json
from pathlib import Path

import polars as pl

from leukoscope.records import shapes, tables

RESULTS = (
    *("recipe.yaml", "dataset.json", "environment.json", "history.csv"),
    *("model/model.safetensors", "model/model.json", "predictions.parquet"),
)


def contents(run: Path) -> dict[str, object]:
    """Give every result of a finished run by name: bytes, and what done.json says but the time."""
    done = json.loads((run / "done.json").read_text())
    done.pop("seconds_since_last_start")
    return {"done.json": done} | {name: (run / name).read_bytes() for name in RESULTS}


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Give the time and the bytes of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in files
    }


def change_table(path: Path, shape: shapes.Shape, change: pl.Expr) -> pl.DataFrame:
    """Write a table again with one column changed; give the table as it was."""
    before = tables.read_table(path, shape)
    tables.write_table(path, before.with_columns(change), shape)
    return before
