"""How often each code of a codebook is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from avae_lib.evaluation.evaluation_mode import batches_with_labels
from avae_lib.observations import AnyModel

__all__ = ["CodeUsage", "code_usage"]


@dataclass(frozen=True)
class CodeUsage:
    """How often each code of a model is used to encode images; levels are counted from the top."""

    counts: tuple[tuple[int, ...], ...]
    """Uses of each code, for each level."""
    perplexity: tuple[float, ...]
    """exp of the entropy of the shares of codes, for each level: the number of equally used codes of that entropy."""
    dead: tuple[int, ...]
    """Number of codes that were never used, for each level."""

    @classmethod
    def of(cls, counts: Int[Tensor, "levels codes"]) -> CodeUsage:
        """Perplexity and dead codes of counts.

        >>> CodeUsage.of(torch.tensor([[5, 5, 0]]))
        CodeUsage(counts=((5, 5, 0),), perplexity=(2.0,), dead=(1,))
        """
        shares = counts.double() / counts.sum(dim=1, keepdim=True)
        entropy = torch.special.entr(shares).sum(dim=1)
        return cls(
            counts=tuple(map(tuple, counts.tolist())),
            perplexity=tuple(round(perplexity, 9) for perplexity in entropy.exp().tolist()),
            dead=tuple((counts == 0).sum(dim=1).tolist()),
        )

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> CodeUsage:
        """The inverse of ``dataclasses.asdict``, also after a trip through a file."""
        counts = tuple(map(tuple, record["counts"]))
        return cls(counts, tuple(record["perplexity"]), tuple(record["dead"]))

    def text(self) -> str:
        """The numbers as a line of plain text."""
        levels = zip(self.counts, self.perplexity, self.dead, strict=True)
        used = [f"{len(codes) - dead} of {len(codes)} (perplexity {even:.1f})" for codes, even, dead in levels]
        return f"codes in use{', top level first' if len(used) > 1 else ''}: {', '.join(used)}"


@torch.no_grad()
def code_usage(
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"],
    rows: int = 512,
    labels: Int[Tensor, " examples"] | None = None,
) -> CodeUsage:
    """How often a model (:class:`avae_lib.models.contract.ModelWithCodes`) uses each of its codes for these images.

    >>> from avae_lib.data import load, recorded_model
    >>> usage = code_usage(recorded_model("codes-photos32"), load("photos32").test[:20])
    >>> sum(usage.counts[0])  # 64 codes for each of the 20 images
    1280
    """
    batches = batches_with_labels(model, images, labels, rows)
    counts = [model.code_counts(x, **classes).cpu() for x, classes in batches]
    return CodeUsage.of(torch.stack(counts).sum(dim=0))
