"""A reader of a blinded sheet against all keys there could have been: slow and obvious."""

from fractions import Fraction
from itertools import combinations


def hits_of_all_keys(n_drawn: int, called: list[bool]) -> list[int]:
    """Count the drawn ones among those called so, for every key with so many drawn ones."""
    keys = combinations(range(len(called)), n_drawn)
    return [sum(called[place] for place in key) for key in keys]


def mixed_p(drawn: list[bool], called: list[bool]) -> float:
    """Share of keys with as few hits or as many, the smaller of both, twice."""
    own = sum(one and other for one, other in zip(drawn, called, strict=True))
    found = hits_of_all_keys(sum(drawn), called)
    few, many = sum(hits <= own for hits in found), sum(hits >= own for hits in found)
    return float(min(Fraction(1), Fraction(2 * min(few, many), len(found))))
