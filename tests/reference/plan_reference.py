"""Copies dealt out one at a time, as a person would deal cards."""

from leukoscope.foundation.streams import key


def order(cells, seed):
    """Order (name, category) pairs so that each category comes evenly, at random within it."""
    places = []
    for category in {category for _, category in cells}:
        members = [name for name, other in cells if other == category]
        members.sort(key=lambda name: key(seed, "offline", name))
        places += [
            ((rank + 0.5) / len(members), category, name) for rank, name in enumerate(members)
        ]
    return [name for _, _, name in sorted(places)]


def dealt(cells, n_cells, seed):
    """Deal to all cells in turn until there are *n_cells* with the copies."""
    copies = {name: 0 for name, _ in cells}
    turns = order(cells, seed)
    for turn in range(n_cells - len(cells)):
        copies[turns[turn % len(turns)]] += 1
    return copies


def dealt_by_category(cells, n_each, seed):
    """Deal to the cells of each category until it has *n_each*."""
    copies = {}
    for category in {category for _, category in cells}:
        part = [cell for cell in cells if cell[1] == category]
        copies |= dealt(part, n_each, seed)
    return copies
