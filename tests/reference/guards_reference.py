"""What guards and labels compute, slowly and in sight."""

from collections import Counter
from itertools import permutations


def right_calls_of_all_pairings(truth, calls):
    """Deal the calls to the cells in every order; give {right calls: how many orders}."""
    cells = [c for c, n in enumerate(truth) for _ in range(n)]
    dealt = [c for c, n in enumerate(calls) for _ in range(n)]
    return Counter(
        sum(a == b for a, b in zip(cells, order, strict=True)) for order in permutations(dealt)
    )


def best_relabelling_gain(matrix):
    """Try every relabelling; give the largest gain in the sum of recalls."""
    k = len(matrix)
    n = sum(map(sum, matrix))
    calls = [sum(row[j] for row in matrix) for j in range(k)]

    def recall(i, j):
        cells = sum(matrix[i])
        return matrix[i][j] / cells if cells else calls[j] / n

    as_is = sum(recall(i, i) for i in range(k))
    return max(sum(recall(i, order[i]) for i in range(k)) for order in permutations(range(k))) - (
        as_is
    )


def linked(rows, start):
    """Walk from one cell to all that share a case, a family or pixels, directly or not."""
    found, waiting = {start}, [start]
    by_id = {row["cell_id"]: row for row in rows}
    while waiting:
        one = by_id[waiting.pop()]
        for other in rows:
            alike = any(
                one[name] is not None and one[name] == other[name]
                for name in ("case", "family", "content")
            )
            if alike and other["cell_id"] not in found:
                found.add(other["cell_id"])
                waiting.append(other["cell_id"])
    return found


def majority(words):
    """Give the word that more than half say, or None."""
    for word in words:
        if 2 * words.count(word) > len(words):
            return word
    return None
