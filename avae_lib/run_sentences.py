"""Sentences from a trained model: samples, reconstructions, and interpolations between two sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from avae_lib.atomic_write import write_atomically
from avae_lib.data import DataConfig, split_to_look_at
from avae_lib.data.sentences import fixed_vocabulary
from avae_lib.evaluation import measuring
from avae_lib.observations import AnyModel

__all__ = [
    "interpolated_sentences",
    "reconstructed_sentences",
    "sampled_sentences",
    "spread",
    "write_interpolated",
    "write_sentences",
]

_RECONSTRUCTED = 12


def write_sentences(
    model: AnyModel,
    data: DataConfig,
    folder: Path,
    count: int = 64,
    temperature: float | Sequence[float] = 1.0,
    seed: int = 0,
) -> Iterator[Path]:
    """Write samples, reconstructions and an interpolation as text files, and yield the path of each.

    ``samples.txt``, a sentence on each line; ``reconstructions.txt``, validation sentences with what is decoded from
    their latents; ``interpolation.txt``, decoded sentences on the way from the first of these to the last.

    Args:
        data: sentences that the model was trained on.
        folder: folder of the files.
        count: lines of ``samples.txt``.
        temperature: factor on the prior's standard deviation.
        seed: for sampling.
    """
    yield _write(sampled_sentences(model, count, temperature, seed=seed), folder / "samples.txt")
    dataset = data.load()
    sentences = spread(dataset.examples(split_to_look_at(dataset)), _RECONSTRUCTED)
    pairs = reconstructed_sentences(model, sentences, seed)
    lines = [line for sentence, decoded in pairs for line in (sentence, f"    {decoded}")]
    yield _write(lines, folder / "reconstructions.txt")
    yield write_interpolated(model, sentences[0], sentences[-1], folder / "interpolation.txt")


def sampled_sentences(
    model: AnyModel,
    count: int,
    temperature: float | Sequence[float] = 1.0,
    word_temperature: float = 1.0,
    seed: int = 0,
) -> tuple[str, ...]:
    """Sentences drawn from the prior, in words; with ``word_temperature`` 0 decoded greedily.

    >>> from avae_lib.data import recorded_model
    >>> len(sampled_sentences(recorded_model("sentences"), count=3, word_temperature=0.0))
    3
    """
    with measuring(model, seed):
        tokens = model.sample(count, temperature, word_temperature=word_temperature)
    return fixed_vocabulary().to_sentences(tokens)


def reconstructed_sentences(
    model: AnyModel, sentences: Int64[Tensor, "examples length"], seed: int = 0
) -> tuple[tuple[str, str], ...]:
    """Each sentence in words, with the one that is decoded greedily from a draw of its latents.

    >>> from avae_lib.data import recorded_model
    >>> tokens = fixed_vocabulary().to_tokens([("the", "file", "is", "closed")], length=21)
    >>> ((sentence, decoded),) = reconstructed_sentences(recorded_model("sentences"), tokens)
    >>> sentence
    'the file is closed'
    """
    with measuring(model, seed):
        decoded = model.reconstruct(sentences.to(_device(model)))
    in_words = (fixed_vocabulary().to_sentences(tokens) for tokens in (sentences, decoded))
    return tuple(zip(*in_words, strict=True))


def interpolated_sentences(
    model: AnyModel, first: Int64[Tensor, " length"], last: Int64[Tensor, " length"], steps: int = 7
) -> tuple[str, ...]:
    """The two sentences in words, and between them what is decoded greedily on the line from one to the other.

    >>> from avae_lib.data import recorded_model
    >>> words = [("the", "file", "is", "closed"), ("return", "a", "list")]
    >>> first, last = fixed_vocabulary().to_tokens(words, length=21)
    >>> line = interpolated_sentences(recorded_model("sentences"), first, last, steps=3)
    >>> line[0], line[-1], len(line)
    ('the file is closed', 'return a list', 5)
    """
    with measuring(model):
        line = model.interpolate(first.to(_device(model)), last.to(_device(model)), steps)
    start, end = fixed_vocabulary().to_sentences(first[None])[0], fixed_vocabulary().to_sentences(last[None])[0]
    return (start, *fixed_vocabulary().to_sentences(line), end)


def write_interpolated(
    model: AnyModel, first: Int64[Tensor, " length"], last: Int64[Tensor, " length"], path: Path, steps: int = 7
) -> Path:
    """Write the :func:`interpolated_sentences` as a text file, one on each line; returns its path.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.data import recorded_model
    >>> words = [("the", "file", "is", "closed"), ("return", "a", "list")]
    >>> first, last = fixed_vocabulary().to_tokens(words, length=21)
    >>> with TemporaryDirectory() as folder:
    ...     path = write_interpolated(recorded_model("sentences"), first, last, Path(folder) / "interpolation.txt")
    ...     path.read_text().splitlines()[0]
    'the file is closed'
    """
    return _write(interpolated_sentences(model, first, last, steps), path)


def spread(sentences: Int64[Tensor, "examples length"], count: int) -> Int64[Tensor, "count length"]:
    """``count`` sentences, evenly spread over the set, which is in the order of modules; all of a smaller set.

    >>> spread(torch.arange(100).reshape(10, 10), count=3)[:, 0]
    tensor([ 0, 30, 60])
    """
    return sentences[:: max(1, len(sentences) // count)][:count]


def _device(model: AnyModel) -> torch.device:
    return next(model.parameters()).device


def _write(lines: tuple[str, ...] | list[str], path: Path) -> Path:
    write_atomically(path, "\n".join(lines) + "\n")
    return path
