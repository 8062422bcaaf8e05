import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.losses_reference import slope
from tests.reference.losses_reference import summed_loss as slow_loss
from torch.nn import functional

from leukoscope.fitting.losses import (
    Loss,
    category_counts,
    category_weights,
    logit_offsets,
    summed_loss,
)
from leukoscope.foundation.streams import stream

COUNTS = np.array([60, 25, 10, 5])
WEIGHTS = category_weights("inverse-frequency", COUNTS)
OFFSETS = logit_offsets(1.0, COUNTS)
LOSSES = {
    "cross-entropy": {},
    "smoothed": {"smoothing": 0.1},
    "weighted": {"weights": WEIGHTS},
    "focal": {"gamma": 2.0},
    "focal, weighted, half": {"gamma": 0.5, "weights": WEIGHTS},
    "adjusted": {"offsets": OFFSETS},
    "adjusted, weighted, smoothed": {"offsets": OFFSETS, "weights": WEIGHTS, "smoothing": 0.2},
}


def drawn(n_networks=None, n=6):
    """Draw logits and categories, float64: differences need its digits."""
    rng = stream(3, "logits")
    shape = (n, 4) if n_networks is None else (n, n_networks, 4)
    return rng.normal(0, 2, shape), rng.integers(0, 4, n)


def in_torch(how):
    """Write the settings of a loss as tensors."""
    tensors = {"weights", "offsets"}
    return Loss(**{key: torch.tensor(v) if key in tensors else v for key, v in how.items()})


@pytest.mark.parametrize("n_networks", [None, 5])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_are_those_of_the_papers(name, n_networks):
    """Value against a loop over cells, gradient against differences of it, one network or five."""
    how, (logits, codes) = LOSSES[name], drawn(n_networks)
    bags = None if n_networks is None else stream(4, "bags").integers(0, 3, (6, 5))
    here = torch.tensor(logits, requires_grad=True)
    weights = None if bags is None else torch.tensor(bags)
    seen = summed_loss(in_torch(how), here, torch.tensor(codes), weights)
    seen.backward()
    assert seen.item() == pytest.approx(slow_loss(logits, codes, bags=bags, **how), rel=1e-12)
    expected = slope(lambda at: slow_loss(at, codes, bags=bags, **how), logits)
    np.testing.assert_allclose(here.grad.numpy(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_the_parts_of_a_batch_add_up_to_it(name):
    """However it is cut: what a cell costs does not depend on its company."""
    how, (logits, codes) = LOSSES[name], drawn()
    whole, targets = torch.tensor(logits), torch.tensor(codes)
    total = summed_loss(in_torch(how), whole, targets)
    for parts in ([slice(0, 3), slice(3, 6)], [slice(i, i + 1) for i in range(6)]):
        sums = [summed_loss(in_torch(how), whole[part], targets[part]) for part in parts]
        assert float(sum(sums)) == pytest.approx(float(total), rel=1e-12)


def test_without_settings_it_is_cross_entropy():
    """Divided by the number of cells: torch's mean."""
    logits, codes = map(torch.tensor, drawn())
    expected = functional.cross_entropy(logits, codes)
    assert float(summed_loss(Loss(), logits, codes)) / 6 == pytest.approx(float(expected))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_cell_that_is_right_beyond_all_digits_has_a_focal_gradient(gamma):
    """In float32 its loss is 0, where a root has no slope; the gradient is finite all the same."""
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    summed_loss(Loss(gamma=gamma), logits, torch.tensor([0, 0])).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0].abs().max() == 0
    # Wrong beyond doubt: nothing is taken off.
    assert logits.grad[1].tolist() == pytest.approx([-1, 1])


# What rare categories count


def test_the_weights_of_saquib_and_rodriguez_come_out_of_their_counts():
    """5822 ALL and 2709 HEM cells: 1.5746 and .7327 as they print them."""
    hem, leukaemia = category_weights("inverse-frequency", np.array([2709, 5822]))
    assert f"{hem:.4f} {leukaemia:.4f}" == "1.5746 0.7327"


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=8).filter(any))
def test_weights_are_one_on_the_mean_and_finite(counts):
    """Over the training cells, whatever the counts; a category without cells gets 0."""
    counts = np.array(counts)
    for kind in ("inverse-frequency", "effective-number"):
        weights = category_weights(kind, counts)
        assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
        assert ((weights > 0) == (counts > 0)).all()
        present = counts > 0
        order = np.argsort(counts[present])
        assert (np.diff(weights[present][order]) <= 1e-12).all()
    assert category_weights("none", counts) is None


def test_effective_numbers_are_those_of_their_sum():
    """(1 - b^n) / (1 - b) is 1 + b + b² + …, n terms, counted out; weights go by its inverse."""
    counts = [3, 400, 20000]
    effective = [sum(0.999**power for power in range(n)) for n in counts]
    weights = category_weights("effective-number", np.array(counts))
    assert weights * effective == pytest.approx([weights[0] * effective[0]] * 3)


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=8).filter(any))
def test_offsets_are_finite(counts):
    """The logarithm of each share, so that the exponentials sum to one; 0 without cells."""
    counts = np.array(counts)
    offsets = logit_offsets(1.0, counts)
    assert np.isfinite(offsets).all()
    assert np.exp(offsets[counts > 0]).sum() == pytest.approx(1)
    assert (offsets[counts == 0] == 0).all()
    assert logit_offsets(2.0, counts) == pytest.approx(2 * offsets)
    assert logit_offsets(0.0, counts) is None


@pytest.mark.parametrize("kind", ["inverse-frequency", "effective-number"])
def test_a_category_missing_from_training_leaves_loss_and_gradient_finite(kind):
    """Weights and offsets of four categories, of which one has no cell."""
    counts = category_counts(np.array([0, 0, 1, 3]), 4)
    assert counts.tolist() == [2, 1, 0, 1]
    loss = in_torch({"weights": category_weights(kind, counts), "offsets": OFFSETS * 0})
    logits = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    summed_loss(loss, logits, torch.tensor([0, 0, 1, 3])).backward()
    assert torch.isfinite(logits.grad).all()
    # Nobody asks for the missing one, so its logit is only ever lowered.
    assert (logits.grad[:, 2] > 0).all()


def test_a_category_missing_from_a_batch_changes_nothing():
    """The other cells cost what they cost beside it."""
    logits, codes = drawn()
    codes = np.array([0, 0, 1, 1, 2, 2])
    for how in LOSSES.values():
        all_of_them = summed_loss(in_torch(how), torch.tensor(logits), torch.tensor(codes))
        two = summed_loss(in_torch(how), torch.tensor(logits[:4]), torch.tensor(codes[:4]))
        rest = summed_loss(in_torch(how), torch.tensor(logits[4:]), torch.tensor(codes[4:]))
        assert float(two + rest) == pytest.approx(float(all_of_them))
