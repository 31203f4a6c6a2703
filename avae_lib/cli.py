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
    from avae_lib.data.image_dataset import Split
    from avae_lib.evaluation import FrechetDistance, OutOfDistribution
    from avae_lib.training.experiment import Experiment

from avae_lib.errors import InvalidInput, UserError, one_line

__all__ = ["main"]

_DESCRIPTION = """Train and examine deep latent-variable models.

  avae presets                                    list what can be trained
  avae train digits-vae                           train it; the same command continues a run that was stopped
  avae train digits-vae --training.steps 500      train for 500 updates; any setting can be changed like this
  avae train digits-vae --training.minutes 5      train for five minutes; the same command continues
  torchrun --nproc-per-node 2 -m avae_lib train digits-vae    train with two processes, one GPU each
  avae evaluate runs/digits-vae --split valid     bounds, likelihoods, use of each layer on validation images
  avae evaluate runs/digits-vae                   the same on the test images, once all choices are made
  avae evaluate runs/digits-vae --ood NAME        and how well the model tells another data set from its own
  avae sample runs/digits-vae                     draw images
  avae import-openai FILE.th --preset cifar10-vdvae    make a run folder of published weights

Other data sets than the embedded ones are read from the folder that AVAE_DATA names.

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
        saved = str(interruption)
        return _complain(f"{saved}; the same command continues from there" if saved else "stopped", 130)
    except UserError as error:
        return _complain(one_line(error), error.exit_status)
    except OSError as error:
        return _complain(one_line(error), 1)
    return 0


def presets(json: bool = False) -> None:
    """List the presets: name, data set, stochastic layers, parameters, and the source of the settings.

    Args:
        json: Print a JSON array of objects with name, dataset, layers and parameters instead of a table. Where the
            authors of a model count parameters in another way, an object also has parameters_as_published.
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
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
) -> None:
    """Train a preset, or continue its run. `avae train PRESET --help` lists all settings.

    If training is stopped, by Ctrl-C or a kill, the same command continues from the last checkpoint. A finished run
    continues with a larger --training.steps. With --training.minutes 20 the command saves a checkpoint and stops after
    20 minutes; the same command then continues.

    The learning curve, the report and best.safetensors (the best weights so far) are based on validation images, which
    --data.validation takes out of the training images. Only avae evaluate looks at the test images.

    Args:
        run_dir: Folder of the run; by default runs/PRESET.
    """
    _train_overridden(preset, [] if run_dir is None else ["--run-dir", str(run_dir)])


def evaluate(
    run: Positional[Run],
    split: Literal["test", "valid"] = "test",
    weights: str = "weights.safetensors",
    importance_samples: int = 64,
    rows: int = 512,
    ood: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None,
    ood_keep_layers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None,
    fid: int = 0,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Evaluate a trained model on held-out images or sentences: bounds and likelihoods, in nats and bits per dimension.

    For a model of sentences, the table has bits per token: the bits of all sentences divided by the number of their
    tokens, where the end of a sentence counts as a token.

    Penalties of the training objective are listed by name. For a model with a codebook, the table says how much of the
    codebook is in use. A model that defines no density has neither bound nor likelihood; the table says so.

    The results are written to evaluation.json in the run folder. For validation images the name is
    evaluation.valid.json; for other weights than the latest it is evaluation.best.json, evaluation.valid.best.json, …

    Args:
        split: Images or sentences to evaluate on: test for the final result, valid to choose between models.
        weights: File of weights in the run folder: weights.safetensors has the latest, best.safetensors those with the
            best validation bound, milestones/000500.safetensors those after 500 updates.
        importance_samples: Number of posterior samples per image or sentence, for the estimate of the likelihood.
        rows: Largest number of images or sentences in one batch of the model, samples included. Limits the memory.
        ood: Name of another data set: also evaluate how well likelihood ratios tell its images from those of the
            training set (Havtorn et al., 2021).
        ood_keep_layers: With --ood: number of top layers that the second bound of the ratio infers from the image; the
            layers below are drawn from the prior. By default half of all layers.
        fid: Number of samples to compare with as many held-out images by the Fréchet distance; 0 to leave it out.
        seed: Seed for sampling the latents.
        device: Where to compute: auto (a GPU if there is one), cpu, cuda, …
    """
    from avae_lib import evaluation
    from avae_lib.training.devices import find_device
    from avae_lib.training.runs import load_run

    model, experiment = load_run(run, find_device(device), weights)
    dataset = experiment.data.load()
    images = dataset.examples(split)
    # What is impossible is refused now, before the long work.
    compare = None if ood is None else _comparison(model, experiment, dataset, split, ood, ood_keep_layers)
    distance = _distance_of_samples(model, images, fid) if fid else None
    settings = {"importance_samples": importance_samples, "rows": rows, "seed": seed}
    labels = dataset.labels(split)
    result = evaluation.evaluate(model, images, **settings, progress=True, dataset=dataset.title, labels=labels)
    if compare is not None:
        result = dataclasses.replace(result, out_of_distribution=compare(**settings))
    if distance is not None:
        result = dataclasses.replace(result, frechet_distance=distance(rows=rows, seed=seed))
    record = run / _name_of_evaluation(split, weights)
    record.write_text(json_format.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    name = "test" if split == "test" else "validation"
    print(f"{experiment.name} on the {name} {dataset.observed.example}s of {dataset.title}")
    print(result.table())


def sample(
    run: Positional[Run], count: int = 64, temperature: float = 1.0, seed: int = 0, device: str = "auto"
) -> None:
    """Draw images or sentences from a trained model.

    Writes two pictures to the run folder: samples.png (drawn from the prior) and reconstructions.png (test images,
    decoded from an increasing number of their latent layers). A conditional model also writes classes.png (a row of
    samples for each class), a model with a codebook codes.png (how often test images use each code).
    A model of sentences writes samples.txt, reconstructions.txt and interpolation.txt.

    Args:
        count: Number of images in samples.png, or of sentences in samples.txt.
        temperature: Factor on the standard deviations of the prior. Below 1, samples are more typical and less varied.
        seed: Seed for sampling.
        device: Where to compute: auto (a GPU if there is one), cpu, cuda, …
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
    preset: Annotated[str | None, tyro.conf.arg(metavar="PRESET", help_behavior_hint="")] = None,
    hparams: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json", help_behavior_hint="")] = None,
    data: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None,
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
) -> None:
    """Turn a checkpoint of OpenAI's Very Deep VAE code into a run folder, for avae evaluate and avae sample.

    Say which model the weights belong to, with --preset or with --hparams.

    Args:
        file: The checkpoint, with weights or averaged weights.
        preset: Preset of the model, for example cifar10-vdvae.
        hparams: JSON file with the hyper-parameters of the model under their released names: width, zdim, image_size,
            enc_blocks, dec_blocks, …
        data: With --hparams: data set to evaluate on; by default the one that the file names.
        run_dir: Folder of the run; by default runs/FILE.
    """
    from avae_lib.presets import find_preset
    from avae_lib.training.released_vdvae import experiment_of_hparams, import_checkpoint

    if preset is not None and hparams is None:
        experiment = find_preset(preset)
    elif hparams is not None and preset is None:
        experiment = experiment_of_hparams(hparams, data)
    else:
        raise InvalidInput("say which model the weights are of: either --preset NAME or --hparams FILE.json")
    run_dir = run_dir or Path("runs") / file.stem
    import_checkpoint(file, experiment, run_dir)
    print(f"{run_dir} is ready; try: avae sample {run_dir}, avae evaluate {run_dir}")


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


def _distance_of_samples(model: nn.Module, images: Tensor, count: int) -> Callable[..., FrechetDistance | None]:
    """A function that compares ``count`` samples with held-out images.

    Raises:
        InvalidInput: there are fewer images than that.
    """
    from avae_lib import evaluation

    evaluation.require_enough_images(images, count)
    return partial(_frechet_distance, model, images, count)


def _other_data_set(name: str, experiment: Experiment, dataset: Dataset) -> Dataset:
    """The data set of that name, prepared like ``dataset``; it must have the same kind of observations."""
    other = dataclasses.replace(experiment.data, name=name, validation=0).load()
    if other.observed != dataset.observed:
        raise InvalidInput(
            f"--ood must name {dataset.observed}, like {dataset.name}; {other.name} has {other.observed}"
        )
    return other


def _frechet_distance(model: nn.Module, images: Tensor, count: int, rows: int, seed: int) -> FrechetDistance | None:
    """The distance; None, with a message, if a package that it needs is missing."""
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
    from avae_lib.train_options import parse_train_options
    from avae_lib.training.distributed import is_leading_process
    from avae_lib.training.runs import train_run

    experiment, run_dir = parse_train_options(find_preset(name), overrides)
    train_run(experiment, run_dir)
    if not is_leading_process():
        return
    report = write_report(run_dir, progress=True)
    print(f"Look at {report}; then try: avae sample {run_dir}, avae evaluate {run_dir}")


def _complain(message: str, status: int) -> int:
    print(f"avae: {message}", file=sys.stderr)
    return status
