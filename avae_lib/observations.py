"""What a model observes: images made of pixels, or sentences made of tokens.

:class:`Pixels` and :class:`Tokens` have the same attributes and methods, so training, evaluation and reports treat
both alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn

__all__ = [
    "END",
    "PADDING",
    "START",
    "UNKNOWN",
    "WORDS_BEGIN",
    "AnyModel",
    "Pixels",
    "Tokens",
    "observed_by",
    "require_sentences",
]

if TYPE_CHECKING:
    AnyModel = Any
else:
    AnyModel = nn.Module
"""A module that meets :class:`avae_lib.models.contract.LatentVariableModel`.

Python has no type for what is both: static checkers take it for anything, the checks in tests for a module.
"""

PADDING, START, END, UNKNOWN = range(4)
"""Special tokens: padding after the end of a sentence, the decoder's input before the first word, the end of a
sentence, and any word that is not in the vocabulary."""
WORDS_BEGIN = UNKNOWN + 1
"""The token of the first word of a vocabulary."""


@dataclass(frozen=True)
class Pixels:
    """Images of one shape with levels 0 … 2**bits − 1 in uint8.

    >>> grey = Pixels(shape=(1, 28, 28), bits=8)
    >>> print(grey)
    images of shape (1, 28, 28) with 8-bit pixels
    >>> grey.values_per_example(grey.blank(2))
    784
    """

    shape: tuple[int, int, int]
    """Channels, height and width."""
    bits: int

    example: ClassVar[str] = "image"
    """Word for one example."""
    value: ClassVar[str] = "dimension"
    """Word for the values of an example, for rates such as bits per dimension."""
    value_in_short: ClassVar[str] = "dim"
    decided_by: ClassVar[str] = "data.name or data.binarize, or model.image_shape and model.bits"
    """The options that decide the shape and levels of data and model."""

    def __str__(self) -> str:
        return f"images of shape {self.shape} with {self.bits}-bit pixels"

    def blank(self, count: int, device: torch.device | str = "cpu") -> UInt8[Tensor, "count channels height width"]:
        """Black images."""
        return torch.zeros(count, *self.shape, dtype=torch.uint8, device=device)

    def random(self, count: int, device: torch.device | str = "cpu") -> UInt8[Tensor, "count channels height width"]:
        """Images whose pixel levels are drawn uniformly."""
        return torch.randint(2**self.bits, (count, *self.shape), dtype=torch.uint8, device=device)

    def values_per_example(self, x: UInt8[Tensor, "batch channels height width"]) -> int:
        """Number of values in an image: channels × height × width."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Tokens:
    """Sentences as rows of tokens in int64: words, then ``END``, then ``PADDING`` up to the length of the row.

    >>> sentences = Tokens(length=5, vocabulary_size=1000)
    >>> print(sentences)
    sentences of at most 5 tokens from a vocabulary of 1,000
    >>> sentences.blank(2)
    tensor([[2, 0, 0, 0, 0],
            [2, 0, 0, 0, 0]])
    """

    length: int
    """Largest number of tokens in a sentence, including its end."""
    vocabulary_size: int
    """Number of different tokens, including the four special ones."""

    bits: ClassVar[None] = None
    example: ClassVar[str] = "sentence"
    """Word for one example."""
    value: ClassVar[str] = "token"
    """Word for the values of an example, for rates such as bits per token."""
    value_in_short: ClassVar[str] = "token"
    decided_by: ClassVar[str] = "data.name, or model.sequence_length and model.vocabulary_size"
    """The options that decide the length and vocabulary of data and model."""

    def __str__(self) -> str:
        return f"sentences of at most {self.length} tokens from a vocabulary of {self.vocabulary_size:,}"

    def blank(self, count: int, device: torch.device | str = "cpu") -> Int64[Tensor, "count length"]:
        """Empty sentences: an end and padding."""
        x = torch.full((count, self.length), PADDING, device=device)
        x[:, 0] = END
        return x

    def random(self, count: int, device: torch.device | str = "cpu") -> Int64[Tensor, "count length"]:
        """Sentences of the full length whose words are drawn uniformly from the vocabulary."""
        x = torch.randint(UNKNOWN, self.vocabulary_size, (count, self.length), device=device)
        x[:, -1] = END
        return x

    def values_per_example(self, x: Int64[Tensor, "batch length"]) -> float:
        """Mean number of tokens in a sentence of ``x``: its words and its end. Padding does not count.

        >>> Tokens(length=5, vocabulary_size=9).values_per_example(torch.tensor([[7, END, 0, 0, 0], [4, 5, 6, END, 0]]))
        3.0
        """
        return (x != PADDING).sum().item() / len(x)


def observed_by(model: AnyModel) -> Pixels | Tokens:
    """The kind of example that a model takes and returns: images or sentences.

    A model of sentences has ``sequence_length`` and ``vocabulary_size``, a model of images ``image_shape`` and
    ``bits``:

    >>> model = nn.Module()
    >>> model.image_shape, model.bits = [1, 28, 28], 1
    >>> print(observed_by(model))
    images of shape (1, 28, 28) with 1-bit pixels
    """
    if hasattr(model, "vocabulary_size"):
        return Tokens(model.sequence_length, model.vocabulary_size)
    return Pixels(tuple(model.image_shape), model.bits)


def require_sentences(x: Int64[Tensor, "batch length"], longest: int, vocabulary_size: int) -> None:
    """Raise unless each row of ``x`` is a sentence: words, one end, then padding.

    Tokens are checked on the CPU only: on an accelerator each check would wait for the queue.

    Args:
        longest: largest number of tokens in a row.
        vocabulary_size: number of different tokens.

    Raises:
        TypeError: ``x`` is not a tensor, or not int64.
        ValueError: the shape is wrong, a token is not in the vocabulary, or a row is not a sentence.

    >>> require_sentences(torch.tensor([[7, 8, END, PADDING]]), longest=4, vocabulary_size=9)
    >>> require_sentences(torch.tensor([[7, PADDING, 8, END]]), longest=4, vocabulary_size=9)
    Traceback (most recent call last):
        ...
    ValueError: each row of x must be words, then one end (2), then padding (0), got [7, 0, 8, 2]
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor of int64 tokens, got {type(x).__name__}")
    if x.dtype != torch.int64:
        raise TypeError(f"x must be int64 tokens 0 … {vocabulary_size - 1}, got {x.dtype}")
    if x.ndim != 2 or len(x) == 0 or not 1 <= x.shape[1] <= longest:
        raise ValueError(f"x must be sentences (batch, at most {longest} tokens), got shape {tuple(x.shape)}")
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        _require_rows_of_sentences(x, vocabulary_size)


def _require_rows_of_sentences(x: Tensor, vocabulary_size: int) -> None:
    if int(x.min()) < 0 or int(x.max()) >= vocabulary_size:
        raise ValueError(
            f"x must hold tokens 0 … {vocabulary_size - 1}, got {int(x.min())} … {int(x.max())}: "
            "set the model's vocabulary_size to that of the data set"
        )
    words = (x >= UNKNOWN).sum(dim=1, keepdim=True)
    place = torch.arange(x.shape[1], device=x.device)
    is_sentence = ((place < words) == (x >= UNKNOWN)) & ((place == words) == (x == END)) & (x != START)
    whole = is_sentence.all(dim=1) & (x == END).any(dim=1)
    if not bool(whole.all()):
        row = x[int((~whole).nonzero()[0])].tolist()
        raise ValueError(f"each row of x must be words, then one end ({END}), then padding ({PADDING}), got {row}")
