"""Checks of the models' arguments; the errors name the argument, what came, and what was wanted."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avae_lib.divergences.requirements import require_float, require_shape

__all__ = [
    "require_counts",
    "require_coupling",
    "require_field",
    "require_finite",
    "require_positive",
    "require_range",
    "require_spins",
]


def require_coupling(coupling: Tensor) -> None:
    """Raise unless ``coupling`` is a finite symmetric matrix (spins × spins) with zeros on its diagonal.

    >>> require_coupling(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    Traceback (most recent call last):
        ...
    ValueError: coupling must be symmetric, J_ij and J_ji differ by up to 1: take (J + Jᵀ) / 2
    """
    require_float(coupling=coupling)
    if coupling.ndim != 2 or coupling.shape[0] != coupling.shape[1]:
        raise ValueError(f"coupling must be a square matrix (spins × spins), got {tuple(coupling.shape)}")
    require_finite(coupling=coupling)
    asymmetry = (coupling - coupling.T).abs().max().item()
    if asymmetry > 0 and not torch.allclose(coupling, coupling.T):
        raise ValueError(
            f"coupling must be symmetric, J_ij and J_ji differ by up to {asymmetry:.3g}: take (J + Jᵀ) / 2"
        )
    if bool((coupling.diagonal() != 0).any()):
        raise ValueError("coupling must have a zero diagonal: a spin is not coupled to itself, since s_i² = 1")


def require_field(field: Tensor, spins: int) -> None:
    """Raise unless ``field`` holds one finite number for each spin.

    >>> require_field(torch.zeros(3), spins=4)
    Traceback (most recent call last):
        ...
    ValueError: field must have the shape (4,) (spins), got (3,)
    """
    require_float(field=field)
    require_shape((spins,), "spins", field=field)
    require_finite(field=field)


def require_finite(**tensors: Tensor) -> None:
    """Raise unless each of the named tensors is finite.

    >>> require_finite(field=torch.tensor([0.0, float("nan")]))
    Traceback (most recent call last):
        ...
    ValueError: field must be finite, it holds nan or infinity
    """
    for name, tensor in tensors.items():
        if tensor.numel() == 0:
            continue
        lowest, highest = tensor.detach().aminmax()  # one pass without an intermediate tensor; nan makes both nan
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise ValueError(f"{name} must be finite, it holds nan or infinity")


def require_range(low: float, high: float, **tensors: Tensor) -> None:
    """Raise unless all entries of each of the named tensors lie in [low, high].

    >>> require_range(0, 1, uniforms=torch.tensor([0.5, 1.5]))
    Traceback (most recent call last):
        ...
    ValueError: uniforms must lie in [0, 1], got values from 0.5 to 1.5
    """
    for name, tensor in tensors.items():
        if not bool(((tensor >= low) & (tensor <= high)).all()):
            low_got, high_got = tensor.min().item(), tensor.max().item()
            raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got values from {low_got:.6g} to {high_got:.6g}")


def require_spins(spins: Tensor) -> None:
    """Raise unless all spins are −1 or 1.

    >>> require_spins(torch.tensor([1.0, 0.0]))
    Traceback (most recent call last):
        ...
    ValueError: spins must be −1 or 1, got 0: for a binary picture take 2 * pixels - 1
    """
    require_float(spins=spins)
    if not bool((spins.abs() == 1).all()):
        odd = spins[spins.abs() != 1].flatten()[0].item()
        raise ValueError(f"spins must be −1 or 1, got {odd:.6g}: for a binary picture take 2 * pixels - 1")


def require_positive(**tensors: Tensor) -> None:
    """Raise unless each of the named tensors holds finite positive numbers.

    >>> require_positive(alpha=torch.tensor([0.5, 0.0]))
    Traceback (most recent call last):
        ...
    ValueError: alpha must be positive, its smallest entry is 0
    """
    for name, tensor in tensors.items():
        require_finite(**{name: tensor})
        if not bool((tensor > 0).all()):
            raise ValueError(f"{name} must be positive, its smallest entry is {tensor.min().item():.6g}")


def require_counts(counts: Tensor) -> None:
    """Raise unless ``counts`` is a finite non-negative matrix (docs × words), dense or sparse.

    >>> require_counts(torch.tensor([[3.0, -1.0]]))
    Traceback (most recent call last):
        ...
    ValueError: counts must not be negative, the smallest is -1
    """
    require_float(counts=counts)
    if counts.ndim != 2:
        raise ValueError(f"counts must be a matrix (docs × words), got the shape {tuple(counts.shape)}")
    entries = counts.coalesce().values() if counts.is_sparse else counts
    require_finite(counts=entries)
    if entries.numel() and entries.min() < 0:
        raise ValueError(f"counts must not be negative, the smallest is {entries.min().item():.6g}")
