"""What the cases of all components ask for: either precision, the ends of what is promised, and one slip at a time."""

import pytest
import torch

from autograder.checks import all_checks
from autograder.checks.judge_component import judge_component
from avae_lib import components
from avae_lib.checking.harnesses import observe
from avae_lib.checking.nested_inputs import leaves
from avae_lib.checking.verdicts import judge_case

CHECKS = {check.component: check for check in all_checks()}
# They return a Python float, a truth value, Python ints, a record beside tensors, whole levels, a float for a float,
# a count, and any objects.
OTHERS = (
    "vae_training_step",
    "should_skip_update",
    "attention_cost",
    "variational_layer_step",
    "discretized_logistic_mixture_sample",
    "bits_per_dim",
    "active_units",
    "keep_top_layers",
)
OF_TENSORS = [name for name in CHECKS if name not in OTHERS]
MOST_BYTES = 40_000  # of the inputs of one request: the public ones are stored as text

POINTS = {
    "log_mean_exp": 5,
    "kl_categorical": 5,
    "kl_diagonal_gaussian": 4,
    "kl_gaussian": 7,
    "kl_monte_carlo": 6,
    "reverse_kl_projection": 4,
    "forward_kl_projection": 3,
    "information_projection": 8,
    "ising_mean_field_sweep": 4,
    "ising_elbo": 4,
    "gibbs_sweep": 5,
    "mean_field_fit": 7,
    "lda_e_step": 9,
    "mixture_cavi_step": 7,
    "score_function_gradient": 3,
    "reparameterize": 4,
    "bernoulli_log_likelihood": 5,
    "negative_elbo": 5,
    "importance_weighted_bound": 4,
    "vae_training_step": 8,
    "discretized_logistic_log_prob": 5,
    "discretized_logistic_mixture_log_prob": 10,
    "discretized_logistic_mixture_sample": 6,
    "free_bits": 2,
    "vector_quantize": 5,
    "inverse_autoregressive_step": 3,
    "maximum_mean_discrepancy": 4,
    "residual_gaussian": 2,
    "precision_weighted": 4,
    "gaussian_kl_per_layer": 4,
    "bottleneck_block": 5,
    "unpool_nearest": 3,
    "top_down_step": 10,
    "depthwise_attention": 7,
    "nonlocal_attention": 5,
    "attentive_context": 4,
    "attention_cost": 4,
    "variational_layer_step": 12,
    "should_skip_update": 4,
    "bits_per_dim": 2,
    "marginal_log_likelihood": 8,
    "effective_sample_size": 4,
    "active_units": 3,
    "area_under_roc": 6,
    "temperature_sample": 3,
    "keep_top_layers": 3,
}

FORMULAS = {
    "identity": lambda t: t.clone(),
    "sign": torch.sign,
    "tanh": torch.tanh,
    "logistic function": torch.sigmoid,
    "exponential": torch.exp,
    "softmax": lambda t: t.softmax(-1),
    "softmax over the first": lambda t: t.softmax(0),
    "mean": lambda t: t.mean(-1),
    "mean over the first": lambda t: t.mean(0),
    "sum": lambda t: t.sum(-1),
    "largest": lambda t: t.amax(-1),
    "largest over the first": lambda t: t.amax(0),
    "mean of all": lambda t: t.mean(),
    "sum of all": lambda t: t.sum(),
    "first entries": lambda t: t[..., 0],
    "zero": torch.zeros_like,
    "zero for each row": lambda t: 0.0 * t.flatten(1).sum(1) if t.ndim > 1 else 0.0 * t.sum(),
    "infinity for each row": lambda t: t.sum(-1) * 0 + float("inf"),
}


def asked(function):
    return lambda request: observe(function, request)


def lost_cases(check, function, seed=5):
    cases = judge_component(check.trials(seed), check, asked(function)).cases
    return {case.name: case.diagnosis for case in cases if not case.passed}


def test_points_are_those_of_the_assignments():
    assert {name: check.points for name, check in CHECKS.items()} == POINTS


@pytest.mark.parametrize("name", OF_TENSORS)
def test_a_form_case_asks_for_results_in_either_precision(name):
    forms = [trial for trial in CHECKS[name].trials(1) if trial.kind == "form"]
    recorded = (value for trial in forms for probe in trial.probes for value in probe.expected.outputs.values())
    dtypes = {value.array.dtype for value in recorded}
    assert {torch.float32, torch.float64} <= dtypes


@pytest.mark.parametrize(("dtype", "said"), [(torch.float64, "float64"), (torch.float32, "float32")])
@pytest.mark.parametrize("name", OF_TENSORS)
def test_a_result_in_another_precision_costs_the_form_case_and_no_other(name, dtype, said):
    reference = components.implementation(name)

    def always(*args, **kwargs):
        result = reference(*args, **kwargs)
        return tuple(part.to(dtype) for part in result) if isinstance(result, tuple) else result.to(dtype)

    lost = lost_cases(CHECKS[name], always)
    forms = [case for case in CHECKS[name].cases if case.name in lost and case.kind == "form"]
    assert 1 <= len(forms) <= 2  # a step on the way down has one about its zeros without evidence, too
    assert said in lost[forms[0].name]
    if dtype is torch.float64:
        assert len(lost) == len(forms)


def answering(formula, argument, in_a_pair):
    def answer(*args, **inputs):
        result = formula(inputs[argument])
        return (result, result.clone()) if in_a_pair else result

    return answer


@pytest.mark.parametrize("name", CHECKS)
def test_no_simple_formula_of_one_input_passes_a_case_about_values(name):
    trials = [trial for trial in CHECKS[name].trials(5) if trial.kind == "value"]
    for trial in trials:
        request = trial.probes[0].request
        for argument in (key for key, value in request.inputs.items() if torch.is_tensor(value)):
            for word, formula in FORMULAS.items():
                is_pair = request.harness == "call_for_pair" or len(request.results) == 2
                answer = answering(formula, argument, is_pair)
                assert not judge_case(trial, asked(answer)).passed, f"{trial.name}: {word} of {argument}"


@pytest.mark.parametrize("name", CHECKS)
def test_requests_are_small(name):
    for trial in CHECKS[name].trials(1):
        for probe in trial.probes:
            inputs = probe.request.inputs.items()
            tensors = [leaf for name, value in inputs for _, leaf in leaves(value, name) if torch.is_tensor(leaf)]
            assert sum(tensor.numel() * tensor.element_size() for tensor in tensors) < MOST_BYTES


FEW = dict.fromkeys(POINTS, 3) | {
    "variational_layer_step": 4
}  # cases that a slip may cost which is not one of ordinary numbers


SEEN_IN_EVERY_LATENT = {"noise_of_its_own"}
"""Slips that no case about a latent can be blind to."""


@pytest.mark.parametrize("name", [name for name in POINTS if name not in ("information_projection", "mean_field_fit")])
def test_a_slip_with_a_case_of_its_own_leaves_the_ordinary_numbers_alone(name):
    check = CHECKS[name]
    for mistake in check.mistakes:
        if mistake.caught_by != check.cases[0].name:
            lost = lost_cases(check, mistake.function)
            assert check.cases[0].name not in lost, mistake.name
            few = len(lost) <= FEW[name] or mistake.name in SEEN_IN_EVERY_LATENT
            assert few, f"{mistake.name}: {', '.join(lost)}"
