"""Whether training fits into the memory there is, and which options make it fit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avae_lib.errors import InvalidInput
from avae_lib.training.activation_checkpointing import has_checkpointed_blocks
from avae_lib.training.experiment import Experiment
from avae_lib.training.memory import (
    Memory,
    bytes_of_training_split,
    expected_memory,
    model_without_numbers,
    size_in_words,
)
from avae_lib.training.requirements import has_batch_normalisation, reason_against_micro_batch, smallest_piece
from avae_lib.training.sizes_of_pieces import sizes_of_pieces
from avae_lib.training.training_config import TrainingConfig

__all__ = ["MemoryPlan", "available_memory", "plan_memory", "plan_memory_for", "require_enough_memory"]


@dataclass(frozen=True)
class MemoryPlan:
    """Options with which an experiment fits into some memory.

    >>> plan = MemoryPlan({"micro_batch": 16, "activation_checkpointing": True}, Memory(1, 1, 1, 1, 1, 1, 1))
    >>> plan.options()
    '--training.micro-batch 16 --training.activation-checkpointing'
    """

    changes: dict[str, Any]
    """Fields of the training configuration to change, with their values; empty if it fits as it is."""
    memory: Memory
    """Expected memory with these changes."""

    def options(self) -> str:
        """The changes as options of ``avae train``."""
        return " ".join(_option(name, value) for name, value in self.changes.items())


def _option(name: str, value: Any) -> str:
    flag = f"--training.{name.replace('_', '-')}"
    return flag if value is True else f"{flag} {value}"


def plan_memory(experiment: Experiment, limit: int) -> MemoryPlan | None:
    """The options with which an experiment fits into ``limit`` bytes; None if nothing here makes it fit.

    What costs least is tried first: training data on the host; pieces of the batch, down to an eighth, unless the
    model has batch normalisation, whose result depends on them; activation checkpointing; checkpointing with pieces
    of any sensible size; and the same in bfloat16. For the largest models this takes half a minute.

    >>> from avae_lib.presets import find_preset
    >>> plan_memory(find_preset("digits-vae"), limit=2**30).changes
    {}
    >>> plan_memory(find_preset("digits-vdvae"), limit=20 * 2**20).changes
    {'micro_batch': 32}
    """
    model = model_without_numbers(experiment)
    return plan_memory_for(model, experiment.training, bytes_of_training_split(experiment, model), limit)


def plan_memory_for(
    model: nn.Module, config: TrainingConfig, data_bytes: int, limit: int, on_cpu: bool = False, processes: int = 1
) -> MemoryPlan | None:
    """The same as :func:`plan_memory` for a model and the size of its training split.

    On a CPU, data on the host and data on the device are in one memory, so moving them is no remedy; and what must fit
    is what a process takes there (:meth:`avae_lib.training.memory.Memory.taken_on`).

    >>> from avae_lib.models.vae import VAEConfig
    >>> plan_memory_for(VAEConfig().build(), TrainingConfig(), data_bytes=2**30, limit=2**20) is None
    True
    """

    def memory_with(changes: dict[str, Any]) -> Memory:
        return expected_memory(model, dataclasses.replace(config, **changes), data_bytes, processes)

    device = torch.device("cpu" if on_cpu else "cuda")

    def size_with(changes: dict[str, Any]) -> int:
        return memory_with(changes).taken_on(device)

    for changes, least_piece in _candidates(model, config, {} if on_cpu else {"data_on": "host"}):
        pieces = [None] if least_piece is None else _pieces_that_fit(size_with, changes, config, least_piece, limit)
        for piece in pieces:
            with_piece = changes if piece is None else {**changes, "micro_batch": piece}
            memory = memory_with(with_piece)
            if memory.taken_on(device) <= limit and (memory.activations is not None or not with_piece):
                return MemoryPlan(with_piece, memory)
    return None


def _candidates(
    model: nn.Module, config: TrainingConfig, data: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], int | None]]:
    """Changes to try, from the cheapest on, each with the smallest piece of a batch to try with it; None for none."""
    can_be_cut = config.batch_size > 1 and reason_against_micro_batch(model) is None
    yield {}, None
    yield data, None
    if can_be_cut and not has_batch_normalisation(model):
        yield {}, max(1, config.batch_size // 8)
    precisions: tuple[dict[str, Any], ...] = ({}, {"precision": "bfloat16"})
    for precision in precisions:
        changes = {"activation_checkpointing": True} if has_checkpointed_blocks(model) else {}
        yield {**changes, **precision}, None
        if can_be_cut:
            yield {**changes, **precision, **data}, smallest_piece(model)


def _pieces_that_fit(
    size_with: Callable[[dict[str, Any]], int],
    changes: dict[str, Any],
    config: TrainingConfig,
    least: int,
    limit: int,
) -> list[int]:
    """Sizes of equal pieces of a batch that should fit into the memory, largest first."""
    small, large = (size_with({**changes, "micro_batch": piece}) for piece in (least, 2 * least))
    sizes = {math.ceil(config.batch_size / 2**halvings) for halvings in range(1, config.batch_size.bit_length() + 1)}
    per_example = max(0, large - small) / least  # memory grows in proportion to the piece
    return [
        size
        for size in sorted(sizes, reverse=True)
        if min(sizes_of_pieces(config.batch_size, size)) >= least and small + (size - least) * per_example <= limit
    ]


def available_memory(device: torch.device) -> int | None:
    """Bytes that this process can still take on a device; None if the machine does not say.

    On the CPU it is what the system has left, or what the process's control group may still use.

    >>> memory = available_memory(torch.device("cpu"))
    >>> memory is None or memory > 2**20
    True
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    limits = [_left_in_system(), *_left_in_control_groups()]
    known = [left for left in limits if left is not None]
    return min(known, default=None) if device.type == "cpu" else None


def _left_in_system(file: Path = Path("/proc/meminfo")) -> int | None:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:  # another system than Linux
        return None
    kibibytes = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((1024 * int(number) for number in kibibytes), None)


def _left_in_control_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """What the process's control groups (version 2, and version 1 of memory), and each around them, may still take."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return []
    left = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers and "memory" not in controllers.split(","):
            continue
        files, mounted = (_VERSION_1, root / "memory") if controllers else (_VERSION_2, root)
        group = mounted / path.strip().lstrip("/")
        groups = [group, *(parent for parent in group.parents if parent.is_relative_to(mounted))]
        left += [_left_in_control_group(group, files) for group in groups]
    return [each for each in left if each is not None]


@dataclass(frozen=True)
class _GroupFiles:
    """Names of a control group's files, and in its statistics of the memory for files that can be read again."""

    limit: str
    used: str
    pages_of_files: str


_VERSION_1 = _GroupFiles("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = _GroupFiles("memory.max", "memory.current", "inactive_file")
_NO_LIMIT = 2**62  # version 1 says a number of about 2**63 where there is none


def _left_in_control_group(group: Path, files: _GroupFiles) -> int | None:
    try:
        limit, used = ((group / name).read_text().strip() for name in (files.limit, files.used))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max" or int(limit) >= _NO_LIMIT:
        return None
    return max(0, int(limit) - int(used) + int(statistics.get(files.pages_of_files, 0)))  # these make room


def require_enough_memory(
    model: nn.Module,
    config: TrainingConfig,
    data_bytes: int,
    memory: Memory,
    device: torch.device,
    processes: int = 1,
) -> None:
    """Refuse training that needs more memory than its device has left. Call it when weights and data are in place.

    Args:
        model, config, data_bytes, processes: as for :func:`avae_lib.training.memory.expected_memory`.
        memory: its answer.
        device: where the weights are.

    Raises:
        InvalidInput: there is too little; the message says which options make it fit.

    >>> from avae_lib.models.vae import VAEConfig
    >>> from avae_lib.training.memory import expected_memory
    >>> model, config = VAEConfig().build(), TrainingConfig()
    >>> require_enough_memory(model, config, 0, expected_memory(model, config, 0), torch.device("cpu"))
    """
    left = available_memory(device)
    if left is None or not config.memory_check:
        return
    # On a CPU, pages of the copies for a rollback are taken when they are first written.
    held = memory.total - memory.gradients - (memory.activations or 0) - memory.temporary
    held -= memory.rollback if device.type == "cpu" else 0
    available = left + held
    if memory.taken_on(device) <= available:
        return
    on_cpu = device.type == "cpu"
    plan = plan_memory_for(model, config, data_bytes, available, on_cpu, processes)
    if plan is not None and plan.changes:
        remedy = f"{plan.options()} brings it down to {size_in_words(plan.memory.taken_on(device))}"
    else:
        tried = ["micro-batch", "activation-checkpointing", "precision"] + ["data-on"] * (not on_cpu)
        remedy = f"none of these options makes it fit: {', '.join(f'--training.{name}' for name in tried)}"
    raise InvalidInput(
        f"training needs about {memory.text(device)} on {device}, but {size_in_words(available)} is available: "
        f"{remedy}; --training.no-memory-check trains regardless"
    )
