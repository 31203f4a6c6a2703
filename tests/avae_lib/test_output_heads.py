import itertools

import pytest
import torch

from avae_lib.nn.output_heads import output_head


@pytest.fixture(params=["bernoulli", "logistic", "mixture"])
def head_and_levels(request):
    torch.manual_seed(0)
    if request.param == "bernoulli":
        return output_head("bernoulli", features=5, channels=1, bits=1), 2
    mixtures = 1 if request.param == "logistic" else 3
    return output_head("discretized_logistic", features=5, channels=1, bits=2, mixtures=mixtures), 4


def test_probabilities_of_all_images_sum_to_one(head_and_levels):
    head, levels = head_and_levels
    x = torch.tensor(list(itertools.product(range(levels), repeat=2)), dtype=torch.uint8).reshape(-1, 1, 1, 2)
    features = torch.randn(1, 5, 1, 2).expand(len(x), 5, 1, 2)
    assert head.log_likelihood(features, x).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_samples_have_the_frequencies_that_the_likelihood_gives(head_and_levels):
    head, levels = head_and_levels
    features = 2 * torch.randn(1, 5, 1, 1)
    draws = head.sample(features.expand(60_000, 5, 1, 1), torch.Generator().manual_seed(0)).flatten()
    x = torch.arange(levels, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    probabilities = head.log_likelihood(features.expand(levels, 5, 1, 1), x).exp()
    assert torch.allclose(torch.bincount(draws.long(), minlength=levels) / 60_000, probabilities, atol=0.01)


@pytest.mark.parametrize("size", [1e-6, 1e4])
def test_gradients_are_finite_for_features_of_any_size(head_and_levels, size):
    head, levels = head_and_levels
    features = (size * torch.randn(8, 5, 3, 3)).requires_grad_()
    head.log_likelihood(features, torch.randint(levels, (8, 1, 3, 3), dtype=torch.uint8)).sum().backward()
    assert features.grad.isfinite().all()


def test_mean_lies_on_the_scale_of_the_pixels(head_and_levels):
    head, levels = head_and_levels
    mean = head.mean(100 * torch.randn(8, 5, 3, 3))
    assert mean.shape == (8, 1, 3, 3) and mean.min() >= 0 and mean.max() <= levels - 1


def test_components_of_a_mixture_start_apart():
    head = output_head("discretized_logistic", features=4, channels=1, bits=4, mixtures=5)
    _, mean, _ = head._mixture(torch.zeros(1, 4, 1, 1))
    assert mean.flatten().diff().min() > 0.2


@pytest.mark.parametrize(
    ("head", "bits"), [(output_head("bernoulli", 4, 1, 1), 1), (output_head("discretized_logistic", 4, 1, 4, 2), 4)]
)
def test_likelihood_is_float32_under_autocast(head, bits):
    x = torch.randint(0, 2**bits, (2, 1, 3, 3), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        assert head.log_likelihood(torch.randn(2, 4, 3, 3), x).dtype == torch.float32
