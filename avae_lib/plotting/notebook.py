"""Figures in notebooks: small pictures with alternative text and caption, and a slider that needs no kernel.

Everything shown here is plain output stored in the notebook, so that Jupyter, Colab, nbconvert and GitHub show it
without running anything.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import blank, new_figure, styled, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["png_bytes", "show", "slider", "strip"]

_PIXELS_PER_INCH = 144  # half as much again as a screen's 96, for sharp text when shown at natural size
_SCREEN_PIXELS_PER_INCH = 96
_STRIP_INCHES, _WIDEST_PANEL_INCHES = 7.2, 5.2


def show(figure: Figure, caption: str, alt: str) -> None:
    """Show a figure in a notebook, with its caption below, and close it.

    Args:
        figure: any matplotlib figure.
        caption: one or two sentences of Markdown: what to see in it.
        alt: what is in the picture, for readers who cannot see it.
    """
    _display_png(png_bytes(figure), _screen_width(figure), alt)
    _display_caption(caption)
    _close(figure)


def slider(
    frames: Sequence[Figure],
    values: Sequence[object],
    label: str,
    caption: str,
    alt: str,
    seconds_per_frame: float | None = None,
) -> None:
    """Show a figure that a slider changes, then some of its frames at once, then the caption.

    The slider is one piece of HTML holding all frames and a few lines of script: it moves on Colab, in Jupyter and
    in exported pages, with no kernel behind it. Where scripts are taken out (GitHub, feedback pages) nothing is
    left of it, and the frames below tell the same story.

    Args:
        frames: one figure for each value, all of one size; they are closed.
        values: what the slider stands at, one for each frame.
        label: the name of what moves, for example ``"β"``.
        caption: as for :func:`show`.
        alt: as for :func:`show`; the label and value are added to it.
        seconds_per_frame: with it, the slider gets a button that plays the frames one after the other.
    """
    if len(frames) != len(values) or not frames:
        raise ValueError(f"slider needs one value for each frame and at least one, got {len(frames)} and {len(values)}")
    pictures = [png_bytes(frame) for frame in frames]
    look = {"label": label, "alt": alt, "width": _screen_width(frames[0])}
    html = _slider_html(pictures, [str(value) for value in values], seconds_per_frame, **look)
    _display({"text/html": html, "text/plain": f"[slider over {label}: {alt}]"})
    some = strip(pictures, values, label)
    _display_png(png_bytes(some), _screen_width(some), f"{alt}. Some of the frames at once.")
    _display_caption(caption)
    for frame in frames:
        _close(frame)


@styled
def strip(pictures: Sequence[bytes], values: Sequence[object], label: str) -> Figure:
    """A few of the pictures (PNG), evenly spread, each under its value: side by side, very wide ones in a column."""
    from matplotlib.image import imread

    height, width, *_ = imread(io.BytesIO(pictures[0])).shape
    rows, columns = _strip_layout(width / height, len(pictures))
    chosen = np.linspace(0, len(pictures) - 1, rows * columns).round().astype(int)
    panel_width = min(_STRIP_INCHES / columns, _WIDEST_PANEL_INCHES)
    panel_height = panel_width * height / width + 0.3
    figure, panels = new_figure(panel_width * columns, panel_height * rows, nrows=rows, ncols=columns, squeeze=False)
    for axes, index in zip(panels.flat, chosen, strict=True):
        blank(axes).imshow(imread(io.BytesIO(pictures[index])), interpolation="antialiased")
        axes.set_title(f"{label} = {values[index]}", fontsize=8, loc="center")
    return figure


def _strip_layout(aspect: float, pictures: int) -> tuple[int, int]:
    """Rows and columns for pictures so many times as wide as high."""
    if aspect > 3:
        return min(3, pictures), 1
    return 1, min(3 if aspect > 1.3 else 5, pictures)


def png_bytes(figure: Figure, pixels_per_inch: int = _PIXELS_PER_INCH) -> bytes:
    """The figure as a PNG file of at most 256 colours, which is a third of the size of a full-colour one."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    with styles():
        figure.savefig(full, format="png", dpi=pixels_per_inch, facecolor="white")
    Image.open(full).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    return small.getvalue()


def _screen_width(figure: Figure) -> int:
    return round(figure.get_figwidth() * _SCREEN_PIXELS_PER_INCH)


def _display_png(png: bytes, width: int, alt: str) -> None:
    bundle = {"image/png": base64.b64encode(png).decode(), "text/plain": f"[picture: {alt}]"}
    _display(bundle, {"image/png": {"alt": alt, "width": width}})


def _display_caption(caption: str) -> None:
    _display({"text/markdown": f"*{caption}*", "text/plain": caption})


def _display(bundle: Mapping[str, str], metadata: Mapping | None = None) -> None:
    """Hand one output to the notebook; where there is none, as in a script, print its text."""
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from IPython.display import display

        display(bundle, raw=True, metadata=metadata)
    else:
        print(bundle["text/plain"])


def _close(figure: Figure) -> None:
    """Drop the figure from pyplot's list of open figures, if it was made there."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)


def _slider_html(
    pictures: Sequence[bytes], values: Sequence[str], seconds_per_frame: float | None, **look: object
) -> str:
    from importlib.resources import files

    from jinja2 import Template

    template = files("avae_lib").joinpath("templates/slider.html").read_text(encoding="utf-8")
    frames = [base64.b64encode(picture).decode() for picture in pictures]
    milliseconds = round(1000 * seconds_per_frame) if seconds_per_frame else None
    return Template(template, autoescape=True).render(frames=frames, values=values, milliseconds=milliseconds, **look)
