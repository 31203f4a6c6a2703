"""The spectral penalty of whole models."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from avae_lib.nn.convolutions import WeightNormConvolution
from avae_lib.training.weighted_loss import SpectralPenalty


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Conv2d(3, 4, 3),
        parametrizations.weight_norm(nn.Conv2d(4, 6, 1)),
        WeightNormConvolution(2, 5, 3),
        nn.Sequential(nn.Linear(7, 2)),
    )


def sum_of_largest_singular_values(model):
    layers = (model[0], model[2], model[3], model[4], model[5][0])
    matrices = [layer.weight.detach().flatten(1).numpy() for layer in layers]
    return sum(np.linalg.svd(matrix, compute_uv=False)[0] for matrix in matrices)


def test_penalty_approaches_the_sum_of_the_largest_singular_values_of_all_layers(model):
    penalty = SpectralPenalty(model, seed=0)
    for _ in range(200):
        value = penalty().item()
    assert value == pytest.approx(sum_of_largest_singular_values(model), rel=1e-4)


def test_descending_the_penalty_lowers_it(model):
    penalty = SpectralPenalty(model, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    before = sum_of_largest_singular_values(model)
    for _ in range(30):
        optimizer.zero_grad()
        penalty().backward()
        optimizer.step()
    assert sum_of_largest_singular_values(model) < before - 1


def test_a_penalty_continues_from_its_state(model):
    first, second = SpectralPenalty(model, seed=0), SpectralPenalty(model, seed=1)
    first()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(), second())


def test_the_state_of_another_model_is_refused(model):
    with pytest.raises(ValueError, match="weights of other shapes"):
        SpectralPenalty(model, seed=0).load_state_dict(SpectralPenalty(nn.Linear(2, 2), seed=0).state_dict())


def test_a_model_without_matrices_is_refused():
    with pytest.raises(ValueError, match=r"training\.penalties\.spectral must be 0"):
        SpectralPenalty(nn.BatchNorm1d(3), seed=0)
