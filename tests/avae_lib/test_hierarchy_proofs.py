"""What theory says of hierarchies, checked exactly: proposition 1 of Child (2021), theorem 1 of Burda et al. (2016)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import annotation_checks
import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.hierarchy import Hierarchy, LatentDraw
from avae_lib.objectives import importance_weighted_bound

pytestmark = pytest.mark.usefixtures("without_annotation_checks")

PIXELS = 3
DOUBLE = {"dtype": torch.float64}


@pytest.fixture(scope="module", autouse=True)
def categorical_latents():
    """Distributions over finitely many values stand for Gaussians."""
    with annotation_checks.taken_off():
        yield


class Assembled(nn.Module):
    """A part of a hierarchy given by a function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


@dataclass(frozen=True)
class Categorical:
    """A batch of distributions over one latent with finitely many values, ``(batch, values)`` log-probabilities."""

    log_probs: torch.Tensor

    def sample(self, temperature: float = 1.0, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.multinomial(self.log_probs.exp(), 1, generator=generator)

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        return self.log_probs.gather(1, z).squeeze(1)

    def kl(self, other: Categorical) -> torch.Tensor:
        differences = torch.where(self.log_probs.isneginf(), 0.0, self.log_probs - other.log_probs)
        return (self.log_probs.exp() * differences).sum(dim=1)


class TablePrior(nn.Module):
    """p(x_l | x_<l): one row of log-probabilities for each value of all that comes before."""

    def __init__(self, index: int, levels: int) -> None:
        super().__init__()
        table = torch.randn(levels**index, levels, **DOUBLE).log_softmax(dim=1)
        self.register_buffer("table", table)
        self.register_buffer("place_values", levels ** torch.arange(index).flip(0))

    def forward(self, earlier: torch.Tensor) -> Categorical:
        return Categorical(self.table[(earlier * self.place_values).sum(dim=1)])


class CopyingLayer(nn.Module):
    """Hands down all latents so far, side by side; its posterior is certain of pixel l."""

    def __init__(self, prior: nn.Module, posterior: nn.Module) -> None:
        super().__init__()
        self.prior, self.posterior = prior, posterior

    def forward(self, earlier, evidence, draw):
        prior = self.prior(earlier)
        posterior = None if evidence is None else self.posterior(evidence[0])
        z = draw(prior if posterior is None else posterior)
        return torch.cat((earlier, z), dim=1), LatentDraw(z, prior, posterior)


class CopyingHead(nn.Module):
    """Pixels are the latents."""

    def log_likelihood(self, z, x):
        return torch.where((z == x.flatten(start_dim=1)).all(dim=1), 0.0, -math.inf).double()

    def mean(self, z):
        return z.reshape(-1, 1, 1, PIXELS).double()

    def sample(self, z, generator=None):
        return self.mean(z).to(torch.uint8)


def _copying_hierarchy(priors, posteriors, head: nn.Module, bits: int, empty: torch.Tensor) -> Hierarchy:
    """Layer l's latent stands for pixel l."""
    return Hierarchy(
        bottom_up=Assembled(lambda x, draws: x.flatten(start_dim=1).split(1, dim=1)),
        top=Assembled(lambda batch: empty.expand(batch, 0)),
        layers=[CopyingLayer(prior, posterior) for prior, posterior in zip(priors, posteriors, strict=True)],
        readout=nn.Identity(),
        head=head,
        image_shape=(1, 1, PIXELS),
        bits=bits,
    )


class TestAHierarchyIsAsGoodAsAnAutoregressiveModel:
    """Proposition 1 of Child (2021)."""

    @pytest.fixture(params=[2, 3, 4], ids=lambda levels: f"{levels} levels")
    def levels(self, request):
        return request.param

    @pytest.fixture
    def priors(self, levels):
        torch.manual_seed(0)
        return [TablePrior(index, levels) for index in range(PIXELS)]

    @pytest.fixture
    def hierarchy(self, priors, levels):
        certain = Assembled(lambda pixel: Categorical(one_hot(pixel[:, 0].long(), levels).double().log()))
        return _copying_hierarchy(priors, [certain] * PIXELS, CopyingHead(), 2, torch.zeros(1, 0, dtype=torch.long))

    @pytest.fixture
    def images(self, levels):
        return torch.tensor(list(itertools.product(range(levels), repeat=PIXELS)), dtype=torch.uint8)[:, None, None]

    @pytest.fixture
    def autoregressive_log_prob(self, priors, images, levels):
        """log p(x_1) + log p(x_2 | x_1) + log p(x_3 | x_1, x_2), read off the tables one by one."""
        sums = []
        for first, second, third in images.flatten(start_dim=1).tolist():
            rows = (0, first, first * levels + second)
            sums.append(
                sum(prior.table[row, x] for prior, row, x in zip(priors, rows, (first, second, third), strict=True))
            )
        return torch.stack(sums)

    def test_the_autoregressive_model_is_one(self, autoregressive_log_prob):
        assert autoregressive_log_prob.exp().sum().item() == pytest.approx(1)

    def test_with_categorical_latents_the_bound_is_its_likelihood(self, hierarchy, images, autoregressive_log_prob):
        torch.testing.assert_close(hierarchy(images).bound, autoregressive_log_prob, rtol=0, atol=1e-12)
        torch.testing.assert_close(hierarchy.log_weight(images), autoregressive_log_prob, rtol=0, atol=1e-12)

    def test_and_its_samples_are_those_of_the_autoregressive_model(self, hierarchy, images, autoregressive_log_prob):
        torch.manual_seed(0)
        samples = hierarchy.sample(20_000).flatten(start_dim=1)
        for image, log_prob in zip(images.flatten(start_dim=1), autoregressive_log_prob, strict=True):
            share, expected = (samples == image).all(dim=1).double().mean(), log_prob.exp()
            assert abs(share - expected) < 5 * (expected * (1 - expected) / len(samples)).sqrt()

    def test_each_layer_pays_for_its_own_pixel(self, hierarchy, images, priors):
        expected = -priors[0].table[0, images.flatten(start_dim=1)[:, 0].long()]
        torch.testing.assert_close(hierarchy(images).kl[:, 0], expected)


class PlacedGaussian(DiagonalGaussian):
    """A Gaussian whose draws are put where the test wants them."""

    def at(self, noise: torch.Tensor) -> PlacedGaussian:
        object.__setattr__(self, "noise", noise)
        return self

    def sample(self, noise=None, temperature=1.0, generator=None):
        return super().sample(self.noise, temperature)


class TestWithNarrowGaussiansTheGapIsQuadratic:
    r"""An autoregressive model of Gaussian conditionals, latents that copy its pixels up to noise of width s.

    p(z_l | z_<l) = N(m_l(z_<l), 1), q(z_l | x) = N(x_l, s²), p(x_l | z_l) = N(z_l, s²). All expectations are
    taken by Gauss–Hermite quadrature, so that nothing here is noisy.
    """

    NODES = 12

    def _expected_bound(self, width: float, image: torch.Tensor) -> float:
        nodes, weights = _gauss_hermite(self.NODES)
        model = self._hierarchy(width, nodes)
        return (weights * model(image.expand(len(nodes), 1, 1, PIXELS)).bound).sum().item()

    def _hierarchy(self, width: float, nodes: torch.Tensor) -> Hierarchy:
        priors = [Assembled(lambda z: DiagonalGaussian(_next_mean(z), torch.zeros(len(z), 1, **DOUBLE)))] * PIXELS
        posteriors = [
            Assembled(lambda pixel, noise=nodes[:, [index]]: _around(pixel, width).at(noise)) for index in range(PIXELS)
        ]
        return _copying_hierarchy(priors, posteriors, NarrowHead(width), 2, torch.zeros(1, 0, **DOUBLE))

    @staticmethod
    def _autoregressive_log_prob(image: torch.Tensor) -> float:
        x = image.double().reshape(1, PIXELS)
        means = torch.cat([_next_mean(x[:, :index]) for index in range(PIXELS)], dim=1)
        return torch.distributions.Normal(means, 1.0).log_prob(x).sum().item()

    @pytest.mark.parametrize("pixels", [(0, 1, 3), (2, 2, 0), (3, 0, 1)])
    def test_halving_the_width_quarters_the_gap(self, pixels):
        image = torch.tensor(pixels, dtype=torch.uint8).reshape(1, 1, 1, PIXELS)
        exact = self._autoregressive_log_prob(image)
        gaps = [exact - self._expected_bound(width, image) for width in (0.08, 0.04, 0.02, 0.01)]
        assert gaps[-1] > 0
        ratios = [wide / narrow for wide, narrow in itertools.pairwise(gaps)]
        assert ratios == pytest.approx([4, 4, 4], rel=0.05)
        assert gaps[-1] < 1e-3


class NarrowHead(nn.Module):
    """p(x_l | z_l) = N(z_l, width²)."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width = width

    def log_likelihood(self, z, x):
        return _around(z, self.width).log_prob(x.flatten(start_dim=1).double())


def _around(mean: torch.Tensor, width: float) -> PlacedGaussian:
    mean = mean.double()
    return PlacedGaussian(mean, torch.full_like(mean, math.log(width)))


def _next_mean(earlier: torch.Tensor) -> torch.Tensor:
    """A curved function of everything before."""
    coefficients = torch.arange(1, earlier.shape[1] + 1, **DOUBLE)
    return 1.5 + torch.sin((coefficients * earlier).sum(dim=1, keepdim=True))


def _gauss_hermite(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and weights for expectations under a standard normal in as many dimensions as there are pixels."""
    import numpy as np

    line, weight = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(count))
    grid = torch.cartesian_prod(*[line] * PIXELS)
    weights = torch.cartesian_prod(*[weight / weight.sum()] * PIXELS).prod(dim=1)
    return grid, weights


class TestMoreSamplesTightenTheBound:
    """Burda et al. (2016), theorem 1, with all draws enumerated: two latents of three values each."""

    VALUES = 3

    @pytest.fixture
    def log_weights_and_probabilities(self):
        """Of every pair of values, for one image: log p(x, z) / q(z | x), through ``log_weight``, and q(z | x)."""
        torch.manual_seed(0)
        log_q = torch.randn(PIXELS, self.VALUES, **DOUBLE).log_softmax(dim=1)
        values = torch.cartesian_prod(*[torch.arange(self.VALUES)] * PIXELS)
        posteriors = [
            Assembled(lambda pixel, at=layer: _Enumerated(log_q[[at]].expand(len(values), -1), values[:, [at]]))
            for layer in range(PIXELS)
        ]
        model = _copying_hierarchy(
            [TablePrior(index, self.VALUES) for index in range(PIXELS)],
            posteriors,
            _NoisyHead(self.VALUES),
            2,
            torch.zeros(1, 0, dtype=torch.long),
        )
        image = torch.tensor([0, 2, 1], dtype=torch.uint8).reshape(1, 1, 1, PIXELS)
        probabilities = sum(log_q[layer, values[:, layer]] for layer in range(PIXELS)).exp()
        return model.log_weight(image.expand(len(values), 1, 1, PIXELS)), probabilities

    def test_the_expected_bound_rises_with_every_sample_and_stays_below_the_evidence(
        self, log_weights_and_probabilities
    ):
        log_weights, probabilities = log_weights_and_probabilities
        log_evidence = (probabilities * log_weights.exp()).sum().log().item()
        bounds = [_expected_bound(log_weights, probabilities, samples) for samples in (1, 2, 3)]
        assert bounds[0] + 0.01 < bounds[1] and bounds[1] + 0.01 < bounds[2] < log_evidence


@dataclass(frozen=True)
class _Enumerated(Categorical):
    """A distribution whose draws are put where the test wants them."""

    values: torch.Tensor

    def sample(self, temperature=1.0, generator=None):
        return self.values


class _NoisyHead(nn.Module):
    """A pixel is its latent with probability 0.8, else any other level."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = values

    def log_likelihood(self, z, x):
        right, wrong = math.log(0.8), math.log(0.2 / (self.values - 1))
        return torch.where(z == x.flatten(start_dim=1), right, wrong).double().sum(dim=1)


def _expected_bound(log_weights: torch.Tensor, probabilities: torch.Tensor, samples: int) -> float:
    """E[log (w_1 + … + w_K) / K] over all K-tuples of draws."""
    log_tuples = torch.stack(torch.meshgrid(*[log_weights] * samples, indexing="ij")).flatten(start_dim=1)
    tuples = torch.stack(torch.meshgrid(*[probabilities] * samples, indexing="ij")).flatten(start_dim=1)
    return (tuples.prod(dim=0) * importance_weighted_bound(log_tuples)).sum().item()
