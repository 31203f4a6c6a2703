"""The progress of training: the learning curve, and images or sentences that the model draws at this point."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from avae_lib.plotting.images import mosaic
from avae_lib.plotting.style import Numbers, blank, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["training_progress"]

_LINE, _LETTERS = 0.22, 100  # height of a line of text in inches, and most letters in it
_MARKED = 40  # points of a curve that are marked; more would run together


@styled
def training_progress(
    curves: Mapping[str, tuple[Sequence[int], Numbers]],
    samples: Tensor | Sequence[str],
    bits: int | None,
    title: str | None = None,
    columns: int = 8,
    quantity: str = "bits per dimension",
) -> Figure:
    """A learning curve, and samples below it.

    The vertical axis covers the last nine tenths of the curves only: the first values of a run are so high that
    nothing else could be seen.

    Args:
        curves: name → (updates, values at these).
        samples: images ``(N, C, H, W)``, as for :func:`mosaic`; or sentences.
        bits: bits per pixel value; None for sentences.
        columns: samples side by side.
        quantity: what the values are, the label of the vertical axis.

    >>> import torch
    >>> curves = {"training": ([1, 100, 200], [8.0, 5.5, 5.1])}
    >>> figure = training_progress(curves, samples=torch.zeros(8, 1, 8, 8, dtype=torch.uint8), bits=1)
    >>> len(figure.axes)
    2
    """
    are_images = isinstance(samples, Tensor)
    height = 0.7 * -(-len(samples) // columns) if are_images else _LINE * len(samples)
    figure, (graph, strip) = new_figure(6.4, 2.8 + height, nrows=2, height_ratios=(2.8, height))
    for (name, (updates, values)), line in zip(curves.items(), line_styles(), strict=False):
        marker = "o" if len(updates) <= _MARKED else None
        graph.plot(updates, values, label=name, marker=marker, markersize=3, **line)
    settled = [value for updates, values in curves.values() for value in values[len(values) // 10 :]]
    if len(settled) > 1 and max(settled) > min(settled):
        room = 0.08 * (max(settled) - min(settled))
        graph.set_ylim(min(settled) - room, max(settled) + room)
    graph.set(xlabel="update", ylabel=quantity, title=title or "")
    graph.legend()
    if isinstance(samples, Tensor):
        assert bits is not None, "images have bits"
        blank(strip).imshow(mosaic(samples, bits, columns), interpolation="nearest")
    else:
        _write(blank(strip), samples)
    strip.set_title("samples of the averaged weights")
    return figure


def _write(panel: Axes, lines: Sequence[str]) -> None:
    """The lines one below the other, each cut where the figure ends."""
    shown = (textwrap.shorten(line, _LETTERS, placeholder=" …") for line in lines)
    panel.text(0.5, 1, "\n".join(shown), ha="center", va="top", fontsize=8, linespacing=1.4)
