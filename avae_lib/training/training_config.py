"""How a model is trained: everything that decides the course of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train a model.

    Raises:
        ValueError: a value that no run can have; the message names it.
    """

    steps: int = 1000
    """Updates of the whole run; a larger number continues a run that has ended."""
    batch_size: int = 64
    """Images per update."""
    optimizer: Literal["adam", "adamax"] = "adamax"
    """Adam or its variant with the maximum norm (both Kingma and Ba, 2015)."""
    learning_rate: float = 2e-3
    """Peak learning rate, reached at the end of the warm-up."""
    warmup_steps: int = 50
    """Updates over which the learning rate rises linearly from zero."""
    final_learning_rate: float = 0.02
    """What is left of the learning rate after its cosine decay, as a fraction of the peak."""
    beta: float = 1.0
    """Weight of the KL in the loss; 1 is the bound itself."""
    beta_warmup_steps: int = 0
    """Updates over which that weight rises linearly from zero."""
    ema_decay: float = 0.99
    """Decay of the moving average of the weights, which is what is evaluated and sampled from."""
    clip_norm: float = 100.0
    """Largest gradient norm; longer gradients are scaled down to it."""
    max_skips: int = 20
    """Updates in a row that may be left out because loss or gradient is not finite, before training stops."""
    seed: int = 0
    """Decides initial weights, order of the images and all noise."""
    log_every: int = 10
    """Updates per row of metrics.jsonl, which holds their mean."""
    evaluate_every: int = 100
    """Updates between evaluations on held-out images."""
    evaluation_images: int = 1000
    """Held-out images that such an evaluation looks at, at most."""
    checkpoint_every: int = 100
    """Updates between checkpoints: what a killed run loses at most."""
    device: str = "auto"
    """Where to train: auto (a GPU if there is one), cpu, cuda, cuda:1, …"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic inside the networks; weights are float32 either way."""
    compile: bool = False
    """Train through torch.compile: slower to start, faster on a GPU."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "max_skips", "log_every", "evaluate_every", "checkpoint_every"):
            _require(name, getattr(self, name), "at least 1", getattr(self, name) >= 1)
        for name in ("warmup_steps", "beta", "beta_warmup_steps", "final_learning_rate"):
            _require(name, getattr(self, name), "not negative", getattr(self, name) >= 0)
        for name in ("learning_rate", "clip_norm", "evaluation_images"):
            _require(name, getattr(self, name), "positive", getattr(self, name) > 0)
        _require("ema_decay", self.ema_decay, "at least 0 and below 1", 0 <= self.ema_decay < 1)
        _require("optimizer", self.optimizer, "adam or adamax", self.optimizer in ("adam", "adamax"))
        _require("precision", self.precision, "float32 or bfloat16", self.precision in ("float32", "bfloat16"))


def _require(name: str, value: object, wanted: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"training.{name} must be {wanted}, got {value!r}")
