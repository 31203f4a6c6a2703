"""Every picture of the course. Functions draw and return a matplotlib figure; :func:`show` puts it in a notebook.

matplotlib is loaded by the first picture, so importing this costs nothing.
"""

from avae_lib.plotting.attention_curves import (
    bits_per_dim_against_depth,
    costs_against_size,
    gates_of_layers,
    kl_of_layers_during_training,
    quality_against_gpu_hours,
)
from avae_lib.plotting.attention_diagrams import attentive_model, layers_side_by_side, sequences_over_depth_and_space
from avae_lib.plotting.attention_maps import attention_matrices, attention_on_images
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
from avae_lib.plotting.hierarchy_curves import (
    cumulative_kl,
    density_maps,
    layers_in_use,
    merged_gaussians,
    published_and_measured,
    stream_spread,
)
from avae_lib.plotting.hierarchy_diagrams import hierarchy_and_its_inference, nvae_cells, top_down_block
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
from avae_lib.plotting.judging_claims import claims_against_draws, images_of_batches
from avae_lib.plotting.judging_compression import (
    code_lengths,
    cost_per_image,
    layer_rates,
    quality_against_rate,
    rounding_overhead,
    stack_account,
)
from avae_lib.plotting.judging_cost import hours_of_runs, quality_for_hours, quality_over_time
from avae_lib.plotting.judging_likelihood import (
    against_temperature,
    distances_against_samples,
    intervals,
    knowledge_by_depth,
    numbers_reported,
    shares_of_weights,
)
from avae_lib.plotting.judging_novelty import areas_against_kept_layers, areas_of_scores, roc_curves, score_histograms
from avae_lib.plotting.judging_restoration import objective_per_step, restorations
from avae_lib.plotting.latent_pad import latent_pad, latent_pad_still
from avae_lib.plotting.latent_paths import interpolation, traversal
from avae_lib.plotting.latents import density_contours, density_curves, latent_scatter, posterior_price, pushforward
from avae_lib.plotting.layers import codes_in_use, kl_during_training, kl_per_layer, unit_activity
from avae_lib.plotting.magnets import magnetisation, magnetisation_traces, marginals_against_exact, spin_pictures
from avae_lib.plotting.mean_field import (
    bound_and_gap,
    bound_landscape,
    bound_next_to_sampling,
    log_partition_bounds,
    mixture_bounds,
    mixture_components,
)
from avae_lib.plotting.notebook import LivePicture, png_bytes, show, slider, stills
from avae_lib.plotting.richer_codes import codebook_in_use, objectives_on_the_plane
from avae_lib.plotting.richer_likelihoods import claimed_bits, colour_clouds, level_densities, logistic_bins
from avae_lib.plotting.richer_posteriors import (
    codes_and_vectors,
    density_of_draws,
    density_table,
    eigenvalues_and_rates,
    straight_through,
    units_in_use,
)
from avae_lib.plotting.run_comparison import runs_compared
from avae_lib.plotting.topics import topic_shares, topics_side_by_side
from avae_lib.plotting.training_progress import training_progress

__all__ = [
    "LivePicture",
    "against_temperature",
    "area_between",
    "areas_against_kept_layers",
    "areas_of_scores",
    "attention_matrices",
    "attention_on_images",
    "attentive_model",
    "belief_messages",
    "bits_per_dim_against_depth",
    "bound_and_gap",
    "bound_gaps",
    "bound_landscape",
    "bound_next_to_sampling",
    "claimed_bits",
    "claims_against_draws",
    "code_lengths",
    "codebook_in_use",
    "codes_and_vectors",
    "codes_in_use",
    "colour_clouds",
    "contribution_bars",
    "contribution_curves",
    "cost_per_image",
    "costs_against_size",
    "cumulative_kl",
    "density_contours",
    "density_curves",
    "density_maps",
    "density_of_draws",
    "density_projections",
    "density_table",
    "distances_against_samples",
    "divergence_areas",
    "divergence_curves",
    "divergence_matrix",
    "eigenvalues_and_rates",
    "estimates_with_errors",
    "estimator_bias_and_spread",
    "evidence_paths",
    "factorised_families",
    "gates_of_layers",
    "gaussian_ellipses",
    "gaussian_fits",
    "gradient_estimates",
    "gradient_variance",
    "hierarchy_and_its_inference",
    "hours_of_runs",
    "image_grid",
    "image_rows",
    "images_of_batches",
    "importance_weighted_bounds",
    "ink_in_bands",
    "interpolation",
    "intervals",
    "intractable_posteriors",
    "kl_during_training",
    "kl_of_layers_during_training",
    "kl_per_layer",
    "knowledge_by_depth",
    "latent_pad",
    "latent_pad_still",
    "latent_scatter",
    "layer_rates",
    "layers_in_use",
    "layers_side_by_side",
    "learners_compared",
    "learning_curves",
    "level_densities",
    "log_partition_bounds",
    "logistic_bins",
    "magnetisation",
    "magnetisation_traces",
    "manifold",
    "marginals_against_exact",
    "merged_gaussians",
    "mixture_bounds",
    "mixture_components",
    "mosaic",
    "numbers_reported",
    "nvae_cells",
    "objective_per_step",
    "objectives_on_the_plane",
    "pixel_maps",
    "png_bytes",
    "posterior_price",
    "prior_quantiles",
    "published_and_measured",
    "pushforward",
    "quality_against_gpu_hours",
    "quality_against_rate",
    "quality_for_hours",
    "quality_over_time",
    "rate_distortion",
    "reparameterization_paths",
    "restorations",
    "roc_curves",
    "rounding_overhead",
    "runs_compared",
    "score_histograms",
    "sequences_over_depth_and_space",
    "shares_of_weights",
    "show",
    "signal_to_noise",
    "slider",
    "spin_pictures",
    "stack_account",
    "stills",
    "straight_through",
    "stream_spread",
    "tilted_distribution",
    "top_down_block",
    "topic_model_plates",
    "topic_shares",
    "topics_side_by_side",
    "training_progress",
    "traversal",
    "unit_activity",
    "units_in_use",
    "vae_graphical_model",
    "vae_network",
]
