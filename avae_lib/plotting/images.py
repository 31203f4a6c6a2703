"""Pictures of pictures: grids, labelled rows, and the manifold that a two-dimensional latent space decodes to."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from avae_lib.plotting.style import INK, blank, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["image_grid", "image_rows", "manifold", "mosaic", "prior_quantiles"]

_INCHES_PER_IMAGE, _INCHES_PER_LETTER = 0.42, 0.08
_WIDEST = 6.8
_SHORTEST_LINE = 10  # letters of a title's line
_MARGIN = 0.1  # inches on both sides of a title together


def mosaic(images: Tensor, bits: int = 8, columns: int | None = None, gap: int = 1) -> np.ndarray:
    """One picture of many images, row by row, with see-through gaps between them.

    Args:
        images: ``(N, C, H, W)`` with one or three channels, of levels 0 … 2**bits − 1: uint8, or floats between
            them, as a decoder's expected images are.
        bits: bits per pixel value.
        columns: images per row; by default the grid is as square as it can be.
        gap: pixels between neighbours.

    Returns:
        uint8 ``(height, width, 4)``: red, green, blue, opacity.

    Six images of 8×8 pixels in two rows of three, with gaps of one pixel:

    >>> mosaic(torch.zeros(6, 1, 8, 8, dtype=torch.uint8), bits=1, columns=3).shape
    (17, 26, 4)
    """
    from torchvision.utils import make_grid

    images = _as_colours(images, bits)
    in_a_row = columns or math.ceil(math.sqrt(len(images)))
    colour = make_grid(images, in_a_row, gap)
    opacity = make_grid(torch.ones_like(images[:, :1]), in_a_row, gap)[:1]
    picture = torch.cat([colour, opacity]).mul(255).round().byte().permute(1, 2, 0).numpy()
    border = gap if len(images) > 1 else 0  # which make_grid draws around all images but a single one
    return picture[border : picture.shape[0] - border, border : picture.shape[1] - border]


@styled
def image_grid(images: Tensor, bits: int = 8, columns: int | None = None, title: str | None = None) -> Figure:
    """Images side by side; arguments as for :func:`mosaic`.

    >>> (axes,) = image_grid(torch.zeros(6, 1, 8, 8, dtype=torch.uint8), bits=1, title="six black images").axes
    >>> axes.get_title("left")
    'six black images'
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width, height = _inches(rows, columns, images)
    lines = _lines(title, width)
    figure, axes = new_figure(width, height + _height_of(lines))
    blank(axes).imshow(mosaic(images, bits, columns), interpolation="nearest")
    axes.set_title("\n".join(lines))
    return figure


@styled
def image_rows(
    rows: Mapping[str, Tensor], bits: int = 8, title: str | None = None, inches_per_image: float = _INCHES_PER_IMAGE
) -> Figure:
    """One labelled row of images for each entry; image i of every row stands in column i.

    The picture behind reconstructions (``{"data": x, "reconstruction": r}``), samples at several temperatures,
    and what remains when the layers below k are resampled.

    Args:
        rows: label → ``(N, C, H, W)`` with the same N, as for :func:`mosaic`; drawn from top to bottom.
        inches_per_image: width of an image, as long as the picture stays within the page.

    >>> images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    >>> len(image_rows({"data": images, "reconstruction": images}, bits=1).axes)
    1
    """
    columns = _common_length(rows)
    pictures = torch.cat([images.detach().cpu().float() for images in rows.values()])
    label_width = 0.2 + _INCHES_PER_LETTER * max(map(len, rows))
    width, height = _inches(len(rows), columns, pictures, label_width, inches_per_image=inches_per_image)
    lines = _lines(title, width - label_width)
    figure, axes = new_figure(width, height + (_height_of(lines) or 0.1), layout="compressed")
    blank(axes).imshow(mosaic(pictures, bits, columns), interpolation="nearest")
    pitch = pictures.shape[2] + 1  # one image and the gap below it
    axes.set_yticks([pitch * row + pitch / 2 - 1 for row in range(len(rows))], list(rows), color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_title("\n".join(lines))
    return figure


def prior_quantiles(side: int) -> Tensor:
    """Points of a two-dimensional standard normal prior at equal steps of probability, ``(side², 2)``.

    A regular grid on the unit square sent through the inverse cumulative distribution function, so that each
    cell holds the same prior mass (Kingma and Welling, 2014, appendix A). Row by row, from the upper left:
    the first coordinate grows to the right, the second upwards.

    The middle of three points is the median, 0, in both coordinates:

    >>> points = prior_quantiles(3)
    >>> points.shape, bool(points[4].abs().max() < 1e-6)
    (torch.Size([9, 2]), True)
    """
    probabilities = (torch.arange(side) + 0.5) / side
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf(probabilities)
    upwards, rightwards = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    return torch.stack([rightwards, upwards], dim=-1).reshape(-1, 2)


@styled
def manifold(decode: Callable[[Tensor], Tensor], side: int = 16, bits: int = 8) -> Figure:
    """What a decoder makes of a two-dimensional latent space, at equal steps of prior probability.

    Args:
        decode: latents ``(n, 2)`` → images ``(n, C, H, W)``, as for :func:`mosaic`.
        side: images per row and column.

    >>> decode = lambda z: (z.sum(dim=1) > 0).float().reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    >>> figure = manifold(decode, side=3, bits=1)
    >>> len(figure.axes)
    1
    """
    images = decode(prior_quantiles(side)).detach().cpu()
    picture = mosaic(images, bits, columns=side, gap=0)
    figure, axes = new_figure(4.6, 4.6)
    blank(axes).imshow(picture, interpolation="nearest", extent=(0, 1, 0, 1))
    ticks = (0.05, 0.25, 0.5, 0.75, 0.95)
    names = [f"{torch.special.ndtri(torch.tensor(p)).item():.1f}".replace("-", "−") for p in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlabel="$z_1$ (quantiles of the prior)", ylabel="$z_2$ (quantiles of the prior)")
    return figure


def _as_colours(images: Tensor, bits: int) -> Tensor:
    """Levels as red, green and blue in [0, 1]."""
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be (N, C, H, W) with 1 or 3 channels, got {tuple(images.shape)}")
    levels = images.detach().cpu().float() / (2**bits - 1)
    return levels.clamp(0, 1).expand(-1, 3, -1, -1)


def _common_length(rows: Mapping[str, Tensor]) -> int:
    lengths = {label: len(images) for label, images in rows.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"rows must hold equally many images, got {lengths or 'no row'}")
    return next(iter(lengths.values()))


def _inches(
    rows: int,
    columns: int,
    images: Tensor,
    extra_width: float = 0.0,
    extra_height: float = 0.0,
    inches_per_image: float = _INCHES_PER_IMAGE,
) -> tuple[float, float]:
    aspect = images.shape[2] / images.shape[3]
    width = min(_WIDEST, max(columns, 4) * inches_per_image + extra_width)
    return width, (width - extra_width) / columns * rows * aspect + extra_height


def _lines(title: str | None, width: float) -> list[str]:
    """A title broken into lines that are at most so many inches long, as far as its words allow that."""
    lines = [title] if title else []
    letters = len(title or "")
    while letters > _SHORTEST_LINE and max(map(_inches_of, lines)) > width - _MARGIN:
        letters -= 1
        lines = textwrap.wrap(title or "", letters)
    return lines


def _inches_of(line: str) -> float:
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    points = FontProperties(size=rcParams["axes.titlesize"]).get_size_in_points()
    return TextPath((0, 0), line, size=points).get_extents().width / 72


def _height_of(lines: Sequence[str]) -> float:
    """Inches for a title."""
    return 0.3 + 0.24 * (len(lines) - 1) if lines else 0.0
