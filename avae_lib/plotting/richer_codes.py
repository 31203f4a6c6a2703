"""Pictures of lecture 04 on codebooks and on objectives compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from avae_lib.plotting.images import mosaic
from avae_lib.plotting.style import COLOURS, GREY, INK, blank, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["codebook_in_use", "objectives_on_the_plane"]

_TILES_IN_A_ROW = 16


@styled
def codebook_in_use(tiles: Tensor, shares: Tensor, bits: int = 8, title: str = "") -> Figure:
    """The image that each code stands for, and how often it is used; both with the most used code first.

    Args:
        tiles: what each code decodes to, ``(codes, channels, height, width)``, levels 0 … 2**bits − 1.
        shares: fraction of all positions that hold each code, ``(codes,)``. Codes that are never used are drawn last,
            and counted in the right panel's title.
        bits: bits per pixel value.
        title: of the tiles.

    >>> import torch
    >>> tiles = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    >>> len(codebook_in_use(tiles, shares=torch.tensor([0.5, 0.3, 0.2, 0.0]), bits=1).axes)
    2
    """
    order = shares.argsort(descending=True, stable=True)
    rows = -(-len(tiles) // _TILES_IN_A_ROW)
    figure, (left, right) = new_figure(7.0, max(2.2, 0.3 * rows + 0.6), ncols=2, width_ratios=(1.35, 1))
    blank(left).imshow(mosaic(tiles[order], bits, columns=_TILES_IN_A_ROW), interpolation="nearest")
    left.set_title(title)
    used = int((shares > 0).sum())
    right.bar(range(1, len(shares) + 1), shares[order].tolist(), 1.0, color=COLOURS["blue"])
    right.axhline(1 / len(shares), color=INK, linestyle=":", linewidth=1.2, label="even share")
    right.set(title=f"{used} of {len(shares)} in use", xlabel="code, most used first", ylabel="share of positions")
    right.legend()
    return figure


@styled
def objectives_on_the_plane(models: Mapping[str, tuple[float, float]], reference: str) -> Figure:
    """Distortion against rate, one labelled point for each model, and the line of all pairs with the reference's bound.

    Args:
        models: name → rate and distortion, nats per image.
        reference: the name of the model through which the line goes.

    >>> (axes,) = objectives_on_the_plane({"VAE": (20.0, 70.0), "β = 4": (10.0, 85.0)}, reference="VAE").axes
    >>> axes.get_xlabel()
    'rate: KL (nats per image)'
    """
    figure, axes = new_figure(6.6, 4.4)
    points = np.array(list(models.values()), dtype=float)
    looks = zip(models, points, _MARKERS * len(models), _COLOURS * len(models), strict=False)
    for name, (rate, distortion), marker, colour in looks:
        axes.plot(rate, distortion, marker, color=colour, markersize=7, label=name)
    place = models[reference]
    label = f"same bound as {reference}"
    axes.axline(place, slope=-1, color=GREY, linestyle=":", linewidth=1.2, zorder=1, label=label)
    axes.set(xlabel="rate: KL (nats per image)", ylabel="distortion: −log p(x | z) (nats per image)")
    axes.margins(0.1)
    figure.legend(loc="outside right upper")
    return figure


_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_COLOURS = tuple(COLOURS[name] for name in ("blue", "vermilion", "green", "purple", "orange"))
