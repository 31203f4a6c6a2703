"""Weights that are kept beside the latest: the best by validation images, and milestones."""

import dataclasses
import json

import pytest
import safetensors.torch
import torch

from avae_lib.data import ImageDataset
from avae_lib.evaluation import measuring, terms_of_bound
from avae_lib.models.vae import VAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import load_weights, step_of_weights
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, TrainingConfig

MODEL = VAEConfig(image_shape=(1, 4, 4), latent_dim=3, hidden_sizes=(12,))
CONFIG = TrainingConfig(
    steps=40,
    batch_size=7,
    learning_rate=LearningRateConfig(warmup_steps=2, peak=0.2),
    logging=LoggingConfig(metrics_every=4, evaluate_every=4, checkpoint_every=12),
)


@pytest.fixture
def dataset():
    """Twenty black-and-white images of noise, which a model learns by heart: validation soon gets worse."""
    pixels = torch.randint(0, 2, (40, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("noise", train=pixels[:20], valid=pixels[20:30], test=pixels[30:], bits=1)


def fresh():
    torch.manual_seed(4)
    return MODEL.build()


def validation_curve(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["negative_elbo"] for row in rows if row["split"] == "valid"}


def kept(run_dir, name="best.safetensors"):
    return safetensors.torch.load_file(run_dir / name)


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def die_at(model, number):
    calls = iter(range(1, 1000))

    def count(module, arguments):
        if module.training and next(calls) == number:
            raise SystemExit

    model.register_forward_pre_hook(count)
    return model


def test_the_best_weights_have_the_lowest_bound_of_the_curve(dataset, tmp_path):
    fit(fresh(), dataset, CONFIG, tmp_path)
    curve = validation_curve(tmp_path)
    best = min(curve, key=curve.get)
    assert best < 40, "the last weights are not the best here"
    assert step_of_weights(tmp_path / "best.safetensors") == best
    model = load_weights(fresh(), tmp_path, "best.safetensors")
    with measuring(model):
        bound = terms_of_bound(model, dataset.pixels("valid")).bound.mean().item()
    assert -bound == pytest.approx(curve[best], rel=1e-6)


@pytest.mark.parametrize("killed_at", [3, 8, 14, 23, 30, 39])
def test_a_killed_and_resumed_run_keeps_the_same_best_weights_and_milestones(dataset, tmp_path, killed_at):
    config = derive(CONFIG, logging={"milestones": (6, 13, 38)})
    fit(fresh(), dataset, config, tmp_path / "alone")
    with pytest.raises(SystemExit):
        fit(die_at(fresh(), killed_at), dataset, config, tmp_path / "killed")
    fit(fresh(), dataset, config, tmp_path / "killed")
    files = ("best.safetensors", "milestones/000006.safetensors", "milestones/000013.safetensors")
    for name in (*files, "milestones/000038.safetensors"):
        assert step_of_weights(tmp_path / "alone" / name) == step_of_weights(tmp_path / "killed" / name)
        assert_same_tensors(kept(tmp_path / "alone", name), kept(tmp_path / "killed", name))


def test_best_weights_from_after_the_checkpoint_are_replaced_by_the_next_evaluation(dataset, tmp_path):
    fit(fresh(), dataset, dataclasses.replace(CONFIG, steps=12), tmp_path)
    better = {name: tensor + 1 for name, tensor in kept(tmp_path).items()}
    safetensors.torch.save_file(better, tmp_path / "best.safetensors", {"step": "16"})
    fit(fresh(), dataset, derive(CONFIG, steps=14, logging={"evaluate_every": 14}), tmp_path)
    assert step_of_weights(tmp_path / "best.safetensors") == 14


def test_milestones_are_the_averaged_weights_of_their_step(dataset, tmp_path):
    constant = derive(CONFIG, learning_rate={"schedule": "constant"}, logging={"milestones": (5, 40, 1000)})
    fit(fresh(), dataset, constant, tmp_path / "long")
    fit(fresh(), dataset, dataclasses.replace(constant, steps=5), tmp_path / "short")
    names = sorted(path.name for path in (tmp_path / "long/milestones").iterdir())
    assert names == ["000005.safetensors", "000040.safetensors"]
    assert_same_tensors(
        kept(tmp_path / "long", f"milestones/{names[0]}"), kept(tmp_path / "short", "weights.safetensors")
    )
    assert_same_tensors(
        kept(tmp_path / "long", f"milestones/{names[1]}"), kept(tmp_path / "long", "weights.safetensors")
    )


@pytest.mark.parametrize("milestones", [(0,), (5, -1)])
def test_a_milestone_before_the_first_update_is_refused(milestones):
    with pytest.raises(ValueError, match=r"training\.logging\.milestones must be numbers of updates, at least 1"):
        TrainingConfig(logging=LoggingConfig(milestones=milestones))


def test_a_bound_that_is_not_finite_is_never_the_best(dataset, tmp_path):
    class Broken(torch.nn.Module):
        num_layers, image_shape, bits, num_dims = 1, (1, 4, 4), 1, 16

        def __init__(self):
            super().__init__()
            self.inner = fresh()

        def forward(self, x, posterior_temperature=1.0):
            elbo = self.inner(x)
            return elbo if self.training else dataclasses.replace(elbo, kl=elbo.kl * float("nan"))

    fit(Broken(), dataset, CONFIG, tmp_path)
    assert not (tmp_path / "best.safetensors").exists()


def test_a_file_without_weights_has_no_step(tmp_path):
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    assert step_of_weights(tmp_path / "junk.safetensors") is None
    assert step_of_weights(tmp_path / "missing.safetensors") is None


def test_every_few_updates_the_weights_are_kept_beside_the_listed_milestones(dataset, tmp_path):
    logging = {"milestone_every": 16, "milestones": (5,), "checkpoint_every": 12}
    fit(fresh(), dataset, derive(CONFIG, logging=logging), tmp_path / "often", progress_bar=False)
    kept_steps = sorted(step_of_weights(path) for path in (tmp_path / "often/milestones").iterdir())
    assert kept_steps == [5, 16, 32]
    fit(fresh(), dataset, derive(CONFIG, steps=16, learning_rate={"schedule": "constant"}), tmp_path / "short")
    fit(fresh(), dataset, derive(CONFIG, learning_rate={"schedule": "constant"}, logging=logging), tmp_path / "whole")
    at_16 = kept(tmp_path / "whole", "milestones/000016.safetensors")
    assert_same_tensors(at_16, kept(tmp_path / "short", "weights.safetensors"))
