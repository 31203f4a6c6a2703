"""Wrong ways to write ``reparameterize``."""

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

WIDE = "standard deviations from e⁻¹² to e⁸"
FORM = "same result twice, precision kept, inputs left alone"
CUT_OFF = "no gradient reaches mean and log_std: detach, no_grad, item or a new tensor cuts it off"
OWN_NOISE = "draws its own noise: all randomness must come from `noise`"


@mistake("takes log_std for the log-variance: there is no factor 1/2 in exp(log_std)", caught_by="values")
def log_variance(mean, log_std, noise):
    return mean + torch.exp(0.5 * log_std) * noise


@mistake("multiplies by the variance exp(2 log_std): multiply by the standard deviation", caught_by="values")
def variance_for_std(mean, log_std, noise):
    return mean + torch.exp(2 * log_std) * noise


@mistake("multiplies by log_std itself: exp is missing", caught_by="values")
def exp_missing(mean, log_std, noise):
    return mean + log_std * noise


@mistake("multiplies by the square root of log_std: take exp of log_std", caught_by="values")
def square_root(mean, log_std, noise):
    return mean + torch.sqrt(log_std) * noise


@mistake("subtracts the noise: return mean + std · noise", caught_by="values")
def noise_subtracted(mean, log_std, noise):
    return mean - torch.exp(log_std) * noise


@mistake("divides the noise by the standard deviation: multiply by exp(log_std), not exp(−log_std)", caught_by="values")
def divided_by_std(mean, log_std, noise):
    return mean + torch.exp(-log_std) * noise


@mistake("multiplies the mean by the standard deviation too", caught_by="values")
def mean_scaled(mean, log_std, noise):
    return (mean + noise) * torch.exp(log_std)


@mistake("exchanges mean and noise", caught_by="values")
def mean_and_noise_exchanged(mean, log_std, noise):
    return noise + torch.exp(log_std) * mean


@mistake("adds the standard deviation to the noise: multiply them", caught_by="values")
def std_added(mean, log_std, noise):
    return mean + torch.exp(log_std) + noise


@mistake("forgets the noise: it returns mean + std", caught_by="values")
def noise_forgotten(mean, log_std, noise):
    return mean + torch.exp(log_std)


@mistake("forgets the standard deviation: it returns mean + noise", caught_by="values")
def std_forgotten(mean, log_std, noise):
    return mean + noise


@mistake("returns the mean: the noise is not used", caught_by="values")
def mean_alone(mean, log_std, noise):
    return mean.clone()


@mistake("forgets the mean", caught_by="values")
def mean_forgotten(mean, log_std, noise):
    return torch.exp(log_std) * noise


@mistake("uses softplus of log_std: use exp", caught_by="values")
def softplus(mean, log_std, noise):
    return mean + F.softplus(log_std) * noise


@mistake(OWN_NOISE, caught_by="values")
def own_noise(mean, log_std, noise):
    return mean + torch.exp(log_std) * torch.randn_like(mean)


@mistake(OWN_NOISE, caught_by="values")
def sampled_by_torch(mean, log_std, noise):
    return torch.distributions.Normal(mean, torch.exp(log_std)).rsample()


@mistake(OWN_NOISE, caught_by="values")
def noise_doubled(mean, log_std, noise):
    return mean + torch.exp(log_std) * (noise + torch.randn(noise.shape))


@mistake("uses one standard deviation for all elements: each element has its own", caught_by="values")
def one_std_for_all(mean, log_std, noise):
    return mean + torch.exp(log_std.mean()) * noise


@mistake("clamps log_std: large standard deviations are cut off", caught_by=WIDE)
def clamped_above(mean, log_std, noise):
    return mean + torch.exp(log_std.clamp(max=4)) * noise


@mistake("clamps log_std: small standard deviations become too large", caught_by=WIDE)
def clamped_below(mean, log_std, noise):
    return mean + torch.exp(log_std.clamp(min=-6)) * noise


@mistake("adds a small constant to the standard deviation, which changes the smallest ones", caught_by=WIDE)
def small_constant_added(mean, log_std, noise):
    return mean + (torch.exp(log_std) + 1e-6) * noise


@mistake(CUT_OFF, caught_by="gradients")
def result_detached(mean, log_std, noise):
    return (mean + torch.exp(log_std) * noise).detach()


@mistake(CUT_OFF, caught_by="gradients")
def without_gradients(mean, log_std, noise):
    with torch.no_grad():
        return mean + torch.exp(log_std) * noise


@mistake("no gradient reaches log_std: detach or .data cuts it off", caught_by="gradients")
def std_detached(mean, log_std, noise):
    return mean + torch.exp(log_std).detach() * noise


@mistake("no gradient reaches log_std: detach or .data cuts it off", caught_by="gradients")
def std_through_data(mean, log_std, noise):
    return mean + torch.exp(log_std.data) * noise


@mistake("no gradient reaches mean: detach or .data cuts it off", caught_by="gradients")
def mean_detached(mean, log_std, noise):
    return mean.detach() + torch.exp(log_std) * noise


@mistake("goes through NumPy, which cuts the gradient off", caught_by="gradients")
def through_numpy(mean, log_std, noise):
    return torch.from_numpy(mean.numpy()) + torch.exp(log_std) * noise


@mistake(CUT_OFF, caught_by="gradients")
def new_tensor(mean, log_std, noise):
    return torch.tensor((mean + torch.exp(log_std) * noise).tolist(), dtype=mean.dtype)


@mistake(SINGLE_OUT, caught_by=FORM)
def single_precision(mean, log_std, noise):
    return mean.float() + torch.exp(log_std.float()) * noise.float()


@mistake("changes log_std in place (exp_): work on a new tensor", caught_by=FORM)
def log_std_changed(mean, log_std, noise):
    return mean + log_std.exp_() * noise


@mistake("changes mean in place (+=): work on a new tensor", caught_by=FORM)
def mean_changed(mean, log_std, noise):
    mean += torch.exp(log_std) * noise
    return mean


@mistake("changes noise in place (*=): work on a new tensor", caught_by=FORM)
def noise_changed(mean, log_std, noise):
    noise *= torch.exp(log_std)
    return mean + noise


@mistake("takes log_std for the log-variance, and subtracts the noise", caught_by="values")
def two_slips(mean, log_std, noise):
    return mean - torch.exp(0.5 * log_std) * noise


@mistake("takes log_std for a base-2 logarithm: it is the natural one, so use exp", caught_by="values")
def power_of_two(mean, log_std, noise):
    return mean + 2**log_std * noise


@mistake(SINGLE_INSIDE, caught_by=FORM)
def single_inside(mean, log_std, noise):
    return mean + torch.exp(log_std.float()) * noise


@mistake(DOUBLE_OUT, caught_by=FORM)
def double_out(mean, log_std, noise):
    return mean.double() + torch.exp(log_std.double()) * noise.double()


@mistake("clamps the standard deviation: use it as it is", caught_by=WIDE)
def std_clamped(mean, log_std, noise):
    return mean + torch.exp(log_std).clamp(1e-3, 1e3) * noise
