"""The score-function estimator of a gradient: what is left when nothing can be differentiated but log q."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape

__all__ = ["score_function_gradient"]


@component(unit="02_mean_field")
def score_function_gradient(
    f_values: Float[Tensor, "samples"], log_prob_gradients: Float[Tensor, "samples params"], baseline: float
) -> Float[Tensor, "params"]:
    r"""An estimate of the gradient of E_q[f(z)] in q's parameters, from samples z ~ q.

    .. math:: \frac{1}{S} \sum_s \bigl(f(z_s) - b\bigr) \, \nabla_\lambda \log q_\lambda(z_s)

    The baseline b leaves the expectation as it is, since :math:`\mathbb{E}_q[\nabla \log q] = 0`, if it does not
    depend on the samples, and can take most of the variance away (Williams, 1992; Ranganath et al., 2014; derived in
    lecture 02).

    Args:
        f_values: f of each sample, ``(samples,)``; for the ELBO log p(x, z) − log q(z), not differentiated.
        log_prob_gradients: gradient of log q at each sample, ``(samples, params)``.
        baseline: b, a number or a scalar tensor.

    Returns:
        The estimate, ``(params,)``, in the dtype of the inputs. None of them is changed.

    Raises:
        ValueError: the shapes do not fit, or there is no sample.
    """
    require_float(f_values=f_values, log_prob_gradients=log_prob_gradients)
    require_shape((f_values.numel(),), "samples", f_values=f_values)
    if log_prob_gradients.ndim != 2 or len(log_prob_gradients) != len(f_values):
        raise ValueError(
            f"log_prob_gradients must have the shape ({len(f_values)}, params), got {tuple(log_prob_gradients.shape)}"
        )
    return (f_values - baseline) @ log_prob_gradients / len(f_values)
