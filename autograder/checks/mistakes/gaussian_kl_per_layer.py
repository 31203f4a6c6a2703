"""Wrong ways to write ``gaussian_kl_per_layer``."""

import math

import torch
from torch.distributions import Normal, kl_divergence

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

SHAPES = "layers of different shapes, one layer, one example"
RANGE = "wide ranges"
CUT_OFF = "no gradient arrives: detach, .data, no_grad, item or NumPy cuts it off"
SWAPPED = "equals KL(p‖q): q and p are exchanged"
VARIANCE = "takes log_std for the logarithm of the variance: the variance is exp(2 · log_std)"
OVER_ONE = "sums over one latent dimension only: sum over all dimensions but the first"
SQUEEZED = "squeezes away a dimension of size one: the shape is (batch, layers) whatever these are"
CLAMPED = "clamps log_std: very small or very large standard deviations are changed"
LOG_STDS_CHANGED = "turns log_std into std in the lists it was given: leave lists and tensors as they are"
SMALL_CONSTANT = "adds a small constant, which changes small standard deviations"


@mistake(SWAPPED, caught_by="values")
def swapped(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(n, t.exp()), Normal(m, s.exp())) for m, s, n, t in layers]
    return torch.stack([kl.flatten(1).sum(1) for kl in kls], dim=1)


@mistake(VARIANCE, caught_by="values")
def log_variance(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        kl = 0.5 * (t - s + (s.exp() + (m - n) ** 2) / t.exp() - 1)
        kls.append(kl.flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake("does not square the standard deviation of p in the denominator", caught_by="values")
def p_std_not_squared(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        kl = t - s + ((2 * s).exp() + (m - n) ** 2) / (2 * t.exp()) - 0.5
        kls.append(kl.flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake("treats every p as a standard normal: each has its own means and standard deviations", caught_by="values")
def standard_normal_p(q_means, q_log_stds, p_means, p_log_stds):
    terms = [0.5 * (m**2 + (2 * s).exp() - 1) - s for m, s in zip(q_means, q_log_stds, strict=True)]
    return torch.stack([term.flatten(1).sum(1) for term in terms], dim=1)


@mistake("subtracts ½ once for each layer: subtract ½ for each latent dimension", caught_by="values")
def half_once(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        terms = t - s + 0.5 * torch.exp(2 * (s - t)) + 0.5 * ((m - n) * torch.exp(-t)) ** 2
        kls.append(terms.flatten(1).sum(1) - 0.5)
    return torch.stack(kls, dim=1)


@mistake("the −½ of each latent dimension is missing", caught_by="values")
def half_forgotten(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        terms = t - s + 0.5 * torch.exp(2 * (s - t)) + 0.5 * ((m - n) * torch.exp(-t)) ** 2
        kls.append(terms.flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake("the means are not used", caught_by="values")
def means_forgotten(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for s, t in zip(q_log_stds, p_log_stds, strict=True):
        kls.append((t - s + 0.5 * torch.exp(2 * (s - t)) - 0.5).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake("averages over the latent dimensions: sum over them", caught_by="values")
def mean_over_dimensions(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())) for m, s, n, t in layers]
    return torch.stack([kl.flatten(1).mean(1) for kl in kls], dim=1)


@mistake("averages over the batch: every example has its own divergences", caught_by="values")
def batch_mean(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())) for m, s, n, t in layers]
    return torch.stack([kl.flatten(1).sum(1).mean() for kl in kls])


@mistake("sums over the layers: each layer has its own column", caught_by="values")
def summed_over_layers(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    return sum(kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).flatten(1).sum(1) for m, s, n, t in layers)


@mistake("has layers in its rows: the shape should be (batch, layers)", caught_by="values")
def layers_in_rows(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())) for m, s, n, t in layers]
    return torch.stack([kl.flatten(1).sum(1) for kl in kls])


@mistake("has the layers in reverse: the first column is the first layer", caught_by="values")
def bottom_first(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        kl = kl_divergence(Normal(m, s.exp()), Normal(n, t.exp()))
        kls.insert(0, kl.flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake("accumulates the layers: each column holds one layer, not all above it", caught_by="values")
def cumulative(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())) for m, s, n, t in layers]
    return torch.stack([kl.flatten(1).sum(1) for kl in kls], dim=1).cumsum(dim=1)


@mistake("compares each layer's q with the p of the layer above", caught_by="values")
def prior_of_the_layer_above(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for layer in range(len(q_means)):
        q = Normal(q_means[layer], q_log_stds[layer].exp())
        p = Normal(p_means[layer - 1], p_log_stds[layer - 1].exp())
        kls.append(kl_divergence(q, p).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake("returns a list: return one tensor of shape (batch, layers)", caught_by="values")
def list_of_layers(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    return [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).flatten(1).sum(1) for m, s, n, t in layers]


@mistake("is in bits: return nats", caught_by="values")
def in_bits(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())) for m, s, n, t in layers]
    return torch.stack([kl.flatten(1).sum(1) for kl in kls], dim=1) / math.log(2)


@mistake("estimates the divergence from one draw: use the closed form", caught_by="values")
def single_sample(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        q, p = Normal(m, s.exp()), Normal(n, t.exp())
        z = q.rsample()
        kls.append((q.log_prob(z) - p.log_prob(z)).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake("stacks the layers' parameters, which fails where the layers' shapes differ", caught_by=SHAPES)
def parameters_stacked(q_means, q_log_stds, p_means, p_log_stds):
    q = Normal(torch.stack(tuple(q_means)), torch.stack(tuple(q_log_stds)).exp())
    p = Normal(torch.stack(tuple(p_means)), torch.stack(tuple(p_log_stds)).exp())
    return kl_divergence(q, p).flatten(2).sum(2).T


@mistake(OVER_ONE, caught_by=SHAPES)
def summed_over_the_last(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).sum(dim=-1) for m, s, n, t in layers]
    return torch.stack(kls, dim=1)


@mistake("assumes latents of shape (batch, channels, h, w): they may have fewer dimensions", caught_by="values")
def summed_over_pixels(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).sum(dim=(1, 2, 3)) for m, s, n, t in layers]
    return torch.stack(kls, dim=1)


@mistake("divides the divergence of each layer by its number of pixels: sum over the pixels", caught_by=SHAPES)
def per_pixel(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        kl = kl_divergence(Normal(m, s.exp()), Normal(n, t.exp()))
        kls.append(kl.flatten(2).mean(2).sum(1) if kl.ndim > 2 else kl.sum(1))
    return torch.stack(kls, dim=1)


@mistake(SQUEEZED, caught_by=SHAPES)
def squeezed(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).flatten(1).sum(1) for m, s, n, t in layers]
    return torch.stack(kls, dim=1).squeeze()


@mistake(SQUEEZED, caught_by=SHAPES)
def layer_dimension_dropped(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).flatten(1).sum(1) for m, s, n, t in layers]
    return kls[0] if len(kls) == 1 else torch.stack(kls, dim=1)


@mistake("starts with the second layer: the topmost one counts too", caught_by="values")
def topmost_forgotten(q_means, q_log_stds, p_means, p_log_stds):
    layers = list(zip(q_means, q_log_stds, p_means, p_log_stds, strict=True))[1:]
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).flatten(1).sum(1) for m, s, n, t in layers]
    return torch.stack(kls, dim=1)


@mistake(CLAMPED, caught_by=RANGE)
def clamped(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        q, p = Normal(m, s.clamp(-7, 7).exp()), Normal(n, t.clamp(-7, 7).exp())
        kls.append(kl_divergence(q, p).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake(SMALL_CONSTANT, caught_by=RANGE)
def small_constant_added(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        fraction = ((2 * s).exp() + (m - n) ** 2) / (2 * (2 * t).exp() + 1e-8)
        kls.append((t - s + fraction - 0.5).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake(SMALL_CONSTANT, caught_by=RANGE)
def small_constant_on_stds(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        q, p = Normal(m, s.exp() + 1e-6), Normal(n, t.exp() + 1e-6)
        kls.append(kl_divergence(q, p).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake(
    "expands the square of the distance: its terms cancel far from zero, so subtract the means first", caught_by=RANGE
)
def square_multiplied_out(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        square = m**2 - 2 * m * n + n**2
        kls.append((t - s + ((2 * s).exp() + square) / (2 * (2 * t).exp()) - 0.5).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake("clamps the divergence: it has no upper limit", caught_by=RANGE)
def divergence_clamped(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())) for m, s, n, t in layers]
    return torch.stack([kl.clamp(max=1e4).flatten(1).sum(1) for kl in kls], dim=1)


@mistake(
    "treats p as a constant: gradients must reach its means and log_stds too", caught_by=GRADIENTS_AND_PRECISION_KEPT
)
def p_detached(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n.detach(), t.detach().exp())) for m, s, n, t in layers]
    return torch.stack([kl.flatten(1).sum(1) for kl in kls], dim=1)


@mistake(CUT_OFF, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def new_tensor(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).flatten(1).sum(1) for m, s, n, t in layers]
    return torch.tensor([kl.tolist() for kl in kls], dtype=q_means[0].dtype).T.contiguous()


@mistake(CUT_OFF, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def filled_through_data(q_means, q_log_stds, p_means, p_log_stds):
    kls = torch.zeros(len(q_means[0]), len(q_means), dtype=q_means[0].dtype)
    for layer, (m, s, n, t) in enumerate(zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)):
        kls[:, layer] = kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).flatten(1).sum(1).data
    return kls


@mistake("takes the layers out of the lists (pop): leave the lists as they are", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def lists_emptied(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    while q_means:
        q = Normal(q_means.pop(0), q_log_stds.pop(0).exp())
        p = Normal(p_means.pop(0), p_log_stds.pop(0).exp())
        kls.append(kl_divergence(q, p).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake(LOG_STDS_CHANGED, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def lists_refilled(q_means, q_log_stds, p_means, p_log_stds):
    for log_stds in (q_log_stds, p_log_stds):
        for layer in range(len(log_stds)):
            log_stds[layer] = log_stds[layer].exp()
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, q_std), Normal(n, p_std)) for m, q_std, n, p_std in layers]
    return torch.stack([kl.flatten(1).sum(1) for kl in kls], dim=1)


@mistake(LOG_STDS_CHANGED, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def log_stds_changed(q_means, q_log_stds, p_means, p_log_stds):
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kls = [kl_divergence(Normal(m, s.exp_()), Normal(n, t.exp_())) for m, s, n, t in layers]
    return torch.stack([kl.flatten(1).sum(1) for kl in kls], dim=1)


@mistake(SINGLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_precision(q_means, q_log_stds, p_means, p_log_stds):
    kls = torch.zeros(len(q_means[0]), len(q_means))
    for layer, (m, s, n, t) in enumerate(zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)):
        kls[:, layer] = kl_divergence(Normal(m, s.exp()), Normal(n, t.exp())).flatten(1).sum(1)
    return kls


@mistake(SINGLE_INSIDE, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_inside(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        q, p = Normal(m, s.float().exp().to(m.dtype)), Normal(n, t.float().exp().to(m.dtype))
        kls.append(kl_divergence(q, p).flatten(1).sum(1))
    return torch.stack(kls, dim=1)


@mistake(DOUBLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def double_out(q_means, q_log_stds, p_means, p_log_stds):
    kls = []
    for m, s, n, t in zip(q_means, q_log_stds, p_means, p_log_stds, strict=True):
        q, p = Normal(m.double(), s.double().exp()), Normal(n.double(), t.double().exp())
        kls.append(kl_divergence(q, p).flatten(1).sum(1))
    return torch.stack(kls, dim=1)
