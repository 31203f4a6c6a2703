"""Wrong ways to write ``bits_per_dim``."""

import math

import numpy as np
import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

FORM = "a float for a float, a tensor for a tensor"
CUT_OFF = "no gradient reaches the nats: detach, item, tolist or a new tensor cuts it off"
ALWAYS_A_TENSOR = "returns a tensor for a float: return a float"


@mistake("returns nats: divide by log 2 as well", caught_by="values")
def nats_per_dim(nats, num_dims):
    return nats / num_dims


@mistake("multiplies by log 2: a nat is 1 / log 2 bits, so divide by it", caught_by="values")
def multiplied_by_log_two(nats, num_dims):
    return nats * math.log(2) / num_dims


@mistake("returns bits for the whole example: divide by the number of dimensions as well", caught_by="values")
def bits_per_example(nats, num_dims):
    return nats / math.log(2)


@mistake("multiplies by the number of dimensions: divide by it", caught_by="values")
def multiplied_by_dimensions(nats, num_dims):
    return nats * num_dims / math.log(2)


@mistake("divides by log 10: divide by log 2", caught_by="values")
def decimal_digits(nats, num_dims):
    return nats / (num_dims * math.log(10))


@mistake("divides by the base-10 logarithm of 2: use the natural logarithm", caught_by="values")
def decimal_logarithm_of_two(nats, num_dims):
    return nats / (num_dims * math.log10(2))


@mistake("divides by 2: divide by log 2", caught_by="values")
def divided_by_two(nats, num_dims):
    return nats / (2 * num_dims)


@mistake("takes the base-2 logarithm of the nats, which are already a logarithm", caught_by="values")
def logarithm_of_the_nats(nats, num_dims):
    return torch.log2(torch.as_tensor(nats).abs()) / num_dims


@mistake("divides by log(2D): divide by D log 2", caught_by="values")
def logarithm_of_the_dimensions(nats, num_dims):
    return nats / math.log(2 * num_dims)


@mistake("adds 8 bits, as for images scaled to [0, 1]: here the nats are for whole levels", caught_by="values")
def scaled_images(nats, num_dims):
    return nats / (num_dims * math.log(2)) + 8


@mistake("has the opposite sign: only the unit changes", caught_by="values")
def opposite_sign(nats, num_dims):
    return -nats / (num_dims * math.log(2))


@mistake("divides by 8 as well, the bits of a level: divide by the number of dimensions only", caught_by="values")
def eight_bits(nats, num_dims):
    return nats / (num_dims * 8 * math.log(2))


@mistake("rounds down, with //: use /", caught_by="values")
def floor_division(nats, num_dims):
    return nats // (num_dims * math.log(2))


@mistake("rounds the number of dimensions: a mean number of tokens need not be whole", caught_by="values")
def whole_dimensions(nats, num_dims):
    return nats / (int(num_dims) * math.log(2))


@mistake("averages over the examples: return one number for each", caught_by="values")
def averaged(nats, num_dims):
    total = nats / (num_dims * math.log(2))
    return total.mean() if isinstance(total, torch.Tensor) else total


@mistake("uses 0.69 for log 2: use math.log(2)", caught_by="values")
def two_digits(nats, num_dims):
    return nats / (num_dims * 0.69)


@mistake("uses 0.6931 for log 2, which is right to four digits: use math.log(2)", caught_by="values")
def four_digits(nats, num_dims):
    return nats / (num_dims * 0.6931)


@mistake(ALWAYS_A_TENSOR, caught_by=FORM)
def always_a_tensor(nats, num_dims):
    return torch.as_tensor(nats) / (num_dims * math.log(2))


@mistake(ALWAYS_A_TENSOR, caught_by=FORM)
def tensor_of_log_two(nats, num_dims):
    return nats / num_dims / torch.log(torch.tensor(2.0, dtype=torch.float64)).to(getattr(nats, "dtype", torch.float64))


@mistake(
    "computes log 2 in float32 (torch.log(torch.tensor(2.0))): float64 results need it in float64",
    caught_by=FORM,
)
def log_two_in_single(nats, num_dims):
    return nats / (num_dims * torch.log(torch.tensor(2.0)).item())


@mistake("returns a NumPy number for a float: return a float", caught_by=FORM)
def number_of_numpy(nats, num_dims):
    return (
        nats / (num_dims * np.log(2.0)) if isinstance(nats, torch.Tensor) else np.float64(nats) / num_dims / np.log(2)
    )


@mistake("changes the nats in place (/=): work on a new tensor", caught_by=FORM)
def in_place(nats, num_dims):
    nats /= num_dims * math.log(2)
    return nats


@mistake("returns a Python number for a scalar tensor: return a tensor", caught_by=FORM)
def number_for_a_scalar(nats, num_dims):
    bits = nats / (num_dims * math.log(2))
    return bits.item() if isinstance(bits, torch.Tensor) and bits.ndim == 0 else bits


@mistake(CUT_OFF, caught_by=FORM)
def detached(nats, num_dims):
    bits = nats / (num_dims * math.log(2))
    return bits.detach() if isinstance(bits, torch.Tensor) else bits


@mistake(CUT_OFF, caught_by=FORM)
def new_tensor(nats, num_dims):
    if isinstance(nats, float):
        return nats / (num_dims * math.log(2))
    return torch.tensor((nats.double() / num_dims / math.log(2)).tolist(), dtype=nats.dtype)


@mistake(SINGLE_OUT, caught_by=FORM)
def single_out(nats, num_dims):
    bits = nats / (num_dims * math.log(2))
    return bits.float() if isinstance(bits, torch.Tensor) else bits


@mistake(DOUBLE_OUT, caught_by=FORM)
def double_out(nats, num_dims):
    bits = nats / (num_dims * math.log(2))
    return bits.double() if isinstance(bits, torch.Tensor) else bits
