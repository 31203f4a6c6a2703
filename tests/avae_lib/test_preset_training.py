"""Every preset: its shapes without memory, and for the small ones that they learn something about real images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from avae_lib.data import DataConfig, ImageDataset
from avae_lib.evaluation import bits_per_dim, measuring, terms_of_bound
from avae_lib.models.contract import label_arguments
from avae_lib.observations import observed_by
from avae_lib.presets import PRESETS
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.fit import fit
from avae_lib.training.training_config import TrainingConfig

EMBEDDED = ("digits", "photos32")
TRAINED_FAST = {
    "digits-vae",
    "digits-wae",
    "digits-conditional-vae",
    "digits-iaf",
    "digits-ladder",
    "digits-plain",
    "digits-biva",
    "digits-nvae",
    "digits-vdvae",
    "digits-local",
    "photos32-vq-vae",
}
"""At least one small preset of each family, trained in every run of the tests; the others are slow."""
SMALL = [name for name, preset in PRESETS.items() if preset.data.name in EMBEDDED]
WALKED_THROUGH_FAST = {*SMALL, "sentences-text-vae", "mnist-vae", "mnist-ladder-5", "mnist-plain-5", "cifar10-vdvae"}
"""The others have so many parts that it takes seconds even without memory."""
STEPS = 200


def _slow_unless(fast: set[str], names: Iterable[str]) -> list:
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", _slow_unless(TRAINED_FAST, SMALL))
def test_200_steps_on_real_images_beat_independent_pixels(name, tmp_path):
    _train_and_compare(PRESETS[name], tmp_path)


MNIST = DataConfig("mnist", binarize="dynamic")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("mnist-vae", MNIST),
        ("mnist-ladder-5", MNIST),
        ("photos32-vdvae", DataConfig("cifar10")),
        ("photos32-attentive", DataConfig("cifar10", flip_horizontal=True)),
    ],
)
def test_200_steps_on_a_full_data_set_beat_independent_pixels(name, images, tmp_path):
    _train_and_compare(dataclasses.replace(PRESETS[name], data=images), tmp_path)


def _train_and_compare(preset: Experiment, run_dir: Path) -> None:
    dataset = preset.data.load()
    model = fit(preset.build_model(), dataset, _short(preset), run_dir).model
    with measuring(model):
        labels = dataset.labels("test")
        first_labels = None if labels is None else labels[:200]
        bounds = terms_of_bound(model, dataset.pixels("test")[:200], rows=100, labels=first_labels).bound
    negative_elbo = -bounds.mean()
    assert bits_per_dim(negative_elbo.item(), model.num_dims) < bits_per_dim_of_independent_pixels(dataset)


def _short(preset: Experiment) -> TrainingConfig:
    """The preset's training, with its whole course within 200 steps on small batches and at full weight of the KL."""
    return derive(
        preset.training,
        steps=STEPS,
        batch_size=8,
        learning_rate={"warmup_steps": 20},
        kl_weight={"warmup_steps": min(preset.training.kl_weight.warmup_steps, STEPS // 2)},
        logging={"evaluate_every": STEPS, "evaluation_images": 16, "checkpoint_every": STEPS},
    )


def bits_per_dim_of_independent_pixels(dataset: ImageDataset) -> float:
    """What held-out images cost if each pixel is told by how often its channel had each level in the training images.

    Counts start at one, so that no level is impossible.
    """
    levels = 2**dataset.model_bits
    train, test = (dataset.pixels(part).movedim(1, 0).flatten(start_dim=1).long() for part in ("train", "test"))
    counts = 1 + torch.stack([channel.bincount(minlength=levels) for channel in train]).double()
    bits = -(counts / counts.sum(dim=1, keepdim=True)).log2()
    return bits.gather(1, test).mean().item()


def test_the_baseline_of_two_levels_of_equal_frequency_is_one_bit():
    images = torch.tensor([3, 5], dtype=torch.uint8).repeat(50_000).reshape(-1, 1, 2, 2)
    dataset = ImageDataset(name="chequered", train=images, test=images[:5], bits=4)
    assert bits_per_dim_of_independent_pixels(dataset) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", _slow_unless(WALKED_THROUGH_FAST, PRESETS))
def test_shapes_dtypes_and_devices_follow_from_the_configuration(name):
    with torch.device("meta"), torch.no_grad():
        model = PRESETS[name].model.build()
        x = observed_by(model).blank(2, "meta")
        elbo = model(x, **label_arguments(model, torch.zeros(2, dtype=torch.int64)))
        images = model.sample(2)
    assert (elbo.log_likelihood.shape, elbo.kl.shape) == ((2,), (2, model.num_layers))
    assert (images.shape, images.dtype) == (x.shape, x.dtype)
    assert elbo.log_likelihood.dtype == elbo.kl.dtype == torch.float32
    assert {tensor.device.type for tensor in (elbo.bound, images, *model.state_dict().values())} == {"meta"}
