"""Sweeps: the runs of a grid, what is refused before any starts, and that failures, Ctrl-C and kills lose nothing."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avae_lib.cli import main
from avae_lib.commands.sweep import SomeFailed, _require_no_failure
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.report import compare_runs
from avae_lib.sweeps import Outcome, SweptRun, combinations, over_seeds
from avae_lib.training.checkpoints import step_of_weights
from avae_lib.training.runs import RunError, read_experiment, train_run

PRESET = find_preset("digits-vae")
SMALL = [
    "model.hidden-sizes=8",
    "training.device=cpu",
    "training.logging.metrics-every=2",
    "training.logging.evaluate-every=2",
    "training.logging.checkpoint-every=5",
    "training.logging.evaluation-images=20",
]


def command(*grid, more=()):
    options = [word for entry in (*SMALL, *grid) for word in ("--grid", entry)]
    return ["sweep", "digits-vae", *options, *more]


def test_a_grid_makes_every_combination_with_the_values_as_the_experiment_has_them(tmp_path):
    grid = ["training.learning-rate.peak=1e-3,0.02", "model.hidden-sizes=64 32,16", "training.compile=true,False"]
    runs = combinations(PRESET, grid, tmp_path)
    wanted = {
        derive(PRESET, model={"hidden_sizes": sizes}, training={"learning_rate": {"peak": peak}, "compile": compiled})
        for peak in (1e-3, 0.02)
        for sizes in ((64, 32), (16,))
        for compiled in (True, False)
    }
    assert len(runs) == 8 and {run.experiment for run in runs} == wanted
    assert runs[0].name == "peak=1e-3,hidden-sizes=64-32,compile=true"
    assert runs[0].folder == tmp_path / runs[0].name


def test_names_are_whole_where_their_last_parts_are_the_same(tmp_path):
    grid = ["training.learning-rate.warmup-steps=1,2", "training.kl-weight.warmup-steps=2,3", "training.steps=9"]
    assert combinations(PRESET, grid, tmp_path)[0].name == (
        "training.learning-rate.warmup-steps=1,training.kl-weight.warmup-steps=2"
    )


@pytest.mark.parametrize(
    ("grid", "complaint"),
    [
        (["training.learning-rate.peek=1"], "no such setting: did you mean training.learning-rate.peak"),
        (["training.seed"], "--grid takes SETTING=VALUE,VALUE"),
        (["training.seed=1,,2"], "--grid takes SETTING=VALUE,VALUE"),
        (["training.seed=1,1"], "gives training.seed twice, or a value of it"),
        (["training.seed=1", "training.seed=2"], "gives training.seed twice"),
        (["training.compile=perhaps,true"], "it is either true or false"),
        (["training.batch-size=5,0"], "training.batch-size must be at least 1"),
        (["training.steps=5,0"], "steps=0 cannot be trained: training.steps must be at least 1"),
        (["model.latent-dim=4,0"], "latent_dim must be at least 1"),
        (["training.learning-rate.schedule=constant,cosine_restarts"], "first-period-steps must be at least 1"),
        (["training.seed=1,2", "name=x"], "no such setting"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_run(grid, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command(*grid)) in (1, 2)
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["sweep", "digits-vae"], "needs a --grid or --seeds"),
        (["sweep", "digits-vae", "--seeds", "1,two"], "--seeds takes whole numbers"),
        (["sweep", "digits-vae", "--seeds", "0,0"], "--seeds must name each seed once"),
        (["sweep", "digits-vae", "--seeds", "1", "--jobs", "0"], "--jobs of at least 1"),
        (["sweep", "digits-vae", "--seeds", "1", "--minutes", "0"], "--minutes must be above 0"),
        (["sweep", "digits-vea", "--seeds", "1"], "did you mean 'digits-vae'"),
    ],
)
def test_wrong_options_are_one_clear_line(arguments, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) in (1, 2)
    assert complaint in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_value_of_the_wrong_kind_is_refused_by_the_name_of_its_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command("training.steps=5,many")) == 1
    said = capsys.readouterr().err
    assert said.startswith("avae: --grid gives training.steps the value 'many', which is not of its kind")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_another_experiment_is_refused_before_the_first_run(tmp_path):
    grid = [*SMALL, "training.steps=2", "training.seed=0,1"]
    other = derive(combinations(PRESET, grid, tmp_path)[1].experiment, model={"latent_dim": 3})
    train_run(other, tmp_path / "seed=1", progress_bar=False)
    with pytest.raises(RunError, match=r"seed=1 holds another experiment: model\.latent_dim was 3 and is now 8"):
        combinations(PRESET, grid, tmp_path)


def test_the_minutes_of_a_run_are_counted_over_all_calls(tmp_path):
    (run,) = combinations(PRESET, [*SMALL, "training.steps=100000"], tmp_path, minutes=2.0)
    assert run.minutes_left() == 2.0
    train_run(derive(run.experiment, training={"minutes": 1e-9}), run.folder, progress_bar=False)
    left = run.minutes_left()
    assert left == pytest.approx(2.0 - 60 * json.loads((run.folder / "costs.json").read_text())["hours"])
    (short,) = combinations(PRESET, [*SMALL, "training.steps=100000"], tmp_path, minutes=1e-9)
    assert short.state() == "finished" and run.state() == "stopped after 1 updates"


def test_seeds_of_one_setting_are_averaged_with_a_standard_error(tmp_path):
    runs = combinations(PRESET, [*SMALL, "training.steps=4", "model.latent-dim=2,5"], tmp_path, seeds=[0, 1, 2])
    for run in runs:
        train_run(run.experiment, run.folder, progress_bar=False)
    comparison = compare_runs([run.folder for run in runs])
    head, *lines = over_seeds(comparison).splitlines()
    assert "(bits/dim; ± is the standard error" in head
    for latents in (2, 5):
        values = [run.best[1] for run in comparison.runs if run.experiment.model.latent_dim == latents]
        error = statistics.stdev(values) / 3**0.5
        assert f"  {sum(values) / 3:.4f} ± {error:.4f} (3 seeds)  model.latent-dim={latents}" in lines


def test_a_failing_run_stops_no_other_and_finished_ones_are_skipped(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = command("training.steps=4", "training.batch-size=20,5000", more=["--jobs", "2"])
    assert main([*asked, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == ["batch-size=20: new", "batch-size=5000: new"]
    assert list(tmp_path.iterdir()) == []
    assert main(asked) == 1
    said = capsys.readouterr()
    assert "1 of 2 runs failed: batch-size=5000" in said.err and "batch_size must be between 1 and the" in said.err
    folder = Path("runs/sweeps/digits-vae")
    assert step_of_weights(folder / "batch-size=20/weights.safetensors") == 4
    compared = json.loads((folder / "compare.json").read_text())
    assert [run["run"] for run in compared["runs"]] == [str(folder / "batch-size=20")]
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")
    before = (folder / "batch-size=20/checkpoint.pt").stat().st_mtime_ns
    assert main(asked) == 1
    assert "batch-size=20: finished already" in capsys.readouterr().out
    assert (folder / "batch-size=20/checkpoint.pt").stat().st_mtime_ns == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_stopped_or_killed_continues_and_leaves_no_process_behind(tmp_path, number):
    asked = command("training.steps=100000", "training.seed=0,1")
    process = subprocess.Popen(
        [sys.executable, "-m", "avae_lib", *asked],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    run = tmp_path / "runs/sweeps/digits-vae/seed=0"
    _wait_for(lambda: (run / "checkpoint.previous.pt").exists() or process.poll() is not None)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    if number == signal.SIGINT:
        assert "stopped; every run has saved its state; the same command continues from there" in said
    _wait_for(lambda: "stopped after step" in (run / "sweep.log").read_text())  # the training has ended in good order
    reached = step_of_weights(run / "weights.safetensors")
    assert f"stopped after step {reached} of 100000; everything is saved" in (run / "sweep.log").read_text()
    assert not (run.parent / "seed=1").exists()
    asked = derive(read_experiment(run), training={"steps": reached + 1})
    assert train_run(asked, run, progress_bar=False).step == reached + 1, "no other process holds the folder"


def _wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_reason_that_several_runs_share_is_said_once():
    def outcome(name, failure):
        return Outcome(SweptRun(name, Path("runs/sweeps/t") / name, (), None), failure)

    outcomes = [outcome(f"seed={seed}", f"5 updates up to update {seed + 6} were skipped") for seed in range(3)]
    with pytest.raises(SomeFailed) as failed:
        _require_no_failure((*outcomes, outcome("seed=3", "no space left"), outcome("seed=4", None)))
    assert str(failed.value).startswith(
        "4 of 5 runs failed: seed=0 and seed=1 and seed=2 "
        "(5 updates up to update 6 were skipped); seed=3 (no space left)"
    )
