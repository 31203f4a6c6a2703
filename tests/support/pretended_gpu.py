"""Tensors that say they are on a GPU, and have shapes only, for machines without one.

PyTorch's fake tensors know their device, and CUDA's lists of autocast apply to them. So a model that mixes devices,
reads a number on the host or computes a likelihood in bfloat16 fails. What the kernels of a GPU compute, and whether
they exist for a type, is not seen.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda", 0)


@contextlib.contextmanager
def pretending_a_gpu() -> Iterator[None]:
    """Every tensor made inside a ``with`` block is fake, and those sent to a GPU say that they are there."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))  # its LSTM asks for the driver
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        for owner, name, replacement in (
            (torch.cuda, "is_bf16_supported", lambda: True),
            (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
            (torch.cuda, "mem_get_info", lambda device: (2**36, 2**36)),
            (torch, "Generator", GeneratorOfTheHost),
            (nn.Module, "_apply", apply_to_all),
            (Tensor, "backward", backward),
        ):
            stack.enter_context(patch.object(owner, name, replacement))
        yield


class GeneratorOfTheHost(torch.Generator):
    """One for a GPU cannot be made without its driver, and no number is drawn."""

    def __new__(cls, device: Any = "cpu") -> GeneratorOfTheHost:
        return super().__new__(cls, "cpu")


def apply_to_all(module: nn.Module, function: Any, recurse: bool = True) -> nn.Module:
    """What ``module.to`` calls: PyTorch's own would put fake tensors into the place of real ones, which it cannot."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = nn.Parameter(function(weight.detach()), weight.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = function(buffer)
    return module


def backward(loss: Tensor, gradient: Tensor | None = None) -> None:
    """Backward through the graph, in Python: PyTorch's engine asks the driver of the GPU for its streams."""
    pending = number_of_uses(loss.grad_fn)
    gradients: dict[Any, dict[int, Tensor]] = defaultdict(dict)
    gradients[loss.grad_fn][loss.output_nr] = torch.ones_like(loss) if gradient is None else gradient
    ready = [loss.grad_fn]
    while ready:
        node = ready.pop()
        outputs = gradients.pop(node, {})
        wanted = node._input_metadata
        results = call(node, [outputs.get(index) for index in range(len(wanted))]) if outputs else ()
        for (following, index), result in zip(
            node.next_functions, results or [None] * len(node.next_functions), strict=True
        ):
            if following is None:
                continue
            if result is not None:
                add(gradients[following], index, result, following)
            pending[following] -= 1
            if pending[following] == 0:
                ready.append(following)


def number_of_uses(root: Any) -> dict[Any, int]:
    uses: dict[Any, int] = defaultdict(int)
    seen, stack = {root}, [root]
    while stack:
        for following, _ in stack.pop().next_functions:
            if following is not None:
                uses[following] += 1
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
    return uses


def call(node: Any, outputs: list[Tensor | None]) -> tuple[Tensor | None, ...]:
    if hasattr(node, "variable"):
        weight = node.variable
        with torch.no_grad():
            weight.grad = outputs[0].detach() if weight.grad is None else weight.grad + outputs[0]
        return ()
    is_own = isinstance(node, torch.autograd.function.BackwardCFunction)
    results = node.apply(*outputs) if is_own else node(*outputs)
    return results if isinstance(results, tuple) else (results,)


def add(received: dict[int, Tensor], index: int, gradient: Tensor, node: Any) -> None:
    """As the engine does: a gradient has the device and gets the type of the tensor it belongs to."""
    wanted = node._input_metadata[index]
    assert gradient.device == wanted.device, f"{node.name()}: gradient on {gradient.device}, not {wanted.device}"
    gradient = gradient.sum_to_size(wanted.shape).to(wanted.dtype)
    received[index] = received[index] + gradient if index in received else gradient


def on_gpu(module: nn.Module) -> nn.Module:
    return apply_to_all(module, lambda tensor: tensor.to(GPU))


class NoCopyFromTheHost(TorchDispatchMode):
    """Raises where a tensor goes from host to device: the host would wait, and a CUDA graph could not be recorded."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten._to_copy.default and result.device != args[0].device:
            raise AssertionError(f"{tuple(result.shape)} copied from {args[0].device} to {result.device}")
        return result
