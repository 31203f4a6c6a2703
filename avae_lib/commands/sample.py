"""``avae sample``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tyro.conf import Positional

from avae_lib.commands.run_argument import Device, Run, Weights
from avae_lib.errors import InvalidInput

if TYPE_CHECKING:
    from avae_lib.observations import AnyModel

__all__ = ["sample"]


def sample(
    run: Positional[Run],
    count: int = 64,
    temperature: tuple[float, ...] = (1.0,),
    weights: Weights = "weights.safetensors",
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Draw images or sentences from a trained model.

    Writes two pictures to the run folder: samples.png (drawn from the prior) and reconstructions.png (validation
    images, or test images if the data set has no others, decoded from a decreasing number of their latent layers). A
    conditional model also writes classes.png (a row of samples for each class), a model with a codebook codes.png (how
    often these images use each code).
    A model of sentences writes samples.txt, reconstructions.txt and interpolation.txt.

    Args:
        count: Number of images in samples.png, or of sentences in samples.txt.
        temperature: Factor on the standard deviations of the prior: one number for all layers, or one for each layer,
            top first, separated by spaces. Below 1, samples are more typical and less varied.
        weights: File of weights in the run folder, for example best.safetensors.
        seed: Seed for sampling.
        device: Where to compute: auto (a GPU if there is one), cpu, cuda, …
    """
    from avae_lib.models.requirements import require_temperature, temperature_as_given
    from avae_lib.run_pictures import write_pictures
    from avae_lib.training.devices import find_device, threads_for
    from avae_lib.training.runs import load_run

    if count < 1:
        raise InvalidInput(f"count must be at least 1, got {count}")
    for of_layer in temperature:
        require_temperature("temperature", of_layer)
    loaded, experiment = load_run(run, find_device(device), weights)
    model: AnyModel = loaded
    of_layers = temperature_as_given(temperature, model.num_layers)
    with threads_for(model):
        for path in write_pictures(model, experiment.data, run, count, of_layers, seed):
            print(path)
