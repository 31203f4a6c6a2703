"""Inverse autoregressive flows: of vectors, with masked networks and gated steps; of feature maps, with convolutions.

D. P. Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", NeurIPS 2016; masked networks:
M. Germain, K. Gregor, I. Murray, H. Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", ICML 2015;
convolutions: A. Vahdat, J. Kautz, "NVAE", NeurIPS 2020, section 3.4.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from avae_lib.components import component
from avae_lib.nn.convolutions import require_odd
from avae_lib.nn.precision import at_least_float32
from avae_lib.nn.residual_posteriors import bounded_log_std

__all__ = [
    "AutoregressiveCell",
    "AutoregressiveConvolution",
    "InverseAutoregressiveFlow",
    "MaskedLinear",
    "MaskedNetwork",
    "autoregressive_mask",
    "inverse_autoregressive_step",
]


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


class MaskedLinear(nn.Linear):
    """A linear layer in which some inputs are hidden from some outputs.

    Args:
        mask: ones where an output (row) sees an input (column), zeros elsewhere.

    >>> layer = MaskedLinear(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    >>> torch.autograd.functional.jacobian(layer, torch.zeros(2)).ne(0).int()
    tensor([[1, 0],
            [1, 1]], dtype=torch.int32)
    """

    mask: Float[Tensor, "outputs inputs"]

    def __init__(self, mask: Float[Tensor, "outputs inputs"]) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
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
        of_variable = torch.arange(1, dim + 1)
        of_hidden = torch.arange(width) % dim
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


def autoregressive_mask(
    out_channels: int, in_channels: int, kernel_size: int, groups: int, variables: int, strict: bool
) -> Float[Tensor, "out_channels in_channels_of_a_group kernel_size kernel_size"]:
    """Which weights of a convolution look at what comes earlier.

    Elements are ordered pixel by pixel, row by row, and within a pixel by variable. Each variable owns an equal share
    of neighbouring channels.

    Args:
        kernel_size: odd.
        groups: 1, or one for each channel (depthwise), with as many outputs as inputs.
        variables: number of variables of a pixel; they share its channels equally.
        strict: whether an element may not look at itself.

    Returns:
        Ones and zeros in the shape of the weights.

    Raises:
        ValueError: an even kernel size, other groups, or channels that cannot be shared equally.

    Two variables for each pixel, one channel each, and a kernel of 3×3. The first output sees the row above and the
    pixel to the left, but not its own pixel:

    >>> autoregressive_mask(2, 2, kernel_size=3, groups=1, variables=2, strict=True)[0, 0].int()
    tensor([[1, 1, 1],
            [1, 0, 0],
            [0, 0, 0]], dtype=torch.int32)

    The second one also sees the first variable of its own pixel:

    >>> autoregressive_mask(2, 2, kernel_size=3, groups=1, variables=2, strict=True)[1, 0].int()
    tensor([[1, 1, 1],
            [1, 1, 0],
            [0, 0, 0]], dtype=torch.int32)
    """
    require_odd(kernel_size)
    if groups != 1 and not groups == in_channels == out_channels:
        raise ValueError(
            f"groups must be 1, or one for each of equally many input and output channels; "
            f"got {groups} groups, {in_channels} inputs and {out_channels} outputs"
        )
    middle = kernel_size // 2
    mask = torch.zeros(out_channels, in_channels // groups, kernel_size, kernel_size)
    mask[:, :, :middle] = 1
    mask[:, :, middle, :middle] = 1
    of_output, of_input = _variable_of(out_channels, variables), _variable_of(in_channels, variables)
    seen = of_output[:, None] > of_input if strict else of_output[:, None] >= of_input
    mask[:, :, middle, middle] = (seen if groups == 1 else seen.diagonal()[:, None]).to(mask)
    return mask


def _variable_of(channels: int, variables: int) -> Tensor:
    if channels % variables:
        raise ValueError(f"channels must be a multiple of the number of variables {variables}, got {channels}")
    return torch.arange(channels) // (channels // variables)


class Masking(nn.Module):
    """Weights times a fixed mask."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


class AutoregressiveConvolution(nn.Conv2d):
    """A padded convolution whose output at an element depends on earlier elements of its input alone.

    ``.weight`` is the masked weight. Arguments as for :func:`autoregressive_mask`.

    >>> layer = AutoregressiveConvolution(1, 1, kernel_size=3, variables=1, strict=True)
    >>> layer.weight[0, 0].ne(0).int()
    tensor([[1, 1, 1],
            [1, 0, 0],
            [0, 0, 0]], dtype=torch.int32)
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, variables: int, strict: bool, groups: int = 1
    ) -> None:
        mask = autoregressive_mask(out_channels, in_channels, kernel_size, groups, variables, strict)
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups)
        parametrize.register_parametrization(self, "weight", Masking(mask))


class AutoregressiveCell(nn.Module):
    r"""One step of an inverse autoregressive flow.

    .. math:: z'_i = \bigl(z_i - \mu_i(z_{<i})\bigr)\, e^{-s_i(z_{<i})}, \qquad
              \log\Bigl|\det\frac{\partial z'}{\partial z}\Bigr| = -\sum_i s_i

    The Jacobian is triangular. All z' come in one pass; the way back takes one pass for each element. NVAE's released
    code has s = 0, a flow that moves mass without squeezing it.

    Args:
        latent_channels: variables of a pixel.
        expansion: hidden channels for each variable.
        rescale: whether s is learned; else it is 0.
        backwards: whether elements are ordered from the last pixel to the first.

    The determinant equals that of the Jacobian, here of one variable on 2×2 pixels:

    >>> cell = AutoregressiveCell(latent_channels=1, rescale=True)
    >>> z = torch.randn(1, 1, 2, 2)
    >>> jacobian = torch.autograd.functional.jacobian(lambda z: cell(z)[0], z).reshape(4, 4)
    >>> bool(torch.allclose(jacobian.logdet(), cell(z)[1], atol=1e-5))
    True
    """

    def __init__(
        self, latent_channels: int, expansion: int = 6, rescale: bool = False, backwards: bool = False
    ) -> None:
        super().__init__()
        hidden = expansion * latent_channels
        outputs = (2 if rescale else 1) * latent_channels
        self.rescale = rescale
        self.backwards = backwards
        self.network = nn.Sequential(
            AutoregressiveConvolution(latent_channels, hidden, 3, latent_channels, strict=True),
            nn.ELU(),
            AutoregressiveConvolution(hidden, hidden, 5, latent_channels, strict=False, groups=hidden),
            nn.ELU(),
            AutoregressiveConvolution(hidden, outputs, 1, latent_channels, strict=False),
        )
        last: Any = self.network[-1]
        with torch.no_grad():
            last.parametrizations.weight.original.mul_(0.1)  # starts near the identity

    def forward(self, z: Float[Tensor, "batch variables h w"]) -> tuple[Tensor, Float[Tensor, "batch"]]:
        """z' and the log-determinant of the step."""
        shift, log_scale = self.shift_and_log_scale(z)
        return (z - shift) * torch.exp(-log_scale), -log_scale.flatten(start_dim=1).sum(dim=1)

    def shift_and_log_scale(self, z: Float[Tensor, "batch variables h w"]) -> tuple[Tensor, Tensor]:
        """μ and s, each shaped like z."""
        ordered = z.flip(2, 3) if self.backwards else z
        parameters = at_least_float32(self.network(ordered))
        parameters = parameters.flip(2, 3) if self.backwards else parameters
        if not self.rescale:
            return parameters, torch.zeros_like(parameters)
        shift, raw_log_scale = parameters.unflatten(1, (-1, 2)).unbind(dim=2)  # the two of a variable are neighbours
        return shift, bounded_log_std(raw_log_scale)

    def inverse(self, z: Float[Tensor, "batch variables h w"]) -> Float[Tensor, "batch variables h w"]:
        """What the step makes ``z`` of: each pass settles at least one further element."""
        before = torch.zeros_like(z)
        for _ in range(z[0].numel()):
            shift, log_scale = self.shift_and_log_scale(before)
            before = z * torch.exp(log_scale) + shift
        return before


class InverseAutoregressiveFlow(nn.Module):
    """Pairs of steps, the second of each pair in the opposite order of pixels.

    Args:
        latent_channels: variables of a pixel.
        pairs: number of pairs.
        rescale: whether steps also scale, see :class:`AutoregressiveCell`.

    >>> flow = InverseAutoregressiveFlow(latent_channels=2, pairs=1)
    >>> z = torch.randn(3, 2, 2, 2)
    >>> transformed, log_determinant = flow(z)
    >>> bool(torch.allclose(flow.inverse(transformed), z, atol=1e-4)), log_determinant.tolist()
    (True, [0.0, 0.0, 0.0])
    """

    def __init__(self, latent_channels: int, pairs: int, rescale: bool = False) -> None:
        super().__init__()
        self.cells: Any = nn.ModuleList(
            AutoregressiveCell(latent_channels, rescale=rescale, backwards=backwards)
            for _ in range(pairs)
            for backwards in (False, True)
        )

    def forward(self, z: Float[Tensor, "batch variables h w"]) -> tuple[Tensor, Float[Tensor, "batch"]]:
        """The transformed latent and the log-determinant of the whole flow."""
        log_determinant = z.new_zeros(len(z))
        for cell in self.cells:
            z, of_cell = cell(z)
            log_determinant = log_determinant + of_cell
        return z, log_determinant

    def inverse(self, z: Float[Tensor, "batch variables h w"]) -> Float[Tensor, "batch variables h w"]:
        """The latent that the flow makes ``z`` of; one pass for each element and step."""
        for cell in reversed(self.cells):
            z = cell.inverse(z)
        return z
