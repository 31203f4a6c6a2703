"""How a model is trained: everything that decides the course of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from avae_lib.errors import InvalidInput

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
    optimizer: Literal["adam", "adamax", "adamw"] = "adamax"
    """Adam, its variant with the maximum norm (both Kingma and Ba, 2015), or the one whose weight decay does not
    pass through the moments (Loshchilov and Hutter, 2019)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the optimiser's running first and second moment of the gradient."""
    epsilon: float = 1e-8
    """What the optimiser adds to the scale it divides the gradient by."""
    weight_decay: float = 0.0
    """Fraction of the weights that adamw takes off in each update, times the learning rate."""
    learning_rate: float = 2e-3
    """Peak learning rate, reached at the end of the warm-up."""
    warmup_steps: int = 50
    """Updates over which the learning rate rises linearly from zero."""
    schedule: Literal["cosine", "constant", "cosine_restarts"] = "cosine"
    """The learning rate after its warm-up: a cosine decay over the whole run, none, or one cosine after another,
    each twice as long as the one before (Loshchilov and Hutter, 2017)."""
    restart_period_steps: int = 0
    """Updates of the first of these cosines."""
    final_learning_rate: float = 0.02
    """What is left of the learning rate at the end of a cosine, as a fraction of the peak."""
    beta: float = 1.0
    """Weight of the KL in the loss; 1 is the bound itself."""
    beta_start: float = 0.0
    """Initial weight of the KL, at the start of its warm-up."""
    beta_warmup_steps: int = 0
    """Updates over which the weight of the KL rises, linearly, and that of a model's penalties with it; 0 for the full
    weight from the beginning."""
    free_bits: float = 0.0
    """Nats per layer that cost nothing: a layer's KL counts as at least that much (Kingma et al., 2016)."""
    kl_balancing: bool = False
    """While the KL warms up, weigh each layer's by how much each of its units is used (Vahdat and Kautz, 2020)."""
    l2_penalty: float = 0.0
    """Weight of the sum of all squared parameters in the loss."""
    spectral_penalty: float = 0.0
    """Weight of the sum of the largest singular values of all weight matrices (Yoshida and Miyato, 2017)."""
    ema_decay: float = 0.99
    """Decay of the moving average of the weights, which is what is evaluated and sampled from."""
    clip_norm: float = 100.0
    """Largest gradient norm; longer gradients are scaled down to it."""
    skip_threshold: float | None = None
    """Gradient norm, before it is clipped, from which on an update is left out (Child, 2021); None for no such limit.
    Updates whose loss or gradient is not finite are always left out."""
    skip_factor: float | None = None
    """Multiple of the usual gradient norm from which on an update is left out: a limit that follows the gradients, so
    that it cannot fire for ever; None for no such limit."""
    max_skips: int = 20
    """Updates in a row that may be left out before training stops; looked at with every row of metrics."""
    seed: int = 0
    """Decides initial weights, order of the images and all noise."""
    log_every: int = 10
    """Updates per row of metrics.jsonl, which holds their mean."""
    evaluate_every: int = 100
    """Updates between evaluations of the averaged weights on validation images (see data.validation). Each gives a row
    of metrics.jsonl. The weights with the lowest −ELBO so far are kept in best.safetensors; for a model that defines no
    density, those with the lowest training objective."""
    evaluation_images: int = 1000
    """Validation images that an evaluation during training looks at, at most."""
    checkpoint_every: int = 100
    """Updates between checkpoints: what a killed run loses at most."""
    milestones: tuple[int, ...] = ()
    """Numbers of updates after which the averaged weights are kept for good, as milestones/000500.safetensors."""
    minutes: float | None = None
    """Minutes that one call may train, evaluations included: then it saves a checkpoint and stops, and the same command
    goes on from there. None for no limit. The learning rate follows training.steps, whatever the limit."""
    device: str = "auto"
    """Where to train: auto (a GPU if there is one), cpu, cuda, cuda:1, …"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic inside the networks; weights are float32 either way."""
    codecarbon: bool = False
    """Let codecarbon, if it is installed, estimate the electricity of the whole machine; else the GPU's own counter
    is read, where it has one."""
    compile: bool = False
    """Train through torch.compile: slower to start, faster on a GPU."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "max_skips", "log_every", "evaluate_every", "checkpoint_every"):
            _require(name, getattr(self, name), "at least 1", getattr(self, name) >= 1)
        for name in _NOT_NEGATIVE:
            _require(name, getattr(self, name), "not negative", getattr(self, name) >= 0)
        for name in ("learning_rate", "clip_norm", "evaluation_images", "epsilon"):
            _require(name, getattr(self, name), "positive", getattr(self, name) > 0)
        _require("milestones", self.milestones, "numbers of updates, at least 1", all(n >= 1 for n in self.milestones))
        _require("minutes", self.minutes, "None or above 0", self.minutes is None or self.minutes > 0)
        for name, choices in _CHOICES.items():
            _require(name, getattr(self, name), f"one of {', '.join(choices)}", getattr(self, name) in choices)
        _require("ema_decay", self.ema_decay, "at least 0 and below 1", 0 <= self.ema_decay < 1)
        two_decays = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        _require("betas", self.betas, "two numbers, at least 0 and below 1", two_decays)
        for name, least in (("skip_threshold", 0), ("skip_factor", 1)):
            limit = getattr(self, name)
            _require(name, limit, f"None or above {least}", limit is None or limit > least)
        self._require_company()

    def _require_company(self) -> None:
        """Refuse fields that do nothing, or nothing sensible, beside the others."""
        weight_decay = self.weight_decay
        _require(
            "weight_decay", weight_decay, "0 without optimizer adamw", weight_decay == 0 or self.optimizer == "adamw"
        )
        has_period = self.schedule != "cosine_restarts" or self.restart_period_steps >= 1
        _require(
            "restart_period_steps", self.restart_period_steps, "at least 1 with schedule cosine_restarts", has_period
        )
        balances = not self.kl_balancing or self.beta_warmup_steps > 0
        _require("beta_warmup_steps", self.beta_warmup_steps, "at least 1 with kl_balancing", balances)
        _require("beta_start", self.beta_start, f"at most beta = {self.beta}", self.beta_start <= self.beta)


_NOT_NEGATIVE = (
    "warmup_steps",
    "final_learning_rate",
    "restart_period_steps",
    "weight_decay",
    "beta",
    "beta_start",
    "beta_warmup_steps",
    "free_bits",
    "l2_penalty",
    "spectral_penalty",
)
_CHOICES = {
    name: get_args(kind)
    for name, kind in get_type_hints(TrainingConfig).items()
    if name in ("optimizer", "schedule", "precision")
}


def _require(name: str, value: object, wanted: str, holds: bool) -> None:
    if not holds:
        raise InvalidInput(f"training.{name} must be {wanted}, got {value!r}")
