"""Pictures of lecture 07 on restored images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["objective_per_step"]


@styled
def objective_per_step(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """What alternation does to its objective: change since the first step, one panel for each model.

    Args:
        panels: title → name of a problem → objective after each step, nats.
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
