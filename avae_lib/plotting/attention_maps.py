"""Pictures of attention over depth: which layer looks at which, and at which pixels.

Weights are drawn as shares: multiplied by the number of layers that can be looked at. Under equal attention to all
layers, each has a share of 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor

from avae_lib.plotting.images import mosaic
from avae_lib.plotting.style import INK, SEQUENTIAL, Table, blank, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["attention_matrices", "attention_on_images"]

_GAP = 2  # pixels between neighbouring pictures
_INCHES_PER_PICTURE = 0.62


@styled
def attention_matrices(
    panels: Mapping[str, Table],
    looking: Sequence[int],
    looked_at: Sequence[int],
    x_label: str = "layer looked at",
) -> Figure:
    """Mean attention of each layer to each other one, side by side for several moments of training.

    Args:
        panels: title → a row for each layer of ``looking``, with a share for each layer of ``looked_at``; NaN where
            the layer cannot look. Colours reach as far below 1 as above, to the share farthest from 1 in any panel.
        looking, looked_at: numbers of the layers, increasing by one.
        x_label: what the columns are.

    >>> rows = [[1.0, float("nan")], [0.3, 0.7]]
    >>> figure = attention_matrices({"start": rows, "end": rows}, looking=[2, 3], looked_at=[1, 2])
    >>> [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    ['start', 'end']
    """
    figure, axes = new_figure(7.0, 2.7, ncols=len(panels), sharey=True, squeeze=False)
    farthest = max(np.nanmax(np.abs(np.asarray(matrix, dtype=float) - 1)) for matrix in panels.values())
    colours = {"vmin": 1 - farthest, "vmax": 1 + farthest, "cmap": SEQUENTIAL}
    extent = (looked_at[0] - 0.5, looked_at[-1] + 0.5, looking[-1] + 0.5, looking[0] - 0.5)
    for place, (title, matrix) in zip(axes[0], panels.items(), strict=True):
        shares = np.asarray(matrix, dtype=float)
        picture = place.imshow(shares, extent=extent, interpolation="none", **colours)
        place.set(title=title, xlabel=x_label, xticks=looked_at, yticks=looking)
        place.grid(False)
    axes[0, 0].set_ylabel("layer that looks")
    figure.colorbar(picture, ax=axes[0].tolist(), label="share (1 = equal)", pad=0.02).outline.set_visible(False)
    return figure


@styled
def attention_on_images(
    images: Tensor,
    maps: Mapping[str, Float[Tensor, "images depth h w"]],
    columns: Sequence[str],
    title: str,
    brightest: float = 2.0,
    bits: int = 8,
) -> Figure:
    """Where on each image a layer looks at which other layer: a row for each image and moment of training.

    Each row begins with the image; the maps follow, from a share of 0 (dark) to ``brightest``. A map stands in the
    column of the layer looked at; columns beyond the depth of the maps stay empty, so that pictures of all layers have
    one size.

    Args:
        images: ``(images, channels, H, W)`` levels, H and W multiples of the maps' h and w.
        maps: moment → weights over depth, which sum to one at each pixel.
        columns: a name for each layer that may be looked at.
        brightest: share of the brightest colour; larger ones look the same.
        bits: bits per pixel value of the images.

    >>> import torch
    >>> images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    >>> maps = {"end": torch.full((2, 2, 4, 4), 0.5)}
    >>> len(attention_on_images(images, maps, columns=["layer 1", "layer 2"], title="layer 3").axes)
    1
    """
    rows = [(f"{moment}", number) for number in range(len(images)) for moment in maps]
    side = images.shape[-1]
    pitch = side + _GAP
    picture = np.zeros((len(rows) * pitch - _GAP, (len(columns) + 1) * pitch - _GAP, 4), dtype=np.uint8)
    for row, (moment, number) in enumerate(rows):
        tiles = [mosaic(images[number : number + 1], bits), *_coloured(maps[moment][number], brightest, side)]
        for column, tile in enumerate(tiles):
            picture[row * pitch : row * pitch + side, column * pitch : column * pitch + side] = tile
    width, height = _INCHES_PER_PICTURE * (len(columns) + 1) + 1.0, _INCHES_PER_PICTURE * len(rows) + 0.75
    figure, axes = new_figure(min(7.2, width), height, layout="compressed")
    blank(axes).imshow(picture, interpolation="nearest")
    middle = side / 2
    axes.set_yticks([row * pitch + middle for row in range(len(rows))], [moment for moment, _ in rows], color=INK)
    axes.set_xticks([column * pitch + middle for column in range(len(columns) + 1)], ["image", *columns], color=INK)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_title(title)
    return figure


def _coloured(weights: Float[Tensor, "depth h w"], brightest: float, side: int) -> np.ndarray:
    """Each map as a picture of ``side`` × ``side`` pixels: uint8 ``(depth, side, side, 4)``."""
    from matplotlib import colormaps

    depth, height, width = weights.shape
    shares = depth * weights.detach().cpu().numpy() / brightest
    return colormaps[SEQUENTIAL](shares.repeat(side // height, axis=1).repeat(side // width, axis=2), bytes=True)
