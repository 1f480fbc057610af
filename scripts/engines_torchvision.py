"""Lets torchvision's wheel be imported beside a CPU-only torch. Loaded by a .pth file.

The wheel's compiled operators need CUDA libraries, so two of them stay undeclared and importing
torchvision fails with "operator torchvision::nms does not exist". Declaring their signatures is
enough for everything that image processors use; nothing here calls the operators themselves.
"""

import sys

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_library = None


def _declare():
    global _library
    import torch

    if torch.version.cuda is not None or _library is not None:
        return
    # Kept alive: the declarations vanish with the object.
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        _library.define(name + _SIGNATURE)


class _BeforeTorchvision:
    """A meta path finder that finds nothing, but notices the first import of torchvision."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(_BeforeTorchvision)
            _declare()


if _BeforeTorchvision not in sys.meta_path:
    sys.meta_path.insert(0, _BeforeTorchvision)
