"""From numbers that a network predicts to a prior, and to a posterior parameterised relative to it.

Three ways, one interface: :class:`CentredGaussians`, the usual one; :class:`SoftplusGaussians`, centred as well, whose
standard deviations are softplus functions; and :class:`PublishedGaussians`, which computes what the program of
Apostolopoulou et al. (2022) computes.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softsign

from avae_lib.gaussians import DiagonalGaussian, residual_gaussian
from avae_lib.nn.precision import at_least_float32

__all__ = [
    "LOG_STD_RANGE",
    "CentredGaussians",
    "PublishedGaussians",
    "SoftplusGaussians",
    "bounded_log_std",
    "published_bound",
    "softplus_log_std",
]

LOG_STD_RANGE = (-5.0, 5.0)
"""Standard deviations, and ratios of two of them, stay between e^-5 and e^5."""


def bounded_log_std(
    raw: Float[Tensor, "*shape"], log_std_range: tuple[float, float] = LOG_STD_RANGE
) -> Float[Tensor, "*shape"]:
    r"""A log standard deviation within a range around 0 whose gradient is never zero.

    .. math:: \frac{r}{1 + |r| / \ell}, \qquad \text{slope } \frac{1}{(1 + |r| / \ell)^2},
              \qquad \ell = \text{high where } r > 0, \; {-}\text{low elsewhere}

    The slope is 1 at 0 and falls as 1/r². That of a tanh falls exponentially and is lost to rounding, that of a clamp
    is lost at once: with these a layer that has gone out too far can't come back.

    Args:
        log_std_range: low and high, with low < 0 < high.

    Raises:
        ValueError: 0 is not inside the range.

    >>> bounded_log_std(torch.tensor([-1e9, 0.0, 0.1, 1e9])).tolist()
    [-5.0, 0.0, 0.09803921729326248, 5.0]
    """
    low, high = log_std_range
    if not low < 0 < high:
        raise ValueError(f"log_std_range must be a number below 0 and one above, got {low} and {high}")
    return torch.where(raw > 0, high * softsign(raw / high), -low * softsign(raw / -low))


_FAR_BELOW = -20.0
"""From here down log softplus(x) is x − eˣ/2 to within e⁻⁴⁰, which no rounding of a double can tell apart."""


def softplus_log_std(raw: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""The logarithm of a standard deviation that is a softplus of what a network predicts.

    .. math:: \log\sigma(r) = \log\frac{\log(1 + e^{\beta r})}{\beta}, \qquad \beta = \log 2, \qquad
              \frac{d\sigma}{dr} = \frac{1}{1 + e^{-\beta r}}, \qquad
              0 < \frac{d \log\sigma}{dr} < \beta

    (Hazami, Mama and Thurairatnam, 2022.) σ(0) is 1. Above, σ grows like r and not like e^r, so that a large number
    does not come with a large gradient; below, log σ approaches β r − log β. With this β a network reaches small
    standard deviations in smaller steps than with log σ = r.

    Returns:
        Same shape and dtype, finite wherever r is: the softplus itself is never computed where it would round to 0.

    >>> softplus_log_std(torch.tensor([-200.0, 0.0, 200.0])).tolist()
    [-138.26292419433594, 0.0, 5.298317432403564]
    """
    beta = math.log(2)
    x = beta * raw
    near = x.clamp(min=_FAR_BELOW)
    above = torch.log(-logsigmoid(-near))  # logsigmoid(−x) is −softplus(x), without PyTorch's cut of softplus at 20
    below = x - x.clamp(max=_FAR_BELOW).exp() / 2
    return torch.where(x > _FAR_BELOW, above, below) - math.log(beta)


class CentredGaussians(nn.Module):
    r"""The residual is added after bounding: a posterior without a residual is its prior.

    .. math:: p = \mathcal{N}\bigl(m, e^{2 b(s)}\bigr), \qquad
              q = \mathcal{N}\bigl(m + \Delta m, e^{2 b(s) + 2 b(\Delta s)}\bigr)

    with b the :func:`bounded_log_std`. Numbers come as ``(batch, 2 × latent channels, h, w)``: means, then raw log
    standard deviations.

    Args:
        prior_range: of the prior's log standard deviation, around 0.

    >>> prior, posterior = CentredGaussians()(torch.randn(2, 6, 4, 4), shift=torch.zeros(2, 6, 4, 4))
    >>> posterior.kl(prior)
    tensor([0., 0.])
    """

    def __init__(self, prior_range: tuple[float, float] = LOG_STD_RANGE) -> None:
        super().__init__()
        self.prior_range = prior_range

    def forward(
        self,
        of_prior: Float[Tensor, "batch means_and_log_stds h w"],
        shift: Float[Tensor, "batch means_and_log_stds h w"] | None,
    ) -> tuple[DiagonalGaussian, DiagonalGaussian | None]:
        """Prior and, where there is a shift, posterior."""
        prior = self.prior(of_prior)
        return prior, None if shift is None else self._shifted(prior, shift)

    def unconditional(self, of_posterior: Float[Tensor, "batch means_and_log_stds h w"]) -> DiagonalGaussian:
        """A posterior beside a standard normal prior."""
        return self._shifted(DiagonalGaussian.standard_like(_halves(of_posterior)[0]), of_posterior)

    def prior(self, of_prior: Float[Tensor, "batch means_and_log_stds h w"]) -> DiagonalGaussian:
        """The prior alone."""
        mean, raw_log_std = _halves(of_prior)
        return DiagonalGaussian(mean, bounded_log_std(raw_log_std, self.prior_range))

    def shifts(self, shift: Float[Tensor, "batch means_and_log_stds h w"]) -> tuple[Tensor, Tensor]:
        """What the posterior adds to the prior's mean and log standard deviation, ``(batch, latent, h, w)`` each."""
        mean_shift, raw_log_std_shift = _halves(shift)
        return mean_shift, bounded_log_std(raw_log_std_shift)

    def _shifted(self, prior: DiagonalGaussian, shift: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(*residual_gaussian(prior.mean, prior.log_std, *self.shifts(shift)))


class SoftplusGaussians(CentredGaussians):
    r"""The standard deviations, and ratios of two of them, are softplus functions; nothing else is bounded.

    .. math:: p = \mathcal{N}\bigl(m, \sigma(s)^2\bigr), \qquad
              q = \mathcal{N}\bigl(m + \Delta m, \sigma(s)^2 \sigma(\Delta s)^2\bigr)

    with log σ the :func:`softplus_log_std`. Because σ(0) = 1, a posterior without a residual is its prior, as in
    :class:`CentredGaussians`, whose numbers and results this class shares.

    >>> prior, posterior = SoftplusGaussians()(torch.randn(2, 6, 4, 4), shift=torch.zeros(2, 6, 4, 4))
    >>> posterior.kl(prior)
    tensor([0., 0.])
    """

    def __init__(self) -> None:
        super().__init__()

    def prior(self, of_prior: Float[Tensor, "batch means_and_log_stds h w"]) -> DiagonalGaussian:
        """The prior alone."""
        mean, raw_std = _halves(of_prior)
        return DiagonalGaussian(mean, softplus_log_std(raw_std))

    def shifts(self, shift: Float[Tensor, "batch means_and_log_stds h w"]) -> tuple[Tensor, Tensor]:
        """What the posterior adds to the prior's mean and log standard deviation, ``(batch, latent, h, w)`` each."""
        mean_shift, raw_ratio = _halves(shift)
        return mean_shift, softplus_log_std(raw_ratio)


class PublishedGaussians(nn.Module):
    r"""The residual is added before bounding, and prior and posterior are bounded in different ways.

    .. math:: p = G(m, s;\, \text{prior range}), \qquad q = G(m + \Delta m, s + \Delta s;\, -5, 5), \qquad
              G(m, s; a, b) = \mathcal{N}\Bigl(\beta_{-5}^{5}(m),\; \bigl(e^{\beta_a^b(s)} + 0.01\bigr)^2\Bigr)

    with β the :func:`published_bound`. Where the prior's range isn't −5 … 5, a posterior without a residual is not its
    prior: with −1 … 5 it costs 0.449 nats for each latent at s = 0. Arguments as for :class:`CentredGaussians`.

    >>> gaussians = PublishedGaussians(prior_range=(-1.0, 5.0))
    >>> prior, posterior = gaussians(torch.zeros(1, 2, 1, 1), shift=torch.zeros(1, 2, 1, 1))  # one latent
    >>> posterior.kl(prior)
    tensor([0.4485])
    """

    own_wiring = "published bounds: own wiring, not residual_gaussian"
    MEAN_RANGE = (-5.0, 5.0)
    SMALLEST_STD = 0.01

    def __init__(self, prior_range: tuple[float, float] = LOG_STD_RANGE) -> None:
        super().__init__()
        self.prior_range = prior_range

    def forward(
        self,
        of_prior: Float[Tensor, "batch means_and_log_stds h w"],
        shift: Float[Tensor, "batch means_and_log_stds h w"] | None,
    ) -> tuple[DiagonalGaussian, DiagonalGaussian | None]:
        """Prior and, where there is a shift, posterior."""
        of_prior = at_least_float32(of_prior)
        prior = self._bounded(of_prior, self.prior_range)
        return prior, None if shift is None else self.unconditional(of_prior + at_least_float32(shift))

    def unconditional(self, of_posterior: Float[Tensor, "batch means_and_log_stds h w"]) -> DiagonalGaussian:
        """A posterior beside a standard normal prior."""
        return self._bounded(of_posterior, LOG_STD_RANGE)

    def _bounded(self, numbers: Tensor, log_std_range: tuple[float, float]) -> DiagonalGaussian:
        mean, raw_log_std = _halves(numbers)
        std = published_bound(raw_log_std, *log_std_range).exp() + self.SMALLEST_STD
        return DiagonalGaussian(published_bound(mean, *self.MEAN_RANGE), std.log())


def published_bound(x: Float[Tensor, "*shape"], low: float, high: float) -> Float[Tensor, "*shape"]:
    r"""x limited to a range as the published program does it.

    .. math:: b \tanh\frac{x}{2b} \text{ if } a = -b, \text{ else } a + (b - a)(3t^2 - 2t^3), \quad
              t = \operatorname{clip}\Bigl(\frac{x - a}{b - a}, 0, 1\Bigr)

    The second form has no gradient outside the range, so training cannot bring a value back from there.

    Raises:
        ValueError: low is not below high.

    >>> published_bound(torch.tensor([-100.0, 0.0, 2.0, 100.0]), -1.0, 5.0).tolist()
    [-1.0, -0.5555554628372192, 2.0, 5.0]
    """
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    if low == -high:
        return high * torch.tanh(x / (2 * high))
    t = ((x - low) / (high - low)).clamp(0, 1)
    return low + (high - low) * t.square() * (3 - 2 * t)


def _halves(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Means and raw log standard deviations, in float32 at least."""
    mean, raw_log_std = at_least_float32(numbers).chunk(2, dim=1)
    return mean, raw_log_std
