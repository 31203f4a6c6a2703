"""The parts of a page: graphs, rows of images or text, and panels that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from avae_lib.report.embedding import pixel_data_uri

__all__ = ["Chart", "Panel", "Strip", "image_strips"]


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


def image_strips(rows: Mapping[str, Tensor], bits: int, what: str) -> tuple[Strip, ...]:
    """A strip for each labelled row of images; ``what`` says in its alternative text what the images are.

    >>> import torch
    >>> (strip,) = image_strips({"temperature 1": torch.zeros(3, 1, 8, 8)}, bits=1, what="samples")
    >>> strip.label, strip.alt
    ('temperature 1', '3 samples: temperature 1')
    """
    return tuple(
        Strip(label, pixel_data_uri(images, bits, len(images)), f"{len(images)} {what}: {label}")
        for label, images in rows.items()
    )
