"""Updates as CUDA graphs: the GPU records one update and replays it, and the processor starts only the replay.

An update of a very deep model is thousands of small operations. Starting each takes the processor some microseconds,
often longer than the GPU needs to carry it out. A replay starts them all at once.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor, nn

from avae_lib.errors import InvalidInput, UserError
from avae_lib.models.contract import ModelWithStages
from avae_lib.objectives import ELBO
from avae_lib.training.distributed import Team
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import Outcome, compute, next_batch, note, update

__all__ = ["GraphedUpdate", "RecordingFailed", "record_on_gpu", "require_graphs"]

_WARM_UP = 3
"""Updates before the recording, in which libraries choose their algorithms and set up their workspace."""

Recorder = Callable[[Callable[[], Outcome]], tuple[Callable[[], None], Outcome]]
"""From a computation to what replays it, and to its results, which each replay overwrites. It carries nothing out."""


class RecordingFailed(UserError, RuntimeError):
    """An update does something that a CUDA graph cannot hold."""


class GraphedUpdate:
    """An update like :func:`avae_lib.training.update.update`, replayed from a recording.

    The first updates are ordinary ones: a few in which the GPU's libraries set themselves up, and all in which the KL
    weight still rises, because the recording would keep its value. Batches, labels and the learning rate are copied to
    where the recording reads them.

    Args:
        state: the training state.
        forward: the model, as it may be compiled.
        record: makes a recording; :func:`record_on_gpu`, or a stand-in in a test. Whether updates can be recorded at
            all, :func:`require_graphs` decides.

    The first update is an ordinary one:

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> GraphedUpdate(state, state.model)()
    >>> state.step
    1
    """

    def __init__(self, state: TrainingState, forward: Callable[..., ELBO], record: Recorder | None = None) -> None:
        self._state = state
        self._forward = forward
        self._record = record or record_on_gpu
        self._ordinary_until = max(state.step + _WARM_UP, state.config.kl_weight.warmup_steps)
        self._learning_rate = torch.tensor(0.0, device=state.device)
        self._replay: Callable[[], None] | None = None

    def __call__(self) -> None:
        """One update."""
        if self._state.step < self._ordinary_until:
            update(self._state, self._forward)
            return
        images, labels = next_batch(self._state)
        if self._replay is None:
            self._make_recording(images, labels)
        self._images.copy_(images)
        for name, label in labels.items():
            self._labels[name].copy_(label)
        self._learning_rate.fill_(self._state.optimizer.param_groups[0]["lr"])
        assert self._replay is not None, "recorded above"
        self._replay()
        note(self._state, self._outcome)

    def _make_recording(self, images: Tensor, labels: dict[str, Tensor]) -> None:
        self._images = images.clone()
        self._labels = {name: label.clone() for name, label in labels.items()}
        [group] = self._state.optimizer.param_groups
        before = {name: group[name] for name in ("lr", "capturable")}
        group["lr"] = self._learning_rate  # a number would be recorded as it is now
        group["capturable"] = True  # else PyTorch refuses; the counts of steps are on the GPU in any case
        self._state.optimizer.zero_grad()  # so that the recording has gradients of its own
        try:
            self._replay, self._outcome = self._record(
                lambda: compute(self._state, self._forward, self._images, self._labels)
            )
        finally:
            group.update(before)


def record_on_gpu(computation: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
    """Record a computation of the current GPU.

    Raises:
        RecordingFailed: it does something that a graph cannot hold, such as waiting for the GPU.
    """
    graph = torch.cuda.CUDAGraph()
    gc.collect()  # what is left of an earlier backward pass belongs to another stream and would spoil the recording
    torch.cuda.synchronize()
    try:
        with torch.cuda.graph(graph):
            outcome = computation()
    except RuntimeError as problem:
        raise RecordingFailed(
            f"the updates of this model cannot be recorded ({problem}): train with training.cuda_graphs false"
        ) from problem
    return graph.replay, outcome


def require_graphs(model: nn.Module, device: torch.device, team: Team, config: TrainingConfig) -> None:
    """Refuse runs whose updates cannot be recorded and replayed.

    Raises:
        InvalidInput: they are not on one GPU, differ from each other in more than numbers, or set the random state back
            to compute something again.

    >>> require_graphs(nn.Linear(1, 1), torch.device("cpu"), Team(), TrainingConfig())
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: training.cuda_graphs must be false on the device cpu: only a GPU can replay updates
    """
    reasons = {
        f"on the device {device.type}: only a GPU can replay updates": device.type != "cuda",
        "with several processes: their exchange of gradients is not recorded": team.size > 1,
        "for a model with stages: its updates differ from each other": isinstance(model, ModelWithStages),
        "with training.activation_checkpointing: it draws the same noise twice": config.activation_checkpointing,
        "with training.micro_batch and free bits: both passes draw the same noise": (
            config.micro_batch is not None and config.kl_weight.free_bits > 0
        ),
    }
    for reason, applies in reasons.items():
        if applies:
            raise InvalidInput(f"training.cuda_graphs must be false {reason}")
