"""Networks with cards, and run folders that no training had to make."""

import torch

from leukoscope.foundation import files
from leukoscope.foundation.streams import stream
from leukoscope.models.backbones import build
from leukoscope.models.folders import write_model
from leukoscope.records.recipes import write_recipe
from leukoscope.records.runs import ModelCard, NetworkRecipe, Preprocessing
from leukoscope.training.recipe import TrainingRecipe

CPU = torch.device("cpu")
CATEGORIES = ("lymphocyte", "band", "an own word", "segmented")
FEEDING = Preprocessing(size_px=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def modelled(seed=0, *, network="test_resnet", categories=CATEGORIES, feeding=FEEDING, **facts):
    """Build a small network whose statistics moved, with its card."""
    shape = {name: facts.pop(name) for name in list(facts) if name in NetworkRecipe.model_fields}
    facts = {"dataset_digest": "d", "training_cells_digest": "t"} | facts
    card = ModelCard(model=network, **shape, categories=categories, preprocessing=feeding, **facts)
    built = build(card, len(categories), feeding.size_px, seed=seed)
    # Statistics of batch normalisation are weights too: let them differ from their start.
    noise = stream(seed, "statistics").normal(size=(4, 3, feeding.size_px, feeding.size_px))
    built(torch.from_numpy(noise).float())
    return built.eval(), card


def write_run(folder, network, card, **recipe):
    """Write a finished run around a model, without what only a training knows."""
    write_model(folder / "model", network, card)
    write_recipe(folder / "recipe.yaml", TrainingRecipe(model=card.model, **recipe))
    files.write_json(folder / "done.json", {"recipe_id": "0123456789abcdef"})
    return folder


def noise(n, size_px=32, seed=1):
    """Draw pictures of noise, uint8 (n, size_px, size_px, 3)."""
    return stream(seed, "pictures").integers(0, 256, (n, size_px, size_px, 3), dtype="uint8")
