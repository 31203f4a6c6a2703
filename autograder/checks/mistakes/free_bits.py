"""Wrong ways to write ``free_bits``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

VALUES = "values"
BATCH_MEAN = "gives each example the mean of the batch: in a layer above the threshold each example keeps its own KL"
GRADIENT_KEPT = "lets the gradient through where a layer is within its free bits: it should be 0 there"
CUT_OFF = "no gradient arrives: detach, .data, no_grad, item or NumPy cuts it off"


@mistake("compares each example's KL with the threshold: compare the batch mean of the layer", caught_by=VALUES)
def each_example_clamped(kl, nats_per_layer):
    return kl.clamp(min=nats_per_layer)


@mistake("compares the sum over the batch with the threshold: compare the mean", caught_by=VALUES)
def sum_compared(kl, nats_per_layer):
    return torch.where(kl.sum(dim=0) < nats_per_layer, nats_per_layer, kl)


@mistake("averages over the layers: average over the batch, for each layer", caught_by=VALUES)
def mean_over_layers(kl, nats_per_layer):
    return torch.where(kl.mean(dim=1, keepdim=True) < nats_per_layer, nats_per_layer, kl)


@mistake("averages over all layers at once: each layer has its own free bits", caught_by=VALUES)
def mean_of_all(kl, nats_per_layer):
    return torch.where(kl.mean() < nats_per_layer, nats_per_layer, kl)


@mistake("compares the KL of all layers together: each layer has its own free bits", caught_by=VALUES)
def total_compared(kl, nats_per_layer):
    return torch.where(kl.sum(dim=1).mean() < nats_per_layer, nats_per_layer, kl)


@mistake("divides the threshold among the layers: each layer has all of it", caught_by=VALUES)
def threshold_shared_out(kl, nats_per_layer):
    share = nats_per_layer / kl.shape[1]
    return torch.where(kl.mean(dim=0) < share, share, kl)


@mistake("compares the largest KL of the batch: compare the mean", caught_by=VALUES)
def largest_compared(kl, nats_per_layer):
    return torch.where(kl.amax(dim=0) < nats_per_layer, nats_per_layer, kl)


@mistake("subtracts the threshold: leave the KL of a layer above it as it is", caught_by=VALUES)
def threshold_subtracted(kl, nats_per_layer):
    return (kl - nats_per_layer).clamp(min=0.0)


@mistake("returns 0 within the free bits: a layer that uses less counts as the threshold", caught_by=VALUES)
def zero_within(kl, nats_per_layer):
    return torch.where(kl.mean(dim=0) < nats_per_layer, 0.0, kl)


@mistake("caps the KL at the threshold: it is the KL below the threshold that is raised to it", VALUES)
def capped(kl, nats_per_layer):
    return torch.where(kl.mean(dim=0) > nats_per_layer, nats_per_layer, kl)


@mistake("caps the KL at the threshold: it is the KL below the threshold that is raised to it", VALUES)
def each_example_capped(kl, nats_per_layer):
    return kl.clamp(max=nats_per_layer)


@mistake(BATCH_MEAN, caught_by=VALUES)
def batch_mean_for_each(kl, nats_per_layer):
    return kl.mean(dim=0, keepdim=True).clamp(min=nats_per_layer).expand_as(kl)


@mistake("averages over the batch: the shape should be (batch, layers)", caught_by=VALUES)
def batch_mean(kl, nats_per_layer):
    return kl.mean(dim=0).clamp(min=nats_per_layer)


@mistake("sums over the layers: each layer has its own column", caught_by=VALUES)
def summed_over_layers(kl, nats_per_layer):
    return torch.where(kl.mean(dim=0) < nats_per_layer, nats_per_layer, kl).sum(dim=1)


@mistake("returns one number, the loss: return the KL of each example and layer", caught_by=VALUES)
def loss_of_all(kl, nats_per_layer):
    return kl.mean(dim=0).clamp(min=nats_per_layer).sum()


@mistake("adds to each example what the layer's mean lacks: set all examples to the threshold", caught_by=VALUES)
def lifted(kl, nats_per_layer):
    return kl + (nats_per_layer - kl.mean(dim=0)).clamp(min=0.0)


@mistake("scales the KL so that its mean is the threshold: set all examples to the threshold", caught_by=VALUES)
def stretched(kl, nats_per_layer):
    mean = kl.mean(dim=0)
    return torch.where(mean < nats_per_layer, kl * (nats_per_layer / mean.clamp(min=1e-8)), kl)


@mistake("converts the threshold from bits: it is in nats, despite the name", caught_by=VALUES)
def threshold_from_bits(kl, nats_per_layer):
    nats = nats_per_layer * math.log(2)
    return torch.where(kl.mean(dim=0) < nats, nats, kl)


@mistake("replaces only examples below the threshold: if the layer's mean is below it, replace all", caught_by=VALUES)
def only_small_examples(kl, nats_per_layer):
    within = (kl.mean(dim=0) < nats_per_layer) & (kl < nats_per_layer)
    return torch.where(within, nats_per_layer, kl)


@mistake(GRADIENT_KEPT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def gradient_straight_through(kl, nats_per_layer):
    free = torch.where(kl.mean(dim=0) < nats_per_layer, nats_per_layer, kl)
    return kl + (free - kl).detach()


@mistake(GRADIENT_KEPT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def gradient_of_the_mean(kl, nats_per_layer):
    mean = kl.mean(dim=0)
    return torch.where(mean < nats_per_layer, nats_per_layer + mean - mean.detach(), kl)


@mistake(
    "cuts the gradient off where a layer uses more than its free bits: it should be 1 there",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def gradient_the_other_way(kl, nats_per_layer):
    return torch.where(kl.mean(dim=0) < nats_per_layer, nats_per_layer + kl - kl.detach(), kl.detach())


@mistake(CUT_OFF, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def written_into_a_copy(kl, nats_per_layer):
    result = kl.detach().clone()
    result[:, kl.mean(dim=0) < nats_per_layer] = nats_per_layer
    return result


@mistake(CUT_OFF, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def filled_by_items(kl, nats_per_layer):
    result = torch.zeros_like(kl)
    for layer in range(kl.shape[1]):
        for example in range(kl.shape[0]):
            within = kl[:, layer].mean() < nats_per_layer
            result[example, layer] = nats_per_layer if within else kl[example, layer].item()
    return result


@mistake(
    "adds the gradient of the mean: the gradient is 1 for an example's own KL and 0 for the others",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def gradient_of_mean_added(kl, nats_per_layer):
    mean = kl.mean(dim=0)
    return torch.where(mean < nats_per_layer, nats_per_layer, kl + mean - mean.detach())


@mistake("writes into the KL it was given: work on a new tensor", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def kl_overwritten(kl, nats_per_layer):
    kl[:, kl.mean(dim=0) < nats_per_layer] = nats_per_layer
    return kl


@mistake(SINGLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_out(kl, nats_per_layer):
    return torch.where(kl.mean(dim=0) < nats_per_layer, nats_per_layer, kl).float()


@mistake(SINGLE_INSIDE, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def threshold_in_single(kl, nats_per_layer):
    return torch.where(kl.mean(dim=0) < nats_per_layer, torch.full(kl.shape, nats_per_layer), kl)


@mistake(DOUBLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def double_out(kl, nats_per_layer):
    threshold = torch.full(kl.shape, nats_per_layer, dtype=torch.float64)
    return torch.where(kl.mean(dim=0) < nats_per_layer, threshold, kl)
