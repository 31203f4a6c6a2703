"""Right ways to write ``mean_field_fit``."""

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def through_the_library(coupling, field, start, tolerance):
    from avae_lib.meanfield.ising_mean_field import ising_elbo, ising_mean_field_sweep

    means, bounds = start, []
    for _ in range(200):
        new = ising_mean_field_sweep(means, coupling, field)
        bounds.append(ising_elbo(new, coupling, field))
        moved = (new - means).abs().max()
        means = new
        if moved <= tolerance:
            break
    return means, torch.stack(bounds)


@variant
def loop_until_the_condition_holds(coupling, field, start, tolerance):
    from avae_lib.meanfield import ising_elbo, ising_mean_field_sweep

    means, moved, bounds = start.clone(), float("inf"), []
    while moved > tolerance and len(bounds) < 200:
        old = means.clone()
        means = ising_mean_field_sweep(means, coupling, field)
        moved = torch.max(torch.abs(means - old)).item()
        bounds.append(ising_elbo(means, coupling, field).item())
    return means, torch.tensor(bounds, dtype=start.dtype)


@variant
def all_by_itself(coupling, field, start, tolerance):
    means = start.clone()
    bounds = torch.zeros(0, dtype=start.dtype)
    for sweep in range(200):
        largest = 0.0
        for i in range(len(means)):
            new = torch.tanh(field[i] + coupling[i] @ means)
            largest = max(largest, (new - means[i]).abs().item())
            means[i] = new
        up = (1 + means) / 2
        entropy = torch.special.entr(up).sum() + torch.special.entr(1 - up).sum()
        bound = (0.5 * coupling @ means + field) @ means + entropy
        bounds = torch.cat([bounds, bound.reshape(1)])
        if largest <= tolerance:
            print("at rest after", sweep + 1, "sweeps")
            break
    return means, bounds


@variant
def numpy_loop(coupling, field, start, tolerance):
    J, h, m = coupling.numpy(), field.numpy(), start.numpy().copy()
    bounds = []
    while len(bounds) < 200:
        old = m.copy()
        for i in range(len(m)):
            m[i] = np.tanh(h[i] + J[i] @ m)
        q = np.stack([(1 + m) / 2, (1 - m) / 2])
        entropy = -np.sum(q * np.log(np.where(q > 0, q, 1.0)))
        bounds.append(m @ J @ m / 2 + h @ m + entropy)
        if np.abs(m - old).max() <= tolerance:
            break
    return torch.from_numpy(m), torch.tensor(np.array(bounds, dtype=m.dtype))


@variant
def recursive(coupling, field, start, tolerance):
    from avae_lib.meanfield.ising_mean_field import ising_elbo, ising_mean_field_sweep

    def go_on(means, bounds):
        new = ising_mean_field_sweep(means, coupling, field)
        bounds = [*bounds, ising_elbo(new, coupling, field)]
        if bool((torch.abs(new - means) <= tolerance).all()) or len(bounds) == 200:
            return new, torch.stack(bounds)
        return go_on(new, bounds)

    return go_on(start, [])


@variant
def in_double_precision(coupling, field, start, tolerance):
    from avae_lib.meanfield.ising_mean_field import ising_elbo, ising_mean_field_sweep

    means, J, h = start.double(), coupling.double(), field.double()
    bounds = torch.full((200,), torch.nan, dtype=torch.float64)
    for sweep in range(200):
        before, means = means, ising_mean_field_sweep(means, J, h)
        bounds[sweep] = ising_elbo(means, J, h)
        if torch.linalg.vector_norm(means - before, ord=float("inf")) <= tolerance:
            break
    return [means.to(start.dtype), bounds[: sweep + 1].to(start.dtype)]
