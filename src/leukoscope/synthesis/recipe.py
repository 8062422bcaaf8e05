"""What a generator's fit is, as a value: everything it follows from, but for data and machine."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from leukoscope.augmentation.recipe import AugmentationRecipe, needs_masks
from leukoscope.records.recipes import Recipe

FEWEST, FEW = 16, 100
"""Below so many cells of a category a generator is refused, and below so many warned about: it
would learn the cells by heart before it learnt what they share."""
MOST_UPDATES = 10_000_000
"""No fit is longer."""

Rate = Annotated[float, Field(gt=0, le=1)]
Differentiable = Literal["colour", "translation", "cutout"]


class GeneratorRecipe(Recipe):
    """State one fit of a generator and its critic."""

    name: str = Field(default="own", min_length=1, max_length=64)
    """A short name."""
    size_px: Literal[16, 32, 64, 128, 256] = 32
    """Side of the pictures."""
    members: Literal["auto", "shared", "one-each"] = "auto"
    """``shared``: one generator told which category to draw. ``one-each``: a generator a category.
    ``auto``: shared by the categories that have at least 100 cells, one for each other."""
    generator: Literal["gated", "plain", "transposed"] = "gated"
    """``gated``: up-sampling, convolution, batch normalisation, gated linear unit (Liu et al.
    2021). ``plain``: up-sampling, 3 × 3 convolution, batch normalisation, LeakyReLU (Gaur et al.
    2021). ``transposed``: 4 × 4 transposed convolutions (Radford et al. 2016)."""
    critic: Literal["free", "spectral", "plain", "normalised"] = "free"
    """``free``: 4 × 4 convolutions of stride 2, then a channel of the batch's spread and one more
    convolution (Karras et al. 2018). ``spectral``: the same under spectral normalisation (Miyato
    et al. 2018). ``plain``: 5 × 5, stride 2, LeakyReLU, dropout, no normalisation (Gaur et al.
    2021). ``normalised``: 4 × 4, stride 2, batch normalisation but in the first (Radford et al.
    2016)."""
    generator_width: int = Field(default=32, ge=4, le=512)
    """Channels of the generator at half the size; each further halving doubles them, up to eight
    times. ``gated`` has half as many at the full size."""
    critic_width: int = Field(default=32, ge=4, le=512)
    """Channels of the critic after its first halving; each further doubles them, up to eight
    times."""
    latent: int = Field(default=128, ge=1, le=4096)
    """Length of the normal vector a picture is drawn from."""
    objective: Literal["hinge", "wasserstein", "non-saturating"] = "hinge"
    """What the critic makes small."""
    sign: Literal["usual", "as-printed"] = "usual"
    """With ``wasserstein``: ``as-printed`` turns both signs, as Gaur et al. 2021 print them."""
    penalty: float = Field(default=0.0, ge=0, le=1000)
    """Weight of the gradient penalty on interpolates (Gulrajani et al. 2017)."""
    penalty_at: Literal["between", "real"] = "between"
    """Where the slope is taken: ``between`` real and drawn pictures, where it is to be 1; at
    ``real`` ones, where it is to be 0 (Mescheder et al. 2018)."""
    information: float = Field(default=0.0, ge=0, le=100)
    """Weight of the mutual information between a part of the latents, the codes, and the picture
    (Chen et al. 2016); 0: no codes."""
    categorical_codes: int = Field(default=10, ge=2, le=1000)
    """With ``information``: values of the categorical code."""
    continuous_codes: int = Field(default=2, ge=0, le=64)
    """With ``information``: number of continuous codes, uniform between -1 and 1."""
    critic_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout in the ``plain`` critic, after each activation."""
    critic_steps: int = Field(default=1, ge=1, le=100)
    """Updates of the critic before each of the generator's."""
    optimiser: Literal["adam", "rmsprop"] = "adam"
    """The optimiser of both."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.5,
        0.999,
    )
    """Adam's memories."""
    generator_rate: Rate = 2e-4
    """The generator's learning rate."""
    critic_rate: Rate = 2e-4
    """The critic's."""
    rate_trials: int = Field(default=0, ge=0, le=1000)
    """So many pairs of rates are tried first, drawn log-uniformly: the generator's from 1e-5 to
    1e-3, the critic's from 1e-5 to 1e-2; those with the best stopping cells are taken."""
    trial_updates: int = Field(default=200, ge=1)
    """Updates of a trial."""
    augmentation: AugmentationRecipe = AugmentationRecipe()
    """What is done to cells before the critic sees them: the pool it learns from."""
    pool: int | None = Field(default=None, ge=1, le=1000)
    """How many versions of each cell the pool holds; each visit of a cell draws anew if null."""
    differentiable: tuple[Differentiable, ...] = ()
    """What is done to real and drawn pictures alike in front of the critic, so that neither
    learns it (Zhao et al. 2020)."""
    average_decay: float | None = Field(default=0.995, gt=0, lt=1)
    """Decay of the generator's mean weights, which draw; null: its last weights do."""
    batch_size: int = Field(default=64, ge=4, le=4096, multiple_of=4)
    """Real cells, and drawn ones, an update."""
    updates: int = Field(default=2000, ge=1, le=MOST_UPDATES)
    """Updates of the generator."""
    validate_every: int = Field(default=100, ge=1)
    """Updates between two looks: a grid of drawings, and their distance to the stopping cells."""
    stop_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the validation split that stops; the rest judges."""
    train_cells: int | None = Field(default=None, ge=2)
    """How many cells are drawn from the training split, as a training of this seed draws them."""
    split: str = "splits"
    """Name of the dataset's split."""
    repeat: int = Field(default=0, ge=0)
    """Which of its repeats."""
    fold: int = Field(default=0, ge=0)
    """Which of its folds."""
    seed: int = Field(default=0, ge=0)
    """Draw of cells, starting weights, order and latents follow from it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if needs_masks(self.augmentation):
            raise ValueError("a generator's pool has no masks; leave that step out")
        if self.pool is not None and not self.augmentation.steps:
            raise ValueError("pool counts versions of a cell, and augmentation makes none")
        if self.sign == "as-printed" and self.objective != "wasserstein":
            raise ValueError("sign: as-printed is a manner of objective: wasserstein")
        if self.critic == "normalised" and self.penalty:
            raise ValueError(
                "a penalty is each picture's own, and critic: normalised mixes a batch's pictures"
            )
        if self.critic_dropout and self.critic != "plain":
            raise ValueError("critic_dropout belongs to critic: plain")
        return self
