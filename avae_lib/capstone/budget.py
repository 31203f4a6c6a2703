"""The budget of a capstone, and what counts as an improvement: all limits of the capstone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BUDGET", "Budget"]


@dataclass(frozen=True)
class Budget:
    """The budget of a capstone, the same for everybody, so that results can be compared.

    >>> BUDGET.max_parameters, BUDGET.max_hours, BUDGET.bands_bpd
    (2000000, 1.0, (0.3, 0.6, 0.9))
    """

    data_set: str = "photos32"
    """The data set whose training images the model learns from, as :func:`avae_lib.data.load` names it."""
    public_images: int = 350
    """Number of test images that claims are about; photos32 has no more."""
    max_parameters: int = 2_000_000
    """Largest number of trained numbers in the model."""
    max_weights_bytes: int = 10_000_000
    """Largest weights.safetensors."""
    max_config_bytes: int = 16_384
    """Largest config.json."""
    max_report_bytes: int = 16_384
    """Largest report.md: a page of text and the table are about 4,000."""
    max_updates: int = 20_000
    """Largest number of updates of the weights."""
    max_hours: float = 1.0
    """Longest training in hours, all sessions together; ``experiments/capstone`` reaches all bands in half of it."""
    max_samples: int = 16
    """Largest number of samples per image for an importance-weighted number."""
    max_error_bpd: float = 0.1
    """Largest error that a claim may state, in bits per dimension: with a larger one, nearly every claim is true."""
    max_measuring_minutes: float = 10.0
    """Longest time to measure the public images, on one core. The held-out ones may take the same time again."""
    bands_bpd: tuple[float, ...] = (0.3, 0.6, 0.9)
    """Improvements on the baseline, in bits per dimension, each of which earns further points."""


BUDGET = Budget()
"""The budget of this course."""
