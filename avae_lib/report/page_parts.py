"""The parts of a page: graphs, rows of images or text, and panels that hold them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Chart", "Panel", "Strip"]


@dataclass(frozen=True)
class Chart:
    """A graph on a page."""

    title: str
    reading: str
    """A sentence on what to look for."""
    svg: str


@dataclass(frozen=True)
class Strip:
    """One row of small images."""

    label: str
    source: str
    """The PNG, as a data URI."""
    alt: str


@dataclass(frozen=True)
class Panel:
    """A section of a page: a title, a paragraph on how to read it, and graphs, images or text."""

    name: str
    """Its id on the page."""
    title: str
    text: str
    charts: tuple[Chart, ...] = ()
    strips: tuple[Strip, ...] = ()
    lines: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Rows of text: a label, and the lines beside it."""
