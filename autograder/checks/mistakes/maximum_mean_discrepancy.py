"""Wrong ways to write ``maximum_mean_discrepancy``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

VALUES = "values"
EDGES = "equal samples, samples far from zero, sizes of one and two"
GRADIENTS = "gradients"
MULTIPLIED_OUT = "expands the square of the distance (as cdist does from 26 rows on): the terms cancel far from zero"
SMALL_CONSTANT = "adds a small constant to the squared distance, which changes small distances"
ROOT = "has NaN gradients where two points are equal: do not take the root of the squared distance"
CUT_OFF = "no gradient arrives: detach, .data, no_grad, item or NumPy cuts it off"


def squares(a, b):
    return ((a[:, None] - b[None]) ** 2).sum(dim=2)


def kernel(squared, scales):
    return sum(scale / (scale + squared) for scale in scales)


def unbiased(within_x, within_y, between):
    """The unbiased estimate from a function that returns the kernel of all pairs."""
    n, m = len(within_x), len(within_y)
    of_x = (within_x.sum() - within_x.diagonal().sum()) / (n * (n - 1))
    of_y = (within_y.sum() - within_y.diagonal().sum()) / (m * (m - 1))
    return of_x + of_y - 2 * between.mean()


def estimate(x, y, scales, of_squares=kernel, squares_of=squares):
    """Right except for the kernel or the distances."""
    pairs = ((x, x), (y, y), (x, y))
    return unbiased(*(of_squares(squares_of(a, b), scales) for a, b in pairs))


@mistake("averages over all pairs, including a point with itself: that estimate is biased", caught_by=VALUES)
def biased(x, y, scales):
    of_x, of_y, between = (kernel(squares(a, b), scales).mean() for a, b in ((x, x), (y, y), (x, y)))
    return of_x + of_y - 2 * between


@mistake("sums pairs of a point with itself too, and divides by n(n − 1)", caught_by=VALUES)
def diagonal_included(x, y, scales):
    n, m = len(x), len(y)
    of_x = kernel(squares(x, x), scales).sum() / (n * (n - 1))
    of_y = kernel(squares(y, y), scales).sum() / (m * (m - 1))
    return of_x + of_y - 2 * kernel(squares(x, y), scales).mean()


@mistake(
    "leaves out pairs of a point with itself, but divides by n² and m²: there are n(n − 1) and m(m − 1) pairs",
    caught_by=VALUES,
)
def divided_by_squares(x, y, scales):
    of_x, of_y = kernel(squares(x, x), scales), kernel(squares(y, y), scales)
    within = sum((k.sum() - k.diagonal().sum()) / len(k) ** 2 for k in (of_x, of_y))
    return within - 2 * kernel(squares(x, y), scales).mean()


@mistake("subtracts n and m for the pairs of a point with itself: each kernel adds 1 to every such pair", VALUES)
def as_if_one_kernel(x, y, scales):
    n, m = len(x), len(y)
    of_x = (kernel(squares(x, x), scales).sum() - n) / (n * (n - 1))
    of_y = (kernel(squares(y, y), scales).sum() - m) / (m * (m - 1))
    return of_x + of_y - 2 * kernel(squares(x, y), scales).mean()


@mistake("divides the pairs of y by n(n − 1): divide by m(m − 1)", caught_by=VALUES)
def as_many_in_y(x, y, scales):
    of_x, of_y = kernel(squares(x, x), scales), kernel(squares(y, y), scales)
    within = sum((k.sum() - k.diagonal().sum()) / (len(x) * (len(x) - 1)) for k in (of_x, of_y))
    return within - 2 * kernel(squares(x, y), scales).mean()


@mistake(
    "counts each pair within a sample once, and divides by n(n − 1): count each pair in both orders", caught_by=VALUES
)
def each_pair_once(x, y, scales):
    of_x, of_y = kernel(squares(x, x), scales), kernel(squares(y, y), scales)
    within = sum(k.triu(1).sum() / (len(k) * (len(k) - 1)) for k in (of_x, of_y))
    return within - 2 * kernel(squares(x, y), scales).mean()


@mistake("leaves out pairs of equal index between x and y too: count all n·m pairs", caught_by=VALUES)
def between_without_diagonal(x, y, scales):
    between = kernel(squares(x, y), scales)
    of_x, of_y = kernel(squares(x, x), scales), kernel(squares(y, y), scales)
    within = sum((k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (of_x, of_y))
    left_out = between.diagonal()
    return within - 2 * (between.sum() - left_out.sum()) / (between.numel() - len(left_out))


@mistake("subtracts the mean between the samples once: subtract it twice", caught_by=VALUES)
def factor_two_forgotten(x, y, scales):
    of_x, of_y, between = (kernel(squares(a, b), scales) for a, b in ((x, x), (y, y), (x, y)))
    return unbiased(of_x, of_y, between) + between.mean()


@mistake("adds the mean between the samples: subtract it", caught_by=VALUES)
def between_added(x, y, scales):
    of_x, of_y, between = (kernel(squares(a, b), scales) for a, b in ((x, x), (y, y), (x, y)))
    return unbiased(of_x, of_y, -between)


@mistake("uses x in place of y: the pairs within y are missing", caught_by=VALUES)
def within_x_twice(x, y, scales):
    of_x, between = kernel(squares(x, x), scales), kernel(squares(x, y), scales)
    return unbiased(of_x, of_x, between)


@mistake("averages over the kernels: sum over them", caught_by=VALUES)
def kernels_averaged(x, y, scales):
    return estimate(x, y, scales) / len(scales)


@mistake("returns an estimate for each kernel: sum over the kernels", caught_by=VALUES)
def estimate_of_each_kernel(x, y, scales):
    return torch.stack([estimate(x, y, scale[None]) for scale in scales])


@mistake("uses the first scale only: there is one kernel per scale", caught_by=VALUES)
def first_scale_only(x, y, scales):
    return estimate(x, y, scales[:1])


@mistake("adds up the scales for one kernel: there is one kernel per scale", caught_by=VALUES)
def scales_added(x, y, scales):
    return estimate(x, y, scales.sum().reshape(1))


@mistake("multiplies the kernels: sum them", caught_by=VALUES)
def kernels_multiplied(x, y, scales):
    return estimate(x, y, scales, lambda squared, scales: torch.stack([c / (c + squared) for c in scales]).prod(dim=0))


@mistake("squares the scale: use it as C unchanged", caught_by=VALUES)
def scale_squared(x, y, scales):
    return estimate(x, y, scales**2)


@mistake("doubles the scale: use it as C unchanged", caught_by=VALUES)
def scale_doubled(x, y, scales):
    return estimate(x, y, 2 * scales)


@mistake("multiplies the scale by the dimension: use it as C unchanged", caught_by=VALUES)
def scale_times_dim(x, y, scales):
    return estimate(x, y, 2 * x.shape[1] * scales)


@mistake("has 1 in the kernel's numerator: it should be C", caught_by=VALUES)
def one_in_the_numerator(x, y, scales):
    return estimate(x, y, scales, lambda squared, scales: sum(1 / (c + squared) for c in scales))


@mistake("uses a Gaussian kernel: the inverse multiquadratic is C / (C + ‖a − b‖²)", caught_by=VALUES)
def gaussian_kernel(x, y, scales):
    return estimate(x, y, scales, lambda squared, scales: sum(torch.exp(-squared / c) for c in scales))


@mistake("uses a Gaussian kernel: the inverse multiquadratic is C / (C + ‖a − b‖²)", caught_by=VALUES)
def gaussian_kernel_with_half(x, y, scales):
    return estimate(x, y, scales, lambda squared, scales: sum(torch.exp(-squared / (2 * c)) for c in scales))


@mistake("takes the root of the kernel: use C / (C + ‖a − b‖²) itself", caught_by=VALUES)
def root_of_the_kernel(x, y, scales):
    return estimate(x, y, scales, lambda squared, scales: sum((c / (c + squared)).sqrt() for c in scales))


@mistake("uses the distance in the kernel: use its square", caught_by=VALUES)
def distance_not_squared(x, y, scales):
    return estimate(x, y, scales, squares_of=torch.cdist)


@mistake("averages the squared differences over the dimensions: sum them", caught_by=VALUES)
def squares_averaged(x, y, scales):
    return estimate(x, y, scales, squares_of=lambda a, b: squares(a, b) / a.shape[1])


@mistake("takes the root of the estimate: return the squared discrepancy", caught_by=VALUES)
def root_of_the_estimate(x, y, scales):
    return estimate(x, y, scales).clamp(min=0.0).sqrt()


@mistake("compares only the means of the samples: compare all pairs of points", caught_by=VALUES)
def means_compared(x, y, scales):
    squared = ((x.mean(dim=0) - y.mean(dim=0)) ** 2).sum()
    return (2 - 2 * scales / (scales + squared)).sum()


@mistake("adds up all pairs: divide each sum by the number of its pairs", caught_by=VALUES)
def sums_of_pairs(x, y, scales):
    of_x, of_y, between = (kernel(squares(a, b), scales) for a, b in ((x, x), (y, y), (x, y)))
    return of_x.sum() - of_x.diagonal().sum() + of_y.sum() - of_y.diagonal().sum() - 2 * between.sum()


@mistake("clamps the estimate at 0: an unbiased estimate may be negative", caught_by=EDGES)
def clamped(x, y, scales):
    return estimate(x, y, scales).clamp(min=0.0)


@mistake("takes the absolute value: an unbiased estimate may be negative", caught_by=EDGES)
def absolute(x, y, scales):
    return estimate(x, y, scales).abs()


@mistake(MULTIPLIED_OUT, caught_by=EDGES)
def multiplied_out(x, y, scales):
    def squares_of(a, b):
        return (a**2).sum(dim=1, keepdim=True) - 2 * a @ b.T + (b**2).sum(dim=1)

    return estimate(x, y, scales, squares_of=squares_of)


@mistake(MULTIPLIED_OUT, caught_by=EDGES)
def multiplied_out_and_clamped(x, y, scales):
    def squares_of(a, b):
        return ((a**2).sum(dim=1, keepdim=True) - 2 * a @ b.T + (b**2).sum(dim=1)).clamp(min=0.0)

    return estimate(x, y, scales, squares_of=squares_of)


@mistake(MULTIPLIED_OUT, caught_by=EDGES)
def cdist_by_products(x, y, scales):
    return estimate(x, y, scales, squares_of=lambda a, b: torch.cdist(a, b) ** 2)


@mistake(SMALL_CONSTANT, caught_by=EDGES)
def small_constant(x, y, scales):
    return estimate(x, y, scales, squares_of=lambda a, b: squares(a, b) + 1e-5)


@mistake("leaves out all pairs of equal points: leave out only pairs of a point with itself", caught_by=EDGES)
def equal_points_left_out(x, y, scales):
    def within(draws):
        squared = squares(draws, draws)
        return (kernel(squared, scales) * (squared > 0)).sum() / (len(draws) * (len(draws) - 1))

    return within(x) + within(y) - 2 * kernel(squares(x, y), scales).mean()


@mistake(ROOT, caught_by=GRADIENTS)
def root_squared(x, y, scales):
    return estimate(x, y, scales, squares_of=lambda a, b: squares(a, b).sqrt() ** 2)


@mistake("treats y as a constant: gradients must reach it too", caught_by=GRADIENTS)
def y_detached(x, y, scales):
    return estimate(x, y.detach(), scales)


@mistake("treats x as a constant between the samples: gradients must reach it from all pairs", caught_by=GRADIENTS)
def x_detached_between(x, y, scales):
    pairs = ((x, x), (y, y), (x.detach(), y))
    return unbiased(*(kernel(squares(a, b), scales) for a, b in pairs))


@mistake("treats the scales as constants: gradients must reach them too", caught_by=GRADIENTS)
def scales_as_numbers(x, y, scales):
    return estimate(x, y, scales.tolist())


@mistake("treats one point of each pair as a constant: gradients must reach both", caught_by=GRADIENTS)
def one_point_detached(x, y, scales):
    return estimate(x, y, scales, squares_of=lambda a, b: squares(a, b.detach()))


@mistake(CUT_OFF, caught_by=GRADIENTS)
def without_gradients(x, y, scales):
    with torch.no_grad():
        return estimate(x, y, scales)


@mistake("changes the scales in place: work on new tensors", caught_by=PRECISION_KEPT)
def scales_normalised_in_place(x, y, scales):
    total = scales.detach().sum()
    scales /= total
    return estimate(x, y, scales * total)


@mistake("changes the samples in place: work on new tensors", caught_by=PRECISION_KEPT)
def centred_in_place(x, y, scales):
    centre = y.detach().mean(dim=0)
    x -= centre
    y -= centre
    return estimate(x, y, scales)


@mistake("returns a Python number: return a tensor, so that gradients can flow", caught_by=PRECISION_KEPT)
def python_number(x, y, scales):
    return estimate(x, y, scales).item()


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_out(x, y, scales):
    return estimate(x, y, scales).float()


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(x, y, scales):
    return estimate(x.float(), y.float(), scales.float()).to(x.dtype)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(x, y, scales):
    return estimate(x.double(), y.double(), scales.double())
