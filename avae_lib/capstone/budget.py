"""What a capstone may use up, and what counts as an improvement. All limits of the capstone stand here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BUDGET", "Budget"]


@dataclass(frozen=True)
class Budget:
    """The budget of a capstone: the same for everybody, so that numbers can be compared."""

    data_set: str = "photos32"
    """The data set whose training images the model learns from, as :func:`avae_lib.data.load` names it."""
    public_images: int = 350
    """Claims are about the first so many test images; photos32 has no more."""
    max_parameters: int = 2_000_000
    """Most trained numbers in the model."""
    max_weights_bytes: int = 10_000_000
    """Largest weights.safetensors."""
    max_config_bytes: int = 16_384
    """Largest config.json."""
    max_report_bytes: int = 16_384
    """Largest report.md: a page of text and the table are about 4,000."""
    max_updates: int = 20_000
    """Most updates of the weights."""
    max_hours: float = 1.0
    """Longest training, in hours, over all stretches; ``experiments/capstone`` reaches all bands in half of it."""
    max_samples: int = 16
    """Most draws for each image that an importance-weighted number may rest on."""
    max_error_bpd: float = 0.1
    """Largest error that a claim may state, in bits per dimension: beyond it, nearly every claim would be true."""
    max_measuring_minutes: float = 10.0
    """Longest that the public images take to be measured, on one core. The held-out ones may take as long again."""
    bands_bpd: tuple[float, ...] = (0.3, 0.6, 0.9)
    """Improvements on the baseline, in bits per dimension, each of which earns further points."""


BUDGET = Budget()
"""The budget of this course."""
