"""Black-box variational inference: a diagonal Gaussian q, fitted by stochastic gradients of the ELBO.

The model enters only through its log joint density. There are two estimators of the gradient to compare: the score
function, which needs only values of that density, and reparameterisation, which differentiates it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.gaussians import DiagonalGaussian, reparameterize, standard_normal_like

__all__ = [
    "BlackBoxFit",
    "elbo_estimate",
    "fit_black_box",
    "reparameterization_gradient",
    "score_function_gradient",
    "score_gradient",
]

LogJoint = Callable[[Float[Tensor, "samples dim"]], Float[Tensor, "samples"]]
"""log p(x, z) of each row z, nats."""

_BASELINE_MEMORY = 0.9
"""The share of the baseline that each step keeps."""


@dataclass(frozen=True)
class BlackBoxFit:
    """Where stochastic ascent ended."""

    mean: Float[Tensor, "dim"]
    """Mean of q."""
    log_std: Float[Tensor, "dim"]
    """Log standard deviation of q."""
    elbo: Float[Tensor, "steps"]
    """The estimate of the bound in each step, nats. It is noisy and may fall."""


def elbo_estimate(
    log_joint: LogJoint, mean: Float[Tensor, "dim"], log_std: Float[Tensor, "dim"], z: Float[Tensor, "samples dim"]
) -> Float[Tensor, "samples"]:
    """log p(x, z) − log q(z) of each sample z ~ q, nats; its expectation is the ELBO.

    If q is the exact posterior, every sample gives log p(x). Here p(z) is q and p(x | z) is e⁻³ for all z:

    >>> q = DiagonalGaussian(torch.zeros(1, 2), torch.zeros(1, 2))
    >>> zeros = torch.zeros(2)
    >>> elbo_estimate(lambda z: q.log_prob(z) - 3, zeros, zeros, torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
    tensor([-3.0000, -3.0000])
    """
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

    At the optimum the gradient of each single sample is zero if the baseline is the ELBO:

    >>> target = DiagonalGaussian(torch.zeros(1, 1), torch.zeros(1, 1))
    >>> noise = torch.tensor([[0.5], [-2.0]])
    >>> gradient, values = score_gradient(target.log_prob, torch.zeros(1), torch.zeros(1), noise, baseline=0.0)
    >>> gradient, values
    (tensor([0., 0.]), tensor([0., 0.]))
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

    Kingma & Welling (2014), section 2.4. The entropy contributes its exact gradient, 1, to the log_std part.

    Args:
        log_joint: log p(x, z) of each row of its argument, differentiable.
        mean, log_std: parameters of the diagonal Gaussian q, ``(dim,)``.
        noise: standard normal numbers, ``(samples, dim)``, the only source of randomness.

    Raises:
        ValueError: the shapes do not fit, or there is no sample.

    The target has the mean 3, so the gradient in the mean of q is 3 minus the mean of the samples:

    >>> target = DiagonalGaussian(torch.full((1, 1), 3.0), torch.zeros(1, 1))
    >>> noise = torch.tensor([[1.0], [-1.0]])
    >>> gradient, values = reparameterization_gradient(target.log_prob, torch.zeros(1), torch.zeros(1), noise)
    >>> gradient
    tensor([3., 0.])
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
    """Adam on the ELBO of a diagonal Gaussian, with either estimator of the gradient; the learning rate falls to zero.

    The baseline of the score function is a running mean of the ELBO estimates of earlier steps, so it does not depend
    on the samples of its own step.

    Raises:
        ValueError: there is no such estimator, steps or samples are below 1, or the shapes do not fit.

    The target is itself a Gaussian, so q finds it:

    >>> target = DiagonalGaussian(torch.full((1, 1), 3.0), torch.zeros(1, 1))
    >>> start = torch.zeros(1)
    >>> fit = fit_black_box(target.log_prob, start, start, "reparameterization", Generator().manual_seed(0), steps=600)
    >>> bool((fit.mean - 3).abs() < 0.1), bool(fit.log_std.abs() < 0.1)
    (True, True)
    """
    _require_fit(estimator, steps, samples)
    mean, log_std = start_mean.clone(), start_log_std.clone()
    optimizer = torch.optim.Adam([mean, log_std], lr=learning_rate, maximize=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    elbo = mean.new_zeros(steps)
    baseline = 0.0
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


@component(unit="02_mean_field")
def score_function_gradient(
    f_values: Float[Tensor, "samples"],
    log_prob_gradients: Float[Tensor, "samples params"],
    baseline: float | Float[Tensor, ""],
) -> Float[Tensor, "params"]:
    r"""An estimate of the gradient of E_q[f(z)] in q's parameters, from samples z ~ q.

    .. math:: \frac{1}{S} \sum_s \bigl(f(z_s) - b\bigr) \, \nabla_\lambda \log q_\lambda(z_s)

    The baseline b leaves the expectation as it is, since :math:`\mathbb{E}_q[\nabla \log q] = 0`, if it does not
    depend on the samples, and can remove most of the variance (Williams, 1992; Ranganath et al., 2014; derived in
    lecture 02).

    Args:
        f_values: f of each sample, ``(samples,)``; for the ELBO log p(x, z) − log q(z), not differentiated.
        log_prob_gradients: gradient of log q at each sample, ``(samples, params)``.
        baseline: b, a number or a scalar tensor.

    Returns:
        The estimate, ``(params,)``, in the dtype of the inputs. None of them is changed.

    Raises:
        ValueError: the shapes do not fit, or there is no sample.

    Two samples of a fair coin's logit with f = 1 and f = 0, whose scores are 1/2 and −1/2:

    >>> score_function_gradient(torch.tensor([1.0, 0.0]), torch.tensor([[0.5], [-0.5]]), baseline=0.5)
    tensor([0.2500])
    """
    require_float(f_values=f_values, log_prob_gradients=log_prob_gradients)
    require_shape((f_values.numel(),), "samples", f_values=f_values)
    if log_prob_gradients.ndim != 2 or len(log_prob_gradients) != len(f_values):
        raise ValueError(
            f"log_prob_gradients must have the shape ({len(f_values)}, params), got {tuple(log_prob_gradients.shape)}"
        )
    return (f_values - baseline) @ log_prob_gradients / len(f_values)
