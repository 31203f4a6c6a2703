"""A VAE whose posterior is a Gaussian bent by a flow (Rezende & Mohamed, 2015; Kingma et al., 2016)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from avae_lib.components import is_available
from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.flow_posterior import FlowPosterior
from avae_lib.models.requirements import require_at_least, require_default, require_layer_count, require_temperature
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.nn.inverse_autoregressive import MaskedNetwork, inverse_autoregressive_step
from avae_lib.nn.planar_flow import PlanarFlow
from avae_lib.nn.precision import at_least_float32
from avae_lib.objectives import ELBO

__all__ = ["FLOWS", "AutoregressiveSteps", "FlowVAE", "FlowVAEConfig", "SteppedFlow"]

FLOWS = ("planar", "inverse_autoregressive")

_INITIAL_GATE_LOGIT = 2.0
"""Gates of inverse autoregressive steps start mostly open: each step is then close to the identity."""


@dataclass(frozen=True)
class FlowVAEConfig(VAEConfig):
    """Configuration of a VAE with a flow for its posterior.

    >>> x = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    >>> FlowVAEConfig(flow="inverse_autoregressive", latent_dim=2).build().posterior(x).sample().shape
    torch.Size([3, 2])
    """

    flow: str = "planar"
    """Kind of flow: planar, or inverse_autoregressive with gated steps."""
    flow_steps: int = 4
    """Number of steps of the flow."""
    flow_width: int = 64
    """Hidden units of the masked networks of inverse autoregressive steps, at least latent_dim.
    With a planar flow, which has none, only the default is accepted."""
    context_dim: int = 32
    """Numbers that the encoder hands to each inverse autoregressive step. With a planar flow, which takes none, only
    the default is accepted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flow not in FLOWS:
            raise InvalidInput(f"flow must be one of {', '.join(FLOWS)}, got {self.flow!r}")
        require_at_least(1, self, "flow_steps", "context_dim")
        if self.flow == "planar":
            for name in ("flow_width", "context_dim"):
                require_default(self, name, "flow=planar")
        elif self.flow_width < self.latent_dim:
            raise InvalidInput(f"flow_width must be at least latent_dim = {self.latent_dim}, got {self.flow_width}")

    def build(self) -> FlowVAE:
        """A model with fresh weights."""
        return FlowVAE(self)


class FlowVAE(VAE):
    r"""A posterior with correlations and more than one mode: a Gaussian draw sent through an invertible map.

    .. math:: z_0 \sim \mathcal{N}\bigl(\mu(x), \sigma^2(x)\bigr), \qquad z = f_K \circ \cdots \circ f_1(z_0; x), \qquad
              \log q(z \mid x) = \log q(z_0 \mid x) - \sum_k \log\Bigl|\det\frac{\partial f_k}{\partial z_{k-1}}\Bigr|

    The KL has no closed form and is estimated from the draw: it may be negative for a single image. Planar steps get
    all their parameters from the encoder, inverse autoregressive ones a context. Prior and decoder are those of
    :class:`~avae_lib.models.vae.VAE`.

    The density of a draw is the same whether the flow is followed forwards or inverted:

    >>> posterior = FlowVAEConfig(latent_dim=2).build().posterior(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
    >>> z, log_posterior = posterior.draw()
    >>> bool(torch.allclose(posterior.log_prob(z), log_posterior, atol=1e-3))
    True
    """

    def __init__(self, config: FlowVAEConfig) -> None:
        latent_dim = config.latent_dim
        is_planar = config.flow == "planar"
        for_flow = config.flow_steps * (2 * latent_dim + 1) if is_planar else config.context_dim
        super().__init__(config, encoder_outputs=2 * latent_dim + for_flow)
        self.steps = None if is_planar else AutoregressiveSteps(latent_dim, config)

    def posterior(self, x: UInt8[Tensor, "batch channels height width"]) -> FlowPosterior:
        """q(z | x), with elements ``(batch, latent_dim)``."""
        latent_dim = self.config.latent_dim
        encoded = at_least_float32(self.encoder(self._scaled(x)))
        mean, log_std, for_flow = encoded.split((latent_dim, latent_dim, encoded.shape[1] - 2 * latent_dim), dim=1)
        return FlowPosterior(DiagonalGaussian(mean, log_std), self._flow(for_flow))

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        require_temperature("posterior_temperature", posterior_temperature)
        z, log_posterior = self.posterior(x).draw(posterior_temperature, generator)
        return ELBO(self.log_likelihood(x, z), (log_posterior - self.log_prior(z)).unsqueeze(1))

    def _flow(self, numbers: Tensor) -> PlanarFlow | SteppedFlow:
        if self.steps is None:
            return PlanarFlow.of_numbers(numbers, self.config.latent_dim)
        return SteppedFlow(self.steps, context=numbers)

    def _propose(self, x: Tensor, keep_layers: int | None, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        require_layer_count(keep_layers)
        if keep_layers == 0:
            return super()._propose(x, keep_layers, generator)
        return self.posterior(x).draw(generator=generator)


class AutoregressiveSteps(nn.Module):
    """Gated inverse autoregressive steps, each with a masked network; every second one takes the latents in reverse.

    Args:
        latent_dim: number of latent variables.
        config: number of steps and widths of their networks.

    >>> config = FlowVAEConfig(flow="inverse_autoregressive", latent_dim=3, flow_width=8, context_dim=2)
    >>> steps = AutoregressiveSteps(3, config)
    >>> z, context = torch.randn(5, 3), torch.randn(5, 2)
    >>> stepped, log_determinant = steps.step(0, z, context)
    >>> bool(torch.allclose(steps.undo(0, stepped, context), z, atol=1e-4))
    True
    """

    def __init__(self, latent_dim: int, config: FlowVAEConfig) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            MaskedNetwork(latent_dim, config.flow_width, config.context_dim) for _ in range(config.flow_steps)
        )

    def step(self, index: int, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The latents after one step, in their own order, and the log-determinant of the step."""
        ordered = z.flip(1) if index % 2 else z
        shift, gate_logit = self.shift_and_gate_logit(index, ordered, context)
        take_step = inverse_autoregressive_step if is_available("inverse_autoregressive_step") else _affine_step
        stepped, log_determinant = take_step(ordered, shift, gate_logit)
        return (stepped.flip(1) if index % 2 else stepped), log_determinant

    def undo(self, index: int, z: Tensor, context: Tensor) -> Tensor:
        """The latents before a step, one variable after another: each pass settles at least one more."""
        ordered = z.flip(1) if index % 2 else z
        before = torch.zeros_like(ordered)
        for _ in range(z.shape[1]):
            shift, gate_logit = self.shift_and_gate_logit(index, before, context)
            before = shift + (ordered - shift) * (1 + torch.exp(-gate_logit))
        return before.flip(1) if index % 2 else before

    def shift_and_gate_logit(self, index: int, ordered: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """What the network of a step predicts for each variable from those before it."""
        shift, gate_logit = self.networks[index](ordered, context)
        return at_least_float32(shift), at_least_float32(gate_logit) + _INITIAL_GATE_LOGIT


@dataclass(frozen=True)
class SteppedFlow:
    """The flow of the images whose context the encoder has computed.

    >>> config = FlowVAEConfig(flow="inverse_autoregressive", latent_dim=3, flow_width=8, context_dim=2)
    >>> steps = AutoregressiveSteps(3, config)
    >>> flow, z = SteppedFlow(steps, context=torch.randn(5, 2)), torch.randn(5, 3)
    >>> bool(torch.allclose(flow.inverse(flow(z)[0]), z, atol=1e-4))
    True
    """

    steps: AutoregressiveSteps
    context: Float[Tensor, "batch context"]

    def __call__(
        self, z: Float[Tensor, "batch latent"]
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, "batch"]]:
        """The transformed latent and the log-determinant of all steps."""
        log_determinant = z.new_zeros(len(z))
        for index in range(len(self.steps.networks)):
            z, of_step = self.steps.step(index, z, self.context)
            log_determinant = log_determinant + of_step
        return z, log_determinant

    def inverse(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """The latent that the flow makes ``z`` of."""
        for index in reversed(range(len(self.steps.networks))):
            z = self.steps.undo(index, z, self.context)
        return z


def _affine_step(z: Tensor, shift: Tensor, gate_logit: Tensor) -> tuple[Tensor, Tensor]:
    """A step by torch's affine map, for training while :func:`inverse_autoregressive_step` is still to be written."""
    gate = torch.as_tensor(torch.distributions.SigmoidTransform()(gate_logit))
    affine = torch.distributions.AffineTransform(shift - gate * shift, gate, event_dim=1)
    stepped = torch.as_tensor(affine(z))
    return stepped, affine.log_abs_det_jacobian(z, stepped)
