"""KL of each layer during training, local against attentive, at one depth.

    AVAE_DATA=… python experiments/kl_per_layer_training/run.py

The runs are those of ``experiments/depth_local_attentive`` at this depth; they are trained if they do not exist yet.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ablation import Study, command
from ablation_pictures import kl_during_training
from depth_local_attentive.run import DATA, TRAINING, arm

LAYERS = 8


def study(scale: str) -> Study:
    """The study at one scale."""
    return Study(
        name="kl_per_layer_training",
        question="When do the layers of a local and of an attentive model begin to carry information, and how much?",
        data=DATA[scale],
        training=TRAINING[scale],
        arms=tuple(arm(scale, conditioning, LAYERS) for conditioning in ("local", "attentive")),
        runs_of="depth_local_attentive",
    )


if __name__ == "__main__":
    command({scale: partial(study, scale) for scale in ("small", "full")}, kl_during_training)
