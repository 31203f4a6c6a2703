"""A Very Deep VAE in the form of OpenAI's released code: names of its weights, and hyper-parameters.

The inverse of :mod:`avae_lib.models.vdvae_import`. The released code (github.com/openai/vdvae, commit ea35b49) knows
fewer models than this library; one that it could not run is refused.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vdvae_import import DATASETS, OPTIONAL, REQUIRED, tensors_by_released_name
from avae_lib.nn.output_heads import ReleasedFiveBitHead

__all__ = ["released_hparams", "to_openai"]

_MIDDLE = 255 / 2
"""Mean and distance of pixels that an encoder sees as x/127.5 − 1."""


def to_openai(model: nn.Module, config: VDVAEConfig) -> dict[str, Tensor]:
    """The weights of a model under the names of the released code.

    :func:`~avae_lib.models.vdvae_import.from_openai` reads them.

    Args:
        model: built from ``config``.

    Returns:
        Copies of the weights on the CPU, ready for ``torch.save`` and for ``load_state_dict`` of the released model.

    Raises:
        ValueError: the released code could not run this model; the message says why.

    >>> from avae_lib.models.vdvae_import import from_openai
    >>> config = VDVAEConfig((3, 8, 8), enc_blocks="8x1,8d8,1x1", dec_blocks="1x1,8m1", width=8, mixtures=2)
    >>> weights = to_openai(config.build(), config)
    >>> weights["decoder.dec_blocks.0.prior.c1.weight"].shape
    torch.Size([2, 8, 1, 1])
    >>> again = to_openai(from_openai(weights, released_hparams(config)), config)
    >>> all(weights[name].equal(again[name]) for name in weights)
    True
    """
    released_hparams(config)  # refuses what the released code does not know
    named = tensors_by_released_name(model)
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in named.items()}


def released_hparams(config: VDVAEConfig) -> dict[str, Any]:
    """Hyper-parameters of a model under their released names.

    :func:`~avae_lib.models.vdvae_import.config_fields` reads them.

    ``dataset`` is there only if the encoder sees pixels as for a data set of the released code.

    Raises:
        ValueError: the released code could not run this model; the message says why.

    >>> released_hparams(VDVAEConfig(latent_channels=8))["zdim"]
    8
    >>> released_hparams(VDVAEConfig((1, 32, 32), group_size=2))
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: OpenAI's code cannot run this model: image_shape has 1 channels and must have 3; ...
    """
    reasons = [*_foreign_parts(config), *_foreign_widths(config), *_foreign_pixels(config)]
    if reasons:
        raise InvalidInput(f"OpenAI's code cannot run this model: {'; '.join(reasons)}")
    hparams = {theirs: getattr(config, ours) for theirs, ours in (REQUIRED | OPTIONAL).items()}
    dataset = _dataset(config)
    known = {} if dataset is None else {"dataset": dataset}
    return hparams | {"image_size": config.image_shape[-1], "image_channels": config.image_shape[0]} | known


def _foreign_parts(config: VDVAEConfig) -> list[str]:
    heads = ("discretized_logistic_mixture", ReleasedFiveBitHead.name)
    reasons = {
        f"image_shape has {config.image_shape[0]} channels and must have 3": config.image_shape[0] != 3,
        f"bits is {config.bits} and must be 8": config.bits != 8,
        f"likelihood is {config.likelihood} and must be {' or '.join(heads)}": config.likelihood not in heads,
        "residual_block must be true": not config.residual_block,
        "upsampling must be nearest": config.upsampling != "nearest",
        f"standard_deviation is {config.standard_deviation} and must be exponential": (
            config.standard_deviation != "exponential"
        ),
        "custom_middle_width_str must be empty": config.custom_middle_width_str != "",
        f"group_size is {config.group_size} and must be 1": config.group_size != 1,
    }
    return [reason for reason, applies in reasons.items() if applies]


def _foreign_widths(config: VDVAEConfig) -> list[str]:
    """The released encoder only ever adds channels as it pools, and its decoder only drops them as it upsamples."""
    widths, size = config.widths, config.image_shape[-1]
    pairs = {(step.resolution, step.resolution // step.pool) for step in config.encoder}
    pairs |= {(step.resolution, step.source) for step in config.decoder if step.source is not None}
    reasons = [
        f"custom_width_str gives resolution {coarse} fewer channels than resolution {fine}"
        for fine, coarse in sorted(pairs)
        if widths[coarse] < widths[fine]
    ]
    if widths[size] != config.width:
        reasons.append(f"custom_width_str must leave the resolution of the image ({size}) at the width {config.width}")
    return reasons


def _foreign_pixels(config: VDVAEConfig) -> list[str]:
    dataset = _dataset(config)
    if dataset is None and not _sees_unit_range(config):
        return [
            f"pixel_mean and pixel_std are {config.pixel_mean} and {config.pixel_std}, which are those of none of "
            f"{', '.join(DATASETS)} with images of {config.image_shape[-1]} pixels, nor x/127.5 − 1 (None and None)"
        ]
    if (config.likelihood == ReleasedFiveBitHead.name) != (dataset == "ffhq_256"):
        return [f"likelihood must be {ReleasedFiveBitHead.name} with the pixels of ffhq_256, and with no others"]
    return []


def _dataset(config: VDVAEConfig) -> str | None:
    """The released data set whose images have this size and are normalised like this."""
    seen = (config.image_shape[-1], config.pixel_mean, config.pixel_std)
    return next((name for name, dataset in DATASETS.items() if tuple(dataset) == seen), None)


def _sees_unit_range(config: VDVAEConfig) -> bool:
    return {config.pixel_mean, config.pixel_std} <= {None, _MIDDLE}
