"""A machine with PyTorch and hardly anything else: training, stopping, resuming, evaluation and benchmarks run on it.

Processes here can import the listed packages, what these need themselves, and the standard library.
"""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CORE = {"torch", "torchvision", "numpy", "einops", "jaxtyping", "tqdm", "safetensors"}
NEEDED_BY_THEM = {
    *("filelock", "fsspec", "functorch", "mpmath", "networkx", "sympy", "torchgen", "triton", "typing_extensions"),
    "wadler_lindig",
}
TYRO = {"tyro", "docstring_parser", "typeguard"}
OURS = {"avae_lib", "records", "training_steps"}
BARE = """
import os, runpy, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

class Listed:
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {allowed} or top in sys.stdlib_module_names or top.startswith("_"):
            return PathFinder.find_spec(name, path, target)

sys.meta_path = [BuiltinImporter, FrozenImporter, Listed]
sys.argv = sys.argv[1:]
if sys.argv[0].endswith(".py"):
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
TINY = [
    *("--data.name", "cifar10", "--data.validation", "4", "--training.batch-size", "2", "--training.steps", "3"),
    *("--training.device", "cpu"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small CIFAR-10 in the published format."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        content = {"data": random.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 3]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


@pytest.fixture(scope="module")
def bare(data, tmp_path_factory):
    """Runs a module or a file with arguments on the bare machine."""
    folder = tmp_path_factory.mktemp("bare")

    def run(*arguments, packages=CORE, status=0):
        program = folder / "bare.py"
        program.write_text(BARE.replace("{allowed}", repr(packages | NEEDED_BY_THEM | OURS)), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, program, *map(str, arguments)],
            cwd=folder,
            env=os.environ | {"AVAE_DATA": str(data), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_a_run_trains_stops_resumes_and_is_evaluated(bare, tmp_path):
    command = ["avae_lib", "train", "photos32-vdvae", *TINY, "--run-dir", tmp_path / "run"]
    first = bare(*command, "--training.minutes", "0.0001", packages=CORE | TYRO)
    assert "are used up after step 1 of 3; everything is saved" in first
    second = bare(*command, packages=CORE | TYRO)
    assert "resuming from step 1 of 3" in second
    bare("avae_lib", "evaluate", tmp_path / "run", "--importance-samples", "2", packages=CORE | TYRO)
    evaluated = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluated["examples"] == 4


def test_a_report_that_cannot_be_written_is_left_out_in_one_line_and_the_run_is_kept(bare, tmp_path):
    printed = bare("avae_lib", "train", "photos32-vdvae", *TINY, "--run-dir", tmp_path, packages=CORE | TYRO)
    (line,) = [line for line in printed.splitlines() if "a report needs" in line]
    assert "pip install matplotlib jinja2 pillow" in line and f"avae report {tmp_path}" in line
    assert (tmp_path / "weights.safetensors").exists() and not (tmp_path / "report.html").exists()
    assert "a report needs matplotlib" in bare("avae_lib", "report", tmp_path, packages=CORE | TYRO, status=1)


def test_a_data_set_that_needs_a_package_names_it(bare):
    printed = bare("avae_lib", "train", "digits-vae", "--training.steps", "1", packages=CORE | TYRO, status=1)
    assert printed.splitlines()[-1] == "avae: this needs scikit-learn, which is not installed: pip install scikit-learn"


def test_the_library_needs_no_command_line(bare, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import avae_lib\nprint(avae_lib.fit, avae_lib.find_preset('cifar10-attentive-16').name)\n")
    assert "cifar10-attentive-16" in bare(program)


def test_the_time_of_an_update_is_measured(bare, tmp_path):
    options = ["--presets", "photos32-vdvae", "--variants", "eager", "plain+bfloat16"]
    small = ["--batch", "2", "--steps", "1", "--repeats", "1", "--device", "cpu"]
    printed = bare(ROOT / "benchmarks" / "train_step.py", "--suite", "cpu", *options, *small, "--out", tmp_path)
    assert "not measured" not in printed and "exit status" not in printed and "limit of" not in printed, printed
    (record,) = tmp_path.glob("train_step-*.json")
    kinds = {row["kind"] for row in json.loads(record.read_text())["rows"]}
    assert kinds == {"time", "profile", "plain", "try"}
