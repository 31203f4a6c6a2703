"""The ladder against the plain stack on digits, with and without a warm-up of the KL: which layers are used.

    python experiments/ladder_against_plain/run.py

Writes avae_lib/data/records/ladder_against_plain.json, which lecture 05 reads, and kl_of_layers.png beside this file.
"""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
import tyro
from torch import nn

from avae_lib import data, plotting
from avae_lib.objectives import negative_elbo
from avae_lib.presets import find_preset

RECORD = Path(data.__file__).parent / "records/ladder_against_plain.json"
PRESET = find_preset("digits-ladder")
SEEDS, EVERY, DRAWS = (0, 1, 2), 50, 20
WARM_UPS = {"warm-up": 600, "no warm-up": 0}
MODELS = {"ladder": "ladder", "plain stack": "bottom_up"}


def main(steps: int = PRESET.training.steps, record: Path = RECORD) -> None:
    """Train each model with three seeds, and write record and picture.

    Args:
        steps: updates of each run.
        record: file to write.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    arms = [
        {"model": model, "beta": beta, "runs": [run(model, beta, seed, steps) for seed in SEEDS]}
        for model, beta in itertools.product(MODELS, WARM_UPS)
    ]
    minutes = round((time.process_time() - started) / 60, 1)
    result = {"steps": steps, "processor_minutes": minutes, "torch": torch.__version__, "arms": arms}
    record.write_text(json.dumps(result, indent=1) + "\n")
    curves = {
        f"{arm['model']}\n{arm['beta']}": (arm["runs"][0]["step"], [seed["valid"] for seed in arm["runs"]])
        for arm in arms
    }
    picture = plotting.layers_in_use(curves, highest_kl=7)
    (Path(__file__).parent / "kl_of_layers.png").write_bytes(plotting.png_bytes(picture))


def run(model: str, beta: str, seed: int, steps: int) -> dict:
    """KL of each layer, top first, on validation images during training and on test images at the end, nats."""
    dataset = PRESET.data.load()
    torch.manual_seed(seed)
    network = replace(PRESET.model, inference=MODELS[model]).build()
    batches = data.BatchSampler(dataset, batch_size=PRESET.training.batch_size, seed=seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=PRESET.training.learning_rate.peak)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    result = {"seed": seed, "step": [], "valid": []}
    for step in range(1, steps + 1):
        elbo = network(batches.draw())
        weight = min(1.0, step / WARM_UPS[beta]) if WARM_UPS[beta] else 1.0
        loss = negative_elbo(elbo.log_likelihood, elbo.kl, beta=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % EVERY == 0:
            result["step"].append(step)
            result["valid"].append(judge(network, dataset.pixels("valid"))["kl"])
    result["test"] = judge(network, dataset.pixels("test"))
    print(model, beta, seed, result["test"], flush=True)
    return result


@torch.no_grad()
def judge(network: nn.Module, images: torch.Tensor) -> dict:
    """KL of each layer and minus the bound, nats per image, from several draws of the latents for each image."""
    network.eval()
    elbos = [network(images) for _ in range(DRAWS)]
    network.train()
    kl = torch.stack([elbo.kl.mean(0) for elbo in elbos]).mean(0)
    negative_bound = -torch.stack([elbo.bound.mean() for elbo in elbos]).mean()
    return {"kl": [round(value, 3) for value in kl.tolist()], "negative_elbo": round(negative_bound.item(), 3)}


if __name__ == "__main__":
    tyro.cli(main)
