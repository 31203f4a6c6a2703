"""Sliced Wasserstein distance: how far two samples differ along random lines."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = ["sliced_wasserstein"]


def sliced_wasserstein(
    x: Float[Tensor, "n dim"], y: Float[Tensor, "n dim"], directions: Float[Tensor, "lines dim"]
) -> Float[Tensor, ""]:
    r"""Squared 2-Wasserstein distance between two samples of the same size, averaged over given lines.

    .. math:: \frac{1}{L\,n} \sum_{l=1}^{L} \sum_{i=1}^{n} \bigl(x^{(l)}_{(i)} - y^{(l)}_{(i)}\bigr)^2, \qquad
              x^{(l)} = x\, \frac{\theta_l}{\lVert \theta_l \rVert}

    In one dimension the cheapest way to carry one sample to the other keeps their order: the i-th smallest goes to the
    i-th smallest (Kolouri et al., "Sliced-Wasserstein Autoencoder", 2018, equation 15). Standard normal directions are
    spread evenly over the sphere.

    Args:
        x, y: the samples, ``(n, dim)``.
        directions: one row for each line, of any length. A row of zeros, which is not refused, adds a distance of 0.

    Returns:
        A scalar, differentiable in both samples.

    Raises:
        ValueError: the shapes do not fit.

    The order within a sample does not matter. Along the line both points move by 1:

    >>> import torch
    >>> x, y = torch.tensor([[0.0, 5.0], [2.0, 5.0]]), torch.tensor([[3.0, 5.0], [1.0, 5.0]])
    >>> sliced_wasserstein(x, y, torch.tensor([[1.0, 0.0]]))
    tensor(1.)
    """
    if x.ndim != 2 or x.shape != y.shape or directions.ndim != 2 or directions.shape[1] != x.shape[1]:
        raise ValueError(
            "x and y must be (n, dim), directions (lines, dim), "
            f"got {tuple(x.shape)}, {tuple(y.shape)} and {tuple(directions.shape)}"
        )
    lines = functional.normalize(directions, dim=1).mT  # θ_l / ‖θ_l‖ in column l: (dim, lines)
    sorted_x = (x @ lines).sort(dim=0).values  # (n, lines)
    sorted_y = (y @ lines).sort(dim=0).values  # (n, lines)
    return (sorted_x - sorted_y).square().mean()
