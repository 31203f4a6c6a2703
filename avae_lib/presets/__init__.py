"""Named experiments. Each can be trained as it is, or with any of its fields overridden.

Every module here with a tuple ``PRESETS`` belongs to the list, and so does every plugin (:mod:`avae_lib.plugins`).
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping

import torch

from avae_lib.data import DatasetError
from avae_lib.errors import UserError
from avae_lib.observations import AnyModel
from avae_lib.preset_summaries import PresetSummary
from avae_lib.presets.foreign import ForeignPresets, load_foreign_presets, register_classes_of
from avae_lib.training.experiment import Experiment, require_readable
from avae_lib.training.memory import expected_memory_of
from avae_lib.training.memory_plan import plan_memory

__all__ = [
    "PRESETS",
    "PresetSummary",
    "UnknownPreset",
    "find_preset",
    "foreign_presets",
    "register",
    "summary",
    "with_memory",
]


def _presets_of_modules() -> Iterator[Experiment]:
    for found in pkgutil.iter_modules(__path__, f"{__name__}."):
        yield from getattr(importlib.import_module(found.name), "PRESETS", ())


PRESETS: Mapping[str, Experiment] = {preset.name: preset for preset in _presets_of_modules()}
"""All presets of this library by name."""
_ROOM_ON_80_GB = 72 * 2**30
"""Bytes for training on a GPU with 80 GB. The rest is for CUDA itself and for gaps between tensors."""
_REGISTERED: dict[str, Experiment] = {}


class UnknownPreset(UserError, ValueError):
    """A name that no preset has, or that is taken."""

    exit_status = 2


def find_preset(name: str) -> Experiment:
    """The preset of that name, of this library or of a plugin.

    Raises:
        UnknownPreset: there is none; the message lists them and suggests the nearest.

    >>> find_preset("digits-vae").model.latent_dim
    8
    """
    if name in PRESETS:
        return PRESETS[name]  # no plugin is imported for it
    foreign = foreign_presets()
    if name in foreign.presets:
        return foreign.presets[name]
    known = [*PRESETS, *foreign.presets]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f", did you mean {close[0]!r}?" if close else "."
    others = "`avae presets` lists all" if close else f"There are: {', '.join(known)}"
    left_out = "".join(f" Left out: {problem}." for problem in foreign.problems)
    raise UnknownPreset(f"no preset is called {name!r}{hint}{left_out} {others}")


def foreign_presets() -> ForeignPresets:
    """The presets of plugins and those that :func:`register` was given, with what is wrong with those left out.

    >>> foreign_presets().problems
    ()
    """
    loaded = load_foreign_presets({*PRESETS, *_REGISTERED})
    return ForeignPresets({**_REGISTERED, **loaded.presets}, loaded.problems)


def register(*presets: Experiment) -> None:
    """Add presets of one's own for as long as this process lives, for example in a notebook.

    Their configurations may then be stored in run folders and read back. A preset of the same name that was
    registered before is replaced.

    Raises:
        UnknownPreset: a preset of this library has the name.
        ConfigError: the configuration could not be read back from a run folder; the message names the field.

    >>> from avae_lib.presets.derivation import derive
    >>> register(derive(PRESETS["digits-vae"], name="my-vae", model={"latent_dim": 3}))
    >>> find_preset("my-vae").model.latent_dim
    3
    >>> register(PRESETS["digits-vae"])
    Traceback (most recent call last):
    avae_lib.presets.UnknownPreset: a preset of this library is called 'digits-vae': choose another name
    """
    for preset in presets:
        if preset.name in PRESETS:
            raise UnknownPreset(f"a preset of this library is called {preset.name!r}: choose another name")
        register_classes_of(preset)
        require_readable(preset, preset.name)
        _REGISTERED[preset.name] = preset


def summary(preset: Experiment) -> PresetSummary:
    """The data set of a preset and the size of its model, counted on the model that it builds.

    >>> summary(find_preset("digits-attentive")).layers
    5
    """
    model = _built_for_counting(preset)
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    as_published = getattr(model, "parameters_as_published", None)
    return PresetSummary(preset.name, preset.data.name, model.num_layers, parameters, as_published, preset.source)


def with_memory(summary: PresetSummary, preset: Experiment) -> PresetSummary:
    """The summary with the memory that training needs, and the options with which it fits one GPU with 80 GB.

    For a large model this takes half a minute.

    >>> preset = find_preset("digits-vae")
    >>> complete = with_memory(summary(preset), preset)
    >>> complete.memory["weights"] == 4 * complete.parameters, complete.one_80_gb_gpu
    (True, '')
    """
    try:
        memory = expected_memory_of(preset)
    except (
        DatasetError,
        RuntimeError,
        NotImplementedError,
    ):  # no such file here, or a model that computes with numbers
        return summary
    if memory.activations is None:  # the model cannot be run without data, and the sum would be far too small
        return summary
    plan = plan_memory(preset, _ROOM_ON_80_GB)
    parts = {name: size for name, size in dataclasses.asdict(memory).items() if size}
    options = None if plan is None else plan.options()
    return dataclasses.replace(summary, memory={"total": memory.total, **parts}, one_80_gb_gpu=options)


def _built_for_counting(preset: Experiment) -> AnyModel:
    try:
        with torch.device("meta"):  # shapes only: the largest model is counted at once
            return preset.model.build()
    except (RuntimeError, NotImplementedError):  # a plugin's model may compute with numbers when it is built
        return preset.build_model()
