"""Time a training step, local against attentive, and the overhead of the components' seam.

    python benchmarks/training_step.py

Times are medians on one machine; compare them with each other, not with those of another machine.
"""

import platform

import torch
from torch.utils.benchmark import Measurement, Timer

from avae_lib import components
from avae_lib.objectives import negative_elbo
from avae_lib.presets import PRESETS
from avae_lib.training.textbook_training import vae_training_step

BATCH = 64


def step_time(name: str) -> Measurement:
    """A training step of a preset's model on random pixels."""
    model = PRESETS[name].model.build()
    optimizer = torch.optim.Adamax(model.parameters())
    x = torch.randint(2**model.bits, (BATCH, *model.image_shape), dtype=torch.uint8)
    return timed("step(model, optimizer, x)", step=vae_training_step, model=model, optimizer=optimizer, x=x)


def timed(statement: str, **names) -> Measurement:
    threads = torch.get_num_threads()
    return Timer(statement, globals=names, num_threads=threads).blocked_autorange(min_run_time=3)


def main() -> None:
    steps = {name: step_time(name) for name in ("digits-local", "digits-attentive")}
    terms = {"log_likelihood": torch.randn(BATCH), "kl": torch.randn(BATCH, 6)}
    statement = "loss(log_likelihood, kl)"
    seam = timed(statement, loss=negative_elbo, **terms)
    direct = timed(statement, loss=components.implementation("negative_elbo"), **terms)

    local, attentive = (steps[name].median for name in ("digits-local", "digits-attentive"))
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads, batch {BATCH}")
    print(f"{'':36}{'milliseconds':>14}{'ratio':>8}")
    print(f"{'training step, digits-local':36}{1e3 * local:14.2f}{1:8.2f}")
    print(f"{'training step, digits-attentive':36}{1e3 * attentive:14.2f}{attentive / local:8.2f}")
    print(f"{'negative_elbo called directly':36}{1e3 * direct.median:14.5f}{1:8.2f}")
    print(f"{'negative_elbo through the seam':36}{1e3 * seam.median:14.5f}{seam.median / direct.median:8.2f}")
    print(f"one crossing of the seam is {(seam.median - direct.median) / attentive:.1e} of a training step")


if __name__ == "__main__":
    main()
