"""Every picture of the course. Functions draw and return a matplotlib figure; :func:`show` puts it in a notebook.

matplotlib is loaded by the first picture, so importing this costs nothing.
"""

from avae_lib.plotting.curves import (
    gradient_estimates,
    gradient_variance,
    importance_weighted_bounds,
    learning_curves,
    rate_distortion,
)
from avae_lib.plotting.diagrams import reparameterization_paths, vae_graphical_model, vae_network
from avae_lib.plotting.divergences import (
    contribution_bars,
    contribution_curves,
    density_projections,
    divergence_curves,
    divergence_matrix,
    estimates_with_errors,
    estimator_bias_and_spread,
    gaussian_ellipses,
    gaussian_fits,
)
from avae_lib.plotting.images import image_grid, image_rows, manifold, mosaic, prior_quantiles
from avae_lib.plotting.information import (
    area_between,
    divergence_areas,
    evidence_paths,
    ink_in_bands,
    pixel_maps,
    tilted_distribution,
)
from avae_lib.plotting.intractability import intractable_posteriors
from avae_lib.plotting.latents import density_contours, density_curves, latent_scatter
from avae_lib.plotting.layers import kl_during_training, kl_per_layer, unit_activity
from avae_lib.plotting.mean_field import (
    bound_and_gap,
    bound_landscape,
    bound_next_to_sampling,
    log_partition_bounds,
    magnetisation,
    marginals_against_exact,
    mixture_components,
    topic_shares,
    topics_side_by_side,
)
from avae_lib.plotting.notebook import png_bytes, show, slider, stills

__all__ = [
    "area_between",
    "bound_and_gap",
    "bound_landscape",
    "bound_next_to_sampling",
    "contribution_bars",
    "contribution_curves",
    "density_contours",
    "density_curves",
    "density_projections",
    "divergence_areas",
    "divergence_curves",
    "divergence_matrix",
    "estimates_with_errors",
    "estimator_bias_and_spread",
    "evidence_paths",
    "gaussian_ellipses",
    "gaussian_fits",
    "gradient_estimates",
    "gradient_variance",
    "image_grid",
    "image_rows",
    "importance_weighted_bounds",
    "ink_in_bands",
    "intractable_posteriors",
    "kl_during_training",
    "kl_per_layer",
    "latent_scatter",
    "learning_curves",
    "log_partition_bounds",
    "magnetisation",
    "manifold",
    "marginals_against_exact",
    "mixture_components",
    "mosaic",
    "pixel_maps",
    "png_bytes",
    "prior_quantiles",
    "rate_distortion",
    "reparameterization_paths",
    "show",
    "slider",
    "stills",
    "tilted_distribution",
    "topic_shares",
    "topics_side_by_side",
    "unit_activity",
    "vae_graphical_model",
    "vae_network",
]
