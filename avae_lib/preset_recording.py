"""``python -m avae_lib.preset_recording`` writes what `avae presets` shows, after a preset or a model has changed."""

from __future__ import annotations

from pathlib import Path

import avae_lib
from avae_lib.atomic_write import write_atomically
from avae_lib.preset_summaries import FILE, to_text
from avae_lib.presets import PRESETS, summary

__all__ = ["record"]


def record() -> None:
    """Compute the summaries of all presets of the library and write them into its folder."""
    write_atomically(Path(avae_lib.__path__[0]) / FILE, to_text(map(summary, PRESETS.values())))


if __name__ == "__main__":
    record()
