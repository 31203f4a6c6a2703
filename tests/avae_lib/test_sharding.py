"""Two processes that divide the weights (FSDP2): the updates, the decisions and the files of one that has them all."""

import dataclasses
import functools
import json
import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_flatten_with_path

from avae_lib.data import DataConfig
from avae_lib.errors import InvalidInput
from avae_lib.evaluation import terms_of_bound
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.training.checkpoints import BEST, LATEST, Checkpoints, load_weights, step_of_weights
from avae_lib.training.distributed import ALONE, Team
from avae_lib.training.fit import fit
from avae_lib.training.memory import expected_memory
from avae_lib.training.sharding import require_sharding
from avae_lib.training.training_config import PenaltiesConfig, TrainingConfig

PROGRAM = '''
"""Trains small models without noise, each in a folder of its own: alone, or, under torchrun, with another process."""
import functools, os, pathlib, sys
import torch
from avae_lib.data import DataConfig
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, OptimizerConfig, TrainingConfig

here, *tasks = pathlib.Path(sys.argv[1]), *sys.argv[2:]
digits = DataConfig("digits", validation=100).load()
MODELS = {
    "vae": VAEConfig((1, 8, 8), bits=4, likelihood="discretized_logistic", latent_dim=4, hidden_sizes=(17,)),
    "vdvae": VDVAEConfig((1, 8, 8), 4, "8x1,8d2,4x1,4d4,1x1", "1x1,4m1,4x1,8m4,8x1", width=8, latent_channels=2,
                         mixtures=2),
    "attentive": AttentiveConfig(layers=2, width=8, key_channels=4, blocks=1),
}
CONFIG = TrainingConfig(steps=6, batch_size=16, device="cpu",
                        learning_rate=LearningRateConfig(peak=5e-3, warmup_steps=4, schedule="constant"),
                        logging=LoggingConfig(metrics_every=2, evaluate_every=3, evaluation_images=50))
OPTIONS = {
    "pieces": {"micro_batch": 3},
    "checkpointing": {"activation_checkpointing": True},
    "bfloat16": {"precision": "bfloat16"},
    "adamw": {"optimizer": OptimizerConfig(kind="adamw", weight_decay=0.01)},
}

class LosesAnImage(torch.nn.Module):
    """Multiplies one bound of the second process by NaN in its third update."""
    def __init__(self, model):
        super().__init__()
        self.forward_of_model, self.calls = model.forward, 0
    def __call__(self, x, **options):
        elbo = self.forward_of_model(x, **options)
        self.calls += torch.is_grad_enabled()
        lost = torch.is_grad_enabled() and self.calls == 3 and os.environ["RANK"] == "1"
        return type(elbo)(elbo.log_likelihood * (float("nan") if lost else 1.0), elbo.kl)

for task in tasks:
    name, way, *options = task.split()
    torch.manual_seed(0)
    model = MODELS[name].build()
    model.forward = functools.partial(model.forward, posterior_temperature=0.0)
    if "lost" in options:
        model.forward = LosesAnImage(model).__call__
    changes = {key: value for option in options for key, value in OPTIONS.get(option, {}).items()}
    steps = [int(option) for option in options if option.isdigit()]
    config = derive(CONFIG, sharded=way == "sharded", steps=steps[0] if steps else 6, **changes)
    if torch.distributed.is_torchelastic_launched() and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")  # once, for several runs one after the other
    fit(model, digits, config, here / ("relay" if "relay" in options else task), progress_bar=False)
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
'''
ALIKE = [
    ("vae sharded", "vae whole"),
    ("vae sharded adamw", "vae whole adamw"),
    ("vdvae sharded", "vdvae whole"),
    ("vdvae sharded pieces", "vdvae whole"),
    ("vdvae sharded checkpointing", "vdvae whole"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder for each run, the relay among them: sharded up to step 3, then alone, then by DDP, then sharded."""
    here = tmp_path_factory.mktemp("sharding")
    (here / "program.py").write_text(PROGRAM)
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    first = [sharded for sharded, _ in ALIKE]
    first += ["attentive sharded", "attentive ddp", "vdvae sharded bfloat16", "vdvae ddp bfloat16", "vae sharded lost"]
    alone = [*dict.fromkeys(whole for _, whole in ALIKE), "vae whole relay 5"]
    for command, tasks in (
        (together, [*first, "vae sharded relay 3"]),
        ([sys.executable], [*alone, "vae whole 9"]),
        (together, ["vae ddp relay 7", "vae sharded relay 9"]),
    ):
        command = [*command, str(here / "program.py"), str(here), *tasks]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
    return here


def tensors(folder):
    """All tensors of a checkpoint but the noise, by their places."""
    leaves = tree_flatten_with_path(Checkpoints(folder).load())[0]
    return {str(place): leaf for place, leaf in leaves if isinstance(leaf, torch.Tensor) and "noise" not in str(place)}


def losses(folder):
    return [json.loads(line)["negative_elbo"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def require_same_tensors(folder, wanted):
    of_run, of_wanted = tensors(folder), tensors(wanted)
    assert list(of_run) == list(of_wanted), "the checkpoints have the same form"
    for place, tensor in of_wanted.items():
        torch.testing.assert_close(
            of_run[place], tensor, rtol=1e-3, atol=2e-5, msg=lambda text, place=place: f"{place}: {text}"
        )


@pytest.mark.slow
@pytest.mark.parametrize(("sharded", "whole"), ALIKE)
def test_two_processes_with_shards_write_the_files_of_one_process(runs, sharded, whole):
    require_same_tensors(runs / sharded, runs / whole)
    assert losses(runs / sharded) == pytest.approx(losses(runs / whole), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["attentive {}", "vdvae {} bfloat16"])
def test_shards_have_the_curve_of_ddp(runs, run):
    """Batch normalisation sees half of a batch either way; scalars among the weights are not sharded.

    Biases before a normalisation have gradients of pure rounding, which the optimizer makes as long as all others.
    """
    sharded, ddp = (losses(runs / run.format(way)) for way in ("sharded", "ddp"))
    assert len(ddp) == 5 and sharded == pytest.approx(ddp, rel=1e-3 if "bfloat16" in run else 1e-4)


@pytest.mark.slow
def test_what_is_no_number_for_one_process_changes_the_shard_of_none(runs):
    (skipped,) = [json.loads(line) for line in (runs / "vae sharded lost" / "skipped.jsonl").read_text().splitlines()]
    assert skipped["step"] == 3 and "loss was nan" in skipped["reason"] and len(skipped["images"]) == 16
    checkpoint = Checkpoints(runs / "vae sharded lost").load()
    assert checkpoint is not None
    assert checkpoint["averaged"]["n_averaged"] == 5 == checkpoint["optimizer"]["state"][0]["step"]
    assert all(tensor.isfinite().all() for tensor in tensors(runs / "vae sharded lost").values())


@pytest.mark.slow
def test_a_run_goes_on_with_shards_or_without_as_if_nothing_had_changed(runs):
    require_same_tensors(runs / "relay", runs / "vae whole 9")
    assert losses(runs / "relay")[-1] == pytest.approx(losses(runs / "vae whole 9")[-1], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [LATEST, BEST])
def test_the_weights_of_a_sharded_run_are_whole(runs, name):
    model = VAEConfig((1, 8, 8), bits=4, likelihood="discretized_logistic", latent_dim=4, hidden_sizes=(17,)).build()
    load_weights(model, runs / "vae sharded", name)
    rows = [json.loads(line) for line in (runs / "vae sharded" / "metrics.jsonl").read_text().splitlines()]
    step = step_of_weights(runs / "vae sharded" / name)
    (wanted,) = [row["negative_elbo"] for row in rows if row["split"] == "valid" and row["step"] == step]
    model.forward = functools.partial(model.forward, posterior_temperature=0.0)  # pyright: ignore
    held_out = DataConfig("digits", validation=100).load().examples("valid", 50)
    elbo = terms_of_bound(model.eval(), held_out, 50)
    assert -elbo.bound.mean().item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compile": True}, "training.compile must be false with training.sharded"),
        ({"cuda_graphs": True}, "training.cuda_graphs must be false with training.sharded"),
        ({"penalties": PenaltiesConfig(l2=0.1)}, "training.penalties.l2 must be 0 with training.sharded"),
    ],
)
def test_what_does_not_go_with_shards_is_refused(changes, message):
    config = TrainingConfig(sharded=True, **changes)
    with pytest.raises(InvalidInput, match=message):
        require_sharding(VAEConfig().build(), config, Team(0, 2))


def test_models_that_change_between_updates_or_use_a_weight_twice_are_not_sharded():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = self.second = nn.Linear(2, 2)

        def checkpointed_blocks(self):
            return [self.first, self.second]

    for model, reason in ((VQVAEConfig(channels=4).build(), "changes between updates"), (Twice(), "the same weight")):
        with pytest.raises(InvalidInput, match=reason):
            require_sharding(model, TrainingConfig(sharded=True), Team(0, 2))


def test_a_single_process_is_told_how_to_continue(tmp_path):
    digits, config = DataConfig("digits", validation=100).load(), TrainingConfig(sharded=True, device="cpu")
    with pytest.raises(InvalidInput, match=r"single process: start several by torchrun .* --training\.no-sharded"):
        fit(VAEConfig(bits=4, likelihood="discretized_logistic").build(), digits, config, tmp_path)
    assert ALONE.size == 1 and not any(tmp_path.iterdir())


@pytest.mark.parametrize("processes", [2, 8])
def test_the_memory_of_weights_is_expected_to_be_divided(processes):
    model, config = VAEConfig(hidden_sizes=(2000, 2000)).build(), TrainingConfig()
    whole = expected_memory(model, config, 0, processes)
    sharded = expected_memory(model, dataclasses.replace(config, sharded=True), 0, processes)
    for part in ("weights", "gradients", "optimizer"):
        assert getattr(sharded, part) == pytest.approx(getattr(whole, part) / processes, rel=1e-3)
    assert sharded.average == pytest.approx(whole.average * (1 + 1 / processes), rel=1e-3), (
        "the first evaluates it whole"
    )
    assert sharded.activations == whole.activations
