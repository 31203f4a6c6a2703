"""Wrong ways to write ``inverse_autoregressive_step``."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

VALUES = "transformed z"
DETERMINANT = "log-determinant"
FORM = "logits from −100 to 100, gradients, precision kept"
LOST = "loses log σ(g) where σ(g) is close to 0 or exp(−g) overflows: compute it from g, as logsigmoid does"
GATE_CONSTANT = "treats the gate as a constant: gradients must reach its logit through both results"
CLAMPED = "clamps the logits: use them as they are, from −100 to 100"
SHIFT_CONSTANT = "treats the shift as a constant: gradients must reach it too"


@mistake("weights z by 1 − σ(g) and the shift by σ(g): it should be the other way round", caught_by=VALUES)
def gate_reversed(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return (1 - gate) * z + gate * shift, F.logsigmoid(gate_logit).sum(dim=1)


@mistake("adds the whole shift: multiply it by 1 − σ(g)", caught_by=VALUES)
def shift_not_gated(z, shift, gate_logit):
    return torch.sigmoid(gate_logit) * z + shift, F.logsigmoid(gate_logit).sum(dim=1)


@mistake("weights the shift by σ(g) too: multiply it by 1 − σ(g)", caught_by=VALUES)
def sum_gated(z, shift, gate_logit):
    return torch.sigmoid(gate_logit) * (z + shift), F.logsigmoid(gate_logit).sum(dim=1)


@mistake("subtracts the shift and scales the rest: compute z' = σ(g)·z + (1 − σ(g))·shift", caught_by=VALUES)
def shift_subtracted(z, shift, gate_logit):
    return torch.sigmoid(gate_logit) * (z - shift), F.logsigmoid(gate_logit).sum(dim=1)


@mistake("subtracts (1 − σ(g))·shift: add it", caught_by=VALUES)
def sign_of_the_shift(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z - (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1)


@mistake("uses the logit as the gate: the gate is σ(gate_logit)", caught_by=VALUES)
def logit_for_gate(z, shift, gate_logit):
    return gate_logit * z + (1 - gate_logit) * shift, gate_logit.abs().log().sum(dim=1)


@mistake("uses exp(gate_logit) as the gate: the gate is σ(gate_logit)", caught_by=VALUES)
def exponential_gate(z, shift, gate_logit):
    gate = torch.exp(gate_logit)
    return gate * z + (1 - gate) * shift, gate_logit.sum(dim=1)


@mistake("uses tanh for the gate: the gate is σ(gate_logit)", caught_by=VALUES)
def tanh_gate(z, shift, gate_logit):
    gate = torch.tanh(gate_logit)
    return gate * z + (1 - gate) * shift, gate.abs().log().sum(dim=1)


@mistake("computes z·exp(g) + shift: here the step is gated, σ(g)·z + (1 − σ(g))·shift", caught_by=VALUES)
def affine(z, shift, gate_logit):
    return z * torch.exp(gate_logit) + shift, gate_logit.sum(dim=1)


@mistake("adds 1 to the logit: opening the gate at the start is left to the network", caught_by=VALUES)
def logit_shifted(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit + 1)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit + 1).sum(dim=1)


@mistake("undoes the step: it returns the inverse, (z − (1 − σ(g))·shift) / σ(g)", caught_by=VALUES)
def inverted(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return (z - (1 - gate) * shift) / gate, -F.logsigmoid(gate_logit).sum(dim=1)


@mistake("sums the logits: the diagonal of the Jacobian holds σ(g)", caught_by=DETERMINANT)
def logits_added(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, gate_logit.sum(dim=1)


@mistake("sums the gates: sum their logarithms", caught_by=DETERMINANT)
def logarithm_forgotten(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, gate.sum(dim=1)


@mistake("sums log(1 − σ(g)): the diagonal of the Jacobian holds σ(g)", caught_by=DETERMINANT)
def logarithms_of_the_rest(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(-gate_logit).sum(dim=1)


@mistake("averages over the dimensions: sum the logarithms", caught_by=DETERMINANT)
def averaged(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).mean(dim=1)


@mistake("returns the log-determinant of the inverse: its sign is wrong", caught_by=DETERMINANT)
def of_the_inverse(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, -F.logsigmoid(gate_logit).sum(dim=1)


@mistake("returns the logarithm of each entry: sum over the dimensions of an example", caught_by=DETERMINANT)
def not_summed(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit)


@mistake("sums over the batch too: each example has its own log-determinant", caught_by=DETERMINANT)
def summed_over_everything(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum()


@mistake("sums over the batch: sum over the dimensions of each example", caught_by=DETERMINANT)
def summed_over_the_batch(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=0)


@mistake("keeps the summed dimension: the shape should be (batch,)", caught_by=DETERMINANT)
def dimension_kept(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1, keepdim=True)


@mistake("differentiates the gate: the Jacobian is the derivative of z' with respect to z", caught_by=DETERMINANT)
def derivative_of_the_gate(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, torch.log(gate * (1 - gate)).sum(dim=1)


@mistake("is in bits: return nats", caught_by=DETERMINANT)
def in_bits(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1) / math.log(2)


@mistake("is 0, as if the step preserved volume: it shrinks volumes", caught_by=DETERMINANT)
def volume_kept(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, torch.zeros_like(z[:, 0])


@mistake("returns the determinant: return its logarithm", caught_by=DETERMINANT)
def determinant(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, gate.prod(dim=1)


@mistake("adds the log-density of the noise: return the log-determinant alone", caught_by=DETERMINANT)
def density_included(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    log_density = -0.5 * (z**2 + math.log(2 * math.pi)).sum(dim=1)
    return gate * z + (1 - gate) * shift, log_density - F.logsigmoid(gate_logit).sum(dim=1)


@mistake(LOST, caught_by=FORM)
def logarithm_of_the_sigmoid(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, gate.log().sum(dim=1)


@mistake(LOST, caught_by=FORM)
def logarithm_of_the_product(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, gate.prod(dim=1).log()


@mistake("adds a small constant to σ(g), which changes it where the gate is shut", caught_by=FORM)
def small_constant(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, torch.log(gate + 1e-8).sum(dim=1)


@mistake("adds a small constant to σ(g), which changes it where the gate is shut", caught_by=FORM)
def smaller_constant(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, torch.log(gate + 1e-12).sum(dim=1)


@mistake("clamps log σ(g): it goes down to −100", caught_by=FORM)
def logarithm_clamped(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).clamp(min=-30.0).sum(dim=1)


@mistake(CLAMPED, caught_by=FORM)
def logits_clamped(z, shift, gate_logit):
    logit = gate_logit.clamp(-10.0, 10.0)
    gate = torch.sigmoid(logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(logit).sum(dim=1)


@mistake("exp(100) overflows, so the quotient is NaN where the gate is wide open", caught_by=FORM)
def quotient_of_exponentials(z, shift, gate_logit):
    gate = torch.exp(gate_logit) / (1 + torch.exp(gate_logit))
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1)


@mistake(LOST, caught_by=FORM)
def logarithm_of_one_plus(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, -torch.log(1 + torch.exp(-gate_logit)).sum(dim=1)


@mistake("has NaN gradients: exp(100) overflows, and so does its derivative", caught_by=FORM)
def sigmoid_by_hand(z, shift, gate_logit):
    gate = 1 / (1 + torch.exp(-gate_logit))
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1)


@mistake(GATE_CONSTANT, caught_by=FORM)
def gate_detached(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit).detach()
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1)


@mistake(GATE_CONSTANT, caught_by=FORM)
def log_determinant_detached(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1).detach()


@mistake(SHIFT_CONSTANT, caught_by=FORM)
def shift_detached(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return gate * z + (1 - gate) * shift.detach(), F.logsigmoid(gate_logit).sum(dim=1)


@mistake("changes z in place (*=): work on new tensors", caught_by=FORM)
def z_changed(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    z *= gate.detach()
    return z + (1 - gate) * shift, F.logsigmoid(gate_logit).sum(dim=1)


@mistake(SINGLE_OUT, caught_by=FORM)
def single_out(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit)
    return (gate * z + (1 - gate) * shift).float(), F.logsigmoid(gate_logit).sum(dim=1).float()


@mistake(SINGLE_INSIDE, caught_by=FORM)
def single_inside(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit.float()).to(z.dtype)
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit.float()).sum(dim=1).to(z.dtype)


@mistake(DOUBLE_OUT, caught_by=FORM)
def double_out(z, shift, gate_logit):
    gate = torch.sigmoid(gate_logit.double())
    return gate * z + (1 - gate) * shift, F.logsigmoid(gate_logit.double()).sum(dim=1)
