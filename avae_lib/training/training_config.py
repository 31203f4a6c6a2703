"""How a model is trained: everything that decides the course of a run, in groups of fields that belong together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args, get_type_hints

from avae_lib.errors import InvalidInput

__all__ = [
    "KLWeightConfig",
    "LearningRateConfig",
    "LoggingConfig",
    "OptimizerConfig",
    "PenaltiesConfig",
    "SkippingConfig",
    "TrainingConfig",
]


@dataclass(frozen=True)
class OptimizerConfig:
    """How a gradient becomes a step of the weights, and how the weights are averaged.

    >>> OptimizerConfig(kind="adam", weight_decay=0.1)
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: training.optimizer.weight_decay = 0.1 has no effect with the optimizer adam: choose
    training.optimizer.kind adamw, or leave weight_decay at 0
    """

    kind: Literal["adam", "adamax", "adamw"] = "adamax"
    """The optimizer: adam, or adamax, its variant with the maximum norm (both Kingma and Ba, 2015), or adamw, whose
    weight decay bypasses the moments (Loshchilov and Hutter, 2019)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the optimizer's running first and second moment of the gradient."""
    epsilon: float = 1e-8
    """Added to the denominator of the optimizer's step, so that it never divides by zero."""
    weight_decay: float = 0.0
    """Weight decay of adamw: each update shrinks the weights by this fraction times the learning rate."""
    clip_norm: float = 100.0
    """Largest gradient norm, over all parameters together; a longer gradient is scaled down to it."""
    ema_decay: float = 0.99
    """Decay of the exponential moving average of the weights. The averaged weights are the ones that are evaluated and
    sampled from. 0 for no averaging."""

    def __post_init__(self) -> None:
        _require_choice("optimizer", self, "kind")
        two_decays = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        _require("optimizer.betas", self.betas, "two numbers, at least 0 and below 1", two_decays)
        _require_positive("optimizer", self, "epsilon", "clip_norm")
        _require_not_negative("optimizer", self, "weight_decay")
        _require("optimizer.ema_decay", self.ema_decay, "at least 0 and below 1", 0 <= self.ema_decay < 1)
        if self.weight_decay != 0 and self.kind != "adamw":
            raise _no_effect(
                "optimizer.weight_decay",
                self.weight_decay,
                f"with the optimizer {self.kind}: choose training.optimizer.kind adamw, or leave weight_decay at 0",
            )


@dataclass(frozen=True)
class LearningRateConfig:
    """The learning rate: a linear warm-up to its peak, then a schedule.

    >>> LearningRateConfig(first_period_steps=1000)
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: training.learning_rate.first_period_steps = 1000 has no effect with ...
    """

    peak: float = 2e-3
    """Highest learning rate, reached at the end of the warm-up."""
    warmup_steps: int = 50
    """Number of updates over which the learning rate rises linearly from zero to its peak."""
    schedule: Literal["cosine", "constant", "cosine_restarts"] = "cosine"
    """The learning rate after its warm-up: cosine decays it over the whole run, constant keeps it at the peak, and
    cosine_restarts decays it again and again, each time over twice as many updates (Loshchilov and Hutter, 2017)."""
    first_period_steps: int = 0
    """With the schedule cosine_restarts, which needs it: number of updates from the end of the warm-up to the first
    restart of the learning rate. 0 with any other schedule."""
    final_fraction: float = 0.02
    """Learning rate at the end of a cosine decay, as a fraction of the peak. A constant schedule does not use it."""

    def __post_init__(self) -> None:
        _require_positive("learning_rate", self, "peak")
        _require_not_negative("learning_rate", self, "warmup_steps", "first_period_steps", "final_fraction")
        _require_choice("learning_rate", self, "schedule")
        if self.schedule == "cosine_restarts":
            wanted = "at least 1 with training.learning_rate.schedule cosine_restarts"
            _require("learning_rate.first_period_steps", self.first_period_steps, wanted, self.first_period_steps >= 1)
        elif self.first_period_steps != 0:
            raise _no_effect(
                "learning_rate.first_period_steps",
                self.first_period_steps,
                f"with the schedule {self.schedule}: choose training.learning_rate.schedule cosine_restarts, or leave "
                "first_period_steps at 0",
            )
        if self.schedule == "constant" and self.final_fraction != LearningRateConfig.final_fraction:
            raise _no_effect(
                "learning_rate.final_fraction",
                self.final_fraction,
                "with a constant schedule: choose training.learning_rate.schedule cosine, or leave final_fraction at "
                f"{LearningRateConfig.final_fraction}",
            )


@dataclass(frozen=True)
class KLWeightConfig:
    """The weight of the KL in the loss: its warm-up, and how the KL of each layer counts.

    >>> KLWeightConfig(start=0.1)
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: training.kl_weight.start = 0.1 has no effect without a warm-up: ...
    """

    final: float = 1.0
    """KL weight (beta) after the warm-up; with 1 the loss is the negative evidence lower bound."""
    start: float = 0.0
    """Initial KL weight (beta) at the start of the warm-up."""
    warmup_steps: int = 0
    """Number of updates over which the KL weight rises linearly; the weight of the model's own penalties rises in
    proportion. 0 for the full weight from the first update."""
    free_bits: float = 0.0
    """Nats of KL per layer that are free: in the loss, the KL of each layer counts as at least this much (Kingma et
    al., 2016). 0 for none."""
    balancing: bool = False
    """During the warm-up of the KL weight, balance the layers: a layer whose units are used more gets a larger weight
    on its KL (Vahdat and Kautz, 2020)."""

    def __post_init__(self) -> None:
        _require_not_negative("kl_weight", self, "final", "start", "warmup_steps", "free_bits")
        wanted = "0 or at least 2: a warm-up of one update is none"
        _require("kl_weight.warmup_steps", self.warmup_steps, wanted, self.warmup_steps != 1)
        _require("kl_weight.start", self.start, f"at most final = {self.final}", self.start <= self.final)
        self._require_effects()

    def _require_effects(self) -> None:
        """Refuse fields that have no effect beside the others."""
        set_warmup = "set training.kl_weight.warmup_steps to at least 2"
        if self.warmup_steps == 0 and self.start != 0:
            raise _no_effect("kl_weight.start", self.start, f"without a warm-up: {set_warmup}, or leave start at 0")
        if self.warmup_steps == 0 and self.balancing:
            raise _no_effect("kl_weight.balancing", True, f"without a warm-up: {set_warmup}, or leave balancing out")
        for name in ("free_bits", "balancing"):
            value = getattr(self, name)
            if self.final == 0 and value:
                why = "while the KL weight is 0: set training.kl_weight.final above 0"
                raise _no_effect(f"kl_weight.{name}", value, f"{why}, or leave {name} out")
        if self.warmup_steps > 0 and self.start == self.final and not self.balancing:
            why = f"when the KL weight is {self.final} at its start and at its end"
            raise _no_effect("kl_weight.warmup_steps", self.warmup_steps, f"{why}: change start, or set it to 0")


@dataclass(frozen=True)
class PenaltiesConfig:
    """Penalties on the weights that are added to the loss.

    >>> PenaltiesConfig(l2=1e-4)
    PenaltiesConfig(l2=0.0001, spectral=0.0)
    """

    l2: float = 0.0
    """Weight in the loss of the sum of all squared parameters; 0 for no such penalty."""
    spectral: float = 0.0
    """Weight in the loss of the sum of the largest singular values of all weight matrices (Yoshida and Miyato, 2017);
    0 for no such penalty."""

    def __post_init__(self) -> None:
        _require_not_negative("penalties", self, "l2", "spectral")


@dataclass(frozen=True)
class SkippingConfig:
    """Which updates are skipped. An update whose loss or gradient is not finite always is.

    With both limits, the lower one decides.

    >>> SkippingConfig(factor=0.5)
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: training.skipping.factor must be None or above 1, got 0.5
    """

    threshold: float | None = None
    """Skip an update if its gradient norm, before clipping, reaches this fixed limit (Child, 2021). None for no fixed
    limit."""
    factor: float | None = None
    """Skip an update if its gradient norm, before clipping, reaches this multiple of the usual gradient norm. This
    limit follows the gradients, so it cannot skip every update for long. None for no such limit."""
    max_in_a_row: int = 20
    """Stop training with an error after this many skipped updates in a row. Checked with every row of metrics."""

    def __post_init__(self) -> None:
        for name, least in (("threshold", 0), ("factor", 1)):
            limit = getattr(self, name)
            _require(f"skipping.{name}", limit, f"None or above {least}", limit is None or limit > least)
        _require_at_least_one("skipping", self, "max_in_a_row")


@dataclass(frozen=True)
class LoggingConfig:
    """What a run writes while it trains, and how often.

    >>> LoggingConfig(milestones=(100, 1000)).milestones
    (100, 1000)
    """

    metrics_every: int = 10
    """Number of updates between rows of training metrics in metrics.jsonl; a row holds the means over these updates."""
    evaluate_every: int = 100
    """Number of updates between evaluations of the averaged weights on the validation images (data.validation). Each
    evaluation writes a row of metrics.jsonl. The weights with the lowest negative ELBO so far are kept in
    best.safetensors; for a model that defines no density, those with the lowest training objective."""
    evaluation_images: int = 1000
    """Number of validation images (or sentences) in each evaluation during training, at most."""
    checkpoint_every: int = 100
    """Number of updates between checkpoints. A run that is killed loses at most this many updates."""
    checkpoint_minutes: float = 10.0
    """A checkpoint is also written when the last one is so many minutes old. A run that is killed loses at most about
    this much training time."""
    milestones: tuple[int, ...] = ()
    """Numbers of updates after which the averaged weights are kept for good, for example 500 for
    milestones/000500.safetensors."""
    milestone_every: int = 0
    """Keep the averaged weights for good after every so many updates, as a file in the folder milestones. 0 for only
    those that training.logging.milestones lists."""
    milestones_kept: int | None = None
    """With training.logging.milestone_every: keep only so many of its milestones, the newest, so that a long run does
    not fill the disk. Those that training.logging.milestones lists all stay. None to keep all."""
    tensorboard: bool = False
    """Also write all metrics for TensorBoard, which must be installed, into the folder tensorboard of the run. The
    folder runs as its logdir shows all runs together."""
    wandb: str | None = None
    """Also send all metrics to Weights & Biases, which must be installed, as a run of the project of this name. None to
    send nothing."""
    codecarbon: bool = False
    """Estimate the electricity of the whole machine with codecarbon, which must be installed. Otherwise the energy
    counter of the GPU is read, if it has one."""

    def __post_init__(self) -> None:
        _require_at_least_one("logging", self, "metrics_every", "evaluate_every", "evaluation_images")
        _require_at_least_one("logging", self, "checkpoint_every")
        _require_positive("logging", self, "checkpoint_minutes")
        _require_not_negative("logging", self, "milestone_every")
        kept = self.milestones_kept
        _require("logging.milestones_kept", kept, "None or at least 1", kept is None or kept >= 1)
        if kept is not None and self.milestone_every == 0:
            why = "without training.logging.milestone_every: set that to the updates between two milestones"
            raise _no_effect("logging.milestones_kept", kept, f"{why}, or leave milestones_kept out")
        _require("logging.wandb", self.wandb, "None or the name of a project", self.wandb is None or self.wandb != "")
        are_updates = all(step >= 1 for step in self.milestones)
        _require("logging.milestones", self.milestones, "numbers of updates, at least 1", are_updates)


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained.

    Raises:
        InvalidInput: a value that no run can have, or one that has no effect beside the others; the message names the
            field and says what to do.

    A longer warm-up of the KL weight, with everything else as usual:

    >>> config = TrainingConfig(steps=500, kl_weight=KLWeightConfig(warmup_steps=200))
    >>> config.kl_weight.warmup_steps, config.learning_rate.peak
    (200, 0.002)
    """

    steps: int = 1000
    """Number of updates in the whole run; a larger number continues a run that has ended."""
    batch_size: int = 64
    """Number of images (or sentences) in each update."""
    micro_batch: int | None = None
    """Largest number of images in one forward and backward pass of a process. Larger batches are computed in the fewest
    pieces that suffice, as equal as possible (64 with 31: pieces of 22, 21 and 21), whose gradients are added up, for a
    GPU with too little memory. The gradient is that of the whole batch, but other random numbers are drawn, and batch
    normalisation normalises over a piece. Free bits and KL balancing need a second forward pass. Validation images are
    computed in pieces of this size, too. None for all images at once."""
    activation_checkpointing: bool = False
    """Keep only what the blocks of a hierarchy pass on to one another, and compute the rest again in the backward
    pass: less memory, about a third more time, the same result."""
    seed: int = 0
    """Seed for the initial weights, the order of the data and all noise in training."""
    minutes: float | None = None
    """Minutes that one call may train, evaluations included; then it saves a checkpoint and stops, and the same command
    continues from there. None for no limit. The learning rate follows training.steps, whatever the limit."""
    device: str = "auto"
    """Device to train on: auto (a GPU if there is one), cpu, cuda, cuda:1, …"""
    data_on: Literal["auto", "device", "host"] = "auto"
    """Where training images are kept: on the device, or on the host (in memory or in a mapped file), from which each
    batch is copied. auto keeps them on a GPU where they take at most a quarter of its free memory."""
    threads: int | None = None
    """Number of processor threads. None chooses it: one thread for a small model (fewer than a million parameters),
    otherwise one for each physical core that is idle when the run starts; it then stays, also after a stop. But
    OMP_NUM_THREADS counts if it is set."""
    memory_check: bool = True
    """Before the first update, compare the memory that training is expected to need with what is available, and stop
    if it is too little. Set it to false to train regardless."""
    disk_check: bool = True
    """Before the first update, compare the room that the files of the run take at most with what is free on the disk,
    and stop if it is too little. Set it to false to train regardless."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format inside the networks: float32, or bfloat16, which takes less memory and is faster on recent GPUs.
    Weights, likelihood, KL and evaluation are float32 either way. A loss in bfloat16 is within 0.004 nats per dimension
    of the same in float32, a gradient within 3 % in length and a tenth in direction. Exceptions are models of codes,
    and dense stacks with batch normalisation such as a Ladder VAE, whose gradient can be a third too long."""
    compile: bool = False
    """Train through torch.compile: slower to start, faster on a GPU."""
    cuda_graphs: bool = False
    """On a GPU, record one update and replay it, so that the processor no longer starts each of its thousands of
    operations: faster where these are small. Recorded once the KL weight has reached its final value."""
    channels_last: bool | None = None
    """Keep the channels of each pixel side by side in memory, which convolutions on a GPU prefer. None does so on a
    GPU. The arithmetic is the same up to rounding, but a seed may give other noise."""
    fused_attention: bool = False
    """On an NVIDIA GPU, compute attention over depth with Triton kernels that read all contexts once in each pass. The
    result stays the same up to rounding. benchmarks/attention.py measures whether they are faster than PyTorch on your
    GPU."""
    sharded: bool = False
    """With several processes, divide the gradients, the optimizer's moments, the average of the weights and, between
    updates, the weights among them (FSDP2), for a model that is too large for one GPU otherwise. The result is the
    same up to rounding, and so are the files."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How a gradient becomes a step of the weights."""
    learning_rate: LearningRateConfig = field(default_factory=LearningRateConfig)
    """The learning rate: a linear warm-up to its peak, then a schedule."""
    kl_weight: KLWeightConfig = field(default_factory=KLWeightConfig)
    """The weight of the KL in the loss, and its warm-up."""
    penalties: PenaltiesConfig = field(default_factory=PenaltiesConfig)
    """Penalties on the weights that are added to the loss."""
    skipping: SkippingConfig = field(default_factory=SkippingConfig)
    """Which updates are skipped; one whose loss or gradient is not finite always is."""
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    """What a run writes while it trains, and how often."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            _require(name, getattr(self, name), "at least 1", getattr(self, name) >= 1)
        for name in ("micro_batch", "threads"):
            value = getattr(self, name)
            _require(name, value, "None or at least 1", value is None or value >= 1)
        _require("seed", self.seed, "a whole number of 64 bits", -(2**63) <= self.seed < 2**63)
        _require("minutes", self.minutes, "None or above 0", self.minutes is None or self.minutes > 0)
        for name in ("precision", "data_on"):
            choices = get_args(get_type_hints(TrainingConfig)[name])
            _require(name, getattr(self, name), f"one of {', '.join(choices)}", getattr(self, name) in choices)


def _require(name: str, value: object, wanted: str, holds: bool) -> None:
    if not holds:
        raise InvalidInput(f"training.{name} must be {wanted}, got {value!r}")


def _require_at_least_one(group: str, config: object, *names: str) -> None:
    for name in names:
        _require(f"{group}.{name}", getattr(config, name), "at least 1", getattr(config, name) >= 1)


def _require_positive(group: str, config: object, *names: str) -> None:
    for name in names:
        _require(f"{group}.{name}", getattr(config, name), "positive", getattr(config, name) > 0)


def _require_not_negative(group: str, config: object, *names: str) -> None:
    for name in names:
        _require(f"{group}.{name}", getattr(config, name), "not negative", getattr(config, name) >= 0)


def _require_choice(group: str, config: object, name: str) -> None:
    choices = get_args(get_type_hints(type(config))[name])
    value = getattr(config, name)
    _require(f"{group}.{name}", value, f"one of {', '.join(choices)}", value in choices)


def _no_effect(name: str, value: object, why: str) -> InvalidInput:
    return InvalidInput(f"training.{name} = {value!r} has no effect {why}")
