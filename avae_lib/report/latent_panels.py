"""What a report shows of a model's latents: ways from one image to another, and what single latents do."""

from __future__ import annotations

from jaxtyping import Int, UInt8
from torch import Tensor

from avae_lib.evaluation import measuring
from avae_lib.latent_paths import interpolation_rows, most_informative_units, traversal_rows
from avae_lib.models.contract import ModelWithCodes
from avae_lib.observations import AnyModel
from avae_lib.report.page_parts import Panel, image_strips

__all__ = ["latent_panels"]

_PAIRS = 3
_STEPS = 10
_UNITS = 4


def latent_panels(
    model: AnyModel,
    images: UInt8[Tensor, "count channels height width"],
    labels: Int[Tensor, " count"] | None,
    held_out: str,
    seed: int,
) -> tuple[Panel, ...]:
    """Interpolations between pairs of images and, for latents that are no codes, traversals of the top layer's units.

    None for a model without ``infer`` and ``decode``, or fewer than two images.

    Args:
        images: held-out images; the first six are used, two by two, and named by their numbers from 0.
        labels: their classes, for a conditional model.
        held_out: what the images are called, "validation" or "test".
        seed: for sampling.

    >>> import torch
    >>> from avae_lib.models.vae import VAEConfig
    >>> model, images = VAEConfig(latent_dim=2).build(), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> [(panel.title, len(panel.strips)) for panel in latent_panels(model, images, None, "validation", seed=0)]
    [('From one image to another', 1), ('Along single latents', 2)]
    """
    if not (hasattr(model, "infer") and hasattr(model, "decode")) or len(images) < 2:
        return ()
    with measuring(model, seed):
        found = [_interpolations(model, images, labels, held_out, seed)]
        if not isinstance(model, ModelWithCodes):
            found.append(_traversals(model, images, labels, held_out, seed))
    return tuple(found)


def _interpolations(model: AnyModel, images: Tensor, labels: Tensor | None, held_out: str, seed: int) -> Panel:
    rows = {}
    for index in range(0, min(2 * _PAIRS, len(images) - 1), 2):
        pair, classes = images[index : index + 2], None if labels is None else labels[index : index + 2]
        found = interpolation_rows(model, *pair, _STEPS, seed=seed, labels=classes)
        ends = f"images {index} and {index + 1}"
        for moved, row in found.items():
            rows[ends if len(found) == 1 else f"{ends}, {moved}"] = row
    text = (
        f"At the ends of each row two {held_out} images, and between them what is decoded on the way from the latents "
        "of one to those of the other. "
    )
    return Panel(
        "interpolation",
        "From one image to another",
        text + _reading(model),
        strips=image_strips(rows, model.bits, f"images, from one {held_out} image to another"),
    )


def _reading(model: AnyModel) -> str:
    if isinstance(model, ModelWithCodes):
        return "Codes have nothing between them: one position after another changes its code."
    text = "If neighbours differ little and all look like data, the latent space is smooth and has no holes."
    if model.num_layers == 1:
        return text
    return text + (
        " Where only the upper layers move, those below are drawn from the prior, with the same noise in the whole row."
    )


def _traversals(model: AnyModel, images: Tensor, labels: Tensor | None, held_out: str, seed: int) -> Panel:
    of_first = None if labels is None else labels[:1]
    units = most_informative_units(model, images[0], count=_UNITS, seed=seed, labels=of_first)
    rows = traversal_rows(model, images[0], units=units, steps=_STEPS + 2, seed=seed, labels=of_first)
    several = model.num_layers > 1
    text = (
        f"The latents of one {held_out} image, where one unit {'of the top layer ' if several else ''}at a time moves "
        "from −3 to 3 standard deviations of its prior. The units are those that tell most about the image. A row in "
        "which nothing changes belongs to a unit that the decoder does not use."
    )
    if several:
        text += " The layers below are drawn from the prior, with the same noise in the whole row."
    strips = image_strips(rows, model.bits, "decoded images while one latent moves")
    return Panel("traversal", "Along single latents", text, strips=strips)
