"""Replicates of one training that answer together: the mean of their probabilities."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from leukoscope.foundation.errors import DataError
from leukoscope.models.prediction import logits_of
from leukoscope.records.runs import FREE_LICENCES, ModelCard, SeenCells, WeightsOrigin


class Ensemble(nn.Module):
    """Answer with the logarithm of the mean of several models' probabilities.

    Each keeps its own temperature and test views: their logits have no common scale, so that
    probabilities are averaged and not logits (Lakshminarayanan et al. 2017).
    """

    def __init__(self, members: Sequence[tuple[nn.Module, ModelCard]]) -> None:
        super().__init__()
        self.members = nn.ModuleList([network for network, _ in members])
        self.temperatures = [card.temperature for _, card in members]
        self.test_views = [card.test_views for _, card in members]

    def forward(self, pictures: Tensor) -> Tensor:
        """Turn pictures (n, 3, size, size) into log-probabilities (n, k)."""
        return self._mean(pictures, None)

    def forward_with(self, pictures: Tensor, measures: Tensor) -> Tensor:
        """Do the same with measures (n, m) of each cell beside its picture."""
        return self._mean(pictures, measures)

    def _mean(self, pictures: Tensor, measures: Tensor | None) -> Tensor:
        told = []
        for member, temperature, views in zip(
            self.members, self.temperatures, self.test_views, strict=True
        ):
            logits = logits_of(member, pictures, measures, test_views=views)
            told.append(torch.log_softmax(logits / temperature, dim=1))
        return torch.logsumexp(torch.stack(told), dim=0) - math.log(len(told))


def joined(
    members: Sequence[tuple[nn.Module, ModelCard]], runs: Sequence[Path]
) -> tuple[nn.Module, ModelCard]:
    """Join models into one that answers with the mean of their probabilities.

    Parameters
    ----------
    members : sequence of (torch.nn.Module, ModelCard)
        At least one; each in evaluation mode.
    runs : sequence of Path
        Where each comes from, for the error.

    Returns
    -------
    torch.nn.Module
        An :class:`Ensemble`, in evaluation mode.
    ModelCard
        The first one's, but for what it has seen: the union. Temperature and test views are
        1, for they are within.

    Raises
    ------
    DataError
        If they do not answer the same categories in the same order, or are not fed alike.
    """
    cards = [card for _, card in members]
    for run, card in zip(runs, cards, strict=True):
        _refuse_unlike(runs[0], cards[0], run, card)
    seen = _union([card.seen for card in cards])
    card = cards[0].model_copy(
        update={
            "temperature": 1.0,
            "test_views": 1,
            "seen": seen,
            "weights": _strictest([card.weights for card in cards]),
            "training_cells_digest": hashlib.sha256("\n".join(seen.contents).encode()).hexdigest(),
        }
    )
    return Ensemble(members).eval(), card


def _refuse_unlike(first: Path, wanted: ModelCard, other: Path, card: ModelCard) -> None:
    facts = [("categories", wanted.categories, card.categories)]
    facts += [
        (name, getattr(wanted.preprocessing, name), getattr(card.preprocessing, name))
        for name in type(wanted.preprocessing).model_fields
    ]
    facts.append(("measures", wanted.measures, card.measures))
    for name, one, two in facts:
        if one != two:
            raise DataError(
                f"{first} and {other} cannot answer together: their {name} are {_told(one)} and "
                f"{_told(two)}. Nothing was done. Put runs of one recipe into a folder."
            )


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _union(several: Sequence[SeenCells]) -> SeenCells:
    facts = {
        name: tuple(sorted({one for seen in several for one in getattr(seen, name)}))
        for name in SeenCells.model_fields
    }
    return SeenCells(**facts)


def _strictest(several: Sequence[WeightsOrigin | None]) -> WeightsOrigin | None:
    """Choose the origin that asks for most, so that no restriction is lost by joining."""
    given = [origin for origin in several if origin is not None]
    return next((one for one in given if one.licence not in FREE_LICENCES), next(iter(given), None))
