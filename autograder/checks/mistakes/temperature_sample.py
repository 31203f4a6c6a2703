"""Wrong ways to write ``temperature_sample``."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

ZERO = "temperature 0"
CUT_OFF = "no gradient arrives: detach, no_grad, item or NumPy cuts it off"


@mistake("multiplies the variance by the temperature: multiply the standard deviation", caught_by="values")
def on_the_variance(mean, log_std, temperature, noise):
    return mean + math.sqrt(temperature) * torch.exp(log_std) * noise


@mistake("multiplies log_std by the temperature: multiply the standard deviation itself", caught_by="values")
def on_log_std(mean, log_std, temperature, noise):
    return mean + torch.exp(temperature * log_std) * noise


@mistake("adds the temperature to log_std: multiply the standard deviation by it", caught_by="values")
def added_to_log_std(mean, log_std, temperature, noise):
    return mean + torch.exp(log_std + temperature) * noise


@mistake("adds the temperature to the standard deviation: multiply by it", caught_by="values")
def added_to_std(mean, log_std, temperature, noise):
    return mean + (torch.exp(log_std) + temperature) * noise


@mistake("applies the temperature twice, to the noise and to the standard deviation", caught_by="values")
def twice(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(log_std) * (temperature * noise)


@mistake("the temperature is not used", caught_by="values")
def ignored(mean, log_std, temperature, noise):
    return mean + torch.exp(log_std) * noise


@mistake("multiplies the mean by the temperature too: the mean stays as it is", caught_by="values")
def on_the_mean_too(mean, log_std, temperature, noise):
    return temperature * (mean + torch.exp(log_std) * noise)


@mistake("multiplies the mean by the temperature, and not the standard deviation", caught_by="values")
def on_the_mean_alone(mean, log_std, temperature, noise):
    return temperature * mean + torch.exp(log_std) * noise


@mistake("interpolates the wrong way round: at temperature 1 it returns the draw, at 0 the mean", caught_by="values")
def the_other_way_round(mean, log_std, temperature, noise):
    return mean + (1 - temperature) * torch.exp(log_std) * noise


@mistake("divides by the temperature: multiply the standard deviation by it", caught_by="values")
def divided(mean, log_std, temperature, noise):
    return mean + torch.exp(log_std) * noise / temperature if temperature else mean.clone()


@mistake("the mean is missing: add the noise to it", caught_by="values")
def without_the_mean(mean, log_std, temperature, noise):
    return temperature * torch.exp(log_std) * noise


@mistake("uses log_std as the standard deviation: take its exponential", caught_by="values")
def log_std_as_std(mean, log_std, temperature, noise):
    return mean + temperature * log_std * noise


@mistake("takes log_std for the logarithm of the variance: there is no factor 1/2", caught_by="values")
def log_variance(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(0.5 * log_std) * noise


@mistake("multiplies by the variance: multiply by the standard deviation", caught_by="values")
def variance_as_std(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(2 * log_std) * noise


@mistake("uses softplus for the standard deviation: use exp(log_std)", caught_by="values")
def softplus(mean, log_std, temperature, noise):
    return mean + temperature * F.softplus(log_std) * noise


@mistake("subtracts the noise: add it", caught_by="values")
def subtracted(mean, log_std, temperature, noise):
    return mean - temperature * torch.exp(log_std) * noise


@mistake("draws its own noise: use the noise that is passed in", caught_by="values")
def noise_of_its_own(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(log_std) * torch.randn_like(noise)


@mistake("clips the noise at the temperature: multiply it by the temperature", caught_by="values")
def truncated(mean, log_std, temperature, noise):
    return mean + torch.exp(log_std) * noise.clamp(-temperature, temperature)


@mistake("limits the temperature to 1: above 1 it widens the Gaussian", caught_by="values")
def at_most_one(mean, log_std, temperature, noise):
    return mean + min(temperature, 1.0) * torch.exp(log_std) * noise


@mistake("treats temperature 0 as missing (`temperature or 1`): at 0 the draw is the mean", caught_by=ZERO)
def zero_as_none(mean, log_std, temperature, noise):
    return mean + (temperature or 1.0) * torch.exp(log_std) * noise


@mistake("takes the logarithm of the temperature, which is −∞ at 0: multiply the standard deviation", caught_by=ZERO)
def log_of_temperature(mean, log_std, temperature, noise):
    return mean + torch.exp(log_std + math.log(temperature)) * noise


@mistake("replaces temperature 0 by a small number: where log_std is 8, the draw is then not the mean", caught_by=ZERO)
def log_of_temperature_with_a_floor(mean, log_std, temperature, noise):
    return mean + torch.exp(log_std + math.log(temperature + 1e-8)) * noise


@mistake("replaces low temperatures by a floor: 0 is a valid temperature", caught_by=ZERO)
def temperature_with_a_floor(mean, log_std, temperature, noise):
    return mean + max(temperature, 1e-3) * torch.exp(log_std) * noise


@mistake("replaces the standard deviation by a floor after the temperature: at temperature 0 it is 0", caught_by=ZERO)
def std_with_a_floor(mean, log_std, temperature, noise):
    return mean + (temperature * torch.exp(log_std)).clamp(min=1e-6) * noise


@mistake(
    "interpolates from the draw to the mean with lerp, which rounds: at temperature 0 the mean's last bits are lost",
    caught_by=ZERO,
)
def back_from_the_draw(mean, log_std, temperature, noise):
    draw = mean + torch.exp(log_std) * noise
    return draw - (1 - temperature) * (draw - mean)


@mistake("returns zero at temperature 0: return the mean", caught_by=ZERO)
def zeros_at_zero(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(log_std) * noise if temperature > 0 else torch.zeros_like(mean)


@mistake(CUT_OFF, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def without_gradients(mean, log_std, temperature, noise):
    with torch.no_grad():
        return mean + temperature * torch.exp(log_std) * noise


@mistake(
    "treats the standard deviation as a constant: a gradient must reach log_std too",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def std_detached(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(log_std).detach() * noise


@mistake("treats the noise as a constant: a gradient must reach it too", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def noise_detached(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(log_std) * noise.detach()


@mistake(
    "at temperature 0 no gradient reaches the mean: return the mean, not a copy of its numbers",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def mean_detached_at_zero(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(log_std) * noise if temperature > 0 else mean.detach().clone()


@mistake("multiplies the noise in place (*=): work on new tensors", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def noise_changed(mean, log_std, temperature, noise):
    noise *= temperature
    return mean + torch.exp(log_std) * noise


@mistake("adds to the mean in place (+=): work on new tensors", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def mean_changed(mean, log_std, temperature, noise):
    mean += temperature * torch.exp(log_std) * noise
    return mean


@mistake(SINGLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_out(mean, log_std, temperature, noise):
    return (mean + temperature * torch.exp(log_std) * noise).float()


@mistake(SINGLE_INSIDE, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_inside(mean, log_std, temperature, noise):
    return mean + torch.tensor(temperature) * torch.exp(log_std.float()) * noise


@mistake(DOUBLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def double_out(mean, log_std, temperature, noise):
    return mean.double() + temperature * torch.exp(log_std) * noise
