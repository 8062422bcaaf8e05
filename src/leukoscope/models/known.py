"""Networks that this project speaks of, by their timm names; any other of timm is taken as well."""

MODELS = {
    "inception_resnet_v2": "The network of Yin and Xiong.",
    "inception_v3": "The first network of Saquib and Rodriguez.",
    "mobilenetv2_100": "Small, and quick without a GPU.",
    "resnet18": "The network of Nozaka et al. (2020, 2022), and the default.",
    "resnet50": "The second network of Saquib and Rodriguez.",
    "test_resnet": "Tiny, for trials: the network of the demo.",
    "vgg16": "The network of Gaur et al. (2021).",
}
"""Name → what it is."""
