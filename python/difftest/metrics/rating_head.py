"""The head that LAION's aesthetic predictor and ImageReward both put on an embedding."""

from __future__ import annotations

from typing import Any

#: The widths behind its five linear layers, and what training drops behind the first three.
_WIDTHS = (1024, 128, 64, 16, 1)
_DROPOUTS = (0.2, 0.2, 0.1)


def rating_head(width: int = 768) -> Any:
    """The untrained head, ``(N, width)`` to ``(N, 1)``. Its tensors have the published names, ``layers.0.weight`` ….

    There are no activations between the layers: the authors left them out.
    """
    from collections import OrderedDict

    from torch import nn

    layers: list[Any] = []
    for index, out in enumerate(_WIDTHS):
        layers.append(nn.Linear(width, out))
        if index < len(_DROPOUTS):
            layers.append(nn.Dropout(_DROPOUTS[index]))
        width = out
    return nn.Sequential(OrderedDict(layers=nn.Sequential(*layers)))
