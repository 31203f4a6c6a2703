"""What an update costs: parameters, floating-point operations and memory of presets, and milliseconds side by side.

python experiments/efficient_vdvae/costs.py cifar10-vdvae cifar10-efficient-vdvae
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
import tyro
from torch.utils.flop_counter import FlopCounterMode

from avae_lib.presets import find_preset
from avae_lib.training.experiment import Experiment, ModelConfig
from avae_lib.training.memory import expected_memory_of

__all__ = ["flops_per_image", "milliseconds_side_by_side", "parameters_of"]


def flops_per_image(config: ModelConfig) -> int:
    """Floating-point operations of one image, forward and backward; a multiply-add is two. Only convolutions and matrix
    products are counted. Computed on shapes alone, so it needs neither time nor memory."""
    with torch.device("meta"):
        model: Any = config.build()
        image = torch.zeros(1, *config.image_shape, dtype=torch.uint8)
        with FlopCounterMode(display=False) as counter:
            (-model(image).bound.sum()).backward()
    return counter.get_total_flops()


def parameters_of(config: ModelConfig) -> int:
    """Trainable numbers of a model."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in config.build().parameters())


def milliseconds_side_by_side(experiments: Sequence[Experiment], repeats: int = 15) -> list[float]:
    """Median processor milliseconds of an update of each, on one thread.

    The experiments take turns, so that whatever else the machine does slows all of them down alike.
    """
    torch.set_num_threads(1)
    updates = [_update_of(experiment) for experiment in experiments]
    seconds = [[] for _ in updates]
    for _ in range(repeats):
        for update, times in zip(updates, seconds, strict=True):
            started = time.process_time()
            update()
            times.append(time.process_time() - started)
    return [round(1000 * statistics.median(times), 1) for times in seconds]


def _update_of(experiment: Experiment) -> Any:
    """A function that makes one update of fresh weights on random pixels."""
    model: Any = experiment.build_model()
    optimizers: dict[str, type[torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax}
    optimizer = optimizers[experiment.training.optimizer.kind](model.parameters(), lr=1e-4)
    images = torch.randint(0, 256, (experiment.training.batch_size, *model.image_shape), dtype=torch.uint8)

    def update() -> None:
        optimizer.zero_grad()
        (-model(images).bound.mean()).backward()
        optimizer.step()

    return update


def main(presets: tyro.conf.Positional[tuple[str, ...]]) -> None:
    """Print parameters, gigaflops of an image and expected memory of training for each preset, in Markdown.

    Args:
        presets: their names.
    """
    print("| preset | parameters | GFLOP per image | batch | expected memory |\n|---|---|---|---|---|")
    for name in presets:
        preset = find_preset(name)
        gigaflops = flops_per_image(preset.model) / 1e9
        memory = expected_memory_of(preset).total / 1e9
        print(
            f"| `{name}` | {parameters_of(preset.model):,} | {gigaflops:.3g} | {preset.training.batch_size} | "
            f"{memory:.3g} GB |"
        )


if __name__ == "__main__":
    tyro.cli(main)
