"""Word counts of more documents than fit into one dense matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avae_lib.meanfield.requirements import require_counts

__all__ = ["Documents"]

_DOCUMENTS_AT_ONCE = 256  # few enough for their words × topics to stay in a processor's cache


@dataclass(frozen=True)
class Documents:
    """Word counts of many documents, dense for a few of them at a time only."""

    rows: Int[Tensor, "entries"]
    columns: Int[Tensor, "entries"]
    values: Float[Tensor, "entries"]
    words: int
    """Size of the vocabulary."""
    first_entry: list[int]
    """Where the entries of each document begin, and where the last one's end."""
    lengths: Float[Tensor, "docs"]
    """Words in each document."""

    @classmethod
    def of(cls, counts: Float[Tensor, "docs words"], dtype: torch.dtype) -> Documents:
        """From a matrix that is dense or sparse (COO).

        Raises:
            ValueError: it is no matrix, empty, or a count is negative or not finite.
        """
        require_counts(counts)
        sparse = (counts if counts.is_sparse else counts.to_sparse()).coalesce()
        (rows, columns), values = sparse.indices(), sparse.values().to(dtype)
        ends = torch.bincount(rows, minlength=len(counts)).cumsum(dim=0)
        lengths = values.new_zeros(len(counts)).index_add(0, rows, values)
        return cls(rows, columns, values, counts.shape[1], [0, *ends.tolist()], lengths)

    @property
    def count(self) -> int:
        """Number of documents."""
        return len(self.lengths)

    def dense(self, start: int, stop: int) -> Float[Tensor, "docs words"]:
        """The documents from ``start`` up to but not ``stop``."""
        entries = slice(self.first_entry[start], self.first_entry[stop])
        chunk = self.values.new_zeros(stop - start, self.words)
        chunk[self.rows[entries] - start, self.columns[entries]] = self.values[entries]
        return chunk

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "docs words"]]]:
        """All documents, some at a time, and which ones they are."""
        for start in range(0, self.count, _DOCUMENTS_AT_ONCE):
            stop = min(start + _DOCUMENTS_AT_ONCE, self.count)
            yield slice(start, stop), self.dense(start, stop)
