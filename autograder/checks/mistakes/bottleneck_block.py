"""Wrong ways to write ``bottleneck_block``."""

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

RESIDUAL = "with and without the residual sum"
COARSE = "resolutions 1 and 2"
EXACT = "the exact GELU"
ORDER = "applies the GELU after each convolution: apply it before each"
PADDED_BY_PLACE = "pads the middle two convolutions by 1 although their kernels are 1×1 here: the picture grows"
NOT_ZEROS = "pads with pixels of the picture: pad with zeros"
TANH = "approximates the GELU by a tanh: use x · Φ(x)"
ADDS_ALWAYS = "adds x although `residual` is False"


@mistake(ORDER, caught_by="values")
def activated_afterwards(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.gelu(F.conv2d(y, weight, bias, padding=weight.shape[-1] // 2))
    return x + y if residual else y


@mistake("the first GELU is missing: apply it to x too", caught_by="values")
def first_gelu_forgotten(x, weights, biases, residual):
    y = F.conv2d(x, weights[0], biases[0])
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("the GELU before the last convolution is missing", caught_by="values")
def last_gelu_forgotten(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights[:3], biases[:3], strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    y = F.conv2d(y, weights[3], biases[3])
    return x + y if residual else y


@mistake("applies a GELU to the result too: there is none after the last convolution", caught_by="values")
def activated_at_the_end(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + F.gelu(y) if residual else F.gelu(y)


@mistake("the GELUs are missing", caught_by="values")
def linear(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(y, weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("uses ReLU instead of GELU", caught_by="values")
def rectified(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.relu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("uses SiLU, x · σ(x), instead of GELU", caught_by="values")
def silu(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.silu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("multiplies by the density φ: GELU is x times the distribution function Φ", caught_by="values")
def density_for_distribution(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        density = torch.distributions.Normal(0.0, 1.0).log_prob(y).exp()
        y = F.conv2d(y * density, weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("uses erf(x) instead of erf(x/√2): Φ(x) = (1 + erf(x/√2)) / 2", caught_by="values")
def root_of_two_forgotten(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(0.5 * y * (1 + torch.erf(y)), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("the biases are missing", caught_by="values")
def biases_forgotten(x, weights, biases, residual):
    y = x
    for weight in weights:
        y = F.conv2d(F.gelu(y), weight, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("exchanges the middle two convolutions", caught_by="values")
def middle_exchanged(x, weights, biases, residual):
    y = x
    for place in (0, 2, 1, 3):
        y = F.conv2d(F.gelu(y), weights[place], biases[place], padding=weights[place].shape[-1] // 2)
    return x + y if residual else y


@mistake("uses the second kernel for the third convolution too", caught_by="values")
def second_kernel_twice(x, weights, biases, residual):
    y = x
    for place in (0, 1, 1, 3):
        y = F.conv2d(F.gelu(y), weights[place], biases[place], padding=weights[place].shape[-1] // 2)
    return x + y if residual else y


@mistake("uses the weights from the last to the first", caught_by="values")
def from_the_last(x, weights, biases, residual):
    y = x
    for weight, bias in zip(reversed(weights), reversed(biases), strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("one of the two middle convolutions is missing", caught_by="values")
def three_convolutions(x, weights, biases, residual):
    y = x
    for place in (0, 1, 3):
        y = F.conv2d(F.gelu(y), weights[place], biases[place], padding=weights[place].shape[-1] // 2)
    return x + y if residual else y


@mistake("does not pad, so the picture loses its edge: pad the 3×3 convolutions by 1", caught_by="values")
def not_padded(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias)
    return x + y if residual else y


@mistake("pads every convolution by 1: the 1×1 ones need no padding", caught_by="values")
def all_padded(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=1)
    return x + y if residual else y


@mistake("pads once for both 3×3 convolutions: pad before each of them", caught_by="values")
def padded_once(x, weights, biases, residual):
    y = F.conv2d(F.gelu(x), weights[0], biases[0])
    y = F.pad(F.gelu(y), [2 * (weights[1].shape[-1] // 2)] * 4)
    y = F.conv2d(y, weights[1], biases[1])
    y = F.conv2d(F.gelu(y), weights[2], biases[2])
    y = F.conv2d(F.gelu(y), weights[3], biases[3])
    return x + y if residual else y


@mistake(NOT_ZEROS, caught_by="values")
def replicated_edges(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        side = weight.shape[-1] // 2
        y = F.conv2d(F.pad(F.gelu(y), [side] * 4, mode="replicate"), weight, bias)
    return x + y if residual else y


@mistake(NOT_ZEROS, caught_by="values")
def circular_edges(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        side = weight.shape[-1] // 2
        y = F.conv2d(F.pad(F.gelu(y), [side] * 4, mode="circular"), weight, bias)
    return x + y if residual else y


@mistake(NOT_ZEROS, caught_by="values")
def reflected_edges(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        side = weight.shape[-1] // 2
        y = F.conv2d(F.pad(F.gelu(y), [side] * 4, mode="reflect"), weight, bias)
    return x + y if residual else y


@mistake("rotates the kernels by 180°: pass them to conv2d as they are", caught_by="values")
def kernels_flipped(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight.flip(-1, -2), bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("normalises between the convolutions: the block has no normalisation", caught_by="values")
def normalised(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.group_norm(F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2), 1)
    return x + y if residual else y


@mistake(ADDS_ALWAYS, caught_by="values")
def always_added(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y


@mistake("adds x wherever the shapes agree: add it only where `residual` is True", caught_by=RESIDUAL)
def added_where_shapes_agree(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if x.shape == y.shape else y


@mistake("never adds x: add it where `residual` is True", caught_by=RESIDUAL)
def never_added(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return y


@mistake("adds the activated x: add x as it came in", caught_by=RESIDUAL)
def activated_input_added(x, weights, biases, residual):
    y = x = F.gelu(x)
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        y = F.conv2d(F.gelu(y) if place else y, weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("applies a GELU to the sum: nothing follows the addition of x", caught_by=RESIDUAL)
def sum_activated(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return F.gelu(x + y) if residual else y


@mistake("halves the sum: return x + y", caught_by=RESIDUAL)
def averaged(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return (x + y) / 2 if residual else y


@mistake("divides the sum by √2: return x + y", caught_by=RESIDUAL)
def divided_by_root_two(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return (x + y) * 0.5**0.5 if residual else y


@mistake("subtracts x, or the result from x: return x + y", caught_by=RESIDUAL)
def input_subtracted(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return y - x if residual else y


@mistake("adds the input of every convolution: add only x, after the last one", caught_by=RESIDUAL)
def every_input_added(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        change = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
        y = y + change if residual else change
    return y


@mistake(PADDED_BY_PLACE, caught_by=COARSE)
def padded_by_place(x, weights, biases, residual):
    y = x
    for weight, bias, padding in zip(weights, biases, (0, 1, 1, 0), strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=padding)
    return x + y if residual else y


@mistake(PADDED_BY_PLACE, caught_by=COARSE)
def written_out(x, weights, biases, residual):
    y = F.conv2d(F.gelu(x), weights[0], biases[0])
    y = F.conv2d(F.gelu(y), weights[1], biases[1], padding=1)
    y = F.conv2d(F.gelu(y), weights[2], biases[2], padding=1)
    y = F.conv2d(F.gelu(y), weights[3], biases[3])
    return x + y if residual else y


@mistake("pads at resolution 2, where the kernels are 1×1 as well", caught_by=COARSE)
def padded_at_resolution_two(x, weights, biases, residual):
    y = x
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        padding = 1 if place in (1, 2) and x.shape[-1] > 1 else 0
        y = F.conv2d(F.gelu(y), weight, bias, padding=padding)
    return x + y if residual else y


@mistake("crops the grown picture to size: with 1×1 kernels, pad nothing", caught_by=COARSE)
def cropped(x, weights, biases, residual):
    y = x
    for weight, bias, padding in zip(weights, biases, (0, 1, 1, 0), strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=padding)[..., : x.shape[2], : x.shape[3]]
    return x + y if residual else y


@mistake("squeezes away height and width of size one", caught_by=COARSE)
def squeezed(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return (x + y if residual else y).squeeze(-1).squeeze(-1)


@mistake(TANH, caught_by=EXACT)
def tanh_by_torch(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y, approximate="tanh"), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake(TANH, caught_by=EXACT)
def tanh_by_hand(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        activated = 0.5 * y * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (y + 0.044715 * y**3)))
        y = F.conv2d(activated, weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("approximates the GELU by x · σ(1.702 x): use x · Φ(x)", caught_by="values")
def logistic_approximation(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(y * torch.sigmoid(1.702 * y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("rounds √2 too coarsely: write math.sqrt(2)", caught_by=EXACT)
def rounded_root(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(0.5 * y * (1 + torch.erf(y / 1.414)), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("treats the weights as constants: gradients must reach them too", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def weights_detached(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight.detach(), bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("treats the biases as constants: gradients must reach them too", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def biases_through_data(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias.data, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake(
    "makes new parameters of the weights (nn.Parameter), which cuts the gradient off",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def new_parameters(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        layer = torch.nn.Conv2d(weight.shape[1], len(weight), weight.shape[-1], padding=weight.shape[-1] // 2)
        layer.weight, layer.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
        y = layer(F.gelu(y))
    return x + y if residual else y


@mistake("no gradient reaches x through the convolutions", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def input_detached(x, weights, biases, residual):
    y = x.detach()
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake("activates x in place: work on a new tensor", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def input_activated_in_place(x, weights, biases, residual):
    before = x.clone()
    y = x.mul_(torch.special.ndtr(x))
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        y = F.conv2d(F.gelu(y) if place else y, weight, bias, padding=weight.shape[-1] // 2)
    return before + y if residual else y


@mistake("adds the result to x in place (+=): work on a new tensor", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def sum_in_place(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    if residual:
        x += y
        return x
    return y


@mistake(
    "takes weights and biases out of their lists (pop): leave the lists as they are",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def lists_emptied(x, weights, biases, residual):
    y = x
    while weights:
        weight, bias = weights.pop(0), biases.pop(0)
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@mistake(SINGLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_precision(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return (x + y if residual else y).float()


@mistake(SINGLE_INSIDE, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_inside(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y.float()), weight.float(), bias.float(), padding=weight.shape[-1] // 2).to(x.dtype)
    return x + y if residual else y


@mistake(DOUBLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def double_out(x, weights, biases, residual):
    y = x.double()
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight.double(), bias.double(), padding=weight.shape[-1] // 2)
    return x + y if residual else y
