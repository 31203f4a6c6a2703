"""Activation checkpointing changes what is kept, and nothing else."""

import dataclasses

import pytest
import torch
from torch import nn

from avae_lib.data import ImageDataset
from avae_lib.errors import InvalidInput
from avae_lib.models.vae import VAEConfig
from avae_lib.presets import find_preset
from avae_lib.training.activation_checkpointing import activation_checkpointing, checkpointed_blocks
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, TrainingConfig

PRESETS = ("digits-vdvae", "digits-attentive", "digits-attentive-plain", "digits-local", "digits-nvae", "digits-ladder")
FURTHER = ("digits-plain", "digits-biva")


def loss_and_gradients(model, x):
    torch.manual_seed(7)
    model.zero_grad()
    loss = model(x).bound.mean()
    loss.backward()
    return loss.item(), [parameter.grad for parameter in model.parameters()]


def kept_for_backward(model, x):
    """Bytes of all tensors that autograd packs, each storage once."""
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(x)
    return sum(storages.values())


@pytest.mark.parametrize("preset", PRESETS + FURTHER)
def test_loss_gradients_and_running_statistics_stay_the_same_bit_for_bit(preset):
    torch.manual_seed(0)
    model = find_preset(preset).model.build().train()
    twin = find_preset(preset).model.build().train()
    twin.load_state_dict(model.state_dict())
    bits = model.bits
    x = torch.randint(2**bits, (6, *model.image_shape), dtype=torch.uint8)
    wanted_loss, wanted = loss_and_gradients(model, x)
    names = list(twin.state_dict())
    with activation_checkpointing(twin):
        loss, gradients = loss_and_gradients(twin, x)
        assert list(twin.state_dict()) == names
        assert kept_for_backward(twin, x) < kept_for_backward(model, x)
    assert loss == wanted_loss
    for gradient, expected in zip(gradients, wanted, strict=True):
        assert (gradient is None and expected is None) or torch.equal(gradient, expected)


@pytest.mark.parametrize("preset", ["digits-nvae", "digits-ladder"])
def test_statistics_of_a_batch_normalisation_move_once(preset):
    torch.manual_seed(0)
    model = find_preset(preset).model.build().train()
    twin = find_preset(preset).model.build().train()
    twin.load_state_dict(model.state_dict())
    x = torch.randint(2**model.bits, (6, *model.image_shape), dtype=torch.uint8)
    before = [buffer.clone() for buffer in model.buffers()]
    loss_and_gradients(model, x)
    with activation_checkpointing(twin):
        loss_and_gradients(twin, x)
    moved = [not torch.equal(now, then) for now, then in zip(model.buffers(), before, strict=True)]
    assert any(moved)
    for got, expected in zip(twin.buffers(), model.buffers(), strict=True):
        assert torch.equal(got, expected)


class MovingThreshold(nn.Module):
    """Adds a running mean of its input, which its forward pass moves."""

    running_statistics = ("mean",)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        y = self.weight * x + self.mean
        self.mean.lerp_(x.detach().mean(), 0.5)
        return (y * y).tanh()


class NamesItsBlocks(nn.Sequential):
    def checkpointed_blocks(self):
        return self


def test_a_block_is_computed_again_from_the_statistics_that_it_saw_first():
    x = torch.linspace(0.5, 2.0, 8)
    gradients = []
    for enabled in (False, True):
        model = NamesItsBlocks(MovingThreshold(), MovingThreshold())
        with activation_checkpointing(model, enabled):
            model(x).sum().backward()
        gradients.append([model[0].weight.grad, model[1].weight.grad, model[0].mean, model[1].mean])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_the_blocks_of_a_very_deep_vae_are_its_encoder_and_decoder_blocks():
    model = find_preset("digits-vdvae").model.build()
    blocks = checkpointed_blocks(model)
    assert set(model.layers) <= set(blocks) and set(model.bottom_up.blocks) <= set(blocks)


def test_models_without_blocks_are_refused():
    refused = pytest.raises(InvalidInput, match=r"activation_checkpointing must be false for VAE: only hierarchies")
    with refused, activation_checkpointing(VAEConfig().build()):
        pass


@pytest.fixture
def dataset():
    images = torch.randint(0, 16, (40, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("dots", train=images[:30], valid=images[30:], test=images[30:], bits=4)


def test_training_ends_with_the_same_weights_whole_resumed_and_as_usual(dataset, tmp_path):
    preset = find_preset("digits-nvae")
    logging = LoggingConfig(metrics_every=2, evaluate_every=4, checkpoint_every=2)
    schedule = LearningRateConfig(warmup_steps=2, schedule="constant")
    config = TrainingConfig(steps=4, batch_size=6, device="cpu", logging=logging, learning_rate=schedule)
    checkpointing = dataclasses.replace(config, activation_checkpointing=True)
    fit(preset.build_model(), dataset, config, tmp_path / "usual")
    model = preset.build_model()
    fit(model, dataset, checkpointing, tmp_path / "whole")
    assert "forward" not in vars(model.layers[0]), "nothing is left of it after training"
    fit(preset.build_model(), dataset, dataclasses.replace(checkpointing, steps=2), tmp_path / "parts")
    fit(preset.build_model(), dataset, checkpointing, tmp_path / "parts")
    usual, whole, parts = (Checkpoints(tmp_path / name).load()["model"] for name in ("usual", "whole", "parts"))
    for name, value in usual.items():
        assert torch.equal(whole[name], value) and torch.equal(parts[name], value)


@pytest.mark.slow
def test_compiled_training_gets_the_same_gradients():
    torch.manual_seed(0)
    model = find_preset("digits-vdvae").model.build().train()
    x = torch.randint(16, (4, 1, 8, 8), dtype=torch.uint8)
    _, wanted = loss_and_gradients(model, x)
    with activation_checkpointing(model):
        _, got = loss_and_gradients(torch.compile(model), x)
    for gradient, expected in zip(got, wanted, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-3)
