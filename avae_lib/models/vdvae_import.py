"""The weights and hyper-parameters of the released Very Deep VAE, translated to our names.

Read from github.com/openai/vdvae, commit ea35b49: names, shapes and the normalisation of pixels.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.models.hierarchy import Hierarchy
from avae_lib.models.vdvae import VDVAEConfig

__all__ = [
    "DATASETS",
    "OPTIONAL",
    "REQUIRED",
    "config_fields",
    "from_openai",
    "load_released_weights",
    "tensors_by_released_name",
]


class ReleasedDataset(NamedTuple):
    """What the released code does to the pixels of a data set, on the scale 0 … 255."""

    image_size: int
    pixel_mean: float
    """What the encoder sees as 0."""
    pixel_std: float
    """Distance from it that the encoder sees as 1."""


DATASETS = {
    "cifar10": ReleasedDataset(32, 120.63838, 64.16736),
    "imagenet32": ReleasedDataset(32, 116.2373, 69.37404),
    "imagenet64": ReleasedDataset(64, 115.92961967, 69.37404),
    "ffhq_256": ReleasedDataset(256, 112.8666757481, 69.84780273),
    "ffhq_1024": ReleasedDataset(1024, 255 * 0.4387, 255 * 0.2743),
}
"""Data sets of the released code. Of ffhq_256 its likelihood sees five bits: likelihood released_five_bits."""

REQUIRED = {"width": "width", "zdim": "latent_channels", "enc_blocks": "enc_blocks", "dec_blocks": "dec_blocks"}
"""Hyper-parameters that a file must hold, by their released names, and ours."""
OPTIONAL = {
    "bottleneck_multiple": "bottleneck_multiple",
    "no_bias_above": "no_bias_above",
    "num_mixtures": "mixtures",
    "custom_width_str": "custom_width_str",
}
"""Hyper-parameters with a default, by their released names, and ours."""

_RELEASED_NAMES = (
    (r"bottom_up\.stem\.convolution\.", "encoder.in_conv."),
    (r"bottom_up\.blocks\.(\d+)\.0\.", r"encoder.enc_blocks.\1."),
    (r"layers\.(\d+)\.posterior\.", r"decoder.dec_blocks.\1.enc."),
    (r"layers\.(\d+)\.prior\.", r"decoder.dec_blocks.\1.prior."),
    (r"layers\.(\d+)\.residual\.", r"decoder.dec_blocks.\1.resnet."),
    (r"layers\.(\d+)\.from_latent\.", r"decoder.dec_blocks.\1.z_proj."),
    (r"readout\.", "decoder."),
    (r"head\.projection\.", "decoder.out_net.out_conv."),
)
"""Our names of parameters, as patterns, and theirs. Numbers of convolutions and of starting streams come on top."""


def from_openai(state_dict: Mapping[str, Tensor], hparams: Any) -> Hierarchy:
    """Our model with the weights of a checkpoint of the released code, averaged or not.

    Args:
        state_dict: the checkpoint; names may begin with ``module.``, as distributed training leaves them.
        hparams: hyper-parameters by their released names, a mapping or an object with attributes: ``width``,
            ``zdim``, ``image_size``, ``image_channels``, ``dec_blocks``, ``enc_blocks``, ``bottleneck_multiple``,
            ``no_bias_above``, ``num_mixtures``, ``custom_width_str``, and ``dataset``, which sets what the encoder
            sees: without it x/127.5 − 1.

    Raises:
        ValueError: hyper-parameters are missing, or names or shapes in the checkpoint are not those of such a model.

    >>> hparams = {"width": 8, "zdim": 2, "enc_blocks": "8x1", "dec_blocks": "8x1", "image_size": 8}
    >>> from_openai({}, hparams)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: the checkpoint is not of the model that hparams describe: 41 names are missing ...
    """
    model = VDVAEConfig(**config_fields(hparams)).build()
    load_released_weights(model, state_dict)
    return model


def config_fields(hparams: Any) -> dict[str, Any]:
    """Fields of a :class:`avae_lib.models.vdvae.VDVAEConfig` from released hyper-parameters.

    Args:
        hparams: a mapping, or an object with attributes. What is None counts as absent.

    Raises:
        ValueError: a hyper-parameter that has no default is absent, or the data set is not one of ``DATASETS``.

    >>> fields = config_fields({"width": 8, "zdim": 2, "enc_blocks": "8x1", "dec_blocks": "8x1", "image_size": 8})
    >>> fields["latent_channels"], fields["image_shape"]
    (2, (3, 8, 8))
    """
    given = _given(hparams)
    dataset = _dataset(given)
    size = given.get("image_size") or (dataset and dataset.image_size)
    absent = [name for name in REQUIRED if name not in given] + ([] if size else ["image_size"])
    if absent:
        raise InvalidInput(f"hparams must hold {', '.join(absent)}; it holds {', '.join(given) or 'nothing'}")
    fields = {ours: given[theirs] for theirs, ours in (REQUIRED | OPTIONAL).items() if theirs in given}
    fields["image_shape"] = (given.get("image_channels", 3), size, size)
    if dataset is not None:
        fields |= {"pixel_mean": dataset.pixel_mean, "pixel_std": dataset.pixel_std}
    if given.get("dataset") == "ffhq_256":
        fields["likelihood"] = "released_five_bits"
    return fields


def load_released_weights(model: nn.Module, state_dict: Mapping[str, Tensor], preset: str | None = None) -> None:
    """Give ``model``, built from :func:`config_fields`, the weights of a released checkpoint.

    Args:
        preset: name of the preset that the model is of, for messages; None if hyper-parameters describe it.

    Raises:
        ValueError: names are missing or unknown, shapes differ, or what is there are no finite floating-point numbers;
            the message names the first of each.

    >>> hparams = {"width": 8, "zdim": 2, "enc_blocks": "8x1", "dec_blocks": "8x1", "image_size": 8}
    >>> model = VDVAEConfig(**config_fields(hparams)).build()
    >>> load_released_weights(model, {"encoder.in_conv.weight": torch.zeros(1)})
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: the checkpoint is not of the model that hparams describe: 40 names are missing ...
    """
    given = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    wanted = tensors_by_released_name(model)
    _require_same_names(wanted, given, preset)
    _require_same_shapes(wanted, given, preset)
    _require_finite_numbers({name: given[name] for name in wanted})
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(given[name])


def tensors_by_released_name(model: nn.Module) -> dict[str, Tensor]:
    """The parameters of a Very Deep VAE, not copied, by their names in the released code.

    >>> model = VDVAEConfig((3, 8, 8), enc_blocks="8x1", dec_blocks="8x1", width=8).build()
    >>> "decoder.out_net.out_conv.weight" in tensors_by_released_name(model)
    True
    """
    tensors = model.state_dict()
    constants = sorted(int(name.rpartition(".")[2]) for name in tensors if name.startswith("top.constants."))
    return {_released_name(name, constants): tensor for name, tensor in tensors.items()}


def _given(hparams: Any) -> dict[str, Any]:
    names = (*REQUIRED, *OPTIONAL, "image_size", "image_channels", "dataset")
    if isinstance(hparams, Mapping):
        values = {name: hparams.get(name) for name in names}
    else:
        values = {name: getattr(hparams, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _dataset(given: Mapping[str, Any]) -> ReleasedDataset | None:
    name = given.get("dataset")
    if name is not None and not (isinstance(name, str) and name in DATASETS):
        raise InvalidInput(
            f"dataset must be one of {', '.join(DATASETS)}, got {name!r}; leave it out for an encoder that sees "
            "x/127.5 − 1"
        )
    return DATASETS.get(name) if name is not None else None


def _released_name(name: str, constants: list[int]) -> str:
    """Their name of our parameter; ``constants`` are the resolutions whose streams start from learned constants."""
    if name.startswith("top.constants."):
        return f"decoder.bias_xs.{constants.index(int(name.rpartition('.')[2]))}"
    for ours, theirs in _RELEASED_NAMES:
        name = re.sub(rf"^{ours}", theirs, name)
    return re.sub(r"convolutions\.(\d)", lambda found: f"c{int(found[1]) + 1}", name)


def _require_same_names(wanted: Collection[str], given: Collection[str], preset: str | None) -> None:
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    complaints = [
        f"{len(names)} {what} ({_first_of(names)})"
        for what, names in (("names are missing", missing), ("names are unknown", unknown))
        if names
    ]
    if complaints:
        raise _other_model(" and ".join(complaints), "enc_blocks, dec_blocks, image_size and no_bias_above", preset)


def _require_same_shapes(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], preset: str | None) -> None:
    misshapen = [
        f"{name} should be {tuple(tensor.shape)} and is {tuple(given[name].shape)}"
        for name, tensor in wanted.items()
        if given[name].shape != tensor.shape
    ]
    if misshapen:
        differing = f"{len(misshapen)} shapes differ ({_first_of(misshapen)})"
        names = "width, zdim, bottleneck_multiple, num_mixtures and custom_width_str"
        raise _other_model(differing, names, preset)


def _other_model(differing: str, hparams: str, preset: str | None) -> InvalidInput:
    if preset is None:
        return InvalidInput(f"the checkpoint is not of the model that hparams describe: {differing}. Check {hparams}")
    return InvalidInput(
        f"the checkpoint is not of the model of the preset {preset}: {differing}. Choose the preset of these weights, "
        "or describe their model with --hparams FILE.json in place of --preset"
    )


def _require_finite_numbers(given: Mapping[str, Tensor]) -> None:
    """A checkpoint of training that diverged, or of other numbers, has the right names and shapes all the same."""
    other = [
        f"{name} is {tensor.dtype} ({tensor.layout})"
        for name, tensor in given.items()
        if not tensor.is_floating_point() or tensor.layout != torch.strided
    ]
    if other:
        raise InvalidInput(
            f"the checkpoint must hold dense floating-point weights: {_first_of(other)}. Choose another file"
        )
    spoilt = [name for name, tensor in given.items() if not tensor.float().isfinite().all()]
    if spoilt:
        raise InvalidInput(
            f"{len(spoilt)} weights of the checkpoint hold NaN or infinity ({_first_of(spoilt)}). Choose a file from "
            "before that happened"
        )


def _first_of(names: list[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (", …" if len(names) > shown else "")
