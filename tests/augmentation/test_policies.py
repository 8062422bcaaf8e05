from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats
from tests.augmentation.kinds import KINDS, NOTHING, STRONG, step_of

from leukoscope.augmentation.policies import STEPS, OneOf, Sequence, every_step, operations_of
from leukoscope.foundation.streams import stream

N = 4000
AXES = ("horizontal", "vertical")
LEAF = st.sampled_from([kind for kind in KINDS if kind not in {"sequence", "one_of"}])
STEP = st.recursive(
    st.builds(
        lambda kind, p: step_of(kind, STRONG[kind] | {"probability": p}),
        LEAF,
        st.sampled_from([0.0, 0.5, 1.0]),
    ),
    lambda inner: st.one_of(
        st.builds(Sequence, steps=st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            OneOf,
            steps=st.lists(inner, min_size=2, max_size=3),
            probability=st.sampled_from([0.3, 1.0]),
        ),
    ),
    max_leaves=6,
)


def numbers_for(step, n=1):
    """Draw even numbers, one row a draw."""
    return stream(1, "test numbers").random((n, step.count())).tolist()


def draws(step):
    """Give many rows of numbers for a step."""
    return numbers_for(step, N)


def done(step, n=N):
    """Count what comes of a step: the names of its operations."""
    return Counter(
        tuple(name for name, _ in step.operations(numbers)) for numbers in numbers_for(step, n)
    )


def test_every_kind_of_step_is_tried_here():
    """A new kind has no way round these laws: it needs a line in both tables."""
    assert set(STRONG) == set(NOTHING) == set(STEPS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_takes_as_many_numbers_as_it_counts(kind):
    """It looks at none behind its own, and each of them decides something."""
    seldom = {} if kind == "identity" else {"probability": 0.9}
    step = step_of(kind, seldom | STRONG[kind])
    rows = numbers_for(step, 60)
    decides = set()
    for row in rows:
        seen = step.operations(row)
        assert step.operations([*row, 0.123, 0.987]) == seen
        for place in range(step.count()):
            other = [*row]
            other[place] = (row[place] + 0.5) % 1
            if step.operations(other) != seen:
                decides.add(place)
    assert decides == set(range(step.count()))


@given(STEP, st.integers(0, 10**6))
def test_policies_of_policies_take_what_they_count(step, seed):
    """However deep, exactly so many numbers are enough, and what follows is not looked at."""
    numbers = np.random.default_rng(seed).random(step.count()).tolist()
    seen = step.operations(numbers)
    assert step.operations([*numbers, 0.5]) == seen
    assert operations_of([step, step], numbers * 2) == seen * 2


@given(st.lists(STEP, min_size=1, max_size=4), st.integers(0, 10**6))
def test_a_step_does_not_hang_on_what_comes_of_the_others(steps, seed):
    """In a chain each draws what it would alone from its own numbers, done or not."""
    counts = [step.count() for step in steps]
    numbers = np.random.default_rng(seed).random(sum(counts)).tolist()
    alone = []
    for step, count, end in zip(steps, counts, np.cumsum(counts), strict=True):
        alone += step.operations(numbers[end - count : end])
    assert operations_of(steps, numbers) == tuple(alone)
    never = [step.model_copy(update={"probability": 0.0}) for step in steps]
    assert operations_of(never, [0.5] * sum(step.count() for step in never)) == ()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "identity"])
def test_a_step_is_done_as_often_as_stated(kind):
    """Never at 0, always at 1, else at its share within binomial bounds."""
    for probability, n in ((0.0, 50), (0.3, 1500), (1.0, 50)):
        times = n - done(step_of(kind, STRONG[kind] | {"probability": probability}), n)[()]
        assert stats.binomtest(times, n, probability).pvalue > 1e-4


@pytest.mark.parametrize("n_choices", [2, 3, 7])
def test_one_of_chooses_evenly(n_choices):
    """Each choice equally often, whatever number of numbers it takes; exactly one at a time."""
    kinds = ["hue", "stain_jitter", "shift", "erasing", "jpeg_compression", "gamma", "shear"]
    step = OneOf(steps=[step_of(kind, STRONG[kind]) for kind in kinds[:n_choices]])
    counts = done(step)
    assert len(counts) == n_choices
    assert all(len(names) == 1 for names in counts)
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4
    seldom = done(step.model_copy(update={"probability": 0.25}))
    assert stats.binomtest(N - seldom[()], N, 0.25).pvalue > 1e-4


def test_identity_does_nothing_as_often_as_one_likes():
    """Alone it draws nothing; among choices it is one of them."""
    assert done(step_of("identity", {"probability": 0.5}), 50) == {(): 50}
    counts = done(OneOf(steps=[step_of("identity", {}), step_of("hue", {})]))
    assert stats.binomtest(counts[()], N, 0.5).pvalue > 1e-4


def test_a_choice_keeps_its_own_probability():
    """Half of a half of the choices comes to a quarter; the rest is nothing."""
    flip = step_of("flip", {"axis": "vertical", "probability": 0.5})
    counts = done(OneOf(steps=[flip, step_of("identity", {})]))
    assert set(counts) == {(), ("flip_vertical",)}
    assert stats.binomtest(counts[("flip_vertical",)], N, 0.25).pvalue > 1e-4


def test_a_sequence_is_done_whole_or_not_at_all():
    """Its probability decides for all its steps at once; theirs within it."""
    flips = [step_of("flip", {"axis": axis, "probability": 0.5}) for axis in AXES]
    counts = done(Sequence(steps=flips, probability=0.6))
    expected = {(): 0.4 + 0.15, **{(f"flip_{axis}",): 0.15 for axis in AXES}}
    expected[tuple(f"flip_{axis}" for axis in AXES)] = 0.15
    assert set(counts) == set(expected)
    seen = [counts[names] for names in expected]
    assert stats.chisquare(seen, [p * N for p in expected.values()]).pvalue > 1e-4
    both = Sequence(steps=[step_of("hue", {}), step_of("gamma", {})], probability=0.3)
    assert set(done(both)) == {(), ("hue_deg", "gamma")}


def test_a_walk_meets_every_step_however_deep():
    """Policies are met before what they hold, and all in the order written."""
    hue, gamma = step_of("hue", {}), step_of("gamma", {})
    inner = OneOf(steps=[hue, gamma])
    outer = Sequence(steps=[gamma, inner])
    assert list(every_step([hue, outer])) == [hue, outer, gamma, inner, hue, gamma]


@pytest.mark.parametrize(
    ("kind", "settings", "limits"),
    [
        ("brightness", {"factor_range": (0.7, 1.3)}, (0.7, 1.3)),
        ("gaussian_noise", {"sd_range_levels": (0.0, 12.75)}, (0.0, 12.75)),
        ("hue", {"angle_range_deg": (-10, 30)}, (-10, 30)),
        ("erasing", {"side_range": (0.1, 0.4)}, (0.1, 0.4)),
        ("added_border", {"share_range": (0.0, 0.2)}, (0.0, 0.2)),
    ],
)
def test_parameters_are_even_over_their_range(kind, settings, limits):
    """They fill it and do not leave it; a range of one value gives that value."""
    low, high = limits
    step = step_of(kind, settings)
    (name,) = settings
    # A rectangle's sides come after its place.
    which = -1 if kind == "erasing" else 0
    values = [step.operations(row)[0][1][which] for row in draws(step)]
    assert min(values) >= low
    assert max(values) <= high
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4
    fixed = step_of(kind, {name: (high, high)})
    assert {fixed.operations(row)[0][1][which] for row in draws(fixed)} == {high}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("gamma", "gamma_range"), ("white_balance", "gain_range"), ("poisson_noise", "photons_range")],
)
def test_factors_without_0_are_even_in_their_logarithm(kind, name):
    """Twice is as likely as half."""
    step = step_of(kind, {name: (1, 10)})
    values = [np.log(step.operations(row)[0][1][0]) for row in draws(step)]
    assert stats.kstest(values, stats.uniform(0, np.log(10)).cdf).pvalue > 1e-4


def test_qualities_are_whole_and_none_is_missed():
    """From the lower to the upper end of the range."""
    step = step_of("jpeg_compression", {"quality_range": (60, 64)})
    assert {step.operations(row)[0][1][0] for row in draws(step)} == {60, 61, 62, 63, 64}


def test_steps_are_values():
    """They cannot be changed, and equal settings are equal steps."""
    step = step_of("hue", {})
    assert step == step_of("hue", {"angle_range_deg": [-10, 10]})
    with pytest.raises(ValidationError, match="frozen"):
        step.probability = 0.5
