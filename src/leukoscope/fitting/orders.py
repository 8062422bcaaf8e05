"""Which cells an update sees, in which order: it follows from the update's number alone."""

import numpy as np
import numpy.typing as npt

from leukoscope.foundation.streams import stream


def batch_places(
    update: int, batch_size: int, n_cells: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Say which cells an update sees and how often each was seen before.

    The order is a chain of fresh permutations of all cells; a batch may reach from
    one into the next. It follows from the arguments alone, so a resumed run needs
    no memory of it.

    Returns
    -------
    places : numpy.ndarray of int64, shape (batch_size,)
        Indices of cells.
    visits : numpy.ndarray of int64, shape (batch_size,)
        The visit number of each: 0 in the first round, 1 in the second …
    """
    position = np.arange(update * batch_size, (update + 1) * batch_size)
    visits, within = position // n_cells, position % n_cells
    places = np.empty(batch_size, dtype=np.int64)
    for visit in np.unique(visits).tolist():
        chosen = visits == visit
        places[chosen] = stream(seed, "order", visit).permutation(n_cells)[within[chosen]]
    return places, visits


def balanced_places(
    update: int, batch_size: int, codes: npt.NDArray[np.int64], seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Say the same where every category comes equally often, however many cells it has.

    The order is a chain of rounds, in each of which every category that has cells comes once, in
    a fresh order; the cells of a category come in a chain of fresh permutations of their own. It
    follows from the arguments alone.

    Returns
    -------
    places : numpy.ndarray of int64, shape (batch_size,)
        Indices of cells.
    visits : numpy.ndarray of int64, shape (batch_size,)
        The visit number of each: no cell is seen again before all of its category are.
    """
    present = np.unique(codes)
    position = np.arange(update * batch_size, (update + 1) * batch_size)
    rounds, within = position // len(present), position % len(present)
    drawn = np.empty(batch_size, dtype=np.int64)
    for number in np.unique(rounds).tolist():
        order = stream(seed, "categories", number).permutation(present)
        drawn[rounds == number] = order[within[rounds == number]]
    places, visits = np.empty_like(drawn), np.empty_like(drawn)
    for code in np.unique(drawn).tolist():
        chosen, own = drawn == code, np.flatnonzero(codes == code)
        # A category comes once a round: the round's number says how often it came before.
        visits[chosen], turn = np.divmod(rounds[chosen], len(own))
        for visit in np.unique(visits[chosen]).tolist():
            here = np.flatnonzero(chosen)[visits[chosen] == visit]
            order = stream(seed, "order", code, visit).permutation(own)
            places[here] = order[turn[visits[chosen] == visit]]
    return places, visits
