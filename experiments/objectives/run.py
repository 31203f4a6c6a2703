"""All models of unit 04 on the same data and budget, in one table.

    python experiments/objectives/run.py

Binarised 8×8 digits for likelihoods, black-and-white sprites with known factors for disentanglement. Every arm has the
same number of updates and images from each seed. Interrupted runs are resumed. The test images are used once, at the
end of a run.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import tyro
from ablation import RECORDS, Run
from objectives_table import refresh_readme
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avae_lib import plotting
from avae_lib.data import DataConfig, ImageDataset
from avae_lib.data.sprites import all_sprites
from avae_lib.evaluation import evaluate, measuring
from avae_lib.evaluation.disentanglement import mutual_information_gap
from avae_lib.models.beta_tcvae import BetaTCVAEConfig
from avae_lib.models.beta_vae import BetaVAEConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.contract import ModelWithCodes, label_arguments
from avae_lib.models.flow_vae import FlowVAEConfig
from avae_lib.models.info_vae import InfoVAEConfig
from avae_lib.models.inverse_lipschitz_vae import InverseLipschitzVAEConfig
from avae_lib.models.iwae import IWAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vampprior import VampPriorVAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.models.vq_vae_2 import VQVAE2Config
from avae_lib.models.wasserstein_ae import WassersteinAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment, ModelConfig
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, OptimizerConfig, TrainingConfig

FOLDER = Path(__file__).parent
NAME = "objectives"
STEPS = 2000
IMPORTANCE_SAMPLES = 500
DATA = {
    "digits": DataConfig("digits", binarize="threshold", validation=150),
    "sprites": DataConfig("sprites", validation=46),
}
"""Likelihoods are compared on the first set, the mutual information gap on the second."""
CLASSES = {"digits": 10, "sprites": 3}
TRAINING = TrainingConfig(
    steps=STEPS,
    batch_size=100,
    optimizer=OptimizerConfig(kind="adam", clip_norm=1e4),
    learning_rate=LearningRateConfig(peak=3e-3),
    logging=LoggingConfig(metrics_every=100, evaluate_every=100),
)
WARM_UP = derive(TRAINING, kl_weight={"warmup_steps": STEPS // 4})
"""For objectives with a KL, which rises together with the penalties; the others have nothing to warm up."""


@dataclass(frozen=True)
class Objective:
    """One row of the table."""

    label: str
    model: Callable[[ImageDataset], ModelConfig]
    """The model for a data set."""
    training: TrainingConfig = WARM_UP
    labels: bool = False
    """Whether the model is given the class of each image."""


def _vae(config: type[VAEConfig], **fields: Any) -> Callable[[ImageDataset], ModelConfig]:
    """A configuration on the networks of the VAE."""
    return lambda images: config(images.image_shape, bits=1, latent_dim=8, hidden_sizes=(200, 200), **fields)


def _vq(config: type, **fields: Any) -> Callable[[ImageDataset], ModelConfig]:
    """A configuration with convolutions: on 8×8 pixels four positions, each with one of 32 codes."""

    def configured(images: ImageDataset) -> ModelConfig:
        sizes = {"channels": 24, "halvings": 2, "blocks": 1, "codes": 32, "code_dim": 8, "codebook_decay": 0.95}
        return config(image_shape=images.image_shape, bits=1, likelihood="bernoulli", **(sizes | fields))

    return configured


OBJECTIVES = (
    Objective("VAE", _vae(VAEConfig)),
    Objective("IWAE, k = 5", _vae(IWAEConfig, importance_samples=5)),
    Objective("β-VAE, β = 2", _vae(BetaVAEConfig, beta=2.0)),
    Objective(
        "β-TCVAE, β = 4",
        lambda images: _vae(BetaTCVAEConfig, beta=4.0, dataset_size=len(images.train))(images),
    ),
    Objective("InfoVAE (MMD)", _vae(InfoVAEConfig, alpha=0.5, mmd_weight=10.0)),
    Objective("WAE, MMD", _vae(WassersteinAEConfig, penalty="mmd", penalty_weight=100.0), TRAINING),
    Objective(
        "WAE, sliced Wasserstein",
        _vae(WassersteinAEConfig, penalty="sliced_wasserstein", penalty_weight=100.0),
        TRAINING,
    ),
    Objective(
        "conditional VAE",
        lambda images: _vae(ConditionalVAEConfig, num_classes=CLASSES[images.name])(images),
        labels=True,
    ),
    Objective("VampPrior", _vae(VampPriorVAEConfig, pseudo_inputs=50)),
    Objective("planar flow", _vae(FlowVAEConfig, flow="planar", flow_steps=8)),
    Objective("inverse autoregressive flow", _vae(FlowVAEConfig, flow="inverse_autoregressive", flow_steps=4)),
    Objective("inverse-Lipschitz decoder", _vae(InverseLipschitzVAEConfig, inverse_lipschitz=1.0)),
    Objective("VQ-VAE, straight-through", _vq(VQVAEConfig), TRAINING),
    Objective("VQ-VAE, rotation", _vq(VQVAEConfig, estimator="rotation"), TRAINING),
    Objective(
        "VQ-VAE-2 with prior",
        _vq(VQVAE2Config, prior_from_step=STEPS // 2, prior_channels=24, prior_layers=3),
        TRAINING,
    ),
)


def main(runs: Path = Path("runs/experiments"), seeds: tuple[int, ...] = (0, 1, 2), draw_only: bool = False) -> None:
    """Train every model or resume its run, evaluate it, write the record, draw it and fill in the table.

    Args:
        runs: Folder that holds the run folders.
        seeds: Seeds; each model is trained once from each on each data set.
        draw_only: Draw the picture and fill in the table from the existing record; train nothing.
    """
    record_file = RECORDS / f"{NAME}.json"
    if not draw_only:
        torch.set_num_threads(1)
        record = record_of(seeds, runs / NAME)
        record_file.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    record = json.loads(record_file.read_text(encoding="utf-8"))
    draw(record, FOLDER / "rate_distortion.png")
    refresh_readme(FOLDER / "README.md", record)


def record_of(seeds: tuple[int, ...], runs: Path) -> dict[str, Any]:
    """Train and evaluate everything; one entry for each objective, containing one for each seed."""
    datasets = {name: config.load() for name, config in DATA.items()}
    rows = {objective.label: {"label": objective.label, "runs": []} for objective in OBJECTIVES}
    for seed in seeds:  # all models have one seed before any has a second
        for objective in OBJECTIVES:
            row = rows[objective.label]
            row["runs"].append(_judged(objective, seed, datasets, runs))
            row |= _facts(objective, datasets["digits"])
    return {
        "name": NAME,
        "steps": STEPS,
        "batch_size": TRAINING.batch_size,
        "importance_samples": IMPORTANCE_SAMPLES,
        "data": {name: {"train": len(images.train), "test": len(images.test)} for name, images in datasets.items()},
        "num_dims": datasets["digits"].pixels("test")[0].numel(),
        "torch": torch.__version__,
        "device": "CPU, one thread",
        "rows": list(rows.values()),
    }


def _judged(objective: Objective, seed: int, datasets: dict[str, ImageDataset], runs: Path) -> dict[str, Any]:
    """The results of one seed on both data sets; computed once and then read from the run folder."""
    digits = _trained(objective, "digits", seed, datasets["digits"], runs)
    file = digits.folder / "judged.json"
    if not file.exists():
        judged = {"seed": seed, **_likelihoods(objective, digits, datasets["digits"])}
        judged["mutual_information_gap"] = _gap(objective, seed, datasets["sprites"], runs)
        file.write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def _trained(objective: Objective, name: str, seed: int, images: ImageDataset, runs: Path) -> Run:
    data = replace(DATA[name], labels=objective.labels)
    training = replace(objective.training, seed=seed)
    folder = runs / f"{name}-{objective.label.replace(' ', '_').replace(',', '')}-{seed}"
    run = Run(Experiment(objective.label, NAME, data, objective.model(images), training), folder)
    if run.steps < training.steps:
        run.train(data.load(), training.steps)
    return run


def _likelihoods(objective: Objective, run: Run, images: ImageDataset) -> dict[str, Any]:
    model, test = run.model(), images.pixels("test")
    labels = images.test_labels if objective.labels else None
    result = evaluate(model, test, importance_samples=IMPORTANCE_SAMPLES, labels=labels)
    usage = result.code_usage
    return {
        "negative_elbo": result.negative_elbo and result.negative_elbo.mean,
        "negative_log_likelihood": result.negative_log_likelihood and result.negative_log_likelihood.mean,
        "distortion": result.distortion.mean,
        "rate": sum(layer.mean for layer in result.kl) if result.kl else None,
        "pixels_wrong": _pixels_wrong(model, test, labels),
        "active_units": None if usage else sum(result.active_units),
        "codes_in_use": usage and [len(c) - dead for c, dead in zip(usage.counts, usage.dead, strict=True)],
        **_costs(run),
    }


def _pixels_wrong(model: nn.Module, test: torch.Tensor, labels: torch.Tensor | None) -> float:
    """Share of the pixels that reconstructions get wrong."""
    with measuring(model):
        return (model.reconstruct(test, **label_arguments(model, labels)) != test).double().mean().item()


def _costs(run: Run) -> dict[str, Any]:
    costs = json.loads((run.folder / "costs.json").read_text(encoding="utf-8"))
    notes = json.loads((run.folder / "notes.json").read_text(encoding="utf-8"))
    return {"cpu_seconds": notes["cpu_seconds"], "energy_kwh": costs["energy_kwh"]}


def _gap(objective: Objective, seed: int, sprites: ImageDataset, runs: Path) -> float | None:
    """The mutual information gap over all sprites; None for models whose latents are grids of codes."""
    if isinstance(objective.model(sprites).build(), ModelWithCodes):
        return None
    model = _trained(objective, "sprites", seed, sprites, runs).model()
    images, factors = all_sprites()
    with measuring(model):
        (posterior,) = model.latents(images, **label_arguments(model, factors[:, 0]))
    return mutual_information_gap(posterior.mean, factors)


def _facts(objective: Objective, images: ImageDataset) -> dict[str, Any]:
    """Facts that are the same for all seeds: why there is no density, and the size of the model."""
    model = objective.model(images).build()
    return {
        "no_density": getattr(model, "no_density", None),
        "conditional": objective.labels,
        "parameters": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "multiply_adds": _multiply_adds(model, images),
    }


def _multiply_adds(model: nn.Module, images: ImageDataset) -> int:
    """Multiply-adds of one image's bound, in matrix products and convolutions."""
    labels = torch.zeros(1, dtype=torch.long)
    with measuring(model), FlopCounterMode(display=False) as counter:
        model(images.pixels("test")[:1], **label_arguments(model, labels))
    return counter.get_total_flops() // 2


def draw(record: dict[str, Any], file: Path) -> None:
    """Every density of the table on the plane of rate and distortion, mean over seeds."""
    means = {
        row["label"]: tuple(statistics.mean(run[part] for run in row["runs"]) for part in ("rate", "distortion"))
        for row in record["rows"]
        if row["no_density"] is None and not row["conditional"]
    }
    plotting.objectives_on_the_plane(means, reference="VAE").savefig(file, dpi=110)


if __name__ == "__main__":
    tyro.cli(main)
