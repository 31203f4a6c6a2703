"""Free bits in training, where the exercise is still to be written and where a student's function is in use."""

import pytest
import torch
from torch import nn

from avae_lib import components
from avae_lib.objectives import ELBO, free_bits
from avae_lib.training.training_config import KLWeightConfig, TrainingConfig
from avae_lib.training.weighted_loss import Loss

CONFIG = TrainingConfig(kl_weight=KLWeightConfig(free_bits=0.8, balancing=False))


@pytest.fixture
def kl():
    means = torch.tensor([0.1, 0.6, 0.9, 4.0])
    return (2 * means * torch.rand(6, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()


def loss_and_gradient(kl, config=CONFIG):
    loss = Loss(nn.Linear(1, 1), config)(ELBO(torch.zeros(len(kl)), kl), step=0)
    return loss.item(), torch.autograd.grad(loss, kl)[0]


def unwritten(kl, nats_per_layer):
    raise NotImplementedError("write free_bits in unit 04_richer_models")


def test_without_the_exercise_the_loss_and_its_gradient_are_the_same(kl):
    assert 0 < int((kl.mean(dim=0) < CONFIG.kl_weight.free_bits).sum()) < kl.shape[1]
    loss, gradient = loss_and_gradient(kl)
    with components.using("free_bits", unwritten):
        without_loss, without_gradient = loss_and_gradient(kl)
    assert without_loss == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(without_gradient, gradient)


def test_the_loss_calls_the_function_of_a_student(kl):
    def nothing(kl, nats_per_layer):
        seen.append(nats_per_layer)
        return 0 * kl

    seen = []
    with components.using("free_bits", nothing):
        assert loss_and_gradient(kl)[0] == 0.0
    assert seen == [CONFIG.kl_weight.free_bits]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_examples_above_and_below_the_threshold_share_the_fate_of_their_layer(dtype):
    kl = torch.tensor([[0.0, 0.0], [1.5, 3.0]], dtype=dtype)
    free = free_bits(kl, 1.0)
    assert free.tolist() == [[1.0, 0.0], [1.0, 3.0]] and free.dtype is dtype
