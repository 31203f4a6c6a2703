"""Planar flows: layers that push probability mass away from planes, or towards them.

D. J. Rezende & S. Mohamed, "Variational Inference with Normalizing Flows", ICML 2015, section 4.1 and appendix A.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = ["PlanarFlow", "invertible_direction", "planar_step"]

_LEAST_SLOPE = 1e-3
"""A step squeezes space by no more than this factor: closer to 0, float32 would round the determinant to 0."""
_BISECTIONS = 80
"""Halvings of the interval that holds the inverse: enough for float64 from any interval."""


def invertible_direction(
    direction: Float[Tensor, "batch dim"], normal: Float[Tensor, "batch dim"]
) -> Float[Tensor, "batch dim"]:
    r"""A direction near u with which the planar step along w can be inverted: :math:`w^\top \hat u > -1 + \delta`.

    .. math:: \hat u = u + \bigl(m(w^\top u) - w^\top u\bigr) \frac{w}{\lVert w \rVert^2}, \qquad
              m(a) = (1 - \delta) \bigl[\log\bigl(1 + (e - 1) e^a\bigr) - 1\bigr], \qquad \delta = 0.001

    Appendix A.1 of Rezende & Mohamed (2015) has :math:`m(a) = \log(1 + e^a) - 1`. There m(0) is not 0, so that
    :math:`\hat u` grows without limit as w goes to 0. The factor e − 1 makes m(0) = 0.

    >>> u, w = torch.tensor([[-5.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    >>> invertible_direction(u, w)  # the product with w rises from −10 to −0.999
    tensor([[-0.4995,  1.0000]])
    """
    product = (direction * normal).sum(dim=1, keepdim=True)
    wanted = (1 - _LEAST_SLOPE) * (functional.softplus(product + math.log(math.e - 1)) - 1)
    squared_length = normal.square().sum(dim=1, keepdim=True).clamp(min=torch.finfo(normal.dtype).tiny)
    return direction + (wanted - product) * normal / squared_length


def planar_step(
    z: Float[Tensor, "batch dim"],
    direction: Float[Tensor, "batch dim"],
    normal: Float[Tensor, "batch dim"],
    offset: Float[Tensor, "batch"],
) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch"]]:
    r"""One planar step, and the logarithm of its determinant.

    .. math:: z' = z + u \tanh(w^\top z + b), \qquad
              \log\Bigl|\det\frac{\partial z'}{\partial z}\Bigr| = \log\Bigl(1 + w^\top u\,
              \bigl(1 - \tanh^2(w^\top z + b)\bigr)\Bigr)

    The determinant is that of the identity plus a matrix of rank one (equations 10–12).

    Args:
        direction: u, with :math:`w^\top u > -1`. This is not checked; :func:`invertible_direction` makes it so.
        normal: w.
        offset: b.

    >>> planar_step(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]), torch.zeros(1))
    (tensor([[0., 0.]]), tensor([0.6931]))
    """
    activation = torch.tanh((normal * z).sum(dim=1) + offset)
    slope = (normal * direction).sum(dim=1) * (1 - activation.square())
    return z + direction * activation[:, None], torch.log1p(slope)


@dataclass(frozen=True)
class PlanarFlow:
    """Planar steps one after another, with parameters of their own for each example.

    >>> flow = PlanarFlow.of_numbers(torch.randn(4, 3 * (2 * 2 + 1)), dim=2)  # 3 steps in 2 dimensions
    >>> z = torch.randn(4, 2)
    >>> bool(torch.allclose(flow.inverse(flow(z)[0]), z, atol=1e-4))
    True
    """

    directions: Float[Tensor, "batch steps dim"]
    """û of each step, with which it is invertible."""
    normals: Float[Tensor, "batch steps dim"]
    """w of each step."""
    offsets: Float[Tensor, "batch steps"]
    """b of each step."""

    @classmethod
    def of_numbers(cls, numbers: Float[Tensor, "batch numbers"], dim: int) -> PlanarFlow:
        """The flow that a network predicts, by 2 · dim + 1 numbers for each step: u, w and b of any size."""
        raw = numbers.unflatten(1, (-1, 2 * dim + 1))
        direction, normal, offset = raw[..., :dim], raw[..., dim : 2 * dim], raw[..., -1]
        invertible = invertible_direction(direction.flatten(0, 1), normal.flatten(0, 1))
        return cls(invertible.reshape(direction.shape), normal, offset)

    def __call__(self, z: Float[Tensor, "batch dim"]) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch"]]:
        """The transformed latent and the log-determinant of the whole flow."""
        log_determinant = z.new_zeros(len(z))
        for direction, normal, offset in self._steps():
            z, of_step = planar_step(z, direction, normal, offset)
            log_determinant = log_determinant + of_step
        return z, log_determinant

    def inverse(self, z: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """The latent that the flow makes ``z`` of, step by step from the last one, each by bisection."""
        for direction, normal, offset in reversed(self._steps()):
            before = _height_before((normal * z).sum(dim=1), (normal * direction).sum(dim=1), offset)
            z = z - direction * torch.tanh(before + offset)[:, None]
        return z

    def _steps(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        return list(zip(self.directions.unbind(1), self.normals.unbind(1), self.offsets.unbind(1), strict=True))


def _height_before(height: Tensor, product: Tensor, offset: Tensor) -> Tensor:
    """The root a of a + (w·u) tanh(a + b) = height: the left side rises with a wherever w·u is above −1."""
    low, high = height - product.abs(), height + product.abs()
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_low = middle + product * torch.tanh(middle + offset) < height
        low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
    return (low + high) / 2
