"""The update of a run as its configuration asks for it: eager, compiled, or replayed by the GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import torch

from avae_lib.models.contract import ModelWithStages
from avae_lib.training.activation_checkpointing import activation_checkpointing
from avae_lib.training.devices import fast_convolutions
from avae_lib.training.fused_attention import fused_attention
from avae_lib.training.graphed_updates import GraphedUpdate
from avae_lib.training.pass_on_shapes import pass_on_shapes
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

__all__ = ["updating"]


@contextlib.contextmanager
def updating(state: TrainingState) -> Iterator[Callable[[], None]]:
    """The update of a run as a function without arguments, inside a ``with`` block.

    It heeds ``compile``, ``cuda_graphs``, ``activation_checkpointing`` and ``fused_attention`` of the configuration,
    which change how an update is computed and not what it does. (The other options of this kind, ``precision``,
    ``channels_last`` and ``micro_batch``, are heeded by :func:`avae_lib.training.update.update` and by the state.)
    :func:`avae_lib.training.fit.fit` refuses what is not for a model or a device.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> with updating(state) as make_update:
    ...     make_update()
    >>> state.step
    1
    """
    forward = state.model
    if not state.config.sharded:  # what is sharded exchanges its gradients by itself
        forward = state.team.wrap(forward, lambda: _reaches_all_parameters(state), _repeats_itself(state))
    if state.config.compile:
        forward = torch.compile(forward, dynamic=False)  # batches have one size, or two with pieces
    make_update = partial(update, state, forward)
    if state.config.cuda_graphs:
        make_update = GraphedUpdate(state, forward)
    with (
        activation_checkpointing(state.model, state.config.activation_checkpointing),
        fused_attention(state.config.fused_attention),
        fast_convolutions(state.device),
    ):
        yield make_update


def _reaches_all_parameters(state: TrainingState) -> bool:
    """Whether each update reaches all parameters, as far as one pass on shapes tells; stages may change it."""
    may_change = isinstance(state.model, ModelWithStages) and getattr(state.model, "freezes_parameters", True)
    one_pass = None if may_change else pass_on_shapes(state.model, state.config)
    return one_pass is not None and one_pass.reaches_all_parameters


def _repeats_itself(state: TrainingState) -> bool:
    """Whether each update is the same forward and backward pass: not in pieces, and not traced by a compiler first."""
    share, piece = state.config.batch_size // state.team.size, state.config.micro_batch
    return not state.config.compile and (piece is None or piece >= share)
