"""Mixtures of Gaussians: the responsibility of each component for each point."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.requirements import require_finite, require_positive

__all__ = ["mixture_cavi_step", "require_points"]


@component(unit="02_mean_field")
def mixture_cavi_step(
    x: Float[Tensor, "n dim"],
    weights_log: Float[Tensor, "components"],
    means: Float[Tensor, "components dim"],
    precisions: Float[Tensor, "components dim"],
) -> Float[Tensor, "n components"]:
    r"""Responsibilities of the components of a mixture of diagonal Gaussians for each point.

    .. math:: r_{nk} \propto \exp\Bigl(w_k + \tfrac12 \sum_d
              \bigl[\log \tau_{kd} - \tau_{kd} (x_{nd} - \mu_{kd})^2\bigr]\Bigr), \qquad \sum_k r_{nk} = 1

    With known parameters w is the log weight, and this is the E-step of EM. With q over means and precisions
    (``means`` m, ``precisions`` E[τ]) it is the coordinate update of mean field (Bishop, 2006, equations 10.46 and
    10.49; derived in lecture 02), and w is the expected log weight plus the terms of E[log τ] and 1/β that do not
    depend on the point:

    .. math:: w_k = \mathbb{E}[\log \pi_k] + \tfrac12 \sum_d
              \bigl[\mathbb{E}[\log \tau_{kd}] - \log \mathbb{E}[\tau_{kd}] - 1/\beta_k\bigr]

    Accurate for points so far from all components that every density is 0 in floating point.

    Args:
        x: points, ``(n, dim)``.
        weights_log: w, ``(components,)``: log weights, or expected log weight plus the terms of E[log τ] and 1/β
            that do not depend on the point; not necessarily normalised; −∞ for a component that is never used.
        means: ``(components, dim)``.
        precisions: τ or E[τ], one over the variance in each dimension, ``(components, dim)``, positive.

    Returns:
        Responsibilities, ``(n, components)``, non-negative, each row summing to one, in the dtype of the inputs and
        differentiable in them. None of the inputs is changed.

    Raises:
        ValueError: the shapes do not fit, a precision is not positive, or no component has a weight.

    A point half-way between two equal components belongs to both; a point at one of them belongs to it:

    >>> x, means = torch.tensor([[0.0], [4.0]]), torch.tensor([[-4.0], [4.0]])
    >>> mixture_cavi_step(x, weights_log=torch.zeros(2), means=means, precisions=torch.ones(2, 1)).round(decimals=3)
    tensor([[0.5000, 0.5000],
            [0.0000, 1.0000]])
    """
    _require_mixture(x, weights_log, means, precisions)
    squares = ((x.unsqueeze(1) - means).square() * precisions).sum(dim=-1)
    return torch.softmax(weights_log + 0.5 * (precisions.log().sum(dim=-1) - squares), dim=1)


def require_points(x: Tensor) -> None:
    """Raise unless ``x`` holds points: a finite matrix (n × dim).

    >>> require_points(torch.zeros(5))
    Traceback (most recent call last):
        ...
    ValueError: x must be a matrix (n × dim), got the shape (5,)
    """
    require_float(x=x)
    if x.ndim != 2:
        raise ValueError(f"x must be a matrix (n × dim), got the shape {tuple(x.shape)}")
    require_finite(x=x)


def _require_mixture(x: Tensor, weights_log: Tensor, means: Tensor, precisions: Tensor) -> None:
    require_points(x)
    require_float(weights_log=weights_log, means=means, precisions=precisions)
    require_shape((weights_log.numel(),), "components", weights_log=weights_log)
    require_shape((len(weights_log), x.shape[1]), "components, dim", means=means, precisions=precisions)
    require_finite(means=means)
    require_positive(precisions=precisions)
    if not bool((weights_log < torch.inf).all()) or not bool((weights_log > -torch.inf).any()):
        raise ValueError(f"weights_log must be below infinity and not all −∞, got {weights_log.tolist()}")
