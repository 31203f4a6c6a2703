"""Pictures of assignment 07: what somebody claims beside what one measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import COLOURS, GREY, Numbers, Table, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["claims_against_draws", "images_of_batches"]


@styled
def claims_against_draws(samples: Sequence[int], bits: Mapping[str, Numbers], claims: Mapping[str, float]) -> Figure:
    """Bits per dimension against the number of importance samples, and each claim as a dotted line of its own.

    Args:
        samples: the numbers of importance samples.
        bits: name → bits per dimension for each of these numbers.
        claims: name → the bits per dimension that are claimed for it.

    >>> (axes,) = claims_against_draws([1, 10], {"model A": [4.1, 4.0]}, claims={"model A": 3.9}).axes
    >>> axes.get_xlabel()
    'importance samples'
    """
    figure, axes = new_figure(6.4, 3.4)
    for (name, values), line in zip(bits.items(), line_styles(), strict=False):
        axes.plot(samples, values, marker="o", label=f"{name}, measured", **line)
        dotted = {"color": line["color"], "linestyle": ":", "linewidth": 1.2}
        axes.axhline(claims[name], label=f"{name}, claimed", **dotted)
    axes.set_xscale("log")
    axes.set_xticks(list(samples), [f"{k}" for k in samples])
    axes.set(xlabel="importance samples", ylabel="bits per dimension")
    figure.legend(loc="outside lower center", ncols=2 * len(bits))
    return figure


@styled
def images_of_batches(images: Table, claims: Numbers) -> Figure:
    """A number for each image, batch by batch, with the mean of each batch and the number claimed for it.

    Args:
        images: for each batch −log p(x) of its images, nats.
        claims: the number claimed for each batch, nats.

    >>> (axes,) = images_of_batches([[90.0, 95.0], [88.0, 91.0]], claims=[92.0, 80.0]).axes
    >>> axes.get_ylabel()
    '−log p(x)  (nats)'
    """
    figure, axes = new_figure(6.8, 3.4)
    places = np.arange(1, len(claims) + 1)
    for place, batch in zip(places, images, strict=True):
        label = "one image" if place == 1 else None
        axes.plot([place] * len(batch), list(batch), "o", color=GREY, markersize=4, label=label)
    means = [float(np.mean(batch)) for batch in images]
    axes.plot(places, means, "_", color=COLOURS["blue"], markersize=18, markeredgewidth=2, label="mean of the batch")
    ring = {"markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.5, "color": COLOURS["vermilion"]}
    axes.plot(places, list(claims), "o", **ring, label="claimed for the batch")
    axes.set(xlabel="batch", ylabel="−log p(x)  (nats)", xticks=places)
    figure.legend(loc="outside lower center", ncols=3)
    return figure
