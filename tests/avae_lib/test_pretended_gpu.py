"""Training on a GPU without one: every update stays there, and what must be in float32 is, by CUDA's own lists."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch
from pretended_gpu import GPU, NoCopyFromTheHost, backward, on_gpu, pretending_a_gpu
from small_models import CONFIGS
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from avae_lib.data import ImageDataset
from avae_lib.models.contract import ModelWithStages, label_arguments
from avae_lib.presets import PRESETS
from avae_lib.presets.derivation import derive
from avae_lib.training.optimizers_and_schedules import optimizer_tensors
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import compute, next_batch, note


@pytest.fixture
def pretended_gpu():
    with pretending_a_gpu():
        yield


def make_update(state: TrainingState) -> None:
    if isinstance(state.model, ModelWithStages):
        state.model.begin_update(state.step)
    images, labels = next_batch(state)
    with NoCopyFromTheHost():
        outcome = compute(state, state.model, images, labels)
    note(state, outcome)


EMBEDDED = [name for name, preset in PRESETS.items() if preset.data.name in ("digits", "photos32", "sentences")]
LARGE = [name for name in EMBEDDED if "photos32" in name or "nvae" in name]
PUBLISHED = ["cifar10-vdvae", "cifar10-attentive-16", "cifar10-nvae-30"]
WITHOUT_NUMBERS = ImageDataset("cifar10", *torch.zeros(2, 8, 3, 32, 32, dtype=torch.uint8), bits=8)
NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name in [*LARGE, *PUBLISHED] else ())
    for name in [*EMBEDDED, *PUBLISHED]
]


@pytest.mark.parametrize("name", NAMES)
def test_an_update_in_bfloat16_stays_on_the_gpu(request, monkeypatch, name):
    preset = derive(PRESETS[name], training={"batch_size": 4, "device": "cpu", "precision": "bfloat16"})
    data = WITHOUT_NUMBERS if name in PUBLISHED else preset.data.load()
    values = data.observed.values_per_example(data.train)  # counts words on the host, once
    monkeypatch.setattr(type(data.observed), "values_per_example", lambda self, examples: values)
    model = preset.build_model()
    request.getfixturevalue("pretended_gpu")
    state = TrainingState(model, data, preset.training, GPU)
    for _ in range(2):
        make_update(state)
    tensors = [*state.model.parameters(), *state.averaged.parameters(), *optimizer_tensors(state.optimizer)]
    assert {tensor.device for tensor in tensors} == {GPU}
    assert state.step == 2


def types_of_results(model: nn.Module, x: Tensor) -> tuple[dict[str, list[torch.dtype]], set[torch.dtype]]:
    """Of each module's results under autocast, and of the terms of the bound."""
    types = defaultdict(list)
    for name, module in model.named_modules():
        module.register_forward_hook(
            lambda module, arguments, result, name=name: types[name].extend(
                tensor.dtype for tensor in tree_leaves(result) if isinstance(tensor, Tensor)
            )
        )
    labels = label_arguments(model, torch.zeros(len(x), dtype=torch.long, device=x.device))
    with torch.autocast(x.device.type, torch.bfloat16):
        elbo = model(x, **labels)
    for module in model.modules():
        module._forward_hooks.clear()
    return types, {term.dtype for term in (elbo.log_likelihood, elbo.kl, *elbo.penalties.values())}


@pytest.mark.parametrize("name", CONFIGS)
def test_only_attention_over_depth_leans_on_a_list_of_autocast(request, name):
    model = CONFIGS[name].build()
    x = torch.tensor([[4, 2], [5, 2]]).repeat(2, 1) if name == "text" else None
    x = torch.zeros(4, *model.image_shape, dtype=torch.uint8) if x is None else nn.functional.pad(x, (0, 4))
    with torch.backends.mkldnn.flags(enabled=name != "text"):
        on_cpu, _ = types_of_results(model, x)
    request.getfixturevalue("pretended_gpu")
    with_cuda_list, of_terms = types_of_results(on_gpu(model), x.to(GPU))
    different = [module for module in on_cpu if on_cpu[module] != with_cuda_list[module]]
    assert of_terms == {torch.float32}
    if name == "text":
        return  # its LSTM on a GPU is that of cuDNN, which is not here
    assert all("evidence_conditioning" in module for module in different)  # sums and softmax, on CUDA's list
    assert bool(different) == (name == "attentive")


def test_copies_from_the_host_and_mixed_devices_are_noticed(pretended_gpu):
    with NoCopyFromTheHost(), pytest.raises(AssertionError, match="copied from cpu to cuda:0"):
        torch.zeros(3).to(GPU)
    with pytest.raises(RuntimeError, match="cpu"):
        torch.zeros(3, device=GPU) + torch.zeros(3)


def test_backward_pass_in_python_reaches_what_the_engine_reaches():
    x, w, b = (torch.randn(3, 3, requires_grad=True) for _ in range(3))
    loss = (checkpoint(lambda y: (y @ w).tanh(), x, use_reentrant=False).split(1)[1] * b + x.bfloat16()).float().sum()
    expected = torch.autograd.grad(loss, (x, w, b), retain_graph=True)
    backward(loss)
    for tensor, gradient in zip((x, w, b), expected, strict=True):
        torch.testing.assert_close(tensor.grad, gradient)
