r"""A stack of bits on which symbols are pushed at the length of their information: asymmetric numeral systems.

The stack is one large number s. Let a distribution give each symbol an interval of integers: start c and frequency f,
out of :math:`2^r`. Pushing the symbol and popping it again are exact inverses,

.. math::
    s \;\to\; \lfloor s / f \rfloor \, 2^r + c + (s \bmod f), \qquad
    s \;\to\; f \, \lfloor s / 2^r \rfloor + (s \bmod 2^r) - c,

and a push multiplies s by about :math:`2^r / f`, so it adds :math:`\log_2 (2^r / f)` bits. Conversely, a pop
turns bits of the stack into a draw from the distribution.

J. Duda, "Asymmetric numeral systems", 2009 and 2013; in the form of J. Townsend, T. Bird and D. Barber, "Practical
lossless compression with latent variables using bits back coding", ICLR 2019.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float

__all__ = ["PRECISION", "AnsStack", "BrokenCode", "Distribution", "FrequencyTable", "Uniform", "frequency_tables"]

PRECISION = 32
"""r: the frequencies of a distribution sum to 2**32."""
_WORD = 32
_FULL = 1 << 64  # least value of the head; a push is then off by less than 2**-31 bits
_HEAD_BYTES = 12


class BrokenCode(ValueError):
    """A code that cannot be read: truncated, changed, or made with other settings."""


class Distribution(Protocol):
    """Symbols with intervals of integers that divide 0 … 2**PRECISION − 1 among them."""

    def interval(self, symbol: int) -> tuple[int, int]:
        """Start and frequency of a symbol."""
        ...

    def symbol_at(self, slot: int) -> int:
        """The symbol whose interval holds ``slot``."""
        ...


class AnsStack:
    """Symbols, last in, first out, at their information content.

    The number s is kept as a head below 2**96 and a list of 32-bit words, so that a push or pop takes the same time
    however long the code is.

    Args:
        lender: source of bits when symbols are popped from an empty stack; without it that is an error. Borrowed bits
            are on the stack again once everything is undone.

    >>> stack, coin = AnsStack(), FrequencyTable([0, 3 << 30, 1 << 32])  # probabilities 3/4 and 1/4
    >>> for symbol in (0, 1, 0):
    ...     stack.push(symbol, coin)
    >>> round(stack.bits, 6)  # 2 log2(4/3) + log2(4)
    2.830075
    >>> [stack.pop(coin) for _ in range(3)], round(stack.bits, 6)
    ([0, 1, 0], 0.0)
    """

    def __init__(self, lender: random.Random | None = None) -> None:
        self._head, self._words = _FULL, []
        self._lender, self._words_borrowed = lender, 0

    @property
    def bits(self) -> float:
        """Information on the stack since its start, in bits; below 0 after more was popped than pushed."""
        return math.log2(self._head) - 64 + _WORD * (len(self._words) - self._words_borrowed)

    @property
    def bits_borrowed(self) -> int:
        """Number of bits that the lender gave."""
        return _WORD * self._words_borrowed

    def push(self, symbol: int, distribution: Distribution) -> None:
        """Put a symbol on top.

        Raises:
            ValueError: the distribution gives the symbol no room.
        """
        start, frequency = distribution.interval(symbol)
        if not (frequency > 0 <= start and start + frequency <= 1 << PRECISION):
            raise ValueError(f"symbol {symbol!r} must have a frequency of at least 1, got {frequency} from {start} on")
        if self._head >= frequency << (64 + _WORD - PRECISION):
            self._words.append(self._head & ((1 << _WORD) - 1))
            self._head >>= _WORD
        whole, rest = divmod(self._head, frequency)
        self._head = (whole << PRECISION) + start + rest

    def pop(self, distribution: Distribution) -> int:
        """Take the topmost symbol off: the one pushed last, or a draw from the distribution if none was pushed.

        Raises:
            BrokenCode: the stack is empty, and there is no lender.
        """
        slot = self._head & ((1 << PRECISION) - 1)
        symbol = distribution.symbol_at(slot)
        start, frequency = distribution.interval(symbol)
        self._head = frequency * (self._head >> PRECISION) + slot - start
        if self._head < _FULL:
            self._head = self._head << _WORD | self._next_word()
        return symbol

    def mask(self, key: int, words: int) -> None:
        """Exclusive-or the top of the stack with pseudo-random bits; the same call again undoes it.

        The top of the stack then looks random. The length changes by at most one bit.

        Args:
            key: seed of the pseudo-random bits.
            words: number of 32-bit words to mask below the 64 bits on top. Missing words are borrowed first.

        Raises:
            BrokenCode: the stack has fewer words, and there is no lender.
        """
        while len(self._words) < words:
            self._words.insert(0, self._borrowed_word())
        noise = random.Random(key)
        self._head ^= noise.getrandbits(64)
        for place in range(len(self._words) - words, len(self._words)):
            self._words[place] ^= noise.getrandbits(_WORD)

    def to_bytes(self) -> bytes:
        """The whole stack: words from the bottom up, then the head; 12 bytes more than its words."""
        words = b"".join(word.to_bytes(_WORD // 8, "big") for word in self._words)
        return words + self._head.to_bytes(_HEAD_BYTES, "big")

    @classmethod
    def from_bytes(cls, code: bytes) -> AnsStack:
        """The stack that :meth:`to_bytes` wrote.

        Raises:
            BrokenCode: the bytes are not those of a stack.
        """
        width = _WORD // 8
        if len(code) < _HEAD_BYTES or (len(code) - _HEAD_BYTES) % width:
            raise BrokenCode(f"code must be 12 bytes and a multiple of 4 more, got {len(code)}: it is truncated")
        stack = cls()
        body, head = code[:-_HEAD_BYTES], code[-_HEAD_BYTES:]
        stack._words = [int.from_bytes(body[at : at + width], "big") for at in range(0, len(body), width)]
        stack._head = int.from_bytes(head, "big")
        if stack._head < _FULL:
            raise BrokenCode("code must end with a head of at least 2**64: its end is missing or was changed")
        return stack

    def require_only_borrowed(self, lender: random.Random | None = None) -> None:
        """Check that everything was popped, so that only bits of ``lender`` are left.

        Raises:
            BrokenCode: something else is left.
        """
        lent = [lender.getrandbits(_WORD) for _ in self._words] if lender else []
        if self._head != _FULL or self._words != lent[::-1]:
            raise BrokenCode(
                "code must leave nothing but the borrowed bits, and something else is left: it was changed, or model, "
                "number of images or settings are not those it was made with"
            )

    def _next_word(self) -> int:
        return self._words.pop() if self._words else self._borrowed_word()

    def _borrowed_word(self) -> int:
        if self._lender is None:
            raise BrokenCode("code ends before all symbols are read: it is truncated, changed or of another model")
        self._words_borrowed += 1
        return self._lender.getrandbits(_WORD)


class FrequencyTable:
    """Symbols 0 … n − 1 with the intervals between neighbouring numbers of a list.

    Args:
        cumulative: n + 1 rising integers from 0 to 2**32, which is not checked: :func:`frequency_tables`
            makes them from probabilities.

    >>> FrequencyTable([0, 3 << 30, 1 << 32]).symbol_at(3 << 30)
    1
    """

    def __init__(self, cumulative: Sequence[int]) -> None:
        if len(cumulative) < 2 or cumulative[0] != 0 or cumulative[-1] != 1 << PRECISION:
            raise ValueError(f"cumulative must rise from 0 to 2**{PRECISION}, got {list(cumulative)[:3]} …")
        self._cumulative = cumulative

    def interval(self, symbol: int) -> tuple[int, int]:
        """Start and frequency of a symbol."""
        if not 0 <= symbol < len(self._cumulative) - 1:
            raise ValueError(f"symbol must be 0 … {len(self._cumulative) - 2}, got {symbol!r}")
        start = self._cumulative[symbol]
        return start, self._cumulative[symbol + 1] - start

    def symbol_at(self, slot: int) -> int:
        """The symbol whose interval holds ``slot``."""
        return bisect_right(self._cumulative, slot) - 1

    def bits(self, symbol: int) -> float:
        """Length of the symbol's code, bits."""
        return PRECISION - math.log2(self.interval(symbol)[1])


class Uniform:
    """2**bits symbols of equal probability.

    >>> stack = AnsStack()
    >>> stack.push(1023, Uniform(bits=10))
    >>> round(stack.bits, 6)
    10.0
    """

    def __init__(self, bits: int) -> None:
        if not 0 <= bits <= PRECISION:
            raise ValueError(f"bits must be 0 … {PRECISION}, got {bits}")
        self._shift, self._symbols = PRECISION - bits, 1 << bits

    def interval(self, symbol: int) -> tuple[int, int]:
        """Start and frequency of a symbol."""
        if not 0 <= symbol < self._symbols:
            raise ValueError(f"symbol must be 0 … {self._symbols - 1}, got {symbol!r}")
        return symbol << self._shift, 1 << self._shift

    def symbol_at(self, slot: int) -> int:
        """The symbol whose interval holds ``slot``."""
        return slot >> self._shift


def frequency_tables(probabilities: Float[np.ndarray, "tables symbols"]) -> list[FrequencyTable]:
    r"""One table for each row of probabilities.

    .. math:: c_k = \lfloor F_k \, (2^r - K) \rfloor + k, \qquad F_k = \sum_{j<k} p_j

    Every symbol gets a frequency of at least 1, so even one of probability 0 can be coded, in 32 bits. A symbol of
    probability p costs at most :math:`\log_2 (1/p) + \log_2 \frac{1}{1 - K / 2^r}` bits, which for 256 symbols is
    1e-7 bits too many.

    Args:
        probabilities: float64, each row from 0 up and with a sum of 1 (to 1e-6; it is then scaled to 1).

    Raises:
        ValueError: a probability is negative or not finite, a row does not sum to 1, or the shape is wrong.

    >>> (table,) = frequency_tables(np.array([[0.75, 0.25, 0.0]]))
    >>> [round(table.bits(symbol), 3) for symbol in range(3)]
    [0.415, 2.0, 32.0]
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or not 1 <= probabilities.shape[1] <= 1 << 20:
        raise ValueError(f"probabilities must be (tables, symbols), got shape {probabilities.shape}")
    sums = probabilities.sum(axis=1)
    if not (np.isfinite(sums).all() and (probabilities >= 0).all() and (abs(sums - 1) <= 1e-6).all()):
        raise ValueError(f"probabilities must be 0 or more with rows that sum to 1, got sums {sums}")
    symbols = probabilities.shape[1]
    below = np.cumsum(probabilities, axis=1) / np.cumsum(probabilities, axis=1)[:, -1:]
    cumulative = np.zeros((len(probabilities), symbols + 1), dtype=np.int64)
    cumulative[:, 1:] = np.floor(below * ((1 << PRECISION) - symbols)).astype(np.int64) + np.arange(1, symbols + 1)
    return [FrequencyTable(row) for row in cumulative.tolist()]
