"""The starting weights of a study: one for all arms, or each arm's by name; settled beforehand."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from leukoscope.foundation.errors import DataError, LeukoscopeError, UsageError, unknown_name
from leukoscope.models.backbones import build, check_size
from leukoscope.models.cards import WeightsCard, read_card
from leukoscope.models.probes import WITHOUT_NETWORK
from leukoscope.models.weights import load_weights
from leukoscope.replication.arms import GIVEN, Arm, start_of, training_of_arm
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.settings import AnyTraining, check_start, with_weights

Cards = dict[str, WeightsCard]
"""The starting weights of those arms that have any."""


def with_starts(
    study: StudyRecipe, weights: Path | str | None, *, model: str | None, accepted: str | None
) -> tuple[StudyRecipe, Cards]:
    """Look the starting weights of a study's arms up, and write into it where they come from.

    Parameters
    ----------
    study : StudyRecipe
        As a person states it.
    weights : Path, str or None
        Weights with their card, a model or run folder, or a folder of several of these.
    model : str or None
        The network a person asked for by name.
    accepted : str or None
        The licence a person accepted.

    Returns
    -------
    study : StudyRecipe
        With network, arguments and colour statistics of each arm's card, as for a single
        training, and the weights' digests. Given again, it finds the same.
    cards : dict of str to WeightsCard
        By the names of the arms.

    Raises
    ------
    UsageError
        If a name or a network is unknown, or several weights are given and none is asked for.
    DataError
        If weights are missing, another network's, or an arm is frozen and starts at random.
    LicenceError
        If the licence of any was not accepted.
    """
    cards = _cards(study, weights)
    if not cards:
        card = read_card(_single(weights)) if weights is not None else None
        shared = with_weights(study.training, card, model, accepted)
        study = study.model_copy(update={"training": shared})
        cards = {arm: card for arm in study.arms if card and _starts_from(study, arm, card)}
        if card and not cards:
            raise UsageError(
                f"No arm of the study {study.name} would start from {card.origin.name}: each "
                "states another network. Nothing was started. Let arms name their weights, or "
                "leave --weights out."
            )
    else:
        study = _with_cards(study, cards, model, accepted)
    for name, arm in study.arms.items():
        with _of_arm(name):
            check_start(training_of_arm(study.training, arm))
    return StudyRecipe.from_mapping(study.model_dump(mode="json"), where=study.name), cards


def _cards(study: StudyRecipe, weights: Path | str | None) -> Cards:
    """Read the cards of the arms that name their weights."""
    names = {arm: stated.weights for arm, stated in study.arms.items() if stated.weights}
    if names and weights is None:
        raise DataError(
            f"The arms {', '.join(names)} start from the weights "
            f"{', '.join(sorted(set(names.values())))}; none were given. Nothing was started. Add "
            "--weights with a folder that holds them, each with its card."
        )
    assert weights is not None or not names
    read = {name: _card_of(name, weights) for name in set(names.values()) if weights is not None}
    return {arm: read[name] for arm, name in names.items()}


def _card_of(name: str, weights: Path | str) -> WeightsCard:
    if name == GIVEN:
        return read_card(_single(weights))
    places = _several(weights)
    if not places:
        card = read_card(weights)
        if name not in (card.origin.name, card.origin.name.split(".")[0], card.model):
            raise DataError(
                f"--weights holds {card.origin.name}, and an arm starts from {name}. Nothing was "
                "started. Give a folder that holds both, each with its card."
            )
        return card
    fitting = [known for known in places if name in (known, known.split(".")[0])]
    if not fitting:
        raise unknown_name(f"weights in {weights}", name, places)
    if len(fitting) > 1 and name not in places:
        raise UsageError(
            f"{weights} holds several weights called {name}: {', '.join(fitting)}. Nothing was "
            "started. Let the arm name one in full."
        )
    return read_card(places[name if name in places else fitting[0]])


def _several(weights: Path | str) -> dict[str, Path]:
    """List the weights of a folder of several by name; none if it is a model, a run or a file."""
    folder = Path(weights)
    single = [folder / name for name in ("model.json", "recipe.yaml")]
    if not folder.is_dir() or any(path.exists() for path in single):
        return {}
    found = {path.name.removesuffix(".safetensors"): path for path in folder.glob("*.safetensors")}
    for path in folder.iterdir():
        if (path / "model.json").is_file() or (path / "model" / "model.json").is_file():
            found[path.name] = path
    return dict(sorted(found.items()))


def _single(weights: Path | str | None) -> Path | str:
    assert weights is not None
    places = _several(weights)
    if len(places) > 1:
        raise UsageError(
            f"{weights} holds several weights: {', '.join(places)}. Nothing was started. Give one "
            "of them, or let the study's arms name theirs."
        )
    return next(iter(places.values()), weights)


def _with_cards(
    study: StudyRecipe, cards: Cards, model: str | None, accepted: str | None
) -> StudyRecipe:
    """Give arms their weights; of the given ones the others take the network, not the weights."""
    given = [card for arm, card in cards.items() if study.arms[arm].weights == GIVEN]
    shared = with_weights(study.training, given[0] if given else None, model, accepted)
    shared = shared.model_copy(update={"weights": None})
    arms = dict(study.arms)
    for name, card in cards.items():
        with _of_arm(name):
            arms[name] = _with_card(shared, arms[name], card, accepted)
    return study.model_copy(update={"training": shared, "arms": arms})


def _with_card(shared: TrainingRecipe, arm: Arm, card: WeightsCard, accepted: str | None) -> Arm:
    stated = training_of_arm(shared, arm)
    wanted = with_weights(stated, card, arm.training.get("model"), accepted).model_dump(mode="json")
    own = {name: wanted[name] for name in ("model", "build_arguments")}
    seen = {name: wanted["preprocessing"][name] for name in ("mean", "std")}
    own["preprocessing"] = dict(arm.training.get("preprocessing", {})) | seen
    return arm.model_copy(update={"origin": card.origin, "training": arm.training | own})


def _starts_from(study: StudyRecipe, arm: str, card: WeightsCard) -> bool:
    return training_of_arm(study.training, study.arms[arm]).weights == card.origin


def check_networks(study: StudyRecipe, n_categories: int, cards: Mapping[str, WeightsCard]) -> None:
    """Build each network that the arms differ in, so that none is refused after hours of others.

    Nothing is built where all arms share one: its first training is the first thing to come.

    Raises
    ------
    UsageError
        If a network cannot take pictures of its size.
    RecipeError
        If it refuses its arguments.
    DataError
        If its weights do not fit.
    """
    first: dict[str, str] = {}
    for name in study.arms:
        first.setdefault(start_of(study.training_of(Unit(name, 0))), name)
    for name in first.values() if len(first) > 1 else ():
        training = study.training_of(Unit(name, 0))
        if training.model not in WITHOUT_NETWORK:
            with _of_arm(name):
                _check_network(training, n_categories, cards.get(name))


def _check_network(training: AnyTraining, n_categories: int, card: WeightsCard | None) -> None:
    size_px = training.preprocessing.size_px
    network = build(training, n_categories, size_px, seed=0)
    check_size(network, training.model, size_px)
    if card is not None:
        load_weights(network, card, training)


@contextmanager
def _of_arm(name: str) -> Iterator[None]:
    """Let an error say whose it is."""
    try:
        yield
    except LeukoscopeError as error:
        raise type(error)(f"Arm {name}: {error}") from None
