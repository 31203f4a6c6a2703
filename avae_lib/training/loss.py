"""The loss of an update: the bound, as the configuration weighs it, and the penalties it asks for."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.components import is_available
from avae_lib.evaluation import measuring
from avae_lib.models.contract import label_arguments
from avae_lib.objectives import ELBO, balanced_kl, free_bits, negative_elbo, sum_of_squares
from avae_lib.observations import observed_by
from avae_lib.training.schedules import beta_at, penalty_weight_at
from avae_lib.training.spectral_penalty import SpectralPenalty
from avae_lib.training.training_config import TrainingConfig

__all__ = ["Loss"]


class Loss:
    """From the terms of a batch's bound to the scalar that an update descends, in nats per image.

    Args:
        model: whose weights are penalised.
        config: which terms there are, and their weights.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self._config = config
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._spectral = SpectralPenalty(model, config.seed) if config.spectral_penalty > 0 else None
        self._units = _units_per_layer(model) if config.kl_balancing else None

    def __call__(self, elbo: ELBO, step: int) -> Float[Tensor, ""]:
        """The loss of the update after ``step`` finished ones."""
        bound = negative_elbo(elbo.log_likelihood, self._weighed_kl(elbo.kl, step), beta_at(step, self._config))
        of_model = sum(penalty.mean() for penalty in elbo.penalties.values())
        return bound + penalty_weight_at(step, self._config) * of_model + self._weight_penalties()

    def state_dict(self) -> dict[str, Tensor]:
        """What the penalties remember between updates."""
        return {} if self._spectral is None else self._spectral.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue where the loss that gave ``state`` stood."""
        if self._spectral is not None:
            self._spectral.load_state_dict(state)

    def _weighed_kl(self, kl: Tensor, step: int) -> Tensor:
        if self._config.free_bits > 0:
            with_free_bits = free_bits if is_available("free_bits") else _at_least_on_average
            kl = with_free_bits(kl, self._config.free_bits)
        is_warming_up = step + 1 < self._config.beta_warmup_steps
        return balanced_kl(kl, self._units) if self._config.kl_balancing and is_warming_up else kl

    def _weight_penalties(self) -> Tensor | float:
        penalty = 0.0
        if self._config.l2_penalty > 0:
            penalty = penalty + self._config.l2_penalty * sum_of_squares(self._parameters)
        if self._spectral is not None:
            penalty = penalty + self._config.spectral_penalty * self._spectral()
        return penalty


def _at_least_on_average(kl: Tensor, nats_per_layer: float) -> Tensor:
    """Gives the loss the value and gradient of :func:`free_bits`, for training while that is still to be written.

    The KL of single examples is lost: each gets the mean of the batch.
    """
    return kl.mean(dim=0, keepdim=True).clamp(min=nats_per_layer).expand_as(kl)


def _units_per_layer(model: nn.Module) -> Tensor:
    device = next(model.parameters()).device
    blank = observed_by(model).blank(1, device)
    classes = label_arguments(model, torch.zeros(1, dtype=torch.int64, device=device))
    with measuring(model):
        sizes = [float(posterior.mean[0].numel()) for posterior in model.latents(blank, **classes)]
    return torch.tensor(sizes, device=device)
