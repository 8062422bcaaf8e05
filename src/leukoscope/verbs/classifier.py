"""The classifier in the manners of scikit-learn."""

import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from leukoscope.fitting.machine import choose_device
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.arrays import check_pictures, dataset_of_arrays
from leukoscope.intake.decode import resize
from leukoscope.models.folders import load_model
from leukoscope.models.prediction import predict_logits, probabilities
from leukoscope.models.predictions import prediction_table
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.verbs.train import train

Pictures = Dataset | Path | str | npt.NDArray[np.uint8]


class LeukocyteClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Train and use a network as a scikit-learn estimator.

    Parameters
    ----------
    model : str, optional
        A timm network; resnet18 if null.
    weights : str or Path, optional
        Starting weights with their card; random if null.
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
    classes_ : numpy.ndarray of str, shape (n_categories,)
        The categories, in the order of the columns of :meth:`predict_proba`.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        weights: str | Path | None = None,
        augmentation: str | None = None,
        size_px: int | None = None,
        updates: int | None = None,
        seed: int = 0,
        device: str = "auto",
        accept_licence: str | None = None,
    ) -> None:
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
            A dataset must be split. Of an array, a fifth of the groups is held back to
            choose among the stages of the fit.
        y : sequence of str, length n, optional
            The categories of an array's pictures.
        cases : sequence of str, length n, optional
            The person or slide of each picture of an array.

        Returns
        -------
        LeukocyteClassifier
            Itself.

        Raises
        ------
        UsageError
            If labels are missing for an array, or given beside a dataset.
        DataError
            If the pictures are not of that shape and type.
        """
        with tempfile.TemporaryDirectory(prefix="leukoscope-") as name:
            scratch = Path(name)
            run = train(
                self._dataset_folder(X, y, cases, scratch),
                out=scratch / "run",
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
        self.classes_ = np.array(self.card_.categories)
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
        device = choose_device(self.device)
        if not isinstance(X, np.ndarray):
            _refuse_kind(X)
            known = X if isinstance(X, Dataset) else read_dataset(Path(X))
            table = prediction_table(
                known, known.manifest, self.network_, self.card_, run_id="", device=device
            )
            table = known.manifest.select("cell_id").join(
                table, on="cell_id", maintain_order="left"
            )
            return table.select(f"p_{name}" for name in self.classes_).to_numpy()
        pictures = _pictures(X)
        size_px = self.card_.preprocessing.size_px
        logits = predict_logits(
            self.network_.to(device),
            lambda part: np.stack([resize(picture, size_px) for picture in pictures[part]]),
            len(pictures),
            self.card_.preprocessing,
            device,
        )
        return probabilities(logits)

    def predict(self, X: Pictures) -> npt.NDArray[np.str_]:  # noqa: N803
        """Give each picture's most probable category, shape (n,)."""
        chances = self.predict_proba(X)
        return np.asarray(self.classes_[chances.argmax(axis=1)])

    def _dataset_folder(self, X: Pictures, y: Any, cases: Any, scratch: Path) -> Path:  # noqa: N803
        if isinstance(X, np.ndarray):
            if y is None:
                raise UsageError("Pictures in an array need their categories: fit(X, y).")
            return dataset_of_arrays(_pictures(X), y, cases, out=scratch / "cells", seed=self.seed)
        _refuse_kind(X)
        if y is not None or cases is not None:
            raise UsageError("A dataset knows its categories and cases: fit(dataset) without y.")
        return X.folder if isinstance(X, Dataset) else Path(X)


def _pictures(X: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:  # noqa: N803
    if not len(pictures := check_pictures(X)):
        raise DataError("The array holds no picture. Nothing was done.")
    return pictures


def _refuse_kind(X: Any) -> None:  # noqa: N803
    if not isinstance(X, Dataset | Path | str):
        raise DataError(
            "Pictures should be a dataset, the path of its folder, or an array of uint8 of shape "
            f"(n, height, width, 3); seen {type(X).__name__}. Nothing was done."
        )
