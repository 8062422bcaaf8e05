"""Let torchvision be imported beside a CPU build of torch.

torchvision's wheel is built for CUDA; beside a CPU torch its operators do not load and its import
stops at ``operator torchvision::nms does not exist``, so the two missing ones are declared first.
"""

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[torch.library.Library] = []


def make_importable() -> None:
    """Declare the two operators torchvision asks for, where its own library cannot load."""
    if _kept or torch.version.cuda is not None or _has_operator():
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(name + _SIGNATURE)  # type: ignore[no-untyped-call]
    # The declaration lives only as long as the object that made it.
    _kept.append(library)


def _has_operator() -> bool:
    return hasattr(torch.ops.torchvision, "nms")
