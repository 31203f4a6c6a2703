"""Compare the attentive hierarchy with its local twin: one table, one picture.

    avae train digits-attentive && avae train digits-local
    avae evaluate runs/digits-attentive --importance-samples 100
    avae evaluate runs/digits-local --importance-samples 100
    python experiments/digits_twins/compare.py

Keeps each run's config.json and evaluation.json beside this file, and writes twins.png.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure

from avae_lib import data
from avae_lib.evaluation import Evaluation, bits_per_dim, measuring
from avae_lib.plotting.images import mosaic
from avae_lib.plotting.style import SERIES, blank, new_figure, styled
from avae_lib.training.runs import load_run

HERE = Path(__file__).parent
TWINS = ("digits-attentive", "digits-local")


def main(runs: Path = Path("runs")) -> None:
    """Compare the two runs in a folder.

    Args:
        runs: Folder that holds digits-attentive and digits-local.
    """
    evaluations = {}
    for name in TWINS:
        for file in ("config.json", "evaluation.json"):
            shutil.copyfile(runs / name / file, HERE / f"{name}.{file}")
        evaluations[name] = Evaluation.from_json(json.loads((runs / name / "evaluation.json").read_text()))
    print(f"independent pixels: {independent_pixels_bpd():.3f} bits/dim\n")
    for name, evaluation in evaluations.items():
        print(f"{name}\n{evaluation.table()}\n")
    picture(runs, evaluations).savefig(HERE / "twins.png", dpi=110)


def independent_pixels_bpd() -> float:
    """Test bits per dimension of a histogram for each pixel, with one pseudo-count for each level."""
    digits = data.load("digits")
    levels = 2**digits.bits
    counts = torch.nn.functional.one_hot(digits.train.long(), levels).sum(0) + 1
    log_probs = (counts / counts.sum(-1, keepdim=True)).log()
    shape = (len(digits.test), *log_probs.shape)
    of_test = log_probs.expand(shape).gather(-1, digits.test.long().unsqueeze(-1))
    nats = -of_test.flatten(1).sum(1).mean().item()
    return bits_per_dim(nats, math.prod(digits.test.shape[1:]))


@styled
def picture(runs: Path, evaluations: dict[str, Evaluation]) -> Figure:
    """Samples of both, and the KL of their layers."""
    figure, axes = new_figure(9, 3, ncols=3, width_ratios=(1, 1, 1.4))
    for panel, name in zip(axes, TWINS, strict=False):
        model, _ = load_run(runs / name)
        with measuring(model, seed=0):
            panel.imshow(mosaic(model.sample(64), model.bits), interpolation="nearest")
        bpd = evaluations[name].negative_log_likelihood.in_bits_per_dim(model.num_dims)
        panel.set_title(f"{name.removeprefix('digits-')}: {bpd} bits/dim", fontsize=9)
        blank(panel)
    for number, (name, evaluation) in enumerate(evaluations.items()):
        kl = [estimate.mean for estimate in evaluation.kl]
        axes[2].bar(np.arange(1, len(kl) + 1) + 0.4 * number - 0.2, kl, 0.38, label=name, color=SERIES[number])
    axes[2].set(xlabel="stochastic layer (1 = top)", ylabel="KL (nats per image)")
    axes[2].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    tyro.cli(main)
