"""``avae presets``."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator

from avae_lib.plugins import named_plugins
from avae_lib.preset_summaries import PresetSummary, recorded_summaries

__all__ = ["presets"]


def presets(json: bool = False) -> None:
    """List the presets: name, data set, stochastic layers, parameters, memory, and the source of the settings.

    Memory is what training needs on one device at the preset's batch size, as far as it can be computed in advance.
    Where that is more than a GPU with 80 GB has, the options follow with which the preset fits it.

    Presets of your own are listed, too, if their module is named by AVAE_PLUGINS, by avae --import MODULE presets, or
    by an entry point of an installed package. These take a few seconds, because their models are built and counted.

    Args:
        json: Print a JSON array of objects instead of a table, with name, dataset, layers, parameters, source, memory
            (bytes: total, weights, gradients, optimizer, average, rollback, images, activations, temporary) and
            one_80_gb_gpu (the options, empty if it fits without). Where the authors of a model count parameters in
            another way, an object also has parameters_as_published.
    """
    summaries = [*recorded_summaries(), *(_summaries_of_plugins() if named_plugins() else ())]
    if json:
        print(json_format.dumps([entry.to_json() for entry in summaries], indent=2, ensure_ascii=False))
        return
    width = 2 + max(len(entry.name) for entry in summaries)
    print(f"{'name':{width}}{'data set':12}{'layers':>6}{'parameters':>13}{'memory':>12}")
    for entry in summaries:
        print(f"{entry.name:{width}}{entry.dataset:12}{entry.layers:6}{entry.parameters:13,}{_memory(entry):>12}")
        print(f"    {entry.source}")
        if entry.one_80_gb_gpu:
            print(f"    on one GPU with 80 GB: {entry.one_80_gb_gpu}")


def _memory(entry: PresetSummary) -> str:
    if entry.memory is None:
        return "not known"
    size = entry.memory["total"]
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def _summaries_of_plugins() -> Iterator[PresetSummary]:
    """Those of all presets that can be used; what is wrong with the others goes to standard error."""
    from avae_lib.presets import foreign_presets, summary, with_memory

    foreign = foreign_presets()
    for problem in foreign.problems:
        print(f"avae: {problem}", file=sys.stderr)
    for name, preset in foreign.presets.items():
        try:
            yield with_memory(summary(preset), preset)
        except Exception as problem:  # code of others may raise anything
            print(f"avae: the model of {name} cannot be built: {type(problem).__name__}: {problem}", file=sys.stderr)
