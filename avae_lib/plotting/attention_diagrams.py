"""Diagrams of attention in a hierarchy: what a query can look at, and a local layer beside an attentive one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from avae_lib.plotting.diagrams import Arrow, Node, draw_diagram
from avae_lib.plotting.style import COLOURS, GREY, INK, blank, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["attentive_model", "layers_side_by_side", "sequences_over_depth_and_space"]

_SIDE, _MAPS = 4, 4  # pixels along an edge of a drawn feature map, and maps in a stack
_RISE, _SHEAR, _FLATTEN = 1.35, 0.55, 0.42  # of the oblique view
_QUERY = (1, 2)  # row and column of the pixel that looks


@styled
def sequences_over_depth_and_space() -> Figure:
    r"""The same stack of feature maps three times: all keys of a query, one pixel of each map, one whole map.

    >>> [axes.get_title("left").partition("\n")[0] for axes in sequences_over_depth_and_space().axes]
    ['full attention:', 'over depth:', 'over space:']
    """
    figure, panels = new_figure(7.0, 3.5, ncols=3)
    _draw_stack(panels[0], lambda layer, pixel: True, "full attention:\nall pixels of all layers")
    _draw_stack(panels[1], lambda layer, pixel: pixel == _QUERY, "over depth:\none pixel of each layer")
    _draw_stack(panels[2], lambda layer, pixel: layer == _MAPS - 1, "over space:\nall pixels of one layer")
    return figure


@styled
def layers_side_by_side() -> Figure:
    """A layer that sees the layer above it, and one that also looks at all contexts above and all evidence below.

    >>> [axes.get_title("left") for axes in layers_side_by_side().axes]
    ['local layer', 'attentive layer']
    """
    spans = ((0.1, 6.1), (-2.75, 8.75))  # of both panels, on one scale
    widths = [right - left for left, right in spans]
    figure, panels = new_figure(7.2, 4.2, ncols=2, gridspec_kw={"width_ratios": widths, "wspace": 0.02})
    draw_diagram(panels[0], _LOCAL_NODES, _LOCAL_ARROWS, "local layer")
    draw_diagram(panels[1], _ATTENTIVE_NODES, _ATTENTIVE_ARROWS, "attentive layer")
    for axes, span in zip(panels, spans, strict=True):
        axes.set(xlim=span, ylim=(-2.0, 7.2))
    return figure


@styled
def attentive_model(layers: int = 3) -> Figure:
    """A whole model: evidence going up on the left, layers going down on the right, and who looks at whom.

    >>> len(attentive_model(layers=2).axes)
    1
    """
    figure, axes = new_figure(5.6, 0.9 + 0.75 * (layers + 2))
    level = {index: 1.4 * (layers + 1 - index) for index in range(1, layers + 2)}
    nodes = {f"e{index}": Node(0, level[index], f"$e_{{{index}}}$", "computed", 1.0) for index in level}
    nodes |= {f"l{index}": Node(5, level[index], f"layer {index}: $z_{{{index}}}$", "computed", 2.4) for index in level}
    nodes[f"l{layers + 1}"] = Node(5, 0, "readout", "computed", 2.4)
    nodes |= {"x": Node(0, -1.5, "$x$", "observed"), "image": Node(5, -1.5, r"$p(x \mid z)$", "computed", 1.8)}
    nodes["top"] = Node(5, level[1] + 1.3, "learned constant", "computed", 2.9)
    draw_diagram(axes, nodes, _model_arrows(layers))
    for index in range(2, layers + 1):
        for above in range(1, index):
            _draw_look_upwards(axes, level[index] + 0.1, level[above] - 0.1)
    axes.set_xlim(-1.2, 7.6)
    return figure


def _model_arrows(layers: int) -> list[Arrow]:
    """Arrows upwards, downwards and across to each layer's own evidence in black; those of attention in colour."""
    numbers = range(1, layers + 1)
    arrows = _arrows(INK, "top > l1", f"x > e{layers + 1}", f"l{layers + 1} > image")
    arrows += [Arrow(f"e{index + 1}", f"e{index}", INK) for index in numbers]
    arrows += [Arrow(f"l{index}", f"l{index + 1}", INK) for index in numbers]
    arrows += [Arrow(f"e{index}", f"l{index}", INK) for index in numbers]
    arrows += [Arrow(f"e{below}", f"l{index}", _LOOKS) for index in numbers for below in range(index + 1, layers + 2)]
    return arrows


def _draw_look_upwards(axes: Axes, own_height: float, height_above: float) -> None:
    """An arrow from a context to the layer below that attends to it, around the right edges of their boxes."""
    edge = 6.25
    style = {"arrowstyle": "-|>", "color": _LOOKS, "linewidth": 1.3, "connectionstyle": "arc3,rad=-0.5"}
    axes.annotate("", xy=(edge, own_height), xytext=(edge, height_above), arrowprops=style)


def _draw_stack(axes: Axes, is_looked_at: Callable[[int, tuple[int, int]], bool], title: str) -> None:
    """Feature maps c_1 … c_{l−1} from top to bottom, and the pixel of layer l that looks at the coloured ones."""
    blank(axes).set_aspect("equal")
    for layer in range(_MAPS):
        height = (_MAPS - layer) * _RISE
        for row in range(_SIDE):
            for column in range(_SIDE):
                looked_at = is_looked_at(layer, (row, column))
                _draw_pixel(axes, row, column, height, COLOURS["sky"] if looked_at else "white")
        label = "c_{l-1}" if layer == _MAPS - 1 else f"c_{{{layer + 1}}}"
        axes.text(-0.4, height + 0.5, f"${label}$", ha="right", va="center")
    _draw_pixel(axes, *_QUERY, 0.0, COLOURS["vermilion"])
    axes.text(-0.4, 0.5, "$s_l$", ha="right", va="center")
    axes.set_title(title)
    axes.autoscale_view()


def _draw_pixel(axes: Axes, row: int, column: int, height: float, colour: str) -> None:
    from matplotlib.patches import Polygon

    corners = [(column + dx, row + dy) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))]
    oblique = [(x + _SHEAR * y, height + _FLATTEN * y) for x, y in corners]
    axes.add_patch(Polygon(oblique, closed=True, facecolor=colour, edgecolor=GREY, linewidth=0.6))


_LOCAL_NODES = {
    "c above": Node(3.4, 6.6, "$c_{l-1}$", "computed", 1.1),
    "z above": Node(5.0, 6.6, "$z_{l-1}$"),
    "T": Node(4.2, 5.3, "$T_l$", "computed", 1.0),
    "c": Node(4.2, 4.0, "$c_l$", "computed", 0.9),
    "e": Node(1.5, 4.0, "$e_l$", "computed", 0.9),
    "merge": Node(1.5, 2.3, "merge", "computed", 1.5),
    "q": Node(1.5, 0.4, r"$q(z_l \mid z_{<l}, x)$", "computed", 2.6),
    "p": Node(4.8, 0.4, r"$p(z_l \mid z_{<l})$", "computed", 2.2),
    "z": Node(3.1, -1.3, "$z_l$"),
}
_ATTENTIVE_NODES = _LOCAL_NODES | {
    "c1": Node(8.0, 6.6, "$c_1$", "computed", 0.9),
    "c2": Node(8.0, 5.5, "$c_2$", "computed", 0.9),
    "c last": Node(8.0, 4.4, "$c_{l-1}$", "computed", 1.1),
    "A": Node(6.0, 4.6, "A", "noise", 0.9),
    "augmented": Node(4.8, 2.3, r"$\hat c_l$", "computed", 0.9),
    "A'": Node(-0.4, 1.6, "A'", "noise", 0.9),
    "e below": Node(-2.0, 4.0, "$e_{l+1}$", "computed", 1.1),
    "e last": Node(-2.0, 2.6, "$e_{L+1}$", "computed", 1.1),
}


def _arrows(colour: str, *pairs: str) -> list[Arrow]:
    """Arrows between pairs of nodes, each pair written ``"start > end"``."""
    return [Arrow.between(pair, colour) for pair in pairs]


_LOOKS = COLOURS["vermilion"]
_DRAWN_WITHOUT_IMAGE = Arrow("p", "z", INK, dashed=True)
_IN_BOTH = _arrows(INK, "c above > T", "z above > T", "T > c", "e > merge", "merge > q", "p > q", "q > z")
_LOCAL_ARROWS = [*_IN_BOTH, *_arrows(INK, "c > merge", "c > p"), _DRAWN_WITHOUT_IMAGE]
_ATTENTIVE_ARROWS = [
    *_IN_BOTH,
    *_arrows(INK, "c > augmented", "augmented > merge", "augmented > p"),
    *_arrows(_LOOKS, "c > A", "c1 > A", "c2 > A", "c last > A", "A > augmented"),
    *_arrows(_LOOKS, "merge > A'", "e below > A'", "e last > A'", "A' > q"),
    _DRAWN_WITHOUT_IMAGE,
]
