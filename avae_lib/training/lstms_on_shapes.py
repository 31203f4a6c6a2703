"""What a pass through an LSTM keeps for the backward pass, counted without numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["count_workspace_of_lstms", "workspace_of_lstm"]


def count_workspace_of_lstms(model: nn.Module) -> None:
    """Let each LSTM of a model on device meta keep in its forward pass what an LSTM on the CPU keeps.

    Without numbers PyTorch computes an LSTM step by step, from small operations; on the CPU it is one operation with a
    workspace of its own, which is larger. The same is assumed of a GPU.

    Args:
        model: changed in place, a copy that is used for nothing else.

    >>> lstm = nn.LSTM(3, 5, device="meta")
    >>> count_workspace_of_lstms(lstm)
    >>> output, (hidden, cell) = lstm(torch.empty(7, 2, 3, device="meta"))
    >>> output.shape, cell.shape, output.grad_fn.name()
    (torch.Size([7, 2, 5]), torch.Size([1, 2, 5]), '_KeptByLSTMBackward')
    """
    for module in model.modules():
        if isinstance(module, nn.LSTM):
            vars(module)["forward"] = functools.partial(_forward, module, module.forward)


def workspace_of_lstm(lstm: nn.LSTM, batch: int, length: int) -> int:
    """Numbers (float32) that the operation keeps beside its arguments and its result.

    Found by measuring oneDNN's, which PyTorch uses on the CPU, for twelve sizes: within 3% from 64 units and 20
    steps on; an LSTM of one or two steps keeps up to a fifth more.

    >>> workspace_of_lstm(nn.LSTM(96, 128), batch=32, length=21) / (32 * 21 * 128)  # for each unit and step
    15.785714285714286
    """
    directions = 1 + lstm.bidirectional
    total = 0.0
    for layer in range(lstm.num_layers):
        in_features = lstm.input_size if layer == 0 else directions * (lstm.proj_size or lstm.hidden_size)
        widest = max(in_features, lstm.hidden_size)
        total += directions * batch * (6 * (length + 1) * widest + 9.5 * length * lstm.hidden_size)
        total += batch * length * in_features if layer else 0  # what the layer before gave
    return int(total)


def _forward(lstm: nn.LSTM, usual: Callable[..., Any], x: Any, hx: tuple[Tensor, Tensor] | None = None) -> Any:
    if not isinstance(x, Tensor) or not torch.is_grad_enabled():
        return usual(x, hx)
    with torch.no_grad():
        output, state = usual(x, hx)
    batch, length = (1, x.shape[0]) if x.ndim == 2 else x.shape[:2] if lstm.batch_first else (x.shape[1], x.shape[0])
    workspace = x.new_empty(workspace_of_lstm(lstm, batch, length), dtype=torch.float32)
    output, *state = _KeptByLSTM.apply(workspace, output, *state, x, *(hx or ()), *lstm.parameters())
    return output, tuple(state)


class _KeptByLSTM(torch.autograd.Function):
    """Gives tensors like output, hidden and cell state; keeps these, the workspace and all arguments."""

    @staticmethod
    def forward(ctx: Any, workspace: Tensor, output: Tensor, hidden: Tensor, cell: Tensor, *arguments: Tensor) -> Any:
        results = tuple(torch.empty_like(tensor) for tensor in (output, hidden, cell))
        ctx.save_for_backward(workspace, *results, *arguments)
        return results

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        _, _, _, _, *arguments = ctx.saved_tensors
        return None, None, None, None, *(torch.empty_like(argument) for argument in arguments)
