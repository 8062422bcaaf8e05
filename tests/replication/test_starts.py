"""Starting weights by arm: looked up by name, checked together, written into the study."""

import copy

import pytest
import yaml
from tests.replication.conftest import STUDY
from tests.replication.weighed import write_weights

from leukoscope.foundation.errors import DataError, LicenceError, UsageError
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.replication.starts import check_networks, with_starts

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write two weights of one network and one of another."""
    place = tmp_path_factory.mktemp("weights")
    write_weights(place, tag="a", seed=1)
    write_weights(place, tag="b", seed=2)
    write_weights(place, model="test_vit", tag="c")
    return place


def study(**arms):
    """Read the short study with some arms more."""
    value = copy.deepcopy(yaml.safe_load(STUDY))
    value["arms"] |= {name: {"description": "x"} | arm for name, arm in arms.items()}
    return StudyRecipe.from_mapping(value, where="the study")


def started(stated, weights, accepted=None, model=None):
    """Settle the starting weights of a study."""
    return with_starts(stated, weights, model=model, accepted=accepted)


def test_one_card_is_for_all_arms(folder):
    """As it always was; network and colours are the card's, in each arm."""
    seen, cards = started(study(), folder / "test_resnet.a.safetensors")
    assert set(cards) == {"none", "turned"}
    for arm in seen.arms:
        training = seen.training_of(Unit(arm, 0))
        assert training.weights.name == "test_resnet.a"
        assert training.preprocessing.mean == (0.1, 0.2, 0.3)


def test_an_arm_of_another_network_starts_at_random_beside_it(folder):
    """The card is not its own."""
    stated = study(lenet={"training": {"model": "lenet"}})
    seen, cards = started(stated, folder / "test_resnet.a.safetensors")
    assert set(cards) == {"none", "turned"}
    assert seen.training_of(Unit("lenet", 0)).weights is None


def test_arms_find_their_weights_by_name(folder):
    """In full, or by the part before the first dot where that is one; others start at random."""
    stated = study(b={"weights": "test_resnet.b"}, vit={"weights": "test_vit"})
    seen, cards = started(stated, folder)
    assert {arm: card.origin.name for arm, card in cards.items()} == {
        "b": "test_resnet.b",
        "vit": "test_vit.c",
    }
    for arm, card in cards.items():
        training = seen.training_of(Unit(arm, 0))
        assert (training.weights, training.model) == (card.origin, card.model)
        assert training.preprocessing.std == (0.4, 0.5, 0.6)
    assert seen.training_of(Unit("none", 0)) == stated.training_of(Unit("none", 0))


def test_what_was_settled_settles_to_the_same_again(folder, tmp_path):
    """The stored study reads back, and given again with its weights it is unchanged."""
    stated = study(b={"weights": "test_resnet.b"}, given={"weights": "test_vit"})
    seen, _ = started(stated, folder)
    (tmp_path / "study.yaml").write_text(seen.to_yaml())
    again = StudyRecipe.from_yaml(tmp_path / "study.yaml")
    assert again == seen
    assert started(again, folder)[0] == seen
    other = write_weights(tmp_path / "other", tag="b", seed=9)
    with pytest.raises(DataError, match=r"Arm b: The recipe starts from test_resnet\.b"):
        started(study(b=seen.arms["b"].model_dump(mode="json")), other)


def test_given_weights_decide_the_network_of_all_and_start_the_arms_that_ask(folder):
    """So that random and pretrained arms differ in their weights alone."""
    stated = study(started={"weights": "given"})
    seen, cards = started(stated, folder / "test_vit.c.safetensors")
    assert set(cards) == {"started"}
    own, other = (seen.training_of(Unit(arm, 0)) for arm in ("started", "none"))
    assert own.model == other.model == "test_vit"
    assert other.weights is None
    assert own.model_copy(update={"weights": None}) == other


def test_weights_that_are_not_there_or_not_one_are_refused(folder, tmp_path):
    """Names are named, and so is what to do."""
    named = study(b={"weights": "test_resnet"})
    with pytest.raises(DataError, match=r"The arms b start from .*test_resnet; none were given"):
        started(named, None)
    with pytest.raises(UsageError, match=r"several weights called test_resnet: .*\.a, .*\.b"):
        started(named, folder)
    with pytest.raises(UsageError, match=r"Did you mean test_resnet\.b"):
        started(study(b={"weights": "test_resnet.bb"}), folder)
    with pytest.raises(DataError, match=r"holds test_vit\.c, and an arm starts from test_resnet"):
        started(named, folder / "test_vit.c.safetensors")
    for stated in (study(), study(b={"weights": "given"})):
        with pytest.raises(UsageError, match="holds several weights"):
            started(stated, folder)
    alone = study(**{name: {"training": {"model": "lenet"}} for name in ("none", "turned")})
    with pytest.raises(UsageError, match="No arm of the study short would start"):
        started(alone, folder / "test_vit.c.safetensors")


def test_weights_of_another_network_than_the_arm_states_are_refused(folder):
    """The arm is named."""
    stated = study(b={"weights": "test_vit", "training": {"model": "lenet"}})
    with pytest.raises(DataError, match=r"Arm b: The weights test_vit\.c are those of test_vit"):
        started(stated, folder)


def test_the_licences_of_all_arms_are_checked_before_anything(folder, tmp_path):
    """One that restricts is refused, whatever the others are."""
    write_weights(tmp_path, tag="a")
    write_weights(tmp_path, model="test_vit", tag="nc", licence="CC BY-NC 4.0")
    stated = study(a={"weights": "test_resnet"}, nc={"weights": "test_vit"})
    with pytest.raises(LicenceError, match=r"Arm nc: .*cc-by-nc-4\.0"):
        started(stated, tmp_path)
    assert set(started(stated, tmp_path, accepted="cc-by-nc-4.0")[1]) == {"a", "nc"}


def test_a_frozen_arm_needs_weights(folder):
    """A classical model on a network, or a network that is not all trained; pixels need none."""
    for training in ({"frozen_groups": "all-but-head"}, {"classifier": {"kind": "svm"}}):
        with pytest.raises(DataError, match=r"Arm frozen: .*frozen at random"):
            started(study(frozen={"training": training}), None)
        named = study(frozen={"training": training, "weights": "test_resnet.a"})
        assert set(started(named, folder)[1]) == {"frozen"}
    pixels = {"model": "pixels", "classifier": {"kind": "svm"}}
    assert started(study(pixels={"training": pixels}), None)[1] == {}


def test_a_network_that_cannot_be_built_is_refused_before_the_others_are_trained(folder):
    """Sizes and weights of every arm, though their turn would come last."""
    small = study(big={"training": {"model": "saquib_rodriguez"}})
    with pytest.raises(UsageError, match="Arm big: saquib_rodriguez cannot take pictures of 32"):
        check_networks(small, 4, {})
    stated = study(b={"weights": "test_resnet.b", "training": {"norm": "group"}})
    seen, cards = started(stated, folder)
    with pytest.raises(DataError, match="Arm b: "):
        check_networks(seen, 4, cards)
