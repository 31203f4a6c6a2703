"""Pictures of paths through latent space: from one image to another, and along single units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import UInt8
from torch import Tensor

from avae_lib.latent_paths import interpolation_rows, traversal_rows
from avae_lib.observations import AnyModel
from avae_lib.plotting.images import image_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["interpolation", "traversal"]


def interpolation(
    model: AnyModel,
    first: UInt8[Tensor, "channels height width"],
    last: UInt8[Tensor, "channels height width"],
    steps: int = 9,
    *,
    layers: int | None = None,
    title: str | None = None,
    **options: Any,
) -> Figure:
    """From one image to another: the two images at the ends, and what the model decodes between their latents.

    Args:
        first, last: two images of a data set.
        steps: decoded images in a row, those of the two ends included.
        layers: how many layers, from the top, move; by default one row for all of them and one for the upper half.
        options: further arguments of :func:`avae_lib.latent_paths.interpolate`, for example ``below="image"``.

    >>> from avae_lib.data import load, recorded_model
    >>> figure = interpolation(recorded_model("hierarchy-photos32"), *load("photos32").test[:2], steps=5)
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['all 11 layers', 'top 5 layers']
    """
    return image_rows(interpolation_rows(model, first, last, steps, layers=layers, **options), model.bits, title)


def traversal(
    model: AnyModel,
    image: UInt8[Tensor, "channels height width"],
    layer: int = 1,
    units: Sequence[int] | None = None,
    steps: int = 9,
    *,
    title: str | None = None,
    **options: Any,
) -> Figure:
    """Along single units of a layer: a row for each unit, which moves from −3 to 3 standard deviations of its prior.

    Args:
        image: an image of a data set; all other latents of this layer and above stay as inferred from it.
        layer: number of the layer, 1 for the top.
        units: numbers of the units, from 1; by default the six that tell most about the image.
        options: further arguments of :func:`avae_lib.latent_paths.traverse`, for example ``below="image"``.

    >>> from avae_lib.data import load, recorded_model
    >>> figure = traversal(recorded_model("hierarchy-photos32"), load("photos32").test[0], layer=4, units=(1, 4))
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['unit 1', 'unit 4']
    """
    return image_rows(traversal_rows(model, image, layer, units, steps, **options), model.bits, title)
