import numpy as np
import pytest
import torch
from torch import nn

from leukoscope.fitting.averaging import averaged, decay_at, start_average, update_average


def network():
    """Build two layers with statistics and a counter."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def walk(net):
    """Move the weights a little, and the statistics by looking at noise."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))
        net(torch.randn(8, 3))


def test_the_mean_is_that_of_its_definition():
    """Kept by hand in float64: each update keeps a share and takes the rest from the weights."""
    net = network()
    average = start_average(net)
    slow = {name: value.double().numpy() for name, value in average.items()}
    for update in range(1, 40):
        walk(net)
        update_average(average, net, update, decay=0.9)
        keep = min(0.9, (1 + update) / (10 + update))
        for name, value in net.state_dict().items():
            slow[name] = keep * slow[name] + (1 - keep) * value.double().numpy()
    slow["1.num_batches_tracked"] = np.array(39)
    for name, value in average.items():
        np.testing.assert_allclose(value.numpy(), slow[name], rtol=1e-4, atol=1e-6)


def test_the_share_warms_up_to_its_end():
    """Small at first, rising, and never above what was asked for."""
    shares = [decay_at(update, 0.99) for update in range(1, 2000)]
    assert shares[0] == 2 / 11
    assert shares == sorted(shares)
    assert shares[-1] == 0.99


def test_what_does_not_move_stays_bit_for_bit():
    """A thousand updates of weights that rest leave their mean equal to them."""
    net = network()
    average = start_average(net)
    for update in range(1, 1000):
        update_average(average, net, update, decay=0.999)
    assert all(torch.equal(average[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("fails", [False, True])
def test_the_weights_come_back_after_the_mean_stood_in_for_them(fails):
    """Bit for bit, and also where the block ends badly; inside, the mean answers."""
    net = network()
    average = start_average(net)
    walk(net)
    before = start_average(net)
    parameters = list(net.parameters())
    try:
        with averaged(net, average):
            inside = start_average(net)
            if fails:
                raise RuntimeError("planted")
    except RuntimeError:
        assert fails
    assert all(torch.equal(inside[name], value) for name, value in average.items())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not torch.equal(before["0.weight"], average["0.weight"])
    # The optimiser's parameters are still the network's.
    assert all(a is b for a, b in zip(parameters, net.parameters(), strict=True))
    with averaged(net, {}):
        assert torch.equal(net.state_dict()["0.weight"], before["0.weight"])
