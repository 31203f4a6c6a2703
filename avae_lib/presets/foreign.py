"""The presets of plugins. One that cannot be used is left out, with a line that says why, and the others remain."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from avae_lib.plugins import PluginError, import_plugin, named_plugins, register_class
from avae_lib.training.experiment import ConfigError, Experiment, require_readable

__all__ = ["ForeignPresets", "load_foreign_presets", "register_classes_of"]


@dataclass(frozen=True)
class ForeignPresets:
    """Presets of other packages by name, and a line for each plugin or preset that was left out."""

    presets: Mapping[str, Experiment]
    problems: tuple[str, ...] = ()


def load_foreign_presets(taken: Collection[str]) -> ForeignPresets:
    """Import all plugins and check their presets.

    Args:
        taken: names that no preset of a plugin may have.

    >>> load_foreign_presets(taken=()).problems
    ()
    """
    presets: dict[str, Experiment] = {}
    problems = []
    for plugin in named_plugins():
        try:
            offered = _presets_of(import_plugin(plugin))
        except PluginError as problem:
            problems.append(str(problem) if str(plugin) in str(problem) else f"{plugin} {problem}")
            continue
        for preset in offered:
            fault = _fault_of(preset, {*taken, *presets})
            if fault is None:
                presets[preset.name] = preset
            else:
                problems.append(f"{plugin}: {fault}")
    return ForeignPresets(presets, tuple(problems))


def register_classes_of(config: Any) -> None:
    """Let stored configurations use the classes of this one and of those within it, except the library's own.

    >>> from avae_lib.models.vae import VAEConfig
    >>> register_classes_of(VAEConfig())  # nothing to do
    """
    if not dataclasses.is_dataclass(config):
        return
    if not type(config).__module__.startswith("avae_lib."):
        register_class(type(config))
    for field in dataclasses.fields(config):
        register_classes_of(getattr(config, field.name))


def _presets_of(module: Any) -> Iterable[Any]:
    presets = getattr(module, "PRESETS", None)
    if not isinstance(presets, tuple | list):
        raise PluginError(
            "must have a tuple PRESETS of experiments" + ("" if presets is None else f", got {presets!r}")
        )
    return presets


def _fault_of(preset: Any, taken: Collection[str]) -> str | None:
    """What is wrong with a preset of a plugin; None if nothing is."""
    if not isinstance(preset, Experiment):
        return f"PRESETS must hold objects of avae_lib.Experiment, got {type(preset).__name__}"
    if preset.name in taken:
        return f"the preset {preset.name!r} is left out, because another preset has this name"
    if not hasattr(preset.model, "build"):
        return f"the preset {preset.name!r} is left out: its model, {type(preset.model).__name__}, has no method build"
    try:
        require_readable(preset, preset.name)
    except ConfigError as problem:
        return f"the preset {preset.name!r} is left out: {problem}"
    return None
