import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from leukoscope.fitting.checkpoints import read_checkpoint, read_facts, write_checkpoint
from leukoscope.fitting.optimisers import make_optimiser
from leukoscope.foundation.errors import DataError
from leukoscope.models.backbones import build, seeded
from leukoscope.records.runs import NetworkRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
FACTS = {"update": 3, "history": [{"loss": 0.1, "is_best": True}], "loss_sum": 1 / 3}


def fresh(name="adamw", seed=0):
    """Build a network, laid out as training lays it out, and its optimiser."""
    recipe = NetworkRecipe(model="test_resnet", build_arguments={"drop_rate": 0.3})
    network = build(recipe, 4, 32, seed=seed)
    network.to(memory_format=torch.channels_last)
    return network, make_optimiser(name, network.parameters(), rate=0.01, weight_decay=0.1)


def update(network, optimiser, number):
    """Do one update on drawn pictures; everything drawn follows from the number."""
    with seeded(7, "test", number):
        pictures = torch.rand(8, 3, 32, 32).to(memory_format=torch.channels_last)
        target = torch.randint(0, 4, (8,))
        loss = functional.cross_entropy(network(pictures), target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def state_of(network, optimiser):
    """List every number a fit holds."""
    tensors = list(network.state_dict().values())
    for _, entries in sorted(optimiser.state_dict()["state"].items()):
        tensors += [value for _, value in sorted(entries.items()) if value is not None]
    return tensors


def layout(value):
    """Say how a tensor lies in memory; a side of length 1 has no step that matters."""
    steps = zip(value.shape, value.stride(), strict=True)
    return [step for length, step in steps if length > 1]


@pytest.mark.parametrize("name", ["adamw", "adam", "amsgrad", "sgd", "rmsprop"])
def test_a_fit_goes_on_bit_for_bit(tmp_path, name):
    """Read into a network that started elsewhere, the next updates equal the undisturbed ones."""
    network, optimiser = fresh(name)
    for number in range(3):
        update(network, optimiser, number)
    best = {key: value.clone() for key, value in network.state_dict().items()}
    mean = {key: value * 2 for key, value in best.items()}
    write_checkpoint(tmp_path / "c", network, optimiser, {"best": best, "average": mean}, FACTS)
    other, its_optimiser = fresh(name, seed=9)
    kept, facts = read_checkpoint(tmp_path / "c", other, its_optimiser)
    assert facts == read_facts(tmp_path / "c") == FACTS
    for part, expected in (("best", best), ("average", mean)):
        assert kept[part].keys() == expected.keys()
        assert all(torch.equal(kept[part][key], value) for key, value in expected.items())
    both = (network, optimiser), (other, its_optimiser)
    for number in range(3, 6):
        for each in both:
            update(*each, number)
    left, right = (state_of(*each) for each in both)
    assert len(left) == len(right) > 100
    assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
    # Equal numbers in another layout could be added up in another order.
    assert [layout(value) for value in left] == [layout(value) for value in right]


@pytest.mark.parametrize("name", ["adamw", "adam", "amsgrad", "sgd", "rmsprop"])
def test_a_fit_that_has_not_begun_can_be_kept_too(tmp_path, name):
    """Before the first update there is no optimiser state and no best."""
    network, optimiser = fresh(name)
    write_checkpoint(tmp_path / "c", network, optimiser, {}, FACTS)
    other, its_optimiser = fresh(name, seed=9)
    kept, _ = read_checkpoint(tmp_path / "c", other, its_optimiser)
    assert kept == {}
    for each in ((network, optimiser), (other, its_optimiser)):
        update(*each, 0)
    pairs = zip(state_of(network, optimiser), state_of(other, its_optimiser), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


DAMAGES = {
    "empty": lambda data: data[:0],
    "cut short": lambda data: data[: len(data) // 2],
    "header": lambda data: data[:8] + b"x" + data[9:],
    "header of 2^63 bytes": lambda data: (2**63).to_bytes(8, "little") + data[8:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_checkpoint_says_how_to_go_on(tmp_path, damage):
    """The file is named, and what to do."""
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, *fresh(), {}, FACTS)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    for read in (lambda: read_checkpoint(path, *fresh()), lambda: read_facts(path)):
        with pytest.raises(DataError, match=r"checkpoint\.safetensors cannot be read.*Remove it"):
            read()


def test_kept_weights_of_another_network_are_refused(tmp_path):
    """The network's own fit, those kept beside it do not: nothing of them is used."""
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, *fresh(), {"best": {"x": torch.zeros(1)}}, FACTS)
    with pytest.raises(DataError, match="its best is not of this network"):
        read_checkpoint(path, *fresh())


@pytest.mark.parametrize(
    ("names", "metadata"),
    [(["network/x"], {"facts": "{}"}), (["elsewhere/x"], {"facts": "{}"}), (["best/x"], None)],
    ids=["another network", "an unknown part", "no facts"],
)
def test_a_file_that_is_no_checkpoint_of_this_network_is_refused(tmp_path, names, metadata):
    """Whole as a file, but not what is asked for."""
    path = tmp_path / "checkpoint.safetensors"
    save_file({name: torch.zeros(1) for name in names}, path, metadata=metadata)
    with pytest.raises(DataError, match=r"checkpoint\.safetensors cannot be read"):
        read_checkpoint(path, *fresh())


def test_writing_replaces_in_one_step(tmp_path):
    """One file, nothing beside it; equal states give equal bytes."""
    network, optimiser = fresh()
    write_checkpoint(tmp_path / "c", network, optimiser, {}, FACTS)
    first = (tmp_path / "c").read_bytes()
    update(network, optimiser, 0)
    write_checkpoint(tmp_path / "c", network, optimiser, {}, FACTS)
    second = (tmp_path / "c").read_bytes()
    write_checkpoint(tmp_path / "c", network, optimiser, {}, FACTS)
    assert first != second
    assert (tmp_path / "c").read_bytes() == second
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
