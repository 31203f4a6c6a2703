"""Right ways to write ``reparameterize``."""

import math
import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def addcmul(mean, log_std, noise):
    return torch.addcmul(mean, log_std.exp(), noise)


@variant
def affine_transform(mean, log_std, noise):
    return torch.distributions.AffineTransform(loc=mean, scale=log_std.exp())(noise)


@variant
def root_of_the_variance(mean, log_std, noise):
    variance = torch.exp(2 * log_std)
    return variance.sqrt().mul(noise).add(mean)


@variant
def einsum(mean, log_std, noise):
    shape = mean.shape
    std = torch.exp(log_std).reshape(-1)
    return mean + torch.einsum("i,i->i", std, noise.reshape(-1)).reshape(shape)


@variant
def loop_over_elements(mean, log_std, noise):
    draws = [m + s.exp() * e for m, s, e in zip(mean.flatten(), log_std.flatten(), noise.flatten(), strict=True)]
    return torch.stack(draws).reshape(mean.shape)


@variant
def in_double_precision(mean, log_std, noise):
    return (mean.double() + log_std.double().exp() * noise.double()).to(mean.dtype)


@variant
def powers_of_e(mean, log_std, noise):
    print("standard deviations up to", log_std.max().item())
    print("UserWarning: nothing is wrong", file=sys.stderr)
    return mean + math.e**log_std * noise


@variant
def edited_copy(mean, log_std, noise):
    draw = log_std.clone()
    draw.exp_()
    draw = draw * noise
    draw += mean
    return draw


@variant
def detached_noise(mean, log_std, noise):
    def standard_deviation():
        return torch.exp(log_std)

    return mean + standard_deviation() * noise.detach()


@variant
def between_two_points(mean, log_std, noise):
    return torch.lerp(mean, mean + noise, log_std.exp())
