"""One global batch, one curve: two processes train as one does, whatever is killed or added on the way.

Each process draws the noise of its own images from its own stream, so a stochastic model has other noise on two
processes than on one. What must be equal is shown without noise, by draws at temperature 0, where the curves agree to
rounding; and what remains with noise is shown to be no more than another seed does.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time

import psutil
import pytest
import torch

from avae_lib.training.checkpoints import Checkpoints

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SEEDS = range(6)
PROGRAM = '''
"""Trains small models, each in a folder of its own: alone, or, under torchrun, with another process."""
import functools, pathlib, sys
import torch
from avae_lib.data import DataConfig
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, PenaltiesConfig, TrainingConfig

here, *tasks = pathlib.Path(sys.argv[1]), *sys.argv[2:]
digits = DataConfig("digits", validation=100).load()
shared = {"image_shape": (1, 8, 8), "bits": 4, "likelihood": "discretized_logistic"}
MODELS = {
    "vae": VAEConfig(**shared, latent_dim=4, hidden_sizes=(16,)),
    "vdvae": VDVAEConfig((1, 8, 8), 4, "8x1,8d2,4x1,4d4,1x1", "1x1,4m1,4x1,8m4,8x1", width=16, latent_channels=2,
                         mixtures=2),
    "attentive": AttentiveConfig(layers=2, width=8, key_channels=4, blocks=1),
}
CONFIG = TrainingConfig(steps=40, batch_size=32, device="cpu",
                        learning_rate=LearningRateConfig(peak=5e-3, warmup_steps=4, schedule="constant"),
                        logging=LoggingConfig(metrics_every=2, evaluate_every=20, evaluation_images=50))

def train(name, folder, temperature=None, seed=0, **changes):
    torch.manual_seed(seed)
    model = MODELS[name].build()
    if temperature is not None:
        model.forward = functools.partial(model.forward, posterior_temperature=temperature)
    fit(model, digits, derive(CONFIG, seed=seed, **changes), here / folder, progress_bar=False)

if torch.distributed.is_torchelastic_launched():
    torch.distributed.init_process_group("gloo")  # once, for several runs one after the other
if "without noise" in tasks:
    for name in ("vae", "vdvae"):
        train(name, f"{name} without noise", temperature=0.0)
    train("vdvae", "pieces", temperature=0.0, micro_batch=6)
    train("vdvae", "checkpointing", temperature=0.0, activation_checkpointing=True)
    on_weights = PenaltiesConfig(l2=1e-3, spectral=1e-2)
    train("vae", "penalties", temperature=0.0, penalties=on_weights)
    train("vae", "penalties in pieces", temperature=0.0, penalties=on_weights, micro_batch=6)
if "with noise" in tasks:
    for name in MODELS:
        train(name, f"{name} with noise")
if "seeds" in tasks:
    for name in MODELS:
        for seed in range(6):
            train(name, f"{name} seed {seed}", seed=seed)
for steps in [int(task) for task in tasks if task.isdigit()]:
    train("vae", "relay", temperature=0.0, steps=steps)
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
'''


def run(here, *tasks, together=False):
    program = here / "program.py"
    if not program.exists():
        program.write_text(PROGRAM)
    command = [*(TORCHRUN if together else [sys.executable]), str(program), *map(str, tasks)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders "one" and "two": the same runs by one process and by two."""
    here = tmp_path_factory.mktemp("curves")
    run(here, here / "one", "without noise", "seeds")
    run(here, here / "two", "without noise", "with noise", together=True)
    return here


def losses(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {split: [row["negative_elbo"] for row in rows if row["split"] == split] for split in ("train", "valid")}


def weights(folder):
    return Checkpoints(folder).load()["model"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_two", "of_one"),
    [
        ("vae without noise",) * 2,
        ("vdvae without noise",) * 2,
        ("pieces", "vdvae without noise"),
        ("checkpointing", "vdvae without noise"),
        ("penalties",) * 2,
        ("penalties in pieces", "penalties"),
    ],
)
def test_without_noise_two_processes_have_the_curve_of_one(runs, of_two, of_one):
    two, one = losses(runs / "two" / of_two), losses(runs / "one" / of_one)
    assert len(one["train"]) == 20 and one["train"][-1] < 0.9 * one["train"][0], "the model learns"
    for split in ("train", "valid"):
        assert two[split] == pytest.approx(one[split], rel=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vae", "vdvae", "attentive"])
def test_with_noise_two_processes_stay_within_the_spread_of_seeds(runs, model):
    """The mean of the last ten rows: its distance from the mean over seeds is less than four standard deviations."""
    of_seeds = [statistics.fmean(losses(runs / "one" / f"{model} seed {seed}")["train"][-10:]) for seed in SEEDS]
    two = statistics.fmean(losses(runs / "two" / f"{model} with noise")["train"][-10:])
    same_data = losses(runs / "one" / f"{model} seed 0")["train"]
    assert abs(two - statistics.fmean(of_seeds)) < 4 * statistics.stdev(of_seeds)
    assert losses(runs / "two" / f"{model} with noise")["train"] != same_data, "noise of its own"


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes_as_if_nothing_had_changed(tmp_path):
    """One process, then two, then one: the data come in the same order, so the weights are those of one alone."""
    run(tmp_path, tmp_path / "alone", 30)
    for steps, together in ((10, False), (20, True), (30, False)):
        run(tmp_path, tmp_path / "changing", steps, together=together)
    alone, changing = (Checkpoints(tmp_path / name / "relay").load() for name in ("alone", "changing"))
    assert changing["step"] == 30 and changing["noise_of_others"] == []
    for name, wanted in alone["model"].items():
        torch.testing.assert_close(changing["model"][name], wanted, rtol=1e-3, atol=1e-4)
    for name, order in alone["sampler"].items():
        same = (
            torch.equal(order, changing["sampler"][name])
            if torch.is_tensor(order)
            else order == changing["sampler"][name]
        )
        assert same, name


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_torchrun_restarts_after_a_worker_is_killed_and_the_weights_are_those_of_an_undisturbed_run(tmp_path, rank):
    def command(name):
        options = "--no-report --training.steps 400 --training.device cpu --training.logging.checkpoint-every 20"
        train = ["-m", "avae_lib", "train", "digits-vae", "--run-dir", str(tmp_path / name), *options.split()]
        return [*TORCHRUN, "--max-restarts", "1", *train]

    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command("killed"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    end = time.monotonic() + 300
    while not (tmp_path / "killed/checkpoint.previous.pt").exists():
        assert time.monotonic() < end and process.poll() is None, "no checkpoint in time"
        time.sleep(0.01)
    workers = [child for child in psutil.Process(process.pid).children() if child.environ().get("RANK") == str(rank)]
    (worker,) = workers
    worker.send_signal(signal.SIGKILL)
    said, complaints = process.communicate(timeout=300)
    assert process.returncode == 0, complaints[-3000:]
    assert "resuming from step" in said
    alone = subprocess.run(command("alone"), capture_output=True, text=True, timeout=300, env=environment)
    assert alone.returncode == 0, alone.stderr[-3000:]
    killed, wanted = (Checkpoints(tmp_path / name).load() for name in ("killed", "alone"))
    assert killed["step"] == wanted["step"] == 400
    for part in ("model", "averaged"):
        assert all(torch.equal(killed[part][name], value) for name, value in wanted[part].items())
