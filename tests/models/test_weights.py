import json
import os
import pickle
import time
import tracemalloc

import pytest
import torch
from safetensors.torch import save, save_file
from tests.models.carded import carded, header, network_of, weights_of

from leukoscope.fitting.checkpoints import read_checkpoint
from leukoscope.fitting.optimisers import make_optimiser
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.progress import noting
from leukoscope.models.bodies import classifiers_of, names_under
from leukoscope.models.cards import read_card
from leukoscope.models.folders import load_model, write_model
from leukoscope.models.weights import load_weights, read_tensors
from leukoscope.records.runs import ModelCard, NetworkRecipe, Preprocessing

pytestmark = pytest.mark.usefixtures("one_thread")


class Intruder:
    """Leave a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18"])
def test_the_shared_weights_fit_their_networks(weights, name):
    """All but the classifier is theirs, widened to float32; the classifier stays at random."""
    card = read_card(weights[name])
    arguments = card.build_arguments
    network, recipe = network_of(card.model, 6, build_arguments=arguments)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, card, recipe)
    tensors = read_tensors(card.path)
    changed = []
    for key, value in network.state_dict().items():
        if key.startswith(("fc.", "classifier.")):
            assert torch.equal(value, before[key])
        else:
            assert torch.equal(value, tensors[key])
            changed.append(not torch.equal(value, before[key]))
    assert sum(changed) > 50


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
    network, recipe = network_of()
    path = carded(tmp_path / "w.safetensors", pickle.dumps(Intruder(mark)))
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        load_weights(network, read_card(path), recipe)
    card = ModelCard(
        model="test_resnet",
        categories=("a", "b", "c", "d"),
        preprocessing=Preprocessing(size_px=32),
        dataset_digest="d",
        training_cells_digest="t",
    )
    write_model(tmp_path / "model", network, card)
    (tmp_path / "model" / "model.safetensors").write_bytes(pickle.dumps(Intruder(mark)))
    with pytest.raises(DataError, match="not the file that was written"):
        load_model(tmp_path / "model")
    (tmp_path / "model" / "model.sha256").unlink()
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        load_model(tmp_path / "model")
    optimiser = make_optimiser("adamw", network.parameters(), rate=1e-3, weight_decay=0.1)
    with pytest.raises(DataError, match="cannot be read"):
        read_checkpoint(path, network, optimiser)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Intruder(mark)))
    assert mark.exists(), "the intruder would not have left a mark"


def overlapping():
    """State two tensors on the same bytes."""
    one = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    return header(f'{{"a":{one},"b":{one}}}') + bytes(8)


def one(**changes):
    """State one tensor of two numbers, changed, before its eight bytes."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes
    return header(json.dumps({"a": entry})) + bytes(8)


TENSOR = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
HOSTILE = {
    "empty": lambda: b"",
    "seven bytes": lambda: bytes(7),
    "header of 2^63 bytes": lambda: header("{}", length=2**63),
    "header of 2^64 - 1 bytes": lambda: header("{}", length=2**64 - 1),
    "header of 90 MB": lambda: header("{}", length=90_000_000),
    "header longer than the file": lambda: header("{}", length=10_000),
    "header of no bytes": lambda: header(""),
    "overlapping tensors": overlapping,
    "a hole between tensors": lambda: one(data_offsets=[4, 12]) + bytes(4),
    "a negative offset": lambda: one(data_offsets=[-8, 0]),
    "offsets turned round": lambda: one(data_offsets=[8, 0]),
    "a fraction as offset": lambda: one(data_offsets=[0, 8.0]),
    "a negative shape": lambda: one(shape=[-2]),
    "tensor past the end": lambda: one(shape=[10**12], data_offsets=[0, 4 * 10**12]),
    "a shape beyond all numbers": lambda: one(shape=[2**62, 2**62, 4]),
    "a shape that comes round to two": lambda: one(shape=[2**63 + 1, 2]),
    "a number of 400 digits": lambda: one(shape=[10**400]),
    "shape against offsets": lambda: one(shape=[3]),
    "no JSON": lambda: header("{nonsense") + bytes(8),
    "no UTF-8": lambda: header("{}", length=4) + bytes([0xFF, 0xFE]),
    "brackets without end": lambda: header('{"a":' + "[" * 100_000),
    "a list": lambda: header("[]"),
    "a tensor that is a word": lambda: header('{"a": "b"}'),
    "the same name twice": lambda: header(f'{{"a":{TENSOR},"a":{TENSOR}}}') + bytes(8),
    "the same key twice": lambda: (
        header('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}') + bytes(8)
    ),
    "cut short": lambda: weights_of("test_resnet")[:-1],
    "something after its end": lambda: one() + b"more",
    "unknown dtype": lambda: one(dtype="X99"),
    "a dtype torch lacks": lambda: one(dtype="F6_E2M3", shape=[8], data_offsets=[0, 6])[:-2],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_at_once(tmp_path, kind):
    """Each is an error of the data, named by its path, within a second and a few megabytes."""
    path = carded(tmp_path / "w.safetensors", HOSTILE[kind]())
    network, recipe = network_of()
    card = read_card(path)
    start = time.monotonic()
    tracemalloc.start()
    with pytest.raises(DataError, match=r"w\.safetensors cannot be read as safetensors") as seen:
        load_weights(network, card, recipe)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert time.monotonic() - start < 1
    assert len(str(seen.value)) < 1000


def test_the_bytes_hostile_files_are_made_of_are_read_where_nothing_is_changed(tmp_path):
    """So that each of them is refused for what was changed."""
    (tmp_path / "w.safetensors").write_bytes(one())
    assert torch.equal(read_tensors(tmp_path / "w.safetensors")["a"], torch.zeros(2))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1 + 1j])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_numbers_no_network_can_be_made_of_are_refused_by_name(tmp_path, value, kind):
    """The tensor that holds one is named, and no other."""
    kind = torch.complex64 if isinstance(value, complex) else kind
    tensors = {"sound": torch.ones(3), "ill": torch.tensor([1, value], dtype=kind)}
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"not finite, or complex, in ill:"):
        read_tensors(tmp_path / "w.safetensors")


# Weights that do not fit


def test_weights_of_another_network_name_every_kind_of_mismatch(tmp_path):
    """Missing, unknown and of another shape, with their numbers; the network stays as it was."""
    own = dict(network_of(n_outputs=10, seed=1)[0].state_dict())
    own.pop("bn1.weight")
    own.pop("bn1.bias")
    own["a.strange.one"] = torch.zeros(1)
    own["conv1.0.weight"] = torch.zeros(2, 2)
    own["layer1.0.bn1.bias"] = own["layer1.0.bn1.bias"].long()
    path = carded(tmp_path / "w.safetensors", save(own))
    network, recipe = network_of()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(DataError) as seen:
        load_weights(network, read_card(path), recipe)
    said = str(seen.value)
    assert "missing 2 (bn1.bias, bn1.weight)" in said
    assert "unknown 1 (a.strange.one)" in said
    assert "conv1.0.weight is (2, 2), not" in said
    assert "layer1.0.bn1.bias is torch.int64, not torch.float32" in said
    assert "Nothing was started" in said
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("model", ["test_resnet", "test_byobnet", "test_efficientnet", "test_vit"])
def test_a_classifier_of_another_size_is_left_out(tmp_path, model):
    """Weights of ten categories start a network of four, whatever its classifier is called."""
    card = read_card(carded(tmp_path / "w.safetensors", weights_of(model), model=model))
    network, recipe = network_of(model)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, card, recipe)
    tensors = read_tensors(card.path)
    taken = set()
    for name, value in network.state_dict().items():
        if value.shape == tensors[name].shape and torch.equal(value, tensors[name]):
            taken.add(name)
        else:
            assert torch.equal(value, before[name])
    left = set(tensors) - taken
    assert 1 <= len(left) <= 2, left


def test_half_precision_is_widened(tmp_path):
    """Files may hold float16; networks compute from float32. Whole numbers stay whole."""
    path = tmp_path / "h.safetensors"
    save_file(
        {"a": torch.ones(2, dtype=torch.float16), "n": torch.ones(1, dtype=torch.int64)}, path
    )
    seen = read_tensors(path)
    assert seen["a"].dtype == torch.float32
    assert seen["n"].dtype == torch.int64


# Changed networks


def loaded(network, recipe, path, **options):
    """Load weights and tell which tensors are theirs, which are left, as two sets of names."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, read_card(path), recipe, **options)
    left = {
        name for name, value in network.state_dict().items() if torch.equal(value, before[name])
    }
    return set(before) - left, left


@pytest.mark.parametrize("head", ["dense", "convolution"])
@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet"])
def test_a_files_weights_go_into_the_body_below_another_head(tmp_path, model, head):
    """Bit for bit; the head stays at random."""
    path = carded(tmp_path / "w.safetensors", weights_of(model), model=model)
    network, recipe = network_of(model, size_px=64, head=head)
    taken, left = loaded(network, recipe, path)
    theirs = read_tensors(path)
    assert all(name.startswith("body.") for name in taken)
    assert {name for name in left if name.startswith("head.")} == {
        name for name in network.state_dict() if name.startswith("head.")
    }
    for name, value in network.body.state_dict().items():
        assert torch.equal(value, theirs[name])


def test_a_files_weights_go_into_each_of_five_networks(tmp_path):
    """All alike below their heads; the heads differ."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    network, recipe = network_of(size_px=64, regions="quadrants-and-rim")
    loaded(network, recipe, path)
    theirs = read_tensors(path)
    for member in network.members:
        for name, value in member.state_dict().items():
            assert name.startswith("fc.") or torch.equal(value, theirs[name])
    heads = {tuple(member.fc.weight.flatten().tolist()) for member in network.members}
    assert len(heads) == 5


@pytest.mark.parametrize(("model", "new"), [("resnet18", {"conv1.weight"}), ("test_resnet", set())])
def test_a_small_stem_stays_at_random_only_where_its_shape_is_new(tmp_path, model, new):
    """7 × 7 does not fit into 3 × 3; a first convolution of 3 × 3 takes its weights."""
    path = carded(tmp_path / "w.safetensors", weights_of(model), model=model)
    network, recipe = network_of(model, stem="small")
    _, left = loaded(network, recipe, path)
    kernels = {name for name, value in network.state_dict().items() if value.ndim == 4}
    assert left & kernels == new


def test_a_first_convolution_of_another_shape_is_a_mismatch_without_the_small_stem(tmp_path):
    """What is left out is only what the recipe made anew."""
    tensors = network_of("resnet18", 10)[0].state_dict()
    data = save(dict(tensors) | {"conv1.weight": torch.zeros(64, 1, 7, 7)})
    path = carded(tmp_path / "w.safetensors", data, model="resnet18")
    network, recipe = network_of("resnet18")
    with pytest.raises(DataError, match=r"conv1.weight is \(64, 1, 7, 7\), not \(64, 3, 7, 7\)"):
        load_weights(network, read_card(path), recipe)


def test_batch_normalisations_weights_do_not_start_group_normalisation(tmp_path):
    """Said in plain words, not as two hundred names."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    network, recipe = network_of(norm="group")
    with pytest.raises(DataError, match=r"made with batch normalisation \(\d+ layers\)"):
        load_weights(network, read_card(path), recipe)


def test_an_auxiliary_classifier_is_no_part_of_a_network(tmp_path):
    """timm publishes inception_v3 with one and builds it without."""
    tensors = dict(network_of(n_outputs=10, seed=1)[0].state_dict())
    data = save(tensors | {"AuxLogits.fc.weight": torch.ones(2, 2)})
    network, recipe = network_of()
    taken, _ = loaded(network, recipe, carded(tmp_path / "w.safetensors", data))
    assert "conv1.0.weight" in taken


def test_positions_of_another_picture_size_are_resized_and_that_is_said(tmp_path):
    """To timm's own bicubic; a flat embedding stays flat, and class tokens stay as they are."""
    fixed = {"img_size": 64, "dynamic_img_size": False}
    source, _ = network_of("test_vit", 10, 64, build_arguments=fixed, seed=1)
    tensors = dict(source.state_dict())
    tensors["pos_embed"] = (
        torch.arange(tensors["pos_embed"].shape[-1]).float().expand(tensors["pos_embed"].shape)
    )
    path = carded(tmp_path / "w.safetensors", save({k: v.clone() for k, v in tensors.items()}))
    network, recipe = network_of(
        "test_vit", size_px=32, build_arguments={"img_size": 32, "dynamic_img_size": False}
    )
    notes = []
    with noting(notes.append):
        load_weights(network, read_card(path), recipe)
    ours = network.pos_embed
    assert ours.shape != tensors["pos_embed"].shape
    assert torch.allclose(ours, tensors["pos_embed"][:, : ours.shape[1]], atol=1e-4)
    assert len(notes) == 1
    assert "4 × 4 patches, was resized to the 2 × 2" in notes[0]


@pytest.mark.parametrize(("said", "n_notes"), [("bicubic", 1), ("bilinear", 0), ("", 0)])
def test_another_interpolation_is_said_at_training(tmp_path, said, n_notes):
    """Nothing is said where it is the house's own."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    page = path.with_suffix(".md")
    page.write_text(page.read_text().replace("(0.4, 0.5, 0.6)", f"(0.4, 0.5, 0.6); {said}"))
    notes = []
    with noting(notes.append):
        load_weights(*network_of()[:1], read_card(path), NetworkRecipe(model="test_resnet"))
    assert len(notes) == n_notes
    assert all("resized by bicubic" in note for note in notes)


# Weights of a run, and kept heads


def run_weights(path, recipe, network):
    """Write a model folder as a run leaves it."""
    card = ModelCard(
        **recipe.model_dump(),
        categories=("a", "b", "c", "d"),
        preprocessing=Preprocessing(size_px=80),
        dataset_digest="d",
        training_cells_digest="t",
    )
    write_model(path, network, card)
    return path


CHANGED = [
    {},
    {"head": "dense"},
    {"head": "convolution", "norm": "group"},
    {"stem": "small", "norm": "group"},
    {"regions": "quadrants-and-rim"},
    {"regions": "quadrants-and-rim", "head": "dense"},
    {"model": "lenet"},
    {"model": "saquib_rodriguez_skip", "regions": "quadrants-and-rim"},
]


@pytest.mark.parametrize("changes", CHANGED, ids=str)
def test_a_runs_weights_start_a_network_built_alike(tmp_path, changes):
    """All of them below the head; with it, where it is kept."""
    source, recipe = network_of(size_px=80, seed=1, **changes)
    folder = run_weights(tmp_path / "model", recipe, source)
    theirs = source.state_dict()
    for keep_head in (False, True):
        network, _ = network_of(size_px=80, **changes)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        load_weights(network, read_card(folder), recipe, keep_head=keep_head)
        heads = names_under(classifiers_of(network), theirs)
        assert heads
        for name, value in network.state_dict().items():
            from_run = keep_head or name not in heads
            assert torch.equal(value, (theirs if from_run else before)[name]), name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"head": "dense"}, "head: linear there and dense here"),
        ({"stem": "small"}, "stem: own there and small here"),
        ({"norm": "group"}, "norm: own there and group here"),
        ({"regions": "quadrants-and-rim"}, "regions: whole there and quadrants-and-rim here"),
        ({"model": "test_vit"}, "model: test_resnet there and test_vit here"),
    ],
)
def test_a_runs_weights_do_not_start_a_network_changed_otherwise(tmp_path, changes, said):
    """What differs is named, each way."""
    source, recipe = network_of(size_px=80)
    card = read_card(run_weights(tmp_path / "model", recipe, source))
    network, other = network_of(size_px=80, **changes)
    with pytest.raises(DataError, match=said):
        load_weights(network, card, other)


def test_a_head_is_kept_where_the_shapes_agree(tmp_path):
    """Every tensor is then the weights'."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    network, recipe = network_of(n_outputs=10)
    load_weights(network, read_card(path), recipe, keep_head=True)
    theirs = read_tensors(path)
    assert all(torch.equal(value, theirs[name]) for name, value in network.state_dict().items())


def test_a_head_of_another_shape_is_not_kept(tmp_path):
    """Both shapes are named; so is a head that is not there, and one that another replaces."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    network, recipe = network_of()
    with pytest.raises(DataError, match=r"fc.bias \(10,\).*and this network's is fc.bias \(4,\)"):
        load_weights(network, read_card(path), recipe, keep_head=True)
    network, recipe = network_of(head="dense", size_px=64)
    with pytest.raises(DataError, match="the recipe puts another in its place"):
        load_weights(network, read_card(path), recipe, keep_head=True)
    tensors = {k: v for k, v in read_tensors(path).items() if not k.startswith("fc.")}
    path = carded(tmp_path / "headless.safetensors", save(tensors))
    network, recipe = network_of()
    load_weights(network, read_card(path), recipe)
    with pytest.raises(DataError, match=r"it is not there, and this network's is fc\.bias"):
        load_weights(network, read_card(path), recipe, keep_head=True)
