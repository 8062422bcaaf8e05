"""Many groups put together at random: two hundred blocks tell the spread of all of them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.streams import stream
from leukoscope.stats.arrays import cell_codes

MOST_BLOCKS = 200
"""Up to so many groups each is left out by itself; 199 degrees of freedom are as good as more."""


def blocks(groups: ArrayLike, n_groups: int) -> tuple[NDArray[np.int64], int]:
    """Put whole groups into 200 blocks at random, where there are more than 200.

    A statistic that must be computed anew without each group takes hours for a hundred
    thousand of them. Deleting a block of groups at a time estimates the same variance
    (the delete-a-group jackknife: Shao and Tu 1995, section 2.3; Kott 2001).

    Parameters
    ----------
    groups : (n,) integers
        Group codes from 0 to *n_groups* − 1, for example of cells. No group need occur.
    n_groups : int
        How many groups there are.

    Returns
    -------
    codes : (n,) int64
        The block of each: the group itself up to 200 groups. The cells of a group never
        part, and the blocks have the same number of groups, or one more. The same on
        every machine.
    n_blocks : int
        *n_groups*, or 200.

    Raises
    ------
    DataError
        If *groups* is not one row of whole numbers in range.
    """
    codes = cell_codes(groups, "group", np.size(groups), n_groups)
    if n_groups <= MOST_BLOCKS:
        return codes, n_groups
    dealt = stream(0, "blocks", n_groups).permutation(n_groups) % MOST_BLOCKS
    return dealt[codes], MOST_BLOCKS


def method_with_blocks(method: str, n_groups: int, n_blocks: int) -> str:
    """Say in an interval's method that blocks were left out in turn, where they were.

    Parameters
    ----------
    method : str
        Of a jackknife that took each block for a group.
    n_groups, n_blocks : int
        How many groups lie in how many blocks.

    Returns
    -------
    str
        For example ``delete-a-block jackknife t on the logit scale, 200 blocks of 100000
        groups``; *method* itself where every group is a block, or where it gives a reason
        and no jackknife.
    """
    if n_blocks == n_groups or not method.startswith("jackknife"):
        return method
    named = method.replace(f"{n_blocks} groups", f"{n_blocks} blocks of {n_groups} groups")
    return f"delete-a-block {named.replace('without one group', 'without one block')}"
