"""Boosted trees: grown by LightGBM, kept as its text, read and walked here.

LightGBM's own reader trusts its file. A model folder may come from anywhere, so its text never
reaches that reader: it is parsed into arrays whose every index is checked, and walked with torch.
"""

import hashlib
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leukoscope.foundation.errors import DataError
from leukoscope.records.classifiers import BoostedTrees

MAX_TEXT_MB = 500
"""A longer text is not read."""
_END = "end of trees"
Reals = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Forest:
    """Hold trees as one list of nodes; a leaf leads to itself whatever is compared."""

    n_features: int
    n_outputs: int
    """Trees take turns: tree t adds to output t modulo this."""
    roots: Indices
    """Shape (n_trees,)."""
    features: Indices
    """Which feature a node compares; shape (n_nodes,), as all below."""
    thresholds: Reals
    """Up to and with this the walk goes left, above it right."""
    left: Indices
    right: Indices
    values: Reals
    """What a leaf adds; 0 elsewhere."""
    depth: int
    """Most steps from a root to a leaf."""


class Trees(nn.Module):
    """Sum the leaves that features fall into: raw scores equal to LightGBM's own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        forest = parse_trees(text)
        self.n_features, self.n_outputs = forest.n_features, forest.n_outputs
        self.depth = forest.depth
        for name in ("roots", "features", "thresholds", "left", "right", "values"):
            # The text is what is kept; these follow from it.
            array = torch.from_numpy(getattr(forest, name))
            self.register_buffer(name, array, persistent=False)
        self.register_buffer("digest", _digest(text))

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (n, d) into raw scores, float64 (n, n_outputs)."""
        part = dict(self.named_buffers())
        seen = features.double()
        node = part["roots"].expand(len(seen), -1)
        for _ in range(self.depth):
            goes_left = seen.gather(1, part["features"][node]) <= part["thresholds"][node]
            node = torch.where(goes_left, part["left"][node], part["right"][node])
        leaves = part["values"][node]
        return leaves.view(len(seen), -1, self.n_outputs).sum(dim=1)


def _digest(text: str) -> Tensor:
    """Hash the text, so that the arrays beside it know another: uint8, shape (32,)."""
    return torch.tensor(list(hashlib.sha256(text.encode()).digest()), dtype=torch.uint8)


def fit_trees(
    recipe: BoostedTrees, features: Reals, codes: Indices, n_categories: int, *, seed: int
) -> str:
    """Grow trees.

    Parameters
    ----------
    recipe : BoostedTrees
        How many, how large, how fast.
    features : numpy.ndarray of float64, shape (n, d)
        Finite.
    codes : numpy.ndarray of int64, shape (n,)
        From 0 to *n_categories* - 1, each at least once.
    n_categories : int
        At least 2; for 2 there is one output, the log-odds of the second.
    seed : int
        Nothing is drawn at random with these settings; passed on all the same.

    Returns
    -------
    str
        LightGBM's text up to its last tree: without the settings, which name the number of threads.
    """
    import lightgbm

    several = {"objective": "multiclass", "num_class": n_categories}
    settings: dict[str, Any] = {
        **(several if n_categories > 2 else {"objective": "binary"}),
        "num_leaves": recipe.leaves,
        "learning_rate": recipe.learning_rate,
        "min_data_in_leaf": recipe.smallest_leaf,
        "use_missing": False,
        "seed": seed % 2**31,
        # Sums in one order, whatever the number of threads.
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": torch.get_num_threads(),
        "verbosity": -1,
    }
    with warnings.catch_warnings():
        # With few cells a tree may find nothing to split by; the trees say so themselves.
        warnings.simplefilter("ignore", UserWarning)
        data = lightgbm.Dataset(features, codes)
        grown = lightgbm.train(settings, data, num_boost_round=recipe.rounds)
    text = str(grown.model_to_string(num_iteration=-1))
    return text[: text.index(_END)] + _END + "\n"


def parse_trees(text: str) -> Forest:
    """Read LightGBM's text, trusting nothing in it.

    Parameters
    ----------
    text : str
        As :func:`fit_trees` leaves it.

    Returns
    -------
    Forest
        Every index in range, every walk ends at a leaf.

    Raises
    ------
    DataError
        If the text is cut short, or anything in it is not what LightGBM writes for numeric
        features without missing values.
    """
    try:
        head, *blocks = re.split(r"^Tree=\d+$", text.rstrip(), flags=re.MULTILINE)
        if not blocks or not blocks[-1].endswith("\n" + _END):
            raise ValueError("it does not reach the end of its trees")
        blocks[-1] = blocks[-1].removesuffix(_END)
        return _joined(_pairs(head), [_pairs(block) for block in blocks])
    except (ValueError, KeyError, OverflowError, MemoryError) as error:
        lacks = f"{error} is missing" if isinstance(error, KeyError) else str(error)[:200]
        raise DataError(
            f"The text of the trees cannot be read: {lacks}. Nothing was predicted. "
            "Copy the model folder anew, or fit the model again."
        ) from None


def _pairs(block: str) -> dict[str, str]:
    """Read ``name=value`` lines; no name may stand twice."""
    lines = [line for line in block.splitlines() if line.strip() and line != "tree"]
    pairs = [line.split("=", 1) for line in lines]
    if odd := [pair[0] for pair in pairs if len(pair) != 2]:
        raise ValueError(f"the line {odd[0][:60]!r} is none of LightGBM's")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a line stands twice in a tree")
    return found


def _joined(head: dict[str, str], trees: list[dict[str, str]]) -> Forest:
    n_outputs, n_features = int(head["num_tree_per_iteration"]), int(head["max_feature_idx"]) + 1
    if not 1 <= n_outputs <= len(trees) or len(trees) % n_outputs or n_features < 1:
        raise ValueError(
            f"{len(trees)} trees for {n_outputs} outputs of {n_features} features are not whole "
            "rounds"
        )
    if len(head["tree_sizes"].split()) != len(trees):
        raise ValueError("its head tells of another number of trees")
    parts: list[tuple[Indices, Reals, Indices, Indices, Reals]] = []
    roots, depth, start = [], 0, 0
    for tree in trees:
        part, deep = _one_tree(tree, n_features, start)
        roots.append(start)
        parts.append(part)
        start, depth = start + len(part[0]), max(depth, deep)
    features, thresholds, left, right, values = map(np.concatenate, zip(*parts, strict=True))
    return Forest(
        n_features, n_outputs, np.array(roots), features, thresholds, left, right, values, depth
    )


def _one_tree(
    tree: dict[str, str], n_features: int, start: int
) -> tuple[tuple[Indices, Reals, Indices, Indices, Reals], int]:
    """Lay one tree's nodes and then its leaves behind each other, from place *start* on."""
    n_leaves = int(tree["num_leaves"])
    n_nodes = n_leaves - 1
    if tree["num_cat"] != "0" or tree["is_linear"] != "0":
        raise ValueError("a tree with categories or linear leaves is none of ours")
    values = _reals(tree["leaf_value"], n_leaves)
    features = _whole(tree["split_feature"], n_nodes, 0, n_features - 1)
    thresholds = _reals(tree["threshold"], n_nodes)
    # Bit 1 is where missing values go; those above it say that there are any.
    if not set(tree["decision_type"].split()) <= {"0", "2"}:
        raise ValueError("a tree that asks for missing values is none of ours")
    children = [_whole(tree[side], n_nodes, -n_leaves, n_nodes - 1) for side in _SIDES]
    depth = _check_walks(children[0], children[1], n_leaves)
    # LightGBM counts leaves as -1, -2, …; here they follow the nodes.
    left, right = (start + np.where(side < 0, n_nodes - 1 - side, side) for side in children)
    leaves = start + n_nodes + np.arange(n_leaves)
    return (
        np.concatenate([features, np.zeros(n_leaves, np.int64)]),
        np.concatenate([thresholds, np.full(n_leaves, np.inf)]),
        np.concatenate([left, leaves]),
        np.concatenate([right, leaves]),
        np.concatenate([np.zeros(n_nodes), values]),
    ), depth


_SIDES = ("left_child", "right_child")


def _check_walks(left: Indices, right: Indices, n_leaves: int) -> int:
    """Make sure that each node but the root has one parent, which comes before it; give depth."""
    n_nodes = n_leaves - 1
    depths = [0] * max(1, n_nodes)
    reached = sorted([*left.tolist(), *right.tolist()])
    if reached != [*range(-n_leaves, 0), *range(1, n_nodes)] and n_nodes:
        raise ValueError("its nodes make no tree")
    for node, children in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        for child in children:
            if 0 <= child <= node:
                raise ValueError("its nodes make no tree")
            if child > 0:
                depths[child] = depths[node] + 1
    return max(depths) + 1 if n_nodes else 0


def _whole(words: str, n: int, low: int, high: int) -> Indices:
    found = np.array([int(word) for word in words.split()], dtype=np.int64)
    if len(found) != n or (n and not (low <= found.min() and found.max() <= high)):
        raise ValueError(f"{n} whole numbers from {low} to {high} were expected in a line")
    return found


def _reals(words: str, n: int) -> Reals:
    found = np.array([float(word) for word in words.split()], dtype=np.float64)
    if len(found) != n or not np.isfinite(found).all():
        raise ValueError(f"{n} finite numbers were expected in a line")
    return found
