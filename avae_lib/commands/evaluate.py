"""``avae evaluate``."""

from __future__ import annotations

import dataclasses
import json as json_format
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from avae_lib.atomic_write import write_atomically
from avae_lib.commands.run_argument import Device, Run, Weights
from avae_lib.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from avae_lib.data import Dataset
    from avae_lib.data.image_dataset import Split
    from avae_lib.evaluation import FrechetDistance, OutOfDistribution
    from avae_lib.training.experiment import Experiment

__all__ = ["evaluate"]


def evaluate(
    run: Positional[Run],
    split: Literal["test", "valid"] = "test",
    weights: Weights = "weights.safetensors",
    importance_samples: int = 64,
    rows: int = 512,
    ood: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None,
    ood_keep_layers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None,
    fid: int = 0,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Evaluate a trained model on held-out images or sentences: bounds and likelihoods, in nats and bits per dimension.

    For a model of sentences, the table has bits per token: the bits of all sentences divided by the number of their
    tokens, where the end of a sentence counts as a token.

    Penalties of the training objective are listed by name. For a model with a codebook, the table says how much of the
    codebook is in use. A model that defines no density has neither bound nor likelihood; the table says so.

    The results are written to evaluation.json in the run folder. For validation images the name is
    evaluation.valid.json; for other weights than the latest it is evaluation.best.json, evaluation.valid.best.json, …
    Each evaluation is noted in looks.jsonl: the report and avae compare show the number of
    evaluations.

    Args:
        split: Images or sentences to evaluate on: test for the final result, valid to choose between models.
        weights: File of weights in the run folder: weights.safetensors has the latest, best.safetensors those with the
            best validation bound, milestones/000500.safetensors those after 500 updates.
        importance_samples: Number of posterior samples per image or sentence, for the estimate of the likelihood.
        rows: Largest number of images or sentences in one batch of the model, samples included. Limits the memory.
        ood: Name of another data set: also evaluate how well likelihood ratios tell its images from those of the
            training set (Havtorn et al., 2021).
        ood_keep_layers: With --ood: images are told apart by the difference of two bounds. The first takes all layers
            from the posterior of the image, the second only this number of top layers; its other layers are drawn from
            the prior. By default half of all layers.
        fid: Number of samples to compare with as many held-out images by the Fréchet distance; 0 to leave it out.
            Needs the packages torchmetrics and torch-fidelity (pip install torchmetrics torch-fidelity).
        seed: Seed for sampling the latents.
        device: Where to compute: auto (a GPU if there is one), cpu, cuda, …
    """
    from avae_lib import evaluation
    from avae_lib.data.fingerprint import changed_splits
    from avae_lib.training.devices import find_device, threads_for
    from avae_lib.training.looks import note_look
    from avae_lib.training.runs import load_run

    model, experiment = load_run(run, find_device(device), weights)
    dataset = experiment.data.load()
    images = dataset.examples(split)
    # What is impossible is refused now, before the long work.
    compare = None if ood is None else _comparison(model, experiment, dataset, split, ood, ood_keep_layers)
    distance = _distance_of_samples(model, images, fid) if fid else None
    settings = {"importance_samples": importance_samples, "rows": rows, "seed": seed}
    labels = dataset.labels(split)
    note_look(run, split, by="avae evaluate")
    with threads_for(model):
        result = evaluation.evaluate(model, images, **settings, progress=True, dataset=dataset.title, labels=labels)
        if compare is not None:
            result = dataclasses.replace(result, out_of_distribution=compare(**settings))
        if distance is not None:
            result = dataclasses.replace(result, frechet_distance=distance(rows=rows, seed=seed))
    changed = changed_splits(dataset, run)
    if changed:
        warning = (
            f"{dataset.name} has changed since the run began: {', '.join(changed)} now with other examples or labels"
        )
        result = dataclasses.replace(result, warnings=(warning,))
    name = "test" if split == "test" else "validation"
    print(f"{experiment.name} on the {name} {dataset.observed.example}s of {dataset.title}")
    print(result.table())  # before it is kept: in a folder that cannot be written the work is not lost
    record = run / _name_of_evaluation(split, weights)
    write_atomically(record, json_format.dumps(result.to_json(), indent=2) + "\n")


def _name_of_evaluation(split: str, weights: str) -> str:
    """evaluation.json for test images and the latest weights; otherwise with the split and the weights in its name."""
    words = [word for word in (split, Path(weights).stem) if word not in ("test", "weights")]
    return ".".join(["evaluation", *words, "json"])


def _comparison(
    model: nn.Module, experiment: Experiment, dataset: Dataset, split: Split, name: str, keep_layers: int | None
) -> Callable[..., OutOfDistribution]:
    """A function that compares the held-out images with the test images of another data set.

    Raises:
        InvalidInput: they cannot be compared.
        NoDensity: the model has no likelihoods to compare by.
    """
    from avae_lib import evaluation

    evaluation.require_density(model)
    other = _other_data_set(name, experiment, dataset)
    keep_layers = evaluation.layers_to_keep(model, keep_layers)
    images, labels = (dataset.examples(split), other.examples("test")), (dataset.labels(split), other.labels("test"))
    return partial(evaluation.compare_data_sets, model, *images, other.title, keep_layers, labels=labels)


def _distance_of_samples(model: nn.Module, images: Tensor, count: int) -> Callable[..., FrechetDistance]:
    """A function that compares ``count`` samples with held-out images.

    Raises:
        InvalidInput: there are fewer images than that.
        FrechetDistanceUnavailable: something that the distance needs is missing on this machine.
    """
    from avae_lib.evaluation.frechet_distance import frechet_distance, inception_weights, require_enough_images

    require_enough_images(images, count)
    inception_weights()
    return partial(frechet_distance, model, images, count)


def _other_data_set(name: str, experiment: Experiment, dataset: Dataset) -> Dataset:
    """The data set of that name, prepared like ``dataset``; it must have the same kind of observations."""
    other = dataclasses.replace(experiment.data, name=name, validation=0).load()
    if other.observed != dataset.observed:
        raise InvalidInput(
            f"--ood must name {dataset.observed}, like {dataset.name}; {other.name} has {other.observed}"
        )
    return other
