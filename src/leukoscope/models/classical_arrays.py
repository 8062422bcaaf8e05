"""Classical models as a model folder keeps them: arrays, and of trees a text, all checked."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from leukoscope.foundation.errors import DataError
from leukoscope.models.classical import Classifier, Linear, Neighbours, OneAgainstOne, part_of
from leukoscope.models.trees import Trees
from leukoscope.records.classifiers import (
    BoostedTrees,
    ClassifierRecipe,
    LogisticRegression,
    NearestNeighbours,
    SupportVectorMachine,
)


def text_of(classifier: nn.Module) -> str | None:
    """Give the text that belongs beside the arrays: LightGBM's of trees, None of all others."""
    model = getattr(classifier, "model", None)
    return model.text if isinstance(model, Trees) else None


def stored_classifier(
    recipe: ClassifierRecipe,
    tensors: Mapping[str, Tensor],
    n_features: int,
    n_categories: int,
    *,
    text: str | None,
) -> Classifier:
    """Build a classical model from what a model folder keeps of it.

    Parameters
    ----------
    recipe : ClassifierRecipe
        Which it is, from the model's card.
    tensors : mapping of str to torch.Tensor
        Its ``state_dict``, from anywhere.
    n_features, n_categories : int
        What it must take and give.
    text : str or None
        LightGBM's text, of trees.

    Raises
    ------
    DataError
        If an array is missing, too many, or of another type or shape than its fellows ask for,
        or the text is broken or another model's.
    """
    try:
        return _stored(recipe, dict(tensors), n_features, n_categories, text)
    except (KeyError, IndexError, ValueError) as error:
        lacks = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"The arrays of the {recipe.kind} model do not fit its card: {lacks}. Nothing was "
            "predicted. Copy the model folder anew, or fit the model again."
        ) from None


def _stored(
    recipe: ClassifierRecipe,
    tensors: dict[str, Tensor],
    n_features: int,
    n_categories: int,
    text: str | None,
) -> Classifier:
    present = tensors.pop("present")
    listed = [int(code) for code in present.tolist()] if present.ndim == 1 else []
    if len(listed) < 2 or not 0 <= listed[0] <= listed[-1] < n_categories:
        raise ValueError(f"its categories are {listed}, of {n_categories}")
    if listed != sorted(set(listed)) or present.dtype != torch.int64:
        raise ValueError(f"its categories are {listed}")
    own = {name.removeprefix("model."): value for name, value in tensors.items()}
    k, d = len(listed), n_features
    match recipe:
        case LogisticRegression():
            n_rows = k if k > 2 else 1
            _fits(own, {"weights": (n_rows, d), "intercepts": (n_rows,)})
            model: nn.Module = Linear(own)
        case SupportVectorMachine():
            s, n_pairs = len(own["support"]), k * (k - 1) // 2
            shapes: dict[str, tuple[int, ...]] = {"support": (s, d), "coefficients": (n_pairs, s)}
            _fits(own, shapes | {"intercepts": (n_pairs,), "gamma": ()})
            model = OneAgainstOne(own)
        case NearestNeighbours():
            m = len(own["known"])
            _fits(own, {"known": (m, d), "codes": (m,)})
            if m < recipe.neighbours or not 0 <= int(own["codes"].min()) <= own["codes"].max() < k:
                raise ValueError("its training cells are too few or of unknown categories")
            model = Neighbours(own, k, recipe)
        case BoostedTrees():
            model = _stored_trees(own, text, n_features, k if k > 2 else 1)
    return Classifier(model, present, n_categories).eval()


_TYPES = {
    "support": torch.float32,
    "known": torch.float32,
    "codes": torch.int64,
    "digest": torch.uint8,
}


def _fits(own: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    if odd := set(own) ^ set(shapes):
        raise ValueError(f"missing or too many: {', '.join(sorted(odd))}")
    for name, shape in shapes.items():
        dtype = _TYPES.get(name, torch.float64)
        if tuple(own[name].shape) != shape or own[name].dtype != dtype:
            raise ValueError(
                f"{name} is {own[name].dtype} {tuple(own[name].shape)}, not {dtype} {shape}"
            )


def _stored_trees(own: dict[str, Tensor], text: str | None, d: int, n_outputs: int) -> Trees:
    _fits(own, {"digest": (32,)})
    if text is None:
        raise ValueError("the text of its trees, model.txt, is missing")
    model = Trees(text)
    if not torch.equal(part_of(model, "digest"), own["digest"]):
        raise ValueError("model.txt is not the text it was kept with")
    if (model.n_features, model.n_outputs) != (d, n_outputs):
        raise ValueError(
            f"its trees take {model.n_features} features and give {model.n_outputs} outputs, not "
            f"{d} and {n_outputs}"
        )
    return model
