"""A diagram of the two places where inference meets a sum that it cannot do."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from avae_lib.plotting.diagrams import Arrow, Node, draw_diagram
from avae_lib.plotting.style import INK, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["intractable_posteriors"]

_SIDE = 3


@styled
def intractable_posteriors() -> Figure:
    """A directed model whose causes are coupled by what they explain, and an undirected one, a grid of spins.

    >>> len(intractable_posteriors().axes)
    2
    """
    figure, (directed, undirected) = new_figure(6.4, 2.7, ncols=2)
    causes = {f"z{k}": Node(1.3 * k, 1.5, f"$z_{k + 1}$") for k in range(3)}
    nodes = causes | {"x": Node(1.3, 0, "$x$", "observed")}
    draw_diagram(directed, nodes, [Arrow(name, "x", INK) for name in causes], r"directed: $p(x, z)$, unknown $p(x)$")
    _draw_grid(undirected)
    return figure


def _draw_grid(axes: Axes) -> None:
    places = {(row, column): (1.1 * column, -1.1 * row) for row, column in product(range(_SIDE), repeat=2)}
    for row, column in places:
        for neighbour in ((row + 1, column), (row, column + 1)):
            if neighbour in places:
                axes.plot(*zip(places[row, column], places[neighbour], strict=True), color=INK, zorder=0)
    nodes = {str(number): Node(*place, f"$s_{number + 1}$") for number, place in enumerate(places.values())}
    draw_diagram(axes, nodes, [], r"undirected: $\tilde p(s)$, unknown $Z$")
