"""Reads the files that a capstone hands in beside its notebook, each once, with limits on its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.course.grader_version import digest
from autograder.intake.submissions import Quarantined, read_once
from autograder.plain_text import harmless_markdown, moderate

__all__ = ["CapstoneWork", "read_capstone", "with_report"]

_REPORT = "report.md"
_LARGEST = {"config.json": 2**14, "weights.safetensors": 10_000_000, "report.md": 2**14}
"""The largest size of each file in bytes; a test compares these with the budget that students read."""


@dataclass(frozen=True)
class CapstoneWork:
    """The part of a capstone that is graded beside the notebook.

    Attributes:
        contents: the bytes of each file that could be read, by name.
        troubles: the reason why a file could not be read, by name.
        seed: the seed for drawing held-out images, the same for the whole class.
        private_images: the content of the course's own file of images; empty if the course has none.
        baseline_bpd: the number to beat that the course states, in bits per dimension; None if it states none.
    """

    contents: Mapping[str, bytes] = field(repr=False)
    troubles: Mapping[str, str]
    seed: int = field(default=0, repr=False)
    private_images: bytes = field(default=b"", repr=False)
    baseline_bpd: float | None = None

    @cached_property
    def digest_of_files(self) -> str:
        """The digest of what the student handed in."""
        parts = [part for name in sorted(self.contents) for part in (name, self.contents[name])]
        return digest(*parts, *(f"{name}: {self.troubles[name]}" for name in sorted(self.troubles)))

    @cached_property
    def digest(self) -> str:
        """The digest of everything that the measurement depends on."""
        return digest(self.digest_of_files, str(self.seed), self.private_images)

    @property
    def seed_of_draws(self) -> int:
        """The seed for drawing latents when this work is measured: known to nobody, and different for other files.

        A decoder that knows the noise beforehand can subtract it; its latents then carry everything at no KL.
        """
        return int(self.digest[:12], 16)


def read_capstone(
    folder: Path, seed: int, private_images: bytes = b"", baseline_bpd: float | None = None
) -> CapstoneWork:
    """Read the files in a submission's folder; one that cannot be read affects only the cases that need it."""
    contents = {}
    troubles = {}
    for name, most in _LARGEST.items():
        try:
            contents[name] = _read(folder / name, name, most)
        except Quarantined as trouble:
            troubles[name] = str(trouble)
    return CapstoneWork(contents, troubles, seed, private_images, baseline_bpd)


def with_report(notebook: NotebookNode, work: CapstoneWork) -> NotebookNode:
    """The notebook with the report as its last cell, where formgrader shows it beside the written answers."""
    text = work.troubles.get(_REPORT) or work.contents.get(_REPORT, b"").decode("utf-8", "replace")
    text = "".join(sign if sign.isprintable() or sign in "\n\t" else "·" for sign in text)
    cell = nbformat.v4.new_markdown_cell(f"## {_REPORT}\n\n{harmless_markdown(moderate(text))}", id="handed-in-report")
    return NotebookNode({**notebook, "cells": [*notebook.cells, cell]})


def _read(path: Path, name: str, most: int) -> bytes:
    try:
        path.lstat()
    except OSError:
        raise Quarantined(f"{name} is missing: capstone.hand_in writes it") from None
    return read_once(path, name, most)
