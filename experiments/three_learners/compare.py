"""AEVB, wake-sleep and Monte Carlo EM on few digits: log p(x), integrated over a grid, against computation.

    python experiments/three_learners/compare.py

Writes avae_lib/data/records/three_learners.json, which lecture 03 reads, and three_learners.png beside this file.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from avae_lib import data, plotting
from avae_lib.training.wake_sleep_and_em import PosteriorChains, sleep_loss, wake_loss

RECORD = Path(data.__file__).parent / "records/three_learners.json"
LATENT, HIDDEN, BATCH = 3, 100, 50
LEAPFROGS, UPDATES_PER_MOVE = 10, 5  # as in Kingma and Welling (2014), appendix E
BUDGET = 12_000  # passes of a batch through one network, forwards or backwards
CHECKPOINTS = tuple(round(BUDGET * 2.0**-power) for power in range(7, -1, -1))
STEP_SIZES = (0.001, 0.003, 0.01, 0.03)
TRAINING_SIZES, VALID = (100, 1000), slice(1000, 1300)
TUNING_SEED, SEEDS = 100, (0, 1, 2)


class VAE(nn.Module):
    """A Bernoulli decoder and a Gaussian encoder with one hidden layer each."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, pixels))

    def posterior(self, x: Float[Tensor, "batch pixels"]) -> Normal:
        mean, log_std = self.encoder(2 * x - 1).chunk(2, dim=-1)
        return Normal(mean, log_std.exp())

    def log_likelihood(self, x: Float[Tensor, "batch pixels"], z: Float[Tensor, "batch latent"]) -> Tensor:
        return -F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(-1)

    def sample_pixels(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch pixels"]:
        return Bernoulli(logits=self.decoder(z)).sample()


@dataclass
class Batches:
    """Binary images in random order, epoch after epoch."""

    images: Float[Tensor, "images pixels"]

    def __iter__(self) -> Iterator[Tensor]:
        """Indices of the images of each batch, without end."""
        while True:
            yield from torch.randperm(len(self.images)).split(BATCH)


Learner = Iterator[int]
"""An iterator that trains one step at a time and yields the passes that each step costs."""


def aevb(model: VAE, images: Tensor, step_size: float) -> Learner:
    """Both networks forwards and backwards: 4 passes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=step_size)
    for batch in Batches(images):
        x = images[batch]
        q = model.posterior(x)
        kl = kl_divergence(q, Normal(0.0, 1.0)).sum(-1)
        _update(optimizer, (kl - model.log_likelihood(x, q.rsample())).mean())
        yield 4


def wake_sleep(model: VAE, images: Tensor, step_size: float) -> Learner:
    """Wake and sleep: one network forwards, the other forwards and backwards, twice: 6 passes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=step_size)
    for batch in Batches(images):
        x = images[batch]
        _update(optimizer, wake_loss(model, x) + sleep_loss(model, torch.randn(len(x), LATENT)))
        yield 6


def monte_carlo_em(model: VAE, images: Tensor, step_size: float) -> Learner:
    """Eleven gradients for ten leapfrogs, then five updates, each forwards and backwards: 32 passes."""
    optimizer = torch.optim.Adam(model.decoder.parameters(), lr=step_size)
    chains = PosteriorChains(len(images), LATENT, LEAPFROGS)
    for batch in Batches(images):
        x = images[batch]
        z = chains.move(lambda z, x=x: model.log_likelihood(x, z), batch)
        for _ in range(UPDATES_PER_MOVE):
            _update(optimizer, -model.log_likelihood(x, z).mean())
        yield 2 * (LEAPFROGS + 1 + UPDATES_PER_MOVE)


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


LEARNERS = {"AEVB": aevb, "wake-sleep": wake_sleep, "Monte Carlo EM": monte_carlo_em}


@torch.no_grad()
def log_evidence(model: VAE, x: Float[Tensor, "batch pixels"], side: int = 36, reach: float = 4.5) -> Tensor:
    """log p(x) of each image, ``(batch,)``, nats: the integral over z as a sum over a grid in three dimensions."""
    axis = torch.linspace(-reach, reach, side)
    total = torch.full((len(x),), -math.inf)
    for plane in axis:  # one value of the first coordinate at a time, to save memory
        z = torch.cartesian_prod(plane[None], axis, axis)
        logits = model.decoder(z)
        log_joint = x @ logits.T - F.softplus(logits).sum(1) + Normal(0.0, 1.0).log_prob(z).sum(1)
        total = torch.logaddexp(total, log_joint.logsumexp(1))
    return total + 3 * math.log(2 * reach / (side - 1))


def run(
    learner: Callable[..., Learner], images: Tensor, step_size: float, seed: int, splits: dict[str, Tensor]
) -> dict:
    """Average log p(x) of each split, nats, after each number of passes in ``CHECKPOINTS``."""
    torch.manual_seed(seed)
    model = VAE(images.shape[1])
    record, passes, due = {name: [] for name in splits}, 0, list(CHECKPOINTS)
    for cost in learner(model, images, step_size):
        passes += cost
        if passes < due[0]:
            continue
        due.pop(0)
        for name, x in splits.items():
            record[name].append(round(log_evidence(model, x).mean().item(), 3))
        if not due:
            break
    some = images[:20]
    finer = log_evidence(model, some, side=71).mean() - log_evidence(model, some).mean()
    return record | {"finer_grid": round(finer.item(), 4)}


def best_log_evidence(learner: Callable[..., Learner], images: Tensor, step_size: float, split: dict) -> float | None:
    """The highest log p(x) at any checkpoint of the tuning run, nats; None if it diverges."""
    try:
        (values,) = (run(learner, images, step_size, TUNING_SEED, split)[name] for name in split)
    except ValueError:  # torch.distributions rejects parameters that are NaN
        return None
    return max(values)


def main() -> None:
    """Tune each learner on validation images, run it with three seeds, and write record and picture."""
    torch.set_num_threads(1)
    started = time.process_time()
    digits = data.load("digits").binarized("dynamic")
    train, test = (digits.pixels(split).flatten(1).float() for split in ("train", "test"))
    runs = {}
    for size, (name, learner) in itertools.product(TRAINING_SIZES, LEARNERS.items()):
        images = train[:size]
        validation = {"valid": train[VALID]}
        tuning = {step: best_log_evidence(learner, images, step, validation) for step in STEP_SIZES}
        best = max((step for step in tuning if tuning[step] is not None), key=tuning.__getitem__)
        seeds = [run(learner, images, best, seed, {"train": images, "test": test}) for seed in SEEDS]
        runs.setdefault(str(size), {})[name] = {"tuning": tuning, "step_size": best, "seeds": seeds}
        print(size, name, tuning, best, [(s["train"][-1], max(s["test"]), s["finer_grid"]) for s in seeds], flush=True)
    record = {"passes": CHECKPOINTS, "processor_minutes": round((time.process_time() - started) / 60, 1), "runs": runs}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    picture = plotting.learners_compared(record["passes"], data.learner_curves(record))
    (Path(__file__).parent / "three_learners.png").write_bytes(plotting.png_bytes(picture))


if __name__ == "__main__":
    tyro.cli(main)
