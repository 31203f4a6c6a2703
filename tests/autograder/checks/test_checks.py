"""The checks of all components: they hold together, draw fairly, and catch what nobody has named."""

import itertools
import json
import math
import re

import pytest
import torch
import torch.nn.functional as F

from autograder.authoring.public_cases import PUBLIC_SEED
from autograder.checks import all_checks, checks_of
from autograder.checks.case import Remembered
from autograder.checks.judge_component import AskFailed, judge_component
from avae_lib import components
from avae_lib.checking.harnesses import observe

CHECKS = {check.component: check for check in all_checks()}
each_check = pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())


def judged(name, function, seed=11):
    return judge_component(CHECKS[name].trials(seed), CHECKS[name], lambda request: observe(function, request))


def failed_cases(name, function):
    return {case.name: case.diagnosis for case in judged(name, function).cases if not case.passed}


def requests_of(check, seed):
    return [probe.request for trial in check.trials(seed) for probe in trial.probes]


def test_every_component_has_a_check_in_the_order_of_the_exercises():
    assert set(CHECKS) == {entry.name for entry in components.listing()}
    assert [check.component for check in checks_of("00_start_here")] == ["log_mean_exp"]
    assert [check.component for check in checks_of("01_kl_divergence")] == [
        "kl_categorical",
        "kl_diagonal_gaussian",
        "kl_gaussian",
        "kl_monte_carlo",
        "reverse_kl_projection",
        "forward_kl_projection",
        "information_projection",
    ]
    assert [check.component for check in checks_of("02_mean_field")] == [
        "ising_mean_field_sweep",
        "ising_elbo",
        "mean_field_fit",
        "gibbs_sweep",
        "lda_e_step",
        "mixture_cavi_step",
        "score_function_gradient",
    ]
    assert [check.component for check in checks_of("03_vae")] == [
        "reparameterize",
        "bernoulli_log_likelihood",
        "negative_elbo",
        "importance_weighted_bound",
        "vae_training_step",
    ]
    assert [check.component for check in checks_of("04_richer_models")] == [
        "discretized_logistic_log_prob",
        "discretized_logistic_mixture_log_prob",
        "discretized_logistic_mixture_sample",
        "free_bits",
        "vector_quantize",
        "inverse_autoregressive_step",
        "maximum_mean_discrepancy",
    ]
    assert [check.component for check in checks_of("05_hierarchical_vae")] == [
        "residual_gaussian",
        "precision_weighted",
        "gaussian_kl_per_layer",
        "unpool_nearest",
        "bottleneck_block",
        "top_down_step",
        "should_skip_update",
    ]
    assert [check.component for check in checks_of("06_attentive_vae")] == [
        "depthwise_attention",
        "nonlocal_attention",
        "attentive_context",
        "attention_cost",
        "variational_layer_step",
    ]
    assert [check.component for check in checks_of("07_evaluation")] == [
        "bits_per_dim",
        "marginal_log_likelihood",
        "effective_sample_size",
        "active_units",
        "area_under_roc",
        "temperature_sample",
        "keep_top_layers",
    ]


@each_check
def test_check_is_complete(check):
    names = [case.name for case in check.cases]
    assert len(set(names)) == len(names)
    assert check.cases[0].kind == "value"
    assert all(type(case.points) is int and case.points > 0 and case.hint for case in check.cases)
    assert 2 <= check.points <= 12
    assert len(check.mistakes) >= 8
    assert len(check.variants) >= 3
    assert {mistake.caught_by for mistake in check.mistakes} == set(names), "each case has a mistake it catches"
    assert len({mistake.name for mistake in check.mistakes}) == len(check.mistakes)


@each_check
def test_reference_gets_all_points_on_twenty_draws(check):
    reference = components.implementation(check.component)
    for seed in range(20):
        result = judge_component(check.trials(seed), check, lambda request: observe(reference, request))
        assert result.points == check.points == result.max_points


@each_check
def test_secret_inputs_differ_between_students_and_from_the_public_ones(check):
    drawn = [json.dumps([r.to_json() for r in requests_of(check, seed)]) for seed in (1, 2, PUBLIC_SEED)]
    assert len(set(drawn)) == 3


@each_check
def test_same_seed_draws_the_same_requests(check):
    first, second = ([r.to_json() for r in requests_of(check, 7)] for _ in range(2))
    assert first == second


@each_check
def test_requests_tell_neither_the_case_nor_the_seed_of_the_draw(check):
    for request in requests_of(check, 12345):
        assert request.seed != 12345
        how = {"harness", "gradients", "results", "gradients_of", "watch"}
        assert set(request.to_json()) - how == {"component", "inputs", "seed"}


@pytest.mark.parametrize("name", ["reparameterize", "bernoulli_log_likelihood", "log_mean_exp"])
def test_sizes_of_one_request_differ_so_that_exchanged_dimensions_show(name):
    for trial in list(CHECKS[name].trials(3))[:1]:
        for probe in trial.probes:
            shape = next(v.shape for v in probe.request.inputs.values() if isinstance(v, torch.Tensor))
            assert len(set(shape)) == len(shape)
            assert 1 not in shape


# Wrong functions that no list names: the cases themselves must catch them.


def step_with(loss_of=lambda elbo: -elbo.bound.mean(), after=lambda model, optimizer: None, returned=None):
    def vae_training_step(model, optimizer, x):
        optimizer.zero_grad()
        loss = loss_of(model(x))
        loss.backward()
        after(model, optimizer)
        optimizer.step()
        return loss.item() if returned is None else returned(loss, x)

    return vae_training_step


def faster(model, optimizer):
    for group in optimizer.param_groups:
        group["lr"] *= 1.01


def decoder_only(model, optimizer):
    model.encoder.grad = None


def estimate_with(terms_of=lambda log_r: -log_r, error=lambda terms: terms.std() / math.sqrt(len(terms))):
    """kl_monte_carlo that is right but for its k1 or its standard error."""

    def kl_monte_carlo(q_log_prob, p_log_prob, estimator):
        log_r = p_log_prob - q_log_prob
        terms = {"k1": terms_of(log_r), "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
        return terms.mean(), error(terms)

    return kl_monte_carlo


def in_turn(update, order=range):
    """A sweep over a state in which ``update(state, i)`` replaces entry i."""

    def sweep(start, *rest):
        state = start.clone()
        for i in order(len(state)):
            state[i] = update(state, i, *rest)
        return state

    return sweep


def mean_field_sweep_with(update, order=range):
    return lambda means, coupling, field: in_turn(lambda m, i: update(m, i, coupling, field), order)(means)


def gibbs_sweep_with(probability, order=range):
    def gibbs_sweep(spins, coupling, field, uniforms):
        def drawn(s, i):
            return 1.0 if uniforms[i] < probability(s, i, coupling, field) else -1.0

        return in_turn(drawn, order)(spins)

    return gibbs_sweep


def e_step_with(phi_of):
    def lda_e_step(counts, alpha, expected_log_topics, gamma):
        phi = phi_of(torch.digamma(gamma).unsqueeze(2) + expected_log_topics)  # (docs, topics, words)
        return alpha + torch.einsum("dw,dkw->dk", counts, phi), torch.einsum("dw,dkw->kw", counts, phi)

    return lda_e_step


def bound_with(entropy_of):
    return lambda means, coupling, field: 0.5 * means @ coupling @ means + field @ means + entropy_of(means).sum()


def responsibilities_with(logs_of):
    def mixture_cavi_step(x, weights_log, means, precisions):
        return torch.softmax(weights_log + logs_of(x.unsqueeze(1) - means, precisions), dim=1)

    return mixture_cavi_step


UNNAMED = {
    "ising_mean_field_sweep": [
        mean_field_sweep_with(lambda m, i, J, h: torch.tanh(h[i] + J[i] @ m).half().float()),
        mean_field_sweep_with(lambda m, i, J, h: torch.tanh(h[i] + J[i] @ m) * 0.999),
        mean_field_sweep_with(lambda m, i, J, h: torch.tanh(h[i] + J[i] @ torch.sign(m))),
        mean_field_sweep_with(lambda m, i, J, h: torch.tanh(h[i] + J[i].abs() @ m)),
        mean_field_sweep_with(lambda m, i, J, h: torch.tanh(h[i] + J[i] @ m), lambda n: range(1, n)),
        mean_field_sweep_with(lambda m, i, J, h: torch.tanh(h[i]) + torch.tanh(J[i] @ m)),
        mean_field_sweep_with(lambda m, i, J, h: torch.erf(h[i] + J[i] @ m)),
        mean_field_sweep_with(lambda m, i, J, h: torch.tanh(h[i] + J[i] @ m - J[i] @ J[i] * m[i])),
        lambda means, coupling, field: torch.tanh(field + coupling.tril() @ torch.tanh(field + coupling @ means)),
    ],
    "ising_elbo": [
        bound_with(lambda m: torch.distributions.Bernoulli(((1 + m) / 2).clamp(1e-3, 1 - 1e-3)).entropy()),
        bound_with(lambda m: -torch.log(((1 + m) / 2).clamp(1e-6)) * (1 + m) / 2),
        bound_with(lambda m: torch.special.entr((1 + m) / 2) + torch.special.entr((1 - m) / 2) * 0.999),
        bound_with(lambda m: math.log(2) - m**2 / 2),
        bound_with(lambda m: 2 * torch.special.entr((1 + m) / 2)),
        bound_with(lambda m: torch.special.entr(m.abs())),
        lambda means, coupling, field: torch.logsumexp(field + coupling @ means, 0),
        lambda means, coupling, field: 0.5 * (means @ coupling @ means) + (field * means).mean(),
        lambda means, coupling, field: torch.linalg.norm(coupling) + field.abs().sum(),
    ],
    "gibbs_sweep": [
        gibbs_sweep_with(lambda s, i, J, h: torch.sigmoid(2 * h[i]) + 0.5 * torch.tanh(J[i] @ s)),
        lambda spins, coupling, field, uniforms: torch.where(uniforms < torch.sigmoid(2 * field), spins, -spins),
        gibbs_sweep_with(lambda s, i, J, h: torch.sigmoid(1.8 * (h[i] + J[i] @ s))),
        gibbs_sweep_with(lambda s, i, J, h: torch.sigmoid(2 * (h[i] + J[i].abs() @ s))),
        gibbs_sweep_with(lambda s, i, J, h: 0.5 + 0.5 * (h[i] + J[i] @ s)),
        gibbs_sweep_with(lambda s, i, J, h: torch.special.ndtr(1.6 * (h[i] + J[i] @ s))),
        gibbs_sweep_with(lambda s, i, J, h: torch.sigmoid(2 * (h[i] + J[i] @ s)), lambda n: range(1, n)),
        gibbs_sweep_with(lambda s, i, J, h: torch.sigmoid(2 * (h[i] + J[i, :-1] @ s[:-1]))),
        lambda spins, coupling, field, uniforms: torch.sign(field + coupling @ spins),
        lambda spins, coupling, field, uniforms: torch.where(uniforms < 0.5, 1.0, -1.0),
    ],
    "lda_e_step": [
        e_step_with(lambda logs: torch.softmax((logs.exp() + 1e-10).log(), dim=1)),
        e_step_with(lambda logs: torch.softmax(0.99 * logs, dim=1)),
        e_step_with(lambda logs: torch.softmax(logs, dim=1) * 1.001),
        e_step_with(lambda logs: torch.softmax(logs.clamp(min=-50), dim=1)),
        e_step_with(lambda logs: torch.nan_to_num(logs.exp() / logs.exp().sum(1, keepdim=True))),
        e_step_with(lambda logs: torch.softmax(logs.half(), dim=1).float()),
        e_step_with(lambda logs: torch.full_like(logs, 1 / logs.shape[1])),
        e_step_with(lambda logs: torch.sigmoid(logs)),
        lambda counts, alpha, expected_log_topics, gamma: (gamma, expected_log_topics.exp()),
        lambda counts, alpha, expected_log_topics, gamma: alpha + counts.sum(1, keepdim=True) / len(alpha),
    ],
    "mixture_cavi_step": [
        responsibilities_with(lambda d, t: 0.5 * (t.log() - t * d**2).sum(-1).clamp(min=-1e4)),
        lambda x, weights_log, means, precisions: (weights_log - torch.cdist(x, means) ** 2 / 2).softmax(dim=1),
        responsibilities_with(lambda d, t: (t.log() - t * d**2).sum(-1) / 2.02),
        responsibilities_with(lambda d, t: 0.5 * (t.log() - t * d.abs() ** 1.9).sum(-1)),
        responsibilities_with(lambda d, t: 0.5 * (t.log() - t * d**2).sum(-1).clamp(min=-100)),
        responsibilities_with(lambda d, t: 0.5 * (t.log() - t * d**2).amax(-1)),
        responsibilities_with(lambda d, t: 0.5 * (torch.log1p(t) - t * d**2).sum(-1)),
        responsibilities_with(lambda d, t: -1.5 * torch.log1p(t * d**2).sum(-1) + 0.5 * t.log().sum(-1)),
        lambda x, weights_log, means, precisions: weights_log.softmax(0).expand(len(x), -1),
        lambda x, weights_log, means, precisions: torch.full((len(x), len(means)), 1 / len(means)),
    ],
    "score_function_gradient": [
        lambda f, g, b: f @ g / len(f),
        lambda f_values, log_prob_gradients, baseline: (f_values - baseline) @ log_prob_gradients / 7,
        lambda f_values, log_prob_gradients, baseline: f_values @ log_prob_gradients / len(f_values) - baseline,
        lambda f_values, log_prob_gradients, baseline: (f_values - baseline) @ log_prob_gradients.abs() / len(f_values),
        lambda f_values, log_prob_gradients, baseline: (
            ((f_values - baseline).unsqueeze(1) * log_prob_gradients).median(0).values
        ),
        lambda f_values, log_prob_gradients, baseline: (
            ((f_values - baseline).unsqueeze(1) * log_prob_gradients).mean(0).half().float()
        ),
        lambda f_values, log_prob_gradients, baseline: (
            (f_values - baseline) @ log_prob_gradients / log_prob_gradients.shape[1]
        ),
    ],
    "kl_categorical": [
        lambda q, p: F.cross_entropy(p.log(), q) - torch.special.entr(q).sum(-1),
        lambda q, p: torch.clamp((torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1), min=1e-3),
        lambda q, p: ((q + 1e-10) * ((q + 1e-10).log() - p.log())).sum(-1),
        lambda q, p: torch.where(q > 0, q * ((q + 1e-12) / (p + 1e-12)).log(), 0.0).sum(-1),
        lambda q, p: torch.where(q > 0, q * (q / p).log(), 0.0).sum(-1).clamp(max=100.0),
        lambda q, p: torch.where(q > 1e-3, q * (q / p).log(), 0.0).sum(-1) * 1.001,
        lambda q, p: (p * (p / q).log()).nansum(-1),
        lambda q, p: ((q - p) ** 2 / p).sum(-1) / 2,
        lambda q, p: (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1).tolist(),
        lambda q, p: (torch.xlogy(q, q) - torch.xlogy(q, p))[..., :-1].sum(-1),
        lambda q, p: (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1).half().float(),
        lambda q, p: torch.einsum("...k,...k->", q, (q / p).log()),
        lambda q, p: F.kl_div(q.log(), p.log(), log_target=True, reduction="none").sum(-1),
    ],
    "kl_diagonal_gaussian": [
        lambda q_mean, q_log_std, p_mean, p_log_std: (
            p_log_std - q_log_std + 0.5 * ((2 * (q_log_std - p_log_std)).exp() + (q_mean - p_mean) ** 2 - 1)
        ).sum(-1),
        lambda q_mean, q_log_std, p_mean, p_log_std: (
            (0.5 * (2 * (q_log_std - p_log_std)).exp() - 0.5 + p_log_std - q_log_std).sum(-1)
            + 0.5 * ((q_mean - p_mean).sum(-1) ** 2)
        ),
        lambda q_mean, q_log_std, p_mean, p_log_std: 0.5 * ((q_mean - p_mean) / p_log_std.exp()).square().sum(-1),
        lambda q_mean, q_log_std, p_mean, p_log_std: (q_log_std - p_log_std).square().sum(-1),
    ],
    "kl_gaussian": [
        lambda q_mean, q_cov, p_mean, p_cov: (
            0.5
            * (
                (torch.linalg.inv(p_cov) * q_cov).sum((-1, -2))
                + (p_mean - q_mean).square().sum(-1)
                - len(q_mean)
                + torch.logdet(p_cov)
                - torch.logdet(q_cov)
            )
        ),
        lambda q_mean, q_cov, p_mean, p_cov: 0.5 * (torch.logdet(p_cov) - torch.logdet(q_cov)),
        lambda q_mean, q_cov, p_mean, p_cov: torch.logdet(torch.linalg.solve(p_cov, q_cov)),
        lambda q_mean, q_cov, p_mean, p_cov: (
            (q_mean - p_mean).square().sum(-1) + (q_cov - p_cov).square().sum((-2, -1))
        ),
    ],
    "kl_monte_carlo": [
        estimate_with(lambda log_r: -torch.log(log_r.exp() + 1e-6)),
        estimate_with(error=lambda terms: (terms.square().mean() - terms.mean() ** 2) / math.sqrt(len(terms))),
        estimate_with(error=lambda terms: terms.std() / math.sqrt(len(terms) - 30)),
        estimate_with(lambda log_r: -log_r.clamp(-3, 3)),
        estimate_with(lambda log_r: -log_r[1:]),
        estimate_with(lambda log_r: 1 - log_r.exp()),
        estimate_with(error=lambda terms: terms.abs().mean() / math.sqrt(len(terms))),
        estimate_with(error=lambda terms: terms.mean() / math.sqrt(len(terms))),
        estimate_with(error=lambda terms: terms.std() / len(terms) ** 0.49),
        estimate_with(error=lambda terms: 0.0),
        estimate_with(error=lambda terms: None),
        lambda q_log_prob, p_log_prob, estimator: (q_log_prob - p_log_prob).mean(),
        lambda q_log_prob, p_log_prob, estimator: (torch.zeros(()), torch.zeros(())),
    ],
    "reverse_kl_projection": [
        lambda mean, cov: (mean, -0.5 * torch.linalg.inv(cov + 1e-5 * torch.eye(len(cov))).diagonal().log()),
        lambda mean, cov: (mean, torch.zeros_like(mean)),
        lambda mean, cov: (mean, cov.diagonal().log() / 2 - 0.5),
        lambda mean, cov: mean,
        lambda mean, cov: (mean, cov),
        lambda mean, cov: (mean, -0.5 * torch.linalg.inv(cov).diagonal().log(), 0),
        lambda mean, cov: (mean.mean().expand_as(mean), -0.5 * torch.linalg.inv(cov).diagonal().log()),
    ],
    "forward_kl_projection": [
        lambda mean, cov: (mean, 0.5 * torch.linalg.svdvals(cov).log()),
        lambda mean, cov: (mean, torch.sqrt(cov.diagonal() + 1e-6).log()),
        lambda mean, cov: (mean, torch.zeros_like(mean)),
        lambda mean, cov: (mean, 0.5 * cov.diagonal().log().flip(0)),
        lambda mean, cov: 0.5 * cov.diagonal().log(),
        lambda mean, cov: (0.5 * mean, 0.5 * cov.diagonal().log()),
        lambda mean, cov: (mean, 0.5 * cov.diagonal().log1p()),
    ],
    "log_mean_exp": [
        lambda x, dim: torch.logsumexp(x, dim) - math.log(x.shape[dim] - 0.99),
        lambda x, dim: torch.logsumexp(x, dim) - math.log(x.shape[dim]) + 1e-3,
        lambda x, dim: (torch.logsumexp(x.half(), dim) - math.log(x.shape[dim])).to(x.dtype),
        lambda x, dim: torch.logsumexp(x, -dim - 1) - math.log(x.shape[dim]),
        lambda x, dim: torch.logsumexp(x, max(dim, 0)) - math.log(x.shape[dim]),
        lambda x, dim: (torch.logsumexp(x, dim) - math.log(x.shape[dim])).squeeze(0).unsqueeze(0),
        lambda x, dim: (torch.logsumexp(x, dim) - math.log(x.shape[dim])).tolist(),
        lambda x, dim: torch.logsumexp(x.unique(dim=dim), dim) - math.log(x.shape[dim]),
        lambda x, dim: torch.logsumexp(x.clamp(min=-100), dim) - math.log(x.shape[dim]),
        lambda x, dim: torch.logsumexp(x.nan_to_num(posinf=1e3).clamp(max=1e3), dim) - math.log(x.shape[dim]),
        lambda x, dim: torch.log(torch.exp(x.double()).mean(dim)).to(x.dtype),
        lambda x, dim: x.median(dim).values,
    ],
    "reparameterize": [
        lambda mean, log_std, noise: mean + log_std.exp() * noise.abs(),
        lambda mean, log_std, noise: mean + log_std.exp() * noise * 1.001,
        lambda mean, log_std, noise: mean + log_std.exp() * noise.clamp(-2, 2),
        lambda mean, log_std, noise: mean + log_std.exp() * noise.flip(0),
        lambda mean, log_std, noise: mean + (1 + log_std + log_std**2 / 2) * noise,
        lambda mean, log_std, noise: (mean + log_std.exp() * noise).unsqueeze(0),
        lambda mean, log_std, noise: (mean + log_std.exp() * noise).flatten(),
        lambda mean, log_std, noise: mean + log_std.half().exp().to(mean.dtype) * noise,
        lambda mean, log_std, noise: mean + log_std.exp().clamp(min=1e-5) * noise,
        lambda mean, log_std, noise: mean + log_std.exp() * (noise - noise.mean()),
        lambda mean, log_std, noise: mean + log_std.exp() * (noise / noise.std()),
        lambda mean, log_std, noise: (mean + log_std.exp() * noise).detach().requires_grad_(),
        lambda mean, log_std, noise: mean + torch.exp(log_std.detach()) * noise + log_std - log_std.detach(),
    ],
    "bernoulli_log_likelihood": [
        lambda logits, x: (
            (x * logits.sigmoid().clamp(min=1e-7).log() + (1 - x) * (-logits).sigmoid().clamp(min=1e-7).log())
            .flatten(1)
            .sum(1)
        ),
        lambda logits, x: (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).flatten(1).sum(1) + 0.01,
        lambda logits, x: (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).flatten(1).sum(1).exp(),
        lambda logits, x: (x * logits - F.softplus(logits, threshold=5)).flatten(1).sum(1),
        lambda logits, x: (x * logits - logits.clamp(min=0)).flatten(1).sum(1),
        lambda logits, x: (x * logits - F.softplus(logits)).flatten(1).mean(1) * 64,
        lambda logits, x: (x * logits - F.softplus(logits)).flatten(1)[:, :-1].sum(1),
        lambda logits, x: (x * logits - F.softplus(logits)).flatten(1).sum(1, keepdim=True),
        lambda logits, x: (
            (x * torch.log(logits.sigmoid() + 1e-30) + (1 - x) * torch.log(1 - logits.sigmoid() + 1e-30))
            .flatten(1)
            .sum(1)
        ),
        lambda logits, x: (
            -F.binary_cross_entropy(logits.double().sigmoid(), x.double(), reduction="none").flatten(1).sum(1)
        ),
        lambda logits, x: (
            (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).flatten(1).sum(1).nan_to_num() * 1.01
        ),
        lambda logits, x: -F.cross_entropy(logits.flatten(1), x.flatten(1), reduction="none"),
    ],
    "negative_elbo": [
        lambda log_likelihood, kl, beta=1.0: (beta * kl.sum(1) - log_likelihood).mean() + 0.1,
        lambda log_likelihood, kl, beta=1.0: (beta * kl.sum(1) - log_likelihood).logsumexp(0),
        lambda log_likelihood, kl, beta=1.0: (beta * kl.clamp(min=1.0).sum(1) - log_likelihood).mean(),
        lambda log_likelihood, kl, beta=1.0: (beta * kl.amax(1) - log_likelihood).mean(),
        lambda log_likelihood, kl, beta=1.0: (beta * kl.prod(1) - log_likelihood).mean(),
        lambda log_likelihood, kl, beta=1.0: (beta * kl.sum(0).mean() - log_likelihood).mean(),
        lambda log_likelihood, kl, beta=4.0: (beta * kl.sum(1) - log_likelihood).mean(),
        lambda log_likelihood, kl, beta=1.0: (beta**2 * kl.sum(1) - log_likelihood).mean(),
        lambda log_likelihood, kl, beta=1.0: (int(beta) * kl.sum(1) - log_likelihood).mean(),
        lambda log_likelihood, kl, beta=1.0: (max(beta, 0.5) * kl.sum(1) - log_likelihood).mean(),
        lambda log_likelihood, kl, beta=1.0: (beta * kl.sum(1) - log_likelihood).sum() / max(len(kl) - 1, 1),
        lambda log_likelihood, kl, beta=1.0: (beta * kl.sum(1) - log_likelihood).mean().abs(),
    ],
    "importance_weighted_bound": [
        lambda log_weights: (log_weights.softmax(0).detach() * log_weights).sum(0),
        lambda log_weights: torch.log(torch.exp(log_weights - 50).mean(0)) + 50,
        lambda log_weights: torch.logsumexp(log_weights, 0) - math.log(max(len(log_weights) - 1, 1)),
        lambda log_weights: torch.logsumexp(log_weights[1:], 0) - math.log(max(len(log_weights) - 1, 1)),
        lambda log_weights: torch.logsumexp(log_weights, 0) - math.log(len(log_weights)) + 0.01,
        lambda log_weights: log_weights.median(0).values,
        lambda log_weights: torch.log_softmax(log_weights, 0).logsumexp(0),
        lambda log_weights: torch.logsumexp(2 * log_weights, 0) / 2 - math.log(len(log_weights)),
        lambda log_weights: torch.logsumexp(log_weights.half(), 0).float() - math.log(len(log_weights)),
        lambda log_weights: torch.logsumexp(log_weights, 0).sort().values - math.log(len(log_weights)),
        lambda log_weights: torch.log(torch.exp(log_weights.double()).mean(0)).to(log_weights.dtype),
        lambda log_weights: torch.logsumexp(log_weights.clamp(min=-700), 0) - math.log(len(log_weights)),
    ],
    "vae_training_step": [
        step_with(after=lambda model, optimizer: torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)),
        step_with(lambda elbo: -elbo.bound.mean() * 1.01),
        step_with(lambda elbo: -elbo.bound.mean() + 1.0),
        step_with(lambda elbo: -elbo.bound.median()),
        step_with(lambda elbo: (0.99 * elbo.kl.sum(1) - elbo.log_likelihood).mean()),
        step_with(lambda elbo: (elbo.kl.clamp(min=0.5).sum(1) - elbo.log_likelihood).mean()),
        step_with(after=faster),
        step_with(after=decoder_only),
        step_with(after=lambda model, optimizer: torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)),
        step_with(after=lambda model, optimizer: model.encoder.grad.add_(0.01 * model.encoder.detach())),
        step_with(after=lambda model, optimizer: optimizer.step()),
        step_with(returned=lambda loss, x: loss.detach()),
        step_with(returned=lambda loss, x: loss.detach().numpy()),
        step_with(returned=lambda loss, x: round(loss.item())),
        step_with(returned=lambda loss, x: f"{loss.item():.3f}"),
        step_with(returned=lambda loss, x: loss.item() / x[0].numel()),
        step_with(returned=lambda loss, x: (loss.item(), 0.0)),
    ],
}


@pytest.mark.parametrize(
    ("name", "function"),
    [pytest.param(name, f, id=f"{name}-{n}") for name, wrong in UNNAMED.items() for n, f in enumerate(wrong)],
)
def test_wrong_function_that_nobody_named_loses_points_and_gets_a_diagnosis(name, function):
    for seed in range(3):
        result = judged(name, function, seed)
        assert 0 <= result.points < result.max_points
        assert all(case.diagnosis for case in result.cases if not case.passed)


@pytest.mark.parametrize("name", CHECKS)
def test_diagnosis_in_grading_never_gives_a_right_number_away(name):
    for mistake in CHECKS[name].mistakes[:6]:
        for said in failed_cases(name, mistake.function).values():
            assert not re.search(r"expected .*got", said)


def test_own_noise_is_named_though_the_inputs_are_secret():
    def sampled(mean, log_std, noise):
        return mean + torch.exp(log_std) * torch.randn_like(noise)

    assert "draws its own noise" in failed_cases("reparameterize", sampled)["values"]


def test_naive_formula_keeps_the_points_for_ordinary_numbers():
    lost = failed_cases("log_mean_exp", lambda x, dim: torch.log(torch.exp(x).mean(dim)))
    assert set(lost) == {"large logarithms", "very negative logarithms"}


def test_time_out_ends_a_component_and_says_so():
    asked = []

    def ask(request):
        asked.append(request)
        raise AskFailed("your function took longer than 10 s", give_up=True)

    result = judge_component(CHECKS["log_mean_exp"].trials(1), CHECKS["log_mean_exp"], ask)
    assert len(asked) == 1
    assert result.points == 0
    assert all("10 s" in case.diagnosis for case in result.cases)


def test_death_of_the_process_costs_only_the_case_in_which_it_happened():
    reference = components.implementation("log_mean_exp")

    def ask(request):
        if request.inputs["x"].abs().max() > 5000:
            raise AskFailed("your code ended the process")
        return observe(reference, request)

    result = judge_component(CHECKS["log_mean_exp"].trials(1), CHECKS["log_mean_exp"], ask)
    assert [case.passed for case in result.cases] == [True, True, False, False, True]


def test_what_is_remembered_is_made_once_and_only_as_far_as_it_is_needed():
    made = []
    squares = Remembered(made.append(number) or number**2 for number in range(4))
    assert list(itertools.islice(squares, 2)) == [0, 1] and made == [0, 1]
    assert list(squares) == list(squares) == [0, 1, 4, 9] and made == [0, 1, 2, 3]
