import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.modelled import CATEGORIES, modelled

from leukoscope.foundation.errors import DataError
from leukoscope.models.folders import load_model, write_model
from leukoscope.records.runs import SeenCells

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path):
    """Write a model folder whose categories stand in no natural order."""
    network, card = modelled(
        3, build_arguments={"drop_rate": 0.1}, seen=SeenCells(contents=("a", "b"))
    )
    write_model(tmp_path / "model", network, card)
    return tmp_path / "model", network, card


def test_what_is_read_is_what_was_written(folder):
    """Every tensor bit for bit, the card word for word, the categories in their order."""
    path, network, card = folder
    seen, read_card = load_model(path)
    assert read_card == card
    assert read_card.categories == CATEGORIES
    assert not seen.training
    expected = network.state_dict()
    assert seen.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in seen.state_dict().items())


NAMES = ["model.json", "model.safetensors", "model.sha256"]


def test_a_model_folder_is_three_files(folder):
    """Nothing else is left behind by writing."""
    assert sorted(path.name for path in folder[0].iterdir()) == NAMES


def test_writing_again_gives_the_same_bytes(folder, tmp_path):
    """A model folder is a function of the model."""
    path, network, card = folder
    write_model(tmp_path / "again", network, card)
    for name in NAMES:
        assert (tmp_path / "again" / name).read_bytes() == (path / name).read_bytes()


def test_tensors_that_do_not_fit_the_card_are_refused(folder):
    """A card that promises one category more than the tensors hold."""
    path, *_ = folder
    card = json.loads((path / "model.json").read_text())
    card["categories"].append("one more")
    (path / "model.json").write_text(json.dumps(card))
    (path / "model.sha256").unlink()
    with pytest.raises(DataError, match=r"its card: of another shape 2 \(fc\.bias is \(4,\), not"):
        load_model(path)


def test_every_kind_of_mismatch_is_named(folder):
    """A tensor that is gone, one too many, one of another shape and one of another kind."""
    path, *_ = folder
    tensors = load_file(path / "model.safetensors")
    tensors.pop("conv1.0.weight")
    tensors["fc.more"] = torch.zeros(3)
    tensors["fc.bias"] = torch.zeros(9)
    tensors["bn1.weight"] = tensors["bn1.weight"].to(torch.int64)
    save_file(tensors, path / "model.safetensors")
    (path / "model.sha256").unlink()
    with pytest.raises(DataError) as seen:
        load_model(path)
    for said in (
        "missing 1 (conv1.0.weight)",
        "unknown 1 (fc.more)",
        "of another shape 1 (fc.bias is (9,), not (4,))",
        "of another kind 1 (bn1.weight is torch.int64, not torch.float32)",
    ):
        assert said in str(seen.value)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_folder_with_half_its_files_is_refused(folder, name):
    """The sentence names the file."""
    path, *_ = folder
    (path / name).unlink()
    with pytest.raises(DataError, match=name):
        load_model(path)
