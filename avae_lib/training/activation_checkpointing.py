"""Activation checkpointing: the backward pass computes the inside of a block again, so that it need not be kept.

T. Chen, B. Xu, C. Zhang, C. Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from avae_lib.errors import InvalidInput
from avae_lib.models.hierarchy import Hierarchy

__all__ = ["activation_checkpointing", "checkpointed_blocks", "has_checkpointed_blocks"]


def has_checkpointed_blocks(model: nn.Module) -> bool:
    """Whether activation checkpointing is possible: for hierarchies, and for models that name their blocks.

    >>> has_checkpointed_blocks(nn.Linear(1, 1))
    False
    """
    return isinstance(model, Hierarchy) or hasattr(model, "checkpointed_blocks")


def checkpointed_blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks whose inside need not be kept: those of the way up, the stochastic layers, and the readout.

    A model of another kind can name its own by a method ``checkpointed_blocks()``. Each module of a list is a block,
    and each of a sequence, unless they are single layers.

    Raises:
        InvalidInput: the model is no hierarchy and names no blocks.

    >>> from avae_lib.models.ladder import LadderConfig
    >>> [type(block).__name__ for block in checkpointed_blocks(LadderConfig().build())][-3:-1]
    ['LadderLayer', 'LadderLayer']
    """
    if isinstance(model, Hierarchy):
        parts = [*model.bottom_up.children(), model.layers, model.readout]
        return [block for part in parts for block in _blocks_of(part)]
    named: Callable[[], Iterable[nn.Module]] | None = getattr(model, "checkpointed_blocks", None)
    if named is not None:
        return list(named())
    raise InvalidInput(
        f"training.activation_checkpointing must be false for {type(model).__name__}: only hierarchies, and models "
        "with a method checkpointed_blocks(), have blocks that can be computed again"
    )


def _blocks_of(part: nn.Module) -> list[nn.Module]:
    if isinstance(part, nn.Sequential) and all(next(layer.children(), None) is None for layer in part):
        return [part]
    return list(part) if isinstance(part, nn.ModuleList | nn.Sequential) else [part]


@contextlib.contextmanager
def activation_checkpointing(
    model: nn.Module,
    enabled: bool = True,
    again_within: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
) -> Iterator[None]:
    """Inside a ``with`` block, blocks keep their inputs alone and are computed again in the backward pass.

    Loss and gradients stay the same, bit for bit on the CPU: noise is drawn again from the same random state, and
    running statistics move once. Weights, and their names, are untouched. The likelihood of a hierarchy counts as a
    block. Passes without gradients are computed as usual.

    Args:
        model: the model.
        enabled: whether to do so at all.
        again_within: makes the context of the second computation, for a mode that the backward pass would leave.
            PyTorch itself sees to autocast and to random numbers.

    Raises:
        InvalidInput: the model has no such blocks (:func:`checkpointed_blocks`).

    >>> from avae_lib.models.ladder import LadderConfig
    >>> model, x = LadderConfig().build(), torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    >>> def gradient():
    ...     _ = torch.manual_seed(0)
    ...     return torch.autograd.grad(model(x).bound.sum(), model.head.parameters())[0]
    >>> as_usual = gradient()
    >>> with activation_checkpointing(model):
    ...     torch.equal(gradient(), as_usual)
    True
    """
    if not enabled:
        yield
        return
    wrapped = [(block, "forward") for block in checkpointed_blocks(model) if next(block.parameters(), None) is not None]
    if isinstance(model, Hierarchy):
        wrapped.append((model.head, "log_likelihood"))
    for module, method in wrapped:
        setattr(module, method, _recomputed(module, getattr(module, method), again_within))
    try:
        yield
    finally:
        for module, method in wrapped:
            delattr(module, method)  # the method of the class comes back


def _recomputed(
    module: nn.Module, method: Callable[..., Any], again_within: Callable[[], contextlib.AbstractContextManager]
) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        if not torch.is_grad_enabled():
            return method(*arguments)
        return checkpoint(method, *arguments, use_reentrant=False, context_fn=lambda: _contexts(module, again_within()))

    # Compiled as one graph, the inside of a block would be kept or not as the compiler likes.
    return torch.compiler.disable(call, recursive=False)


def _contexts(
    module: nn.Module, again_within: contextlib.AbstractContextManager
) -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
    """Contexts of the first computation and of the second, which works on buffers as they were before the first."""
    before = [
        (part, {name: buffer.clone() for name, buffer in part.named_buffers(recurse=False)})
        for part in module.modules()
        if moves_buffers(part)
    ]
    return contextlib.nullcontext(), _second_time(before, again_within)


@contextlib.contextmanager
def _second_time(
    before: list[tuple[nn.Module, dict[str, torch.Tensor]]], within: contextlib.AbstractContextManager
) -> Iterator[None]:
    with within, _with_buffers(before):
        yield


def moves_buffers(module: nn.Module) -> bool:
    """Whether a forward pass in training mode changes the module's own buffers."""
    is_batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
    return module.training and (is_batch_norm or bool(getattr(module, "running_statistics", ())))


@contextlib.contextmanager
def _with_buffers(buffers: list[tuple[nn.Module, dict[str, torch.Tensor]]]) -> Iterator[None]:
    # The buffers are exchanged and not overwritten: autograd refuses saved tensors that were written to.
    now = [(module, dict(module.named_buffers(recurse=False))) for module, _ in buffers]
    for module, values in buffers:
        module._buffers.update(values)
    try:
        yield
    finally:
        for module, values in now:
            module._buffers.update(values)
