"""Small files of a run that a kill, a full disk or an editor has damaged: no command ends with a traceback."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys

import pytest

from avae_lib.atomic_write import append_line, remove_abandoned_drafts
from avae_lib.cli import main
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.sweeps.combinations import _seconds_trained
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.costs import Costs
from avae_lib.training.looks import Looks, note_look
from avae_lib.training.metrics import MetricsFile
from avae_lib.training.runs import load_run, train_run

SMALL = derive(
    find_preset("digits-vae"),
    model={"hidden_sizes": (8,)},
    training={
        "steps": 6,
        "batch_size": 20,
        "device": "cpu",
        "logging": {"metrics_every": 2, "evaluate_every": 3, "checkpoint_every": 3, "evaluation_images": 20},
    },
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_run(SMALL, folder, progress_bar=False)
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where avae compare draws
    return shutil.copytree(trained, tmp_path / "run")


def rows_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def write_rows(run, rows):
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def assert_every_command_works(run):
    assert main(["compare", str(run)]) == 0
    assert main(["report", str(run), "--importance-samples", "1"]) == 0
    assert main(["train", str(run), "--training.steps", "8", "--no-report"]) == 0
    assert max(row["step"] for row in MetricsFile(run / "metrics.jsonl").rows()) == 8


@pytest.mark.parametrize("torn", ['{"split": "te', '{"split": "test"}\n{"spl', "\n\n"])
def test_a_line_that_a_kill_left_unfinished_takes_no_other_with_it(tmp_path, torn):
    (tmp_path / "looks.jsonl").write_text(torn)
    before = Looks.count(tmp_path).test
    note_look(tmp_path, "test", by="avae evaluate")
    note_look(tmp_path, "valid", by="report")
    assert Looks.count(tmp_path) == Looks(valid=1, test=before + 1)
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.path.write_text('{"split": "train", "step": 1}\n{"split": "tr')
    metrics.append({"split": "train", "step": 2})
    assert [row["step"] for row in metrics.rows()] == [1, 2]


def test_whole_lines_are_added_without_empty_ones_between(tmp_path):
    for line in ("one", "zwei τ", "three"):
        append_line(tmp_path / "notes.txt", line)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "one\nzwei τ\nthree\n"


@pytest.mark.parametrize("value", [None, "x", True, [1], {"a": 1}, 10**400, math.inf])
@pytest.mark.parametrize(
    "field",
    ["split", "step", "seconds", "negative_elbo", "bits_per_dim", "kl", "kl_per_layer", "log_likelihood", "skipped"],
)
def test_rows_of_metrics_have_entries_of_their_kind_or_none(tmp_path, field, value):
    good = {"split": "valid", "step": 3, "seconds": 1.0, "negative_elbo": 5.0, "kl_per_layer": [1.0], "skipped": 0}
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, (good, good | {field: value}, good))))
    rows = MetricsFile(tmp_path / "metrics.jsonl").rows()
    assert rows[0] == rows[-1] == good
    kinds = {"split": str, "step": int, "kl_per_layer": list}
    for row in rows:
        assert type(row["step"]) is int
        assert row.get(field) is None or type(row[field]) in (kinds.get(field, float), kinds.get(field, int))


@pytest.mark.parametrize("line", ["[" * 100_000, "1" * 5000, '{"step": 1' + "0" * 5000 + "}", "null", '"step"', "[3]"])
def test_a_line_of_metrics_that_is_no_row_is_left_out(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(line + '\n{"step": 7}\n')
    assert MetricsFile(tmp_path / "metrics.jsonl").rows() == [{"step": 7}]


@pytest.mark.parametrize(
    "change",
    [
        lambda row: {**row, "seconds": None},
        lambda row: {**row, "seconds": "x"},
        lambda row: {**row, "negative_elbo": None},
        lambda row: {**row, "negative_elbo": "x"},
        lambda row: {**row, "bits_per_dim": None},
        lambda row: {**row, "kl_per_layer": [None]},
        lambda row: {**row, "kl_per_layer": [1.0, 2.0]},
        lambda row: {**row, "penalties": {"a": None}},
        lambda row: {**row, "skipped": None},
        lambda row: {"step": row["step"]},
        lambda row: {"step": row["step"], "split": row["split"]},
    ],
)
@pytest.mark.parametrize("which", [slice(-1, None), slice(None)])
def test_rows_with_missing_or_foreign_entries_stop_no_command(run, change, which):
    rows = rows_of(run)
    rows[which] = [change(row) for row in rows[which]]
    write_rows(run, rows)
    assert_every_command_works(run)


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "null",
        "[" * 100_000,
        {"hours": "x"},
        {"updates": None},
        {"example": 5},
        {"hours": 10**400},
        {"energy_kwh": math.inf},
        {"skipped": True},
        {"expected_memory": None},
        {"expected_memory": {"weights": 1}},
        {"unknown": 1},
    ],
)
def test_damaged_costs_are_left_out_with_a_word_until_training_writes_them_again(run, damage, capsys):
    path = run / "costs.json"
    path.write_text(damage if isinstance(damage, str) else json.dumps(json.loads(path.read_text()) | damage))
    assert Costs.read(run) is None
    assert f"{path} is damaged (" in capsys.readouterr().err
    assert main(["compare", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["parameters"] > 0
    assert main(["report", str(run), "--importance-samples", "1"]) == 0
    assert _seconds_trained(run) > 0
    assert main(["train", str(run), "--training.steps", "7", "--no-report"]) == 0
    assert Costs.read(run).updates == 7


def test_a_best_result_that_is_not_known_is_replaced_by_the_next(run):
    write_rows(run, [{**row, "negative_elbo": None} for row in rows_of(run)])
    before = (run / "best.safetensors").read_bytes()
    assert main(["train", str(run), "--training.steps", "9", "--no-report"]) == 0
    assert (run / "best.safetensors").read_bytes() != before


def test_drafts_of_programs_that_were_killed_are_removed_when_training_goes_on(run):
    program = "\n".join(
        [
            "import os, signal, sys",
            "from pathlib import Path",
            "from avae_lib.atomic_write import write_atomically",
            "die = lambda file: (file.write(b'half'), file.flush(), os.kill(os.getpid(), signal.SIGKILL))",
            "write_atomically(Path(sys.argv[1]), die)",
        ]
    )
    (run / "milestones").mkdir()
    for name in ("checkpoint.new.pt", "milestones/000003.safetensors"):
        assert subprocess.run([sys.executable, "-c", program, str(run / name)]).returncode == -signal.SIGKILL
    assert len(list(run.rglob(".*.partial"))) == 2
    kept = [run / f".report.html.{os.getppid()}.partial", run / ".notes.partial", run / ".a.b.partial"]
    for path in kept:  # of a program that runs, and of others
        path.touch()
    assert main(["train", str(run), "--training.steps", "7", "--no-report"]) == 0
    assert sorted(run.rglob(".*.partial")) == sorted(kept)
    assert Checkpoints(run).load()["step"] == 7 and load_run(run)


def test_removing_drafts_of_a_folder_that_is_not_there_does_nothing(tmp_path):
    remove_abandoned_drafts(tmp_path / "nowhere")
