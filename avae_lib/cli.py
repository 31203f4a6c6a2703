"""The ``avae`` command: list presets, train, evaluate, sample."""

from __future__ import annotations

import dataclasses
import json as json_format
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

if TYPE_CHECKING:
    from torch import Tensor, nn

    from avae_lib.data import Dataset
    from avae_lib.evaluation import FrechetDistance, OutOfDistribution
    from avae_lib.training.experiment import Experiment

from avae_lib.errors import InvalidInput, UserError, one_line

__all__ = ["main"]

_DESCRIPTION = """Train and examine deep latent-variable models.

  avae presets                                    what can be trained
  avae train digits-vae                           train it; again, to go on where it stopped
  avae train digits-vae --training.steps 500      with anything overridden
  avae train digits-vae --training.minutes 5      for five minutes; again, to go on where it stopped
  torchrun --nproc-per-node 2 -m avae_lib train digits-vae    by several processes, a GPU each
  avae evaluate runs/digits-vae --split valid     bounds, likelihoods, use of each layer on validation images
  avae evaluate runs/digits-vae                   the same on the test images, once all choices are made
  avae evaluate runs/digits-vae --ood NAME        and how well it tells another data set from its own
  avae sample runs/digits-vae                     pictures
  avae import-openai FILE.th --preset cifar10-vdvae    a run of published weights

Data sets other than the embedded digits are looked for in the folder that AVAE_DATA names.

Exit status: 0 if all went well; 1 if the command failed, with one line that says why; 2 for wrong arguments; 130 if it
was interrupted."""

Run = Annotated[Path, tyro.conf.arg(help="Folder of the run, for example runs/digits-vae.", metavar="RUN")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 1 if it failed, 2 for wrong arguments, 130 if interrupted.

    What a user can put right is one line on standard error; any other exception is a bug and shows a traceback.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _dispatch(arguments)
    except KeyboardInterrupt as interruption:
        return _complain(
            f"{interruption}; the same command goes on from there" if str(interruption) else "stopped", 130
        )
    except UserError as error:
        return _complain(one_line(error), error.exit_status)
    except OSError as error:
        return _complain(one_line(error), 1)
    return 0


def presets(json: bool = False) -> None:
    """List what can be trained: data set, stochastic layers, parameters, and where the numbers come from.

    Args:
        json: Print a JSON array instead, of objects with name, dataset, layers and parameters; and with
            parameters_as_published where the authors of a model have their own way to count.
    """
    from avae_lib.presets import PRESETS, summary

    summaries = [summary(preset) for preset in PRESETS.values()]
    if json:
        print(json_format.dumps([entry.to_json() for entry in summaries], indent=2))
        return
    print(f"{'name':25}{'data set':12}{'layers':>6}{'parameters':>13}")
    for entry in summaries:
        print(f"{entry.name:25}{entry.dataset:12}{entry.layers:6}{entry.parameters:13,}")
        print(f"    {PRESETS[entry.name].source}")


def train(
    preset: Annotated[Positional[str], tyro.conf.arg(metavar="PRESET", help="A name from `avae presets`.")],
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
) -> None:
    """Train a preset, or continue its run. `avae train PRESET --help` lists all that can be overridden.

    Ctrl-C or a kill loses little: the same command resumes from the last checkpoint. A larger number of
    --training.steps continues a finished run. With --training.minutes 20 the command stops after 20 minutes with a
    checkpoint; given again, it goes on from there.

    Learning curve, report and best.safetensors (the best weights so far) are of validation images, which
    --data.validation holds out of the training images. The test images are left to avae evaluate.

    Args:
        run_dir: Folder of the run; runs/PRESET if none is given.
    """
    _train_overridden(preset, [] if run_dir is None else ["--run-dir", str(run_dir)])


def evaluate(
    run: Positional[Run],
    split: Literal["test", "valid"] = "test",
    weights: str = "weights.safetensors",
    importance_samples: int = 64,
    rows: int = 512,
    ood: str | None = None,
    ood_keep_layers: int | None = None,
    fid: int = 0,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Judge a trained model on held-out images or sentences: bounds and likelihoods in nats and bits per dimension.

    A model of sentences has bits per token instead: all bits of all sentences, divided by all their tokens. The end of
    a sentence is one of them.

    Penalties that it was trained with are given by name, and for a codebook how much of it is in use. A model that
    defines no density has no bound and no likelihood: the table has a dash there, and says why.

    Writes evaluation.json into the folder of the run; evaluation.valid.json for validation images, and
    evaluation.best.json, evaluation.valid.best.json, … for other weights than the latest.

    Args:
        split: The images or sentences: test, for the result that is reported, or valid, to choose by.
        weights: File of weights in the folder of the run: weights.safetensors are the latest, best.safetensors those
            that did best on validation images, milestones/000500.safetensors those after 500 updates.
        importance_samples: Draws for each image or sentence in the estimate of the likelihood.
        rows: Most images or sentences that go through the model at once: what bounds the memory, whatever the draws.
        ood: Another data set, to see how well likelihood ratios tell it from this one (Havtorn et al., 2021).
        ood_keep_layers: Top layers that these ratios take as known; half of them if none is given.
        fid: Samples to compare with as many of the images by the Fréchet distance; 0 for no such comparison.
        seed: Seed for drawing the latents.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    from avae_lib import evaluation
    from avae_lib.training.devices import find_device
    from avae_lib.training.runs import load_run

    model, experiment = load_run(run, find_device(device), weights)
    dataset = experiment.data.load()
    images = dataset.examples(split)
    # Whatever cannot be done is said before hours are spent on the rest.
    compare = None if ood is None else _comparison(model, experiment, dataset, split, ood, ood_keep_layers)
    distance = _distance_of_samples(model, images, fid) if fid else None
    draws = {"importance_samples": importance_samples, "rows": rows, "seed": seed}
    labels = dataset.labels(split)
    result = evaluation.evaluate(model, images, **draws, progress=True, dataset=dataset.title, labels=labels)
    result = dataclasses.replace(
        result,
        out_of_distribution=compare and compare(**draws),
        frechet_distance=distance and distance(rows=rows, seed=seed),
    )
    record = run / _name_of_evaluation(split, weights)
    record.write_text(json_format.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    name = "test" if split == "test" else "validation"
    print(f"{experiment.name} on the {name} {dataset.observed.example}s of {dataset.title}")
    print(result.table())


def sample(
    run: Positional[Run], count: int = 64, temperature: float = 1.0, seed: int = 0, device: str = "auto"
) -> None:
    """Draw images or sentences from a trained model.

    Writes samples.png (drawn from the prior) and reconstructions.png (test images, decoded from ever more of
    their layers) into the folder of the run; also classes.png (a row of samples for each class) if the model is
    conditional, and codes.png (how often each code is used for test images) if it has a codebook.
    A model of sentences writes samples.txt, reconstructions.txt and interpolation.txt.

    Args:
        count: Number of images in samples.png, or of sentences in samples.txt.
        temperature: Factor on the prior's standard deviations: below 1 fewer, more typical kinds of images.
        seed: Seed for sampling.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    from avae_lib.run_pictures import write_pictures
    from avae_lib.training.devices import find_device
    from avae_lib.training.runs import load_run

    if count < 1 or temperature < 0:
        raise InvalidInput(f"count must be at least 1 and temperature not negative, got {count} and {temperature}")
    model, experiment = load_run(run, find_device(device))
    for path in write_pictures(model, experiment.data, run, count, temperature, seed):
        print(path)


def import_openai(
    file: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE.th")],
    preset: str | None = None,
    hparams: Path | None = None,
    data: str | None = None,
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
) -> None:
    """Make a run folder of a checkpoint of the Very Deep VAE that OpenAI's code has saved.

    The model is that of a preset, or the one that hyper-parameters under their released names describe.

    Args:
        file: The checkpoint, with weights or averaged weights.
        preset: A preset whose model has these weights, for example cifar10-vdvae.
        hparams: A JSON file of hyper-parameters instead: width, zdim, image_size, enc_blocks, dec_blocks, …
        data: With --hparams: the images to evaluate on, if not those of its dataset.
        run_dir: Folder of the run; runs/FILE if none is given.
    """
    from avae_lib.presets import find_preset
    from avae_lib.training.released_vdvae import experiment_of_hparams, import_checkpoint

    if (preset is None) == (hparams is None):
        raise InvalidInput("say which model the weights are of: either --preset NAME or --hparams FILE.json")
    experiment = find_preset(preset) if hparams is None else experiment_of_hparams(hparams, data)
    run_dir = run_dir or Path("runs") / file.stem
    import_checkpoint(file, experiment, run_dir)
    print(f"{run_dir} is ready; try: avae sample {run_dir}, avae evaluate {run_dir}")


def _name_of_evaluation(split: str, weights: str) -> str:
    """evaluation.json for test images and the latest weights; otherwise with the split and the weights in its name."""
    words = [word for word in (split, Path(weights).stem) if word not in ("test", "weights")]
    return ".".join(["evaluation", *words, "json"])


def _comparison(
    model: nn.Module, experiment: Experiment, dataset: Dataset, split: str, name: str, keep_layers: int | None
) -> Callable[..., OutOfDistribution]:
    """What compares the held-out images with test images of the data set of that name; refused now if impossible."""
    from avae_lib import evaluation

    evaluation.require_density(model)
    other = _other_data_set(name, experiment, dataset)
    keep_layers = evaluation.layers_to_keep(model, keep_layers)
    images, labels = (dataset.examples(split), other.examples("test")), (dataset.labels(split), other.labels("test"))
    return partial(evaluation.compare_data_sets, model, *images, other.title, keep_layers, labels=labels)


def _distance_of_samples(model: nn.Module, images: Tensor, count: int) -> Callable[..., FrechetDistance | None]:
    """What compares so many samples with held-out images; refused now if there are too few of these."""
    from avae_lib import evaluation

    evaluation.require_enough_images(images, count)
    return partial(_frechet_distance, model, images, count)


def _other_data_set(name: str, experiment: Experiment, dataset: Dataset) -> Dataset:
    """The set of that name, seen by models in the same way as ``dataset``, of whose kind it must be."""
    other = dataclasses.replace(experiment.data, name=name, validation=0).load()
    if other.observed != dataset.observed:
        raise InvalidInput(
            f"--ood must name {dataset.observed}, like {dataset.name}; {other.name} has {other.observed}"
        )
    return other


def _frechet_distance(model: nn.Module, images: Tensor, count: int, rows: int, seed: int) -> FrechetDistance | None:
    """The distance, or None, once it is said what is missing for it."""
    from avae_lib.evaluation import frechet_distance
    from avae_lib.evaluation.frechet_distance import FrechetDistanceUnavailable

    try:
        return frechet_distance(model, images, count, rows=rows, seed=seed)
    except FrechetDistanceUnavailable as problem:
        print(problem)
        return None


def _dispatch(arguments: Sequence[str]) -> None:
    if len(arguments) > 1 and arguments[0] == "train" and not arguments[1].startswith("-"):
        # What can be overridden depends on the preset, and the models behind it take seconds to import.
        _train_overridden(arguments[1], arguments[2:])
        return
    commands = {
        "presets": presets,
        "train": train,
        "evaluate": evaluate,
        "sample": sample,
        "import-openai": import_openai,
    }
    tyro.extras.subcommand_cli_from_dict(commands, prog="avae", description=_DESCRIPTION, args=arguments or ["--help"])


def _train_overridden(name: str, overrides: Sequence[str]) -> None:
    from avae_lib.presets import find_preset
    from avae_lib.report import write_report
    from avae_lib.training.distributed import is_leading_process
    from avae_lib.training.runs import train_run

    preset = find_preset(name)
    asked = tyro.cli(_options(preset), prog=f"avae train {name}", args=overrides)
    experiment = dataclasses.replace(preset, data=asked.data, model=asked.model, training=asked.training)
    train_run(experiment, asked.run_dir)
    if not is_leading_process():
        return
    report = write_report(asked.run_dir, progress=True)
    print(f"Look at {report}; then try: avae sample {asked.run_dir}, avae evaluate {asked.run_dir}")


def _options(preset: Experiment) -> type:
    """A dataclass whose fields are the options of ``avae train`` for one preset."""
    folder = Annotated[Path, tyro.conf.arg(help="Folder of the run; a checkpoint that is there is continued.")]
    options = dataclasses.make_dataclass(
        "Options",
        [
            ("run_dir", folder, Path("runs") / preset.name),
            ("data", type(preset.data), preset.data),
            ("model", type(preset.model), preset.model),
            ("training", type(preset.training), preset.training),
        ],
    )
    options.__doc__ = f"Train {preset.name} ({preset.source})."
    return options


def _complain(message: str, status: int) -> int:
    print(f"avae: {message}", file=sys.stderr)
    return status
