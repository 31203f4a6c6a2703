"""An ablation: several arms, each trained from several seeds, and the record of the results.

A folder of experiments states its arms as a :class:`Study` for each scale and calls :func:`command`. Everything else
is here: training in turn, resuming after an interruption, evaluation, and the record that lectures read.

Runs take turns. All arms and seeds get a quarter of the steps, then the second quarter, and so on: whenever training
stops, all arms have had about the same number. The learning rate is constant after its warm-up and the averaged weights
are evaluated, so a continued run is the same as a run that was given more steps from the start.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import tyro
from ablation_tables import refresh_readme
from torch import nn

from avae_lib import data
from avae_lib.data import DataConfig, ImageDataset
from avae_lib.evaluation import Estimate, bits_per_dim, measuring, terms_of_bound
from avae_lib.training.checkpoints import load_weights
from avae_lib.training.experiment import Experiment, ModelConfig, to_json
from avae_lib.training.fit import fit
from avae_lib.training.metrics import MetricsFile
from avae_lib.training.skipped_updates import TrainingDiverged
from avae_lib.training.training_config import TrainingConfig

__all__ = ["Arm", "Run", "Study", "arm_summary", "command", "has_settled", "record_of"]

RECORDS = Path(data.__file__).parent / "records"
TURNS = 4
"""Stretches into which the steps of a run are cut."""
SETTLED = 0.01
"""A run has settled when the validation bound has moved by less than this fraction over its last fifth."""


@dataclass(frozen=True)
class Arm:
    """One variant of the model."""

    label: str
    """Its name in figures."""
    factors: Mapping[str, Any]
    """What distinguishes it from the other arms."""
    model: ModelConfig
    """The model."""


@dataclass(frozen=True)
class Study:
    """A question, and the arms that answer it."""

    name: str
    """Name of the folder and of the record."""
    question: str
    """The question, in one sentence."""
    data: DataConfig
    """The images; some are held out for validation."""
    training: TrainingConfig
    """Training of every arm; ``steps`` is the length of a run."""
    arms: tuple[Arm, ...]
    """The variants, in the order in which they are plotted."""
    test_images: int = 2000
    """Largest number of test images on which a finished run is evaluated."""
    runs_of: str = ""
    """Name of the study whose runs this one shares; empty if it has its own."""

    @cached_property
    def dataset(self) -> ImageDataset:
        """The images, loaded once for all runs."""
        return self.data.load()

    def run(self, arm: Arm, seed: int, runs: Path) -> Run:
        """The run of an arm from one seed, whether it has begun or not."""
        name = f"{arm.label.replace(' ', '_').replace(',', '').replace('/', '-')}-{seed}"
        training = replace(self.training, seed=seed)
        return Run(
            Experiment(arm.label, self.name, self.data, arm.model, training), runs / (self.runs_of or self.name) / name
        )


@dataclass(frozen=True)
class Run:
    """One arm trained from one seed, in a folder of its own."""

    experiment: Experiment
    folder: Path

    @property
    def steps(self) -> int:
        """Updates so far."""
        return self._notes().get("steps", 0)

    @property
    def has_diverged(self) -> bool:
        """Whether training stopped because too many updates in a row were skipped."""
        return self._notes().get("diverged", False)

    def train(self, dataset: ImageDataset, steps: int) -> None:
        """Train until the run has had ``steps`` updates; record its processor time and whether it diverged."""
        notes, started = self._notes(), time.process_time()
        training = replace(self.experiment.training, steps=steps)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write("config.json", to_json(replace(self.experiment, training=training)))
        try:
            fit(self.experiment.build_model(), dataset, training, self.folder)
            notes["steps"] = steps
        except TrainingDiverged as problem:
            print(f"{self.folder.name}: {problem}")
            notes |= {"steps": self._last_row()["step"], "diverged": True}
        finally:  # the time of an interrupted run counts too
            notes["cpu_seconds"] = notes.get("cpu_seconds", 0.0) + time.process_time() - started
            self._write("notes.json", notes)

    def test(self, dataset: ImageDataset, images: int) -> None:
        """Evaluate the averaged weights on test images, and record the result."""
        model = self.model()
        with measuring(model):
            elbo = terms_of_bound(model, dataset.pixels("test")[:images].to(_device_of(model)), rows=100)
        bound = Estimate.over(-elbo.bound)
        result = {
            "bits_per_dim": round(bits_per_dim(bound.mean, model.num_dims), 4),
            "standard_error": round(bits_per_dim(bound.standard_error, model.num_dims), 4),
            "negative_elbo": round(bound.mean, 2),
            "log_likelihood": round(elbo.log_likelihood.mean().item(), 2),
            "kl_per_layer": _rounded(elbo.kl.mean(dim=0).tolist()),
        }
        self._write("notes.json", self._notes() | {"test": result, "test_at": self.steps})

    def model(self) -> nn.Module:
        """The model under its averaged weights."""
        return load_weights(self.experiment.build_model(), self.folder)

    def record(self, until: float = math.inf) -> dict[str, Any]:
        """The run's entry in a record; anything after ``until`` updates is left out."""
        notes, training = self._notes(), self.experiment.training
        steps, seconds_per_step = min(notes["steps"], until), notes["cpu_seconds"] / max(1, notes["steps"])
        rows = [row for row in self._rows("valid", steps) if row["bits_per_dim"] is not None]
        values = [row["bits_per_dim"] for row in rows]
        return {
            "seed": training.seed,
            "steps": steps,
            "batch_size": training.batch_size,
            "cpu_seconds": round(seconds_per_step * steps, 1),
            "ms_per_step": round(1000 * seconds_per_step, 1),
            "skipped": max((row["skipped"] for row in self._rows("train", steps)), default=0),
            "diverged": notes.get("diverged", False),
            "stop_rule_met": has_settled([row["step"] for row in rows], values),
            "curve": {
                "step": [row["step"] for row in rows],
                "bits_per_dim": [round(value, 4) for value in values],
                "kl_per_layer": [_rounded(row["kl_per_layer"]) for row in rows],
            },
            "test": notes["test"] if notes.get("test_at") == steps else None,
        }

    def _rows(self, split: str, until: float) -> list[dict[str, Any]]:
        rows = MetricsFile(self.folder / "metrics.jsonl").rows()
        return [row for row in rows if row["split"] == split and row["step"] <= until]

    def _last_row(self) -> dict[str, Any]:
        return MetricsFile(self.folder / "metrics.jsonl").rows()[-1]

    def _notes(self) -> dict[str, Any]:
        path = self.folder / "notes.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def has_settled(steps: Sequence[int], bits_per_dim_at: Sequence[float]) -> bool:
    """Whether the validation bound moved by less than 1 % over the last fifth of a run.

    >>> has_settled([20, 40, 60, 80, 100], [6.0, 5.0, 4.5, 4.30, 4.29])
    True
    >>> has_settled([20, 40, 60, 80, 100], [6.0, 5.0, 4.5, 4.30, 4.20])
    False
    """
    before = [value for step, value in zip(steps, bits_per_dim_at, strict=True) if step <= 0.8 * steps[-1]]
    return bool(before) and abs(bits_per_dim_at[-1] - before[-1]) < SETTLED * before[-1]


def command(studies: Mapping[str, Callable[[], Study]], picture: Callable[[dict[str, Any], Path], None]) -> None:
    """Read the command line, train, write the record, draw the pictures.

    Args:
        studies: from the name of a scale to the study at that scale.
        picture: draws a record's figures into the folder of the experiment.
    """

    def main(
        scale: str = "small",
        seeds: tuple[int, ...] = (0, 1, 2),
        minutes: float = math.inf,
        turns: int = TURNS,
        steps: int | None = None,
        runs: Path = Path("runs/experiments"),
        record: Path | None = None,
        draw_only: bool = False,
    ) -> None:
        """Train all arms from all seeds, or resume their runs; write the record and draw it.

        Args:
            scale: Size of the models and of the training: small (for a CPU) or full (for one GPU).
            seeds: Seeds; each arm is trained once from each.
            minutes: Time limit for this call, checked between stretches of runs. Repeat the command to resume.
            turns: Stop when all runs have completed this many of the four stretches of their steps; 0 trains nothing
                and writes the record of the existing runs.
            steps: Updates of each run; the default depends on the scale. A larger number continues finished runs.
            runs: Folder that holds the run folders.
            record: File for the record; by default the library's own (small), or record.json in the experiment's folder
                `full` (full). The pictures are drawn only if the default is used.
            draw_only: Draw the pictures from the existing record; train nothing.
        """
        study = studies[scale]()
        study = replace(study, training=replace(study.training, steps=steps)) if steps else study
        folder = Path(__file__).parent / study.name
        pictures = folder if scale == "small" else folder / scale
        kept = RECORDS / f"{study.name}.json" if scale == "small" else pictures / "record.json"
        if not draw_only:
            torch.set_num_threads(1)
            _train_in_turn(study, seeds, runs / scale, turns, 60 * minutes)
            _write_json(record or kept, record_of(study, seeds, runs / scale, scale))
        if record in (None, kept):
            content = json.loads(kept.read_text(encoding="utf-8"))
            picture(content, pictures)
            refresh_readme(pictures / "README.md", content)

    tyro.cli(main)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def _train_in_turn(study: Study, seeds: Sequence[int], runs: Path, turns: int, seconds: float) -> None:
    all_runs = [study.run(arm, seed, runs) for seed in seeds for arm in study.arms]
    steps, until = study.training.steps, time.monotonic() + seconds
    print(f"{study.name}: {len(all_runs)} runs of {steps} steps each, {len(study.arms)} arms, seeds {tuple(seeds)}")
    for turn in range(1, turns + 1):
        for run in all_runs:
            if time.monotonic() > until:
                print(f"time is up in turn {turn} of {TURNS}; the same command resumes from here")
                return
            if run.steps < steps * turn // TURNS and not run.has_diverged:
                run.train(study.dataset, steps * turn // TURNS)
            if run.steps >= steps and run.record()["test"] is None:
                run.test(study.dataset, study.test_images)
        print(f"{study.name}: turn {turn} of {TURNS} is done", flush=True)


def record_of(study: Study, seeds: Sequence[int], runs: Path, scale: str) -> dict[str, Any]:
    """The results of all runs that have begun, up to the last step common to them; see experiments/README.md."""
    dataset, training = study.dataset, study.training
    begun = [run for arm in study.arms for seed in seeds if (run := study.run(arm, seed, runs)).steps > 0]
    until = min((run.steps for run in begun if not run.has_diverged), default=math.inf)
    arms = [_arm_record(study, arm, seeds, runs, until) for arm in study.arms]
    return {
        "name": study.name,
        "question": study.question,
        "scale": scale,
        "data": {
            "name": dataset.name,
            "title": dataset.title,
            "train": len(dataset.train),
            "valid": min(training.logging.evaluation_images, len(dataset.valid)),
            "test": min(study.test_images, len(dataset.test)),
        },
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU, one thread",
        "planned_steps": training.steps,
        "arms": _comparable(arms),
    }


def _comparable(arms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Arms without their test results unless all runs have one: bounds on different images cannot be compared."""
    if all(run["test"] or run["diverged"] for arm in arms for run in arm["runs"]):
        return arms
    return [arm | {"runs": [run | {"test": None} for run in arm["runs"]]} for arm in arms]


def _arm_record(study: Study, arm: Arm, seeds: Sequence[int], runs: Path, until: float) -> dict[str, Any]:
    begun = [run for seed in seeds if (run := study.run(arm, seed, runs)).steps > 0]
    return arm_summary(arm) | {"runs": [run.record(until) for run in begun]}


def arm_summary(arm: Arm) -> dict[str, Any]:
    """Label, factors and parameters of an arm, and the size and resolution of its latents, top first."""
    model = arm.model.build()
    black = torch.zeros(1, *model.image_shape, dtype=torch.uint8)
    with measuring(model):
        posteriors = model.latents(black)
    return {
        "label": arm.label,
        "factors": dict(arm.factors),
        "parameters": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "layers": model.num_layers,
        "resolutions": [posterior.mean.shape[-1] for posterior in posteriors],
        "latents_per_layer": [posterior.mean[0].numel() for posterior in posteriors],
    }


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]
