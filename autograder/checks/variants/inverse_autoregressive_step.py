"""Right ways to write ``inverse_autoregressive_step``."""

import sys

import torch
import torch.nn.functional as F

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def as_printed(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1)


@variant
def interpolated(z, shift, gate_logit):
    print("mean gate", float(gate_logit.sigmoid().mean()), file=sys.stderr)
    return torch.lerp(shift, z, gate_logit.sigmoid()), -F.softplus(-gate_logit).sum(-1)


@variant
def towards_the_shift(z, shift, gate_logit):
    log_gate = -torch.logaddexp(torch.zeros_like(gate_logit), -gate_logit)
    return [shift + torch.exp(log_gate) * (z - shift), log_gate.sum(dim=-1)]


@variant
def softmax_of_two(z, shift, gate_logit):
    logits = torch.stack([gate_logit, torch.zeros_like(gate_logit)])
    weights = logits.softmax(dim=0)
    return weights[0] * z + weights[1] * shift, logits.log_softmax(dim=0)[0].sum(dim=1)


@variant
def by_tanh(z, shift, gate_logit):
    gate = 0.5 * (1 + torch.tanh(0.5 * gate_logit))
    log_gate = gate_logit.clamp(max=0.0) - torch.log1p(torch.exp(-gate_logit.abs()))
    return gate * z + (1 - gate) * shift, torch.einsum("bd->b", log_gate)


@variant
def example_by_example(z, shift, gate_logit):
    rows, logs = [], []
    for vector, mean, logit in zip(z, shift, gate_logit, strict=True):
        rows.append(vector * logit.sigmoid() + mean * (-logit).sigmoid())
        logs.append(F.logsigmoid(logit).sum())
    return torch.stack(rows), torch.stack(logs)
