"""Commands to type after a run: train on, evaluate, sample, compare."""

from __future__ import annotations

from pathlib import Path

from avae_lib.errors import in_shell
from avae_lib.plugins import typed_imports
from avae_lib.presets import PRESETS
from avae_lib.training.checkpoints import Checkpoints, has_weights
from avae_lib.training.experiment import Experiment

__all__ = ["next_commands"]


def next_commands(experiment: Experiment, run_dir: Path, steps: int) -> list[tuple[str, str]]:
    """Commands that make sense after this run, as (what it does, command).

    >>> for purpose, command in next_commands(PRESETS["digits-vae"], Path("runs/digits-vae"), steps=500):
    ...     print(command)
    avae train runs/digits-vae --training.steps 2000
    avae evaluate runs/digits-vae --importance-samples 1000
    avae sample runs/digits-vae --temperature 0.8
    avae interpolate runs/digits-vae --from 0 --to 2
    """
    avae = f"avae{typed_imports()}"
    run = in_shell(_as_typed(run_dir))
    commands = [
        ("Judge it on the test split, once all choices are made", f"{avae} evaluate {run} --importance-samples 1000"),
        ("Draw more samples", f"{avae} sample {run} --temperature 0.8"),
        ("Decode a path between two held-out examples", f"{avae} interpolate {run} --from 0 --to 2"),
    ]
    commands.insert(0, _go_on(run_dir, run, experiment.training.steps, steps))
    twin = _twin(experiment.name)
    if twin is not None:
        commands.append((f"Train {twin}, which differs in what a layer is conditioned on", f"avae train {twin}"))
        commands.append(("Compare the two", f"{avae} compare {run} runs/{twin}"))
    return commands


def _go_on(run_dir: Path, run: str, asked: int, steps: int) -> tuple[str, str]:
    """Train on in the same folder; from weights that were trained elsewhere, a new run begins."""
    if has_weights(run_dir) and not Checkpoints(run_dir).exist:
        return (
            "Begin a new run from these weights",
            f"avae{typed_imports()} train {run} --run-dir {run}-tuned --init-from {run}",
        )
    how_far, total = ("the end", asked) if steps < asked else ("twice the length", 2 * steps)
    return (
        f"Train on, from where it stands, to {how_far}",
        f"avae{typed_imports()} train {run} --training.steps {total}",
    )


def _as_typed(run_dir: Path) -> str:
    """The folder relative to the current one if it lies below it; avae train takes it for a folder, not a preset."""
    resolved, here = run_dir.resolve(), Path.cwd()
    shown = resolved.relative_to(here) if resolved.is_relative_to(here) else run_dir
    return str(shown) if len(shown.parts) > 1 else f"./{shown}"


def _twin(name: str) -> str | None:
    """The preset whose name has local where this one has attentive, or the other way round, if there is one."""
    other = {"attentive": "local", "local": "attentive"}
    twin = "-".join(other.get(word, word) for word in name.split("-"))
    return twin if twin != name and twin in PRESETS else None
