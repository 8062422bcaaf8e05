"""Networks: the one room that knows timm. Backbones, weights, model folders, prediction."""
