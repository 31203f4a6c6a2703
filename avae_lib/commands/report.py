"""``avae report``."""

from __future__ import annotations

from typing import Annotated

import tyro
from tyro.conf import Positional

from avae_lib.commands.run_argument import Device, Run
from avae_lib.errors import InvalidInput

__all__ = ["report"]


def report(
    run: Positional[Run],
    importance_samples: int = 64,
    images: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Write the page report.html of a run again: numbers, learning curves, use of each layer, samples.

    avae train writes it at the end. This command also writes it for a run that is unfinished, was killed or imported,
    as soon as there are weights. The model is evaluated on validation images.

    Args:
        importance_samples: Number of posterior samples per image or sentence, for the estimate of the likelihood.
        images: Number of validation images or sentences to evaluate on; by default as many as during training.
        seed: Seed for sampling.
        device: Where to compute: auto (a GPU if there is one), cpu, cuda, …
    """
    from avae_lib.report import write_report

    if importance_samples < 1 or (images is not None and images < 1):
        raise InvalidInput(f"importance_samples and images must be at least 1, got {importance_samples} and {images}")
    print(write_report(run, importance_samples, images, seed, progress=True, device=device))
