"""A point that the reader drags through a two-dimensional latent space, and the image that it decodes to."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avae_lib.plotting.images import mosaic
from avae_lib.plotting.notebook import display_moving, spread
from avae_lib.plotting.style import COLOURS, Numbers, blank, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["latent_pad", "latent_pad_still"]

_STILL_IMAGES = 9  # along each side of the still
_DECIMALS = 2


def latent_pad(
    pictures: Tensor, z1_values: Numbers | Tensor, z2_values: Numbers | Tensor, start: tuple[int, int]
) -> None:
    """Show a plane of latents in which the reader drags a point, and beside it the image decoded there.

    It needs no kernel: all images are stored in one picture. Mouse, finger and arrow keys move the point from one
    stored latent to the next. Where scripts are taken out, a still of the plane stays: see
    :func:`latent_pad_still`.

    Args:
        pictures: ``(rows, columns, channels, height, width)`` in [0, 1], one or three channels: what the latent
            ``(z1_values[column], z2_values[row])`` decodes to.
        z1_values: the first latent of each column, rising.
        z2_values: the second latent of each row, rising: row 0 is drawn at the bottom.
        start: row and column of the image to open on.

    Raises:
        ValueError: the shapes don't fit together, values don't rise, or ``start`` is outside.

    In a script the description of the plane is printed:

    >>> latent_pad(torch.zeros(2, 3, 1, 8, 8), z1_values=[-1.0, 0.0, 1.0], z2_values=[-1.0, 1.0], start=(0, 1))
    [picture: Figure (automatic description): 2 × 3 images decoded from a plane of two latents, ...]
    """
    z1, z2 = (torch.as_tensor(values, dtype=torch.float64).tolist() for values in (z1_values, z2_values))
    _require_plane(pictures, z1, z2, start)
    display_moving(
        "latent_pad.html",
        latent_pad_still(pictures, z1, z2, start),
        f"Figure (automatic description): {len(z2)} × {len(z1)} images decoded from a plane of two latents, "
        f"z₁ from {_number(z1[0])} to {_number(z1[-1])} and z₂ from {_number(z2[0])} to {_number(z2[-1])}.",
        sheet=_sheet(pictures),
        height=pictures.shape[3],
        width=pictures.shape[4],
        z1=[round(value, _DECIMALS) for value in z1],
        z2=[round(value, _DECIMALS) for value in z2],
        start=list(start),
    )


@styled
def latent_pad_still(pictures: Tensor, z1_values: Numbers, z2_values: Numbers, start: tuple[int, int]) -> Figure:
    """The plane as a mosaic of every few images, and beside it the one at ``start``, enlarged and framed.

    >>> len(latent_pad_still(torch.zeros(2, 3, 1, 8, 8), [-1.0, 0.0, 1.0], [-1.0, 1.0], start=(0, 1)).axes)
    2
    """
    rows, columns = (spread(number, at, _STILL_IMAGES) for number, at in zip(pictures.shape, start, strict=False))
    some = pictures[rows[::-1]][:, columns].flatten(0, 1)
    figure, (plane, image) = new_figure(6.8, 3.5, ncols=2, width_ratios=[1, 0.8])
    blank(plane).imshow(
        mosaic(some, bits=1, columns=len(columns), gap=0),
        extent=(-0.5, len(columns) - 0.5, -0.5, len(rows) - 0.5),
        interpolation="nearest",
        aspect=len(columns) / len(rows),
    )
    plane.set(xlabel="$z_1$", ylabel="$z_2$")
    for places, values, set_ticks in ((columns, z1_values, plane.set_xticks), (rows, z2_values, plane.set_yticks)):
        shown = range(0, len(places), 2)
        set_ticks(shown, [_number(float(values[places[index]])) for index in shown])
    corner = (columns.index(start[1]) - 0.5, rows.index(start[0]) - 0.5)
    _frame(plane, corner)
    blank(image).imshow(mosaic(pictures[start][None], bits=1), interpolation="nearest")
    image.set_xlabel(f"decoded at z = ({_number(float(z1_values[start[1]]))}, {_number(float(z2_values[start[0]]))})")
    return figure


def _frame(axes, corner: tuple[float, float]) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=COLOURS["vermilion"], linewidth=2.5, clip_on=False))


def _sheet(pictures: Tensor) -> str:
    """All images in one PNG, base64: row by row, as in ``pictures``."""
    from PIL import Image

    picture = Image.fromarray(mosaic(pictures.flatten(0, 1), bits=1, columns=pictures.shape[1], gap=0)[..., :3])
    file = io.BytesIO()
    (picture.convert("L") if pictures.shape[2] == 1 else picture).save(file, format="png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def _require_plane(pictures: Tensor, z1: list[float], z2: list[float], start: tuple[int, int]) -> None:
    if pictures.dim() != 5 or pictures.shape[2] not in (1, 3):
        raise ValueError(
            "pictures must be (rows, columns, channels, height, width) with 1 or 3 channels, "
            f"got {tuple(pictures.shape)}"
        )
    for name, values, number in (("z1_values", z1, pictures.shape[1]), ("z2_values", z2, pictures.shape[0])):
        if len(values) != number or number < 2 or values != sorted(values):
            raise ValueError(f"{name} must be {number} rising numbers, one for each line of pictures, got {values}")
    if start[0] not in range(len(z2)) or start[1] not in range(len(z1)):
        raise ValueError(f"start must be a row below {len(z2)} and a column below {len(z1)}, got {start}")
