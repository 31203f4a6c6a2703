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

from avae_lib.plotting.style import blank, new_figure, styled, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["png_bytes", "show", "slider", "strip"]

_PIXELS_PER_INCH = 144  # half as much again as a screen's 96, for sharp text when shown at natural size
_SCREEN_PIXELS_PER_INCH = 96
_STRIP_LENGTH, _WIDE_STRIP_LENGTH = 5, 3


def show(figure: Figure, caption: str, alt: str) -> None:
    """Show a figure in a notebook, with its caption below, and close it.

    Args:
        figure: any matplotlib figure.
        caption: one or two sentences of Markdown: what to see in it.
        alt: what is in the picture, for readers who cannot see it.
    """
    _display_png(png_bytes(figure), round(figure.get_figwidth() * _SCREEN_PIXELS_PER_INCH), alt)
    _display_caption(caption)
    _close(figure)


def slider(frames: Sequence[Figure], values: Sequence[object], label: str, caption: str, alt: str) -> None:
    """Show a figure that a slider changes, then some of its frames side by side, then the caption.

    The slider is one piece of HTML holding all frames and a few lines of script: it moves on Colab, in Jupyter and
    in exported pages, with no kernel behind it. Where scripts are taken out (GitHub, feedback pages) nothing is
    left of it, and the frames below tell the same story.

    Args:
        frames: one figure for each value, all of one size; they are closed.
        values: what the slider stands at, one for each frame.
        label: the name of what moves, for example ``"β"``.
        caption: as for :func:`show`.
        alt: as for :func:`show`; the label and value are added to it.
    """
    if len(frames) != len(values) or not frames:
        raise ValueError(f"slider needs one value for each frame and at least one, got {len(frames)} and {len(values)}")
    width = round(frames[0].get_figwidth() * _SCREEN_PIXELS_PER_INCH)
    pictures = [png_bytes(frame) for frame in frames]
    html = _slider_html(pictures, [str(value) for value in values], label, alt, width)
    _display({"text/html": html, "text/plain": f"[slider over {label}: {alt}]"})
    static = strip(pictures, values, label)
    _display_png(png_bytes(static), round(static.get_figwidth() * _SCREEN_PIXELS_PER_INCH), f"{alt}. Side by side.")
    _display_caption(caption)
    for frame in frames:
        _close(frame)


@styled
def strip(pictures: Sequence[bytes], values: Sequence[object], label: str) -> Figure:
    """At most five of the pictures (PNG) side by side under their values, evenly spread; three if they are wide."""
    from matplotlib.image import imread

    height, width, *_ = imread(io.BytesIO(pictures[0])).shape
    count = min(_WIDE_STRIP_LENGTH if width > 1.3 * height else _STRIP_LENGTH, len(pictures))
    chosen = [round(i * (len(pictures) - 1) / max(count - 1, 1)) for i in range(count)]
    images = [imread(io.BytesIO(pictures[i])) for i in chosen]
    figure, panels = new_figure(7.2, 7.2 / count * height / width + 0.3, ncols=count, squeeze=False)
    for axes, index, image in zip(panels[0], chosen, images, strict=True):
        blank(axes).imshow(image, interpolation="antialiased")
        axes.set_title(f"{label} = {values[index]}", fontsize=8, loc="center")
    return figure


def png_bytes(figure: Figure, pixels_per_inch: int = _PIXELS_PER_INCH) -> bytes:
    """The figure as a PNG file of at most 256 colours, which is a third of the size of a full-colour one."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    with styles():
        figure.savefig(full, format="png", dpi=pixels_per_inch, facecolor="white")
    Image.open(full).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    return small.getvalue()


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


def _slider_html(pictures: Sequence[bytes], values: Sequence[str], label: str, alt: str, width: int) -> str:
    from importlib.resources import files

    from jinja2 import Template

    template = files("avae_lib").joinpath("templates/slider.html").read_text(encoding="utf-8")
    frames = [base64.b64encode(picture).decode() for picture in pictures]
    return Template(template, autoescape=True).render(frames=frames, values=values, label=label, alt=alt, width=width)
