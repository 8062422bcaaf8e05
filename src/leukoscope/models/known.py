"""Models that this project speaks of by name; any other network of timm is taken as well."""

from typing import NamedTuple

from leukoscope.foundation.errors import UsageError


class Known(NamedTuple):
    """Hold what is told of a model."""

    id: str
    """Ids of the systems it belongs to, as the papers' checklist has them; empty for a rival."""
    what: str
    """What it is, and how to ask for it where its name alone does not do."""


CLASSICAL = {
    "knn": Known("", "Nearest neighbours: a recipe with classifier: {kind: knn}."),
    "logistic": Known(
        "G-S15",
        "Logistic regression: a recipe with classifier: {kind: logistic}, such as "
        "gaur-2021-logistic, frozen-linear.",
    ),
    "svm": Known(
        "G-S16",
        "Support vector machine, radial kernel: a recipe with classifier: {kind: svm}, such as "
        "gaur-2021-svm.",
    ),
    "trees": Known("N22-S21, SR-S18", "Boosted trees: a recipe with classifier: {kind: trees}."),
}
"""Classical models, on pixels or on frozen features; asked for by a recipe, not by --model."""

NETWORKS = {
    "inception_resnet_v2": Known(
        "YX-S5", "The network of Yin and Xiong; with their head by --recipe yin-xiong."
    ),
    "inception_v3": Known(
        "SR-S3",
        "The first network of Saquib and Rodriguez; with their head by --recipe "
        "saquib-rodriguez-inception.",
    ),
    "lenet": Known("N20-S5", "The two-class network of Nozaka et al. (2020), from 16 px."),
    "mobilenetv2_100": Known("YX-S10", "Small, and quick without a GPU; --recipe frozen-linear."),
    "mooney": Known("YX-S8", "Two convolutions, from 8 px; the first rival of Yin and Xiong."),
    "nh4cl": Known("YX-S8", "Four convolutions, from 16 px; the second rival of Yin and Xiong."),
    "resnet18": Known(
        "N22-S5, N20-S8", "The network of Nozaka et al. (2020, 2022), and the default."
    ),
    "resnet50": Known(
        "SR-S4",
        "The second network of Saquib and Rodriguez; with their head by --recipe "
        "saquib-rodriguez-resnet50.",
    ),
    "saquib_rodriguez": Known(
        "SR-S5, SR-S6",
        "The 25 layers of Saquib and Rodriguez, from 72 px; 16,421,185 parameters at 256 px with "
        "one output, as they print.",
    ),
    "saquib_rodriguez_skip": Known("SR-S14", "The same with skip layers, from 18 px."),
    "test_resnet": Known("", "Tiny, for trials: the network of the demo."),
    "vgg16": Known(
        "G-S14", "The network of Gaur et al. (2021); its last layer by --recipe gaur-2021-vgg16."
    ),
    "vit_small_patch14_dinov2": Known(
        "", "DINOv2, small; for frozen features where its weights are at hand."
    ),
}
"""Networks for --model, the papers' own and timm's."""

MODELS = dict(sorted({**NETWORKS, **CLASSICAL}.items()))
"""Name → what is told of it."""


def refuse_classical(model: str) -> None:
    """Refuse the name of a classical model where a network's is asked for. Raises UsageError."""
    if model in CLASSICAL:
        raise UsageError(
            f"A network's name is asked for, and {model} is a classical model: it is asked for by "
            f"--recipe. Nothing was started. {CLASSICAL[model].what}"
        )
