"""Rebuilds a model from ``config.json`` and ``weights.safetensors``; sizes are checked before memory is allocated."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from avae_lib.capstone.budget import BUDGET, Budget
from avae_lib.capstone.weights_header import MalformedFile, StoredTensor, read_header, strict_json
from avae_lib.errors import UserError
from avae_lib.models.biva import BIVAConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.families import config_from_record
from avae_lib.models.flow_vae import FlowVAEConfig
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.nvae import NVAEConfig
from avae_lib.models.text_vae import TextVAEConfig
from avae_lib.models.vampprior import VampPriorVAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.models.vq_vae_2 import VQVAE2Config
from avae_lib.models.wasserstein_ae import WassersteinAEConfig
from avae_lib.nn.output_heads import LIKELIHOODS

__all__ = ["CapstoneRefused", "rebuild", "trained_numbers", "weights_bytes"]

_MOST_MODULES = 5_000
_MOST_TIMES_THE_BUDGET = 4  # a model over the budget is measured all the same, but not one that fills the machine
_LARGEST_INTEGER = 100_000
_MOST_ENTRIES = 64  # of a tuple in a configuration
_LONGEST_TEXT = 300  # characters
_LONGEST_NUMBER_IN_TEXT = 4  # digits: blocks of a VDVAE are counted in a text
_LARGEST_FLOAT = 1e6
_LARGEST_WEIGHT = 1e8
_NO_CLOSED_FORM = "its KL has no closed form, which the grader holds importance weights against"
_REFUSED = {
    TextVAEConfig: "it is a model of sentences, and the capstone is about images",
    VQVAEConfig: "a VQ-VAE defines no density of images, so it has no bits per dimension",
    VQVAE2Config: "a VQ-VAE-2 defines no density of images, so it has no bits per dimension",
    WassersteinAEConfig: "a Wasserstein autoencoder defines no density of images, so it has no bits per dimension",
    ConditionalVAEConfig: "it is conditional on the class of an image, and the images of the capstone have none",
    BIVAConfig: _NO_CLOSED_FORM,
    FlowVAEConfig: _NO_CLOSED_FORM,
    VampPriorVAEConfig: _NO_CLOSED_FORM,
}


class CapstoneRefused(UserError, ValueError):
    """The files of a capstone cannot be accepted; the message says why and what to do."""


def rebuild(config: bytes, weights: bytes, budget: Budget = BUDGET) -> nn.Module:
    """The model with this configuration and these weights, in evaluation mode and float32. Nothing is unpickled.

    Args:
        config: the content of ``config.json``: ``family`` and ``fields``, see :mod:`avae_lib.models.families`.
        weights: the content of ``weights.safetensors``, in float32 or float16.

    Raises:
        CapstoneRefused: the configuration is unknown, unbounded or about other images, or the weights are not those
            of such a model or not finite. A model that is a little over the budget is rebuilt.

    >>> import json
    >>> from avae_lib.models.families import config_to_record
    >>> from avae_lib.models.vae import VAEConfig
    >>> config = VAEConfig((3, 32, 32), bits=8, likelihood="discretized_logistic", hidden_sizes=(16,))
    >>> model = config.build()
    >>> again = rebuild(json.dumps(config_to_record(config)).encode(), weights_bytes(model))
    >>> all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters()))
    True
    """
    kind = _config(config, budget)
    with torch.device("meta"), _bounded(budget):
        wanted = _built(kind).state_dict()
    _require_fitting(_header(weights), wanted)
    with _bounded(budget):
        model = _built(kind)
    model.load_state_dict({name: _as_wanted(tensor) for name, tensor in safetensors.torch.load(weights).items()})
    _require_finite(model.state_dict())
    return model.eval()


def trained_numbers(model: nn.Module) -> int:
    """The number of parameters that training changes, as counted in the budget and the claims.

    >>> trained_numbers(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def weights_bytes(model: nn.Module) -> bytes:
    """The weights as the content of ``weights.safetensors``, in float32.

    >>> content = weights_bytes(nn.Linear(2, 1).half())
    >>> {name: stored.dtype for name, stored in read_header(content).items()} == {"weight": "F32", "bias": "F32"}
    True
    """
    tensors = {name: _as_wanted(tensor.detach().cpu()).contiguous() for name, tensor in model.state_dict().items()}
    return safetensors.torch.save(tensors)


def _as_wanted(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _config(content: bytes, budget: Budget) -> Any:
    try:
        record = strict_json(content)
        _require_bounded(record)
        config = config_from_record(record)
    except (MalformedFile, ValueError) as problem:
        raise CapstoneRefused(f"config.json: {problem}") from None
    if type(config) in _REFUSED:
        raise CapstoneRefused(f"{type(config).__name__} cannot be handed in: {_REFUSED[type(config)]}")
    if isinstance(config, NVAEConfig) and config.flows:
        raise CapstoneRefused(f"NVAEConfig with flows cannot be handed in: {_NO_CLOSED_FORM}")
    if isinstance(config, LadderConfig) and config.inference == "bottom_up":
        raise CapstoneRefused(f"LadderConfig with bottom_up inference cannot be handed in: {_NO_CLOSED_FORM}")
    _require_proper_likelihood(config)
    _require_images_of(config, budget)
    return config


def _require_proper_likelihood(config: Any) -> None:
    """Refuse likelihoods that are kept as published, and whose probabilities of all levels sum to more than 1."""
    if config.likelihood not in LIKELIHOODS:
        raise CapstoneRefused(
            f"config.json: likelihood must be one of {', '.join(LIKELIHOODS)}, got {config.likelihood!r}: "
            "it must be a distribution over all levels of a pixel"
        )
    if getattr(config, "faithful", False):
        raise CapstoneRefused(
            "config.json: faithful must be false: the published likelihood counts level 254 of a pixel twice"
        )


def _require_bounded(record: Any) -> None:
    """Refuse what no sensible model needs, before anything is made of it."""
    fields = record.get("fields") if isinstance(record, dict) else None
    for name, value in fields.items() if isinstance(fields, dict) else ():
        name = name[:40]
        entries = value if isinstance(value, list) else [value]
        if len(entries) > _MOST_ENTRIES:
            raise CapstoneRefused(f"{name} has {len(entries)} entries, more than {_MOST_ENTRIES}")
        for entry in entries:
            _require_moderate(name, entry)


def _require_moderate(name: str, value: Any) -> None:
    if isinstance(value, dict | list):
        raise CapstoneRefused(f"{name} is nested: fields are numbers, texts, or lists of numbers")
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise CapstoneRefused(f"{name} is {value:,}, beyond {_LARGEST_INTEGER:,}")
    if isinstance(value, float) and abs(value) > _LARGEST_FLOAT:
        raise CapstoneRefused(f"{name} is {value:g}, beyond {_LARGEST_FLOAT:g}")
    if isinstance(value, str):
        if len(value) > _LONGEST_TEXT:
            raise CapstoneRefused(f"{name} has {len(value):,} characters, more than {_LONGEST_TEXT}")
        if not value.isascii() or re.search(rf"\d{{{_LONGEST_NUMBER_IN_TEXT + 1}}}", value):
            raise CapstoneRefused(f"{name} holds a number of more than {_LONGEST_NUMBER_IN_TEXT} digits, or odd signs")


def _require_images_of(config: Any, budget: Budget) -> None:
    shape, bits = _IMAGES.get(budget.data_set) or _images_of(budget)
    if tuple(config.image_shape) != shape or config.bits != bits:
        raise CapstoneRefused(
            f"config.json: the images of {budget.data_set} have shape {shape} and {_in_words(bits)}, got a model of "
            f"shape {tuple(config.image_shape)} and {_in_words(config.bits)}"
        )


def _in_words(bits: int) -> str:
    return f"{bits} bit{'s' * (bits != 1)}"


_IMAGES = {"photos32": ((3, 32, 32), 8)}  # known without loading it


def _images_of(budget: Budget) -> tuple[tuple[int, ...], int]:
    from avae_lib.data import ImageDataset, load

    dataset = load(budget.data_set)
    assert isinstance(dataset, ImageDataset), "a capstone is about images"
    return tuple(dataset.test.shape[1:]), dataset.bits


@contextlib.contextmanager
def _bounded(budget: Budget) -> Iterator[None]:
    """A block in which building a model is refused as soon as it has too many modules or numbers."""
    counts = {"modules": 0, "numbers": 0}
    most_numbers = _MOST_TIMES_THE_BUDGET * budget.max_parameters

    def count(what: str, more: int, most: int, name: str) -> None:
        counts[what] += more
        if counts[what] > most:
            raise CapstoneRefused(f"config.json: the model has more than {most:,} {name}")

    def count_module(*_: Any) -> None:
        count("modules", 1, _MOST_MODULES, "parts")

    def count_numbers(_: nn.Module, __: str, tensor: Tensor | None) -> None:
        if tensor is not None:
            within = f"parameters; the budget is {budget.max_parameters:,}"
            count("numbers", tensor.numel(), most_numbers, within)

    handles = (
        hooks.register_module_module_registration_hook(count_module),
        hooks.register_module_parameter_registration_hook(count_numbers),
        hooks.register_module_buffer_registration_hook(count_numbers),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _built(config: Any) -> nn.Module:
    try:
        return config.build()
    except CapstoneRefused:
        raise
    except (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError, RecursionError, LookupError) as problem:
        said = str(problem).split("\n")[0][:200]
        raise CapstoneRefused(f"config.json: no model can be built of it ({said})") from None


def _header(weights: bytes) -> Mapping[str, StoredTensor]:
    try:
        return read_header(weights)
    except MalformedFile as problem:
        raise CapstoneRefused(f"weights.safetensors: {problem}") from None


def _require_fitting(stored: Mapping[str, StoredTensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not exactly those of the configured model."""
    for what, names in (("lacks", wanted.keys() - stored.keys()), ("has", stored.keys() - wanted.keys())):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            need = "which the model of config.json needs" if what == "lacks" else "which the model of config.json lacks"
            raise CapstoneRefused(f"weights.safetensors {what} {min(names)}{more}, {need}")
    for name, tensor in wanted.items():
        if stored[name].shape != tuple(tensor.shape):
            raise CapstoneRefused(
                f"weights.safetensors: {name} has shape {stored[name].shape}, and the model of config.json needs "
                f"{tuple(tensor.shape)}"
            )
        if stored[name].is_float != tensor.is_floating_point():
            raise CapstoneRefused(f"weights.safetensors: {name} is of type {stored[name].dtype}, which does not fit")


def _require_finite(state: Mapping[str, Tensor]) -> None:
    for name, tensor in state.items():
        largest = float(tensor.abs().max()) if tensor.numel() else 0.0
        if not math.isfinite(largest):
            raise CapstoneRefused(f"weights.safetensors: {name} holds numbers that are not finite")
        if tensor.is_floating_point() and largest > _LARGEST_WEIGHT:
            raise CapstoneRefused(f"weights.safetensors: {name} holds {largest:.3g}, beyond {_LARGEST_WEIGHT:g}")
