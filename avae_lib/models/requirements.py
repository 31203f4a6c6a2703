"""What models and their configurations refuse, each with a message that names the argument and what was wanted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.errors import InvalidInput

__all__ = [
    "require_at_least",
    "require_count",
    "require_default",
    "require_draws",
    "require_image_kind",
    "require_labels",
    "require_latent_shape",
    "require_layer_count",
    "require_mixtures_used",
    "require_pixels",
    "require_sizes",
    "require_temperature",
    "temperature_as_given",
    "temperature_of_each_layer",
]


def require_at_least(least: int, config: object, *names: str) -> None:
    """Refuse a configuration in which a named field is less than ``least``.

    Raises:
        ValueError: names the field and what it holds.

    >>> from types import SimpleNamespace
    >>> require_at_least(1, SimpleNamespace(layers=0), "layers")
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: layers must be at least 1, got 0
    """
    for name in names:
        if getattr(config, name) < least:
            raise InvalidInput(f"{name} must be at least {least}, got {getattr(config, name)}")


def require_sizes(config: object, first: str, *others: str) -> None:
    """Refuse anything but one or more sizes of at least 1 in the named fields, as many in each as in the first.

    Raises:
        ValueError: names the field and what it holds.

    >>> from types import SimpleNamespace
    >>> require_sizes(SimpleNamespace(latent_dims=(4, 2), hidden_sizes=(8,)), "latent_dims", "hidden_sizes")
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: hidden_sizes must be as many as latent_dims, got 1 for 2
    """
    for name in (first, *others):
        sizes = getattr(config, name)
        if not sizes or min(sizes) < 1:
            raise InvalidInput(f"{name} must be one or more sizes of at least 1, got {sizes}")
    wanted = len(getattr(config, first))
    for name in others:
        if len(getattr(config, name)) != wanted:
            raise InvalidInput(f"{name} must be as many as {first}, got {len(getattr(config, name))} for {wanted}")


def require_mixtures_used(config: Any) -> None:
    """Refuse a number of mixture components beside a likelihood that has none; the field's default is accepted.

    Raises:
        ValueError: the likelihood is bernoulli and ``mixtures`` is not the default.

    >>> from avae_lib.models.vae import VAEConfig
    >>> VAEConfig(likelihood="bernoulli", mixtures=5)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: mixtures has no effect with likelihood=bernoulli: leave it at 1, the default; got 5
    """
    if config.likelihood == "bernoulli":
        require_default(config, "mixtures", "likelihood=bernoulli")


def require_default(config: Any, name: str, setting: str) -> None:
    """Refuse a value other than the default in a field that has no effect.

    Args:
        setting: the other field and its value, because of which it has none.

    Raises:
        ValueError: names both, the default and what the field holds.

    >>> from avae_lib.models.flow_vae import FlowVAEConfig
    >>> FlowVAEConfig(flow="planar", context_dim=8)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: context_dim has no effect with flow=planar: leave it at 32, the default; got 8
    """
    default = next(field.default for field in dataclasses.fields(config) if field.name == name)
    value = getattr(config, name)
    if value != default:
        raise InvalidInput(f"{name} has no effect with {setting}: leave it at {default}, the default; got {value}")


def require_pixels(x: Tensor, image_shape: tuple[int, int, int], bits: int) -> None:
    """Refuse anything but a batch of images with levels 0 … 2**bits − 1.

    Levels are looked at on the CPU only: on an accelerator each look would stop the queue.

    Raises:
        TypeError: not a tensor, or not uint8.
        ValueError: another shape, or a level that the bits cannot hold.

    >>> require_pixels(torch.zeros(1, 1, 8, 8), image_shape=(1, 8, 8), bits=4)
    Traceback (most recent call last):
        ...
    TypeError: x must be uint8 pixel levels 0 … 15, got torch.float32: ...
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor of uint8 pixel levels, got {type(x).__name__}: try torch.from_numpy")
    if x.dtype != torch.uint8:
        raise TypeError(
            f"x must be uint8 pixel levels 0 … {2**bits - 1}, got {x.dtype}: the model scales them itself; "
            "undo any scaling and convert with .to(torch.uint8)"
        )
    if tuple(x.shape[1:]) != tuple(image_shape) or len(x) == 0:
        raise InvalidInput(
            f"x must be a batch of images (batch, {', '.join(map(str, image_shape))}), got {tuple(x.shape)}"
        )
    if bits < 8 and x.device.type == "cpu" and not torch.compiler.is_compiling() and int(x.max()) >= 2**bits:
        raise InvalidInput(
            f"x must hold levels 0 … {2**bits - 1} ({bits} bit{'s' * (bits != 1)}), got {int(x.max())}: "
            "set the model's bits to those of the data set"
        )


def require_image_kind(image_shape: tuple[int, int, int], bits: int) -> None:
    """Refuse a configuration for images that there are not.

    Raises:
        ValueError: not three sizes of at least 1, or bits that uint8 doesn't hold.

    >>> require_image_kind((1, 8, 8), bits=16)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: bits must be 1 to 8, as pixels are uint8, got 16
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise InvalidInput(f"image_shape must be channels, height and width, each at least 1, got {image_shape}")
    if not 1 <= bits <= 8:
        raise InvalidInput(f"bits must be 1 to 8, as pixels are uint8, got {bits}")


def require_labels(labels: Tensor | None, batch: int, num_classes: int) -> None:
    """Refuse anything but one class for each example.

    Values are looked at on the CPU only: on an accelerator each look would stop the queue.

    Raises:
        TypeError: not a tensor, or not int64.
        ValueError: None, another number of labels, or a class that there is not.

    >>> require_labels(torch.tensor([0, 3]), batch=2, num_classes=3)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: labels must be classes 0 … 2, got 0 … 3
    """
    if labels is None:
        raise InvalidInput(f"labels must be given, ({batch},) with classes 0 … {num_classes - 1}: the model needs them")
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a tensor of int64 classes, got {type(labels).__name__}: try torch.tensor")
    if labels.dtype != torch.int64:
        raise TypeError(f"labels must be int64 classes 0 … {num_classes - 1}, got {labels.dtype}: try .long()")
    if labels.shape != (batch,):
        raise InvalidInput(f"labels must hold one class for each image, ({batch},), got {tuple(labels.shape)}")
    if labels.device.type == "cpu" and not torch.compiler.is_compiling():
        least, largest = int(labels.min()), int(labels.max())
        if least < 0 or largest >= num_classes:
            raise InvalidInput(f"labels must be classes 0 … {num_classes - 1}, got {least} … {largest}")


def temperature_of_each_layer(
    temperature: float | Sequence[float] | Float[Tensor, " layers"] | Float[np.ndarray, " layers"], num_layers: int
) -> tuple[float, ...]:
    """One temperature for each layer, top first, from a single number or a sequence, a tensor or an array of them.

    Raises:
        ValueError: not one number and not one for each layer, or one that is negative or not finite.

    >>> temperature_of_each_layer(0.7, num_layers=3)
    (0.7, 0.7, 0.7)
    """
    given: Any = temperature.tolist() if isinstance(temperature, Tensor | np.ndarray) else temperature
    temperatures = cast("tuple[float, ...]", (given,) * num_layers if isinstance(given, Real) else tuple(given))
    if len(temperatures) != num_layers:
        raise InvalidInput(
            f"temperature must be one number, or one for each of the {num_layers} layers (top first); "
            f"got {len(temperatures)} numbers"
        )
    for of_layer in temperatures:
        require_temperature("temperature", of_layer)
    return temperatures


def temperature_as_given(numbers: Sequence[float], num_layers: int) -> float | tuple[float, ...]:
    """The numbers of a command line: a single one stands for all layers, several are one for each.

    Raises:
        ValueError: as for :func:`temperature_of_each_layer`.

    >>> temperature_as_given((0.7,), num_layers=3), temperature_as_given((1.0, 0.5), num_layers=2)
    (0.7, (1.0, 0.5))
    """
    given = numbers[0] if len(numbers) == 1 else tuple(numbers)
    temperature_of_each_layer(given, num_layers)
    return given


def require_temperature(name: str, temperature: float) -> None:
    """Refuse what is no factor on a standard deviation.

    Raises:
        ValueError: not a number, negative or not finite.

    >>> require_temperature("temperature", -1.0)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: temperature must be a number, 0 (no noise) or more, got -1.0
    """
    if not (isinstance(temperature, Real) and 0 <= temperature < math.inf):
        raise InvalidInput(f"{name} must be a number, 0 (no noise) or more, got {temperature!r}")


def require_count(n: int) -> None:
    """Refuse what is no number of images to draw.

    Raises:
        ValueError: not a whole number, or below 1.

    >>> require_count(0)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: n must be a whole number of images, at least 1, got 0
    """
    if not (isinstance(n, Integral) and n >= 1):
        raise InvalidInput(f"n must be a whole number of images, at least 1, got {n!r}")


def require_layer_count(keep_layers: int | None) -> None:
    """Refuse numbers of layers to keep that a model with one layer does not have.

    Raises:
        ValueError: not 0, 1 or None.

    >>> require_layer_count(2)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: keep_layers must be 0, 1 or None: this model has one layer, got 2
    """
    if keep_layers not in (None, 0, 1):
        raise InvalidInput(f"keep_layers must be 0, 1 or None: this model has one layer, got {keep_layers}")


def require_draws(draws: Tensor | Sequence[Tensor | None], num_layers: int) -> list[Tensor | None]:
    """The latents to decode, one item for each layer, top first; None where the layer is to be drawn from the prior.

    Args:
        draws: as many items or fewer; a single tensor stands for the top layer.

    Raises:
        ValueError: more items than layers, something that is no tensor, no latent at all, or batches of several sizes.

    >>> require_draws([torch.zeros(5, 2)], num_layers=3)[1:]
    [None, None]
    >>> require_draws([torch.zeros(5, 2), torch.zeros(4, 2)], num_layers=3)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: draws must have equally many examples in all layers, got 5 and 4
    """
    if not isinstance(draws, Tensor | Sequence):
        hint = ": decode(inference.draws)" if hasattr(draws, "draws") else ""
        raise InvalidInput(f"draws must be latents of each layer, or of the top one, got {type(draws).__name__}{hint}")
    given = [draws] if isinstance(draws, Tensor) else list(draws)
    if len(given) > num_layers:
        raise InvalidInput(f"draws must have at most {num_layers} items, one for each layer, got {len(given)}")
    for layer, z in enumerate(given):
        if z is not None and not (isinstance(z, Tensor) and z.ndim):
            kind = "a tensor without dimensions" if isinstance(z, Tensor) else type(z).__name__
            raise InvalidInput(f"draws[{layer}] must be a tensor (batch, …), or None to draw this layer, got {kind}")
    batches = list(dict.fromkeys(len(z) for z in given if z is not None))
    if not batches:
        raise InvalidInput("draws must hold the latents of at least one layer; call sample(n) to draw all layers")
    if len(batches) > 1:
        raise InvalidInput(
            f"draws must have equally many examples in all layers, got {' and '.join(map(str, batches))}"
        )
    return given + [None] * (num_layers - len(given))


def require_latent_shape(layer: int, z: Tensor, shape: Sequence[int]) -> None:
    """Refuse latents of a layer that do not have its shape, the batch left out.

    Raises:
        ValueError: names the item of ``draws``, what was wanted and what it is.

    >>> require_latent_shape(0, torch.zeros(5, 3), (2,))
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: draws[0] must be (batch, 2), the latents of this layer, got (5, 3)
    """
    if tuple(z.shape[1:]) != tuple(shape):
        wanted = ", ".join(map(str, shape))
        raise InvalidInput(f"draws[{layer}] must be (batch, {wanted}), the latents of this layer, got {tuple(z.shape)}")
