"""Loss against stochastic depth at equal parameters, as in table 1 of the Very Deep VAE paper.

    python experiments/stochastic_depth/run.py

All arms have the same blocks and the same trainable weights. Blocks of a group draw their latents in parallel, given
what is above the group; the fewer groups, the shorter the chain of latents that depend on one another.
"""

from __future__ import annotations

import math
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import very_deep
from ablation import Arm, Study, command
from ablation_pictures import loss_against

GROUP_SIZES = {"small": (12, 4, 2, 1), "full": (16, 8, 4, 2, 1)}


def study(scale: str) -> Study:
    """The study at one scale."""
    blocks = sum(very_deep.BLOCKS[scale].values())
    return Study(
        name="stochastic_depth",
        question="How does the bound change with the number of latents in a chain, at equal parameters?",
        data=very_deep.DATA[scale],
        training=very_deep.TRAINING[scale],
        arms=tuple(_arm(scale, math.ceil(blocks / group_size), group_size) for group_size in GROUP_SIZES[scale]),
    )


def _arm(scale: str, depth: int, group_size: int) -> Arm:
    factors = {"stochastic_depth": depth, "group_size": group_size}
    return Arm(f"depth {depth}", factors, very_deep.model(scale, group_size=group_size))


if __name__ == "__main__":
    studies = {scale: partial(study, scale) for scale in ("small", "full")}
    command(studies, partial(loss_against, factor="stochastic_depth", label="stochastic depth"))
