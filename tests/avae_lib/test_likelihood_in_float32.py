"""The likelihood as GPUs compute it, in float32: as accurate as promised, with the digits that a subtraction loses.

A CPU computes it here, with the rule that decides replaced.
"""

from fractions import Fraction

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from avae_lib import components
from avae_lib.components import using
from avae_lib.likelihoods import (
    discretized_logistic,
    discretized_logistic_log_likelihood,
    logistic_bin_log_prob,
    logistic_mixture,
    logistic_mixture_log_prob,
    mixture_log_likelihood,
    scale_pixels,
)
from avae_lib.likelihoods.discretized_logistic import computes_in_float32, half_bins_from_mean

PROMISED = 1e-4
"""Nats, or a fraction of the nats where these are more than one."""


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch):
    torch.manual_seed(0)
    for module in (discretized_logistic, logistic_mixture):
        monkeypatch.setattr(module, "computes_in_float32", lambda x: x.dtype == torch.float32)


def narrow_logistics_near_their_levels(channels=3, mixtures=4, count=2000, bits=8):
    """Where float32 loses most digits: components less than three bins wide whose means are within two bins."""
    x = torch.randint(2**bits, (count, channels, 1, 1), dtype=torch.uint8)
    shape = (count, channels, mixtures, 1, 1)
    log_scale, raw = torch.empty(shape).uniform_(-8, -4), torch.randn(shape)
    mean = scale_pixels(x, bits).unsqueeze(2) + torch.empty(shape).uniform_(-2, 2) / 2 ** (bits - 1)
    kinds = [mean, log_scale]
    if channels == 3:
        red, green, _ = scale_pixels(x, bits).unsqueeze(2).unbind(1)
        mean[:, 1] -= torch.tanh(raw[:, 0]) * red
        mean[:, 2] -= torch.tanh(raw[:, 1]) * red + torch.tanh(raw[:, 2]) * green
        kinds.append(raw)
    logits = 3 * torch.randn(count, mixtures, 1, 1)
    return x, torch.cat([logits, torch.stack(kinds, dim=2).flatten(1, 3)], dim=1)


def value_and_gradient(x, params, bits=8):
    params = params.detach().requires_grad_()
    value = mixture_log_likelihood(x, params, bits)
    return value.detach().double(), torch.autograd.grad(value.sum(), params)[0].double()


def test_float32_is_for_float32_parameters_on_other_devices_than_a_cpu():
    assert not computes_in_float32(torch.zeros(1)) and not computes_in_float32(torch.zeros(1, dtype=torch.float64))
    assert not computes_in_float32(torch.zeros(1, device="meta"))  # memory is planned as a CPU computes


@given(st.integers(1, 8), st.integers(0, 255), st.floats(-1, 1), st.booleans())
def test_distance_from_the_mean_keeps_all_digits_however_near_it_is(bits, level, offset, is_near):
    level, last = level % 2**bits, 2**bits - 1
    mean = torch.tensor(2 * level / last - 1 + offset / last if is_near else 2 * offset)
    exact = 2 * level - last - last * Fraction(mean.item())
    got = half_bins_from_mean(torch.tensor(level), mean, bits)
    assert abs(Fraction(got.item()) - exact) <= Fraction(1, 2**22) * abs(exact) + Fraction(1, 2**24)


@given(st.integers(1, 8), st.integers(0, 255), st.floats(-2, 2, width=32), st.floats(-7, 7, width=32))
@example(8, 254, -2.0, -7.0)
@example(8, 255, -2.0, -7.0)
@example(8, 0, 2.0, -7.0)
def test_one_logistic_is_as_accurate_as_the_exercise_promises(bits, x, mean, log_scale):
    x, parameters = torch.tensor(x % 2**bits), [torch.tensor(v, requires_grad=True) for v in (mean, log_scale)]
    exact = logistic_bin_log_prob(x, parameters[0].double(), parameters[1].double(), bits)
    result = logistic_bin_log_prob(x, parameters[0], parameters[1], bits)
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx(exact.item(), rel=PROMISED / 20, abs=PROMISED / 20)
    gradients, exact_gradients = (torch.autograd.grad(value, parameters) for value in (result, exact))
    for gradient, wanted in zip(gradients, exact_gradients, strict=True):
        assert gradient.item() == pytest.approx(wanted.item(), rel=PROMISED, abs=PROMISED)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_mixtures_near_their_levels_keep_the_digits_of_values_and_gradients(channels, bits):
    x, params = narrow_logistics_near_their_levels(channels, bits=bits)
    exact, exact_gradient = value_and_gradient(x, params.double(), bits)
    value, gradient = value_and_gradient(x, params, bits)
    assert ((value - exact).abs() <= PROMISED / 2 * exact.abs().clamp(min=channels)).all()
    largest = exact_gradient.abs().amax(dim=1, keepdim=True)
    assert ((gradient - exact_gradient).abs() <= PROMISED * largest.clamp(min=1)).all()


def test_rounding_the_distance_would_break_the_promise(monkeypatch):
    def rounded(x, mean, bits, shares=()):
        shift = sum(share * scale_pixels(levels, bits) for share, levels in shares)
        return (2**bits - 1) * (scale_pixels(x, bits) - (mean + shift))

    x, params = narrow_logistics_near_their_levels(channels=1)
    _, exact_gradient = value_and_gradient(x, params.double())
    errors = [(value_and_gradient(x, params)[1] - exact_gradient).abs().max().item()]
    monkeypatch.setattr(logistic_mixture, "half_bins_from_mean", rounded)
    errors.append((value_and_gradient(x, params)[1] - exact_gradient).abs().max().item())
    assert errors[1] > 20 * errors[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_values_and_gradients_are_finite_and_right_at_extreme_parameters(channels):
    x = torch.randint(256, (200, channels, 1, 1), dtype=torch.uint8)
    x[:100] = x[:100] % 2 * 255  # half of them at the edges
    kinds = [1e4, 50.0] + ([1e4] if channels == 3 else [])
    numbers = torch.tensor([1e4] * 2 + [size for size in kinds for _ in range(2)] * channels)[:, None, None]
    params = numbers * torch.where(torch.rand(200, *numbers.shape) < 0.5, -1.0, 1.0)
    exact, _ = value_and_gradient(x, params.double())
    value, gradient = value_and_gradient(x, params)
    torch.testing.assert_close(value, exact, rtol=1e-6, atol=1e-5)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("log_scale", [-20.0, -7.0, -3.0, 0.0, 50.0, 300.0])
@pytest.mark.parametrize("mean", [-1e6, -1.0, 0.3])
def test_probabilities_of_all_levels_sum_to_one(mean, log_scale):
    log_prob = logistic_bin_log_prob(torch.arange(256), torch.tensor(mean), torch.tensor(log_scale), bits=8)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_pixels_that_are_independent_are_computed_in_float32_too():
    x, mean, log_scale = torch.randint(256, (40, 30)), torch.randn(40, 30), torch.randn(40, 30) - 4
    exact = discretized_logistic_log_likelihood(mean.double(), log_scale.double(), x, 8)
    with using("discretized_logistic_log_prob", components.find("discretized_logistic_log_prob").reference):
        result = discretized_logistic_log_likelihood(mean, log_scale, x, 8)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["discretized_logistic_mixture_log_prob", "discretized_logistic_log_prob"])
def test_a_students_function_is_used_and_the_librarys_float64_is_not(name, monkeypatch):
    x, params = torch.zeros(2, 3, 1, 1, dtype=torch.uint8), torch.randn(2, 20, 1, 1)
    entry, calls = components.find("discretized_logistic_mixture_log_prob"), []
    original = entry.reference
    monkeypatch.setattr(entry, "reference", lambda x, params, bits: calls.append(1) or original(x, params, bits))
    monkeypatch.setattr(entry, "current", entry.reference)
    mixture_log_likelihood(x, params, 8)
    assert not calls
    replaced = components.find(name)
    reference, uses = replaced.reference, []

    def own(*arguments):
        uses.append(1)
        return reference(*arguments)

    monkeypatch.setattr(replaced, "current", own)
    mixture_log_likelihood(x, params, 8)
    assert uses


@pytest.mark.usefixtures("without_annotation_checks")
def test_one_graph_without_breaks_under_compile():
    x, params = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8), torch.randn(2, 30, 4, 4, requires_grad=True)
    for function in (mixture_log_likelihood, logistic_mixture_log_prob):
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        value, wanted = compiled(x, params, 8), function(x, params, 8)
        torch.testing.assert_close(value, wanted)
        gradients = [torch.autograd.grad(result.sum(), params)[0] for result in (value, wanted)]
        torch.testing.assert_close(*gradients)
