"""``avae presets``."""

from __future__ import annotations

import json as json_format

__all__ = ["presets"]


def presets(json: bool = False) -> None:
    """List the presets: name, data set, stochastic layers, parameters, and the source of the settings.

    Args:
        json: Print a JSON array of objects with name, dataset, layers and parameters instead of a table. Where the
            authors of a model count parameters in another way, an object also has parameters_as_published.
    """
    from avae_lib.presets import PRESETS, summary

    summaries = [summary(preset) for preset in PRESETS.values()]
    if json:
        print(json_format.dumps([entry.to_json() for entry in summaries], indent=2))
        return
    print(f"{'name':25}{'data set':12}{'layers':>6}{'parameters':>13}")
    for entry in summaries:
        print(f"{entry.name:25}{entry.dataset:12}{entry.layers:6}{entry.parameters:13,}")
        print(f"    {PRESETS[entry.name].source}")
