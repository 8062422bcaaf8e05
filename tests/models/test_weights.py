import hashlib
import os
import pickle
import struct
import time

import pytest
import torch
from safetensors.torch import save, save_file

from leukoscope.fitting.checkpoints import read_checkpoint
from leukoscope.fitting.optimisers import make_optimiser
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.models.backbones import build
from leukoscope.models.folders import load_model, write_model
from leukoscope.models.weights import load_weights, read_card, read_tensors
from leukoscope.records.runs import ModelCard, Preprocessing, WeightsOrigin

pytestmark = pytest.mark.usefixtures("one_thread")

CARD = """# A network
- **Architecture:** `timm.create_model('{model}'{arguments})`
- **Licence:** {licence}
- **Input:** RGB, /255, mean (0.1, 0.2, 0.3), std (0.4, 0.5, 0.6)
- sha256 `{digest}`
"""


class Intruder:
    """Leave a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def carded(path, data, *, model="test_resnet", arguments="", licence="MIT", digest=None):
    """Write a weights file with a card of its own."""
    path.write_bytes(data)
    said = digest or hashlib.sha256(data).hexdigest()
    text = CARD.format(model=model, arguments=arguments, licence=licence, digest=said)
    path.with_suffix(".md").write_text(text)
    return path


def weights_of(model, **arguments):
    """Give a network's own weights as a file's bytes."""
    return save(build(model, arguments, 10, seed=1).state_dict())


# Cards


def test_the_card_of_the_shared_mobilenet(weights):
    """Its build arguments matter; its licence is free."""
    card = read_card(weights["mobilenetv2_100"])
    assert card.model == "mobilenetv2_100"
    assert card.build_arguments == {"pad_type": "same", "bn_eps": 1e-3}
    assert card.mean == card.std == (0.5, 0.5, 0.5)
    assert card.origin.licence == "apache-2.0"
    assert card.origin.sha256.startswith("141e7edf1dfc9dd5")


def test_the_card_of_the_shared_resnet(weights):
    """It names two licences; the stricter one counts."""
    card = read_card(weights["resnet18"])
    assert card.model == "resnet18"
    assert card.build_arguments == {}
    assert card.mean == (0.485, 0.456, 0.406)
    assert card.std == (0.229, 0.224, 0.225)
    assert card.origin.licence == "cc-by-nc-4.0"


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18"])
def test_the_shared_weights_fit_their_networks(weights, name):
    """All but the classifier is theirs, widened to float32; the classifier stays at random."""
    card = read_card(weights[name])
    network = build(card.model, card.build_arguments, 6, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, card, card.model)
    tensors = read_tensors(card.path)
    changed = []
    for key, value in network.state_dict().items():
        if key.startswith(("fc.", "classifier.")):
            assert torch.equal(value, before[key])
        else:
            assert torch.equal(value, tensors[key])
            changed.append(not torch.equal(value, before[key]))
    assert sum(changed) > 50


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", "mit"),
        ("Apache-2.0 (text beside it)", "apache-2.0"),
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC BY 4.0, or CC BY-NC-SA 4.0 after its file", "cc-by-nc-sa-4.0"),
        ("ask the authors", "unknown"),
        ("CC BY-NC", "cc-by-nc"),
        ("CC0-1.0", "cc0-1.0"),
        ("GPL-3.0, parts MIT", "gpl-3.0"),
        ("MIT, for non-commercial use", "unknown"),
    ],
)
def test_a_licence_is_read_as_its_strictest(tmp_path, licence, expected):
    """Lower-case SPDX; unknown where no known one is named."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"), licence=licence)
    assert read_card(path).origin.licence == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("The code is licensed under MIT.\n\n- **Licence:** CC BY-NC 4.0", "cc-by-nc-4.0"),
        ("- **License:** MIT\nThe pictures' licence is CC BY-NC-ND 4.0.", "cc-by-nc-nd-4.0"),
        ("- Licence: MIT\nThe data have the licence CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("- Licence: CC BY-SA 4.0\nLicences of parts: CC BY-ND 4.0", "cc-by-nd-4.0"),
        ("Its code has an Apache-2.0 licence.\n- **Licence**: BSD-3-Clause", "bsd-3-clause"),
        ("license: cc-by-nc-4.0\nlibrary: MIT", "cc-by-nc-4.0"),
        ("## Licence\n\nCC BY-NC 4.0\n\nThe code's licence is MIT.", "cc-by-nc-4.0"),
        ("From MIT, CC BY-NC 4.0 elsewhere\n- Licence: Apache-2.0", "apache-2.0"),
        ("Licence: MIT\nThe licence allows NonCommercial use only.", "unknown"),
        ("No word of it; MIT is a school.", "unknown"),
    ],
)
def test_of_several_licence_lines_the_strictest_counts(tmp_path, lines, expected):
    """Whatever their order; of equals the line that begins with the label; other lines never."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    page = path.with_suffix(".md")
    page.write_text(page.read_text().replace("- **Licence:** MIT", lines))
    assert read_card(path).origin.licence == expected


def test_a_file_that_is_not_the_one_of_its_card_is_refused(tmp_path):
    """Both digests are shown, shortened."""
    path = carded(tmp_path / "w.safetensors", b"something else", digest="0" * 64)
    with pytest.raises(DataError, match=r"not the file its card describes.*000000000000…"):
        read_card(path)


def test_weights_without_a_card_are_refused(tmp_path):
    """The card's expected name is given."""
    (tmp_path / "w.safetensors").write_bytes(weights_of("test_resnet"))
    with pytest.raises(DataError, match=r"no card w\.md"):
        read_card(tmp_path / "w.safetensors")


@pytest.mark.parametrize("word", ["timm.create_model", "mean", "std", "sha256"])
def test_a_card_that_says_too_little_is_refused(tmp_path, word):
    """What is lacking is named."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    card = path.with_suffix(".md")
    card.write_text(card.read_text().replace(word, "…"))
    with pytest.raises(DataError, match=f"does not state {word}"):
        read_card(path)


@pytest.mark.parametrize(
    "arguments", [", os.remove('x'", ", key=open('x'", ", **{}", ", 3", ", 3 +"]
)
def test_a_card_is_read_and_never_run(tmp_path, arguments):
    """Only literal arguments are taken from the call it shows."""
    data = weights_of("test_resnet")
    path = carded(tmp_path / "w.safetensors", data, arguments=arguments)
    with pytest.raises(DataError, match=r"w\.md holds a call that cannot be read"):
        read_card(path)


def test_a_card_in_another_encoding_is_read(tmp_path):
    """A letter that is not UTF-8 stops nothing."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    card = path.with_suffix(".md")
    card.write_bytes(b"Stra\xdfe\n" + card.read_bytes())
    assert read_card(path).model == "test_resnet"


def test_missing_weights_are_refused(tmp_path):
    """Nothing was started, and it says what to give."""
    with pytest.raises(UsageError, match="There are no weights at"):
        read_card(tmp_path / "nowhere.safetensors")


# Files that are not what they seem


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".ckpt"])
def test_kinds_that_can_run_code_are_not_opened(tmp_path, suffix):
    """Refused by name, before a byte is read."""
    path = carded(tmp_path / f"w{suffix}", pickle.dumps(Intruder(tmp_path / "mark")))
    with pytest.raises(UsageError, match=r"not a \.safetensors file"):
        read_card(path)
    assert not (tmp_path / "mark").exists()


def test_a_pickle_under_another_name_never_runs(tmp_path):
    """As weights, in a model folder, as a checkpoint: refused, and it left no mark."""
    mark = tmp_path / "mark"
    network = build("test_resnet", {}, 4, seed=0)
    path = carded(tmp_path / "w.safetensors", pickle.dumps(Intruder(mark)))
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        load_weights(network, read_card(path), "test_resnet")
    card = ModelCard(
        model="test_resnet",
        categories=("a", "b", "c", "d"),
        preprocessing=Preprocessing(size_px=32),
        dataset_digest="d",
        training_cells_digest="t",
    )
    write_model(tmp_path / "model", network, card)
    (tmp_path / "model" / "model.safetensors").write_bytes(pickle.dumps(Intruder(mark)))
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        load_model(tmp_path / "model")
    optimiser = make_optimiser("adamw", network.parameters(), rate=1e-3, weight_decay=0.1)
    with pytest.raises(DataError, match="cannot be read"):
        read_checkpoint(path, network, optimiser)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Intruder(mark)))
    assert mark.exists(), "the intruder would not have left a mark"


def header(text, *, length=None):
    """Write a safetensors header, its length as stated."""
    return struct.pack("<Q", len(text) if length is None else length) + text.encode()


def overlapping():
    """State two tensors on the same bytes."""
    one = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    return header(f'{{"a":{one},"b":{one}}}') + bytes(8)


HOSTILE = {
    "empty": lambda: b"",
    "seven bytes": lambda: bytes(7),
    "header of 2^63 bytes": lambda: header("{}", length=2**63),
    "header longer than the file": lambda: header("{}", length=10_000),
    "overlapping tensors": overlapping,
    "tensor past the end": lambda: header(
        '{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    ),
    "shape against offsets": lambda: (
        header('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}') + bytes(8)
    ),
    "no JSON": lambda: header("{nonsense") + bytes(8),
    "cut short": lambda: weights_of("test_resnet")[:-1],
    "unknown dtype": lambda: (
        header('{"a":{"dtype":"X99","shape":[1],"data_offsets":[0,4]}}') + bytes(4)
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_at_once(tmp_path, kind):
    """Each is an error of the data, named by its path, within a second."""
    path = carded(tmp_path / "w.safetensors", HOSTILE[kind]())
    network = build("test_resnet", {}, 4, seed=0)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"w\.safetensors cannot be read as safetensors"):
        load_weights(network, read_card(path), "test_resnet")
    assert time.monotonic() - start < 1


# Weights that do not fit


def test_weights_of_another_network_name_every_kind_of_mismatch(tmp_path):
    """Missing, unknown and of another shape, with their numbers; the network stays as it was."""
    tensors = build("test_resnet", {}, 10, seed=1).state_dict()
    own = dict(tensors)
    own.pop("bn1.weight")
    own.pop("bn1.bias")
    own["a.strange.one"] = torch.zeros(1)
    own["conv1.0.weight"] = torch.zeros(2, 2)
    path = carded(tmp_path / "w.safetensors", save(own))
    network = build("test_resnet", {}, 4, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(DataError) as seen:
        load_weights(network, read_card(path), "test_resnet")
    said = str(seen.value)
    assert "missing 2 (bn1.bias, bn1.weight)" in said
    assert "unknown 1 (a.strange.one)" in said
    assert "conv1.0.weight is (2, 2), not" in said
    assert "Nothing was started" in said
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("model", ["test_resnet", "test_byobnet", "test_efficientnet", "test_vit"])
def test_a_classifier_of_another_size_is_left_out(tmp_path, model):
    """Weights of ten categories start a network of four, whatever its classifier is called."""
    card = read_card(carded(tmp_path / "w.safetensors", weights_of(model), model=model))
    network = build(model, {}, 4, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, card, model)
    tensors = read_tensors(card.path)
    taken = set()
    for name, value in network.state_dict().items():
        if value.shape == tensors[name].shape and torch.equal(value, tensors[name]):
            taken.add(name)
        else:
            assert torch.equal(value, before[name])
    left = set(tensors) - taken
    assert 1 <= len(left) <= 2, left


def test_a_model_folder_gives_weights_with_its_own_origin(tmp_path):
    """Its card is the model's; trained from nothing it is ours, else it inherits the licence."""
    network = build("test_resnet", {}, 4, seed=0)
    plain = ModelCard(
        model="test_resnet",
        categories=("a", "b", "c", "d"),
        preprocessing=Preprocessing(size_px=32, mean=(0.1, 0.2, 0.3)),
        dataset_digest="d",
        training_cells_digest="t",
    )
    origin = WeightsOrigin(name="w", sha256="0" * 64, licence="cc-by-nc-4.0")
    write_model(tmp_path / "own", network, plain)
    write_model(tmp_path / "other", network, plain.model_copy(update={"weights": origin}))
    assert read_card(tmp_path / "own").origin.licence == "own"
    assert read_card(tmp_path / "own").mean == (0.1, 0.2, 0.3)
    assert read_card(tmp_path / "other").origin.licence == "cc-by-nc-4.0"


def test_half_precision_is_widened(tmp_path):
    """Files may hold float16; networks compute from float32. Whole numbers stay whole."""
    path = tmp_path / "h.safetensors"
    save_file(
        {"a": torch.ones(2, dtype=torch.float16), "n": torch.ones(1, dtype=torch.int64)}, path
    )
    seen = read_tensors(path)
    assert seen["a"].dtype == torch.float32
    assert seen["n"].dtype == torch.int64
