"""What a run has cost: time, electricity, memory, and updates that came to nothing."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from avae_lib.atomic_write import write_atomically
from avae_lib.training.memory import Memory
from avae_lib.training.training_state import TrainingState

__all__ = ["Costs"]

_NAME = "costs.json"


@dataclass(frozen=True)
class Costs:
    """The costs of a run so far, over all its stretches; ``costs.json`` in its folder."""

    parameters: int
    """Trained numbers."""
    device: str
    updates: int
    images: int
    """Images or sentences seen, each as often as it was."""
    hours: float
    """Time in training, evaluations on the way included."""
    energy_kwh: float | None
    """Electricity of the device, or of the machine by codecarbon; None where it is not known."""
    skipped: int
    """Updates left out."""
    peak_memory: int | None
    """Most bytes that the program has held on a GPU; None elsewhere."""
    expected_memory: Memory
    example: str = "image"
    """What one of the images or sentences is called."""

    @classmethod
    def of(cls, state: TrainingState, memory: Memory) -> Costs:
        """The costs of the run that stands at ``state``."""
        on_gpu = state.device.type == "cuda"
        return cls(
            parameters=sum(p.numel() for p in state.model.parameters() if p.requires_grad),
            device=torch.cuda.get_device_name(state.device) if on_gpu else "CPU",
            updates=state.step,
            images=state.step * state.config.batch_size,
            hours=state.seconds / 3600,
            energy_kwh=state.energy_kwh,
            skipped=state.skips.total,
            peak_memory=torch.cuda.max_memory_allocated(state.device) if on_gpu else None,
            expected_memory=memory,
            example=state.observed.example,
        )

    @classmethod
    def read(cls, run_dir: Path) -> Costs | None:
        """The costs noted in a run folder; None if none are."""
        path = run_dir / _NAME
        if not path.is_file():
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**record, "expected_memory": Memory(**record["expected_memory"])})

    def write(self, run_dir: Path) -> None:
        """Note them in a run folder."""
        content = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        write_atomically(run_dir / _NAME, content)

    @property
    def images_per_second(self) -> float:
        """Images or sentences seen per second of training."""
        return self.images / (3600 * self.hours) if self.hours else 0.0

    def text(self) -> str:
        """One line for people."""
        energy = "energy not reported" if self.energy_kwh is None else f"{self.energy_kwh:.3g} kWh"
        left_out = self.skipped / max(1, self.updates)
        return (
            f"{self.updates:,} updates in {self.hours:.3g} hours ({self.images_per_second:,.0f} {self.example}s/s) on "
            f"{self.device}, {energy}; {self.skipped:,} updates ({left_out:.2%}) were left out"
        )
