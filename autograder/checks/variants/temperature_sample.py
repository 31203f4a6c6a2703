"""Right ways to write ``temperature_sample``."""

import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def noise_tempered_first(mean, log_std, temperature, noise):
    return mean + torch.exp(log_std) * (temperature * noise)


@variant
def by_addcmul(mean, log_std, temperature, noise):
    return torch.addcmul(mean, log_std.exp(), noise, value=temperature)


@variant
def mean_at_zero(mean, log_std, temperature, noise):
    return mean if temperature == 0 else mean + temperature * torch.exp(log_std) * noise


@variant
def copy_at_zero(mean, log_std, temperature, noise):
    if temperature == 0.0:
        return mean.clone()
    tempered = log_std + torch.log(torch.tensor(temperature, dtype=log_std.dtype))
    return mean + torch.exp(tempered) * noise


@variant
def in_double_precision(mean, log_std, temperature, noise):
    draw = mean.double() + temperature * torch.exp(log_std.double()) * noise.double()
    print("the widest draw is", draw.abs().max().item(), file=sys.stderr)
    return draw.to(mean.dtype)


@variant
def by_lerp(mean, log_std, temperature, noise):
    return torch.lerp(mean, mean + torch.exp(log_std) * noise, temperature)


@variant
def sum_of_two_products(mean, log_std, temperature, noise):
    factors = torch.stack([mean, temperature * torch.exp(log_std)])
    return (factors * torch.stack([torch.ones_like(noise), noise])).sum(dim=0)


@variant
def edited_copy(mean, log_std, temperature, noise):
    draw = noise * (log_std.exp() * temperature)
    draw += mean
    return draw
