"""Right ways to write ``bits_per_dim``."""

import math

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def one_after_the_other(nats, num_dims):
    return nats / math.log(2) / num_dims


@variant
def bits_of_a_nat(nats, num_dims):
    return nats * math.log2(math.e) / num_dims


@variant
def logarithm_of_numpy(nats, num_dims):
    bits = nats / (num_dims * np.log(2.0))
    return bits if isinstance(bits, torch.Tensor) else float(bits)


@variant
def logarithm_of_torch(nats, num_dims):
    log_two = torch.log(torch.tensor(2.0, dtype=torch.float64)).item()
    return (nats / num_dims) / log_two


@variant
def by_kinds(nats, num_dims):
    if isinstance(nats, torch.Tensor):
        return nats.div(num_dims).mul(1 / math.log(2))
    print("a float:", nats)
    return nats / num_dims * 1.4426950408889634
