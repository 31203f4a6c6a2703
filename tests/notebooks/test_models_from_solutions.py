"""The models that the course is named for, made of the functions in the solutions' own cells."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
import torch

from avae_lib import components
from avae_lib.objectives import negative_elbo
from avae_lib.presets import PRESETS

ATTENTIVE = replace(
    PRESETS["photos32-attentive-plain"].model, cell_key_channels=4
)  # with non-local blocks in its cells
CONFIGS = {
    "attentive": ATTENTIVE,
    "small attentive": PRESETS["digits-attentive-plain"].model,
    "VDVAE": PRESETS["photos32-vdvae"].model,
    "small VDVAE": PRESETS["digits-vdvae"].model,
    "Ladder VAE": PRESETS["digits-ladder"].model,
    "NVAE": PRESETS["digits-nvae"].model,
    "VQ-VAE": PRESETS["photos32-vq-vae"].model,
    "autoregressive posterior": PRESETS["digits-iaf"].model,
    "InfoVAE": PRESETS["digits-info-vae"].model,
}
MIXTURE = {"discretized_logistic_mixture_log_prob", "discretized_logistic_mixture_sample"}
CALLED_BY = {
    "attentive": {"nonlocal_attention", "attentive_context", "variational_layer_step", *MIXTURE},
    "small attentive": {"attentive_context", "variational_layer_step"},
    "VDVAE": {"unpool_nearest", "bottleneck_block", "top_down_step", *MIXTURE},
    "small VDVAE": {"unpool_nearest", "bottleneck_block", "top_down_step"},
    "Ladder VAE": {"precision_weighted", "gaussian_kl_per_layer"},
    "NVAE": {"residual_gaussian", "gaussian_kl_per_layer"},
    "VQ-VAE": {"vector_quantize", *MIXTURE},
    "autoregressive posterior": {"inverse_autoregressive_step"},
    "InfoVAE": {"maximum_mean_discrepancy"},
}
"""Components that each model calls. Whether attentive_context calls depthwise_attention, or the mixture
discretized_logistic_log_prob, is its author's choice."""


@pytest.fixture(scope="module")
def solved(course, answer_cells) -> dict[str, Callable]:
    """Every function of the solutions, by name, made by running its cell as it stands."""
    functions = {}
    for unit in course.units:
        for name, code in answer_cells(unit.name).items():
            functions[name] = _function_of(name, code)
    return functions


def _function_of(name: str, code: str) -> Callable:
    names = {"torch": torch, "implements": lambda _: lambda function: function, "__name__": "solution"}
    exec(compile(code, f"<cell {name}>", "exec"), names)
    return names[name]


@contextmanager
def in_use(functions: dict[str, Callable]) -> Iterator[set[str]]:
    """The library calls these functions meanwhile; gives the names of those that were called."""
    called: set[str] = set()

    def noting(name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def noted(*args, **kwargs):
            called.add(name)
            return function(*args, **kwargs)

        return noted

    with ExitStack() as stack:
        for name, function in functions.items():
            stack.enter_context(components.using(name, noting(name, function)))
        yield called


def built(name: str, weights: dict[str, torch.Tensor] | None = None) -> torch.nn.Module:
    """A model with given weights, else with random ones: gates that are zero at first would hide much."""
    torch.manual_seed(0)
    model = CONFIGS[name].build().eval()
    if weights is not None:
        model.load_state_dict(weights)
        return model
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.03 * torch.randn_like(weight))
    return model


def outputs(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What a model computes from fixed images and noise, and the gradient of its loss."""
    torch.manual_seed(1)
    x = torch.randint(2**model.bits, (2, *model.image_shape), dtype=torch.uint8)
    elbo = model(x)
    (negative_elbo(elbo.log_likelihood, elbo.kl) + sum(map(torch.mean, elbo.penalties.values()))).backward()
    gradient = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
    with torch.no_grad():
        log_weight, samples = model.log_weight(x), model.sample(2)
    return {
        "log_likelihood": elbo.log_likelihood.detach(),
        "kl": elbo.kl.detach(),
        "gradient": gradient,
        "log_weight": log_weight,
        "samples": samples.float(),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_made_of_the_solutions_cells_gives_the_outputs_of_the_library(name, solved):
    model = built(name)
    wanted = outputs(model)
    with in_use(solved) as called:
        got = outputs(built(name, model.state_dict()))
    assert called >= CALLED_BY[name] & solved.keys()  # an assignment may still be missing
    for key, value in got.items():
        torch.testing.assert_close(value, wanted[key], rtol=1e-4, atol=1e-4 * wanted[key].abs().max().item())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_outputs_depend_on_every_function_that_must_be_called(name):
    """Otherwise the comparison above would prove nothing about it."""
    model = built(name)
    wanted = outputs(model)
    for component in CALLED_BY[name]:
        with components.using(component, _disturbed(components.implementation(component))):
            got = outputs(built(name, model.state_dict()))
        assert any(not torch.allclose(got[key], wanted[key], rtol=1e-3) for key in wanted), component


def _disturbed(function: Callable) -> Callable:
    @functools.wraps(function)
    def disturbed(*args, **kwargs):
        return _twisted(function(*args, **kwargs))

    return disturbed


def _twisted(result):
    if isinstance(result, tuple):
        return tuple(map(_twisted, result))
    if not isinstance(result, torch.Tensor) or result.dtype == torch.int64:  # a kept object, or an index
        return result
    return 1.01 * result + 0.01 if result.is_floating_point() else result.bitwise_xor(1)
