"""Taking an update back on the device, without the host ever asking whether it has to be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["Rollback"]

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Rollback:
    """Copies of tensors that an update changes in place, to put back the ones from before where it must not count.

    Both directions select bits, as integers: the tensors from before come back exactly, whatever the update made of
    the others, while arithmetic in floating point would spread its NaN.

    Args:
        tensors: what an update changes; they must stay the same objects. The copies take as much memory again.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        groups: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            bits = _BITS[tensor.element_size()]
            groups[bits].append(tensor.detach().view(bits))
        self._groups = [(live, [torch.empty_like(bits) for bits in live]) for live in groups.values()]

    @torch.no_grad()
    def remember(self) -> None:
        """Take the tensors as they are now for those to go back to."""
        for live, before in self._groups:
            torch._foreach_copy_(before, live)

    @torch.no_grad()
    def undo_unless(self, taken: Tensor) -> None:
        """Put the remembered tensors back unless ``taken``, a scalar of booleans on their device, is true.

        Computed as before + taken · (now − before); integers wrap around, so that nothing is lost on the way.
        """
        for live, before in self._groups:
            torch._foreach_sub_(live, before)
            torch._foreach_mul_(live, taken.to(live[0].dtype))
            torch._foreach_add_(live, before)
