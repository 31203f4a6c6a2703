"""Cumulative KL per layer: with residual blocks, without them, and with learned upsampling.

python experiments/upsampling_and_residuals/run.py
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import very_deep
from ablation import Arm, Study, command
from ablation_pictures import cumulative_kl

ARMS = {
    "residual": {"residual_block": True, "upsampling": "nearest"},
    "no residual": {"residual_block": False, "upsampling": "nearest"},
    "learned upsampling": {"residual_block": True, "upsampling": "learned"},
}


def study(scale: str) -> Study:
    """The study at one scale."""
    return Study(
        name="upsampling_and_residuals",
        question="Which layers carry the information with and without residual blocks, and when upsampling is learned?",
        data=very_deep.DATA[scale],
        training=very_deep.TRAINING[scale],
        arms=tuple(Arm(label, factors, very_deep.model(scale, **factors)) for label, factors in ARMS.items()),
    )


if __name__ == "__main__":
    command({scale: partial(study, scale) for scale in ("small", "full")}, cumulative_kl)
