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


def test_a_model_folder_is_two_files(folder):
    """Nothing else is left behind by writing."""
    assert sorted(path.name for path in folder[0].iterdir()) == ["model.json", "model.safetensors"]


def test_writing_again_gives_the_same_bytes(folder, tmp_path):
    """A model folder is a function of the model."""
    path, network, card = folder
    write_model(tmp_path / "again", network, card)
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (path / name).read_bytes()


def test_tensors_that_do_not_fit_the_card_are_refused(folder):
    """A card that promises one category more than the tensors hold."""
    path, *_ = folder
    card = json.loads((path / "model.json").read_text())
    card["categories"].append("one more")
    (path / "model.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match="does not fit its card"):
        load_model(path)


def test_a_missing_tensor_is_refused(folder):
    """A file that lost a tensor is not half a model."""
    path, *_ = folder
    tensors = load_file(path / "model.safetensors")
    tensors.pop("conv1.0.weight")
    save_file(tensors, path / "model.safetensors")
    with pytest.raises(DataError, match="does not fit its card"):
        load_model(path)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_folder_with_half_its_files_is_refused(folder, name):
    """The sentence names the file."""
    path, *_ = folder
    (path / name).unlink()
    with pytest.raises(DataError, match=name):
        load_model(path)
