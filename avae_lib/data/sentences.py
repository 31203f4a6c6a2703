"""English sentences without a file or a network, from the documentation of Python's standard library.

The vocabulary is fixed, in ``sentence_words.json``, so that a model reads and writes the same words under every version
of Python. The sentences differ a little from version to version.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from avae_lib.data.image_dataset import DatasetError, Split
from avae_lib.data.python_docs_corpus import texts_of_modules
from avae_lib.observations import END, PADDING, UNKNOWN, WORDS_BEGIN, Tokens, require_sentences

__all__ = [
    "SentenceDataset",
    "Vocabulary",
    "fixed_vocabulary",
    "load_sentences",
    "most_frequent_words",
    "sentences_in",
]

_FEWEST_WORDS, _MOST_WORDS = 4, 20
_MOST_UNKNOWN = 0.15  # fraction of the words of a sentence
_HELD_OUT: dict[int, Split] = {
    0: "test",
    1: "valid",
}  # two of ten parts; a package's part is decided by the checksum of its name
_PARTS = 10

_SPECIAL_PARAGRAPH = re.compile(r"^\s*(>>>|\.\.|[-*+] |[:@|=])", re.MULTILINE)  # examples, lists, tables, fields
_SENTENCE_BREAK = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_SENTENCE = re.compile(r"[A-Z].*[.!?]")
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_HYPHENATED = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)+")
_AROUND_WORDS = "\"'`()[]{},.;:!?*"
_CODE = ""  # stands for anything but a plain word, such as os.path or 0x1F; no vocabulary has it


@dataclass(frozen=True)
class Vocabulary:
    """The words that have a token of their own, in the order of their tokens.

    >>> vocabulary = Vocabulary(("return", "the", "file"))
    >>> tokens = vocabulary.to_tokens([("return", "the", "socket")], length=6)
    >>> tokens
    tensor([[4, 5, 3, 2, 0, 0]])
    >>> vocabulary.to_sentences(tokens)
    ('return the <unk>',)

    Raises:
        ValueError: a word appears twice.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        twice = [word for word, count in Counter(self.words).items() if count > 1]
        if twice:
            raise ValueError(f"words must differ from one another, got {', '.join(map(repr, twice))} more than once")

    @property
    def size(self) -> int:
        """Number of different tokens, including the four special ones."""
        return WORDS_BEGIN + len(self.words)

    def to_tokens(self, sentences: Sequence[Sequence[str]], length: int) -> Int64[Tensor, "sentences length"]:
        """Rows of tokens: the words of a sentence, its end, padding; a word without a token becomes unknown.

        Raises:
            ValueError: a sentence and its end do not fit in ``length``.
        """
        rows = torch.full((len(sentences), length), PADDING)
        for row, words in zip(rows, sentences, strict=True):
            if len(words) >= length:
                raise ValueError(f"length must be above the {len(words)} words of {' '.join(words)!r}, got {length}")
            row[: len(words) + 1] = torch.tensor([*(self._tokens.get(word, UNKNOWN) for word in words), END])
        return rows

    def to_sentences(self, tokens: Int64[Tensor, "sentences length"]) -> tuple[str, ...]:
        """The words of each row up to its end, with blanks between them."""
        return tuple(" ".join(self._words_of(row)) for row in tokens.tolist())

    @functools.cached_property
    def _tokens(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.words, start=WORDS_BEGIN)}

    def _words_of(self, row: Sequence[int]) -> Iterator[str]:
        for token in row:
            if token in (END, PADDING):
                return
            yield self.words[token - WORDS_BEGIN] if token >= WORDS_BEGIN else "<unk>"


@dataclass(frozen=True)
class SentenceDataset:
    """Sentences as rows of tokens ``(N, length)`` in int64, in memory, split for training and test.

    Raises:
        TypeError: a split is not int64.
        ValueError: a split is empty, is longer than the training split's rows, or holds rows that are no sentences of
            the vocabulary's tokens.

    >>> vocabulary = Vocabulary(("the", "file", "closes"))
    >>> tokens = vocabulary.to_tokens([("the", "file", "closes")], length=6)
    >>> mine = SentenceDataset("mine", train=tokens, valid=tokens, test=tokens, vocabulary=vocabulary)
    >>> mine.description
    '4.0 tokens on average with the end, a vocabulary of 3 words'
    """

    name: str
    train: Int64[Tensor, "train_sentences length"]
    valid: Int64[Tensor, "valid_sentences length"]
    test: Int64[Tensor, "test_sentences length"]
    vocabulary: Vocabulary
    version: str = ""
    """Edition of the set, if results on its editions cannot be compared."""

    def __post_init__(self) -> None:
        for split in ("train", "valid", "test"):
            try:
                require_sentences(getattr(self, split), self.train.shape[-1], self.vocabulary.size)
            except (TypeError, ValueError) as problem:
                raise type(problem)(f"{split}: {problem}") from problem

    @property
    def title(self) -> str:
        """Name and version: what a result on this set must be called."""
        return f"{self.name} ({self.version})" if self.version else self.name

    @property
    def description(self) -> str:
        """Length of the sentences and size of the vocabulary."""
        tokens = self.observed.values_per_example(self.train)
        return f"{tokens:.1f} tokens on average with the end, a vocabulary of {len(self.vocabulary.words):,} words"

    @property
    def observed(self) -> Tokens:
        """What a model of these sentences takes."""
        return Tokens(self.train.shape[1], self.vocabulary.size)

    def examples(self, split: Split, count: int | None = None) -> Int64[Tensor, "sentences length"]:
        """The first ``count`` sentences of a split, or all, as models see them."""
        return getattr(self, split)[:count]

    def labels(self, split: Split) -> None:
        """Sentences have no labels."""

    def as_batch(
        self, sentences: Int64[Tensor, "batch length"], pixel_noise: Generator, flip_noise: Generator
    ) -> Int64[Tensor, "batch length"]:
        """Training sentences as models see them in a batch: unchanged; there is nothing to binarise or to flip."""
        return sentences


def load_sentences() -> SentenceDataset:
    """Sentences of 4 to 20 words from the docstrings of the running Python's standard library, in lower case.

    A package is in one split with all of its modules, and a held-out sentence that is also in the training split is
    left out, so no sentence is in two splits. Fewer than one word in ten is unknown: names and rare words.

    Raises:
        DatasetError: this Python has no sources of its standard library.
    """
    vocabulary = fixed_vocabulary()
    rows, seen = {}, set()
    for split, sentences in _sentences_of_splits().items():
        known = [words for words in sentences if _is_mostly_known(words, set(vocabulary.words))]
        # Two sentences that differ only in unknown words are one and the same to a model.
        tokens = dict.fromkeys(map(tuple, vocabulary.to_tokens(known, _MOST_WORDS + 1).tolist()))
        rows[split] = [row for row in tokens if row not in seen]
        seen |= tokens.keys()
    splits = {split: torch.tensor(rows[split]) for split in rows}
    return SentenceDataset("sentences", **splits, vocabulary=vocabulary, version=f"Python {_python()}")


@functools.cache
def fixed_vocabulary() -> Vocabulary:
    """The 1,500 words of the sentences, the same under every version of Python.

    >>> fixed_vocabulary().words[:5]
    ('the', 'a', 'is', 'to', 'of')
    """
    file = importlib.resources.files("avae_lib.data") / "sentence_words.json"
    return Vocabulary(tuple(json.loads(file.read_text(encoding="utf-8"))))


def most_frequent_words(count: int) -> tuple[str, ...]:
    """The most frequent words in the training sentences of the running Python; ties are in alphabetical order.

    ``sentence_words.json`` holds 1,500 words that this function found under Python 3.11.
    """
    counts = Counter(word for words in _sentences_of_splits()["train"] for word in words if word != _CODE)
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:count])


def sentences_in(text: str) -> Iterator[tuple[str, ...]]:
    """The words of each sentence of a docstring, in lower case and without punctuation.

    Paragraphs with examples, lists, tables or fields are left out. Anything but a plain word becomes an empty string.

    >>> list(sentences_in("Open a non-blocking socket. See os.open().\\n\\n>>> open()"))
    [('open', 'a', 'non', 'blocking', 'socket'), ('see', '')]
    """
    for paragraph in re.split(r"\n\s*\n", text):
        if not _SPECIAL_PARAGRAPH.search(paragraph):
            for sentence in _SENTENCE_BREAK.split(" ".join(paragraph.split())):
                if _SENTENCE.fullmatch(sentence):
                    yield tuple(_words_in(sentence))


def _words_in(sentence: str) -> Iterator[str]:
    for piece in sentence.split():
        piece = piece.strip(_AROUND_WORDS)
        for part in piece.split("-") if _HYPHENATED.fullmatch(piece) else [piece]:
            if part:
                yield part.lower() if _WORD.fullmatch(part) else _CODE


@functools.cache
def _sentences_of_splits() -> dict[Split, tuple[tuple[str, ...], ...]]:
    """Sentences of the right length, each once in a split, in the order of their modules."""
    splits: dict[Split, dict[tuple[str, ...], None]] = {"train": {}, "valid": {}, "test": {}}
    for module, texts in texts_of_modules().items():
        found = (words for text in texts for words in sentences_in(text))
        of_split = splits[_split_of(module)]
        of_split.update((words, None) for words in found if _FEWEST_WORDS <= len(words) <= _MOST_WORDS)
    if not all(splits.values()):
        raise DatasetError(
            "no sentences were found in the standard library of this Python: its .py files are missing. "
            "Install a Python with its sources"
        )
    return {split: tuple(sentences) for split, sentences in splits.items()}


def _split_of(module: str) -> Split:
    """The split of a module; it depends only on the name of its package, so it is the same under every Python."""
    package = module.partition(".")[0]
    return _HELD_OUT.get(zlib.crc32(package.encode()) % _PARTS, "train")


def _is_mostly_known(words: Sequence[str], vocabulary: set[str]) -> bool:
    return sum(word not in vocabulary for word in words) <= _MOST_UNKNOWN * len(words)


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
