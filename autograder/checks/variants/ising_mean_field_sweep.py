"""Right ways to write ``ising_mean_field_sweep``."""

import math
import sys

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def sum_over_neighbours(means, coupling, field):
    means = means.clone()
    for i in range(means.shape[0]):
        means[i] = torch.tanh(field[i] + (coupling[i, :] * means).sum())
    return means


@variant
def two_loops(means, coupling, field):
    new = means.clone()
    for i in range(len(new)):
        felt = field[i].clone()
        for j in range(len(new)):
            if j != i:
                felt += coupling[i, j] * new[j]
        new[i] = torch.tanh(felt)
    return new


@variant
def by_columns(means, coupling, field):
    m = means.detach().clone()
    for i in range(len(m)):
        m[i] = (field[i] + m @ coupling[:, i]).tanh()
    return m


@variant
def by_logistic_function(means, coupling, field):
    m = means.clone()
    for i in range(len(m)):
        m[i] = 2 * torch.sigmoid(2 * (field[i] + torch.dot(coupling[i], m))) - 1
    return m


@variant
def fields_kept_up_to_date(means, coupling, field):
    m, felt = means.clone(), field + coupling @ means
    for i in range(len(m)):
        old = m[i].clone()
        m[i] = torch.tanh(felt[i])
        felt = felt + coupling[:, i] * (m[i] - old)
    return m


@variant
def new_and_old_parts(means, coupling, field):
    done: list[torch.Tensor] = []
    for i in range(len(means)):
        earlier = torch.stack(done) @ coupling[i, :i] if done else 0.0
        done.append(torch.tanh(field[i] + earlier + coupling[i, i + 1 :] @ means[i + 1 :]))
    return torch.stack(done)


@variant
def triangular_parts(means, coupling, field):
    from_later = coupling.triu(1) @ means
    m = torch.zeros_like(means)
    for i in range(len(m)):
        m[i] = torch.tanh(field[i] + from_later[i] + coupling[i, :i] @ m[:i])
    return m


@variant
def numpy_loop(means, coupling, field):
    m, J, h = means.numpy().copy(), coupling.numpy(), field.numpy()
    for i in range(len(m)):
        m[i] = np.tanh(h[i] + J[i] @ m)
    return torch.from_numpy(m)


@variant
def plain_python(means, coupling, field):
    print("one sweep over", len(means), "spins")
    print("UserWarning: nothing is wrong", file=sys.stderr)
    m, J, h = means.tolist(), coupling.tolist(), field.tolist()
    for i in range(len(m)):
        m[i] = math.tanh(h[i] + sum(J[i][j] * m[j] for j in range(len(m))))
    return torch.tensor(m, dtype=means.dtype)


@variant
def in_double_precision(means, coupling, field):
    m, J, h = means.double(), coupling.double(), field.double()
    m = m.clone()
    for i in range(len(m)):
        m[i] = torch.tanh(h[i] + J[i] @ m)
    return m.to(means.dtype)


@variant
def safe_exponential(means, coupling, field):
    m = means.clone()
    for i in range(len(m)):
        a = field[i] + coupling[i] @ m
        shrunk = torch.exp(-2 * a.abs())
        m[i] = torch.sign(a) * (1 - shrunk) / (1 + shrunk)
    return m


@variant
def enumerated(means, coupling, field):
    m = torch.clone(means)
    with torch.no_grad():
        for i, (row, h) in enumerate(zip(coupling, field, strict=True)):
            m[i] = torch.tanh(h + torch.einsum("j,j->", row, m))
    return m


@variant
def by_expm1(means, coupling, field):
    m = means.clone()
    for i in range(len(m)):
        a = field[i] + coupling[i] @ m
        less_than_one = torch.expm1(-2 * a.abs())
        m[i] = torch.copysign(-less_than_one / (2 + less_than_one), a)
    return m


@variant
def softmax_of_both_values(means, coupling, field):
    m = means.clone()
    for i in range(len(m)):
        a = field[i] + (coupling[i] * m).sum()
        up, down = torch.softmax(torch.stack([a, -a]), dim=0)
        m[i] = up - down
    return m
