"""The classifier in the manners of scikit-learn."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from leukoscope.evaluation.predictions import prepare
from leukoscope.fitting.machine import choose_device
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.arrays import check_pictures, dataset_of_arrays
from leukoscope.intake.decode import content_of, resize
from leukoscope.models.folders import load_model
from leukoscope.models.prediction import predict_probabilities
from leukoscope.models.predictions import prediction_table
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.records.recipes import write_recipe
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.recipes import fit_recipe, load_training
from leukoscope.verbs.train import train

Pictures = Dataset | Path | str | npt.NDArray[np.uint8]
Stated = str | Path | Mapping[str, Any] | TrainingRecipe | ProbeRecipe


class LeukocyteClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Train and use a network, or a classical model, as a scikit-learn estimator.

    Parameters
    ----------
    recipe : str, Path, dict, TrainingRecipe or ProbeRecipe, optional
        Name of a training recipe (frozen-linear), a YAML file, what such a file holds, or the
        recipe itself; what is given beside it goes before it.
    model : str, optional
        A paper's network or any of timm; resnet18 if neither this nor the recipe names one.
    weights : str or Path, optional
        Starting weights with their card, a model or run folder, or the timm name of fetched
        ones; random if null.
    augmentation : str, optional
        Name of an augmentation done online, or a YAML file.
    size_px : int, optional
        Side of the pictures the network sees.
    updates : int, optional
        Number of optimiser updates.
    seed : int
        Everything drawn follows from it.
    device : str
        auto, cpu, cuda …
    accept_licence : str, optional
        Licence of the weights that you accept.

    Attributes
    ----------
    classes_ : numpy.ndarray, shape (n_categories,)
        The categories, of the type they were given in (a dataset's are str), in the
        order of the columns of :meth:`predict_proba`.
    """

    def __init__(
        self,
        *,
        recipe: Stated | None = None,
        model: str | None = None,
        weights: str | Path | None = None,
        augmentation: str | None = None,
        size_px: int | None = None,
        updates: int | None = None,
        seed: int = 0,
        device: str = "auto",
        accept_licence: str | None = None,
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.weights = weights
        self.augmentation = augmentation
        self.size_px = size_px
        self.updates = updates
        self.seed = seed
        self.device = device
        self.accept_licence = accept_licence

    def fit(self, X: Pictures, y: Any = None, *, cases: Any = None) -> Self:  # noqa: N803
        """Train on a dataset's training split, or on pictures with labels.

        Parameters
        ----------
        X : Dataset, path of a dataset folder, or uint8 array of shape (n, h, w, 3)
            A dataset must be split, and all of what its folder holds. Of an array, a fifth
            of the groups is held back to choose among the stages of the fit.
        y : sequence of str or int, length n, optional
            The categories of an array's pictures.
        cases : sequence of str or int, length n, optional
            The person or slide of each picture of an array; None where it is not known.

        Returns
        -------
        LeukocyteClassifier
            Itself.

        Raises
        ------
        UsageError
            If labels are missing for an array, or given beside a dataset; or the recipe asks of
            an array for what only a dataset has: calibration cells, measures.
        DataError
            If the pictures are not of that shape and type, one has no category, or a
            dataset is not its folder's.
        """
        stated = None if self.recipe is None else _recipe_of(self.recipe)
        if isinstance(X, np.ndarray) and stated is not None:
            _refuse_for_arrays(stated)
        with tempfile.TemporaryDirectory(prefix="leukoscope-") as name:
            scratch = Path(name)
            run = train(
                self._dataset_folder(X, y, cases, scratch),
                out=scratch / "run",
                recipe=_as_file(stated, scratch / "recipe.yaml"),
                model=self.model,
                weights=Path(self.weights) if self.weights is not None else None,
                augmentation=self.augmentation,
                size_px=self.size_px,
                updates=self.updates,
                seed=self.seed,
                device=self.device,
                accept_licence=self.accept_licence,
            )
            self.network_, self.card_ = load_model(run / "model")
        self.classes_ = _as_given(self.card_.categories, y)
        return self

    def predict_proba(self, X: Pictures) -> npt.NDArray[np.float64]:  # noqa: N803
        """Give each picture's probability of each category.

        Parameters
        ----------
        X : Dataset, path of a dataset folder, or uint8 array of shape (n, h, w, 3)
            All cells of a dataset, in the order of its manifest.

        Returns
        -------
        numpy.ndarray of float64, shape (n, n_categories)
            Rows sum to one; columns as in ``classes_``.

        Raises
        ------
        DataError
            If the pictures are not of that shape and type, or there is none.
        """
        check_is_fitted(self)
        if not isinstance(X, np.ndarray):
            _refuse_kind(X)
            table = self._prediction_table(X)
            return table.select(f"p_{name}" for name in self.card_.categories).to_numpy()
        pictures = _pictures(X)
        if self.card_.measures:
            raise DataError(
                f"The model joins {len(self.card_.measures)} measured features of each cell, and "
                "an array holds pictures alone. Nothing was done. Give a measured dataset."
            )
        device = choose_device(self.device)
        size_px = self.card_.preprocessing.size_px
        return predict_probabilities(
            self.network_.to(device),
            self.card_,
            lambda part: np.stack([resize(picture, size_px) for picture in pictures[part]]),
            len(pictures),
            device,
        )

    def predict(self, X: Pictures) -> npt.NDArray[Any]:  # noqa: N803
        """Give each picture's most probable category, shape (n,)."""
        chances = self.predict_proba(X)
        return np.asarray(self.classes_[chances.argmax(axis=1)])

    def score(self, X: Pictures, y: Any = None) -> float:  # noqa: N803
        """Give the share of pictures called rightly, of pictures that are new to the model.

        Parameters
        ----------
        X : Dataset, path of a dataset folder, or uint8 array of shape (n, h, w, 3)
            A dataset may hold a part of its folder's manifest, such as its test cells.
        y : sequence, length n, optional
            The categories of an array's pictures.

        Returns
        -------
        float
            The accuracy, from 0 to 1.

        Raises
        ------
        UsageError
            If labels are missing for an array, or given beside a dataset.
        DataError
            If the model was trained or chosen on one of the pictures, or, in a dataset,
            on its case or family.
        """
        check_is_fitted(self)
        if not isinstance(X, np.ndarray):
            _refuse_kind(X)
            if y is not None:
                raise UsageError("A dataset knows its categories: score(dataset) without y.")
            counts = prepare(self._prediction_table(X)).matrices.sum(axis=0)
            return float(counts.trace() / counts.sum())
        if y is None:
            raise UsageError("Pictures in an array need their categories: score(X, y).")
        self._refuse_seen(_pictures(X))
        if len(y) != len(X):
            raise DataError(f"{len(X)} pictures need {len(X)} labels, not {len(y)}.")
        return float(accuracy_score(np.asarray(y), self.predict(X)))

    def _prediction_table(self, X: Dataset | Path | str) -> pl.DataFrame:  # noqa: N803
        """Predict the cells of a dataset, in the order of its manifest."""
        known = X if isinstance(X, Dataset) else read_dataset(Path(X))
        device = choose_device(self.device)
        table = prediction_table(
            known, known.manifest, self.network_, self.card_, run_id="", device=device
        )
        return known.manifest.select("cell_id").join(table, on="cell_id", maintain_order="left")

    def _refuse_seen(self, pictures: npt.NDArray[np.uint8]) -> None:
        contents = set(self.card_.seen.contents)
        seen = [i for i, pixels in enumerate(pictures) if content_of(pixels) in contents]
        if seen:
            raise DataError(
                f"The model was trained or chosen on {len(seen)} of {len(pictures)} pictures, the "
                f"first at {seen[0]}. Nothing was scored: such a score says nothing of new cells. "
                "Leave them out."
            )

    def _dataset_folder(self, X: Pictures, y: Any, cases: Any, scratch: Path) -> Path:  # noqa: N803
        if isinstance(X, np.ndarray):
            if y is None:
                raise UsageError("Pictures in an array need their categories: fit(X, y).")
            return dataset_of_arrays(_pictures(X), y, cases, out=scratch / "cells", seed=self.seed)
        _refuse_kind(X)
        if y is not None or cases is not None:
            raise UsageError("A dataset knows its categories and cases: fit(dataset) without y.")
        if not isinstance(X, Dataset):
            return Path(X)
        _refuse_changed(X)
        return X.folder


def _recipe_of(stated: Stated) -> TrainingRecipe | ProbeRecipe:
    """Read a recipe, in whatever form it was given."""
    if isinstance(stated, TrainingRecipe | ProbeRecipe):
        return stated
    if isinstance(stated, Mapping):
        return fit_recipe(dict(stated), where="recipe")
    return load_training(str(stated))


def _refuse_for_arrays(recipe: TrainingRecipe | ProbeRecipe) -> None:
    """Refuse, before the pictures are written, what pictures alone cannot give."""
    if recipe.calibrate:
        raise UsageError(
            "The recipe says calibrate: true, and pictures in an array are parted into training "
            "and validation alone. Nothing was trained. Leave calibrate out, or fit on a dataset "
            "whose split has calibration cells."
        )
    if isinstance(recipe, ProbeRecipe) and recipe.takes_measures:
        raise UsageError(
            "The recipe takes measures of each cell, and an array holds pictures alone: what was "
            "fitted could not answer for one. Nothing was trained. Leave measures out, or fit on "
            "a dataset."
        )


def _as_file(recipe: TrainingRecipe | ProbeRecipe | None, path: Path) -> str | None:
    """Write a recipe down, if there is one, and give its path."""
    if recipe is None:
        return None
    write_recipe(path, recipe)
    return str(path)


def _pictures(X: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:  # noqa: N803
    if not len(pictures := check_pictures(X)):
        raise DataError("The array holds no picture. Nothing was done.")
    return pictures


def _as_given(categories: Sequence[str], y: Any) -> npt.NDArray[Any]:
    """Give the categories in the type in which they came."""
    if y is None:
        return np.array(categories)
    labels = np.asarray(y)
    given = {str(label): label for label in labels}
    return np.array([given[name] for name in categories], dtype=labels.dtype)


def _refuse_changed(dataset: Dataset) -> None:
    stored = read_dataset(dataset.folder)
    if dataset.card != stored.card or not dataset.manifest.equals(stored.manifest):
        raise DataError(
            f"The dataset's card or manifest is not the one in {dataset.folder}: "
            f"{dataset.manifest.height} cells against {stored.manifest.height}. Nothing was "
            "trained: its split is the folder's. Choose the cells by a split of the folder, or "
            "give their pictures as an array."
        )


def _refuse_kind(X: Any) -> None:  # noqa: N803
    if not isinstance(X, Dataset | Path | str):
        raise DataError(
            "Pictures should be a dataset, the path of its folder, or an array of uint8 of shape "
            f"(n, height, width, 3); seen {type(X).__name__}. Nothing was done."
        )
