"""Wrong ways to write ``marginal_log_likelihood``."""

import itertools
import math

import numpy as np
import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

VALUES = "log of the mean weight"
ONCE = "chunks that come once"
APART = "log weights thousands of nats apart"
ZERO = "weights of zero"
MEMORY = "memory for one chunk at a time"
FORM = "precision kept, chunks left alone"

OVERFLOWS = "adds up the weights themselves, which overflow or are zero: keep the logarithm of their sum"
RELATIVE_TO_THE_FIRST = (
    "computes later weights relative to the first chunk, or to the sum so far: they may be thousands of nats larger"
)
NOT_A_NUMBER = "computes −∞ − (−∞), which is NaN, where all weights so far are zero"
FINITE = "starts from a finite number in place of −∞: if all weights are zero, the result is −∞"
ALL_KEPT = "keeps the chunks, or a result of each, so memory grows with their number: update one sum with each chunk"
TWICE = "goes through the chunks twice: a generator is empty the second time"
NO_LIST = "uses the length or an entry of chunks: a generator has neither, so loop over it with for"
SQUEEZED = "squeezes away one sample or one example: the shape should be (batch,)"


def log_sum_and_count(chunks):
    """The logarithm of the sum of the weights, and their number."""
    log_sum, samples = None, 0
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk, dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        samples += len(chunk)
    return log_sum, samples


def mean_weight(chunks):
    log_sum, samples = log_sum_and_count(chunks)
    return log_sum - math.log(samples)


def with_running_largest(chunks, scale=lambda largest, new: torch.exp(largest - new), first=None):
    """Right except for how the running sum is rescaled to a new largest log weight, or where that starts."""
    largest, total, samples = first, 0.0, 0
    for chunk in chunks:
        of_chunk = chunk.amax(dim=0)
        new = of_chunk if largest is None else torch.maximum(largest, of_chunk)
        kept = 0.0 if largest is None else total * scale(largest, new)
        total = kept + torch.exp(chunk - new).sum(dim=0)
        largest, samples = new, samples + len(chunk)
    return largest + torch.log(total / samples)


@mistake("forgets to divide by the number of samples: subtract log K", caught_by=VALUES)
def log_k_forgotten(chunks):
    return log_sum_and_count(chunks)[0]


@mistake("divides by the number of chunks: divide by the number of samples in all chunks", caught_by=VALUES)
def number_of_chunks(chunks):
    log_sum, count = -math.inf, 0
    for chunk in chunks:
        log_sum = torch.logaddexp(torch.as_tensor(log_sum), torch.logsumexp(chunk, dim=0))
        count += 1
    return log_sum - math.log(count)


@mistake("counts each chunk the same, however many samples it has: weight its mean by their number", caught_by=VALUES)
def chunks_count_alike(chunks):
    log_sum, count = None, 0
    for chunk in chunks:
        log_mean = torch.logsumexp(chunk, dim=0) - math.log(len(chunk))
        log_sum = log_mean if log_sum is None else torch.logaddexp(log_sum, log_mean)
        count += 1
    return log_sum - math.log(count)


@mistake("averages the logarithms of the chunks: average the weights of all samples", caught_by=VALUES)
def mean_of_the_bounds(chunks):
    total, count = 0.0, 0
    for chunk in chunks:
        total = total + torch.logsumexp(chunk, dim=0) - math.log(len(chunk))
        count += 1
    return total / count


@mistake(
    "averages the logarithms of the chunks, weighted by their samples: average the weights of all samples",
    caught_by=VALUES,
)
def weighted_mean_of_the_bounds(chunks):
    total, samples = 0.0, 0
    for chunk in chunks:
        total = total + len(chunk) * (torch.logsumexp(chunk, dim=0) - math.log(len(chunk)))
        samples += len(chunk)
    return total / samples


@mistake("assumes all chunks are as large as the last one", caught_by=VALUES)
def size_of_the_last_chunk(chunks):
    log_sum, count = None, 0
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk, dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        count += 1
    return log_sum - math.log(count * len(chunk))


@mistake("divides by the samples of the last chunk: divide by those of all chunks", caught_by=VALUES)
def samples_of_the_last_chunk(chunks):
    log_sum = None
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk, dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
    return log_sum - math.log(len(chunk))


@mistake("counts the examples of the batch as samples", caught_by=VALUES)
def entries_counted(chunks):
    log_sum, entries = None, 0
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk, dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        entries += chunk.numel()
    return log_sum - math.log(entries)


@mistake(
    "returns the mean of the log weights, the plain ELBO: average the weights, then take the logarithm",
    caught_by=VALUES,
)
def mean_of_logarithms(chunks):
    total, samples = 0.0, 0
    for chunk in chunks:
        total, samples = total + chunk.sum(dim=0), samples + len(chunk)
    return total / samples


@mistake("is the result of the last chunk alone: all chunks count", caught_by=VALUES)
def last_chunk(chunks):
    for chunk in chunks:
        result = torch.logsumexp(chunk, dim=0) - math.log(len(chunk))
    return result


@mistake("returns inside the loop, after the first chunk: all chunks count", caught_by=VALUES)
def first_chunk(chunks):
    for chunk in chunks:
        return torch.logsumexp(chunk, dim=0) - math.log(len(chunk))


@mistake("starts the logarithm of the sum at 0, which is a weight of 1: start at −∞", caught_by=VALUES)
def starts_at_zero(chunks):
    log_sum, samples = torch.zeros(()), 0
    for chunk in chunks:
        log_sum = torch.logaddexp(log_sum, torch.logsumexp(chunk, dim=0))
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake("starts counting at 1: the number of samples is one too large", caught_by=VALUES)
def counts_from_one(chunks):
    log_sum, samples = log_sum_and_count(chunks)
    return log_sum - math.log(samples + 1)


@mistake("adds up the logarithms of the chunks' sums: add their exponentials, as logaddexp does", caught_by=VALUES)
def logarithms_added(chunks):
    total, samples = 0.0, 0
    for chunk in chunks:
        total, samples = total + torch.logsumexp(chunk, dim=0), samples + len(chunk)
    return total - math.log(samples)


@mistake("returns the largest log weight: all the weights count", caught_by=VALUES)
def largest_weight(chunks):
    largest = None
    for chunk in chunks:
        largest = chunk.amax(dim=0) if largest is None else torch.maximum(largest, chunk.amax(dim=0))
    return largest


@mistake("sums over the batch as well: return one number per example", caught_by=VALUES)
def one_number(chunks):
    log_sum, entries = torch.tensor(-math.inf), 0
    for chunk in chunks:
        log_sum = torch.logaddexp(log_sum, torch.logsumexp(chunk, dim=(0, 1)))
        entries += chunk.numel()
    return log_sum - math.log(entries)


@mistake("averages the result over the batch: return one number per example", caught_by=VALUES)
def averaged(chunks):
    return mean_weight(chunks).mean()


@mistake("keeps the dimension of the samples: the shape is (batch,)", caught_by=VALUES)
def dimension_kept(chunks):
    log_sum, samples = None, 0
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk, dim=0, keepdim=True)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake("has the opposite sign: return log p(x), not −log p(x)", caught_by=VALUES)
def opposite_sign(chunks):
    return -mean_weight(chunks)


@mistake("is in bits: return nats", caught_by=VALUES)
def in_bits(chunks):
    return mean_weight(chunks) / math.log(2)


@mistake("adds with logaddexp2, which is for logarithms to base 2: use logaddexp", caught_by=VALUES)
def base_two(chunks):
    log_sum, samples = None, 0
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk, dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp2(log_sum, of_chunk)
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake("returns the mean weight: the logarithm is missing", caught_by=VALUES)
def logarithm_missing(chunks):
    return mean_weight(chunks).exp()


@mistake(
    "does not rescale the running sum when a larger log weight comes: scale it to the new largest one", caught_by=VALUES
)
def sum_not_scaled(chunks):
    return with_running_largest(chunks, scale=lambda largest, new: 1.0)


@mistake(
    "rescales the running sum the wrong way when a larger log weight comes: multiply by exp(old − new)",
    caught_by=VALUES,
)
def scaled_the_wrong_way(chunks):
    return with_running_largest(chunks, scale=lambda largest, new: torch.exp(new - largest))


@mistake("subtracts the largest log weight and does not add it back", caught_by=VALUES)
def largest_not_added_back(chunks):
    largest, total, samples = None, 0.0, 0
    for chunk in chunks:
        largest = chunk.amax(dim=0) if largest is None else largest
        total, samples = total + torch.exp(chunk - largest).sum(dim=0), samples + len(chunk)
    return torch.log(total / samples)


@mistake("treats chunks as an iterator: next fails for a list, so call iter(chunks) first or use for", caught_by=VALUES)
def next_of_a_list(chunks):
    return mean_weight([next(chunks), *chunks])


@mistake(TWICE, caught_by=ONCE)
def two_passes(chunks):
    largest = torch.stack([chunk.amax(dim=0) for chunk in chunks]).amax(dim=0)
    total = sum(torch.exp(chunk - largest.clamp(min=-1e30)).sum(dim=0) for chunk in chunks)
    return largest + torch.log(total / sum(len(chunk) for chunk in chunks))


@mistake(TWICE, caught_by=ONCE)
def counted_afterwards(chunks):
    log_sum, _ = log_sum_and_count(chunks)
    return log_sum - math.log(sum(len(chunk) for chunk in chunks))


@mistake(NO_LIST, caught_by=ONCE)
def first_entry(chunks):
    log_sum, samples = torch.full_like(chunks[0][0], -math.inf), 0
    for chunk in chunks:
        log_sum = torch.logaddexp(log_sum, torch.logsumexp(chunk, dim=0))
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake(NO_LIST, caught_by=ONCE)
def length_asked(chunks):
    log_sum, samples = None, 0
    for number in range(len(chunks)):
        of_chunk = torch.logsumexp(chunks[number], dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        samples += len(chunks[number])
    return log_sum - math.log(samples)


@mistake("takes the first chunk out of a generator to see its size, and leaves it out of the sum", caught_by=ONCE)
def first_chunk_lost(chunks):
    log_sum, samples = torch.full_like(next(iter(chunks))[0], -math.inf), 0
    for chunk in chunks:
        log_sum = torch.logaddexp(log_sum, torch.logsumexp(chunk, dim=0))
        samples += len(chunk)
    return log_sum - math.log(max(samples, 1))


@mistake("accepts lists only: it treats a tuple or a generator of chunks as one chunk", caught_by=ONCE)
def lists_only(chunks):
    if not isinstance(chunks, list):
        chunks = [torch.as_tensor(next(iter(chunks)))]
    return mean_weight(chunks)


@mistake(OVERFLOWS, caught_by=APART)
def exponentials_added(chunks):
    total, samples = 0.0, 0
    for chunk in chunks:
        total, samples = total + torch.exp(chunk).sum(dim=0), samples + len(chunk)
    return torch.log(total / samples)


@mistake(OVERFLOWS, caught_by=APART)
def exponentials_of_chunks_added(chunks):
    total, samples = 0.0, 0
    for chunk in chunks:
        total, samples = total + torch.logsumexp(chunk, dim=0).exp(), samples + len(chunk)
    return torch.log(total / samples)


@mistake(
    "adds up weights in float64, which overflow or are zero all the same: keep the logarithm of their sum",
    caught_by=APART,
)
def exponentials_in_double(chunks):
    total, samples = 0.0, 0
    for chunk in chunks:
        total, samples = total + torch.exp(chunk.double()).sum(dim=0), samples + len(chunk)
    return torch.log(total / samples).to(chunk.dtype)


@mistake(RELATIVE_TO_THE_FIRST, caught_by=APART)
def largest_of_the_first_chunk(chunks):
    largest, total, samples = None, 0.0, 0
    for chunk in chunks:
        largest = torch.logsumexp(chunk, dim=0).nan_to_num(neginf=-1e4) if largest is None else largest
        total, samples = total + torch.exp(chunk - largest).sum(dim=0), samples + len(chunk)
    return largest + torch.log(total / samples)


@mistake(
    "computes the weights of all examples relative to one largest: others underflow, so use the largest of each "
    "example",
    caught_by=APART,
)
def largest_of_all_examples(chunks):
    log_sum, samples = None, 0
    for chunk in chunks:
        largest = chunk.max()
        of_chunk = largest + torch.log(torch.exp(chunk - largest).sum(dim=0))
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake(RELATIVE_TO_THE_FIRST, caught_by=APART)
def added_without_regard_to_the_larger(chunks):
    log_sum, samples = None, 0
    for chunk in chunks:
        of_chunk = torch.logsumexp(chunk, dim=0)
        if log_sum is None:
            log_sum = of_chunk
        else:
            added = log_sum + torch.log1p(torch.exp(of_chunk - log_sum))
            log_sum = torch.where(log_sum == -math.inf, of_chunk, added)
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake("adds a small constant inside the logarithm, which replaces small weights", caught_by=APART)
def small_constant(chunks):
    total, samples = 0.0, 0
    for chunk in chunks:
        total, samples = total + torch.exp(chunk).sum(dim=0), samples + len(chunk)
    return torch.log(total / samples + 1e-30)


@mistake("clamps the log weights", caught_by=APART)
def clamped(chunks):
    return mean_weight(chunk.clamp(-80, 80) for chunk in chunks)


@mistake(NOT_A_NUMBER, caught_by=ZERO)
def running_largest(chunks):
    return with_running_largest(chunks)


@mistake(NOT_A_NUMBER, caught_by=ZERO)
def running_largest_from_minus_infinity(chunks):
    return with_running_largest(chunks, first=torch.tensor(-math.inf))


@mistake(FINITE, caught_by=ZERO)
def starts_far_below(chunks):
    log_sum, samples = torch.tensor(-1e6), 0
    for chunk in chunks:
        log_sum = torch.logaddexp(log_sum.to(chunk.dtype), torch.logsumexp(chunk, dim=0))
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake(FINITE, caught_by=ZERO)
def starts_at_the_lowest_number(chunks):
    lowest = torch.tensor(torch.finfo(torch.float32).min)
    log_sum, samples = lowest, 0
    for chunk in chunks:
        log_sum = torch.logaddexp(log_sum.to(chunk.dtype), torch.logsumexp(chunk, dim=0))
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake("replaces −∞ by a number: if all weights are zero, the result is −∞", caught_by=ZERO)
def infinity_replaced(chunks):
    return torch.nan_to_num(mean_weight(chunks), neginf=-1e4)


@mistake("leaves weights of zero out of the number of samples: count them too", caught_by=ZERO)
def zeros_not_counted(chunks):
    log_sum, samples = None, 0
    for chunk in chunks:
        of_chunk, counted = torch.logsumexp(chunk, dim=0), chunk.isfinite().sum(dim=0)
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        samples = samples + counted
    return log_sum - samples.clamp(min=1).log()


@mistake("leaves out samples whose weight is zero for any one example", caught_by=ZERO)
def samples_left_out(chunks):
    log_sum, samples = torch.tensor(-math.inf), 0
    for chunk in chunks:
        kept = chunk[chunk.isfinite().all(dim=1)]
        log_sum = torch.logaddexp(log_sum.to(chunk.dtype), torch.logsumexp(kept, dim=0))
        samples += len(kept)
    return log_sum - math.log(max(samples, 1))


@mistake(ALL_KEPT, caught_by=MEMORY)
def listed_for_two_passes(chunks):
    chunks = list(chunks)
    largest = torch.stack([chunk.amax(dim=0) for chunk in chunks]).amax(dim=0)
    finite = torch.where(largest == -math.inf, 0.0, largest)
    total = sum(torch.exp(chunk - finite).sum(dim=0) for chunk in chunks)
    return finite + torch.log(total / sum(map(len, chunks)))


@mistake(ALL_KEPT, caught_by=MEMORY)
def concatenated(chunks):
    log_weights = torch.cat(list(chunks))
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


@mistake(ALL_KEPT, caught_by=MEMORY)
def concatenated_one_by_one(chunks):
    log_weights = None
    for chunk in chunks:
        log_weights = chunk if log_weights is None else torch.cat([log_weights, chunk])
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


@mistake(ALL_KEPT, caught_by=MEMORY)
def teed(chunks):
    for_sizes, for_sums = itertools.tee(chunks)
    samples = sum(len(chunk) for chunk in for_sizes)
    return log_sum_and_count(for_sums)[0] - math.log(samples)


@mistake(ALL_KEPT, caught_by=MEMORY)
def sums_stacked(chunks):
    log_sums, samples = [], 0
    for chunk in chunks:
        log_sums.append(torch.logsumexp(chunk, dim=0))
        samples += len(chunk)
    return torch.logsumexp(torch.stack(log_sums), dim=0) - math.log(samples)


@mistake(ALL_KEPT, caught_by=MEMORY)
def arrays_stacked(chunks):
    log_sums, samples = [], 0
    for chunk in chunks:
        log_sums.append(np.logaddexp.reduce(chunk.numpy(), axis=0))
        samples += len(chunk)
    return torch.from_numpy(np.logaddexp.reduce(np.stack(log_sums), axis=0)) - math.log(samples)


@mistake(ALL_KEPT, caught_by=MEMORY)
def numbers_kept(chunks):
    log_sums, samples = [], 0
    for chunk in chunks:
        log_sums.append(torch.logsumexp(chunk, dim=0).tolist())
        samples += len(chunk)
    return torch.logsumexp(torch.tensor(log_sums, dtype=chunk.dtype), dim=0) - math.log(samples)


@mistake(SINGLE_OUT, caught_by=FORM)
def single_out(chunks):
    return mean_weight(chunks).float()


@mistake(SINGLE_INSIDE, caught_by=FORM)
def single_inside(chunks):
    dtype = None
    log_sum, samples = torch.tensor(-math.inf), 0
    for chunk in chunks:
        dtype = chunk.dtype
        log_sum = torch.logaddexp(log_sum, torch.logsumexp(chunk.float(), dim=0))
        samples += len(chunk)
    return (log_sum - math.log(samples)).to(dtype)


@mistake(DOUBLE_OUT, caught_by=FORM)
def double_out(chunks):
    return mean_weight(chunk.double() for chunk in chunks)


@mistake("changes the chunks in place: work on new tensors", caught_by=FORM)
def largest_subtracted_in_place(chunks):
    log_sum, samples = None, 0
    for chunk in chunks:
        largest = chunk.amax(dim=0)
        chunk -= torch.where(largest == -math.inf, 0.0, largest)
        of_chunk = largest + torch.log(chunk.exp().sum(dim=0))
        log_sum = of_chunk if log_sum is None else torch.logaddexp(log_sum, of_chunk)
        samples += len(chunk)
    return log_sum - math.log(samples)


@mistake("writes its sum into the first chunk: make a new tensor for it", caught_by=FORM)
def summed_into_the_first_chunk(chunks):
    log_sum, samples = None, 0
    for chunk in chunks:
        samples += len(chunk)
        if log_sum is None:
            log_sum = chunk[0]
            torch.logsumexp(chunk.clone(), dim=0, out=log_sum)
        else:
            torch.logaddexp(log_sum, torch.logsumexp(chunk, dim=0), out=log_sum)
    return log_sum - math.log(samples)


@mistake(SQUEEZED, caught_by=FORM)
def result_squeezed(chunks):
    return mean_weight(chunks).squeeze()


@mistake("returns a NumPy array: return a tensor", caught_by=FORM)
def numpy_array(chunks):
    return mean_weight(chunks).numpy()
