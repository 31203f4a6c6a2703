"""Right ways to write ``score_function_gradient``."""

import sys

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def column_times_rows(f_values, log_prob_gradients, baseline):
    return ((f_values - baseline)[:, None] * log_prob_gradients).mean(dim=0)


@variant
def einsum(f_values, log_prob_gradients, baseline):
    return torch.einsum("s,sp->p", f_values - baseline, log_prob_gradients) / f_values.shape[0]


@variant
def from_the_right(f_values, log_prob_gradients, baseline):
    return log_prob_gradients.T @ (f_values - baseline) / f_values.numel()


@variant
def two_means(f_values, log_prob_gradients, baseline):
    return (f_values.unsqueeze(1) * log_prob_gradients).mean(0) - baseline * log_prob_gradients.mean(0)


@variant
def running_sum(f_values, log_prob_gradients, baseline):
    print("samples:", len(f_values))
    print("UserWarning: nothing is wrong", file=sys.stderr)
    total = torch.zeros_like(log_prob_gradients[0])
    for value, gradient in zip(f_values, log_prob_gradients, strict=True):
        total = total + (value - baseline) * gradient
    return total / len(f_values)


@variant
def parameter_by_parameter(f_values, log_prob_gradients, baseline):
    advantage = f_values - baseline
    return torch.stack([torch.mean(advantage * gradient) for gradient in log_prob_gradients.T])


@variant
def transposed_product(f_values, log_prob_gradients, baseline):
    return torch.mean(log_prob_gradients.t() * (f_values - baseline), 1)


@variant
def numpy_inside(f_values, log_prob_gradients, baseline):
    advantage = f_values.numpy() - np.asarray(baseline, dtype=f_values.numpy().dtype)
    return torch.from_numpy(np.mean(advantage[:, np.newaxis] * log_prob_gradients.numpy(), axis=0))


@variant
def plain_python(f_values, log_prob_gradients, baseline):
    f, g = f_values.tolist(), log_prob_gradients.tolist()
    mean = [sum((f[s] - baseline) * g[s][p] for s in range(len(f))) / len(f) for p in range(len(g[0]))]
    return torch.tensor(mean, dtype=f_values.dtype)


@variant
def matrix_of_one_row(f_values, log_prob_gradients, baseline):
    row = (f_values - float(baseline)).reshape(1, -1) / len(f_values)
    return torch.mm(row, log_prob_gradients).reshape(-1)


@variant
def in_double_precision(f_values, log_prob_gradients, baseline):
    terms = (f_values.double() - baseline).unsqueeze(-1) * log_prob_gradients.double()
    return torch.mean(terms, dim=-2).to(f_values.dtype)


@variant
def by_autograd(f_values, log_prob_gradients, baseline):
    step = torch.zeros(log_prob_gradients.shape[1], dtype=f_values.dtype, requires_grad=True)
    surrogate = ((f_values - baseline) * (log_prob_gradients @ step)).mean()
    return torch.autograd.grad(surrogate, step)[0]
