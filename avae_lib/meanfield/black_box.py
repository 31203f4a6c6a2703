"""Black-box variational inference: a diagonal Gaussian q, fitted by stochastic gradients of the ELBO.

All that is asked of a model is its log joint density. Two estimators of the gradient are there to be compared: the
score function, which needs values of that density only, and reparameterisation, which differentiates it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.gaussians import DiagonalGaussian, reparameterize, standard_normal_like
from avae_lib.meanfield.score_function import score_function_gradient

__all__ = [
    "BlackBoxFit",
    "elbo_estimate",
    "fit_black_box",
    "reparameterization_gradient",
    "score_gradient",
]

LogJoint = Callable[[Float[Tensor, "samples dim"]], Float[Tensor, "samples"]]
"""log p(x, z) of each row z, nats."""

_BASELINE_MEMORY = 0.9
"""How much of the baseline each step keeps."""


@dataclass(frozen=True)
class BlackBoxFit:
    """Where stochastic ascent ended."""

    mean: Float[Tensor, "dim"]
    """Of q."""
    log_std: Float[Tensor, "dim"]
    """Of q."""
    elbo: Float[Tensor, "steps"]
    """The estimate of the bound in each step, nats: noisy, so that it may fall."""


def elbo_estimate(
    log_joint: LogJoint, mean: Float[Tensor, "dim"], log_std: Float[Tensor, "dim"], z: Float[Tensor, "samples dim"]
) -> Float[Tensor, "samples"]:
    """log p(x, z) − log q(z) of each sample z ~ q, nats; its expectation is the ELBO."""
    return log_joint(z) - _as_batch(mean, log_std).log_prob(z)


def score_gradient(
    log_joint: LogJoint,
    mean: Float[Tensor, "dim"],
    log_std: Float[Tensor, "dim"],
    noise: Float[Tensor, "samples dim"],
    baseline: float = 0.0,
) -> tuple[Float[Tensor, "2*dim"], Float[Tensor, "samples"]]:
    r"""The ELBO's gradient in (mean, log_std) by the score function, and the ELBO estimates it was made of.

    .. math:: \nabla_\mu \log q = \varepsilon / \sigma, \qquad \nabla_{\log\sigma} \log q = \varepsilon^2 - 1,
              \qquad z = \mu + \sigma \varepsilon

    The model is evaluated, never differentiated (Ranganath et al., 2014). Arguments and errors as for
    :func:`reparameterization_gradient`.
    """
    _require_gaussian(mean, log_std, noise)
    with torch.no_grad():
        z = reparameterize(mean.expand_as(noise), log_std.expand_as(noise), noise)
        values = elbo_estimate(log_joint, mean, log_std, z)
        scores = torch.cat([noise * torch.exp(-log_std), noise.square() - 1], dim=1)
        return score_function_gradient(values, scores, baseline), values


def reparameterization_gradient(
    log_joint: LogJoint,
    mean: Float[Tensor, "dim"],
    log_std: Float[Tensor, "dim"],
    noise: Float[Tensor, "samples dim"],
) -> tuple[Float[Tensor, "2*dim"], Float[Tensor, "samples"]]:
    """The ELBO's gradient in (mean, log_std) through the samples, and the ELBO estimates it was made of.

    Kingma & Welling (2014), section 2.4; the log_std part holds the entropy's gradient, 1, without noise.

    Args:
        log_joint: log p(x, z) of each row of its argument, differentiable.
        mean, log_std: of the diagonal Gaussian q, ``(dim,)``.
        noise: standard normal numbers, ``(samples, dim)``: all the randomness there is.

    Raises:
        ValueError: the shapes do not fit, or there is no sample.
    """
    _require_gaussian(mean, log_std, noise)
    mean, log_std = mean.detach().requires_grad_(), log_std.detach().requires_grad_()
    with torch.enable_grad():
        z = reparameterize(mean.expand_as(noise), log_std.expand_as(noise), noise)
        values = elbo_estimate(log_joint, mean, log_std, z)
        gradients = torch.autograd.grad(values.mean(), (mean, log_std))
    return torch.cat(gradients), values.detach()


def fit_black_box(
    log_joint: LogJoint,
    start_mean: Float[Tensor, "dim"],
    start_log_std: Float[Tensor, "dim"],
    estimator: Literal["score", "reparameterization"],
    generator: Generator,
    steps: int = 1000,
    samples: int = 16,
    learning_rate: float = 0.02,
) -> BlackBoxFit:
    """Adam on the ELBO of a diagonal Gaussian, with either estimator of the gradient; the rate falls to zero.

    The score function's baseline is a running mean of earlier steps' ELBO estimates, so that it does not depend on
    the samples of its own step.

    Raises:
        ValueError: there is no such estimator, nothing to do, or the shapes do not fit.
    """
    _require_fit(estimator, steps, samples)
    mean, log_std = start_mean.clone(), start_log_std.clone()
    optimizer = torch.optim.Adam([mean, log_std], lr=learning_rate, maximize=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    elbo, baseline = mean.new_zeros(steps), 0.0
    for step in range(steps):
        noise = standard_normal_like(mean.expand(samples, -1), generator)
        if estimator == "score":
            gradient, values = score_gradient(log_joint, mean, log_std, noise, baseline)
        else:
            gradient, values = reparameterization_gradient(log_joint, mean, log_std, noise)
        mean.grad, log_std.grad = gradient.chunk(2)
        optimizer.step()
        schedule.step()
        elbo[step] = values.mean()
        memory = _BASELINE_MEMORY if step else 0.0
        baseline = memory * baseline + (1 - memory) * elbo[step].item()
    return BlackBoxFit(mean, log_std, elbo)


def _as_batch(mean: Tensor, log_std: Tensor) -> DiagonalGaussian:
    return DiagonalGaussian(mean.unsqueeze(0), log_std.unsqueeze(0))


def _require_gaussian(mean: Tensor, log_std: Tensor, noise: Tensor) -> None:
    require_float(mean=mean, log_std=log_std, noise=noise)
    require_shape((mean.numel(),), "dim", mean=mean, log_std=log_std)
    if noise.ndim != 2 or noise.shape[1] != len(mean):
        raise ValueError(f"noise must have the shape (samples, {len(mean)}), got {tuple(noise.shape)}")


def _require_fit(estimator: str, steps: int, samples: int) -> None:
    if estimator not in ("score", "reparameterization"):
        raise ValueError(f"estimator must be 'score' or 'reparameterization', got {estimator!r}")
    if steps < 1 or samples < 1:
        raise ValueError(f"steps and samples must be at least 1, got {steps} and {samples}")
