import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.stats.blocks import MOST_BLOCKS, blocks, method_with_blocks


@given(st.integers(1, MOST_BLOCKS))
def test_few_groups_stay_as_they_are(n_groups):
    """Up to two hundred groups each is its own block."""
    groups = np.arange(n_groups).repeat(2)
    codes, n_blocks = blocks(groups, n_groups)
    np.testing.assert_array_equal(codes, groups)
    assert n_blocks == n_groups


@given(st.integers(MOST_BLOCKS + 1, 3000))
def test_blocks_hold_whole_groups_in_like_numbers(n_groups):
    """Cells of a group stay together, and no two blocks differ by more than one group."""
    groups = stream(0, "cells").permutation(np.arange(n_groups).repeat(3))
    codes, n_blocks = blocks(groups, n_groups)
    assert n_blocks == MOST_BLOCKS
    assert len(set(zip(groups.tolist(), codes.tolist(), strict=True))) == n_groups
    counts = np.bincount(blocks(np.arange(n_groups), n_groups)[0], minlength=n_blocks)
    assert counts.sum() == n_groups
    assert np.ptp(counts) <= 1
    np.testing.assert_array_equal(blocks(groups, n_groups)[0], codes)


def test_blocks_do_not_follow_the_order_of_groups():
    """Neighbouring groups, which may come from one source, are scattered: no trend is left."""
    codes, _ = blocks(np.arange(10_000), 10_000)
    of_first_half = np.bincount(codes[:5000], minlength=MOST_BLOCKS)
    # A draw without replacement of 25 groups a block: standard deviation 3.5 about the mean.
    assert 2.5 < of_first_half.std() < 4.5
    assert abs(np.corrcoef(codes[1:], codes[:-1])[0, 1]) < 0.04


def test_groups_that_do_not_occur_are_counted_all_the_same():
    """The block of a group does not depend on which others have cells."""
    everyone, _ = blocks(np.arange(500), 500)
    some, n_blocks = blocks(np.array([499, 3, 3]), 500)
    np.testing.assert_array_equal(some, everyone[[499, 3, 3]])
    assert n_blocks == MOST_BLOCKS


@pytest.mark.parametrize("groups", [[0, 3], [-1, 0], [0.5, 1], [[0, 1]]])
def test_codes_that_name_no_group_are_refused(groups):
    """Three groups have the codes 0, 1 and 2, in one row."""
    with pytest.raises(DataError, match="group"):
        blocks(groups, 3)


def test_the_method_says_what_was_left_out():
    """Blocks are named where there are any; a reason is not a jackknife."""
    method = "jackknife t on the logit scale, 200 groups"
    assert method_with_blocks(method, 200, 200) == method
    assert method_with_blocks(method, 100_000, 200) == (
        "delete-a-block jackknife t on the logit scale, 200 blocks of 100000 groups"
    )
    reason = "undefined: the groups do not differ"
    assert method_with_blocks(reason, 100_000, 200) == reason
