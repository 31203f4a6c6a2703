"""``avae interpolate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from avae_lib.commands.run_argument import Device, Run, Weights
from avae_lib.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

    from avae_lib.data import Dataset
    from avae_lib.data.image_dataset import Split
    from avae_lib.observations import AnyModel

__all__ = ["interpolate"]


def interpolate(
    run: Positional[Run],
    first: Annotated[int, tyro.conf.arg(name="from", metavar="I")] = 0,
    last: Annotated[int, tyro.conf.arg(name="to", metavar="J")] = 1,
    steps: int = 9,
    layers: Annotated[int | None, tyro.conf.arg(metavar="K", help_behavior_hint="")] = None,
    below: Literal["prior", "image"] = "prior",
    temperature: tuple[float, ...] = (1.0,),
    posterior_temperature: float = 1.0,
    layer: Annotated[int, tyro.conf.arg(metavar="L")] = 1,
    units: Annotated[tuple[int, ...], tyro.conf.arg(metavar="U", help_behavior_hint="")] = (),
    split: Literal["valid", "test"] = "valid",
    weights: Weights = "weights.safetensors",
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Decode a path between the latents of two held-out images, and vary single latents.

    Writes two pictures to the run folder: interpolation.png, with the two images at the ends of each row, and
    traversal.png, where in each row one latent of the first image moves from -3 to 3 standard deviations of its prior.
    Codes have no order, so a model with codes gets the first picture only. A model of sentences writes
    interpolation.txt: what is decoded on the straight line between the posterior means of two sentences.

    Latents with a Gaussian prior move on an arc, not on a straight line: the middle of a line lies nearer to the
    prior's mean than nearly all draws of the prior do.

    Args:
        first: Number of the first image or sentence in the split, from 0.
        last: Number of the last image or sentence.
        steps: Number of decoded images, those of both ends included.
        layers: Number of layers, from the top, that move in interpolation.png. By default a row for all layers and, for
            a model of several layers, a row for the upper half of them.
        below: Where the layers below the moving ones come from in both pictures: drawn from the prior, with the same
            noise in all images, or inferred from the first image.
        temperature: Factor on the standard deviations of the prior where layers are drawn from it: one number for all
            layers, or one for each layer, top first, separated by spaces.
        posterior_temperature: Factor on the standard deviations of the posterior of the two images; 0 takes its means.
        layer: Number of the layer in traversal.png, 1 for the top.
        units: Numbers of the latents of that layer in traversal.png, from 1, separated by spaces; of a feature map,
            numbers of its channels. By default the six whose posterior is farthest from the prior.
        split: Which images: valid for validation images (test images if the data set has no others), or test.
        weights: File of weights in the run folder, for example best.safetensors.
        seed: Seed for all that is drawn.
        device: Where to compute: auto (a GPU if there is one), cpu, cuda, …
    """
    from avae_lib.evaluation.evaluation_mode import measuring
    from avae_lib.latent_paths import require_latents, traverse
    from avae_lib.models.contract import ModelWithCodes
    from avae_lib.models.requirements import temperature_as_given
    from avae_lib.observations import Tokens, observed_by
    from avae_lib.run_pictures import write_interpolation, write_traversal
    from avae_lib.run_sentences import write_interpolated
    from avae_lib.training.devices import find_device, threads_for
    from avae_lib.training.runs import load_run

    loaded, experiment = load_run(run, find_device(device), weights)
    model: AnyModel = loaded
    require_latents(model)
    title, (start, end), labels = _ends(experiment.data.load(), split, first, last)
    drawn: dict[str, Any] = {
        "temperature": temperature_as_given(temperature, model.num_layers),
        "posterior_temperature": posterior_temperature,
        "below": below,
        "seed": seed,
    }
    with threads_for(model):
        if isinstance(observed_by(model), Tokens):
            _require_options_of_sentences(layers, layer, units)
            print(write_interpolated(model, start, end, run / "interpolation.txt", steps))
            return
        of_first = {"labels": None if labels is None else labels[:1], **drawn}
        if not isinstance(model, ModelWithCodes):  # what is impossible is refused before the first picture
            with measuring(model):
                for unit in units or (1,):
                    traverse(model, start, layer=layer, unit=unit, steps=2, **of_first)
        options = {"layers": layers, "labels": labels, "title": title, **drawn}
        print(write_interpolation(model, start, end, run / "interpolation.png", steps, **options))
        if not isinstance(model, ModelWithCodes):
            options = {"units": units or None, **of_first}
            print(write_traversal(model, start, run / "traversal.png", layer, steps, **options))


def _require_options_of_sentences(layers: int | None, layer: int, units: tuple[int, ...]) -> None:
    for option, is_given in (("--layers", layers is not None), ("--layer", layer != 1), ("--units", bool(units))):
        if is_given:
            raise InvalidInput(f"{option} is for models of images: leave it out for this model of sentences")


def _ends(dataset: Dataset, split: Split, first: int, last: int) -> tuple[str, tuple[Tensor, Tensor], Tensor | None]:
    """A title, the two examples, and their labels if models get any.

    Raises:
        InvalidInput: there is no such example.
    """
    from avae_lib.data import split_to_look_at

    if split == "valid":
        split = split_to_look_at(dataset)
    examples, labels = dataset.examples(split), dataset.labels(split)
    kind = f"{'validation' if split == 'valid' else 'test'} {dataset.observed.example}"
    for option, number in (("--from", first), ("--to", last)):
        if number not in range(len(examples)):
            raise InvalidInput(f"{option} must be the number of a {kind}, 0 … {len(examples) - 1}, got {number}")
    classes = None if labels is None else labels[[first, last]]
    return f"{kind}s {first} and {last}", (examples[first], examples[last]), classes
