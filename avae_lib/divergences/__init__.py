"""Divergences between distributions, in nats."""

from avae_lib.divergences.categorical import jensen_shannon, kl_categorical
from avae_lib.divergences.f_divergences import FDivergence, alpha_divergence, f_divergence
from avae_lib.divergences.gaussian import kl_diagonal_gaussian, kl_gaussian, kl_gaussian_per_element
from avae_lib.divergences.maximum_mean_discrepancy import maximum_mean_discrepancy
from avae_lib.divergences.monte_carlo import kl_monte_carlo
from avae_lib.divergences.projections import forward_kl_projection, reverse_kl_projection
from avae_lib.divergences.tilting import information_projection

__all__ = [
    "FDivergence",
    "alpha_divergence",
    "f_divergence",
    "forward_kl_projection",
    "information_projection",
    "jensen_shannon",
    "kl_categorical",
    "kl_diagonal_gaussian",
    "kl_gaussian",
    "kl_gaussian_per_element",
    "kl_monte_carlo",
    "maximum_mean_discrepancy",
    "reverse_kl_projection",
]
