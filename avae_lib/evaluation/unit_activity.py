"""Which units of the latents carry something."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.evaluation.measuring import batches_on_device

__all__ = ["ACTIVITY_THRESHOLD", "unit_activity"]

ACTIVITY_THRESHOLD = 0.01  # Burda et al. (2016), section 5: variances are clearly above or clearly below it


@torch.no_grad()
def unit_activity(
    model: nn.Module, images: UInt8[Tensor, "examples channels height width"], rows: int = 512
) -> tuple[Float[Tensor, "*event"], ...]:
    r"""How far the posterior mean of each unit moves from image to image (Burda et al., 2016, section 5).

    .. math:: \mathrm{Var}_x\bigl(\mathbb{E}_{q(z \mid x)}[z]\bigr)

    A unit is called active above ``ACTIVITY_THRESHOLD``. Below the top layer a mean also moves because the layers
    above do, so there the number of active units is an upper one.

    Returns:
        One tensor for each layer, top first, shaped like one example of its latents.
    """
    batches = [[posterior.mean.cpu() for posterior in model.latents(x)] for x in batches_on_device(model, images, rows)]
    means = [torch.cat(layer).double() for layer in zip(*batches, strict=True)]
    return tuple(layer.var(dim=0, correction=0) for layer in means)
