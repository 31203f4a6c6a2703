"""What the seam costs through which students replace the library's functions (:mod:`avae_lib.components`)."""

from __future__ import annotations

import torch
from torch.utils.benchmark import Timer

from avae_lib import components
from avae_lib.objectives import negative_elbo
from training_steps.timing import milliseconds_per_update
from training_steps.variants import Variant, experiment_of, state_of, stepping

__all__ = ["crossing"]

PRESET, BATCH, LAYERS = "digits-attentive", 64, 6
STATEMENT = "loss(log_likelihood, kl)"


def crossing(device: str = "cpu") -> dict[str, str | float]:
    """Time of a call through the seam beyond a direct one, and as a share of a small model's update."""
    terms = {"log_likelihood": torch.randn(BATCH), "kl": torch.randn(BATCH, LAYERS)}
    through = Timer(STATEMENT, globals={"loss": negative_elbo, **terms}).blocked_autorange(min_run_time=1)
    directly = Timer(STATEMENT, globals={"loss": components.implementation("negative_elbo"), **terms})
    beyond = through.median - directly.blocked_autorange(min_run_time=1).median
    state = state_of(experiment_of(PRESET, Variant(), BATCH, device))
    with stepping(state, Variant()) as step:
        milliseconds_per_update(step, state, 3)
        update, _ = milliseconds_per_update(step, state, 10)
    return {"preset": PRESET, "microseconds": 1e6 * beyond, "share_of_update": 1e3 * beyond / update}
