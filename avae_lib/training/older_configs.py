"""Training configurations from the time when their fields were not in groups: read from old files, found for old flags.

This is the one place that knows the flat names. Run folders and records of experiments from that time still load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PLACES", "in_groups", "is_flat"]

PLACES = {
    "optimizer": "optimizer.kind",
    "betas": "optimizer.betas",
    "epsilon": "optimizer.epsilon",
    "weight_decay": "optimizer.weight_decay",
    "clip_norm": "optimizer.clip_norm",
    "ema_decay": "optimizer.ema_decay",
    "learning_rate": "learning_rate.peak",
    "warmup_steps": "learning_rate.warmup_steps",
    "schedule": "learning_rate.schedule",
    "restart_period_steps": "learning_rate.first_period_steps",
    "final_learning_rate": "learning_rate.final_fraction",
    "beta": "kl_weight.final",
    "beta_start": "kl_weight.start",
    "beta_warmup_steps": "kl_weight.warmup_steps",
    "free_bits": "kl_weight.free_bits",
    "kl_balancing": "kl_weight.balancing",
    "l2_penalty": "penalties.l2",
    "spectral_penalty": "penalties.spectral",
    "skip_threshold": "skipping.threshold",
    "skip_factor": "skipping.factor",
    "max_skips": "skipping.max_in_a_row",
    "log_every": "logging.metrics_every",
    "evaluate_every": "logging.evaluate_every",
    "evaluation_images": "logging.evaluation_images",
    "checkpoint_every": "logging.checkpoint_every",
    "milestones": "logging.milestones",
    "codecarbon": "logging.codecarbon",
}
"""Where each flat field of a training configuration is found in a group."""

_MODULE = "avae_lib.training.training_config"
_GROUPS = {
    "optimizer": "OptimizerConfig",
    "learning_rate": "LearningRateConfig",
    "kl_weight": "KLWeightConfig",
    "penalties": "PenaltiesConfig",
    "skipping": "SkippingConfig",
    "logging": "LoggingConfig",
}


def is_flat(record: Mapping[str, Any]) -> bool:
    """Whether a stored training configuration has its fields outside groups.

    >>> is_flat({"steps": 10, "learning_rate": 0.01}), is_flat({"steps": 10, "learning_rate": {"peak": 0.01}})
    (True, False)
    """
    return any(name in PLACES and not isinstance(value, Mapping) for name, value in record.items())


def in_groups(record: Mapping[str, Any]) -> dict[str, Any]:
    """A flat stored training configuration with its fields in groups. Values that had no effect are left out.

    >>> in_groups({"type": "avae_lib.training.training_config.TrainingConfig", "steps": 10, "beta_warmup_steps": 5})
    ... # doctest: +ELLIPSIS
    {'type': '...TrainingConfig', 'steps': 10, 'kl_weight': {'type': '...KLWeightConfig', 'warmup_steps': 5}}
    """
    grouped: dict[str, Any] = {}
    for name, value in _with_effect(record).items():
        if name not in PLACES:
            grouped[name] = value
            continue
        group, _, field = PLACES[name].partition(".")
        fields = grouped.setdefault(group, {"type": f"{_MODULE}.{_GROUPS[group]}"})
        fields[field] = value
    return grouped


def _with_effect(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without the values that earlier versions accepted although nothing depended on them."""
    idle = set()
    beta, start = record.get("beta", 1.0), record.get("beta_start", 0.0)
    balances = record.get("kl_balancing", False) and beta > 0
    schedule = record.get("schedule", "cosine")
    if schedule == "constant":
        idle.add("final_learning_rate")
    if schedule != "cosine_restarts":
        idle.add("restart_period_steps")
    if beta == 0:
        idle |= {"free_bits", "kl_balancing"}
    if record.get("beta_warmup_steps", 0) <= 1 or (start == beta and not balances):
        idle |= {"beta_warmup_steps", "beta_start", "kl_balancing"}
    return {name: value for name, value in record.items() if name not in idle}
