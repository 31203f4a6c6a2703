"""One step of an inverse autoregressive flow, gated so that it starts near the identity.

D. P. Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", NeurIPS 2016.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from avae_lib.components import component

__all__ = ["inverse_autoregressive_step"]


@component(unit="04_richer_models")
def inverse_autoregressive_step(
    z: Float[Tensor, "batch dim"], shift: Float[Tensor, "batch dim"], gate_logit: Float[Tensor, "batch dim"]
) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch"]]:
    r"""A gated step of an inverse autoregressive flow, and the logarithm of its determinant.

    .. math:: z'_i = \sigma(g_i)\, z_i + \bigl(1 - \sigma(g_i)\bigr)\, m_i, \qquad
              \log\Bigl|\det\frac{\partial z'}{\partial z}\Bigr| = \sum_i \log \sigma(g_i)

    where shift :math:`m_i` and logit :math:`g_i` may depend on :math:`z_1 \ldots z_{i-1}` only. The Jacobian is then
    triangular with :math:`\sigma(g_i)` on its diagonal (Kingma et al., 2016, algorithm 1, the numerically stable
    form). A density changes by :math:`\log q(z') = \log q(z) - \sum_i \log \sigma(g_i)`.

    Args:
        z: what the step transforms, ``(batch, dim)``.
        shift: m, from an autoregressive network, same shape.
        gate_logit: g, from the same network, same shape, at least from −100 to 100.

    Returns:
        z', ``(batch, dim)``, and the log-determinant of each example, ``(batch,)``, never positive; in the inputs'
        dtype and differentiable in all three. None of the inputs is changed.

    Where all gates are half open, each of two dimensions shrinks by 2:

    >>> inverse_autoregressive_step(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2))
    (tensor([[0.5000, 2.0000]]), tensor([-1.3863]))
    """
    gate = torch.sigmoid(gate_logit)
    # log σ(g) and 1 − σ(g) from the logit: the sigmoid itself rounds to 0 or 1 where the logit is large.
    transformed = gate * z + torch.sigmoid(-gate_logit) * shift
    return transformed, functional.logsigmoid(gate_logit).sum(dim=1)
