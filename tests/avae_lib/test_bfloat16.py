"""Networks in bfloat16 give the loss, the gradient and the KL of each layer that float32 gives, within stated bounds.

The same weights, images and noise in both, on the CPU and on a GPU where there is one. A family without a
configuration here makes a test fail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from small_models import CONFIGS, VDVAE
from torch import nn
from torch.nn.functional import cosine_similarity

from avae_lib.data import ImageDataset, load, recorded_model
from avae_lib.models.contract import label_arguments
from avae_lib.models.families import FAMILIES
from avae_lib.nn.contexts import ChannelNorm
from avae_lib.presets import PRESETS
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LoggingConfig, TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

EMBEDDED = [name for name, preset in PRESETS.items() if preset.data.name in ("digits", "photos32", "sentences")]


@dataclass(frozen=True)
class Bounds:
    """How far bfloat16 may be from float32."""

    loss: float = 2e-3
    """Nats per dimension. A weight or feature is rounded by up to 1/512; over a batch most of it averages out."""
    kl: float = 0.03
    """Of each layer, as a fraction of its nats plus 0.1. Priors and posteriors both see rounded features."""
    gradient_norm: float = 0.03
    """As a fraction of the norm."""
    cosine: float = 0.995
    """Least cosine of the angle between the gradients: 0.995 is an error of a tenth of their length."""


BOUNDS = {
    # Where a vector lies between two codes, rounding may choose the other one.
    "vq-vae": Bounds(loss=1e-2, cosine=0.98),
    "vq-vae-2": Bounds(loss=1e-2, cosine=0.98),
}


@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request) -> torch.device:
    return torch.device(request.param)


def loss_and_terms(model: nn.Module, x: torch.Tensor, labels: dict, low: bool):
    """Loss in nats, log-likelihood and KL of each layer (means), gradient, and the types of all terms."""
    torch.manual_seed(5)
    model.zero_grad()
    # PyTorch's own LSTM: oneDNN has none in half precision on some processors.
    with torch.backends.mkldnn.flags(enabled=not hasattr(model, "to_outcomes")):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            elbo = model(x, **labels)
        loss = (elbo.kl.sum(dim=1) - elbo.log_likelihood).mean()
        loss = loss + sum(penalty.mean() for penalty in elbo.penalties.values())
        loss.backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    types = {term.dtype for term in (elbo.log_likelihood, elbo.kl, *elbo.penalties.values())}
    return loss.item(), elbo.kl.detach().mean(dim=0), torch.cat(gradients), types


def require_close(model: nn.Module, x: torch.Tensor, labels: dict, bounds: Bounds) -> None:
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    loss, kl, gradient, _ = loss_and_terms(model, x, labels, low=False)
    model.load_state_dict(state)  # running statistics as they were
    low_loss, low_kl, low_gradient, types = loss_and_terms(model, x, labels, low=True)
    assert types == {torch.float32}
    assert abs(low_loss - loss) <= bounds.loss * x[0].numel()
    assert ((low_kl - kl).abs() <= bounds.kl * (kl.abs() + 0.1)).all()
    assert (low_gradient.norm() / gradient.norm()).item() == pytest.approx(1, abs=bounds.gradient_norm)
    assert cosine_similarity(low_gradient, gradient, dim=0).item() >= bounds.cosine


def test_every_family_is_covered():
    assert {type(config).__name__ for config in CONFIGS.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", CONFIGS)
def test_loss_gradient_and_kl_of_each_layer_are_those_of_float32(name, device):
    torch.manual_seed(0)
    model = CONFIGS[name].build().train()
    with torch.no_grad():
        for parameter in model.parameters():  # away from the zeros that gates start at
            parameter.add_(0.05 * torch.randn_like(parameter))
    if name == "text":
        x = torch.tensor([[4, 7, 5, 2, 0, 0], [8, 4, 4, 6, 4, 2], [2, 0, 0, 0, 0, 0], [5, 2, 0, 0, 0, 0]])
    else:
        x = torch.randint(2**model.bits, (16, *model.image_shape), dtype=torch.uint8)
    labels = label_arguments(model, torch.randint(3, (len(x),), device=device))
    require_close(model.to(device), x.to(device), labels, BOUNDS.get(name, Bounds()))


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
def test_presets_after_three_updates_are_as_close(name, device):
    preset = PRESETS[name]
    training = replace(preset.training, batch_size=16, device=device.type, precision="float32")
    torch.manual_seed(0)
    state = TrainingState(preset.build_model(), preset.data.load(), training, device)
    for _ in range(3):
        update(state, state.model)
    x = state.sampler.draw()
    bounds = Bounds(loss=1e-2, kl=0.1, gradient_norm=0.05, cosine=0.98)  # deeper, with few images in a batch
    require_close(state.model, x, label_arguments(state.model, state.sampler.last_labels), bounds)


@pytest.mark.parametrize("name", ["attentive-photos32", "hierarchy-photos32"])
def test_trained_models_of_photographs_are_as_close(name, device):
    model, images = recorded_model(name).train().to(device), load("photos32").test[:8].to(device)
    require_close(model, images, {}, Bounds(loss=4e-3, kl=0.05))


@pytest.mark.parametrize("name", ["vae", "vdvae", "attentive"])
def test_training_in_bfloat16_follows_the_curve_of_float32(name, device):
    config = replace(CONFIGS[name], image_shape=(1, 8, 8), bits=4)
    curves = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        training = TrainingConfig(batch_size=32, device=device.type, precision=precision)
        state = TrainingState(config.build(), load("digits"), training, device)
        curves.append([])
        for _ in range(3):
            for _ in range(10):
                update(state, state.model)
            curves[-1].append(state.means.take()["loss"])
    assert curves[0][2] < curves[0][0]
    assert curves[1] == pytest.approx(curves[0], rel=0.01)


def test_validation_is_in_float32_where_training_is_in_bfloat16(tmp_path, device):
    seen = set()

    def note(module, arguments):
        if not arguments[0].is_meta:
            seen.add((module.training, torch.is_autocast_enabled(device.type)))

    model = CONFIGS["vae"].build()
    model.register_forward_pre_hook(note)
    digits = load("digits")
    assert isinstance(digits, ImageDataset)
    data = ImageDataset("few", digits.train[:64], digits.test[:8], digits.bits, valid=digits.train[64:96])
    logging = LoggingConfig(metrics_every=1, evaluate_every=1)
    training = TrainingConfig(steps=2, batch_size=16, device=device.type, precision="bfloat16", logging=logging)
    fit(model, data, training, tmp_path, progress_bar=False)
    assert seen == {(True, True), (False, False)}


def test_layer_normalisation_is_computed_in_float32_and_returns_the_type_it_got(device):
    norm, x = ChannelNorm(64).to(device), (100 + torch.randn(2, 64, 3, 3, device=device)).bfloat16()
    with torch.autocast(device.type, torch.bfloat16):
        result = norm(x)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result, norm(x.float()).bfloat16(), rtol=0, atol=0)


def test_decoder_of_a_very_deep_vae_adds_to_a_stream_in_float32(device):
    types = set()
    model = VDVAE.build().to(device)
    for block in model.layers:
        block.register_forward_hook(lambda module, arguments, result: types.add(result[0].features[8].dtype))
    model.layers[0]._forward_hooks.clear()
    with torch.autocast(device.type, torch.bfloat16):
        model(torch.zeros(2, 3, 8, 8, dtype=torch.uint8, device=device))
    assert types == {torch.float32}
