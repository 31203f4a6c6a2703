"""Uniform noise, and the choice of a mixture component with it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

__all__ = ["draw_component", "uniform_like"]


def uniform_like(x: Float[Tensor, "*shape"], generator: Generator | None = None) -> Float[Tensor, "*shape"]:
    """Noise in [0, 1) with the shape, type and device of ``x``, whatever the device of the generator."""
    if generator is None:
        return torch.rand_like(x)
    return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)


def draw_component(
    logits: Float[Tensor, "batch mixtures *event"], generator: Generator | None = None
) -> Int64[Tensor, "batch 1 *event"]:
    """An index drawn from softmax(logits) over dimension 1: the largest of logits plus Gumbel noise."""
    gumbel = -torch.log(-torch.log(uniform_like(logits, generator)))
    return (logits + gumbel).argmax(dim=1, keepdim=True)
