"""The switch that trains attention over depth with kernels that read the history once."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

import torch
from torch import nn

from avae_lib import components
from avae_lib.errors import InvalidInput
from avae_lib.nn.depthwise_attention import AttentiveConditioning
from avae_lib.nn.fused_depthwise_attention import fused_depthwise_attention

__all__ = ["fused_attention", "require_fused_attention"]

_REFUSED = "training.fused_attention must be false"


@contextlib.contextmanager
def fused_attention(enabled: bool = True) -> Iterator[None]:
    """Inside a ``with`` block, every model computes :func:`fused_depthwise_attention` as ``depthwise_attention``.

    Loss and gradients stay the same up to rounding. On a GPU this runs Triton kernels, elsewhere the same algorithm in
    PyTorch, which is slower than the usual one and there for tests.

    Args:
        enabled: whether to do so at all.

    >>> from avae_lib.presets import find_preset
    >>> model = find_preset("digits-attentive").model.build()
    >>> x = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    >>> as_usual = model(x, generator=torch.Generator().manual_seed(0)).bound
    >>> with fused_attention():
    ...     fused = model(x, generator=torch.Generator().manual_seed(0)).bound
    >>> torch.allclose(fused, as_usual, rtol=1e-4)
    True
    """
    if not enabled:
        yield
        return
    with components.using("depthwise_attention", fused_depthwise_attention):
        yield


def require_fused_attention(model: nn.Module, device: torch.device) -> None:
    """Refuse ``fused_attention`` for a model that it would not change, and where its kernels cannot run.

    A student's own ``depthwise_attention`` is never replaced: training with it needs ``fused_attention`` off.

    Raises:
        InvalidInput: the model does not attend over depth; another ``depthwise_attention`` than the library's is in
            use; the device is no GPU; or Triton is not installed.

    >>> require_fused_attention(nn.Linear(1, 1), torch.device("cuda"))
    Traceback (most recent call last):
    InvalidInput: training.fused_attention must be false for Linear, which has no attention over depth
    """
    if not any(isinstance(module, AttentiveConditioning) for module in model.modules()):
        raise InvalidInput(f"{_REFUSED} for {type(model).__name__}, which has no attention over depth")
    own = components.find("depthwise_attention")
    if own.is_replaced or not own.has_reference:
        raise InvalidInput(
            f"{_REFUSED} while your own depthwise_attention is in use, because it would not be called; or go back to "
            "the library's with avae_lib.components.restore('depthwise_attention')"
        )
    if device.type != "cuda":
        raise InvalidInput(f"{_REFUSED} on {device}: its kernels run on NVIDIA GPUs; see training.device")
    if importlib.util.find_spec("triton") is None:
        raise InvalidInput(f"{_REFUSED} without Triton, which is not installed: pip install triton")
