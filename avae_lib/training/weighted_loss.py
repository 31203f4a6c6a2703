"""The loss that an update descends: the bound with a weighted KL, and penalties on the model and its weights."""

from __future__ import annotations

from collections import defaultdict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.components import is_available
from avae_lib.errors import InvalidInput
from avae_lib.evaluation import measuring
from avae_lib.models.contract import label_arguments
from avae_lib.nn.convolutions import WeightNormConvolution
from avae_lib.objectives import ELBO, balanced_kl, free_bits, negative_elbo, spectral_norms, sum_of_squares
from avae_lib.observations import AnyModel, observed_by
from avae_lib.training.optimizers_and_schedules import kl_weight_at, penalty_weight_at
from avae_lib.training.training_config import TrainingConfig

__all__ = ["Loss", "SpectralPenalty"]


class Loss:
    """The scalar that an update descends, in nats per image, from the terms of the bound of a batch.

    Minus the log-likelihood, plus the KL (with free bits and balancing, if asked for) times its weight at this step,
    plus the model's own penalties and those on its weights.

    Args:
        model: the model whose weights are penalised.
        config: the terms and their weights.

    With a KL weight that has risen to one half, 7 nats of KL count as 3.5:

    >>> from avae_lib.training.training_config import KLWeightConfig
    >>> loss = Loss(nn.Linear(1, 1), TrainingConfig(kl_weight=KLWeightConfig(warmup_steps=4)))
    >>> loss(ELBO(log_likelihood=torch.tensor([-10.0]), kl=torch.tensor([[4.0, 3.0]])), step=1)
    tensor(13.5000)
    """

    def __init__(self, model: AnyModel, config: TrainingConfig) -> None:
        self._config = config
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._spectral = SpectralPenalty(model, config.seed) if config.penalties.spectral > 0 else None
        self._units = _units_per_layer(model) if config.kl_weight.balancing else None

    def __call__(self, elbo: ELBO, step: int) -> Float[Tensor, ""]:
        """The loss of the update after ``step`` finished ones."""
        return self.of_images(elbo, step) + self.of_weights()

    def of_images(self, elbo: ELBO, step: int) -> Float[Tensor, ""]:
        """The loss without the penalties on weights."""
        bound = negative_elbo(elbo.log_likelihood, self._counted_kl(elbo.kl, step), kl_weight_at(step, self._config))
        of_model = sum(penalty.mean() for penalty in elbo.penalties.values())
        return bound + penalty_weight_at(step, self._config) * of_model

    def of_weights(self) -> Float[Tensor, ""] | float:
        """The penalties on weights; 0.0 without any."""
        penalty = 0.0
        if self._config.penalties.l2 > 0:
            penalty = penalty + self._config.penalties.l2 * sum_of_squares(self._parameters)
        if self._spectral is not None:
            penalty = penalty + self._config.penalties.spectral * self._spectral()
        return penalty

    def is_mean_over_images(self, step: int) -> bool:
        """Whether the loss of a batch is the mean of the losses of its images.

        It is not with free bits and with balancing, which depend on the mean KL of the batch.
        """
        return self._config.kl_weight.free_bits == 0 and not self._balances(step)

    def state_dict(self) -> dict[str, Tensor]:
        """The vectors of the power iteration behind the spectral penalty; empty without that penalty."""
        return {} if self._spectral is None else self._spectral.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from the loss that gave ``state``."""
        if self._spectral is not None:
            self._spectral.load_state_dict(state)

    def _counted_kl(self, kl: Tensor, step: int) -> Tensor:
        if self._config.kl_weight.free_bits > 0:
            with_free_bits = free_bits if is_available("free_bits") else _at_least_on_average
            kl = with_free_bits(kl, self._config.kl_weight.free_bits)
        return balanced_kl(kl, self._units) if self._units is not None and self._balances(step) else kl

    def _balances(self, step: int) -> bool:
        return self._units is not None and step + 1 < self._config.kl_weight.warmup_steps


def _at_least_on_average(kl: Tensor, nats_per_layer: float) -> Tensor:
    """The same loss and gradient as with :func:`free_bits`, for training while that function is still to be written.

    The KL of single examples is lost: each gets the mean over the batch.
    """
    return kl.mean(dim=0, keepdim=True).clamp(min=nats_per_layer).expand_as(kl)


def _units_per_layer(model: AnyModel) -> Tensor:
    device = next(model.parameters()).device
    blank = observed_by(model).blank(1, device)
    classes = label_arguments(model, torch.zeros(1, dtype=torch.int64, device=device))
    with measuring(model):
        sizes = [float(posterior.mean[0].numel()) for posterior in model.latents(blank, **classes)]
    return torch.tensor(sizes, device=device)


_FIRST_ITERATIONS = 10
_MatrixLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | WeightNormConvolution


class SpectralPenalty:
    r"""Sum of :math:`\sigma_{\max}(W)` over all linear maps and convolutions (Yoshida & Miyato, 2017).

    A convolution counts as the matrix (first dimension of its weight × all others). Weights under a parametrization,
    such as weight normalisation, count as the layer uses them. Matrices of equal shape are computed together. Each call
    makes one step of power iteration, starting from the vectors of the call before.

    Args:
        model: the model whose weights are measured; they must exist already and keep their shapes.
        seed: seed for the initial vectors of the iteration.

    Raises:
        InvalidInput: the model has no such weights.

    >>> model = nn.Linear(2, 2)
    >>> model.weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    >>> SpectralPenalty(model, seed=0)().item()
    3.0
    """

    def __init__(self, model: AnyModel, seed: int) -> None:
        self._layers: dict[str, list[_MatrixLayer]] = defaultdict(list)
        for layer in model.modules():
            if isinstance(layer, _MatrixLayer):
                self._layers["×".join(map(str, _matrix(layer).shape))].append(layer)
        if not self._layers:
            raise InvalidInput("training.penalties.spectral must be 0 for a model without linear maps and convolutions")
        noise = torch.Generator().manual_seed(seed)
        self._vectors = {shape: self._first_vectors(shape, noise) for shape in self._layers}

    def __call__(self) -> Float[Tensor, ""]:
        """The penalty at the present weights."""
        return sum(self._norms(shape).sum() for shape in self._layers)  # pyright: ignore[reportReturnType]  not empty

    def state_dict(self) -> dict[str, Tensor]:
        """The vectors, by the shape of their matrices."""
        return dict(self._vectors)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from the vectors in ``state``.

        Raises:
            InvalidInput: the state belongs to a model with other weights.
        """
        if {shape: len(vectors) for shape, vectors in state.items()} != {
            shape: len(layers) for shape, layers in self._layers.items()
        }:
            raise InvalidInput("the state of the spectral penalty is of a model with weights of other shapes")
        for shape, vectors in self._vectors.items():
            vectors.copy_(state[shape])

    def _norms(self, shape: str, iterations: int = 1) -> Tensor:
        weights = torch.stack([_matrix(layer) for layer in self._layers[shape]])
        norms, vectors = spectral_norms(weights, self._vectors[shape], iterations)
        self._vectors[shape].copy_(vectors)
        return norms

    @torch.no_grad()
    def _first_vectors(self, shape: str, noise: torch.Generator) -> Tensor:
        weights = torch.stack([_matrix(layer) for layer in self._layers[shape]])
        start = torch.randn(weights.shape[:2], generator=noise).to(weights)
        return spectral_norms(weights, start, _FIRST_ITERATIONS)[1]


def _matrix(layer: _MatrixLayer) -> Tensor:
    return layer.weight.flatten(1)
