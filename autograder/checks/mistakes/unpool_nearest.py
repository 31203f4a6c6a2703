"""Wrong ways to write ``unpool_nearest``."""

import numpy as np
import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

FACTORS = "any factor, any height and width"
CUT_OFF = "no gradient arrives: detach, .data, no_grad, item or NumPy cuts it off"
TILED = "tiles the picture: each pixel should become a block of equal pixels"
FACTOR_FIXED = "enlarges by 2 whatever the factor is"
HEIGHT_FOR_WIDTH = "assumes square pictures: height and width may differ"
NOT_NEAREST = "interpolates between pixels: copy each pixel factor · factor times"


@mistake(TILED, caught_by="values")
def tiled(x, factor):
    return x.repeat(1, 1, factor, factor)


@mistake(TILED, caught_by="values")
def tiled_by_expanding(x, factor):
    batch, channels, h, w = x.shape
    blocks = x[:, :, None, :, None, :].expand(batch, channels, factor, h, factor, w)
    return blocks.reshape(batch, channels, h * factor, w * factor)


@mistake("copies pixels in one direction, and tiles the picture in the other", caught_by="values")
def blocks_in_one_direction(x, factor):
    return x.repeat_interleave(factor, dim=3).repeat(1, 1, factor, 1)


@mistake("copies rows only: enlarge the width too", caught_by="values")
def height_only(x, factor):
    return x.repeat_interleave(factor, dim=2)


@mistake("copies columns only: enlarge the height too", caught_by="values")
def width_only(x, factor):
    return x.repeat_interleave(factor, dim=-1)


@mistake("enlarges channels and height: dimensions 2 and 3 are height and width", caught_by="values")
def channels_enlarged(x, factor):
    return x.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


@mistake("enlarges height and width by factor² instead of factor", caught_by="values")
def factor_squared(x, factor):
    return x.repeat_interleave(factor**2, dim=2).repeat_interleave(factor**2, dim=3)


@mistake("leaves zeros between the pixels: copy each pixel factor · factor times", caught_by="values")
def zeros_between(x, factor):
    batch, channels, h, w = x.shape
    y = x.new_zeros(batch, channels, h * factor, w * factor)
    y[:, :, ::factor, ::factor] = x
    return y


@mistake("divides by factor², which preserves the sum: copy the pixels as they are", caught_by="values")
def sum_kept(x, factor):
    return x.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3) / factor**2


@mistake(NOT_NEAREST, caught_by="values")
def bilinear(x, factor):
    return F.interpolate(x, scale_factor=factor, mode="bilinear")


@mistake(NOT_NEAREST, caught_by="values")
def bilinear_with_aligned_corners(x, factor):
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=True)


@mistake("mixes the channels (pixel_shuffle): enlarge each channel separately", caught_by="values")
def shuffled_from_other_channels(x, factor):
    return F.pixel_shuffle(x.repeat(1, factor**2, 1, 1), factor)


@mistake("exchanges height and width", caught_by="values")
def transposed(x, factor):
    return x.mT.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


@mistake("reshapes without permuting: the copies of a pixel must form one block", caught_by="values")
def reshaped_without_permuting(x, factor):
    batch, channels, h, w = x.shape
    copies = x[..., None, None].expand(batch, channels, h, w, factor, factor)
    return copies.reshape(batch, channels, h * factor, w * factor)


@mistake(FACTOR_FIXED, caught_by=FACTORS)
def always_by_two(x, factor):
    return F.interpolate(x, scale_factor=2, mode="nearest")


@mistake(FACTOR_FIXED, caught_by=FACTORS)
def two_by_repeating(x, factor):
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


@mistake("doubles until the factor is reached: a factor need not be a power of 2", caught_by=FACTORS)
def doubled_repeatedly(x, factor):
    y = x
    while factor > 1:
        y = y.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        factor //= 2
    return y


@mistake(HEIGHT_FOR_WIDTH, caught_by=FACTORS)
def square_size(x, factor):
    return F.interpolate(x, size=x.shape[-1] * factor, mode="nearest")


@mistake(HEIGHT_FOR_WIDTH, caught_by=FACTORS)
def square_reshape(x, factor):
    batch, channels, h, _ = x.shape
    copies = x[:, :, :, None, :, None].expand(batch, channels, -1, factor, -1, factor)
    return copies.reshape(batch, channels, h * factor, h * factor)


@mistake(HEIGHT_FOR_WIDTH, caught_by=FACTORS)
def square_index(x, factor):
    source = torch.arange(x.shape[2] * factor) // factor
    return x[:, :, source][:, :, :, source]


@mistake("enlarges by factor − 1: with factor 1 the picture stays as it is", caught_by="values")
def one_copy_too_few(x, factor):
    return x.repeat_interleave(max(factor - 1, 1), dim=2).repeat_interleave(max(factor - 1, 1), dim=3)


@mistake("squeezes away a dimension of size one", caught_by=FACTORS)
def squeezed(x, factor):
    return x.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3).squeeze(1)


@mistake(CUT_OFF, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def detached(x, factor):
    return x.detach().repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


@mistake("goes through NumPy, which cuts the gradient off", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def through_numpy(x, factor):
    return torch.from_numpy(np.repeat(np.repeat(x.numpy(), factor, axis=2), factor, axis=3))


@mistake(CUT_OFF, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def filled_through_data(x, factor):
    y = x.new_zeros(*x.shape[:2], factor * x.shape[2], factor * x.shape[3])
    for row in range(factor):
        for column in range(factor):
            y[:, :, row::factor, column::factor] = x.data
    return y


@mistake(
    "the gradient reaches only one copy of each pixel: it is the sum over all copies",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def gradient_of_one_copy(x, factor):
    y = x.detach().repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    y[:, :, ::factor, ::factor] = x
    return y


@mistake("changes x in place: work on a new tensor", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def input_changed(x, factor):
    x *= factor
    return x.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3) / factor


@mistake(SINGLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_precision(x, factor):
    y = torch.zeros(*x.shape[:2], factor * x.shape[2], factor * x.shape[3])
    for row in range(factor):
        for column in range(factor):
            y[:, :, row::factor, column::factor] = x
    return y


@mistake(SINGLE_INSIDE, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_inside(x, factor):
    return F.interpolate(x.float(), scale_factor=factor, mode="nearest").to(x.dtype)


@mistake(DOUBLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def double_out(x, factor):
    return torch.kron(x, torch.ones(1, 1, factor, factor, dtype=torch.float64))
