"""Settles what every test runs under: threads, drawing, hypothesis, and the shared pictures."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Read by the libraries when they are first imported, here or in a process a test starts. Tests
# work on small arrays, where more threads only wait for each other.
THREADS = str(min(4, os.cpu_count() or 1))
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(variable, THREADS)
os.environ["MPLBACKEND"] = "Agg"

# How long an example takes says more about the machine than about the code; and a submission must
# not fail by the luck of its draw, while a person at work should meet new examples every time.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of real pictures and weights that lies beside the clone, or skip."""
    folder = Path(os.environ.get("LEUKOSCOPE_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"No folder of shared pictures at {folder}: it lies beside the clone where there is "
            "one; LEUKOSCOPE_SHARED names another place."
        )
    return folder
