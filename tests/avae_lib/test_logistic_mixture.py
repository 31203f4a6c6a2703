"""Mixtures of discretised logistics, the exercises and their like with options: exactness, memory, samples."""

import itertools
import math
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext

import numpy as np
import pytest
import torch

from avae_lib import components
from avae_lib.components import using
from avae_lib.likelihoods import (
    UPPER_EDGE,
    discretized_logistic_mixture_log_likelihood,
    discretized_logistic_mixture_log_prob,
    discretized_logistic_mixture_mean,
    discretized_logistic_mixture_sample,
    draw_from_mixture,
    logistic_mixture_log_prob,
    logistic_mixture_sample,
    mixture_log_likelihood,
    scale_pixels,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def exact_pixel(params, levels, bits, lowest_log_scale=-7):
    """log P of one pixel with sixty digits, from plain lists: a loop over components and channels.

    σ(a) − σ(b) is taken as (e^−b − e^−a) / ((1 + e^−a)(1 + e^−b)), where nothing cancels.
    """
    channels, last = len(levels), 2**bits - 1
    mixtures = len(params) // (10 if channels == 3 else 3)
    kinds = 3 if channels == 3 else 2
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 60, MAX_EMAX, MIN_EMIN
        values = [Decimal(float(value)) for value in params]
        scaled = [Decimal(2 * level) / last - 1 for level in levels]
        highest = max(values[:mixtures])
        total = sum((value - highest).exp() for value in values[:mixtures])

        def number(channel, kind, k):
            return values[mixtures + (channel * kinds + kind) * mixtures + k]

        def coefficient(group, k):
            ratio = (-2 * number(group, 2, k)).exp()
            return (1 - ratio) / (1 + ratio)

        probability = Decimal(0)
        for k in range(mixtures):
            term = (values[k] - highest).exp() / total
            for channel in range(channels):
                mean = number(channel, 0, k)
                if channel == 1:
                    mean += coefficient(0, k) * scaled[0]
                if channel == 2:
                    mean += coefficient(1, k) * scaled[0] + coefficient(2, k) * scaled[1]
                scale = max(number(channel, 1, k), Decimal(lowest_log_scale)).exp()
                above = (-(scaled[channel] + Decimal(1) / last - mean) / scale).exp()
                below = (-(scaled[channel] - Decimal(1) / last - mean) / scale).exp()
                if levels[channel] == 0:
                    term *= 1 / (1 + above)
                elif levels[channel] == last:
                    term *= below / (1 + below)
                else:
                    term *= (below - above) / ((1 + above) * (1 + below))
            probability += term
        return float(probability.ln())


def columns(params, x):
    """The numbers and the levels of each pixel of a batch, as lists."""
    by_pixel = (tensor.movedim(1, -1).reshape(-1, tensor.shape[1]).tolist() for tensor in (params, x))
    return zip(*by_pixel, strict=True)


def trained_looking_parameters(x, mixtures, bits, seed=0):
    """Means near the pixels and scales of all sizes, down to less than a bin: where float32 loses most digits."""
    generator = torch.Generator().manual_seed(seed)
    batch, channels, height, width = x.shape
    shape = (batch, channels, mixtures, height, width)
    mean = scale_pixels(x, bits).unsqueeze(2) + 2**-bits * torch.randn(shape, generator=generator)
    log_scale = torch.empty(shape).uniform_(-8, 1, generator=generator)
    kinds = [mean, log_scale] + ([torch.randn(shape, generator=generator)] if channels == 3 else [])
    logits = 3 * torch.randn(batch, mixtures, height, width, generator=generator)
    return torch.cat([logits, torch.stack(kinds, dim=2).flatten(1, 3)], dim=1)


def extreme_parameters(x, mixtures):
    """Every number at one end or the other of what a network that has gone wrong puts out."""
    kinds = [1e4, 50.0] + ([1e4] if x.shape[1] == 3 else [])
    size = torch.tensor(kinds)[:, None, None, None].expand(-1, mixtures, *x.shape[2:])
    of_channels = torch.cat([size.flatten(0, 1)] * x.shape[1])
    numbers = torch.cat([torch.full((mixtures, *x.shape[2:]), 1e4), of_channels]).expand(len(x), -1, -1, -1)
    return numbers * torch.where(torch.rand(numbers.shape) < 0.5, -1.0, 1.0)


def random_levels(count, channels, bits, size=1):
    return torch.randint(2**bits, (count, channels, size, size), dtype=torch.uint8)


def test_exercise_and_plain_code_give_the_same_values_gradients_and_draws():
    x, params = random_levels(4, 3, 8, size=3), (2 * torch.randn(4, 50, 3, 3)).requires_grad_()
    values = [discretized_logistic_mixture_log_prob(x, params, 8), logistic_mixture_log_prob(x, params, 8)]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), params)[0] for value in values), atol=1e-5, rtol=1e-5)
    ways = (draw_from_mixture, logistic_mixture_sample)
    draws = [draw(params.detach(), 3, 8, torch.Generator().manual_seed(1)) for draw in ways]
    assert torch.equal(*draws)


def test_a_students_functions_run_in_colour_mixtures_and_no_others():
    calls = []

    def ours(x, params, bits):
        calls.append("density")
        return params.sum(dim=(1, 2, 3))

    def drawn(params, component_uniforms, level_uniforms, bits):
        calls.append("draw")
        assert component_uniforms.shape == (2, 4, 1, 1) and 0 < component_uniforms.min() < component_uniforms.max() < 1
        return torch.zeros_like(level_uniforms, dtype=torch.uint8)

    with using("discretized_logistic_mixture_log_prob", ours), using("discretized_logistic_mixture_sample", drawn):
        for channels, edge in ((3, UPPER_EDGE), (3, 0.99), (1, UPPER_EDGE)):
            params = torch.zeros(2, 40 if channels == 3 else 12, 1, 1)
            mixture_log_likelihood(random_levels(2, channels, 8), params, 8, edge)
        draw_from_mixture(torch.zeros(2, 40, 1, 1), 3, 8)
        draw_from_mixture(torch.zeros(2, 12, 1, 1), 1, 8)
    assert calls == ["density", "draw"]


def stub(*args):
    raise NotImplementedError


def test_models_do_without_exercises_that_are_still_to_be_written(monkeypatch):
    x, params = random_levels(2, 3, 8), torch.randn(2, 20, 1, 1)
    wanted = mixture_log_likelihood(x, params, 8), draw_from_mixture(params, 3, 8, torch.Generator().manual_seed(0))
    logits, mean, log_scale = torch.randn(3, 2, 5, 3, 1, 1)
    wanted += (discretized_logistic_mixture_log_likelihood(logits, mean, log_scale, x, 8),)
    for entry in components.listing("04_richer_models"):
        monkeypatch.setattr(entry, "current", stub)
        monkeypatch.setattr(entry, "is_written", False)
    got = mixture_log_likelihood(x, params, 8), draw_from_mixture(params, 3, 8, torch.Generator().manual_seed(0))
    got += (discretized_logistic_mixture_log_likelihood(logits, mean, log_scale, x, 8),)
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [1, 5, 8])
@pytest.mark.parametrize("size", ["trained", "random", "extreme"])
def test_float32_agrees_with_sixty_digits(channels, bits, size):
    x = random_levels(40, channels, bits)
    params = trained_looking_parameters(x, 3, bits)
    if size == "random":
        params = 3 * torch.randn(params.shape)
    if size == "extreme":
        params = extreme_parameters(x, 3)
    exact = np.array([exact_pixel(numbers, levels, bits) for numbers, levels in columns(params, x)]) / channels
    ours = mixture_log_likelihood(x, params, bits).numpy().astype(float) / channels
    assert (np.abs(ours - exact) <= 1e-6 * np.maximum(1, np.abs(exact))).all()


def test_nats_of_an_image_are_the_sum_over_its_pixels():
    x = random_levels(2, 3, 8, size=2)
    params = torch.randn(2, 20, 2, 2)
    exact = [exact_pixel(numbers, levels, 8) for numbers, levels in columns(params, x)]
    wanted = [math.fsum(exact[:4]), math.fsum(exact[4:])]
    assert discretized_logistic_mixture_log_prob(x, params, 8).tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 3])
@pytest.mark.parametrize("size", [0.3, 3.0])
def test_probabilities_of_all_colours_sum_to_one(bits, size):
    colours = torch.tensor(list(itertools.product(range(2**bits), repeat=3)), dtype=torch.uint8)[:, :, None, None]
    params = (size * torch.randn(1, 40, 1, 1)).expand(len(colours), -1, -1, -1)
    log_prob = discretized_logistic_mixture_log_prob(colours, params, bits)
    assert log_prob.dtype == torch.float32
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("log_scale", [-50.0, -6.0, -3.0, 0.0, 50.0])
def test_probabilities_of_all_levels_of_a_channel_sum_to_one_given_the_others(channel, log_scale):
    params = torch.zeros(256, 1 + 9, 1, 1)
    mean, log_scales, raw = params[:, 1:].unflatten(1, (3, 3)).unbind(dim=2)
    mean[:], raw[:], log_scales[:, channel] = -1e4, 0.7, log_scale  # the others are certain to be black
    mean[:, channel] = 0.3
    x = torch.zeros(256, 3, 1, 1, dtype=torch.uint8)
    x[:, channel, 0, 0] = torch.arange(256)
    assert discretized_logistic_mixture_log_prob(x, params, 8).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_probabilities_of_all_grey_levels_sum_to_one(bits):
    levels = torch.arange(2**bits).to(torch.uint8).reshape(-1, 1, 1, 1)
    params = (2 * torch.randn(1, 15, 1, 1)).expand(len(levels), -1, -1, -1)
    assert logistic_mixture_log_prob(levels, params, bits).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recompute", [True, False])
def test_values_and_gradients_are_finite_at_extreme_parameters(channels, recompute):
    x = random_levels(200, channels, 8)
    x[:100] = x[:100] % 2 * 255  # half of them at the edges
    params = extreme_parameters(x, 4).requires_grad_()
    log_prob = logistic_mixture_log_prob(x, params, recompute=recompute)
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and (log_prob <= 0).all()
    assert params.grad.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_pass_finite_differences(channels):
    x = random_levels(2, channels, 3, size=2)
    params = torch.randn(2, 20 if channels == 3 else 6, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: mixture_log_likelihood(x, p, 3), params)


def saved_bytes(function):
    """What ``function`` keeps for its backward pass, each piece of memory counted once."""
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return sum(size for size, _ in kept.values())


def test_recomputing_keeps_little_more_than_the_parameters_and_changes_nothing():
    x, results, kept = random_levels(8, 3, 8, size=32), [], []
    params = torch.randn(8, 100, 32, 32, requires_grad=True)
    for recompute in (True, False):
        kept.append(saved_bytes(lambda r=recompute: logistic_mixture_log_prob(x, params, recompute=r)))
        log_prob = logistic_mixture_log_prob(x, params, recompute=recompute)
        results.append((log_prob, *torch.autograd.grad(log_prob.sum(), params)))
    for recomputed, plain in zip(*results, strict=True):
        torch.testing.assert_close(recomputed, plain)
    bytes_of_parameters = params.numel() * params.element_size()
    assert kept[0] < 1.3 * bytes_of_parameters and kept[1] > 5 * bytes_of_parameters
    assert saved_bytes(lambda: discretized_logistic_mixture_log_prob(x, params, 8)) <= kept[0]


def check_compiled(backend):
    compiled = torch.compile(mixture_log_likelihood, fullgraph=True, backend=backend)
    x, params = random_levels(2, 3, 8, size=4), torch.randn(2, 30, 4, 4, requires_grad=True)
    results = [(f(x, params, 8), f) for f in (compiled, mixture_log_likelihood)]
    (value, gradient), wanted = ((v, *torch.autograd.grad(v.sum(), params)) for v, _ in results)
    torch.testing.assert_close((value, gradient), wanted)


@pytest.mark.usefixtures("without_annotation_checks")
def test_one_graph_without_breaks_under_compile():
    check_compiled("aot_eager")


@pytest.mark.slow
@pytest.mark.usefixtures("without_annotation_checks")
def test_compiled_kernels_give_the_same():
    check_compiled("inductor")


def drawn_pixel(params, component_uniforms, level_uniforms, bits):
    """The levels of one pixel, from plain lists: Gumbel-max, then the inverse distribution function of each colour."""
    mixtures, last = len(params) // 10, 2**bits - 1
    sums = [params[k] - math.log(-math.log(component_uniforms[k])) for k in range(mixtures)]
    k = sums.index(max(sums))
    means, log_scales, raw = ([params[mixtures * (1 + 3 * c + kind) + k] for c in range(3)] for kind in range(3))
    levels, scaled = [], []
    for colour, u in enumerate(level_uniforms):
        mean = means[colour]
        if colour == 1:
            mean += math.tanh(raw[0]) * scaled[0]
        if colour == 2:
            mean += math.tanh(raw[1]) * scaled[0] + math.tanh(raw[2]) * scaled[1]
        value = mean + math.exp(max(log_scales[colour], -7)) * math.log(u / (1 - u))
        levels.append(min(max(round((value + 1) * last / 2), 0), last))
        scaled.append(2 * levels[-1] / last - 1)
    return levels


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_draws_are_those_of_a_loop_over_pixels(bits):
    params = torch.randn(3, 40, 4, 5, dtype=torch.float64)
    params[:, 4:].unflatten(1, (3, 3, 4))[:, :, 1] -= 3  # some below −7
    uniforms = torch.rand(3, 4, 4, 5, dtype=torch.float64), torch.rand(3, 3, 4, 5, dtype=torch.float64)
    draws = discretized_logistic_mixture_sample(params, *uniforms, bits)
    rows = [tensor.movedim(1, -1).reshape(-1, tensor.shape[1]).tolist() for tensor in (params, *uniforms)]
    loop = [drawn_pixel(*pixel, bits) for pixel in zip(*rows, strict=True)]
    assert draws.dtype == torch.uint8
    assert draws.movedim(1, -1).reshape(-1, 3).tolist() == loop


def test_colours_are_drawn_as_often_as_they_are_probable():
    params = 1.5 * torch.randn(1, 20, 1, 1, generator=torch.Generator().manual_seed(1))
    colours = torch.tensor(list(itertools.product(range(2), repeat=3)), dtype=torch.uint8)[:, :, None, None]
    probable = discretized_logistic_mixture_log_prob(colours, params.expand(8, -1, -1, -1), bits=1).exp()
    draws = draw_from_mixture(params.expand(40_000, -1, -1, -1), 3, 1, torch.Generator().manual_seed(0))
    codes = draws[:, :, 0, 0].int() @ torch.tensor([4, 2, 1], dtype=torch.int32)
    assert draws.dtype == torch.uint8
    torch.testing.assert_close(torch.bincount(codes, minlength=8) / 40_000, probable, atol=0.01, rtol=0)


def test_grey_levels_are_drawn_as_often_as_they_are_probable():
    params = torch.tensor([0.5, -0.5, -0.6, 0.4, -2.0, -1.0]).reshape(1, 6, 1, 1)
    levels = torch.arange(8, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    probable = logistic_mixture_log_prob(levels, params.expand(8, -1, -1, -1), bits=3).exp()
    draws = logistic_mixture_sample(params.expand(40_000, -1, -1, -1), 1, 3).flatten().long()
    torch.testing.assert_close(torch.bincount(draws, minlength=8) / 40_000, probable, atol=0.01, rtol=0)


def test_mean_is_that_of_many_draws_where_nothing_is_clipped():
    params = 0.3 * torch.randn(1, 20, 1, 1, generator=torch.Generator().manual_seed(2))
    params[:, 2:].unflatten(1, (3, 3, 2))[:, :, 1] = -4.0
    draws = draw_from_mixture(params.expand(20_000, -1, -1, -1), 3, 8).double().mean(dim=0)
    mean = discretized_logistic_mixture_mean(params, 3)
    torch.testing.assert_close(mean[0].double(), draws, atol=0.8, rtol=0)


@pytest.mark.parametrize("mean", [-1e4, 0.0, 1e4])
def test_mean_and_draws_stay_on_the_scale_of_the_pixels(mean):
    params = torch.full((3, 20, 2, 2), mean)
    for values in (discretized_logistic_mixture_mean(params, 3), draw_from_mixture(params, 3, 8)):
        assert values.shape == (3, 3, 2, 2) and values.min() >= 0 and values.max() <= 255


def test_the_published_edge_counts_level_254_twice():
    params = torch.tensor([0.0, 0.99, -3.0]).reshape(1, 3, 1, 1).expand(256, -1, -1, -1)
    x = torch.arange(256).to(torch.uint8).reshape(-1, 1, 1, 1)
    exact = logistic_mixture_log_prob(x, params).exp()
    published = logistic_mixture_log_prob(x, params, upper_edge=0.99).exp()
    assert published[254].item() == pytest.approx((exact[254] + exact[255]).item(), rel=1e-5)
    assert published.sum().item() == pytest.approx(1.47, abs=0.005)  # as computed from the published code
    published[254] = exact[254]
    assert torch.equal(published, exact)


def test_half_precision_parameters_give_float32_and_double_ones_double():
    x, params = random_levels(2, 3, 8), torch.randn(2, 10, 1, 1)
    for given, wanted in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        assert logistic_mixture_log_prob(x, params.to(given)).dtype == wanted
    assert discretized_logistic_mixture_log_prob(x, params.double(), 8).dtype == torch.float64


@pytest.mark.parametrize(
    ("x", "params", "bits", "error", "complaint"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 10, 4, 4), 8, TypeError, "x must be uint8"),
        (random_levels(2, 3, 8)[0], torch.zeros(2, 10, 1, 1), 8, ValueError, "x must be images"),
        (random_levels(2, 2, 8), torch.zeros(2, 10, 1, 1), 8, ValueError, "channels must be 1 .* or 3"),
        (random_levels(2, 3, 8), torch.zeros(2, 12, 1, 1), 8, ValueError, r"params must be \(batch, 10·mixtures"),
        (random_levels(2, 1, 8), torch.zeros(2, 10, 1, 1), 8, ValueError, r"params must be \(batch, 3·mixtures"),
        (random_levels(2, 3, 8), torch.zeros(2, 10, 1, 2), 8, ValueError, r"got \(2, 10, 1, 2\)"),
        (random_levels(2, 3, 8), torch.zeros(3, 10, 1, 1), 8, ValueError, r"got \(3, 10, 1, 1\)"),
        (random_levels(2, 3, 8), torch.zeros(2, 10, 1, 1, dtype=torch.int), 8, TypeError, "params must be floating"),
        (random_levels(2, 3, 8), torch.zeros(2, 10, 1, 1), 9, ValueError, "bits must be 1 to 8"),
        (torch.full((2, 3, 1, 1), 7, dtype=torch.uint8), torch.zeros(2, 10, 1, 1), 2, ValueError, "levels 0 … 3 .*7"),
    ],
)
def test_wrong_arguments_say_what_is_wanted(x, params, bits, error, complaint):
    with pytest.raises(error, match=complaint):
        mixture_log_likelihood(x, params, bits)
