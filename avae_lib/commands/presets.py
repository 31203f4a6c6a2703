"""``avae presets``."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator

from avae_lib.plugins import named_plugins
from avae_lib.preset_summaries import PresetSummary, recorded_summaries

__all__ = ["presets"]


def presets(json: bool = False) -> None:
    """List the presets: name, data set, stochastic layers, parameters, and the source of the settings.

    Presets of your own are listed, too, if their module is named by AVAE_PLUGINS, by avae --import MODULE presets, or
    by an entry point of an installed package. These take a few seconds, because their models are built and counted.

    Args:
        json: Print a JSON array of objects with name, dataset, layers, parameters and source instead of a table. Where
            the authors of a model count parameters in another way, an object also has parameters_as_published.
    """
    summaries = [*recorded_summaries(), *(_summaries_of_plugins() if named_plugins() else ())]
    if json:
        print(json_format.dumps([entry.to_json() for entry in summaries], indent=2))
        return
    print(f"{'name':25}{'data set':12}{'layers':>6}{'parameters':>13}")
    for entry in summaries:
        print(f"{entry.name:25}{entry.dataset:12}{entry.layers:6}{entry.parameters:13,}")
        print(f"    {entry.source}")


def _summaries_of_plugins() -> Iterator[PresetSummary]:
    """Those of all presets that can be used; what is wrong with the others goes to standard error."""
    from avae_lib.presets import foreign_presets, summary

    foreign = foreign_presets()
    for problem in foreign.problems:
        print(f"avae: {problem}", file=sys.stderr)
    for name, preset in foreign.presets.items():
        try:
            yield summary(preset)
        except Exception as problem:  # code of others may raise anything
            print(f"avae: the model of {name} cannot be built: {type(problem).__name__}: {problem}", file=sys.stderr)
