"""What the arguments of the models must be like, and the errors that say so."""

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
    """A coupling is a finite symmetric matrix (spins × spins) with zeros on its diagonal."""
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
    """A field holds one finite number for each spin."""
    require_float(field=field)
    require_shape((spins,), "spins", field=field)
    require_finite(field=field)


def require_finite(**tensors: Tensor) -> None:
    """Each of the named tensors is finite."""
    for name, tensor in tensors.items():
        if tensor.numel() == 0:
            continue
        lowest, highest = tensor.detach().aminmax()  # one pass, without a tensor in between; nan comes out of both
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise ValueError(f"{name} must be finite, it holds nan or infinity")


def require_range(low: float, high: float, **tensors: Tensor) -> None:
    """All entries of each of the named tensors lie in [low, high]."""
    for name, tensor in tensors.items():
        if not bool(((tensor >= low) & (tensor <= high)).all()):
            low_got, high_got = tensor.min().item(), tensor.max().item()
            raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got values from {low_got:.6g} to {high_got:.6g}")


def require_spins(spins: Tensor) -> None:
    """Spins are −1 or 1."""
    require_float(spins=spins)
    if not bool((spins.abs() == 1).all()):
        odd = spins[spins.abs() != 1].flatten()[0].item()
        raise ValueError(f"spins must be −1 or 1, got {odd:.6g}: for a binary picture take 2 * pixels - 1")


def require_positive(**tensors: Tensor) -> None:
    """Each of the named tensors holds finite positive numbers."""
    for name, tensor in tensors.items():
        require_finite(**{name: tensor})
        if not bool((tensor > 0).all()):
            raise ValueError(f"{name} must be positive, its smallest entry is {tensor.min().item():.6g}")


def require_counts(counts: Tensor) -> None:
    """Counts are a finite non-negative matrix (docs × words)."""
    require_float(counts=counts)
    if counts.ndim != 2:
        raise ValueError(f"counts must be a matrix (docs × words), got the shape {tuple(counts.shape)}")
    entries = counts.coalesce().values() if counts.is_sparse else counts
    require_finite(counts=entries)
    if entries.numel() and entries.min() < 0:
        raise ValueError(f"counts must not be negative, the smallest is {entries.min().item():.6g}")
