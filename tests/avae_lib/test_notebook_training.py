"""Training in a notebook: what is printed, drawn and kept, and that a run broken off goes on as if it had not been."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from PIL import Image

from avae_lib.presets import find_preset
from avae_lib.training.checkpoints import step_of_weights
from avae_lib.training.experiment import Experiment
from avae_lib.training.notebook_training import train_in_notebook
from avae_lib.training.runs import RunError, load_run


def experiment(**training):
    from avae_lib.presets.derivation import derive  # the source of this function runs elsewhere, too

    preset = find_preset("digits-vae")
    every = {"metrics_every": 2, "evaluate_every": 4, "checkpoint_every": 4, "evaluation_images": 20}
    short = {"steps": 12, "batch_size": 20, "logging": every}
    return dataclasses.replace(
        preset,
        model=dataclasses.replace(preset.model, hidden_sizes=(8,)),
        training=derive(preset.training, **short | training),
    )


def interrupted_in_update(number):
    """The experiment, whose model raises Ctrl-C in its update of that number."""
    built = experiment().build_model()
    calls = iter(range(1, 1000))

    def count(module, arguments):
        if module.training and next(calls) == number:
            os.kill(os.getpid(), signal.SIGINT)

    built.register_forward_pre_hook(count)
    return built


def assert_same_weights(first, second):
    for found, wanted in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(found, wanted)


def test_an_interrupted_cell_run_again_gives_the_weights_of_one_left_alone(tmp_path, monkeypatch, capsys):
    alone = train_in_notebook(experiment(), tmp_path / "alone")
    original, first = Experiment.build_model, [interrupted_in_update(6)]
    with monkeypatch.context() as patched:
        patched.setattr(Experiment, "build_model", lambda self: first.pop() if first else original(self))
        stopped = train_in_notebook(experiment(), tmp_path / "stopped")
    assert stopped.step == 6
    assert "stopped after step 6 of 12; everything is saved; run this cell again to continue" in capsys.readouterr().out
    assert_same_weights(stopped.model, load_run(tmp_path / "stopped")[0])
    resumed = train_in_notebook(experiment(), tmp_path / "stopped")
    assert resumed.step == 12
    assert_same_weights(resumed.model, alone.model)


def test_minutes_end_the_call_and_the_next_one_goes_on(tmp_path, capsys):
    alone = train_in_notebook(experiment(), tmp_path / "alone")
    steps = [train_in_notebook(experiment(), tmp_path / "parts", minutes=1e-9).step for _ in range(3)]
    assert steps == [1, 2, 3]
    assert_same_weights(train_in_notebook(experiment(), tmp_path / "parts", minutes=60).model, alone.model)


def test_each_evaluation_is_a_line_of_text_and_a_picture_in_the_folder(tmp_path, capsys):
    train_in_notebook(experiment(), tmp_path)
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if line.startswith("update ")]
    assert [line.split(":")[0] for line in lines] == [f"update {step} of 12" for step in (4, 8, 12)]
    assert "step/s" not in said.err, "the progress bar makes room for these lines"
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert f"{last['bits_per_dim']:.3f} bits per dimension on validation images" in lines[-1]
    assert Image.open(tmp_path / "progress.png").width > 400


def test_watching_changes_nothing(tmp_path):
    from avae_lib.training.runs import train_run

    watched = train_in_notebook(experiment(), tmp_path / "watched")
    assert_same_weights(watched.model, train_run(experiment(), tmp_path / "plain").model)


def test_another_experiment_in_the_folder_is_refused(tmp_path):
    train_in_notebook(experiment(), tmp_path)
    with pytest.raises(RunError, match=r"training\.batch_size was 20 and is now 21"):
        train_in_notebook(experiment(batch_size=21), tmp_path)


CELL = """
from tests_experiment import experiment
from avae_lib.training.notebook_training import train_in_notebook
trained = train_in_notebook(experiment(), "run")
"""


def test_a_notebook_holds_one_picture_that_stays_when_it_is_saved(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    source = "import dataclasses\nfrom avae_lib.presets import find_preset\n"
    (tmp_path / "tests_experiment.py").write_text(source + _source_of(experiment))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = notebook.cells[0].outputs
    pictures = [output for output in outputs if "text/html" in output.get("data", {})]
    assert len(pictures) == 1, "one figure, drawn anew"
    assert "digits-vae after 12 updates" in pictures[0]["data"]["text/plain"]
    assert pictures[0]["data"]["text/html"].startswith("<img alt=")
    text = "".join(output.get("text", "") for output in outputs)
    assert text.count("bits per dimension on validation images") == 3


def _source_of(function):
    import inspect

    return inspect.getsource(function)


def test_a_script_needs_no_notebook(tmp_path):
    code = (
        "import sys\nfrom avae_lib.training.notebook_training import train_in_notebook\n"
        "from avae_lib.presets import find_preset\n"
        f"import dataclasses\n{_source_of(experiment)}\n"
        f"train_in_notebook(experiment(), {str(tmp_path)!r})\nprint('IPython' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert step_of_weights(tmp_path / "best.safetensors") in (4, 8, 12)
