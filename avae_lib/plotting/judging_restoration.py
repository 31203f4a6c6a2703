"""Pictures of lecture 07 on restored images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from avae_lib.plotting.images import mosaic
from avae_lib.plotting.style import INK, Numbers, blank, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["objective_per_step", "restorations"]


@styled
def objective_per_step(panels: Mapping[str, Mapping[str, Numbers]]) -> Figure:
    """What alternation does to its objective: change since the first step, one panel for each model.

    Args:
        panels: title → name of a problem → objective after each step, nats.

    >>> figure = objective_per_step({"hierarchy": {"inpainting": [900.0, 700.0, 650.0]}})
    >>> [axes.get_title("left") for axes in figure.axes]
    ['hierarchy']
    """
    figure, all_axes = new_figure(7.2, 3.2, ncols=len(panels), squeeze=False)
    names = dict.fromkeys(name for problems in panels.values() for name in problems)
    style_of, drawn = dict(zip(names, line_styles(), strict=False)), {}
    for axes, (title, problems) in zip(all_axes[0], panels.items(), strict=True):
        for name, values in problems.items():
            values = np.asarray(values, dtype=float)
            (drawn[name],) = axes.plot(np.arange(1, len(values) + 1), values - values[0], label=name, **style_of[name])
        axes.set(title=title, xlabel="step")
    figure.legend(drawn.values(), drawn, loc="outside lower center", ncols=len(drawn))
    all_axes[0, 0].set_ylabel("objective J since step 1 (nats)")
    return figure


@styled
def restorations(problems: Mapping[str, Mapping[str, Tensor]], bits: int = 8) -> Figure:
    """Restored images beside what was observed: a block of columns for each problem, a row for each method.

    Args:
        problems: title → label of a row → images ``(N, C, H, W)``, the same labels and N everywhere.
        bits: bits per pixel value.

    >>> images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    >>> len(restorations({"inpainting": {"observed": images, "restored": images}}).axes)
    1
    """
    labels = list(next(iter(problems.values())))
    if any(list(rows) != labels for rows in problems.values()):
        raise ValueError(f"all problems must have the same rows, {labels}, got {[list(r) for r in problems.values()]}")
    columns = sum(len(rows[labels[0]]) for rows in problems.values())
    figure, all_axes = new_figure(
        7.2, 6.2 / columns * len(labels) + 0.4, layout="compressed", ncols=len(problems), squeeze=False
    )
    for axes, (title, rows) in zip(all_axes[0], problems.items(), strict=True):
        first = next(iter(rows.values()))
        pictures = torch.cat([images.detach().cpu().float() for images in rows.values()])
        blank(axes).imshow(mosaic(pictures, bits, len(first)), interpolation="nearest")
        axes.set_title(title)
    pitch = first.shape[2] + 1  # an image and the gap below it
    all_axes[0, 0].set_yticks([pitch * (row + 0.5) - 1 for row in range(len(labels))], labels, color=INK)
    all_axes[0, 0].tick_params(axis="y", length=0)
    return figure
