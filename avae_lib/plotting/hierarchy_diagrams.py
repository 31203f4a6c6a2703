"""Diagrams of hierarchies of latents: how images come about, the two ways to infer, and the blocks of two models."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from avae_lib.plotting.diagrams import Arrow, Node, draw_diagram
from avae_lib.plotting.style import COLOURS, INK, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["hierarchy_and_its_inference", "nvae_cells", "top_down_block"]

_STEP = 1.6  # from one layer to the next


@styled
def hierarchy_and_its_inference() -> Figure:
    """Three layers of latents: how they make an image, and the two orders in which they can be inferred from it.

    >>> [axes.get_title("left") for axes in hierarchy_and_its_inference().axes]
    ['generation', 'inference, bottom-up', 'inference, top-down']
    """
    figure, panels = new_figure(7.0, 3.7, ncols=3, gridspec_kw={"width_ratios": (1.0, 1.0, 1.5)})
    _draw_generation(panels[0])
    _draw_bottom_up(panels[1])
    _draw_top_down(panels[2])
    for axes in panels:
        axes.set_ylim(-0.7, 3 * _STEP + 0.7)
    return figure


@styled
def top_down_block() -> Figure:
    """One block of a Very Deep VAE: what it reads, what it draws, and what it adds to the stream.

    >>> len(top_down_block().axes)
    1
    """
    figure, axes = new_figure(7.2, 2.7)
    draw_diagram(axes, _BLOCK_NODES, _BLOCK_ARROWS)
    axes.text(7.6, 3.5, "with an image", color=_INFERS, ha="left", va="center")
    axes.text(7.6, 1.75, "without one", ha="left", va="center")
    return figure


@styled
def nvae_cells() -> Figure:
    """The two residual cells of NVAE, read from left to right: encoder above, decoder below.

    >>> len(nvae_cells().axes)
    2
    """
    figure, (encoder, decoder) = new_figure(7.2, 2.5, nrows=2)
    _draw_cell(encoder, ["BN, swish", "3×3", "BN, swish", "3×3", "0.1 · SE"], "encoder cell")
    _draw_cell(
        decoder,
        ["BN", "1×1, 6C", "BN, swish", "5×5 depthwise", "BN, swish", "1×1, C", "BN", "0.1 · SE"],
        "decoder cell",
    )
    return figure


def _draw_generation(axes: Axes) -> None:
    nodes = {f"z{layer}": Node(0, (4 - layer) * _STEP, f"$z_{layer}$") for layer in (1, 2, 3)}
    nodes["x"] = Node(0, 0, "$x$", "observed")
    down = [Arrow(start, end, INK) for start, end in (("z1", "z2"), ("z2", "z3"), ("z3", "x"))]
    past_one = [Arrow("z1", "z3", INK, bend=0.5), Arrow("z2", "x", INK, bend=0.5), Arrow("z1", "x", INK, bend=0.6)]
    draw_diagram(axes, nodes, [*down, *past_one], "generation")
    axes.set_xlim(-2.3, 1.2)


def _draw_bottom_up(axes: Axes) -> None:
    nodes = {f"z{layer}": Node(0, (4 - layer) * _STEP, f"$z_{layer}$") for layer in (1, 2, 3)}
    nodes["x"] = Node(0, 0, "$x$", "observed")
    up = [Arrow(start, end, _INFERS, dashed=True) for start, end in (("x", "z3"), ("z3", "z2"), ("z2", "z1"))]
    draw_diagram(axes, nodes, up, "inference, bottom-up")
    axes.set_xlim(-1.7, 1.7)


def _draw_top_down(axes: Axes) -> None:
    nodes = {f"z{layer}": Node(2.6, (4 - layer) * _STEP, f"$z_{layer}$") for layer in (1, 2, 3)}
    nodes |= {f"e{layer}": Node(0, (4 - layer) * _STEP, f"$e_{layer}$", "computed", 0.9) for layer in (1, 2, 3)}
    nodes["x"] = Node(0, 0, "$x$", "observed")
    features = [Arrow(start, end, INK) for start, end in (("x", "e3"), ("e3", "e2"), ("e2", "e1"))]
    across = [Arrow(f"e{layer}", f"z{layer}", _INFERS, dashed=True) for layer in (1, 2, 3)]
    down = [Arrow("z1", "z2", _INFERS, dashed=True), Arrow("z2", "z3", _INFERS, dashed=True)]
    past_one = [Arrow("z1", "z3", _INFERS, dashed=True, bend=-0.5)]
    draw_diagram(axes, nodes, [*features, *across, *down, *past_one], "inference, top-down")
    axes.set_xlim(-0.8, 4.3)


def _draw_cell(axes: Axes, steps: Sequence[str], title: str) -> None:
    """Steps in a row between input and sum, and the shortcut that passes them by."""
    widths = [0.5 + 0.195 * len(step) for step in steps]
    nodes, place = {"in": Node(0, 0, "$x$", "computed", 0.7)}, 0.75
    for number, (step, width) in enumerate(zip(steps, widths, strict=True)):
        nodes[str(number)] = Node(place + width / 2, 0, step, "computed", width)
        place += width + 0.4
    nodes["sum"] = Node(place + 0.35, 0, "+", "latent", 0.6)
    nodes["out"] = Node(place + 1.5, 0, "$y$", "computed", 0.7)
    order = ["in", *map(str, range(len(steps))), "sum", "out"]
    arrows = [Arrow(start, end, INK) for start, end in itertools.pairwise(order)]
    draw_diagram(axes, nodes, [*arrows, Arrow("in", "sum", COLOURS["blue"], bend=-0.19)], title)
    axes.set(xlim=(-0.6, 20.9), ylim=(-0.5, 2.2))


_INFERS = COLOURS["blue"]
_BLOCK_NODES = {
    "stream": Node(0, 0, "stream $s$", "computed", 1.9),
    "evidence": Node(0, 3.6, "evidence $e$", "computed", 2.1),
    "P": Node(3.2, 1.7, "P: bottleneck", "computed", 2.4),
    "Q": Node(3.2, 3.6, "Q: bottleneck", "computed", 2.4),
    "p": Node(6.2, 1.7, r"$p(z \mid z_<)$", "computed", 1.9),
    "q": Node(6.2, 3.6, r"$q(z \mid z_<, x)$", "computed", 2.2),
    "KL": Node(6.2, 2.65, "KL", "computed", 1.0),
    "z": Node(8.6, 2.65, "$z$"),
    "W": Node(10.4, 2.65, "W: 1×1", "computed", 1.5),
    "add h": Node(3.2, 0, "+", "latent", 0.6),
    "add z": Node(10.4, 0, "+", "latent", 0.6),
    "R": Node(12.7, 0, "R: bottleneck", "computed", 2.4),
    "out": Node(15.0, 0, "$s'$", "computed", 0.9),
}
_BLOCK_ARROWS = [
    *(
        Arrow.between(pair, INK)
        for pair in (
            "stream > add h",
            "stream > P",
            "P > p",
            "add h > add z",
            "z > W",
            "W > add z",
            "add z > R",
            "R > out",
        )
    ),
    *(Arrow.between(pair, _INFERS) for pair in ("stream > Q", "evidence > Q", "Q > q", "q > z")),
    *(Arrow.between(pair, COLOURS["vermilion"]) for pair in ("q > KL", "p > KL")),
    Arrow("P", "add h", INK, label="$h$"),
    Arrow("p", "z", INK, dashed=True),
]
