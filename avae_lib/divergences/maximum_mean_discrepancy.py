"""Maximum mean discrepancy: how far two samples differ, judged by a kernel."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component

__all__ = ["maximum_mean_discrepancy"]


@component(unit="04_richer_models")
def maximum_mean_discrepancy(
    x: Float[Tensor, "n dim"], y: Float[Tensor, "m dim"], scales: Float[Tensor, "kernels"]
) -> Float[Tensor, ""]:
    r"""Unbiased estimate of the squared maximum mean discrepancy between two distributions, from a sample of each.

    .. math:: \frac{1}{n (n-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{m (m-1)} \sum_{i \ne j} k(y_i, y_j)
              - \frac{2}{n m} \sum_{i, j} k(x_i, y_j), \qquad
              k(a, b) = \sum_C \frac{C}{C + \lVert a - b \rVert^2}

    Gretton et al. (2012, equation 3) with inverse multiquadratics for kernels, whose tails notice a distant sample
    where a Gaussian kernel is 0 (Tolstikhin et al., 2018, section 4). The distributions are the same exactly where the
    expectation is 0. Samples of one distribution give values of either sign around 0.

    Args:
        x: sample of the first distribution, ``(n, dim)``, n at least 2.
        y: sample of the second one, ``(m, dim)``, m at least 2.
        scales: a C for each kernel, ``(kernels,)``, positive, in units of a squared distance. Latents of a standard
            normal lie about 2·dim apart, squared.

    Returns:
        A scalar in the inputs' dtype, differentiable in all three. Memory grows with n·m, not with n·m·dim. None of
        the inputs is changed.

    Raises:
        ValueError: x and y are not matrices of equally many columns, or one of them has fewer than two rows.

    One sample lies at 0, the other at 1. The kernel is 1 within each and 2/3 between them:

    >>> x, y = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]])
    >>> maximum_mean_discrepancy(x, y, torch.tensor([2.0]))
    tensor(0.6667)
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x and y must be (n, dim) and (m, dim) with one dim and at least two rows, got {shapes}")

    def kernel_sum(a: Tensor, b: Tensor) -> Tensor:
        # Distances from differences: products of coordinates far from zero would leave little but rounding.
        squared_distances = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
        return sum((scale / (scale + squared_distances)).sum() for scale in scales)  # pyright: ignore[reportReturnType]  not empty, so a tensor

    n, m, of_equal_points = len(x), len(y), len(scales)  # each kernel is 1 between a point and itself
    within_x = (kernel_sum(x, x) - n * of_equal_points) / (n * (n - 1))
    within_y = (kernel_sum(y, y) - m * of_equal_points) / (m * (m - 1))
    return within_x + within_y - 2 * kernel_sum(x, y) / (n * m)
