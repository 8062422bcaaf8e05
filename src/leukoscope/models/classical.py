"""Classical models on features: fitted by scikit-learn or LightGBM, kept as arrays, run by torch.

Nothing is pickled. Each module's logits are those of its library, so that who knows the library
knows the model: a softmax gives the library's own probabilities of logistic regression and of
trees; of neighbours the share of votes, with one further voice spread over all categories. An
SVM's decision values become numbers between 0 and 1 that sum to one, but say nothing of chances:
they are uncalibrated, and a temperature on calibration cells is what mends that.
"""

import warnings
from collections.abc import Mapping
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.models.trees import Trees, fit_trees
from leukoscope.records.classifiers import (
    BoostedTrees,
    ClassifierRecipe,
    LogisticRegression,
    NearestNeighbours,
    SupportVectorMachine,
)

_FAR_BELOW = 1e4
"""How far below a row's lowest logit stands a category that training never held."""
Features = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[np.float64] | npt.NDArray[np.float32]]


class Linear(nn.Module):
    """Hold weights (k, d) and intercepts (k,) of a logistic regression, float64."""

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("weights", arrays["weights"])
        self.register_buffer("intercepts", arrays["intercepts"])

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (n, d) into logits, float64 (n, k); of two categories k is 1."""
        return features.double() @ part_of(self, "weights").T + part_of(self, "intercepts")


class OneAgainstOne(nn.Module):
    """Hold the pairwise machines of an SVM with a radial kernel.

    ``support`` float32 (s, d); ``coefficients`` float64 (k (k - 1) / 2, s), 0 where a support
    vector belongs to neither category of a pair; ``intercepts`` float64; ``gamma`` float64.
    """

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name in ("support", "coefficients", "intercepts", "gamma"):
            self.register_buffer(name, arrays[name])
        # Which category stands first and which second in a pair, as matrices of 0 and 1.
        for name, of_pairs in zip(
            ("first", "second"), _pairs_of(len(arrays["intercepts"])), strict=True
        ):
            self.register_buffer(name, of_pairs, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (n, d) into decision values, float64 (n, k); of two categories k is 1.

        One against the rest, from one against one as scikit-learn documents it: the number of
        pairs won, and between equals the sum of their decisions, squeezed below a third.
        """
        squared = _squared_distances(features.double(), part_of(self, "support").double())
        kernel = torch.exp(-part_of(self, "gamma") * squared)
        pairs = kernel @ part_of(self, "coefficients").T + part_of(self, "intercepts")
        if pairs.shape[1] == 1:
            return pairs
        first, second = part_of(self, "first"), part_of(self, "second")
        won = (pairs >= 0).double()
        votes = won @ first + (1 - won) @ second
        sums = pairs @ (first - second)
        return votes + sums / (3 * (sums.abs() + 1))


class Neighbours(nn.Module):
    """Hold training cells, ``known`` float32 (m, d), and their ``codes`` int64 (m,)."""

    def __init__(self, arrays: Mapping[str, Tensor], n_categories: int, recipe: NearestNeighbours):
        super().__init__()
        self.register_buffer("known", arrays["known"])
        self.register_buffer("codes", arrays["codes"])
        self.n_categories, self.recipe = n_categories, recipe

    def votes(self, features: Tensor) -> Tensor:
        """Count the voices of the nearest for each category, float64 (n, k).

        Of training cells equally far the earlier is the nearer.
        """
        seen, known = features.double(), part_of(self, "known").double()
        if self.recipe.metric == "cosine":
            distances = -_of_length_1(seen) @ _of_length_1(known).T
        else:
            distances = _squared_distances(seen, known)
        nearest = distances.sort(dim=1, stable=True).indices[:, : self.recipe.neighbours]
        voices = part_of(self, "codes")[nearest]
        blank = torch.zeros(
            seen.shape[0], self.n_categories, dtype=torch.float64, device=seen.device
        )
        return blank.scatter_add(1, voices, torch.ones_like(voices, dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (n, d) into log(votes + 1 / k), float64 (n, k)."""
        return torch.log(self.votes(features) + 1 / self.n_categories)


class Classifier(nn.Module):
    """Answer for all categories with a model of those that training held.

    Among equals the first category is called, as scikit-learn does.
    """

    def __init__(self, model: nn.Module, present: Tensor, n_categories: int) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("present", present)
        self.n_categories = n_categories

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (n, d) into logits, float64 (n, k).

        A category that was missing from training stands so far below the others that it is
        never called.
        """
        logits: Tensor = self.model(features)
        if logits.shape[1] == 1:
            # Of two categories the libraries give the log-odds of the second.
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        lowest = logits.min(dim=1, keepdim=True).values - _FAR_BELOW
        return lowest.expand(-1, self.n_categories).index_copy(1, part_of(self, "present"), logits)


def part_of(module: nn.Module, name: str) -> Tensor:
    """Take one of a module's tensors by name."""
    return cast("Tensor", getattr(module, name))


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    products = a @ b.T
    return ((a**2).sum(dim=1)[:, None] + (b**2).sum(dim=1)[None] - 2 * products).clamp(min=0)


def _of_length_1(rows: Tensor) -> Tensor:
    length = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(length > 0, length, 1.0)


def _pairs_of(n_pairs: int) -> tuple[Tensor, Tensor]:
    """Lay the pairs of categories out in libsvm's order, 0-1, 0-2 and so on, then 1-2.

    Two float64 matrices, (n_pairs, k): 1 at the first, and 1 at the second category of each pair.
    """
    k = round((1 + (1 + 8 * n_pairs) ** 0.5) / 2)
    first, second = np.triu_indices(k, 1)
    ones = torch.eye(k, dtype=torch.float64)
    return ones[first], ones[second]


def fit_classifier(
    recipe: ClassifierRecipe,
    features: Features,
    codes: npt.NDArray[np.int64],
    n_categories: int,
    *,
    seed: int,
) -> Classifier:
    """Fit a classical model.

    Parameters
    ----------
    recipe : ClassifierRecipe
        Which, with its settings.
    features : numpy.ndarray of float32, shape (n, d)
        Of the training cells, finite.
    codes : numpy.ndarray of int64, shape (n,)
        Their categories, from 0 to *n_categories* - 1; some may be missing.
    n_categories : int
        Number of outputs.
    seed : int
        The same seed and data give the same model, with any number of threads.

    Returns
    -------
    Classifier
        All of it arrays in its ``state_dict``; of trees there is besides the text,
        see :func:`text_of`.

    Raises
    ------
    DataError
        If training holds fewer than two categories, fewer cells than neighbours that
        vote, or a feature that is not finite.
    """
    _check(recipe, features, codes)
    present, inner = np.unique(codes, return_inverse=True)
    # Sums in one order, whatever the number of threads.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    match recipe:
        case BoostedTrees():
            text = fit_trees(recipe, features.astype(np.float64), inner, len(present), seed=seed)
            model: nn.Module = Trees(text)
        case LogisticRegression():
            with threadpool_limits(1, user_api="blas"):
                model = Linear(_tensors(_fit_logistic(recipe, features, inner)))
        case SupportVectorMachine():
            with threadpool_limits(1, user_api="blas"):
                model = OneAgainstOne(_tensors(_fit_svm(recipe, features, inner)))
        case NearestNeighbours():
            kept = {"known": torch.tensor(features), "codes": torch.tensor(inner)}
            model = Neighbours(kept, len(present), recipe)
    return Classifier(model, torch.from_numpy(present), n_categories).eval()


def _check(recipe: ClassifierRecipe, features: Features, codes: npt.NDArray[np.int64]) -> None:
    if len(np.unique(codes)) < 2:
        raise DataError(
            f"All {len(codes)} training cells are of one category; telling apart takes at least "
            "two. Nothing was fitted."
        )
    if isinstance(recipe, NearestNeighbours) and len(codes) < recipe.neighbours:
        raise DataError(
            f"{recipe.neighbours} neighbours cannot vote among {len(codes)} training cells. "
            "Nothing was fitted. Ask for fewer neighbours, or give more cells."
        )
    if not np.isfinite(features).all():
        odd = int((~np.isfinite(features).all(axis=1)).sum())
        raise DataError(
            f"The features of {odd} of {len(codes)} training cells are not finite. Nothing was "
            "fitted. Look at the starting weights."
        )


def _tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in arrays.items()}


def _fit_logistic(
    recipe: LogisticRegression, features: Features, codes: npt.NDArray[np.int64]
) -> Arrays:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression as Fitted

    model = Fitted(C=recipe.C, max_iter=recipe.max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features.astype(np.float64), codes)
    if (taken := int(model.n_iter_.max())) >= recipe.max_iterations:
        progress.note(f"The logistic regression stopped unfinished after {taken} iterations.")
    return {"weights": model.coef_, "intercepts": model.intercept_}


def _fit_svm(
    recipe: SupportVectorMachine, features: Features, codes: npt.NDArray[np.int64]
) -> Arrays:
    from sklearn.svm import SVC

    wide = features.astype(np.float64)
    gamma = _gamma_by_scale(wide) if recipe.gamma == "scale" else recipe.gamma
    model = SVC(C=recipe.C, kernel="rbf", gamma=gamma, break_ties=True)
    model.fit(wide, codes)
    return {
        "support": features[model.support_],
        "coefficients": _pair_coefficients(model.dual_coef_, model.n_support_),
        "intercepts": model.intercept_,
        "gamma": np.array(gamma),
    }


def _gamma_by_scale(features: npt.NDArray[np.float64]) -> float:
    """Compute 1 / (d · variance) as scikit-learn does, which takes 1 where nothing varies."""
    variance = float(features.var())
    return 1 / (features.shape[1] * variance) if variance else 1.0


def _pair_coefficients(
    dual: npt.NDArray[np.float64], n_support: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """Spread libsvm's (k - 1, s) coefficients over the pairs, (k (k - 1) / 2, s).

    A support vector of category i holds its coefficient against j in row j - 1 if j > i, else j.
    """
    owner = np.repeat(np.arange(len(n_support)), n_support)
    rows = [
        np.where(owner == i, dual[j - 1], 0.0) + np.where(owner == j, dual[i], 0.0)
        for i, j in zip(*np.triu_indices(len(n_support), 1), strict=True)
    ]
    return np.stack(rows)
