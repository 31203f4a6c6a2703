"""Every picture of the course. Functions draw and return a matplotlib figure; :func:`show` puts it in a notebook.

matplotlib is loaded by the first picture, so importing this costs nothing.
"""

from avae_lib.plotting.curves import (
    bound_gaps,
    gradient_estimates,
    gradient_variance,
    importance_weighted_bounds,
    learners_compared,
    learning_curves,
    rate_distortion,
    signal_to_noise,
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
from avae_lib.plotting.graphs import belief_messages, factorised_families, topic_model_plates
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
from avae_lib.plotting.latent_pad import latent_pad, latent_pad_still
from avae_lib.plotting.latents import (
    density_contours,
    density_curves,
    latent_scatter,
    posterior_price,
    pushforward,
)
from avae_lib.plotting.layers import kl_during_training, kl_per_layer, unit_activity
from avae_lib.plotting.magnets import magnetisation, magnetisation_traces, marginals_against_exact, spin_pictures
from avae_lib.plotting.mean_field import (
    bound_and_gap,
    bound_landscape,
    bound_next_to_sampling,
    log_partition_bounds,
    mixture_bounds,
    mixture_components,
)
from avae_lib.plotting.notebook import png_bytes, show, slider, stills
from avae_lib.plotting.topics import topic_shares, topics_side_by_side

__all__ = [
    "area_between",
    "belief_messages",
    "bound_and_gap",
    "bound_gaps",
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
    "factorised_families",
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
    "latent_pad",
    "latent_pad_still",
    "latent_scatter",
    "learners_compared",
    "learning_curves",
    "log_partition_bounds",
    "magnetisation",
    "magnetisation_traces",
    "manifold",
    "marginals_against_exact",
    "mixture_bounds",
    "mixture_components",
    "mosaic",
    "pixel_maps",
    "png_bytes",
    "posterior_price",
    "prior_quantiles",
    "pushforward",
    "rate_distortion",
    "reparameterization_paths",
    "show",
    "signal_to_noise",
    "slider",
    "spin_pictures",
    "stills",
    "tilted_distribution",
    "topic_model_plates",
    "topic_shares",
    "topics_side_by_side",
    "unit_activity",
    "vae_graphical_model",
    "vae_network",
]
