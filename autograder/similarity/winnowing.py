"""Computes fingerprints of a sequence by winnowing.

Schleimer, Wilkerson and Aiken, *Winnowing: Local Algorithms for Document Fingerprinting*, SIGMOD 2003. All runs of
``RUN`` signs are hashed; of every ``WINDOW`` neighbouring hashes the smallest is kept. Two sequences that share a run
of at least ``RUN + WINDOW - 1`` signs share a fingerprint, wherever the run stands; a shared run shorter than ``RUN``
gives none.

Maintained programs (copydetect, MOSS, JPlag) compare the tokens of whole files, every pair of them. Here thousands of
syntax trees of short functions are compared, and these few lines are enough for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["RUN", "WINDOW", "fingerprints"]

RUN = 9
"""Signs in a run: about one short statement. Right answers written independently share few runs of this length."""

WINDOW = 2


def fingerprints(signs: Sequence[str]) -> frozenset[int]:
    """The fingerprints of a sequence of signs; empty if it is shorter than ``RUN``.

    Example:
        >>> run = "for each row compute the sum of its squares now".split()
        >>> len(fingerprints(run) & fingerprints(["first", *run, "then", "stop"]))
        1
    """
    hashes = [_hash(signs[start : start + RUN]) for start in range(len(signs) - RUN + 1)]
    windows = range(max(1, len(hashes) - WINDOW + 1)) if hashes else ()
    return frozenset(min(hashes[start : start + WINDOW]) for start in windows)


def _hash(run: Sequence[str]) -> int:
    return int.from_bytes(blake2b("\0".join(run).encode("utf-8", "replace"), digest_size=8).digest(), "big")
