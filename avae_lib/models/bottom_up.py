"""The way up: what an image tells each layer of a hierarchy."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import UInt8
from torch import Tensor, nn

from avae_lib.models.hierarchy import Draw
from avae_lib.nn.context_split import ContextSplit

__all__ = ["BottomUp"]


class BottomUp(nn.Module):
    r"""Features of an image, one item for each layer and one more below them all.

    .. math:: e_{L+1} = S(x), \qquad e_l = U_l(e_{l+1})

    The top layer reads the deepest features.

    Args:
        stem: S, from pixels (uint8) to features at the latents' resolution.
        cells: U_l, lowest first.
        splits: what is made of e_{L+1}, e_L, …, e_1 for the layers to read, lowest first.
    """

    def __init__(self, stem: nn.Module, cells: Sequence[nn.Module], splits: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.cells = nn.ModuleList(cells)
        self.splits = nn.ModuleList(splits)

    def forward(
        self, x: UInt8[Tensor, "batch channels height width"], draws: Sequence[Draw]
    ) -> tuple[ContextSplit, ...]:
        features = [self.stem(x)]
        for cell in self.cells:
            features.append(cell(features[-1]))
        return tuple(split(feature) for split, feature in zip(self.splits, features, strict=True))[::-1]
