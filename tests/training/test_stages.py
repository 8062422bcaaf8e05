import numpy as np
import pytest
import torch
from tests.training.colours import coloured, recipe_of, run
from torch import nn

from leukoscope.foundation.errors import DataError, RecipeError, UsageError
from leukoscope.models.backbones import build
from leukoscope.models.bodies import layer_groups
from leukoscope.training.batches import network_input
from leukoscope.training.loop import begin, one_update
from leukoscope.training.pace import measure_pace
from leukoscope.training.settings import check_start
from leukoscope.training.stages import (
    check_stages,
    first_update,
    freeze,
    rate_factors,
    stage_at,
)
from leukoscope.training.stages import (
    recipe_of as recipe_of_stage,
)

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
HEAD_FIRST = [{"updates": 5, "frozen_groups": "all-but-head"}, {"updates": 7}]
ORIGIN = {"name": "theirs", "sha256": "a" * 64, "licence": "mit"}


def network(**settings):
    """Build the network of a short plan."""
    recipe = recipe_of(**settings)
    return build(recipe, 3, recipe.preprocessing.size_px, seed=recipe.seed)


def frozen_names(net, frozen):
    """Name the parameters of the lowest groups."""
    groups = layer_groups(net)
    return {
        name for group in groups[: len(groups) - 1 if frozen is None else frozen] for name in group
    }


def equal(one, other):
    """Tell whether two sets of weights are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


# Which stage


def test_each_update_has_its_stage():
    """Counted out: 2, 3 and 1 updates."""
    recipe = recipe_of(updates=6, stages=[{"updates": n} for n in (2, 3, 1)])
    assert [stage_at(recipe, update) for update in range(6)] == [0, 0, 1, 1, 1, 2]
    assert [first_update(recipe, stage) for stage in range(3)] == [0, 2, 5]
    assert stage_at(recipe_of(), 11) == first_update(recipe_of(), 0) == 0


def test_a_stage_written_out_is_a_recipe():
    """What it states is taken, what it leaves open stays."""
    own = {"updates": 4, "learning_rate": 0.5, "frozen_groups": 1, "size_px": 16}
    recipe = recipe_of(updates=12, frozen_groups=2, stages=[own, {"updates": 8}])
    first, second = (recipe_of_stage(recipe, number) for number in range(2))
    expected = recipe_of(
        updates=4, learning_rate=0.5, frozen_groups=1, preprocessing={"size_px": 16}
    )
    assert first == expected
    assert second == recipe_of(updates=8, frozen_groups=2)
    assert recipe_of_stage(recipe_of(), 0) == recipe_of()


# Stages in the loop


def test_a_list_of_one_stage_is_no_list(tmp_path):
    """Weights and history, bit for bit."""
    plain = run(tmp_path / "plain", updates=6)
    staged = run(tmp_path / "staged", updates=6, stages=[{"updates": 6}])
    assert equal(plain.network.state_dict(), staged.network.state_dict())
    assert plain.history == staged.history


def test_each_stage_has_its_own_rate_and_course(tmp_path):
    """Cosine runs down once a stage, the second at a tenth of the rate."""
    stages = [{"updates": 4}, {"updates": 4, "learning_rate": 3e-4}]
    state = run(tmp_path, updates=8, validate_every=1, stages=stages)
    course = [0.5 * (1 + np.cos(np.pi * share)) for share in (0, 0.25, 0.5, 0.75)]
    rates = [row["learning_rate"] for row in state.history]
    assert rates == pytest.approx(
        [3e-3 * each for each in course] + [3e-4 * each for each in course]
    )
    assert [row["stage"] for row in state.history] == [0] * 4 + [1] * 4


@pytest.mark.parametrize("average_decay", [None, 0.9])
@pytest.mark.parametrize(
    ("model", "frozen"),
    [("test_resnet", "all-but-head"), ("test_resnet", 2), ("nh4cl", 8), ("lenet", "all-but-head")],
)
def test_what_is_frozen_stays_bit_for_bit(tmp_path, model, frozen, average_decay):
    """Weights and the statistics of batch normalisation, also in the mean; the rest has moved."""
    settings = {"model": model, "frozen_groups": frozen, "average_decay": average_decay}
    before = network(model=model).state_dict()
    state = run(tmp_path, updates=4, learning_rate=0.05, **settings)
    names = frozen_names(state.network, None if frozen == "all-but-head" else frozen)
    frozen_modules = {name.rpartition(".")[0] for name in names}
    learned = 0
    for weights in (state.network.state_dict(), state.best):
        for name, value in weights.items():
            is_frozen = name.rpartition(".")[0] in frozen_modules
            assert not is_frozen or torch.equal(value, before[name]), name
            learned += not is_frozen and not torch.equal(value, before[name])
    assert learned > 2
    assert len(names) > 2


def test_the_head_learns_first_then_all(tmp_path):
    """As N22-S5: the body is still when the first stage ends and has moved when the second does."""
    before = network().state_dict()
    first = run(tmp_path / "first", updates=5, frozen_groups="all-but-head")
    state = run(tmp_path / "both", updates=12, stages=HEAD_FIRST)
    body = frozen_names(state.network, None)
    assert all(torch.equal(first.network.state_dict()[name], before[name]) for name in body)
    assert not any(torch.equal(state.network.state_dict()[name], before[name]) for name in body)


def test_the_first_stage_is_the_run_of_its_own_recipe(tmp_path):
    """A head that learns first learns as in a run that trains the head alone."""
    recipe = recipe_of(updates=12, stages=HEAD_FIRST)
    alone = run(tmp_path, updates=5, frozen_groups="all-but-head")
    state, train = begin(network(), recipe, CPU), coloured(48, "train")
    for _ in range(5):
        one_update(state, train, recipe, CPU, "float32")
    assert equal(state.network.state_dict(), alone.network.state_dict())


# Freezing


def modes(net):
    """Name the normalisation and dropout layers that are at work."""
    kinds = (nn.modules.batchnorm._BatchNorm, nn.Dropout)
    return {name for name, part in net.named_modules() if isinstance(part, kinds) and part.training}


def trainable(net):
    """Name all parameters."""
    return frozenset(name for name, _ in net.named_parameters())


def test_dropout_below_the_last_frozen_layer_is_off_and_above_it_on():
    """Of Saquib and Rodriguez' network, the first 19 layers frozen: their own 19."""
    net = network(model="saquib_rodriguez", preprocessing={"size_px": 72})
    resting = freeze(net, 19, trainable(net))
    net.train()
    for part in resting:
        part.eval()
    places = [i for i, layer in enumerate(net) if isinstance(layer, nn.Dropout)]
    # The last one in the frozen part follows its last weights: it belongs to what learns.
    assert modes(net) == {"18"} | {str(i) for i in places if i > 18}
    assert {str(i) for i in places} > modes(net)
    assert [p.requires_grad for p in net[:19].parameters()] == [False] * 12
    assert all(p.requires_grad for p in net[19:].parameters())


def test_what_is_thawed_learns_again():
    """Frozen and thawed, every parameter asks for a gradient and nothing rests; but those that
    never learned still do not."""
    net = network()
    some = trainable(net) - {"conv1.0.weight"}
    assert freeze(net, "all-but-head", some)
    assert not freeze(net, 0, some)
    asked = {name for name, p in net.named_parameters() if p.requires_grad}
    assert asked == some


def test_members_of_five_networks_are_frozen_alike():
    """The first group of each, and its normalisation with it."""
    net = network(regions="quadrants-and-rim")
    resting = freeze(net, 1, trainable(net))
    still = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert {name.split(".")[1] for name in still} == set("01234")
    assert still == set(layer_groups(net)[0])
    assert len(resting) % 5 == 0


def test_groups_that_are_not_there_are_refused_before_the_first_update():
    """Also where the last stage alone asks for them; the number that is there is named."""
    stages = [{"updates": 5}, {"updates": 7, "frozen_groups": 99}]
    with pytest.raises(RecipeError, match="frozen_groups is 99"):
        begin(network(), recipe_of(updates=12, stages=stages), CPU)


def test_random_layers_are_not_frozen():
    """By the recipe or by a stage of it; with weights, or without freezing, all is well."""
    for settings in ({"frozen_groups": 2}, {"updates": 12, "stages": HEAD_FIRST}):
        with pytest.raises(DataError, match="names no weights"):
            check_start(recipe_of(**settings))
        check_start(recipe_of(**settings, weights=ORIGIN))
    check_start(recipe_of(frozen_groups=2, updates=6, stages=[{"updates": 6, "frozen_groups": 0}]))


# Rates of their own


def test_each_group_learns_at_its_share():
    """From the head down, each share the decay times the one above; layers without weights do not
    count."""
    net = network(model="lenet")
    factors = rate_factors(net, 0.5)
    named = dict(net.named_parameters())
    seen = {name: factors[parameter] for name, parameter in named.items() if "weight" in name}
    expected = {"0": 1 / 16, "3": 1 / 8, "7": 1 / 4, "9": 1 / 2, "11": 1.0}
    assert seen == {f"{layer}.weight": share for layer, share in expected.items()}
    assert rate_factors(net, 1.0) == {}


def test_a_decay_of_one_is_no_decay(tmp_path):
    """And one of almost 1 gives almost the same weights, by way of a group a layer."""
    plain = run(tmp_path / "plain", updates=4, model="lenet").network.state_dict()
    one = run(tmp_path / "one", updates=4, model="lenet", rate_decay=1.0).network.state_dict()
    near = run(tmp_path / "near", updates=4, model="lenet", rate_decay=1 - 1e-9)
    assert equal(plain, one)
    for name, value in near.network.state_dict().items():
        torch.testing.assert_close(value, plain[name], rtol=1e-5, atol=1e-7)


# Progressive sizes


def test_a_smaller_stage_sees_the_picture_made_smaller():
    """Means of blocks stay where they are: a picture of even colours is the same, only smaller."""
    train = coloured(6, "train")
    recipe = recipe_of(updates=12, stages=[{"updates": 5, "size_px": 12}, {"updates": 7}])
    places, visits = np.arange(6), np.zeros(6, dtype=np.int64)
    small, whole = (
        network_input(train, places, visits, recipe_of_stage(recipe, number), CPU)
        for number in range(2)
    )
    assert small.shape == (6, 3, 12, 12)
    assert small.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(small.mean(dim=(2, 3)), whole.mean(dim=(2, 3)), atol=0.02, rtol=0)
    # Noise is averaged away: it was sampled with its neighbours, not picked from among them.
    assert small.var(dim=(2, 3)).mean() < 0.5 * whole.var(dim=(2, 3)).mean()


def test_progressive_sizes_learn_and_are_validated_at_the_last_size(tmp_path):
    """16, then 24 px."""
    stages = [{"updates": 20, "size_px": 16}, {"updates": 20}]
    state = run(tmp_path, updates=40, validate_every=40, stages=stages)
    assert state.history[-1]["validation_accuracy"] > 0.9


def test_a_size_the_network_cannot_take_is_refused_at_once():
    """A vision transformer cuts pictures into patches of 16 px; the sentence names the size."""
    settings = {"model": "test_vit", "preprocessing": {"size_px": 48}}
    recipe = recipe_of(updates=6, stages=[{"updates": 6, "size_px": 24}], **settings)
    with pytest.raises(UsageError, match="test_vit cannot take pictures of 24 px"):
        check_stages(network(**settings), recipe)


# How long it takes


def test_the_pace_of_stages_is_their_mean():
    """A training whose stages are alike takes as long as one without; nothing is written."""
    stages = [{"updates": 3, "frozen_groups": "all-but-head"}, {"updates": 9}]
    pace = measure_pace(recipe_of(updates=12, stages=stages, bagging=False), 3, "cpu")
    assert 0 < pace.update_s < 60
    assert pace.n_weights == sum(v.numel() for v in network().state_dict().values())
