"""Diagrams of circles, boxes and arrows: graphical models, networks, and the paths that gradients take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avae_lib.plotting.style import COLOURS, GREY, INK, RULE, blank, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Arrow", "Node", "draw_diagram", "reparameterization_paths", "vae_graphical_model", "vae_network"]

_RADIUS = 0.34
_FILL = {"latent": "white", "observed": RULE, "noise": "#fdf3d9", "computed": "#e8f1f8", "parameter": "none"}


@dataclass(frozen=True)
class Node:
    """A variable at a place: ``latent`` and ``observed`` and ``noise`` are circles, ``computed`` is a box, and a
    ``parameter`` stands free."""

    x: float
    y: float
    label: str
    kind: str = "latent"
    width: float = 1.0


@dataclass(frozen=True)
class Arrow:
    """An arrow between two named nodes."""

    start: str
    end: str
    colour: str = GREY
    dashed: bool = False
    bend: float = 0.0
    label: str = ""

    @classmethod
    def between(cls, pair: str, colour: str = GREY, dashed: bool = False) -> Arrow:
        """The arrow from the first to the second of two nodes, whose names are separated by a space or by " > ".

        >>> Arrow.between("evidence > q").end
        'q'
        """
        start, end = pair.split(" > ") if " > " in pair else pair.split()
        return cls(start, end, colour, dashed)


def draw_diagram(axes: Axes, nodes: Mapping[str, Node], arrows: Sequence[Arrow], title: str = "") -> None:
    """Draw nodes at their places and arrows between them; a circle is about two thirds of a unit wide.

    >>> from avae_lib.plotting.style import new_figure
    >>> figure, axes = new_figure()
    >>> nodes = {"z": Node(0, 1, "z", "latent"), "x": Node(0, 0, "x", "observed")}
    >>> draw_diagram(axes, nodes, [Arrow("z", "x")], title="p(x, z)")
    >>> axes.get_title()
    'p(x, z)'
    """
    blank(axes).set_aspect("equal")
    patches = {name: _node_patch(axes, node) for name, node in nodes.items()}
    for arrow in arrows:
        _draw_arrow(axes, nodes, patches, arrow)
    axes.set_title(title)
    axes.autoscale_view()
    axes.margins(0.06)


@styled
def vae_graphical_model() -> Figure:
    """Generative model and amortised posterior of a VAE, side by side, each inside the plate over N images.

    >>> len(vae_graphical_model().axes)
    2
    """
    figure, (generative, inference) = new_figure(5.6, 2.6, ncols=2)
    latent, image = Node(0, 1.6, "$z_n$"), Node(0, 0, "$x_n$", "observed")
    nodes = {"z": latent, "x": image}
    draw_diagram(
        generative,
        nodes | {"θ": Node(1.7, 0, r"$\theta$", "parameter")},
        [Arrow("z", "x", INK), Arrow("θ", "x", INK)],
        r"generation: $p(z)\,p_\theta(x\mid z)$",
    )
    draw_diagram(
        inference,
        nodes | {"φ": Node(1.7, 1.6, r"$\phi$", "parameter")},
        [Arrow("x", "z", COLOURS["blue"], dashed=True), Arrow("φ", "z", COLOURS["blue"], dashed=True)],
        r"inference: $q_\phi(z\mid x)$",
    )
    for axes in (generative, inference):
        _draw_plate(axes, (-0.75, -0.85, 1.5, 3.0), "N")
    return figure


@styled
def vae_network() -> Figure:
    """The VAE as one computation, from an image to the two terms of its loss.

    >>> len(vae_network().axes)
    1
    """
    figure, axes = new_figure(7.2, 2.4)
    loss = COLOURS["vermilion"]
    nodes = {
        "x": Node(0, 0, "$x$", "observed"),
        "encoder": Node(1.8, 0, "encoder", "computed", 1.7),
        "q": Node(4.0, 0, r"$\mu,\ \log\sigma$", "computed", 1.6),
        "z": Node(6.2, 0, r"$z = \mu+\sigma\epsilon$", "computed", 1.8),
        "noise": Node(6.2, 1.35, r"$\epsilon$", "noise"),
        "decoder": Node(8.4, 0, "decoder", "computed", 1.7),
        "logits": Node(10.3, 0, r"$\ell$", "computed", 0.8),
        "regulariser": Node(4.0, -1.5, r"$\mathrm{KL}(q\,\Vert\,p)$", "computed", 2.0),
        "sum": Node(7.0, -1.5, "loss", "computed", 1.2),
        "reconstruction": Node(10.3, -1.5, r"$-\log p_\theta(x\mid z)$", "computed", 2.5),
    }
    computed = ["x encoder", "encoder q", "q z", "noise z", "z decoder", "decoder logits"]
    of_loss = ["q regulariser", "logits reconstruction", "regulariser sum", "reconstruction sum"]
    arrows = [Arrow.between(pair, INK) for pair in computed] + [Arrow.between(pair, loss) for pair in of_loss]
    draw_diagram(axes, nodes, arrows)
    return figure


@styled
def reparameterization_paths() -> Figure:
    """Why the gradient does not pass through a sample, and how it does once the noise is an input.

    >>> [axes.get_title("left") for axes in reparameterization_paths().axes]
    ['drawn: the gradient stops at z', 'reparameterised: it reaches φ']
    """
    figure, (sampled, moved) = new_figure(6.6, 2.9, ncols=2, sharex=True)
    _draw_sampled_path(sampled)
    _draw_reparameterized_path(moved)
    for axes in (sampled, moved):
        axes.set_xlim(-2.1, 2.8)
    return figure


_ENDS = {"φ": Node(0, 0, r"$\phi$", "computed", 0.7), "loss": Node(0, 3.2, "loss $f(z)$", "computed", 1.5)}
_UPWARDS = (Arrow("φ", "z", INK), Arrow("z", "loss", INK))
_GRADIENT_AT_Z = Arrow("loss", "z", COLOURS["vermilion"], True, 0.45, r"$\nabla_z f$")


def _draw_sampled_path(axes: Axes) -> None:
    nodes = _ENDS | {"z": Node(0, 1.6, r"$z\sim q_\phi$", "latent", 1.3)}
    draw_diagram(axes, nodes, (*_UPWARDS, _GRADIENT_AT_Z), "drawn: the gradient stops at z")
    axes.text(-0.35, 0.72, "stops here", color=COLOURS["vermilion"], ha="right", va="center")
    axes.plot(-0.16, 0.72, marker="x", color=COLOURS["vermilion"], markersize=7, markeredgewidth=2)


def _draw_reparameterized_path(axes: Axes) -> None:
    nodes = _ENDS | {
        "z": Node(0, 1.6, r"$z=\mu_\phi+\sigma_\phi\epsilon$", "computed", 2.1),
        "ε": Node(2.2, 1.6, r"$\epsilon$", "noise"),
    }
    gradient_at_parameters = Arrow("z", "φ", COLOURS["vermilion"], True, 0.45, r"$\partial z/\partial\phi$")
    arrows = (*_UPWARDS, Arrow("ε", "z", INK), _GRADIENT_AT_Z, gradient_at_parameters)
    draw_diagram(axes, nodes, arrows, "reparameterised: it reaches φ")


def _node_patch(axes: Axes, node: Node):
    from matplotlib.patches import Circle, FancyBboxPatch

    look = {"facecolor": _FILL[node.kind], "edgecolor": "none" if node.kind == "parameter" else INK, "linewidth": 1.0}
    if node.kind == "computed":
        corner = (node.x - node.width / 2, node.y - _RADIUS)
        patch = FancyBboxPatch(corner, node.width, 2 * _RADIUS, boxstyle="round,pad=0,rounding_size=0.12", **look)
    else:
        radius = 0.2 if node.kind == "parameter" else max(_RADIUS, node.width * 0.4)
        patch = Circle((node.x, node.y), radius, **look)
    axes.text(node.x, node.y, node.label, ha="center", va="center", zorder=3)
    return axes.add_patch(patch)


def _draw_arrow(axes: Axes, nodes: Mapping[str, Node], patches: Mapping, arrow: Arrow) -> None:
    start, end = nodes[arrow.start], nodes[arrow.end]
    axes.annotate(
        "",
        xy=(end.x, end.y),
        xytext=(start.x, start.y),
        arrowprops={
            "arrowstyle": "-|>",
            "color": arrow.colour,
            "linestyle": "--" if arrow.dashed else "-",
            "linewidth": 1.3,
            "patchA": patches[arrow.start],
            "patchB": patches[arrow.end],
            "shrinkA": 2,
            "shrinkB": 2,
            "connectionstyle": f"arc3,rad={arrow.bend}",
        },
    )
    if arrow.label:
        offset = arrow.bend * abs(end.y - start.y)
        place = ((start.x + end.x) / 2 - offset - 0.15, (start.y + end.y) / 2)
        axes.text(*place, arrow.label, color=arrow.colour, ha="right", va="center")


def _draw_plate(axes: Axes, box: tuple[float, float, float, float], label: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, bottom, width, height = box
    style = "round,pad=0,rounding_size=0.15"
    axes.add_patch(
        FancyBboxPatch((left, bottom), width, height, boxstyle=style, facecolor="none", edgecolor=GREY, linewidth=0.9)
    )
    axes.text(left + width - 0.12, bottom + 0.1, f"${label}$", ha="right", va="bottom", color=GREY)
