"""``python -m avae_lib.preset_recording`` writes what `avae presets` shows, after a preset or a model has changed."""

from __future__ import annotations

from pathlib import Path

from avae_lib.atomic_write import write_atomically
from avae_lib.preset_summaries import FILE, to_text
from avae_lib.presets import PRESETS, summary, with_memory

__all__ = ["record"]


def record() -> None:
    """Compute the summaries of all presets of the library, in a few minutes, and write them into its folder."""
    summaries = [with_memory(summary(preset), preset) for preset in PRESETS.values()]
    write_atomically(Path(__file__).parent / FILE, to_text(summaries))


if __name__ == "__main__":
    record()
