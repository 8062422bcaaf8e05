"""The shared weights, unpacked once, each with its card beside it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Unpack them; network's name → file."""
    folder = tmp_path_factory.mktemp("weights")
    packed = shared / "weights"
    subprocess.run([sys.executable, packed / "unpack.py", folder], check=True, capture_output=True)
    for card in packed.glob("*.safetensors.xz"):
        name = card.name.replace(".safetensors.xz", ".md")
        shutil.copy(packed / name, folder / name)
    return {path.name.split(".")[0]: path for path in folder.glob("*.safetensors")}
