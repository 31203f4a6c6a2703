"""The documentation of Python's standard library as a corpus: real text without a file or a network.

The words differ a little from one version of Python to the next.
"""

from __future__ import annotations

import ast
import functools
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["WordCounts", "load_documentation", "texts_of_modules"]

_LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "distutils", "pydoc_data", "encodings", "turtledemo"}
_LEFT_OUT |= {"site-packages", "dist-packages"}
_WORDS_OF_CODE = (
    "arg args argument arguments attribute available bar called calling can case class code contains created "
    "current def default defined did doc does doesn don example false following foo function functions given "
    "instance int isn just kwargs like list make method methods module modules name names need needed new non "
    "none note number object objects optional otherwise parameter parameters pass passed possible print provides "
    "python raise raised result results return returned returning returns self sequence set single specified str "
    "string strings support supported true tuple type use used uses using value values version want way won work "
    "works"
)
_SHORTEST = 30  # modules whose documentation has fewer words are left out


@dataclass(frozen=True)
class WordCounts:
    """How often each document holds each word.

    >>> corpus = WordCounts(torch.ones(1, 3), words=("socket", "file", "date"), titles=("io",))
    >>> corpus.most_likely(torch.tensor([[0.1, 0.2, 0.7]]), count=2)
    (('date', 'file'),)
    """

    counts: Float[Tensor, "docs words"]
    words: tuple[str, ...]
    titles: tuple[str, ...]

    def most_likely(self, topics: Float[Tensor, "topics words"], count: int = 8) -> tuple[tuple[str, ...], ...]:
        """The ``count`` words of largest weight in each topic."""
        return tuple(tuple(self.words[word] for word in row) for row in topics.topk(count).indices.tolist())


def load_documentation(words: int = 1000, pieces: bool = False) -> WordCounts:
    """Counts of the most frequent ``words`` in all docstrings of the running Python's standard library.

    A document is a module, that is, one file; with ``pieces`` it is a single docstring. Words of one or two letters,
    common English words, common words of documentation, and documents with too few words are left out.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer  # costs a second

    texts = texts_of_modules()
    documents = [(name, text) for name, parts in texts.items() for text in (parts if pieces else ["\n".join(parts)])]
    vectorizer = CountVectorizer(
        max_features=words,
        min_df=5,
        max_df=0.25,
        token_pattern=r"\b[a-z]{3,}\b",
        stop_words=sorted(ENGLISH_STOP_WORDS | set(_WORDS_OF_CODE.split())),
    )
    counts = torch.from_numpy(vectorizer.fit_transform([text for _, text in documents]).toarray()).to(torch.float64)
    kept = counts.sum(dim=1) >= (_SHORTEST // 3 if pieces else _SHORTEST)
    titles = tuple(name for (name, _), keep in zip(documents, kept.tolist(), strict=True) if keep)
    return WordCounts(counts[kept], tuple(vectorizer.get_feature_names_out()), titles)


@functools.cache  # reading all of the library takes seconds
def texts_of_modules() -> dict[str, tuple[str, ...]]:
    """The name and all docstrings of each module, in the order of their files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    texts = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not _LEFT_OUT & set(parts):
            texts[".".join(parts).removesuffix(".__init__")] = _docstrings(path)
    return texts


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _docstrings(path: Path) -> tuple[str, ...]:
    """Every docstring of one file; a file that this Python cannot read has none."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ()
    texts = (ast.get_docstring(node) for node in _documented(tree))
    return tuple(text for text in texts if text)


def _documented(node: _Documented) -> Iterator[_Documented]:
    """A module or class, and the classes and functions in it, but none that are defined inside a function."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for child in getattr(node, "body", ()):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _documented(child)
