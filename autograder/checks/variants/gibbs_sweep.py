"""Right ways to write ``gibbs_sweep``."""

import math
import random
import sys

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def written_out(spins, coupling, field, uniforms):
    s = spins.clone()
    for i in range(len(s)):
        p = 1 / (1 + torch.exp(-2 * (field[i] + (coupling[i] * s).sum())))
        s[i] = 1.0 if uniforms[i] < p else -1.0
    return s


@variant
def by_tanh(spins, coupling, field, uniforms):
    s = spins.clone()
    for i in range(len(s)):
        up = 0.5 * (1 + torch.tanh(field[i] + torch.dot(coupling[:, i], s)))
        s[i] = torch.where(uniforms[i] < up, 1.0, -1.0)
    return s


@variant
def log_odds(spins, coupling, field, uniforms):
    s, thresholds = spins.clone(), torch.log(uniforms) - torch.log1p(-uniforms)
    for i in range(len(s)):
        s[i] = 2.0 * (thresholds[i] < 2 * (field[i] + coupling[i] @ s)) - 1
    return s


@variant
def softmax_of_both_values(spins, coupling, field, uniforms):
    s, values = spins.clone(), torch.tensor([1.0, -1.0], dtype=field.dtype)
    for i in range(len(s)):
        p = torch.softmax(values * (field[i] + coupling[i] @ s), dim=0)
        s[i] = 1 if uniforms[i] < p[0] else -1
    return s


@variant
def from_both_energies(spins, coupling, field, uniforms):
    s = spins.clone()

    def log_potential(value, i):
        t = s.clone()
        t[i] = value
        return 0.5 * t @ coupling @ t + field @ t

    for i in range(len(s)):
        p = torch.sigmoid(log_potential(1.0, i) - log_potential(-1.0, i))
        s[i] = 1.0 if bool(uniforms[i] < p) else -1.0
    return s


@variant
def fields_kept_up_to_date(spins, coupling, field, uniforms):
    s, felt = spins.clone(), field + coupling @ spins
    for i in range(len(s)):
        drawn = 1.0 if uniforms[i] < torch.sigmoid(2 * felt[i]) else -1.0
        felt = felt + coupling[:, i] * (drawn - s[i])
        s[i] = drawn
    return s


@variant
def numpy_loop(spins, coupling, field, uniforms):
    s, J, h, u = spins.numpy().copy(), coupling.numpy(), field.numpy(), uniforms.numpy()
    with np.errstate(over="ignore"):
        for i in range(len(s)):
            s[i] = 1.0 if u[i] < 1.0 / (1.0 + np.exp(-2.0 * (h[i] + J[i] @ s))) else -1.0
    return torch.from_numpy(s)


@variant
def plain_python(spins, coupling, field, uniforms):
    print("one sweep")
    print("UserWarning: nothing is wrong", file=sys.stderr)
    s, J, h, u = (tensor.tolist() for tensor in (spins, coupling, field, uniforms))
    for i in range(len(s)):
        a = h[i] + sum(J[i][j] * s[j] for j in range(len(s)) if j != i)
        p = 1 / (1 + math.exp(-2 * a)) if a > 0 else math.exp(2 * a) / (1 + math.exp(2 * a))
        s[i] = 1.0 if u[i] < p else -1.0
    return torch.tensor(s, dtype=spins.dtype)


@variant
def with_seed_set_elsewhere(spins, coupling, field, uniforms):
    random.seed(0)
    s = spins.detach().clone()
    for i, u in enumerate(uniforms):
        s[i] = -1.0
        if u < torch.special.expit(2 * (field[i] + coupling[i] @ s)):
            s[i] = 1.0
    return s


@variant
def in_double_precision(spins, coupling, field, uniforms):
    s, J, h, u = (tensor.double().clone() for tensor in (spins, coupling, field, uniforms))
    for i in range(len(s)):
        s[i] = torch.sign(torch.sigmoid(2 * (h[i] + J[i] @ s)) - u[i] - 1e-12)
    return s.to(spins.dtype)


@variant
def truth_value_as_a_number(spins, coupling, field, uniforms):
    s = spins.clone()
    for i in range(len(s)):
        s[i] = 2 * (uniforms[i] < 0.5 + 0.5 * torch.tanh(field[i] + coupling[i].dot(s))).to(s.dtype) - 1
    return s


@variant
def by_logaddexp(spins, coupling, field, uniforms):
    s = spins.clone()
    for i in range(len(s)):
        a = field[i] + coupling[i].dot(s)
        s[i] = 1.0 if uniforms[i] < torch.exp(a - torch.logaddexp(a, -a)) else -1.0
    return s
