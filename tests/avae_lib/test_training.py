"""Training: what an update does, what is written, and that a run goes on exactly where it stopped."""

import dataclasses
import functools
import json
import math
import operator
import os
import shutil
import signal

import pytest
import torch
from torch import nn

from avae_lib.data import DataConfig, ImageDataset
from avae_lib.evaluation import measuring, terms_of_bound
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import ELBO
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import CheckpointError, Checkpoints
from avae_lib.training.fit import fit
from avae_lib.training.optimizers_and_schedules import learning_rate_factor
from avae_lib.training.run_guards import TrainingInterrupted
from avae_lib.training.skipped_updates import TrainingDiverged
from avae_lib.training.training_config import KLWeightConfig, LearningRateConfig, LoggingConfig, TrainingConfig

MODEL = VAEConfig(image_shape=(1, 4, 4), latent_dim=3, hidden_sizes=(12,))
CONFIG = TrainingConfig(
    steps=24,
    batch_size=7,
    learning_rate=LearningRateConfig(warmup_steps=5),
    kl_weight=KLWeightConfig(warmup_steps=8),
    logging=LoggingConfig(metrics_every=4, evaluate_every=8, checkpoint_every=8),
)


@pytest.fixture
def dataset():
    """Thirty black-and-white images of 4×4 pixels, drawn anew from grey ones in every batch; ten for validation."""
    grey = torch.randint(0, 16, (50, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("dots", train=grey[:30], valid=grey[30:40], test=grey[40:], bits=4, binarize="dynamic")


@pytest.fixture
def model():
    torch.manual_seed(4)
    return MODEL.build()


def with_steps(steps, **changes):
    return derive(CONFIG, steps=steps, **changes)


def rows(run_dir, split=None):
    found = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found if split in (None, row["split"])]


def same_weights(first, second):
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def fresh():
    torch.manual_seed(4)
    return MODEL.build()


def before_update(model, number, happening):
    """Let something happen when the model is called for its update of that number."""
    calls = iter(range(1, 1000))

    def count(module, arguments):
        if module.training and next(calls) == number:
            happening()

    model.register_forward_pre_hook(count)


def die():
    raise SystemExit


def final_checkpoint(run_dir):
    return Checkpoints(run_dir).load()


def assert_same_state(first, second, place="checkpoint"):
    assert type(first) is type(second), place
    if isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for key in first:
            assert_same_state(first[key], second[key], f"{place}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), place
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_same_state(*pair, f"{place}[{index}]")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), place
    elif not place.endswith(".seconds"):
        assert first == second, place


@pytest.mark.parametrize("killed_at", [3, 9, 15, 24])
def test_a_killed_and_resumed_run_equals_one_left_alone_bit_for_bit(dataset, tmp_path, killed_at, capsys):
    alone = fit(fresh(), dataset, CONFIG, tmp_path / "alone")
    dying = fresh()
    before_update(dying, killed_at, die)
    with pytest.raises(SystemExit):
        fit(dying, dataset, CONFIG, tmp_path / "killed")
    torch.rand(5)  # whatever happens in between
    resumed = fit(fresh(), dataset, CONFIG, tmp_path / "killed")
    assert same_weights(alone.model, resumed.model)
    assert_same_state(final_checkpoint(tmp_path / "alone"), final_checkpoint(tmp_path / "killed"))
    assert rows(tmp_path / "alone") == rows(tmp_path / "killed")
    said = capsys.readouterr().out
    last_checkpoint = (killed_at - 1) // 8 * 8
    assert (f"resuming from step {last_checkpoint} of 24" in said) == (last_checkpoint > 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_update_saves_and_is_undone_by_resuming(dataset, tmp_path, number):
    alone = fit(fresh(), dataset, CONFIG, tmp_path / "alone")
    stopped, handler = fresh(), signal.getsignal(number)
    before_update(stopped, 6, lambda: os.kill(os.getpid(), number))
    with pytest.raises(TrainingInterrupted, match="stopped after step 6 of 24"):
        fit(stopped, dataset, CONFIG, tmp_path / "stopped")
    assert signal.getsignal(number) is handler
    assert final_checkpoint(tmp_path / "stopped")["step"] == 6
    assert same_weights(fit(fresh(), dataset, CONFIG, tmp_path / "stopped").model, alone.model)


def test_a_finished_run_says_so_and_stays_as_it_is(dataset, tmp_path, capsys):
    first = fit(fresh(), dataset, CONFIG, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes(), (tmp_path / "checkpoint.pt").read_bytes()
    for steps in (24, 10):
        again = fit(fresh(), dataset, with_steps(steps), tmp_path)
        assert same_weights(first.model, again.model) and again.step == 24
    assert before == ((tmp_path / "metrics.jsonl").read_bytes(), (tmp_path / "checkpoint.pt").read_bytes())
    assert capsys.readouterr().out.count("already finished at step 24") == 2


def test_more_steps_continue_the_run_with_the_rates_of_the_longer_one(dataset, tmp_path):
    fit(fresh(), dataset, with_steps(12), tmp_path)
    continued = fit(fresh(), dataset, with_steps(24), tmp_path)
    assert continued.step == 24
    rates = {row["step"]: row["learning_rate"] for row in rows(tmp_path, "train")}
    for step in (16, 20, 24):
        assert rates[step] == CONFIG.learning_rate.peak * learning_rate_factor(step - 1, with_steps(24))
    assert rates[12] == CONFIG.learning_rate.peak * learning_rate_factor(11, with_steps(12))
    steps = [(row["split"], row["step"]) for row in rows(tmp_path)]
    assert len(steps) == len(set(steps)) and steps == sorted(steps, key=lambda entry: entry[1])


def test_training_lowers_the_bound_on_validation_images(tmp_path):
    config = TrainingConfig(
        steps=150, batch_size=100, learning_rate=LearningRateConfig(peak=1e-2), logging=LoggingConfig(evaluate_every=50)
    )
    dataset = DataConfig("digits", binarize="threshold", validation=150).load()
    fit(VAEConfig(hidden_sizes=(64,)).build(), dataset, config, tmp_path)
    bounds = [row["negative_elbo"] for row in rows(tmp_path, "valid")]
    assert bounds[-1] < bounds[0] - 3


def test_rows_hold_the_means_that_the_documentation_promises(dataset, tmp_path):
    trained = fit(fresh(), dataset, CONFIG, tmp_path)
    train, valid = rows(tmp_path, "train"), rows(tmp_path, "valid")
    assert [row["step"] for row in train] == [4, 8, 12, 16, 20, 24] and [row["step"] for row in valid] == [8, 16, 24]
    for row in train + valid:
        assert row["kl"] == pytest.approx(sum(row["kl_per_layer"])) and len(row["kl_per_layer"]) == 1
        assert row["negative_elbo"] == pytest.approx(row["kl"] - row["log_likelihood"])
        assert row["bits_per_dim"] == pytest.approx(row["negative_elbo"] / 16 / math.log(2))
    assert train[-1]["loss"] == pytest.approx(train[-1]["negative_elbo"], rel=1e-5), "beta is 1 after its warm-up"
    with measuring(trained.model):
        elbo = terms_of_bound(trained.model, dataset.pixels("valid"))
    assert valid[-1]["kl_per_layer"] == pytest.approx(elbo.kl.mean(dim=0).tolist(), rel=1e-6)
    assert valid[-1]["negative_elbo"] == pytest.approx(-elbo.bound.mean().item(), rel=1e-6)


def test_the_test_images_never_matter_to_a_run(dataset, tmp_path):
    black = dataclasses.replace(dataset, test=torch.zeros_like(dataset.test))
    runs = [fit(fresh(), images, CONFIG, tmp_path / name) for images, name in ((dataset, "a"), (black, "b"))]
    assert same_weights(runs[0].model, runs[1].model) and rows(tmp_path / "a") == rows(tmp_path / "b")
    assert not rows(tmp_path / "a", "test")


def test_without_validation_images_a_run_has_the_same_course_and_no_curve_of_them(dataset, tmp_path):
    plain = dataclasses.replace(dataset, valid=None)
    runs = [fit(fresh(), images, CONFIG, tmp_path / name) for images, name in ((dataset, "a"), (plain, "b"))]
    assert same_weights(runs[0].model, runs[1].model)
    assert rows(tmp_path / "b") == rows(tmp_path / "a", "train")
    assert not (tmp_path / "b/best.safetensors").exists()


def test_random_numbers_outside_go_on_as_if_nothing_had_been_drawn(dataset, tmp_path):
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    fit(MODEL.build(), dataset, with_steps(2), tmp_path / "a")
    torch.manual_seed(0)
    model = fresh()
    torch.manual_seed(0)
    fit(model, dataset, with_steps(2), tmp_path / "b")
    assert torch.equal(torch.rand(3), wanted)


class Quadratic(nn.Module):
    """A model whose −log-likelihood is the squared distance of its weights from a point; some batches are spoilt."""

    num_layers, image_shape, bits, num_dims = 1, (1, 4, 4), 1, 16

    def __init__(self, spoilt=(), value=float("nan")):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([3.0, -2.0]))
        self.spoilt, self.value, self.calls = spoilt, value, 0
        self.history = []

    def forward(self, x, posterior_temperature=1.0):
        self.calls += self.training
        if self.training:
            self.history.append(self.weights.detach().clone())
        factor = self.value if self.training and self.calls in self.spoilt else 1.0
        log_likelihood = -(self.weights.square().sum() * factor).expand(len(x))
        return ELBO(log_likelihood, log_likelihood.new_zeros(len(x), 1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("spoilt", [(1,), (5,), (5, 6)])
def test_an_update_that_is_not_finite_is_left_out_and_counted(dataset, tmp_path, spoilt, value):
    model = Quadratic(spoilt, value)
    fit(model, dataset, CONFIG, tmp_path)
    for update, (before, after) in enumerate(zip(model.history, model.history[1:], strict=False), start=1):
        assert torch.equal(before, after) == (update in spoilt)
    assert torch.isfinite(model.weights).all()
    assert [row["skipped"] for row in rows(tmp_path, "train")][-1] == len(spoilt)


def test_a_gradient_that_is_not_finite_under_a_finite_loss_is_left_out_too(dataset, tmp_path):
    class SquareRoot(Quadratic):
        def forward(self, x, posterior_temperature=1.0):
            elbo = super().forward(x)
            return ELBO(elbo.log_likelihood - (0 * self.weights[0]).sqrt(), elbo.kl)  # slope 0/0 at zero

    model = SquareRoot()
    with pytest.raises(TrainingDiverged):
        fit(model, dataset, with_steps(24, skipping={"max_in_a_row": 4}), tmp_path)
    assert torch.equal(model.weights.detach(), torch.tensor([3.0, -2.0]))


def test_training_stops_after_the_stated_number_of_skips_in_a_row(dataset, tmp_path):
    model = Quadratic(spoilt=(2, 3, 5, 6, 7))
    with pytest.raises(TrainingDiverged, match=r"3 updates in a row, up to update 7.*training\.learning_rate"):
        fit(model, dataset, with_steps(24, skipping={"max_in_a_row": 3}), tmp_path)


def test_long_gradients_are_scaled_down_and_their_length_is_recorded(dataset, tmp_path):
    model = Quadratic()
    fit(model, dataset, with_steps(1, optimizer={"clip_norm": 0.5}), tmp_path)
    assert model.weights.grad.norm().item() == pytest.approx(0.5, rel=1e-4)
    assert rows(tmp_path, "train")[0]["gradient_norm"] == pytest.approx(2 * math.sqrt(13), rel=1e-5)


def test_beta_weights_the_kl_in_the_loss_but_not_in_the_bound(dataset, tmp_path):
    fit(fresh(), dataset, with_steps(4, kl_weight={"final": 3.0, "warmup_steps": 0}), tmp_path)
    (row,) = rows(tmp_path, "train")
    assert row["loss"] == pytest.approx(3 * row["kl"] - row["log_likelihood"], rel=1e-5)
    assert row["negative_elbo"] == pytest.approx(row["kl"] - row["log_likelihood"])


def test_penalties_of_a_model_are_part_of_the_loss(dataset, tmp_path):
    class Penalised(Quadratic):
        def forward(self, x, posterior_temperature=1.0):
            elbo = super().forward(x)
            return ELBO(
                elbo.log_likelihood, elbo.kl, {"commitment": torch.full((len(x),), 2.5), "other": torch.ones(())}
            )

    fit(Penalised(), dataset, with_steps(1, kl_weight={"warmup_steps": 0}), tmp_path)
    (row,) = rows(tmp_path, "train")
    assert row["loss"] == pytest.approx(row["negative_elbo"] + 3.5)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "truncated at the end": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a checkpoint"),
    "four bytes": lambda path: path.write_bytes(b"junk"),
    "one byte changed": lambda path: _change_middle_byte(path),
    "foreign tensors": lambda path: torch.save({"weights": torch.zeros(3)}, path),
    "foreign list": lambda path: torch.save([1, 2], path),
    "pickled code": lambda path: torch.save(os.getcwd, path),
}


def _change_middle_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_put_aside_and_the_one_before_is_used(dataset, tmp_path, damage, capsys):
    alone = fit(fresh(), dataset, CONFIG, tmp_path / "alone")
    run_dir = tmp_path / "damaged"
    fit(fresh(), dataset, CONFIG, run_dir)
    DAMAGE[damage](run_dir / "checkpoint.pt")
    assert same_weights(fit(fresh(), dataset, CONFIG, run_dir).model, alone.model)
    said = capsys.readouterr().out
    assert "checkpoint.pt is" in said and "going back to checkpoint.previous.pt of step 16" in said
    assert "resuming from step 16 of 24" in said
    assert rows(tmp_path / "alone") == rows(run_dir)
    assert (run_dir / "checkpoint.damaged.pt").exists()


def test_a_checkpoint_copied_from_another_run_is_put_aside_and_the_one_before_is_used(dataset, tmp_path, capsys):
    alone = fit(fresh(), dataset, CONFIG, tmp_path / "alone")
    fit(fresh(), dataset, CONFIG, tmp_path / "run")
    fit(dataclasses.replace(MODEL, latent_dim=5).build(), dataset, CONFIG, tmp_path / "other")
    shutil.copy(tmp_path / "other/checkpoint.pt", tmp_path / "run/checkpoint.pt")
    assert same_weights(fit(fresh(), dataset, CONFIG, tmp_path / "run").model, alone.model)
    said = capsys.readouterr().out
    assert "does not fit this model or data" in said and "going back to checkpoint.previous.pt of step 16" in said


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("step", "x"),
        ("step", None),
        ("step", 16.5),
        ("seconds", "x"),
        ("seconds", math.nan),
        ("energy_kwh", "x"),
        ("sampler", 5),
        ("sampler.position", "x"),
        ("means", 7),
        ("means.sums", [1]),
        ("means.sums", {"loss": 1}),
        ("optimizer", 3),
        ("optimizer.state", {0: "x"}),
        ("optimizer.state", {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(1), "exp_inf": 5}}),
        ("optimizer.param_groups", [3]),
        ("model", 3),
        ("averaged", None),
        ("limit", "x"),
        ("loss", 1),
        ("noise", [1]),
        ("noise.cpu", "x"),
        ("threads", "x"),
        ("skipped", "x"),
        ("recently_skipped", 4),
    ],
)
def test_a_checkpoint_with_a_value_of_the_wrong_type_is_put_aside(dataset, tmp_path, capsys, place, value):
    fit(fresh(), dataset, with_steps(16), tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    *groups, last = place.split(".")
    functools.reduce(operator.getitem, groups, state)[last] = value
    torch.save(state, tmp_path / "checkpoint.pt")
    assert fit(fresh(), dataset, CONFIG, tmp_path).step == 24
    said = capsys.readouterr().out
    assert "checkpoint.pt does not fit this model or data" in said
    assert "going back to checkpoint.previous.pt of step 8" in said


def test_two_damaged_checkpoints_are_an_error_and_nothing_is_overwritten(dataset, tmp_path):
    fit(fresh(), dataset, CONFIG, tmp_path)
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        CheckpointError, match=r"checkpoint\.pt is damaged.*checkpoint\.previous\.pt is damaged.*delete"
    ):
        fit(fresh(), dataset, CONFIG, tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"x"


def test_a_checkpoint_that_was_being_written_when_the_process_died_does_no_harm(dataset, tmp_path):
    fit(fresh(), dataset, with_steps(16), tmp_path)
    (tmp_path / "checkpoint.new.pt").write_bytes(b"half")
    (tmp_path / "checkpoint.pt").rename(tmp_path / "checkpoint.previous.pt")  # died between the two renames
    assert fit(fresh(), dataset, CONFIG, tmp_path).step == 24


def test_single_images_are_refused_where_vectors_are_normalised_over_the_batch(dataset, tmp_path):
    config = LadderConfig(image_shape=(1, 4, 4), latent_dims=(3, 2), hidden_sizes=(8, 8))
    one_at_a_time = dataclasses.replace(CONFIG, batch_size=1)
    with pytest.raises(ValueError, match=r"training\.batch_size must be at least 2"):
        fit(config.build(), dataset, one_at_a_time, tmp_path / "normalised")
    plain = dataclasses.replace(config, batch_norm=False)
    assert fit(plain.build(), dataset, dataclasses.replace(one_at_a_time, steps=1), tmp_path / "plain").step == 1


def test_a_checkpoint_of_another_model_is_refused(dataset, tmp_path):
    fit(fresh(), dataset, CONFIG, tmp_path)
    other = dataclasses.replace(MODEL, latent_dim=5).build()
    with pytest.raises(CheckpointError, match="does not fit this model or data"):
        fit(other, dataset, CONFIG, tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"), [({"binarize": "none"}, "4-bit pixels"), ({"bits": 8, "binarize": "none"}, "8-bit pixels")]
)
def test_images_that_the_model_does_not_take_are_refused_before_anything_is_written(
    dataset, tmp_path, change, complaint
):
    with pytest.raises(ValueError, match=complaint):
        fit(fresh(), dataclasses.replace(dataset, **change), CONFIG, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_named(dataset, tmp_path):
    with pytest.raises(ValueError, match="'cuda:99'"):
        fit(fresh(), dataset, with_steps(1, device="cuda:99"), tmp_path)
