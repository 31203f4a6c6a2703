"""Graphs of unit 02: families of q as graphs with edges removed, messages between spins, the plates of topic models."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from avae_lib.plotting.diagrams import Arrow, Node, draw_diagram
from avae_lib.plotting.style import COLOURS, GREY, INK, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["belief_messages", "factorised_families", "topic_model_plates"]

_SIDE = 3
_STEP = 1.15
Edge = tuple[tuple[int, int], tuple[int, int]]


@styled
def factorised_families() -> Figure:
    """A grid of nine spins, drawn three times: coupled as in p, without edges (mean field), with only the rows.

    >>> [axes.get_title("left") for axes in factorised_families().axes]
    ['$p$: all neighbours coupled', 'mean field: no edge left', 'structured: one chain per row']
    """
    figure, panels = new_figure(6.9, 2.5, ncols=3)
    every, rows = _grid_edges(), [edge for edge in _grid_edges() if edge[0][0] == edge[1][0]]
    titles = ("$p$: all neighbours coupled", "mean field: no edge left", "structured: one chain per row")
    for axes, kept, title in zip(panels, (every, [], rows), titles, strict=True):
        _draw_spins(axes, every, kept, title)
    return figure


def _grid_edges() -> list[Edge]:
    cells = list(product(range(_SIDE), repeat=2))
    right = [((row, column), (row, column + 1)) for row, column in cells if column + 1 < _SIDE]
    return right + [((row, column), (row + 1, column)) for row, column in cells if row + 1 < _SIDE]


def _draw_spins(axes: Axes, every: Iterable[Edge], kept: Iterable[Edge], title: str) -> None:
    kept = set(kept)
    for edge in every:
        look = {"color": INK, "linewidth": 1.6} if edge in kept else {"color": GREY, "linewidth": 0.9, "linestyle": ":"}
        axes.plot(*zip(*[(_STEP * column, -_STEP * row) for row, column in edge], strict=True), zorder=0, **look)
    cells = product(range(_SIDE), repeat=2)
    nodes = {
        str(number): Node(_STEP * column, -_STEP * row, f"$s_{number + 1}$")
        for number, (row, column) in enumerate(cells)
    }
    draw_diagram(axes, nodes, [], title)


@styled
def belief_messages() -> Figure:
    """Messages on a tree, collected towards one spin, and on a loop, where they come back to their sender.

    >>> [axes.get_title("left") for axes in belief_messages().axes]
    ['tree: each message sums out all behind it', 'loop: $s$ hears its own echo']
    """
    figure, (tree, loop) = new_figure(6.9, 2.6, ncols=2, width_ratios=(1.5, 1))
    blue = COLOURS["blue"]
    nodes = {
        "a": Node(0, 0.75, "$a$"),
        "b": Node(0, -0.75, "$b$"),
        "t": Node(1.9, 0, "$t$"),
        "s": Node(3.8, 0, "$s$"),
        "c": Node(5.7, 0, "$c$"),
    }
    red = COLOURS["vermilion"]
    arrows = [Arrow("a", "t", blue), Arrow("b", "t", blue), Arrow("t", "s", red), Arrow("c", "s", blue)]
    draw_diagram(tree, nodes, arrows, "tree: each message sums out all behind it")
    labels = [(1.05, 0.75, "$u_{a\\to t}$"), (1.05, -0.75, "$u_{b\\to t}$"), (4.75, 0.3, "$u_{c\\to s}$")]
    for x, y, label in labels:
        tree.text(x, y, label, ha="center", va="center", color=blue)
    tree.text(2.85, 0.3, "$u_{t\\to s}$", ha="center", va="center", color=red)
    corners = {"s": Node(0, 1.5, "$s$"), "t": Node(1.7, 1.5, "$t$"), "b": Node(1.7, 0, "$b$"), "a": Node(0, 0, "$a$")}
    around = [
        Arrow("s", "t", blue),
        Arrow("t", "b", blue),
        Arrow("b", "a", blue),
        Arrow("a", "s", COLOURS["vermilion"]),
    ]
    draw_diagram(loop, corners, around, "loop: $s$ hears its own echo")
    loop.set(xlim=(-0.9, 2.6), ylim=(-0.5, 2.0))
    return figure


@styled
def topic_model_plates() -> Figure:
    """Plate diagrams of latent Dirichlet allocation: the model on the left, the mean-field family on the right.

    >>> [axes.get_title("left") for axes in topic_model_plates().axes]
    ['the model $p$', 'the family $q$: edges removed']
    """
    figure, (model, family) = new_figure(7.2, 2.9, ncols=2, width_ratios=(1.3, 1))
    _draw_topic_model(model)
    _draw_topic_family(family)
    return figure


def _draw_topic_model(axes: Axes) -> None:
    nodes = {
        "α": Node(-1.6, 0, r"$\alpha$", "parameter"),
        "θ": Node(0, 0, r"$\theta_d$"),
        "z": Node(1.6, 0, "$z_{dn}$"),
        "w": Node(3.0, 0, "$w_{dn}$", "observed"),
        "β": Node(3.0, 1.9, r"$\beta_k$"),
        "η": Node(1.2, 1.9, r"$\eta$", "parameter"),
    }
    arrows = [Arrow.between(pair, INK) for pair in ("α θ", "θ z", "z w", "β w", "η β")]
    draw_diagram(axes, nodes, arrows, r"the model $p$")
    _draw_plate(axes, (0.95, -0.85, 2.75, 1.5), "words $N_d$")
    _draw_plate(axes, (-0.7, -1.45, 4.6, 2.3), "documents $D$")
    _draw_plate(axes, (2.3, 1.2, 1.9, 1.35), "topics $K$")


def _draw_topic_family(axes: Axes) -> None:
    nodes = {
        "γ": Node(0, 1.35, r"$\gamma_d$", "parameter"),
        "θ": Node(0, 0, r"$\theta_d$"),
        "φ": Node(1.6, 1.35, r"$\varphi_{dn}$", "parameter"),
        "z": Node(1.6, 0, "$z_{dn}$"),
        "λ": Node(3.6, 1.35, r"$\lambda_k$", "parameter"),
        "β": Node(3.6, 0, r"$\beta_k$"),
    }
    arrows = [Arrow.between(pair, COLOURS["blue"], dashed=True) for pair in ("γ θ", "φ z", "λ β")]
    draw_diagram(axes, nodes, arrows, r"the family $q$: edges removed")
    _draw_plate(axes, (0.95, -0.85, 1.3, 2.7), "$N_d$")
    _draw_plate(axes, (-0.7, -1.45, 3.15, 3.5), "$D$")
    _draw_plate(axes, (2.9, -0.85, 1.4, 2.7), "$K$")


def _draw_plate(axes: Axes, box: tuple[float, float, float, float], label: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, bottom, width, height = box
    look = {"boxstyle": "round,pad=0,rounding_size=0.15", "facecolor": "none", "edgecolor": GREY, "linewidth": 0.9}
    axes.add_patch(FancyBboxPatch((left, bottom), width, height, **look))
    axes.text(left + width - 0.1, bottom + 0.1, label, ha="right", va="bottom", color=GREY)
    axes.autoscale_view()
