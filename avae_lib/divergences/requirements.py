"""Checks of the arguments of divergences; the errors name the argument, what came, and what was wanted."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "covariance_factor",
    "require_float",
    "require_probabilities",
    "require_same_dim",
    "require_shape",
]

# Passes a softmax in single precision and decimals with five digits; refuses (⅓, ⅓, ⅓) typed as .333.
_SUM_TOLERANCE = 1e-4


def require_float(**tensors: Tensor) -> None:
    """Raise unless each of the named tensors holds at least one floating-point number.

    >>> require_float(mean=torch.tensor([1, 2]))
    Traceback (most recent call last):
        ...
    ValueError: mean must hold floating-point numbers, got torch.int64: convert it with .double()
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must hold floating-point numbers, got {tensor.dtype}: convert it with .double()")
        if tensor.numel() == 0:
            raise ValueError(f"{name} is empty: its shape is {tuple(tensor.shape)}, every dimension must be at least 1")


def require_same_dim(**tensors: Tensor) -> None:
    """Raise unless the last dimensions of the named tensors agree and the dimensions before broadcast.

    >>> require_same_dim(mean=torch.zeros(5, 3), log_std=torch.zeros(3))
    >>> require_same_dim(mean=torch.zeros(5, 3), log_std=torch.zeros(5, 4))
    Traceback (most recent call last):
        ...
    ValueError: the last dimension must be the same for all of mean (5, 3), log_std (5, 4)
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    first, *others = shapes.values()
    if len(first) > 0 and all(shape == first for shape in others):
        return  # the common case first: this is called in every training step
    all_shapes = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if any(len(shape) == 0 for shape in shapes.values()) or len({shape[-1] for shape in shapes.values()}) > 1:
        raise ValueError(f"the last dimension must be the same for all of {all_shapes}")
    try:
        torch.broadcast_shapes(*shapes.values())
    except RuntimeError:
        raise ValueError(f"the dimensions before the last must agree, got {all_shapes}") from None


def require_shape(wanted: tuple[int, ...], axes: str, **tensors: Tensor) -> None:
    """Raise unless each of the named tensors has the wanted shape, whose dimensions are called ``axes``.

    >>> require_shape((3,), "samples", log_prob=torch.zeros(3, 1))
    Traceback (most recent call last):
        ...
    ValueError: log_prob must have the shape (3,) (samples), got (3, 1)
    """
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != wanted:
            raise ValueError(f"{name} must have the shape {wanted} ({axes}), got {tuple(tensor.shape)}")


def require_probabilities(**tensors: Tensor) -> None:
    """Raise unless the last dimension of each of the named tensors holds probabilities.

    >>> require_probabilities(q=torch.tensor([0.5, 0.75]))
    Traceback (most recent call last):
        ...
    ValueError: q must sum to one over its last dimension, got a sum of 1.25: normalise it
    """
    for name, tensor in tensors.items():
        if not bool((tensor >= 0).all()):
            raise ValueError(f"{name} must hold probabilities, its smallest entry is {tensor.min().item():.6g}")
        sums = tensor.detach().sum(dim=-1)
        error = (sums - 1).abs()
        if not bool((error <= max(_SUM_TOLERANCE, 4 * torch.finfo(tensor.dtype).eps)).all()):
            worst = sums.flatten()[error.flatten().argmax()].item()
            raise ValueError(f"{name} must sum to one over its last dimension, got a sum of {worst:.6g}: normalise it")


def covariance_factor(name: str, cov: Tensor, mean: Tensor) -> Tensor:
    """The lower Cholesky factor of a batch of covariances whose size is that of ``mean``.

    Raises:
        ValueError: they are not square, of another size, not symmetric, or not positive definite.

    >>> covariance_factor("cov", torch.tensor([[4.0, 2.0], [2.0, 5.0]]), torch.zeros(2))
    tensor([[2., 0.],
            [1., 2.]])
    >>> covariance_factor("cov", torch.tensor([[1.0, 2.0], [2.0, 1.0]]), torch.zeros(2))
    Traceback (most recent call last):
        ...
    ValueError: cov must be positive definite, its smallest eigenvalue is -1
    """
    _require_square(name, cov, mean)
    _require_symmetric(name, cov)
    factor, failed = torch.linalg.cholesky_ex(cov)
    if bool(failed.any()):
        lowest = torch.linalg.eigvalsh(cov.detach()).min().item()
        raise ValueError(f"{name} must be positive definite, its smallest eigenvalue is {lowest:.6g}")
    return factor


def _require_square(name: str, cov: Tensor, mean: Tensor) -> None:
    dim, shape = mean.shape[-1], tuple(cov.shape)
    if shape[-2:] != (dim, dim):
        raise ValueError(f"{name} must have the shape (*batch, {dim}, {dim}) to fit its mean, got {shape}")
    try:
        torch.broadcast_shapes(mean.shape[:-1], shape[:-2])
    except RuntimeError:
        raise ValueError(f"{name} {shape} and its mean {tuple(mean.shape)} must have the same batch") from None


def _require_symmetric(name: str, cov: Tensor) -> None:
    if not bool(cov.isfinite().all()):
        raise ValueError(f"{name} must be finite, it holds nan or infinity")
    asymmetry, largest = (cov - cov.mT).abs().max().item(), cov.abs().max().item()
    # Products such as A Σ Aᵀ are symmetric up to rounding only.
    if asymmetry > torch.finfo(cov.dtype).eps ** 0.75 * largest:
        raise ValueError(f"{name} must be symmetric, entries differ from their mirror images by up to {asymmetry:.3g}")
