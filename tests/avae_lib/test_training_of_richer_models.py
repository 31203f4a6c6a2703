"""Training models that have stages, labels, running statistics or penalties, or that define no density."""

import dataclasses
import functools
import json
import math

import pytest
import torch
from torch import nn

from avae_lib.data import BatchSampler, DataConfig, DatasetError, ImageDataset
from avae_lib.data.augmentation import RandomFlips
from avae_lib.objectives import ELBO
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import BEST, BestWeights, Checkpoints, step_of_weights
from avae_lib.training.fit import fit
from avae_lib.training.memory import expected_memory
from avae_lib.training.moving_average import MovingAverage
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.weighted_loss import Loss

CONFIG = TrainingConfig(
    steps=8,
    batch_size=6,
    learning_rate=LearningRateConfig(warmup_steps=2),
    logging=LoggingConfig(metrics_every=2, evaluate_every=4, checkpoint_every=4),
    device="cpu",
)


class Tiny(nn.Module):
    """A regression that looks like a model of images."""

    num_layers, image_shape, bits, num_dims = 1, (1, 2, 2), 4, 4

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Linear(4, 2)

    def outputs(self, x):
        return self.net(x.flatten(1).float() / 16)

    def forward(self, x, posterior_temperature=1.0):
        value = self.outputs(x)
        return ELBO(-value[:, 0].square(), value[:, 1:].square())


class Staged(Tiny):
    """Notes which update begins; the gradient of one update is lost."""

    running_statistics = ("mean",)

    def __init__(self, lost_at=None):
        super().__init__()
        self.steps, self.lost_at = [], lost_at
        self.register_buffer("begun", torch.tensor(0))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("seen", torch.tensor(0))

    def begin_update(self, step):
        self.steps.append(step)
        self.begun += 1

    def forward(self, x, posterior_temperature=1.0):
        elbo = super().forward(x)
        if not self.training:
            return elbo
        self.seen += 1
        self.mean.lerp_(self.outputs(x).detach().mean(dim=0), 0.1)
        is_lost = self.begun == (self.lost_at or 0)
        return ELBO(torch.where(is_lost, math.nan, elbo.log_likelihood), elbo.kl)


class Labelled(Tiny):
    """Fails where an image does not come with its own label, which is its least pixel."""

    num_classes = 3

    def forward(self, x, posterior_temperature=1.0, *, labels):
        assert x.device.type == "meta" or torch.equal(x.flatten(1).min(dim=1).values.long(), labels)
        return super().forward(x)


@pytest.fixture
def dataset():
    """Images of four random levels, whose least one is 0, 1 or 2 and is their label."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (40,), generator=generator)
    images = torch.randint(3, 16, (40, 1, 2, 2), generator=generator, dtype=torch.uint8)
    images[:, 0, 0, 0] = labels.to(torch.uint8)
    parts = {"train": images[:30], "valid": images[30:], "test": images[30:]}
    classes = {f"{name}_labels": labels[:30] if name == "train" else labels[30:] for name in parts}
    return ImageDataset("dots", **parts, **classes, bits=4, flips=RandomFlips(True, True))


def rows(run_dir, split):
    found = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["split"] == split]


def with_steps(steps):
    return derive(CONFIG, steps=steps, learning_rate={"schedule": "constant"})


def test_each_update_is_announced_to_the_model_with_its_number(dataset, tmp_path):
    model = Staged()
    fit(model, dataset, CONFIG, tmp_path)
    assert model.steps == list(range(8))


def test_a_resumed_run_goes_on_counting_and_ends_as_one_left_alone(dataset, tmp_path):
    fit(Staged(), dataset, with_steps(3), tmp_path / "parts")
    resumed = Staged()
    fit(resumed, dataset, with_steps(8), tmp_path / "parts")
    assert resumed.steps == [3, 4, 5, 6, 7]
    fit(Staged(), dataset, with_steps(8), tmp_path / "whole")
    parts, whole = (Checkpoints(tmp_path / name).load() for name in ("parts", "whole"))
    for part in ("model", "averaged"):
        assert whole[part].keys() == parts[part].keys()
        for name, value in whole[part].items():
            assert torch.equal(parts[part][name], value), name


@pytest.mark.usefixtures("without_annotation_checks")
def test_a_compiled_model_is_told_too(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    eager, compiled = Staged(), Staged()
    fit(eager, dataset, CONFIG, tmp_path / "eager")
    fit(compiled, dataset, dataclasses.replace(CONFIG, compile=True), tmp_path / "compiled")
    assert compiled.steps == list(range(8)) and compiled.begun == 8
    torch.testing.assert_close(compiled.mean, eager.mean)


def test_a_skipped_update_takes_back_what_its_batch_did_but_not_what_began_it(dataset, tmp_path):
    model = Staged(lost_at=3)
    fit(model, dataset, CONFIG, tmp_path)
    assert model.begun == 8 and model.seen == 7, "the buffers of the lost update are as before it"
    (skipped,) = [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()]
    assert skipped["step"] == 3 and torch.isfinite(model.mean).all()


def test_running_statistics_are_averaged_like_weights_and_other_buffers_copied():
    model = Staged()
    average = MovingAverage(model, decay=0.6)
    by_hand, weight = torch.zeros(2, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for n, taken in enumerate((True, True, False, True, True)):
        model.mean.copy_(torch.tensor([n + 1.0, -n]))
        model.net.weight.data.fill_(float(n))
        model.seen.fill_(n)
        average.update_parameters(model, torch.tensor(taken))
        counted = n if n < 3 else n - 1
        step = 1 - (min(0.6, (1 + counted) / (10 + counted)) if counted else 0.0)
        if taken:
            by_hand += step * (model.mean.double() - by_hand)
            weight += step * (n - weight)
    assert average.module.mean.tolist() == pytest.approx(by_hand.tolist(), rel=1e-6)
    assert average.module.net.weight[0, 0].item() == pytest.approx(weight.item(), rel=1e-6)
    assert average.module.seen == 4, "a buffer that is no running statistic is the model's"


def test_frozen_parts_stay_as_they_are_and_the_rest_learns(dataset, tmp_path):
    class Frozen(Staged):
        def __init__(self):
            super().__init__()
            self.second = nn.Linear(4, 1)

        def begin_update(self, step):
            super().begin_update(step)
            self.net.requires_grad_(step < 4)
            if step == 4:
                self.net_at_4 = self.net.weight.detach().clone()

        def forward(self, x, posterior_temperature=1.0):
            elbo = super().forward(x)
            return ELBO(elbo.log_likelihood, elbo.kl, {"second": self.second(x.flatten(1).float()).square()})

    model = Frozen()
    before = model.second.weight.detach().clone()
    fit(model, dataset, derive(CONFIG, optimizer={"kind": "adamw", "weight_decay": 0.1}), tmp_path)
    assert torch.equal(model.net.weight, model.net_at_4), "neither moments nor weight decay move what is frozen"
    assert not torch.equal(model.second.weight, before)


def test_every_batch_comes_with_its_labels_also_where_epochs_meet(dataset):
    sampler = BatchSampler(dataset.labelled(), batch_size=7)
    for _ in range(11):
        images = sampler.draw()
        assert torch.equal(sampler.last_labels, dataset.train_labels[sampler.last_indices])
        assert torch.equal(images.flatten(1).min(dim=1).values.long(), sampler.last_labels)
    assert BatchSampler(dataset, batch_size=7).draw() is not None


def test_no_labels_are_given_where_none_were_asked_for(dataset):
    sampler = BatchSampler(dataset, batch_size=7)
    sampler.draw()
    assert sampler.last_labels is None and dataset.labels("test") is None


def test_conditional_models_get_the_right_labels_in_training_and_validation(dataset, tmp_path):
    fit(Labelled(), dataset.labelled(), CONFIG, tmp_path)
    assert len(rows(tmp_path, "valid")) == 2
    assert expected_memory(Labelled(), CONFIG, data_bytes=0).activations > 0, (
        "memory is told for conditional models too"
    )


def test_held_out_digits_keep_their_labels():
    dataset, whole = DataConfig(validation=150, labels=True).load(), DataConfig(labels=True).load()
    pictures = {
        image.numpy().tobytes(): label for image, label in zip(whole.train, whole.train_labels.tolist(), strict=True)
    }
    found = [pictures[image.numpy().tobytes()] for image in dataset.valid]
    assert dataset.labels("valid").tolist() == found and dataset.labels("valid").dtype == torch.int64


@pytest.mark.parametrize(
    ("model", "is_labelled", "complaint"),
    [
        (Labelled, False, "data.labels must be true: this model is conditional on one of 3 classes"),
        (Tiny, True, "data.labels must be false"),
    ],
)
def test_model_and_data_that_disagree_about_labels_are_refused(dataset, tmp_path, model, is_labelled, complaint):
    with pytest.raises(ValueError, match=complaint):
        fit(model(), dataset.labelled() if is_labelled else dataset, CONFIG, tmp_path)


def test_labels_beyond_the_classes_of_a_model_are_refused(dataset, tmp_path):
    more = dataclasses.replace(dataset, train_labels=dataset.train_labels + 1)
    with pytest.raises(ValueError, match="takes labels 0 … 2, but those of dots are 1 … 3"):
        fit(Labelled(), more.labelled(), CONFIG, tmp_path)


def test_data_without_labels_say_so(dataset):
    with pytest.raises(DatasetError, match="dots has no labels of its valid images"):
        dataclasses.replace(dataset, valid_labels=None).labelled()
    with pytest.raises(DatasetError, match="photos32 has no labels"):
        DataConfig("photos32", labels=True).load()


class Penalised(Tiny):
    """One penalty has a number for each image, the other one for the batch."""

    def forward(self, x, posterior_temperature=1.0):
        elbo = super().forward(x)
        value = self.outputs(x)
        return ELBO(elbo.log_likelihood, elbo.kl, {"each": value[:, 0].abs(), "all": value[:, 1].mean().square()})


class Reconstructing(Penalised):
    no_density = "the encoder is deterministic"


def by_hand(model, images):
    """Means of log-likelihood, KL and both penalties, image by image in float64."""
    values = [(model.net.weight.double() @ (x.flatten().double() / 16) + model.net.bias.double()) for x in images]
    values = torch.stack(values)
    return (
        -values[:, 0].square().mean(),
        values[:, 1].square().mean(),
        values[:, 0].abs().mean(),
        values[:, 1].mean() ** 2,
    )


def test_penalties_are_in_the_loss_and_in_the_rows_of_metrics(dataset, tmp_path):
    trained = fit(Penalised(), dataset, CONFIG, tmp_path)
    log_likelihood, kl, each, together = by_hand(trained.model, dataset.valid)
    row = rows(tmp_path, "valid")[-1]
    assert row["negative_elbo"] == pytest.approx((kl - log_likelihood).item(), rel=1e-4), "no penalty in the bound"
    assert row["penalties"] == pytest.approx({"each": each.item(), "all": together.item()}, rel=1e-4)
    train = rows(tmp_path, "train")[-1]
    whole = -train["log_likelihood"] + train["kl"] + sum(train["penalties"].values())
    assert train["loss"] == pytest.approx(whole, rel=1e-5)


def test_loss_adds_the_mean_of_each_penalty():
    model = Tiny()
    elbo = ELBO(torch.tensor([-1.0, -3.0]), torch.tensor([[0.5], [1.5]]), {"a": torch.tensor([2.0, 6.0])})
    assert Loss(model, CONFIG)(elbo, step=0) == pytest.approx(2.0 + 1.0 + 4.0)


@pytest.mark.parametrize(("step", "share"), [(0, 0.25), (1, 0.5), (3, 1.0), (9, 1.0)])
def test_penalties_rise_with_the_kl(step, share):
    config = derive(CONFIG, kl_weight={"final": 2.0, "warmup_steps": 4})
    elbo = ELBO(torch.tensor([-1.0, -3.0]), torch.tensor([[0.5], [1.5]]), {"a": torch.tensor([2.0, 6.0])})
    assert Loss(Tiny(), config)(elbo, step) == pytest.approx(2.0 + share * (2.0 * 1.0 + 4.0))


def test_rows_of_a_model_without_a_density_hold_its_objective_and_no_bound(dataset, tmp_path):
    trained = fit(Reconstructing(), dataset, CONFIG, tmp_path)
    log_likelihood, kl, each, together = by_hand(trained.model, dataset.valid)
    row = rows(tmp_path, "valid")[-1]
    assert row["objective"] == pytest.approx((kl - log_likelihood + each + together).item(), rel=1e-4)
    for split in ("train", "valid"):
        assert all("negative_elbo" not in row and "bits_per_dim" not in row for row in rows(tmp_path, split))
    assert step_of_weights(tmp_path / BEST) in (4, 8)


@pytest.mark.parametrize("quantity", ["negative_elbo", "objective"])
def test_best_weights_are_those_of_the_lowest_value_whatever_the_penalties(dataset, tmp_path, quantity):
    state = TrainingState(Tiny(), dataset, CONFIG, torch.device("cpu"))
    best = BestWeights(state, (), tmp_path)
    for state.step, value, penalty in ((4, 3.0, 0.0), (8, 2.0, 50.0), (12, 2.5, 0.0)):
        best.offer({"split": "valid", "step": state.step, quantity: value, "penalties": {"beta": penalty}})
    assert step_of_weights(tmp_path / BEST) == 8
    again = BestWeights(state, [{"split": "valid", "step": 8, quantity: 2.0}], tmp_path)
    again.offer({"split": "valid", "step": 16, quantity: 2.2})
    assert step_of_weights(tmp_path / BEST) == 8
