"""Wrong answers to the exercises on log weights, bits and units that no list names: the cases must catch them."""

import math

import pytest
import torch

from autograder.checks.active_units import ACTIVE_UNITS
from autograder.checks.bits_per_dim import BITS_PER_DIM
from autograder.checks.effective_sample_size import EFFECTIVE_SAMPLE_SIZE
from autograder.checks.judge_component import judge_component
from autograder.checks.marginal_log_likelihood import MARGINAL_LOG_LIKELIHOOD
from avae_lib.checking.harnesses import observe

CHECKS = {
    check.component: check for check in (BITS_PER_DIM, MARGINAL_LOG_LIKELIHOOD, EFFECTIVE_SAMPLE_SIZE, ACTIVE_UNITS)
}


def lost(name, function, seed=11):
    check = CHECKS[name]
    result = judge_component(check.trials(seed), check, lambda request: observe(function, request))
    return {case.name: case.diagnosis for case in result.cases if not case.passed}


def streaming(
    of_chunk=lambda chunk: torch.logsumexp(chunk, dim=0), count=len, combined=torch.logaddexp, start=-math.inf
):
    """marginal_log_likelihood that is right but for what it takes of a chunk, counts, or starts from."""

    def marginal_log_likelihood(chunks):
        log_sum, samples = None, 0
        for chunk in chunks:
            before = torch.full_like(chunk[0], start) if log_sum is None else log_sum
            log_sum, samples = combined(before, of_chunk(chunk)), samples + count(chunk)
        return log_sum - math.log(samples)

    return marginal_log_likelihood


def chunks_kept_as_bytes(chunks):
    kept = [(chunk.numpy().tobytes(), chunk.shape, chunk.dtype) for chunk in chunks]
    return streaming()(torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape) for data, shape, dtype in kept)


def recursive(chunks):
    def summed(rest):
        chunk = next(rest, None)
        if chunk is None:
            return -math.inf, 0
        log_sum, samples = summed(rest)
        return torch.logaddexp(torch.logsumexp(chunk, 0), torch.as_tensor(log_sum).to(chunk)), samples + len(chunk)

    log_sum, samples = summed(iter(chunks))
    return log_sum - math.log(samples)


UNNAMED = {
    "bits_per_dim": [
        lambda nats, num_dims: nats / (num_dims * math.log(2)) * 1.001,
        lambda nats, num_dims: nats / ((num_dims - 1) * math.log(2)),
        lambda nats, num_dims: abs(nats) / (num_dims * math.log(2)),
        lambda nats, num_dims: torch.as_tensor(nats / (num_dims * math.log(2))).item(),
        lambda nats, num_dims: round(nats / (num_dims * math.log(2)), 3) if isinstance(nats, float) else nats,
        lambda nats, num_dims: 2.0,
    ],
    "marginal_log_likelihood": [
        streaming(of_chunk=lambda chunk: chunk.amax(dim=0) + math.log(len(chunk))),
        streaming(of_chunk=lambda chunk: torch.logsumexp(chunk[:-1], dim=0) if len(chunk) > 1 else chunk[0]),
        streaming(of_chunk=lambda chunk: torch.logsumexp(chunk.half().float(), dim=0)),
        streaming(of_chunk=lambda chunk: torch.logsumexp(chunk.unique(dim=0), dim=0), count=lambda chunk: 2),
        streaming(count=lambda chunk: len(chunk) - 1e-3),
        streaming(combined=torch.maximum),
        streaming(combined=lambda a, b: torch.logaddexp(a, b) - 1e-3),
        streaming(start=-20.0),
        streaming(of_chunk=lambda chunk: torch.logsumexp(chunk.clamp(min=-1e3), dim=0)),
        streaming(of_chunk=lambda chunk: torch.logsumexp(chunk.nan_to_num(neginf=-50.0), dim=0)),
        lambda chunks: torch.stack([chunk.mean(dim=0) for chunk in chunks]).mean(dim=0),
        lambda chunks: streaming()(list(chunks)),
        lambda chunks: streaming()([torch.cat([*chunks])]),
        lambda chunks: streaming()(sorted(chunks, key=len)),
        recursive,
        chunks_kept_as_bytes,
    ],
    "effective_sample_size": [
        lambda log_weights: torch.ones_like(log_weights[0]),
        lambda log_weights: torch.full_like(log_weights[0], len(log_weights)),
        lambda log_weights: 1 / log_weights.softmax(0).square().sum(0) * 1.001,
        lambda log_weights: 1 / log_weights.softmax(0).pow(3).sum(0).sqrt(),
        lambda log_weights: 1 / log_weights.softmax(0)[1:].square().sum(0),
        lambda log_weights: len(log_weights) / (1 + log_weights.var(0, correction=0)),
        lambda log_weights: len(log_weights) * torch.exp(-log_weights.var(0)),
        lambda log_weights: 1 / log_weights.half().softmax(0).float().square().sum(0),
        lambda log_weights: (1 / log_weights.softmax(0).square().sum(0)).tolist(),
        lambda log_weights: 1 / (log_weights.softmax(0).square().sum(0) + 1e-3),
        lambda log_weights: torch.exp(2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)),
    ],
    "active_units": [
        lambda posterior_means, threshold: posterior_means[0].numel(),
        lambda posterior_means, threshold: torch.tensor(posterior_means[0].numel()),
        lambda posterior_means, threshold: torch.tensor(0),
        lambda posterior_means, threshold: (posterior_means.var(0, correction=0) > 1.5 * threshold).sum(),
        lambda posterior_means, threshold: (posterior_means.var(0, correction=0) > 0.6 * threshold).sum(),
        lambda posterior_means, threshold: (posterior_means.var(0, correction=1) > threshold).sum(),
        lambda posterior_means, threshold: (posterior_means[1:].var(0, correction=0) > threshold).sum(),
        lambda posterior_means, threshold: (posterior_means.half().float().var(0, correction=0) > threshold).sum(),
        lambda posterior_means, threshold: (posterior_means.var(0, correction=0) > threshold).sum(-1).amax(),
        lambda posterior_means, threshold: (posterior_means.var(0, correction=0) > threshold).sum().byte(),
    ],
}


@pytest.mark.parametrize(
    ("name", "function"), [(name, function) for name, functions in UNNAMED.items() for function in functions]
)
def test_a_wrong_answer_that_nobody_has_named_loses_points(name, function):
    assert lost(name, function)


@pytest.mark.parametrize("function", [chunks_kept_as_bytes, recursive, lambda chunks: streaming()(list(chunks))])
def test_an_answer_that_keeps_the_chunks_loses_the_case_about_memory_and_no_other(function):
    assert list(lost("marginal_log_likelihood", function)) == ["memory for one chunk at a time"]


def two_passes(chunks):
    samples = sum(len(chunk) for chunk in chunks)
    log_sum = None
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk, dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
    return log_sum - math.log(samples)


def test_a_second_pass_over_a_generator_keeps_the_points_for_lists():
    cases = lost("marginal_log_likelihood", two_passes)
    assert list(cases) == ["chunks that come once", "memory for one chunk at a time"]


def test_the_largest_weight_of_the_first_chunk_alone_is_told_by_its_cause():
    def first_reference(chunks):
        reference, total, samples = None, 0.0, 0
        for chunk in chunks:
            reference = chunk.amax(dim=0) if reference is None else reference
            total, samples = total + torch.exp(chunk - reference).sum(dim=0), samples + len(chunk)
        return reference + torch.log(total / samples)

    said = lost("marginal_log_likelihood", first_reference)["log weights thousands of nats apart"]
    assert said.startswith("computes later weights relative to the first chunk")
