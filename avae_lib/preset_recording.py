"""``python -m avae_lib.preset_recording`` writes what `avae presets` shows, after a preset or a model has changed.

With names of presets behind it only those are computed; without any, all are, which takes a few minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from avae_lib.atomic_write import write_atomically
from avae_lib.preset_summaries import FILE, recorded_summaries, to_text
from avae_lib.presets import PRESETS, find_preset, summary, with_memory

__all__ = ["record"]


def record(*names: str) -> None:
    """Compute the summaries of these presets, or of all, and write them with the others into the library's folder.

    Raises:
        UnknownPreset: no preset has one of the names.
    """
    asked_for = [find_preset(name) for name in names or PRESETS]
    computed = {preset.name: with_memory(summary(preset), preset) for preset in asked_for}
    known = {entry.name: entry for entry in recorded_summaries()} | computed
    write_atomically(Path(__file__).parent / FILE, to_text(known[name] for name in PRESETS if name in known))


if __name__ == "__main__":
    record(*sys.argv[1:])
