"""Right ways to write ``free_bits``."""

import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def selected(kl, nats_per_layer):
    return torch.where(kl.mean(dim=0, keepdim=True) >= nats_per_layer, kl, torch.full_like(kl, nats_per_layer))


@variant
def layer_by_layer(kl, nats_per_layer):
    columns = []
    for column in kl.T:
        within = column.mean().item() < nats_per_layer
        columns.append(torch.full_like(column, nats_per_layer) if within else column)
    return torch.stack(columns, dim=1)


@variant
def filled(kl, nats_per_layer):
    within = (kl.mean(dim=0) < nats_per_layer).expand_as(kl)
    return kl.masked_fill(within, nats_per_layer)


@variant
def by_a_product(kl, nats_per_layer):
    above = (kl.sum(dim=0) / len(kl) >= nats_per_layer).to(kl.dtype)
    return above * kl + (1 - above) * nats_per_layer


@variant
def written_into_a_clone(kl, nats_per_layer):
    result = kl.clone()
    result[:, kl.detach().mean(dim=0) < nats_per_layer] = nats_per_layer
    return result


@variant
def in_double_precision(kl, nats_per_layer):
    means = kl.double().mean(0)
    print("layers within their free bits:", int((means < nats_per_layer).sum()), file=sys.stderr)
    return torch.where(means < nats_per_layer, torch.tensor(nats_per_layer, dtype=kl.dtype), kl)
