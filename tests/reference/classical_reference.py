"""Classical models the slow way: one cell, one pair, one neighbour, one tree at a time."""

import math
from collections import Counter


def svm_values(model, x):
    """Decide one against one by a radial kernel, then count pairs won (scikit-learn's ovr)."""
    support, dual, counts = model.support_vectors_, model.dual_coef_, model.n_support_
    kernel = [
        math.exp(-model._gamma * sum((a - b) ** 2 for a, b in zip(x, s, strict=True)))
        for s in support.tolist()
    ]
    k = len(counts)
    starts = [sum(counts[:i]) for i in range(k + 1)]
    votes, sums, pair = [0.0] * k, [0.0] * k, 0
    for i in range(k):
        for j in range(i + 1, k):
            value = model.intercept_[pair]
            for s in range(starts[i], starts[i + 1]):
                value += dual[j - 1][s] * kernel[s]
            for s in range(starts[j], starts[j + 1]):
                value += dual[i][s] * kernel[s]
            votes[i if value >= 0 else j] += 1
            sums[i] += value
            sums[j] -= value
            pair += 1
    return [votes[i] + sums[i] / (3 * (abs(sums[i]) + 1)) for i in range(k)]


def nearest_votes(known, codes, x, neighbours, metric, k):
    """Count the categories of the nearest cells; of equally far ones the earlier is nearer."""

    def distance(row):
        if metric == "euclidean":
            return sum((a - b) ** 2 for a, b in zip(row, x, strict=True))
        product = sum(a * b for a, b in zip(row, x, strict=True))
        lengths = math.dist(row, [0] * len(row)) * math.dist(x, [0] * len(x))
        return 1 - product / lengths if lengths else 1.0

    order = sorted(range(len(known)), key=lambda i: (distance(known[i]), i))
    counted = Counter(codes[i] for i in order[:neighbours])
    return [counted[code] for code in range(k)]


def tree_scores(dumped, x):
    """Walk every tree of LightGBM's JSON dump and add up its leaves by output."""
    n_outputs = dumped["num_tree_per_iteration"]
    scores = [0.0] * n_outputs
    for number, tree in enumerate(dumped["tree_info"]):
        node = tree["tree_structure"]
        while "split_feature" in node:
            goes_left = x[node["split_feature"]] <= node["threshold"]
            node = node["left_child" if goes_left else "right_child"]
        scores[number % n_outputs] += node["leaf_value"]
    return scores
