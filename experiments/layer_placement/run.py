"""The same number of blocks, placed differently over the resolutions, as in table 2 of the Very Deep VAE paper.

python experiments/layer_placement/run.py
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import very_deep
from ablation import Arm, Study, command
from ablation_pictures import loss_of_arms

PLACEMENTS = {
    "small": {
        "most at 4 and 8": {1: 2, 4: 4, 8: 4, 16: 1, 32: 1},
        "spread evenly": {1: 2, 4: 3, 8: 3, 16: 2, 32: 2},
        "most at 16 and 32": {1: 1, 4: 2, 8: 2, 16: 3, 32: 4},
    },
    "full": {
        "10/10/10/10/8": {32: 10, 16: 10, 8: 10, 4: 10, 1: 8},
        "12/12/10/8/6": {32: 12, 16: 12, 8: 10, 4: 8, 1: 6},
        "14/14/10/6/4": {32: 14, 16: 14, 8: 10, 4: 6, 1: 4},
        "16/16/10/4/2": {32: 16, 16: 16, 8: 10, 4: 4, 1: 2},
    },
}
"""Blocks at each resolution; those of ``full`` are the published ones."""


def study(scale: str) -> Study:
    """The study at one scale."""
    return Study(
        name="layer_placement",
        question="At which resolutions do the blocks of a hierarchy do most for the bound?",
        data=very_deep.DATA[scale],
        training=very_deep.TRAINING[scale],
        arms=tuple(
            Arm(label, {"blocks": {str(at): count for at, count in blocks.items()}}, very_deep.model(scale, blocks))
            for label, blocks in PLACEMENTS[scale].items()
        ),
    )


if __name__ == "__main__":
    command({scale: partial(study, scale) for scale in ("small", "full")}, loss_of_arms)
