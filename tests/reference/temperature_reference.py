"""The best temperature, looked for on a grid that is made finer where the loss is least."""

import math


def negative_log_likelihood(logits, codes, temperature):
    """Average -log softmax(logits / temperature)[code], one cell after another."""
    total = 0.0
    for row, code in zip(logits, codes, strict=True):
        divided = [value / temperature for value in row]
        largest = max(divided)
        total += math.log(sum(math.exp(value - largest) for value in divided))
        total += largest - divided[code]
    return total / len(codes)


def best_temperature(logits, codes, low=0.01, high=100.0, rounds=8, points=20):
    """Give the temperature of least loss between two bounds, to some six digits."""
    for _ in range(rounds):
        ratio = (high / low) ** (1 / points)
        grid = [low * ratio**step for step in range(points + 1)]
        losses = [negative_log_likelihood(logits, codes, one) for one in grid]
        best = losses.index(min(losses))
        low, high = grid[max(0, best - 1)], grid[min(points, best + 1)]
    return math.sqrt(low * high)
