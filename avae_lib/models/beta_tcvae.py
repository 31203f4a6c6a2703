"""The β-TCVAE of Chen, Li, Grosse & Duvenaud (2018): the dependence between latents costs more than in the bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.requirements import require_at_least, require_temperature
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.objectives import ELBO

__all__ = ["ESTIMATORS", "BetaTCVAE", "BetaTCVAEConfig", "log_batch_weights", "total_correlation"]

ESTIMATORS = ("weighted", "stratified")


@dataclass(frozen=True)
class BetaTCVAEConfig(VAEConfig):
    """Configuration of a β-TCVAE.

    With β = 1 it is the VAE; the penalty is zero:

    >>> x = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> BetaTCVAEConfig(beta=1.0).build()(x).penalties["total_correlation"].abs().detach()
    tensor([0., 0.])
    """

    beta: float = 4.0
    """Weight of the total correlation in the objective; 1 gives the VAE."""
    dataset_size: int = 1350
    """Number of training images. The estimate of the total correlation weights the images of a batch with it."""
    estimator: str = "weighted"
    """How the aggregate posterior is estimated from a batch: weighted (equal weights, biased) or stratified (without
    bias before the logarithm is taken)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, self, "beta")
        require_at_least(2, self, "dataset_size")
        if self.estimator not in ESTIMATORS:
            raise InvalidInput(f"estimator must be one of {', '.join(ESTIMATORS)}, got {self.estimator!r}")

    def build(self) -> BetaTCVAE:
        """A model with fresh weights."""
        return BetaTCVAE(self)


class BetaTCVAE(VAE):
    r"""A VAE whose latents pay extra for depending on one another, and for nothing else.

    Averaged over images, the KL of the bound has three parts (equation 2): the information that z holds on the image,
    the total correlation, and how far the distribution of each latent is from its prior.

    .. math:: \mathbb{E}_x \mathrm{KL}\bigl(q(z \mid x)\,\|\,p(z)\bigr) = I(x; z)
              + \underbrace{\mathrm{KL}\Bigl(q(z)\,\Big\|\,\prod_d q(z_d)\Bigr)}_{\mathrm{TC}}
              + \sum_d \mathrm{KL}\bigl(q(z_d)\,\|\,p(z_d)\bigr), \qquad q(z) = \mathbb{E}_x\, q(z \mid x)

    The objective adds the penalty (β − 1) · TC to the bound. It is estimated from the batch, by
    :func:`total_correlation`.

    >>> elbo = BetaTCVAEConfig(latent_dim=3).build()(torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    >>> elbo.kl.shape, elbo.penalties["total_correlation"].shape
    (torch.Size([5, 1]), torch.Size([5]))
    """

    config: BetaTCVAEConfig

    compares_images = "its total correlation compares the images of a batch"

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        require_temperature("posterior_temperature", posterior_temperature)
        posterior = self.posterior(x)
        z = posterior.sample(temperature=posterior_temperature, generator=generator)
        log_likelihood, kl = self.log_likelihood(x, z), self.kl(posterior, z).unsqueeze(1)
        dependence = total_correlation(z, posterior, self.config.dataset_size, self.config.estimator)
        return ELBO(log_likelihood, kl, {"total_correlation": (self.config.beta - 1) * dependence})


def total_correlation(
    z: Float[Tensor, "batch latent"], posterior: DiagonalGaussian, dataset_size: int, estimator: str = "weighted"
) -> Float[Tensor, "batch"]:
    r"""An estimate of :math:`\log q(z) - \sum_d \log q(z_d)` at each draw, in nats; its mean estimates the TC.

    .. math:: q(z_i) \approx \sum_j w_{ij}\, q(z_i \mid x_j), \qquad
              q(z_{id}) \approx \sum_j w_{ij}\, q(z_{id} \mid x_j)

    Chen et al. (2018), section 3.1 and appendix C; the weights are those of :func:`log_batch_weights`.

    Args:
        z: a draw from the posterior of each image of the batch.
        posterior: of the same images, in the same order.
        dataset_size: number of images that the batch was drawn from.
        estimator: which weights, one of ``ESTIMATORS``.

    Where all posteriors are equal, latents are independent, and with the whole data set for a batch nothing is left:

    >>> equal = DiagonalGaussian.standard_like(torch.zeros(3, 2))
    >>> total_correlation(torch.ones(3, 2), equal, dataset_size=3, estimator="stratified").abs() < 1e-6
    tensor([True, True, True])
    """
    of_pairs = DiagonalGaussian(posterior.mean[None], posterior.log_std[None])
    log_q = of_pairs.log_prob_per_element(z[:, None])  # (draw, image, latent): of each draw under each posterior
    log_weights = log_batch_weights(len(z), dataset_size, estimator, device=z.device).to(log_q.dtype)
    log_joint = torch.logsumexp(log_weights + log_q.sum(dim=2), dim=1)
    log_marginals = torch.logsumexp(log_weights[:, :, None] + log_q, dim=1)
    return log_joint - log_marginals.sum(dim=1)


def log_batch_weights(
    batch: int, dataset_size: int, estimator: str, device: torch.device | str = "cpu"
) -> Float[Tensor, "batch batch"]:
    r"""Logarithms of the weights that the posterior of image j has in the estimate of q at the draw of image i.

    * ``weighted``: :math:`w_{ij} = 1 / (N M)` with M images in the batch and N in the data set, the
      minibatch-weighted sampling of Chen et al. (2018, equation S3). In expectation log q(z) comes out too low. The
      factor 1/N adds the constant (dim − 1) · log N to the total correlation, which has no gradient.
    * ``stratified``: :math:`w_{ii} = 1/N`, the others share the rest equally. The batch holds the image that z was
      drawn from, and of the rest of the data set a random part. With these weights the estimate of q(z) has no bias.

    Raises:
        ValueError: an estimator that there is not.

    >>> log_batch_weights(2, dataset_size=4, estimator="stratified").exp()
    tensor([[0.2500, 0.7500],
            [0.7500, 0.2500]])
    """
    if estimator not in ESTIMATORS:
        raise InvalidInput(f"estimator must be one of {', '.join(ESTIMATORS)}, got {estimator!r}")
    if estimator == "weighted":
        return torch.full((batch, batch), -math.log(dataset_size * batch), device=device)
    others = math.log((dataset_size - 1) / (dataset_size * max(batch - 1, 1)))
    return torch.full((batch, batch), others, device=device).fill_diagonal_(-math.log(dataset_size))
