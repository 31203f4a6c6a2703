"""Fully-connected networks whose outputs for one variable look at the variables before it alone.

M. Germain, K. Gregor, I. Murray & H. Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", ICML 2015.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MaskedLinear", "MaskedNetwork"]


class MaskedLinear(nn.Linear):
    """A linear layer in which some inputs are hidden from some outputs.

    Args:
        mask: ones where an output (row) sees an input (column), zeros elsewhere.
    """

    def __init__(self, mask: Float[Tensor, "outputs inputs"]) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        return functional.linear(x, self.weight * self.mask, self.bias)


class MaskedNetwork(nn.Module):
    r"""Two numbers for each variable, computed from the variables before it and a context.

    .. math:: (m_i, g_i) = f_i(z_1, \ldots, z_{i-1}, c)

    Each hidden unit has a degree k from 0 to dim − 1. It sees :math:`z_1 \ldots z_k` and the whole context, and is seen
    by variables after the k-th. Units of degree 0 see the context alone: without them the first variable would not
    depend on it.

    Args:
        dim: number of variables.
        width: hidden units of each of the two hidden layers, at least ``dim`` so that each degree occurs.
        context_dim: numbers of context.

    >>> network = MaskedNetwork(dim=3, width=6, context_dim=2)
    >>> context = torch.zeros(1, 2)
    >>> jacobian = torch.autograd.functional.jacobian(lambda z: network(z, context)[0], torch.zeros(1, 3))
    >>> (jacobian[0, :, 0] != 0).int()  # rows: the numbers m, columns: the variables z
    tensor([[0, 0, 0],
            [1, 0, 0],
            [1, 1, 0]], dtype=torch.int32)
    """

    def __init__(self, dim: int, width: int, context_dim: int) -> None:
        super().__init__()
        if width < dim:
            raise ValueError(f"width must be at least the number of variables {dim}, got {width}")
        of_variable, of_hidden = torch.arange(1, dim + 1), torch.arange(width) % dim
        self.of_context = nn.Linear(context_dim, width)
        self.first = MaskedLinear((of_hidden[:, None] >= of_variable).float())
        self.second = MaskedLinear((of_hidden[:, None] >= of_hidden).float())
        self.last = MaskedLinear((of_variable[:, None] > of_hidden).float().repeat(2, 1))

    def forward(
        self, z: Float[Tensor, "batch dim"], context: Float[Tensor, "batch context"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch dim"]]:
        """The first numbers of all variables, and the second ones."""
        hidden = functional.elu(self.first(z) + self.of_context(context))
        hidden = functional.elu(self.second(hidden))
        first, second = self.last(hidden).chunk(2, dim=1)
        return first, second
