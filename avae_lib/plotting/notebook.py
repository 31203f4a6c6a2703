"""Figures in notebooks: small pictures with alternative text, and a slider that needs no kernel.

Everything shown here is plain output stored in the notebook, so that Jupyter, Colab, nbconvert and GitHub show it
without running anything.
"""

from __future__ import annotations

import base64
import html
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from avae_lib.plotting.descriptions import described
from avae_lib.plotting.legibility import REQUIRED_BY, require_legible
from avae_lib.plotting.style import PIXELS_PER_INCH, SCREEN_PIXELS_PER_INCH, blank, styled, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["display_moving", "png_bytes", "show", "show_picture", "slider", "spread", "stills"]

_PAGE_INCHES = 7.2  # the widest a figure may be: 700 pixels of a screen, a little less than a notebook's column
_LABEL_INCHES = 0.3
_STILLS = 4


def show(figure: Figure) -> None:
    """Show a figure in a notebook and close it.

    The picture carries a description made from the figure's titles, labels and legends. In the notebooks of the
    course the build replaces it by the one written beside the caption.

    In a script, where no picture can be shown, the description is printed:

    >>> from avae_lib.plotting import learning_curves
    >>> show(learning_curves({"training": [95.0, 90.0]}))
    [picture: Figure (automatic description): horizontal axis “update”, vertical axis “−ELBO (nats per image)”.]
    """
    show_picture(_legible_png(figure), _screen_width(figure), described(figure))
    _close(figure)


class LivePicture:
    """One place in a notebook's output where each figure replaces the one before; the last one stays when it is saved.

    In a script nothing is shown.
    """

    def __init__(self) -> None:
        self._place: Any = None

    def show(self, figure: Figure, alt: str | None = None) -> None:
        """Show a figure in this place and close it.

        Args:
            alt: a description for readers who cannot see it; without one it is made from titles and labels.
        """
        if _is_in_notebook():
            from IPython.display import display

            bundle = _picture_bundle(_legible_png(figure), _screen_width(figure), alt or described(figure))
            if self._place is None:
                self._place = display(bundle, raw=True, display_id=True)
            else:
                self._place.update(bundle, raw=True)
        _close(figure)


def show_picture(png: bytes, width: int, alt: str) -> None:
    """Show a PNG file in a notebook, ``width`` pixels wide, with a description for readers who cannot see it.

    >>> show_picture(b"the bytes of a PNG file", width=100, alt="a falling curve")
    [picture: a falling curve]
    """
    _display(_picture_bundle(png, width, alt))


def slider(
    frames: Sequence[Figure],
    values: Sequence[object],
    label: str,
    start: int = 0,
    seconds_per_frame: float | None = None,
) -> None:
    """Show a figure that a slider changes.

    The slider is one piece of HTML that holds all frames and a few lines of script: it moves on Colab, in Jupyter
    and in exported pages, with no kernel behind it. Where scripts are taken out (GitHub, untrusted notebooks) a
    still of some frames stays in its place.

    Args:
        frames: one figure for each value, all of one size; they are closed.
        values: what the slider stands at, one for each frame.
        label: the name of what moves, for example ``"β"``.
        start: the index of the frame that the slider opens on: the most telling one.
        seconds_per_frame: with it, the slider gets a button that plays the frames one after the other.

    Raises:
        ValueError: there is no frame, there are more or fewer values than frames, or no frame has the index ``start``.

    In a script the description of the frame at ``start`` is printed:

    >>> from avae_lib.plotting import posterior_price
    >>> slider([posterior_price(mean, 1.0) for mean in (0.0, 1.0, 2.0)], values=[0.0, 1.0, 2.0], label="mean", start=1)
    [picture: Figure (automatic description): titled “σ = 1: KL(q ‖ p) = 0.50 nats”, ...]
    """
    if len(frames) != len(values) or not frames:
        raise ValueError(f"slider needs one value for each frame and at least one, got {len(frames)} and {len(values)}")
    if start not in range(len(frames)):
        raise ValueError(f"start must be the index of a frame, 0 to {len(frames) - 1}, got {start}")
    pictures = [_legible_png(frame) for frame in frames]
    display_moving(
        "slider.html",
        stills(pictures, values, label, start),
        described(frames[start]),
        frames=[base64.b64encode(picture).decode() for picture in pictures],
        values=[str(value) for value in values],
        label=label,
        start=start,
        width=_screen_width(frames[0]),
        milliseconds=round(1000 * seconds_per_frame) if seconds_per_frame else None,
    )
    for frame in frames:
        _close(frame)


@styled
def stills(pictures: Sequence[bytes], values: Sequence[object], label: str, start: int = 0) -> Figure:
    """The picture (PNG) at ``start`` and up to three others, evenly spread, each under its value at its own size.

    They stand side by side as far as the page is wide, and below one another otherwise.

    >>> from avae_lib.plotting import learning_curves
    >>> picture = png_bytes(learning_curves({"training": [95.0, 90.0]}))
    >>> figure = stills([picture] * 6, values=[0, 1, 2, 3, 4, 5], label="β", start=2)
    >>> [axes.get_title() for axes in figure.axes]
    ['β = 0', 'β = 2', 'β = 3', 'β = 5']
    """
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    chosen = spread(len(pictures), start, _STILLS)
    height, width, *_ = imread(io.BytesIO(pictures[0])).shape
    width, height = width / PIXELS_PER_INCH, height / PIXELS_PER_INCH
    columns = max(1, min(int(_PAGE_INCHES / width), len(chosen)))
    rows = -(-len(chosen) // columns)
    page_width, page_height = columns * width, rows * (height + _LABEL_INCHES)
    figure = Figure(figsize=(page_width, page_height))
    for place, index in enumerate(chosen):
        row, column = divmod(place, columns)
        bottom = page_height - (row + 1) * (height + _LABEL_INCHES)
        axes = figure.add_axes(
            (column * width / page_width, bottom / page_height, width / page_width, height / page_height)
        )
        blank(axes).imshow(imread(io.BytesIO(pictures[index])), interpolation="none", aspect="auto")
        axes.set_title(f"{label} = {values[index]}", loc="center", pad=4)
    return figure


def spread(number: int, start: int, most: int) -> list[int]:
    """Indices of ``most`` of ``number`` things, ascending: an even spread, moved just so far that ``start`` is in it.

    >>> spread(11, start=4, most=3)
    [0, 4, 10]
    """
    even = np.linspace(0, number - 1, min(most, number)).round().astype(int).tolist()
    nearest = min(even, key=lambda index: abs(index - start))
    return [start if index == nearest else index for index in even]


def png_bytes(figure: Figure, pixels_per_inch: int = PIXELS_PER_INCH) -> bytes:
    r"""The figure as a PNG file of at most 256 colours, which is a third of the size of a full-colour one.

    >>> from avae_lib.plotting import learning_curves
    >>> png_bytes(learning_curves({"training": [95.0, 90.0]}))[:4]
    b'\x89PNG'
    """
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    with styles():
        figure.savefig(full, format="png", dpi=pixels_per_inch, facecolor="white")
    Image.open(full).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    return small.getvalue()


def _screen_width(figure: Figure) -> int:
    return round(figure.get_figwidth() * SCREEN_PIXELS_PER_INCH)


def _legible_png(figure: Figure) -> bytes:
    if os.environ.get(REQUIRED_BY):
        require_legible(figure)
    return png_bytes(figure)


def _picture_html(png: bytes, width: int, alt: str) -> str:
    """A picture with its description, as HTML.

    This is the one form whose description reaches everybody: JupyterLab and the pages of nbconvert show an output of
    type image/png without the description in its metadata.
    """
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<img alt="{html.escape(alt)}" width="{width}" style="max-width:100%; height:auto" src="{address}">'


def display_moving(template: str, still: Figure, alt: str, **facts: Any) -> None:
    """Show a still, and a script of ``avae_lib/templates`` that puts something moving in its place where scripts run.

    The script finds the still before it and keeps its description.
    """
    from importlib.resources import files

    from jinja2 import Template

    text = files("avae_lib").joinpath("templates", template).read_text(encoding="utf-8")
    script = Template(text, autoescape=True).render(**facts)
    picture = _picture_html(_legible_png(still), _screen_width(still), alt)
    _display({"text/html": f"<div>{picture}</div>\n{script}", "text/plain": f"[picture: {alt}]"})


def _picture_bundle(png: bytes, width: int, alt: str) -> dict[str, str]:
    return {"text/html": _picture_html(png, width, alt), "text/plain": f"[picture: {alt}]"}


def _is_in_notebook() -> bool:
    return "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None


def _display(bundle: Mapping[str, str]) -> None:
    """Hand one output to the notebook; where there is none, as in a script, print its text."""
    if _is_in_notebook():
        from IPython.display import display

        display(bundle, raw=True)
    else:
        print(bundle["text/plain"])


def _close(figure: Figure) -> None:
    """Drop the figure from pyplot's list of open figures, if it was made there."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
