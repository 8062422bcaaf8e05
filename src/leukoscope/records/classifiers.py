"""Classical models as values: what is fitted on features, told apart by ``kind``."""

from typing import Annotated, Literal

from pydantic import Field

from leukoscope.records.recipes import Recipe


class LogisticRegression(Recipe):
    """State a multinomial logistic regression with an L2 penalty (Gaur, G-S15)."""

    kind: Literal["logistic"] = "logistic"
    """The word that names it."""
    C: float = Field(default=1.0, gt=0, le=1e6)
    """Inverse of the penalty's strength: 1 / λ. The paper's λ is 1."""
    max_iterations: int = Field(default=5000, ge=1, le=1_000_000)
    """The solver (L-BFGS) stops after so many; the paper's number."""


class SupportVectorMachine(Recipe):
    """State a support vector machine with a radial kernel, one against one (Gaur, G-S16)."""

    kind: Literal["svm"] = "svm"
    """The word that names it."""
    C: float = Field(default=1.0, gt=0, le=1e6)
    """Cost of a training cell on the wrong side: 1 / λ. The paper's λ is 1."""
    gamma: Literal["scale"] | Annotated[float, Field(gt=0, le=1e6)] = "scale"
    """The kernel is exp(-gamma · squared distance); ``scale``: 1 / (features · their variance),
    the paper's 1 / (1875 · Var)."""


class NearestNeighbours(Recipe):
    """State a vote of the nearest training cells."""

    kind: Literal["knn"] = "knn"
    """The word that names it."""
    neighbours: int = Field(default=11, ge=1, le=1000)
    """How many vote, each with one voice."""
    metric: Literal["euclidean", "cosine"] = "euclidean"
    """What is near."""


class BoostedTrees(Recipe):
    """State gradient-boosted trees (LightGBM)."""

    kind: Literal["trees"] = "trees"
    """The word that names it."""
    rounds: int = Field(default=100, ge=1, le=10_000)
    """Rounds of boosting; each adds a tree a category, one tree where there are two categories."""
    leaves: int = Field(default=31, ge=2, le=1024)
    """The most leaves of a tree."""
    learning_rate: float = Field(default=0.1, gt=0, le=1)
    """Share of each tree that is added."""
    smallest_leaf: int = Field(default=20, ge=1, le=100_000)
    """The fewest training cells of a leaf."""


ClassifierRecipe = Annotated[
    LogisticRegression | SupportVectorMachine | NearestNeighbours | BoostedTrees,
    Field(discriminator="kind"),
]
"""Any of them; a recipe file tells them apart by ``kind``."""
