"""Weights files with cards, written for small networks, as a person has them in a folder."""

import hashlib
from pathlib import Path

from safetensors.torch import save

from leukoscope.models.backbones import build
from leukoscope.records.runs import NetworkRecipe

CARD = """# {name}

- Architecture: `timm.create_model('{model}')`
- Licence: {licence}
- sha256 `{sha256}`
- Input: mean (0.1, 0.2, 0.3), std (0.4, 0.5, 0.6)
"""


def write_weights(
    folder: Path, model: str = "test_resnet", tag: str = "a", licence: str = "MIT", seed: int = 7
) -> Path:
    """Write ``<model>.<tag>.safetensors`` with random weights, and its card beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    network = build(NetworkRecipe(model=model), 10, 32, seed=seed)
    path = folder / f"{model}.{tag}.safetensors"
    path.write_bytes(save(network.state_dict()))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    card = CARD.format(name=path.stem, model=model, licence=licence, sha256=sha256)
    path.with_suffix(".md").write_text(card)
    return path
