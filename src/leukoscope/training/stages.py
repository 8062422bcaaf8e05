"""The stages of a training: which one an update belongs to, and which parts of a network rest."""

from itertools import accumulate

from torch import nn

from leukoscope.models.backbones import check_size
from leukoscope.models.bodies import Frozen, frozen_count, layer_groups
from leukoscope.training.recipe import TrainingRecipe


def stage_at(recipe: TrainingRecipe, update: int) -> int:
    """Find the stage that an update (0, 1, …) belongs to: 0 for the first."""
    ends = accumulate(stage.updates for stage in recipe.stages)
    return sum(end <= update for end in [*ends][:-1])


def first_update(recipe: TrainingRecipe, stage: int) -> int:
    """Count the updates before a stage."""
    return sum(each.updates for each in recipe.stages[:stage])


def recipe_of(recipe: TrainingRecipe, stage: int) -> TrainingRecipe:
    """Write a stage out as the recipe of a training in one stretch.

    Returns
    -------
    TrainingRecipe
        Without stages; ``preprocessing.size_px`` is the size of this stage. The recipe itself
        where it has no stages.
    """
    if not recipe.stages:
        return recipe
    own = recipe.stages[stage]
    changes = {name: getattr(own, name) for name in _CHANGED if getattr(own, name) is not None}
    if own.size_px is not None:
        sized = recipe.preprocessing.model_copy(update={"size_px": own.size_px})
        changes["preprocessing"] = sized
    return recipe.model_copy(update={**changes, "stages": ()})


_CHANGED = ("updates", "learning_rate", "frozen_groups", "augmentation")


def stretches(recipe: TrainingRecipe) -> list[TrainingRecipe]:
    """Write all stages of a training out, in order; one without stages is its only stretch."""
    return [recipe_of(recipe, number) for number in range(max(1, len(recipe.stages)))]


def without_frozen(recipe: TrainingRecipe) -> TrainingRecipe:
    """Write a recipe for what is left of a network whose frozen part was computed beforehand."""
    whole = {"frozen_groups": None, "size_px": None, "augmentation": None}
    stages = tuple(stage.model_copy(update=whole) for stage in recipe.stages)
    return recipe.model_copy(update={"frozen_groups": 0, "stages": stages})


def check_stages(network: nn.Module, recipe: TrainingRecipe) -> None:
    """Refuse stages that a network cannot go through, before the first of them.

    Raises
    ------
    RecipeError
        If it has not so many layer groups, or none that could be told apart.
    UsageError
        If it cannot take pictures of a stage's size.
    """
    for stage in stretches(recipe):
        if stage.frozen_groups != 0:
            frozen_count(network, stage.frozen_groups)
        if stage.preprocessing.size_px != recipe.preprocessing.size_px:
            check_size(network, recipe.model, stage.preprocessing.size_px)


def freeze(network: nn.Module, frozen: Frozen, trainable: frozenset[str]) -> list[nn.Module]:
    """Keep the lowest layer groups of a network as they are, and let the others learn.

    Parameters
    ----------
    network : torch.nn.Module
        Of its parameters the frozen ones ask for no gradient afterwards.
    frozen : int or "all-but-head"
        How many layer groups; see :func:`leukoscope.models.bodies.layer_groups`.
    trainable : frozenset of str
        The parameters that learn where nothing is frozen.

    Returns
    -------
    list of torch.nn.Module
        What must stay in evaluation mode: modules whose parameters are all frozen, so that batch
        normalisation keeps its statistics and dropout does nothing, and what stands
        before them without parameters of its own.
    """
    groups = layer_groups(network)[: frozen_count(network, frozen)] if frozen != 0 else []
    still = {name for group in groups for name in group}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trainable and name not in still)
    return _resting(network, still, "") if still else []


def _resting(module: nn.Module, still: set[str], prefix: str) -> list[nn.Module]:
    resting: list[nn.Module] = []
    is_before_frozen = False
    for name, part in reversed(list(module.named_children())):
        names = {f"{prefix}{name}.{own}" for own, _ in part.named_parameters()}
        if names <= still and (names or is_before_frozen):
            resting.append(part)
        else:
            resting += _resting(part, still, f"{prefix}{name}.")
        is_before_frozen = is_before_frozen or bool(names & still)
    return resting


def rate_factors(network: nn.Module, rate_decay: float) -> dict[nn.Parameter, float]:
    """Give each layer group below the head its share of the learning rate.

    Parameters
    ----------
    network : torch.nn.Module
        Its head learns at the full rate.
    rate_decay : float
        Each group below learns at this share of the one above; groups without parameters, such
        as the activations of the papers' networks, do not count.

    Returns
    -------
    dict of torch.nn.Parameter to float
        Empty where all share one rate.
    """
    if rate_decay == 1 or not list(network.children()):
        return {}
    named = dict(network.named_parameters())
    groups = [group for group in layer_groups(network) if group]
    depths = enumerate(reversed(groups))
    return {named[name]: rate_decay**depth for depth, group in depths for name in group}
