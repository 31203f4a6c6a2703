"""A VAE with two latent variables and a Gaussian decoder on Frey faces, and the faces decoded over its latent plane.

    AVAE_DATA=DIR python experiments/frey_faces/train.py

Writes avae_lib/data/records/frey_faces.json, which lecture 03 shows. It holds decoded faces only, none of the data.
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import torch
import tyro
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from avae_lib import data

RECORD = Path(data.__file__).parent / "records/frey_faces.json"
UPDATES, BATCH, STEP_SIZE, HIDDEN = 8000, 100, 1e-3, 200
LEAST_STD = 0.05  # in units of the brightest grey: without a floor the density of a constant pixel is unbounded
ROWS, COLUMNS = 4, 14


class FaceVAE(nn.Module):
    """Means between 0 and 1 and a standard deviation for each pixel, as in Kingma and Welling (2014), section 5."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 4))
        self.decoder = nn.Sequential(nn.Linear(2, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * pixels))

    def posterior(self, x: Float[Tensor, "batch pixels"]) -> Normal:
        mean, log_std = self.encoder(x - 0.5).chunk(2, dim=-1)
        return Normal(mean, log_std.exp())

    def likelihood(self, z: Float[Tensor, "batch 2"]) -> Normal:
        logit, log_std = self.decoder(z).chunk(2, dim=-1)
        return Normal(logit.sigmoid(), LEAST_STD + log_std.exp())

    def bound(self, x: Float[Tensor, "batch pixels"]) -> Float[Tensor, "batch"]:
        q = self.posterior(x)
        return self.likelihood(q.rsample()).log_prob(x).sum(1) - kl_divergence(q, Normal(0.0, 1.0)).sum(1)


def train(images: Float[Tensor, "images pixels"]) -> FaceVAE:
    torch.manual_seed(0)
    model = FaceVAE(images.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=STEP_SIZE)
    for _ in range(UPDATES):
        loss = -model.bound(images[torch.randint(len(images), (BATCH,))]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@torch.no_grad()
def main() -> None:
    """Train, print the bound, and write the record."""
    torch.set_num_threads(1)
    started = time.process_time()
    faces = data.load("freyfaces")
    images, held_out = (split.flatten(1) / 255 for split in (faces.train, faces.test))
    with torch.enable_grad():
        model = train(images)
    z1 = Normal(0.0, 1.0).icdf((torch.arange(COLUMNS) + 0.5) / COLUMNS)
    z2 = Normal(0.0, 1.0).icdf((torch.arange(ROWS) + 0.5) / ROWS).flip(0)
    plane = torch.cartesian_prod(z2, z1).flip(1)
    levels = (255 * model.likelihood(plane).mean).round().byte()
    record = {
        "updates": UPDATES,
        "test_bound_nats": round(torch.stack([model.bound(held_out).mean() for _ in range(50)]).mean().item(), 1),
        "test_kl_nats": round(kl_divergence(model.posterior(held_out), Normal(0.0, 1.0)).sum(1).mean().item(), 2),
        "processor_minutes": round((time.process_time() - started) / 60, 1),
        "z1": [round(value, 2) for value in z1.tolist()],
        "z2": [round(value, 2) for value in z2.tolist()],
        "height_and_width": list(faces.image_shape[1:]),
        "faces": base64.b64encode(levels.numpy().tobytes()).decode(),
    }
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print({key: value for key, value in record.items() if key != "faces"})


if __name__ == "__main__":
    tyro.cli(main)
