import contextlib
import dataclasses
import itertools
import json
import math
import types

import numpy as np
import pytest
import torch
from torch import nn

from avae_lib import components
from avae_lib.components import using
from avae_lib.evaluation import (
    Estimate,
    Evaluation,
    bits_per_dim,
    evaluate,
    image_log_likelihoods,
    importance_sampled,
    measuring,
    terms_of_bound,
    unit_activity,
)
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import ELBO


class LinearGaussian(nn.Module):
    """x = w z + b + noise with z ~ N(0, 1): log p(x) is known. Pixels are taken as real numbers."""

    num_layers, image_shape, bits, num_dims = 1, (1, 1, 2), 4, 2

    def __init__(self, posterior_std_factor: float = 1.0) -> None:
        super().__init__()
        self.loading = nn.Parameter(torch.tensor([1.5, -0.5], dtype=torch.float64))
        self.shift = nn.Parameter(torch.tensor([4.0, 6.0], dtype=torch.float64))
        self.noise_std, self.posterior_std_factor = 2.0, posterior_std_factor
        self.rows_seen: list[int] = []

    def exact_log_likelihood(self, x):
        covariance = torch.outer(self.loading, self.loading) + self.noise_std**2 * torch.eye(2, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(self.shift, covariance).log_prob(x.flatten(1).double())

    def latents(self, x):
        precision = 1 + self.loading.square().sum() / self.noise_std**2
        mean = (x.flatten(1).double() - self.shift) @ self.loading / self.noise_std**2 / precision
        log_std = (-0.5 * precision.log() + math.log(self.posterior_std_factor)).expand_as(mean)
        return (DiagonalGaussian(mean[:, None], log_std[:, None]),)

    def _log_likelihood(self, x, z):
        return torch.distributions.Normal(self.shift + z * self.loading, self.noise_std).log_prob(x.flatten(1)).sum(1)

    def forward(self, x, posterior_temperature=1.0):
        (posterior,) = self.latents(x)
        z = posterior.sample(temperature=posterior_temperature)
        return ELBO(self._log_likelihood(x, z), posterior.kl(DiagonalGaussian.standard_like(z))[:, None])

    def log_weight(self, x):
        self.rows_seen.append(len(x))
        (posterior,) = self.latents(x)
        z = posterior.sample()
        prior = DiagonalGaussian.standard_like(z)
        return self._log_likelihood(x, z) + prior.log_prob(z) - posterior.log_prob(z)


class Coin(nn.Module):
    """One binary latent, drawn from a fixed q: the expected weight is a sum over two states."""

    num_layers, image_shape, bits, num_dims = 1, (1, 1, 1), 1, 1
    prior, posterior, likelihood_of_one = (0.3, 0.7), (0.5, 0.5), (0.2, 0.9)

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def weight(self, x, state):
        likelihood = self.likelihood_of_one[state] if x else 1 - self.likelihood_of_one[state]
        return likelihood * self.prior[state] / self.posterior[state]

    def log_weight(self, x):
        states = torch.bernoulli(torch.full((len(x),), self.posterior[1])).int()
        pairs = zip(x.flatten().tolist(), states.tolist(), strict=True)
        return torch.tensor([math.log(self.weight(*pair)) for pair in pairs], dtype=torch.float64)


class FixedWeights(nn.Module):
    """Hands out log weights from a table, draw by draw, so that chunks can be compared with the whole."""

    def __init__(self, log_weights) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        self.log_weights = log_weights  # (samples, examples)
        self.drawn = torch.zeros(log_weights.shape[1], dtype=torch.long)

    def log_weight(self, x):
        examples = x.flatten().long()
        values = []
        for example in examples.tolist():
            values.append(self.log_weights[self.drawn[example], example])
            self.drawn[example] += 1
        return torch.stack(values)


@pytest.fixture
def pictures():
    return torch.randint(0, 16, (23, 1, 1, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_bits_per_dim_of_a_uniform_code_is_its_number_of_bits():
    nats = 64 * math.log(16)  # 64 pixels of 4 bits each, all values equally likely
    assert bits_per_dim(nats, 64) == pytest.approx(4.0)
    assert bits_per_dim(torch.tensor([math.log(2), 0.0]), 1).tolist() == pytest.approx([1.0, 0.0])


def test_bits_per_dim_of_no_dimensions_is_refused():
    with pytest.raises(ValueError, match="num_dims"):
        bits_per_dim(1.0, 0)


def test_standard_error_agrees_with_numpy():
    values = np.random.default_rng(0).gamma(2.0, 3.0, 37)
    estimate = Estimate.over(torch.tensor(values))
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(37))


def test_standard_error_of_one_example_is_unknown_rather_than_zero():
    assert math.isnan(Estimate.over(torch.tensor([3.0])).standard_error)


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 20, 1000])
def test_streamed_likelihood_equals_all_weights_at_once(rows):
    log_weights = 300 * torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1)
    streamed = image_log_likelihoods(FixedWeights(log_weights), images, samples=50, rows=rows)
    at_once = [float(np.logaddexp.reduce(column) - math.log(50)) for column in log_weights.T.numpy()]
    assert streamed.tolist() == pytest.approx(at_once, rel=1e-12)


def test_exact_posterior_as_proposal_gives_log_likelihood_with_one_sample(pictures):
    model = LinearGaussian()
    estimate = image_log_likelihoods(model, pictures, samples=1)
    torch.testing.assert_close(estimate, model.exact_log_likelihood(pictures).detach(), rtol=1e-9, atol=1e-9)


def test_wide_proposal_converges_to_log_likelihood_from_below(pictures):
    model = LinearGaussian(posterior_std_factor=1.6)
    torch.manual_seed(0)
    exact = model.exact_log_likelihood(pictures).detach()
    gaps = [(exact - image_log_likelihoods(model, pictures, k)).mean().item() for k in (1, 10, 2000)]
    assert gaps[0] > gaps[1] > abs(gaps[2])
    assert abs(gaps[2]) < 0.01


def test_estimate_for_an_enumerable_model_averages_all_equally_likely_draws():
    model, image = Coin(), torch.ones(1, 1, 1, 1, dtype=torch.uint8)
    weights = [model.weight(1, state) for state in (0, 1)]
    pairs = [math.log((a + b) / 2) for a, b in itertools.product(weights, repeat=2)]
    torch.manual_seed(0)
    drawn = [image_log_likelihoods(model, image, samples=2).item() for _ in range(1500)]
    assert set(np.round(drawn, 9)) == set(np.round(pairs, 9))
    assert np.mean(drawn) == pytest.approx(np.mean(pairs), abs=5 * np.std(pairs) / math.sqrt(1500))
    many = image_log_likelihoods(model, image, samples=40_000).item()
    assert many == pytest.approx(math.log(0.3 * 0.2 + 0.7 * 0.9), abs=0.01)


@pytest.mark.parametrize("rows", [5, 23, 60])
def test_no_more_rows_than_asked_go_through_the_model(pictures, rows):
    model = LinearGaussian()
    image_log_likelihoods(model, pictures, samples=11, rows=rows)
    assert max(model.rows_seen) <= rows
    assert sum(model.rows_seen) == 11 * len(pictures)


@contextlib.contextmanager
def not_written(*names):
    """A block in which some components are still to be written."""

    def body():
        raise NotImplementedError

    with contextlib.ExitStack() as stack:
        for name in names:
            stub = types.FunctionType(body.__code__, {})
            stub.__signature__ = components.find(name).signature
            stack.enter_context(using(name, stub))
        assert not any(map(components.is_available, names))
        yield


def test_students_marginal_log_likelihood_gets_the_log_weights_chunk_by_chunk(pictures):
    sizes = []

    def marginal_log_likelihood(chunks):
        sizes.extend(len(chunk) for chunk in chunks)
        return torch.full((23,), 7.0, dtype=torch.float64)

    with using("marginal_log_likelihood", marginal_log_likelihood):
        found = image_log_likelihoods(LinearGaussian(), pictures, samples=5, rows=50)
    assert found.tolist() == [7.0] * 23
    assert sizes == [2, 2, 1]


def test_students_importance_weighted_bound_is_used_before_that_is_written(pictures):
    with (
        not_written("marginal_log_likelihood"),
        using("importance_weighted_bound", lambda log_weights: torch.full((log_weights.shape[1],), 7.0)),
    ):
        found = image_log_likelihoods(LinearGaussian(), pictures, samples=4)
    assert found.tolist() == pytest.approx([7.0] * 23)


def test_evaluation_is_the_same_before_the_components_of_its_unit_are_written(pictures):
    model = LinearGaussian(posterior_std_factor=1.3)
    written = evaluate(model, pictures, importance_samples=5)
    with not_written("bits_per_dim", "marginal_log_likelihood", "effective_sample_size", "active_units"):
        before = evaluate(model, pictures, importance_samples=5)
        table = before.table()
    assert before.effective_sample_size is None and "effective sample size" not in table
    assert dataclasses.replace(before, effective_sample_size=written.effective_sample_size).table() == written.table()


def test_students_functions_are_used_for_what_is_counted_and_converted(pictures):
    with (
        using("active_units", lambda posterior_means, threshold: torch.tensor(len(posterior_means))),
        using("effective_sample_size", lambda log_weights: log_weights.new_full(log_weights.shape[1:], 2.5)),
        using("bits_per_dim", lambda nats, num_dims: nats * 0 + 8.25),
    ):
        result = evaluate(LinearGaussian(), pictures, importance_samples=5)
        table = result.table()
    assert result.active_units == (23,)
    assert result.effective_sample_size.mean == 2.5 and "effective sample size: 2.50 ± 0.00 of 5 samples" in table
    assert "8.2 ± 8.2\n" in table


@pytest.mark.parametrize("rows", [4, 23, 60])
def test_effective_sample_size_is_that_of_all_draws_of_an_image(rows):
    log_weights = 2 * torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1)
    sampled = importance_sampled(FixedWeights(log_weights), images, samples=50, rows=rows)
    weights = np.exp(log_weights.numpy())
    expected = weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0)
    assert sampled.effective_sample_size.tolist() == pytest.approx(expected.tolist())
    assert sampled.log_likelihood.tolist() == pytest.approx(np.log(weights.mean(axis=0)).tolist())


def test_a_better_proposal_has_more_effective_samples(pictures):
    sizes = [
        evaluate(LinearGaussian(posterior_std_factor=factor), pictures, importance_samples=20).effective_sample_size
        for factor in (1.0, 1.5, 3.0)
    ]
    assert sizes[0].mean == pytest.approx(20)  # the exact posterior: all weights are p(x)
    assert sizes[0].mean > sizes[1].mean > sizes[2].mean > 1


def test_a_record_from_before_the_effective_sample_size_is_read():
    one = Estimate(2.0, 0.25)
    record = Evaluation(9, 2, 64, one, one, (one, one), one, (3, 0), (4, 4)).to_json()
    del record["effective_sample_size"]
    assert Evaluation.from_json(record).effective_sample_size is None


def test_sample_and_row_counts_below_one_are_refused(pictures):
    with pytest.raises(ValueError, match="samples and rows"):
        image_log_likelihoods(LinearGaussian(), pictures, samples=0)


def test_terms_of_bound_do_not_depend_on_the_size_of_batches(pictures):
    model = LinearGaussian()
    with measuring(model):
        whole = terms_of_bound(model, pictures)
    pieces = terms_of_bound(model, pictures, rows=4)
    torch.testing.assert_close(whole.kl, pieces.kl)  # analytic, hence free of sampling noise
    assert whole.log_likelihood.shape == pieces.log_likelihood.shape == (23,)


def test_evaluation_of_exact_posterior_has_no_gap_on_average(pictures):
    model = LinearGaussian()
    result = evaluate(model, pictures.repeat(40, 1, 1, 1), importance_samples=2)
    exact = -model.exact_log_likelihood(pictures).mean().item()
    assert result.negative_log_likelihood.mean == pytest.approx(exact)
    assert result.negative_elbo.mean == pytest.approx(exact, abs=0.1)
    assert result.negative_elbo.mean == pytest.approx(result.distortion.mean + result.kl[0].mean)


def test_evaluation_is_the_same_for_the_same_seed_and_leaves_random_numbers_alone(pictures):
    model = VAEConfig(image_shape=(1, 1, 2), bits=4, likelihood="discretized_logistic", hidden_sizes=(8,)).build()
    torch.manual_seed(5)
    expected_next = torch.rand(3)
    torch.manual_seed(5)
    first = evaluate(model, pictures, importance_samples=3, seed=1)
    assert torch.equal(torch.rand(3), expected_next)
    assert evaluate(model, pictures, importance_samples=3, seed=1) == first
    assert evaluate(model, pictures, importance_samples=3, seed=2) != first


def test_measuring_puts_every_part_of_the_model_back_into_its_mode():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3)))
    model.train()
    model[1][1].eval()  # a part that was frozen on purpose
    before = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError, match="inside"), measuring(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        raise RuntimeError("inside")
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled()


def test_unit_is_active_where_its_mean_follows_the_image(pictures):
    class ThreeUnits(LinearGaussian):
        def latents(self, x):
            level = x.flatten(1)[:, :1].double()
            means = torch.cat([0.05 * level, 0.01 * level, torch.full_like(level, 3.0)], dim=1)
            return (DiagonalGaussian(means, torch.zeros_like(means)),)

        def _log_likelihood(self, x, z):
            return super()._log_likelihood(x, z[:, :1])

    (activity,) = unit_activity(ThreeUnits(), pictures, rows=7)
    variance_of_level = np.var(pictures.flatten(1)[:, 0].numpy().astype(float))
    assert activity.tolist() == pytest.approx([0.05**2 * variance_of_level, 0.01**2 * variance_of_level, 0])
    result = evaluate(ThreeUnits(), pictures, importance_samples=1)
    assert (result.active_units, result.units) == ((1,), (3,))


def test_evaluation_survives_a_trip_through_json(pictures):
    result = evaluate(LinearGaussian(), pictures, importance_samples=2)
    assert Evaluation.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize(
    ("mean", "standard_error", "text"),
    [(91.143, 0.634, "91.14 ± 0.63"), (0.09981, 0.00291, "0.0998 ± 0.0029"), (1234.5, 41.0, "1234 ± 41")],
)
def test_estimate_is_written_with_two_digits_of_its_standard_error(mean, standard_error, text):
    assert str(Estimate(mean, standard_error)) == text


def test_table_gives_each_number_in_nats_and_bits_per_dimension():
    one = Estimate(2 * math.log(2) * 1.5, 0.25)
    table = Evaluation(9, 2, 64, one, one, (one, one), one, (3, 0), (4, 4)).table()
    assert "2.08 ± 0.25" in table and "1.50 ± 0.18" in table
    assert "KL of layer 2" in table and "3 of 4, 0 of 4" in table and "64 importance samples" in table


def test_what_is_not_finite_stays_in_the_mean_and_is_counted(pictures):
    class SometimesLost(LinearGaussian):
        def log_weight(self, x):
            return torch.where(x.flatten(1)[:, 0] > 12, math.nan, super().log_weight(x))

    result = evaluate(SometimesLost(), pictures, importance_samples=2, dataset="pairs (2nd edition)")
    assert math.isnan(result.negative_log_likelihood.mean) and math.isfinite(result.negative_elbo.mean)
    assert result.not_finite == (pictures[:, 0, 0, 0] > 12).sum() > 0
    assert "have no finite bound or likelihood" in result.table() and "pairs (2nd edition)" in result.table()
    record = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert record["negative_log_likelihood"]["mean"] is None and record["dataset"] == "pairs (2nd edition)"
    assert math.isnan(Evaluation.from_json(record).negative_log_likelihood.mean)


def test_evaluation_of_no_images_is_refused():
    with pytest.raises(ValueError, match="at least one image"):
        evaluate(LinearGaussian(), torch.zeros(0, 1, 1, 2, dtype=torch.uint8))
