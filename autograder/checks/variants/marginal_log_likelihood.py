"""Right ways to write ``marginal_log_likelihood``."""

import functools
import itertools
import math

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def by_logaddexp(chunks):
    log_sum, samples = -math.inf, 0
    for chunk in chunks:
        log_sum = torch.logaddexp(torch.as_tensor(log_sum, dtype=chunk.dtype), torch.logsumexp(chunk, dim=0))
        samples += chunk.shape[0]
    return log_sum - math.log(samples)


@variant
def running_largest(chunks):
    largest = total = None
    samples = 0
    for chunk in chunks:
        if largest is None:
            largest, total = torch.full_like(chunk[0], -math.inf), torch.zeros_like(chunk[0])
        new = torch.maximum(largest, chunk.amax(dim=0))
        reference = torch.where(new == -math.inf, torch.zeros_like(new), new)
        total = total * torch.exp(largest - reference) + torch.exp(chunk - reference).sum(dim=0)
        largest, samples = new, samples + len(chunk)
    return torch.where(largest == -math.inf, 0.0, largest) + torch.log(total) - math.log(samples)


@variant
def running_mean(chunks):
    """Averages the mean so far and that of the chunk, weighted by their shares of the samples."""
    log_mean, samples = None, 0
    for chunk in chunks:
        count = len(chunk)
        of_chunk = torch.logsumexp(chunk, dim=0) - math.log(count)
        if log_mean is None:
            log_mean, samples = of_chunk, count
            continue
        both = torch.stack(
            [log_mean + math.log(samples / (samples + count)), of_chunk + math.log(count / (samples + count))]
        )
        log_mean, samples = torch.logsumexp(both, dim=0), samples + count
    return log_mean


@variant
def first_chunk_apart(chunks):
    chunks = iter(chunks)
    first = next(chunks)
    log_sum, samples = torch.logsumexp(first, dim=0), len(first)
    for chunk in chunks:
        log_sum = torch.cat([log_sum[None], chunk]).logsumexp(dim=0)
        samples += len(chunk)
    return log_sum - torch.tensor(float(samples), dtype=log_sum.dtype).log()


@variant
def in_double(chunks):
    log_sum, samples, dtype = None, 0, None
    for chunk in chunks:
        dtype = chunk.dtype
        of_chunk = chunk.double().logsumexp(0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(of_chunk, log_sum)
        samples += chunk.size(0)
    print("samples", samples)
    return (log_sum - np.log(samples)).to(dtype)


@variant
def folded(chunks):
    def both(one, other):
        return torch.logaddexp(one[0], other[0]), one[1] + other[1]

    sums = ((torch.logsumexp(chunk, dim=0), len(chunk)) for chunk in chunks)
    log_sum, samples = functools.reduce(both, sums)
    return log_sum - math.log(samples)


@variant
def sample_by_sample(chunks):
    log_sum, samples = None, 0
    for sample in itertools.chain.from_iterable(chunks):
        log_sum = sample if log_sum is None else torch.logaddexp(log_sum, sample)
        samples += 1
    return log_sum - math.log(samples)


@variant
def by_numpy(chunks):
    log_sum, samples = None, 0
    for chunk in chunks:
        of_chunk = np.logaddexp.reduce(chunk.numpy(), axis=0)
        log_sum = of_chunk if log_sum is None else np.logaddexp(log_sum, of_chunk)
        samples += len(chunk)
    return torch.from_numpy(log_sum - np.log(samples).astype(log_sum.dtype))
