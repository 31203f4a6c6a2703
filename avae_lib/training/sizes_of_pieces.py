"""How a batch is divided into pieces that are computed one after another."""

from __future__ import annotations

__all__ = ["sizes_of_pieces"]


def sizes_of_pieces(examples: int, largest: int | None) -> list[int]:
    """Sizes of the fewest pieces of at most ``largest`` examples, as equal as possible, larger ones first.

    A small last piece would need as many operations as the others, and a batch normalisation would take its statistics
    from a few examples.

    Args:
        examples: number of examples to divide.
        largest: most examples of a piece, at least 1; None for a single piece.

    >>> sizes_of_pieces(64, largest=31), sizes_of_pieces(64, largest=None)
    ([22, 21, 21], [64])
    """
    count = -(-examples // (largest or examples))
    return [examples // count + (index < examples % count) for index in range(count)]
