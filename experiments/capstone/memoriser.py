"""What would a student gain by training on the test images? Measured for the photographs and for Fashion-MNIST.

    python experiments/capstone/memoriser.py

Writes avae_lib/data/records/capstone_memoriser.json, the numbers of autograder/SECURITY.md. Interrupted runs are
resumed. The second part needs fashion_mnist in AVAE_DATA.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import tyro
from baseline import HELD_OUT_SEED, REFERENCE, bits_of, estimates, trained
from held_out_crops import all_crops_of_the_test_band, held_out_crops
from torch import Tensor

from avae_lib import data
from avae_lib.data import DataConfig, ImageDataset
from avae_lib.models.ladder import LadderConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import (
    KLWeightConfig,
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    TrainingConfig,
)

RECORD = Path(data.__file__).parent / "records/capstone_memoriser.json"
HELD_OUT, TRAINING, SECRET = 200, 100, 1000
GOES_ON = replace(
    REFERENCE,
    name="capstone-goes-on",
    source="capstone-reference, trained on for as many updates on other images",
    training=derive(
        REFERENCE.training, steps=400, learning_rate={"peak": 4e-3, "warmup_steps": 50}, logging={"evaluate_every": 200}
    ),
)
FASHION = Experiment(
    name="capstone-fashion",
    source="the Ladder VAE of experiments/out_of_distribution, with a quarter of its updates",
    data=DataConfig("fashion_mnist", binarize="threshold", validation=5_000),
    model=LadderConfig(image_shape=(1, 28, 28), latent_dims=(32, 16, 8), hidden_sizes=(256, 128, 64)),
    training=TrainingConfig(
        steps=1000,
        batch_size=128,
        optimizer=OptimizerConfig(kind="adam", ema_decay=0.99),
        learning_rate=LearningRateConfig(peak=2e-3),
        kl_weight=KLWeightConfig(warmup_steps=400),
        logging=LoggingConfig(evaluate_every=500),
    ),
)


def main(runs: Path = Path("runs/experiments/capstone"), photographs: bool = True, fashion: bool = True) -> None:
    """Train in each way or resume the runs, evaluate on the same held-out images and write the record.

    Args:
        runs: Folder that holds the run folders.
        photographs: Run the part on photos32.
        fashion: Run the part on Fashion-MNIST.
    """
    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    if photographs:
        record["photos32"] = {}
        for way, result in gains(GOES_ON, *_photographs(), runs, _reference_weights(runs)):
            record["photos32"][way] = result
            _write(record)
    if fashion:
        record["fashion_mnist"] = {}
        for way, result in gains(FASHION, *_fashion(), runs):
            record["fashion_mnist"][way] = result
            _write(record)


def gains(
    experiment: Experiment,
    trainings: Mapping[str, Tensor],
    sets: Mapping[str, Tensor],
    runs: Path,
    start: Mapping[str, Tensor] | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """One way of training after the other: its name, and the figures of the model on each set.

    The gain is over the honest model on the same held-out images, image by image, in bits per dimension.

    Args:
        start: initial weights; None for random ones.
    """
    dataset, honest = experiment.data.load(), None
    for way, images in trainings.items():
        folder = runs / f"{experiment.name}-{way.replace(' ', '-')}"
        model, minutes = trained(experiment, 0, replace(dataset, train=images, train_labels=None), folder, start)
        bits = {name: bits_of(model, of_set) for name, of_set in sets.items()}
        honest = bits["held_out"] if honest is None else honest
        gain = {quantity: honest[quantity] - values for quantity, values in bits["held_out"].items()}
        result = {
            "training_images": len(images),
            "processor_minutes": minutes,
            **{name: estimates(of_set) for name, of_set in bits.items()},
            "gain": estimates(gain),
        }
        print(experiment.name, way, json.dumps(result, indent=1), flush=True)
        yield way, result


def _reference_weights(runs: Path) -> dict[str, Tensor]:
    """The weights from which every way of further training starts."""
    reference, _ = trained(REFERENCE, 0, REFERENCE.data.load(), runs / f"{REFERENCE.name}-0")
    return {name: weight.clone() for name, weight in reference.state_dict().items()}


def _photographs() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The training images of each way, and the sets on which all are evaluated."""
    photos = REFERENCE.data.load()
    every_crop = all_crops_of_the_test_band()
    trainings = {
        "honest": photos.train,
        "all crops of the test band": every_crop,
        "with the public test crops": torch.cat([photos.train, photos.test]),
    }
    held_out = held_out_crops(HELD_OUT, HELD_OUT_SEED)
    return trainings, {"training": photos.train[:TRAINING], "held_out": held_out}


def _fashion() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The same for Fashion-MNIST: the secret images are a subset of the public test images."""
    clothes: ImageDataset = FASHION.data.load()
    chosen = torch.randperm(len(clothes.test), generator=torch.Generator().manual_seed(0))[:SECRET]
    trainings = {
        "honest": clothes.train,
        "all test images": clothes.test,
        "with all test images": torch.cat([clothes.train, clothes.test]),
    }
    pixels = clothes.pixels("test")
    training = clothes.pixels("train")[:SECRET]
    return trainings, {"training": training, "held_out": pixels[chosen]}


def _write(record: dict[str, Any]) -> None:
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
