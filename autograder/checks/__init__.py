"""How each component is judged: its cases, and the mistakes and variants that test the cases.

The check of a component lies in the file of its name, or with others that draw the same inputs (``ising.py``).
"""

from autograder.checks.active_units import ACTIVE_UNITS
from autograder.checks.area_under_roc import AREA_UNDER_ROC
from autograder.checks.attention_cost import ATTENTION_COST
from autograder.checks.attention_depth import ATTENTIVE_CONTEXT, DEPTHWISE_ATTENTION
from autograder.checks.bernoulli_log_likelihood import BERNOULLI_LOG_LIKELIHOOD
from autograder.checks.bits_per_dim import BITS_PER_DIM
from autograder.checks.case import ComponentCheck
from autograder.checks.discretized_logistic_log_prob import DISCRETIZED_LOGISTIC_LOG_PROB
from autograder.checks.discretized_logistic_mixture_log_prob import DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB
from autograder.checks.discretized_logistic_mixture_sample import DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE
from autograder.checks.effective_sample_size import EFFECTIVE_SAMPLE_SIZE
from autograder.checks.free_bits import FREE_BITS
from autograder.checks.hierarchy_blocks import BOTTLENECK_BLOCK, UNPOOL_NEAREST
from autograder.checks.hierarchy_gaussians import GAUSSIAN_KL_PER_LAYER, PRECISION_WEIGHTED, RESIDUAL_GAUSSIAN
from autograder.checks.information_projection import INFORMATION_PROJECTION
from autograder.checks.inverse_autoregressive_step import INVERSE_AUTOREGRESSIVE_STEP
from autograder.checks.ising import GIBBS_SWEEP, ISING_ELBO, ISING_MEAN_FIELD_SWEEP
from autograder.checks.keep_top_layers import KEEP_TOP_LAYERS
from autograder.checks.kl_categorical import KL_CATEGORICAL
from autograder.checks.kl_gaussians import KL_DIAGONAL_GAUSSIAN, KL_GAUSSIAN
from autograder.checks.kl_monte_carlo import KL_MONTE_CARLO
from autograder.checks.kl_projections import FORWARD_KL_PROJECTION, REVERSE_KL_PROJECTION
from autograder.checks.lda_e_step import LDA_E_STEP
from autograder.checks.log_mean_exp import LOG_MEAN_EXP
from autograder.checks.marginal_log_likelihood import MARGINAL_LOG_LIKELIHOOD
from autograder.checks.maximum_mean_discrepancy import MAXIMUM_MEAN_DISCREPANCY
from autograder.checks.mean_field_fit import MEAN_FIELD_FIT
from autograder.checks.mixture_cavi_step import MIXTURE_CAVI_STEP
from autograder.checks.nonlocal_attention import NONLOCAL_ATTENTION
from autograder.checks.reparameterize import REPARAMETERIZE
from autograder.checks.score_function_gradient import SCORE_FUNCTION_GRADIENT
from autograder.checks.should_skip_update import SHOULD_SKIP_UPDATE
from autograder.checks.temperature_sample import TEMPERATURE_SAMPLE
from autograder.checks.top_down_step import TOP_DOWN_STEP
from autograder.checks.vae_objectives import IMPORTANCE_WEIGHTED_BOUND, NEGATIVE_ELBO
from autograder.checks.vae_training_step import VAE_TRAINING_STEP
from autograder.checks.variational_layer_step import VARIATIONAL_LAYER_STEP
from autograder.checks.vector_quantize import VECTOR_QUANTIZE

__all__ = ["all_checks", "checks_of"]

_CHECKS = (
    # unit 00
    LOG_MEAN_EXP,
    # unit 01
    KL_CATEGORICAL,
    KL_DIAGONAL_GAUSSIAN,
    KL_GAUSSIAN,
    KL_MONTE_CARLO,
    REVERSE_KL_PROJECTION,
    FORWARD_KL_PROJECTION,
    INFORMATION_PROJECTION,
    # unit 02
    ISING_MEAN_FIELD_SWEEP,
    ISING_ELBO,
    MEAN_FIELD_FIT,
    GIBBS_SWEEP,
    LDA_E_STEP,
    MIXTURE_CAVI_STEP,
    SCORE_FUNCTION_GRADIENT,
    # unit 03
    REPARAMETERIZE,
    BERNOULLI_LOG_LIKELIHOOD,
    NEGATIVE_ELBO,
    IMPORTANCE_WEIGHTED_BOUND,
    VAE_TRAINING_STEP,
    # unit 04
    DISCRETIZED_LOGISTIC_LOG_PROB,
    DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB,
    DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE,
    FREE_BITS,
    VECTOR_QUANTIZE,
    INVERSE_AUTOREGRESSIVE_STEP,
    MAXIMUM_MEAN_DISCREPANCY,
    # unit 05
    RESIDUAL_GAUSSIAN,
    PRECISION_WEIGHTED,
    GAUSSIAN_KL_PER_LAYER,
    UNPOOL_NEAREST,
    BOTTLENECK_BLOCK,
    TOP_DOWN_STEP,
    SHOULD_SKIP_UPDATE,
    # unit 06
    DEPTHWISE_ATTENTION,
    NONLOCAL_ATTENTION,
    ATTENTIVE_CONTEXT,
    ATTENTION_COST,
    VARIATIONAL_LAYER_STEP,
    # unit 07
    BITS_PER_DIM,
    MARGINAL_LOG_LIKELIHOOD,
    EFFECTIVE_SAMPLE_SIZE,
    ACTIVE_UNITS,
    AREA_UNDER_ROC,
    TEMPERATURE_SAMPLE,
    KEEP_TOP_LAYERS,
)


def all_checks() -> tuple[ComponentCheck, ...]:
    """The checks of all components, by unit and in the order of the exercises."""
    return _CHECKS


def checks_of(unit: str) -> tuple[ComponentCheck, ...]:
    """The checks of one unit's components (for example of ``"03_vae"``), in the order of the exercises."""
    return tuple(check for check in _CHECKS if check.unit == unit)
