"""The update of the released VDVAE code beside ours, in one run: same device, batch, number format and sizes.

You give the folder of a checkout; none of that code is in this repository. Packages that it imports and that are not
installed are replaced: MPI by a single process, apex's fused AdamW by PyTorch's fused AdamW.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch

from training_steps.arithmetic import in_turn
from training_steps.timing import tidy
from training_steps.variants import Variant, experiment_of, state_of, stepping

__all__ = ["compare"]

PRESET, HYPER_PARAMETERS = "cifar10-vdvae", "cifar10"
PIXEL_MEAN, PIXEL_STD = 120.63838, 64.16736  # of CIFAR-10's grey values, as the released code has them
_REPLACED = ("mpi4py", "apex", "apex.optimizers", "imageio", "sklearn", "sklearn.model_selection")


def compare(checkout: Path, variants: list[str], batch: int, device: str, repeats: int) -> Iterator[dict[str, Any]]:
    """Times of both updates in turn, and the ratio of their medians, for each of our variants.

    Above 1 ours is faster.

    Raises:
        FileNotFoundError: the folder is no checkout of the released code.
    """
    if not (checkout / "vae.py").exists():
        raise FileNotFoundError(f"{checkout} holds no vae.py: clone https://github.com/openai/vdvae there")
    for name in variants:
        chosen = Variant.named(name)
        state = state_of(experiment_of(PRESET, chosen, batch, device))
        with _imported(checkout) as released, stepping(state, chosen) as ours:
            theirs = _released_step(released, batch, chosen, torch.device(device))
            times = in_turn({"our": ours, "released": theirs}, state.device, repeats)
        tidy(state)
        yield {"preset": PRESET, "variant": chosen.name, "batch": batch, **times}


@contextmanager
def _imported(checkout: Path) -> Iterator[ModuleType]:
    """The released training module; afterwards none of its modules is left."""
    before = set(sys.modules)
    sys.path.insert(0, str(checkout))
    replaced = {name: MagicMock(name=name) for name in _REPLACED if not _is_installed(name)}
    sys.modules.update(replaced)
    try:
        module = importlib.import_module("train")
        utils = importlib.import_module("utils")
        utils.MPI.COMM_WORLD.Get_size = lambda: 1
        module.get_cpu_stats_over_ranks = _numbers  # theirs needs CUDA; this waits for the device just as it does
        yield module
    finally:
        sys.path.remove(str(checkout))
        for name in set(sys.modules) - before:
            if name in replaced or getattr(sys.modules[name], "__file__", None) in map(str, checkout.glob("*.py")):
                del sys.modules[name]


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    stacked = torch.stack([torch.as_tensor(value).detach().float().cpu() for value in values.values()])
    return dict(zip(values, stacked.tolist(), strict=True))


def _released_step(train: ModuleType, batch: int, variant: Variant, device: torch.device) -> Callable[[], object]:
    """Their update, of a batch that they would get: grey values shifted and scaled on the device."""
    hps, vae_module = importlib.import_module("hps"), importlib.import_module("vae")
    settings = hps.Hyperparams()
    parser = hps.add_vae_arguments(argparse.ArgumentParser())
    hps.parse_args_and_update_hparams(settings, parser, ["--hps", HYPER_PARAMETERS])
    settings.image_size, settings.image_channels = 32, 3
    vae, average = (vae_module.VAE(settings).to(device) for _ in range(2))
    average.load_state_dict(vae.state_dict())
    average.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        vae.parameters(),
        lr=settings.lr,
        betas=(settings.adam_beta1, settings.adam_beta2),
        weight_decay=settings.wd,
        fused=True,
    )
    pixels = torch.randint(256, (batch, 32, 32, 3), device=device).float()

    def step() -> object:
        inputs, targets = (pixels - PIXEL_MEAN) / PIXEL_STD, pixels / 127.5 - 1
        with torch.autocast(device.type, torch.bfloat16, enabled=variant.bfloat16):
            return train.training_step(settings, inputs, targets, vae, average, optimizer, 0)

    return step
