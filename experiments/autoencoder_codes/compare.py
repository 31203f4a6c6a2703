"""Autoencoders as models of digits, with N(0, I) or a fitted Gaussian over their codes, beside VAEs of the same size.

    python experiments/autoencoder_codes/compare.py

Writes avae_lib/data/records/autoencoder_codes.json, which lecture 03 reads.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from avae_lib import data

RECORD = Path(data.__file__).parent / "records/autoencoder_codes.json"
UPDATES, BATCH, STEP_SIZE, HIDDEN = 3000, 100, 2e-3, 128
CODE_SIZES, SEEDS = (2, 10), (0, 1, 2)
SEARCH_STEPS, SEARCH_DRAWS, SEARCH_STEP_SIZE = 800, 8, 0.02
IMPORTANCE_SAMPLES, WIDENING = 3000, 1.2

Decoder = Callable[[Tensor], Tensor]
"""Codes ``(..., code)`` → logits ``(..., pixels)``."""


def network(inputs: int, outputs: int) -> nn.Sequential:
    middle = (nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), *middle)


def train(digits: data.ImageDataset, code_size: int, variational: bool, seed: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder; the encoder of a VAE has a log standard deviation for each number of the code as well."""
    torch.manual_seed(seed)
    pixels = math.prod(digits.image_shape)
    encoder, decoder = network(pixels, (1 + variational) * code_size), network(code_size, pixels)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=STEP_SIZE)
    batches = data.BatchSampler(digits, BATCH, seed=seed)
    for _ in range(UPDATES):
        x = batches.draw().flatten(1).float()
        code, kl = encoder(2 * x - 1), torch.zeros(())
        if variational:
            q = Normal(code[:, :code_size], code[:, code_size:].exp())
            code, kl = q.rsample(), kl_divergence(q, Normal(0.0, 1.0)).sum(1)
        loss = (kl - log_likelihood(decoder, x, code)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder, decoder


def log_likelihood(decoder: Decoder, x: Float[Tensor, "batch pixels"], z: Tensor) -> Tensor:
    logits = decoder(z)
    return -F.binary_cross_entropy_with_logits(logits, x.expand(logits.shape), reduction="none").sum(-1)


def log_evidence(decoder: Decoder, x: Tensor, starts: Tensor) -> float:
    """Average log p(x) under a standard normal prior, nats: by a grid in the plane, else by importance sampling."""
    if starts.shape[1] == 2:
        return _by_grid(decoder, x)
    return _by_importance_sampling(decoder, x, _best_gaussians(decoder, x, starts))


@torch.no_grad()
def _by_grid(decoder: Decoder, x: Tensor, side: int = 801, reach: float = 5.0) -> float:
    axis = torch.linspace(-reach, reach, side)
    totals = []
    for line in axis.split(40):
        z = torch.cartesian_prod(line, axis)
        logits = decoder(z)
        log_joint = x @ logits.T - F.softplus(logits).sum(1) + Normal(0.0, 1.0).log_prob(z).sum(1)
        totals.append(log_joint.logsumexp(1))
    return (torch.stack(totals).logsumexp(0) + 2 * math.log(2 * reach / (side - 1))).mean().item()


def _best_gaussians(decoder: Decoder, x: Tensor, starts: Tensor) -> Normal:
    """The Gaussian with independent coordinates that has the best ELBO, for each image, found by gradient steps."""
    mean, log_std = starts.clone().requires_grad_(), torch.full_like(starts, -1.0).requires_grad_()
    optimizer = torch.optim.Adam([mean, log_std], lr=SEARCH_STEP_SIZE)
    for _ in range(SEARCH_STEPS):
        q = Normal(mean, log_std.exp())
        z = q.rsample((SEARCH_DRAWS,))
        loss = (kl_divergence(q, Normal(0.0, 1.0)).sum(-1) - log_likelihood(decoder, x, z)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Normal(mean.detach(), log_std.detach().exp())


@torch.no_grad()
def _by_importance_sampling(decoder: Decoder, x: Tensor, q: Normal) -> float:
    bounds = []
    for some, mean, std in zip(x.split(25), q.mean.split(25), q.stddev.split(25), strict=True):
        proposal = Normal(mean, WIDENING * std)
        z = proposal.sample((IMPORTANCE_SAMPLES,))
        log_weights = log_likelihood(decoder, some, z)
        log_weights += (Normal(0.0, 1.0).log_prob(z) - proposal.log_prob(z)).sum(-1)
        bounds.append(log_weights.logsumexp(0) - math.log(IMPORTANCE_SAMPLES))
    return torch.cat(bounds).mean().item()


@torch.no_grad()
def whitened(encoder: nn.Module, decoder: nn.Module, images: Tensor) -> tuple[Decoder, Callable[[Tensor], Tensor]]:
    """Decoder and encoder in coordinates in which the Gaussian fitted to the images' codes is standard normal."""
    codes = encoder(2 * images - 1)
    centre, factor = codes.mean(0), torch.linalg.cholesky(codes.T.cov())

    def encode(x: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(factor, (encoder(2 * x - 1) - centre).T, upper=False).T

    return lambda u: decoder(centre + u @ factor.T), encode


def one_seed(digits: data.ImageDataset, x: Tensor, code_size: int, seed: int) -> dict[str, float]:
    """log p(x) of test images, nats: of the autoencoder with both priors, and of the VAE."""
    encoder, decoder = train(digits, code_size, variational=False, seed=seed)
    training_images = digits.pixels("train").flatten(1).float()
    fitted_decoder, fitted_encoder = whitened(encoder, decoder, training_images)
    vae_encoder, vae_decoder = train(digits, code_size, variational=True, seed=seed)
    with torch.no_grad():
        codes, fitted_codes = encoder(2 * x - 1), fitted_encoder(x)
        vae_codes = vae_encoder(2 * x - 1)[:, :code_size]
        reconstruction = log_likelihood(decoder, x, codes).mean().item()
    return {
        "autoencoder, reconstruction": reconstruction,
        "autoencoder, N(0, I)": log_evidence(decoder, x, codes),
        "autoencoder, fitted": log_evidence(fitted_decoder, x, fitted_codes),
        "VAE": log_evidence(vae_decoder, x, vae_codes),
    }


def main() -> None:
    """Train and judge every model, and write the record."""
    torch.set_num_threads(1)
    started = time.process_time()
    digits = data.load("digits").binarized("dynamic")
    x = digits.pixels("test").flatten(1).float()
    results = {}
    for code_size in CODE_SIZES:
        seeds = [one_seed(digits, x, code_size, seed) for seed in SEEDS]
        results[str(code_size)] = {name: [round(seed[name], 2) for seed in seeds] for name in seeds[0]}
        print(code_size, results[str(code_size)], flush=True)
    record = {"processor_minutes": round((time.process_time() - started) / 60, 1), "results": results}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
