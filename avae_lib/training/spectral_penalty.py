"""The sum of the largest singular values of a model's weights, with what its estimate remembers between updates."""

from __future__ import annotations

from collections import defaultdict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.weight_norm_convolution import WeightNormConvolution
from avae_lib.objectives import spectral_norms

__all__ = ["SpectralPenalty"]

_FIRST_ITERATIONS = 10
_CARRIES_MATRIX = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, WeightNormConvolution)


class SpectralPenalty:
    r"""Sum of :math:`\sigma_{\max}(W)` over all linear maps and convolutions (Yoshida & Miyato, 2017).

    A convolution counts as the matrix (first dimension of its weight × all others). Weights under a parametrization,
    such as weight normalisation, count as the layer uses them. Matrices of one shape are worked on together. Each call
    makes one step of power iteration from where the last one stopped.

    Args:
        model: whose weights are measured; they must exist by now and keep their shapes.
        seed: of the vectors that the iteration starts from.

    Raises:
        ValueError: the model has no such weights.
    """

    def __init__(self, model: nn.Module, seed: int) -> None:
        self._layers: dict[str, list[nn.Module]] = defaultdict(list)
        for layer in model.modules():
            if isinstance(layer, _CARRIES_MATRIX):
                self._layers["×".join(map(str, _matrix(layer).shape))].append(layer)
        if not self._layers:
            raise ValueError("training.spectral_penalty must be 0 for a model without linear maps and convolutions")
        noise = torch.Generator().manual_seed(seed)
        self._vectors = {shape: self._first_vectors(shape, noise) for shape in self._layers}

    def __call__(self) -> Float[Tensor, ""]:
        """The penalty at the present weights."""
        return sum(self._norms(shape).sum() for shape in self._layers)

    def state_dict(self) -> dict[str, Tensor]:
        """The vectors, by the shape of their matrices."""
        return dict(self._vectors)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue where the penalty that gave ``state`` stood.

        Raises:
            ValueError: the state is of a model with other weights.
        """
        if {shape: len(vectors) for shape, vectors in state.items()} != {
            shape: len(layers) for shape, layers in self._layers.items()
        }:
            raise ValueError("the state of the spectral penalty is of a model with weights of other shapes")
        self._vectors = {shape: state[shape].to(vectors.device) for shape, vectors in self._vectors.items()}

    def _norms(self, shape: str, iterations: int = 1) -> Tensor:
        weights = torch.stack([_matrix(layer) for layer in self._layers[shape]])
        norms, self._vectors[shape] = spectral_norms(weights, self._vectors[shape], iterations)
        return norms

    @torch.no_grad()
    def _first_vectors(self, shape: str, noise: torch.Generator) -> Tensor:
        weights = torch.stack([_matrix(layer) for layer in self._layers[shape]])
        start = torch.randn(weights.shape[:2], generator=noise).to(weights)
        return spectral_norms(weights, start, _FIRST_ITERATIONS)[1]


def _matrix(layer: nn.Module) -> Tensor:
    return layer.weight.flatten(1)
