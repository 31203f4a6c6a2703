"""Two processes that train one model: the same updates as one, the same decisions, and resuming."""

import dataclasses
import json
import subprocess
import sys

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from avae_lib.data import ImageDataset
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.models.vq_vae_2 import VQVAE2Config
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.distributed import Team
from avae_lib.training.fit import fit
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.updating import _repeats_itself

PROGRAM = '''
"""What each of two processes does with the argument "together", and a single one without."""
import dataclasses, os, pathlib, sys
import torch
from torch import nn
from avae_lib.data import ImageDataset
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.objectives import ELBO
from avae_lib.training.fit import fit
from avae_lib.training.training_config import KLWeightConfig, LearningRateConfig, LoggingConfig, TrainingConfig

class Regression(nn.Module):
    num_layers, image_shape, bits, num_dims = 1, (1, 2, 2), 4, 4
    def __init__(self, lost_by="nobody"):
        super().__init__()
        torch.manual_seed(3)
        self.net, self.calls, self.lost_by = nn.Linear(4, 2), 0, lost_by
    def forward(self, x, posterior_temperature=1.0):
        self.calls += self.training
        value = self.net(x.flatten(1).float())
        lost = self.training and self.calls == 3 and self.lost_by == os.environ.get("RANK", "none")
        return ELBO(-value[:, 0].square() * (float("nan") if lost else 1.0), value[:, 1:].square())

class LeavesOneOut(Regression):
    """With a parameter that no pass reaches."""
    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.ones(3))

class Prototypes(nn.Module):
    """Vectors are drawn to the nearest of four prototypes, the ratio of two running means, and to their label."""
    num_layers, image_shape, bits, num_dims, num_classes = 1, (1, 2, 2), 4, 4, 3
    running_statistics = ("sizes", "sums")
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Linear(4, 2)
        self.register_buffer("sizes", torch.ones(4))
        self.register_buffer("sums", torch.randn(4, 2))
    def begin_update(self, step):  # each member on its own, as if it had other candidates
        self.sums[step % 4] += 0.01 * (1 + int(os.environ.get("RANK", "0")))
    def forward(self, x, posterior_temperature=1.0, *, labels):
        vectors, prototypes = self.net(x.flatten(1).float() / 16), self.sums / self.sizes[:, None]
        nearest = torch.cdist(vectors, prototypes).argmin(dim=1)
        if self.training:
            chosen = nn.functional.one_hot(nearest, 4).float() / len(x)
            self.sizes.lerp_(chosen.sum(dim=0), 0.2)
            self.sums.lerp_(chosen.T @ vectors.detach(), 0.2)
        distance = (vectors - prototypes[nearest]).square().sum(dim=1)
        return ELBO(-distance, (vectors[:, :1] - labels[:, None]).square(), {"half": 0.5 * vectors.square().sum(dim=1)})

here = pathlib.Path(sys.argv[1])
images = torch.randint(0, 16, (40, 1, 2, 2), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
dataset = ImageDataset("dots", train=images[:30], valid=images[30:], test=images[30:], bits=4)
classes = torch.arange(40) % 3
labelled = dataclasses.replace(dataset, train_labels=classes[:30], valid_labels=classes[30:], test_labels=classes[30:])
config = TrainingConfig(steps=8, batch_size=6, learning_rate=LearningRateConfig(warmup_steps=2),
                        logging=LoggingConfig(metrics_every=2, evaluate_every=4, checkpoint_every=4), device="cpu")
ladder = LadderConfig((1, 2, 2), bits=4, likelihood="discretized_logistic", latent_dims=(3, 2), hidden_sizes=(8, 4))
if sys.argv[2:] == ["together"]:
    torch.distributed.init_process_group("gloo")  # for several runs one after the other
    fit(Regression(), dataset, config, here / "plain")
    fit(Regression(), dataset, dataclasses.replace(config, micro_batch=2), here / "pieces")
    free_bits = dataclasses.replace(config, kl_weight=KLWeightConfig(free_bits=0.5), micro_batch=2)
    fit(Regression(), dataset, free_bits, here / "pieces with free bits")
    for checkpointing in (False, True):
        torch.manual_seed(0)
        changed = dataclasses.replace(config, batch_size=16, activation_checkpointing=checkpointing)
        fit(ladder.build(), dataset, changed, here / f"checkpointing {checkpointing}")
    for update_of_codes in ("moving_average", "loss"):
        torch.manual_seed(0)
        codes = VQVAEConfig((1, 2, 2), bits=4, channels=4, halvings=1, codes=6, codebook_update=update_of_codes,
                            likelihood="discretized_logistic")
        fit(codes.build(), dataset, config, here / f"codes by {update_of_codes}")
    print("the next model has a parameter that no pass reaches", file=sys.stderr)
    fit(LeavesOneOut(), dataset, config, here / "leaves one out")
    fit(Regression(lost_by="1"), dataset, config, here / "lost")
    fit(Prototypes(), labelled.labelled(), config, here / "prototypes")
    torch.manual_seed(0)
    vae = VAEConfig((1, 2, 2), bits=4, likelihood="discretized_logistic", latent_dim=2, hidden_sizes=(5,))
    first = vae.build()
    start = {name: value.clone() for name, value in first.state_dict().items()}
    constant = dataclasses.replace(config, learning_rate=LearningRateConfig(warmup_steps=2, schedule="constant"))
    fit(first, dataset, constant, here / "whole")
    for steps in (4, 8):
        again = vae.build()
        again.load_state_dict(start)
        fit(again, dataset, dataclasses.replace(constant, steps=steps), here / "parts")
    torch.distributed.destroy_process_group()
else:
    fit(Regression(), dataset, config, here / "plain")
    fit(Prototypes(), labelled.labelled(), config, here / "prototypes")
'''


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs by two processes, and of one by a single process."""
    here = tmp_path_factory.mktemp("teams")
    (here / "program.py").write_text(PROGRAM)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for command, folder, *arguments in ((torchrun, "two", "together"), ([sys.executable], "one")):
        command = [*command, str(here / "program.py"), str(here / folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        (here / folder / "stderr.txt").write_text(done.stderr)
    return here


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_make_the_updates_of_one(runs):
    one, two = (Checkpoints(runs / name / "plain").load() for name in ("one", "two"))
    for name, weights in one["model"].items():
        torch.testing.assert_close(two["model"][name], weights, rtol=1e-5, atol=1e-6)
    for row, wanted in zip(*(lines(runs / name / "plain/metrics.jsonl") for name in ("two", "one")), strict=True):
        assert row["step"] == wanted["step"] and row["negative_elbo"] == pytest.approx(
            wanted["negative_elbo"], rel=1e-4
        )


@pytest.mark.slow
def test_running_statistics_and_labels_are_those_of_the_whole_batch(runs):
    one, two = (Checkpoints(runs / name / "prototypes").load() for name in ("one", "two"))
    assert not torch.equal(one["model"]["sizes"], torch.ones(4)), "they have moved"
    for part in ("model", "averaged"):
        for name, values in one[part].items():
            torch.testing.assert_close(
                two[part][name], values, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
            )
    rows = zip(*(lines(runs / name / "prototypes/metrics.jsonl") for name in ("two", "one")), strict=True)
    for row, wanted in rows:
        assert row["penalties"] == pytest.approx(wanted["penalties"], rel=1e-4)


@pytest.mark.slow
def test_what_is_no_number_for_one_member_is_left_out_by_all(runs):
    (skipped,) = lines(runs / "two/lost/skipped.jsonl")
    assert skipped["step"] == 3 and "loss was nan" in skipped["reason"] and len(skipped["images"]) == 6
    checkpoint = Checkpoints(runs / "two/lost").load()
    assert all(torch.isfinite(weights).all() for weights in checkpoint["model"].values())
    assert checkpoint["skipped"] == 1 and checkpoint["averaged"]["n_averaged"] == 7


@pytest.mark.slow
def test_a_team_resumes_bit_for_bit(runs):
    whole, parts = (Checkpoints(runs / "two" / name).load() for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 8 and len(parts["noise_of_others"]) == 1
    assert not torch.equal(whole["noise"]["cpu"], whole["noise_of_others"][0]["cpu"])
    for name, weights in whole["model"].items():
        assert torch.equal(parts["model"][name], weights)


@pytest.mark.slow
def test_pieces_of_two_processes_make_the_updates_of_one(runs):
    one, two = Checkpoints(runs / "one" / "plain").load(), Checkpoints(runs / "two" / "pieces").load()
    for name, weights in one["model"].items():
        torch.testing.assert_close(two["model"][name], weights, rtol=1e-5, atol=1e-6)
    assert Checkpoints(runs / "two" / "pieces with free bits").load()["step"] == 8


@pytest.mark.slow
def test_activation_checkpointing_changes_no_bit_of_two_processes(runs):
    usual, checkpointing = (Checkpoints(runs / "two" / f"checkpointing {on}").load()["model"] for on in (False, True))
    assert all(torch.equal(checkpointing[name], weights) for name, weights in usual.items())


@pytest.mark.slow
def test_parameters_that_no_pass_reaches_stay_and_only_then_does_pytorch_look_for_them(runs):
    model = Checkpoints(runs / "two" / "leaves one out").load()["model"]
    plain = Checkpoints(runs / "two" / "plain").load()["model"]
    assert model["unused"].tolist() == [1.0] * 3 and torch.equal(model["net.weight"], plain["net.weight"])
    before, found, _ = (runs / "two" / "stderr.txt").read_text().partition("the next model has a parameter")
    assert found and "find_unused_parameters" not in before


@pytest.mark.slow
@pytest.mark.parametrize("update_of_codes", ["moving_average", "loss"])
def test_a_model_that_only_moves_codes_trains_in_a_team(runs, update_of_codes):
    assert Checkpoints(runs / "two" / f"codes by {update_of_codes}").load()["step"] == 8


@pytest.mark.parametrize(("config", "freezes"), [(VQVAEConfig(channels=4), False), (VQVAE2Config(channels=4), True)])
def test_what_a_model_says_about_freezing_is_what_its_stages_do(config, freezes):
    model = config.build()
    trained = set()
    for step in (0, 1, 10**7):
        model.begin_update(step)
        trained.add(tuple(parameter.requires_grad for parameter in model.parameters()))
    assert getattr(model, "freezes_parameters", True) == freezes == (len(trained) > 1)


@pytest.mark.parametrize("reaches_all", [True, False])
@pytest.mark.parametrize("repeats_itself", [True, False])
def test_the_order_of_gradients_is_learned_once_only_if_every_update_is_alike(reaches_all, repeats_itself):
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        wrapped = Team(0, 2).wrap(torch.nn.Linear(2, 2), lambda: reaches_all, repeats_itself)
        assert isinstance(wrapped, DistributedDataParallel) and wrapped.gradient_as_bucket_view
        assert wrapped.static_graph == (reaches_all and repeats_itself)
        assert wrapped.find_unused_parameters == (not reaches_all)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("changes", "repeats"),
    [({}, True), ({"micro_batch": 8}, True), ({"micro_batch": 4}, False), ({"compile": True}, False)],
)
def test_pieces_and_compiled_models_are_no_static_graph(changes, repeats):
    """PyTorch stops or loses gradients of pieces, and counts what the compiler traces as a first update."""
    images = torch.zeros(30, 1, 8, 8, dtype=torch.uint8)
    config, dataset = (
        TrainingConfig(batch_size=16, device="cpu", **changes),
        ImageDataset("dark", images, images, bits=1),
    )
    state = TrainingState(VAEConfig().build(), dataset, config, torch.device("cpu"), Team(0, 2))
    assert _repeats_itself(state) == repeats


def test_shares_are_the_whole_batch_once():
    batch = torch.arange(12)
    shares = [Team(rank, 3).share(batch) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == list(range(12)) and {len(share) for share in shares} == {4}


def test_a_batch_that_cannot_be_shared_out_is_refused(monkeypatch, tmp_path):
    from contextlib import nullcontext

    monkeypatch.setattr(sys.modules[fit.__module__], "join_team", lambda device: nullcontext((Team(0, 4), device)))
    images = torch.zeros(30, 1, 8, 8, dtype=torch.uint8)
    config = dataclasses.replace(TrainingConfig(), batch_size=10)
    with pytest.raises(ValueError, match="shared out among 4 processes and must be a multiple of their number, got 10"):
        fit(VAEConfig().build(), ImageDataset("dark", images, images, bits=1), config, tmp_path)
