"""Weights files with cards of their own, for the tests of cards, weights and fetching."""

import hashlib
import struct

from safetensors.torch import save

from leukoscope.models.backbones import build
from leukoscope.records.runs import NetworkRecipe

CARD = """# A network
- **Architecture:** `timm.create_model('{model}'{arguments})`
- **Licence:** {licence}
- **Input:** RGB, /255, mean (0.1, 0.2, 0.3), std (0.4, 0.5, 0.6)
- sha256 `{digest}`
"""


def carded(path, data, *, model="test_resnet", arguments="", licence="MIT", digest=None):
    """Write a weights file with a card of its own."""
    path.write_bytes(data)
    said = digest or hashlib.sha256(data).hexdigest()
    text = CARD.format(model=model, arguments=arguments, licence=licence, digest=said)
    path.with_suffix(".md").write_text(text)
    return path


def network_of(model="test_resnet", n_outputs=4, size_px=32, *, seed=0, **changes):
    """Build a network and give it with the recipe it was built from."""
    recipe = NetworkRecipe(model=model, **changes)
    return build(recipe, n_outputs, size_px, seed=seed), recipe


def weights_of(model, *, size_px=32, **changes):
    """Give the weights of a network of ten outputs as a file's bytes."""
    return save(network_of(model, 10, size_px, seed=1, **changes)[0].state_dict())


def header(text, *, length=None):
    """Write a safetensors header, its length as stated."""
    return struct.pack("<Q", len(text) if length is None else length) + text.encode()
