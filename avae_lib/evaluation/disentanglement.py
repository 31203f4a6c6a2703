"""How closely single latent units correspond to single factors of the data."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["mutual_information_gap"]

_BINS = 20


def mutual_information_gap(
    codes: Float[Tensor, "images units"], factors: Int[Tensor, "images factors"], bins: int = _BINS
) -> float:
    r"""The mutual information gap (Chen et al., 2018, equation 6): 1 if each factor is known from one unit alone.

    .. math:: \frac1K \sum_k \frac{1}{H(v_k)} \Bigl[ I(z_{j_k}; v_k) - \max_{j \ne j_k} I(z_j; v_k) \Bigr],
              \qquad j_k = \arg\max_j I(z_j; v_k)

    Each unit is cut into bins of equal width over its range, as in the study of Locatello et al. (2019), so that the
    gap is also defined for encoders without noise. With few images for each bin all mutual informations are too high
    and the gap is biased: compare models on the same images.

    Args:
        codes: the model's code of each image, for example the posterior means, ``(images, units)``, at least two
            units.
        factors: the value of each factor of each image, as whole numbers, ``(images, factors)``.
        bins: bins for each unit.

    Raises:
        ValueError: fewer than two units, different numbers of images, or a factor that has only one value.

    >>> import torch
    >>> shape, size = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    >>> factors = torch.stack([shape, size], dim=1)
    >>> mutual_information_gap(codes=factors.double(), factors=factors)
    1.0
    >>> mixed = torch.stack([shape + size, shape - size], dim=1).double()
    >>> mutual_information_gap(codes=mixed, factors=factors)
    0.0
    """
    _require_codes_and_factors(codes, factors)
    from sklearn.metrics import mutual_info_score  # the import takes a second

    binned = [_binned(unit, bins) for unit in codes.detach().cpu().double().T]
    gaps = []
    for factor in factors.cpu().T:
        entropy = mutual_info_score(factor, factor)
        first, second = sorted((mutual_info_score(factor, unit) for unit in binned), reverse=True)[:2]
        gaps.append((first - second) / entropy)
    return float(sum(gaps) / len(gaps))


def _binned(unit: Float[Tensor, " images"], bins: int) -> Int[Tensor, " images"]:
    low, high = unit.min(), unit.max()
    return ((unit - low) / (high - low).clamp(min=1e-12) * bins).long().clamp(max=bins - 1)


def _require_codes_and_factors(codes: Tensor, factors: Tensor) -> None:
    if codes.ndim != 2 or codes.shape[1] < 2:
        raise ValueError(f"codes must be (images, units) with at least two units, got shape {tuple(codes.shape)}")
    if factors.ndim != 2 or len(factors) != len(codes):
        raise ValueError(
            f"factors must be (images, factors) for the {len(codes)} images of codes, got shape {tuple(factors.shape)}"
        )
    constant = [k for k, factor in enumerate(factors.T) if factor.unique().numel() < 2]
    if constant:
        raise ValueError(f"each factor must have at least two values, but factor {constant[0]} has one")
