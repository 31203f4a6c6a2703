"""Judging and drawing models that are conditional, have a codebook or penalties, or define no density."""

import json
import math

import pytest
import scipy.stats
import torch
from PIL import Image
from torch import nn

from avae_lib import plotting
from avae_lib.cli import main
from avae_lib.data import DataConfig, ImageDataset
from avae_lib.evaluation import (
    CodeUsage,
    Estimate,
    Evaluation,
    code_usage,
    compare_data_sets,
    evaluate,
    image_log_likelihoods,
    measuring,
    terms_of_bound,
    unit_activity,
)
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.contract import NoDensity, labels_for_samples
from avae_lib.models.requirements import require_labels
from avae_lib.objectives import ELBO
from avae_lib.presets import find_preset
from avae_lib.report.panels import panels
from avae_lib.run_pictures import class_rows, write_pictures

REASON = "its encoder is deterministic, so that log q(z | x) is not defined"


class Shifted(nn.Module):
    """x = shift of its class + w z + noise with z ~ N(0, 1): log p(x | class) is known, for real-valued pixels."""

    num_layers, image_shape, bits, num_dims, num_classes = 1, (1, 1, 2), 4, 2, 3

    def __init__(self):
        super().__init__()
        self.loading = nn.Parameter(torch.tensor([1.5, -0.5], dtype=torch.float64))
        self.shifts = nn.Parameter(torch.tensor([[2.0, 5.0], [6.0, 9.0], [12.0, 3.0]], dtype=torch.float64))

    def latents(self, x, *, labels):
        require_labels(labels, len(x), self.num_classes)
        precision = 1 + self.loading.square().sum() / 4
        mean = (x.flatten(1).double() - self.shifts[labels]) @ self.loading / 4 / precision
        return (DiagonalGaussian(mean[:, None], (-0.5 * precision.log()).expand_as(mean)[:, None]),)

    def _log_likelihood(self, x, z, labels):
        mean = self.shifts[labels] + z * self.loading
        return torch.distributions.Normal(mean, 2.0).log_prob(x.flatten(1)).sum(dim=1)

    def forward(self, x, posterior_temperature=1.0, *, labels):
        (posterior,) = self.latents(x, labels=labels)
        kl = posterior.kl(DiagonalGaussian.standard_like(posterior.mean))
        return ELBO(self._log_likelihood(x, posterior.sample(), labels), kl[:, None])

    def log_weight(self, x, keep_layers=None, *, labels):
        (posterior,) = self.latents(x, labels=labels)
        proposal = posterior if keep_layers != 0 else DiagonalGaussian.standard_like(posterior.mean)
        z = proposal.sample()
        prior = DiagonalGaussian.standard_like(z)
        return self._log_likelihood(x, z, labels) + prior.log_prob(z) - proposal.log_prob(z)

    def sample(self, n, temperature=1.0, generator=None, *, labels=None):
        labels = labels_for_samples(n, self.num_classes, labels)
        values = self.shifts[labels] + temperature * torch.randn(n, 1, generator=generator) * self.loading
        return values.round().clamp(0, 15).to(torch.uint8)[:, None, None]

    def reconstruct(self, x, keep_layers=None, *, labels):
        (posterior,) = self.latents(x, labels=labels)
        z = torch.randn_like(posterior.mean) if keep_layers == 0 else posterior.mean
        return (self.shifts[labels] + z * self.loading).round().clamp(0, 15).to(torch.uint8)[:, None, None]


class Reconstructing(nn.Module):
    """No density; one penalty for each image and one for all of a batch."""

    num_layers, image_shape, bits, num_dims, no_density = 1, (1, 1, 2), 4, 2, REASON

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def latents(self, x):
        mean = self.scale * x.flatten(1).float()
        return (DiagonalGaussian(mean, torch.full_like(mean, -20.0)),)

    def forward(self, x, posterior_temperature=1.0):
        values = x.flatten(1).float()
        penalties = {"size": values.sum(dim=1), "mmd": values.mean()}
        return ELBO(-(values - self.scale).square().sum(dim=1), torch.zeros(len(x), 1), penalties)

    def log_weight(self, x, keep_layers=None):
        raise NoDensity(self.no_density)

    def sample(self, n, temperature=1.0, generator=None):
        return torch.zeros(n, 1, 1, 2, dtype=torch.uint8)

    def reconstruct(self, x, keep_layers=None):
        return x


class Levels(Reconstructing):
    """A density with two levels of codes: the first pixel, and 15 minus that."""

    no_density = None

    def code_counts(self, x):
        codes = x[:, 0, 0, 0].long()
        return torch.stack([torch.bincount(codes, minlength=16), torch.bincount(15 - codes, minlength=16)])

    def log_weight(self, x, keep_layers=None):
        return self(x).bound


@pytest.fixture
def pictures():
    return torch.randint(0, 16, (23, 1, 1, 2), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def labels():
    return torch.randint(0, 3, (23,), generator=torch.Generator().manual_seed(1))


def exact_log_likelihood(model, pictures, labels):
    """log p(x | class) by scipy, image by image."""
    loading, shifts = model.loading.detach().numpy(), model.shifts.detach().numpy()
    covariance = loading[:, None] * loading[None, :] + 4.0 * torch.eye(2).numpy()
    return [
        scipy.stats.multivariate_normal(shifts[label], covariance).logpdf(x.flatten().numpy().astype(float))
        for x, label in zip(pictures, labels.tolist(), strict=True)
    ]


@pytest.mark.parametrize("rows", [4, 23, 512])
def test_likelihood_of_a_conditional_model_is_that_given_each_image_s_own_class(pictures, labels, rows):
    exact = exact_log_likelihood(Shifted(), pictures, labels)
    with measuring(Shifted()):
        found = image_log_likelihoods(Shifted(), pictures, samples=3, rows=rows, labels=labels)
    assert found.tolist() == pytest.approx(exact, rel=1e-9), "the posterior is exact, so each weight is p(x | class)"
    others = exact_log_likelihood(Shifted(), pictures, (labels + 1) % 3)
    assert not any(abs(value - other) < 1e-3 for value, other in zip(exact, others, strict=True))


def test_evaluation_of_a_conditional_model_says_that_classes_were_known(pictures, labels):
    result = evaluate(Shifted(), pictures, importance_samples=2, labels=labels)
    exact = torch.tensor(exact_log_likelihood(Shifted(), pictures, labels))
    assert result.negative_log_likelihood.mean == pytest.approx(-exact.mean().item())
    assert result.is_conditional and "−log p(x | class)" in result.table() and "−log p(x | z, class)" in result.table()


def test_classes_of_both_data_sets_are_used_in_comparing_them(pictures, labels):
    inside, outside = pictures[:12], pictures[12:]
    result = compare_data_sets(
        Shifted(), inside, outside, "others", 0, importance_samples=4000, labels=(labels[:12], labels[12:])
    )
    wrong = compare_data_sets(
        Shifted(), inside, outside, "others", 0, importance_samples=4000, labels=((labels[:12] + 1) % 3, labels[12:])
    )
    assert abs(result.score_inside.mean) < 0.2, "both bounds are near log p(x | class)"
    assert result.area_of_likelihood != wrong.area_of_likelihood


@pytest.mark.parametrize(
    "measure", [terms_of_bound, unit_activity, evaluate, lambda *given: image_log_likelihoods(*given, samples=1)]
)
def test_a_conditional_model_without_labels_is_refused(pictures, measure):
    with pytest.raises(ValueError, match="labels are missing: this model is conditional"):
        measure(Shifted(), pictures)


def test_labels_of_another_number_of_images_are_refused(pictures, labels):
    with pytest.raises(ValueError, match="one class for each of the 23 images, got 22"):
        terms_of_bound(Shifted(), pictures, labels=labels[:22])


@pytest.mark.parametrize(
    ("labels", "error", "complaint"),
    [
        (None, ValueError, "labels must be given"),
        ([0, 1], TypeError, "got list"),
        (torch.tensor([0.0, 1.0]), TypeError, "must be int64 classes 0 … 2, got torch.float32"),
        (torch.tensor([0]), ValueError, r"one class for each image, \(2,\), got \(1,\)"),
        (torch.tensor([0, 3]), ValueError, "classes 0 … 2, got 0 … 3"),
        (torch.tensor([-1, 0]), ValueError, "got -1 … 0"),
    ],
)
def test_what_is_no_class_for_each_image_is_refused(labels, error, complaint):
    with pytest.raises(error, match=complaint):
        require_labels(labels, batch=2, num_classes=3)


def test_a_model_without_a_density_gets_dashes_with_the_reason(pictures):
    result = evaluate(Reconstructing(), pictures, importance_samples=2)
    assert result.negative_elbo is result.negative_log_likelihood is None and result.kl == ()
    values = pictures.flatten(1).double()
    assert result.distortion.mean == pytest.approx((values - 0.5).square().sum(dim=1).mean().item())
    bound, likelihood, distortion, *_ = result.cells()
    assert bound[1:] == likelihood[1:] == ("—", "—") and "—" not in distortion
    assert REASON in result.table() and "2 of 2" in result.table()
    read = Evaluation.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert read.cells() == result.cells() and read.no_density == REASON


def test_penalties_are_given_by_name_and_those_of_a_batch_without_an_error(pictures):
    values = pictures.flatten(1).double()
    result = evaluate(Reconstructing(), pictures, importance_samples=2, rows=5)
    size, mmd = result.penalties["size"], result.penalties["mmd"]
    assert size == Estimate.over(values.sum(dim=1)) and mmd.mean == pytest.approx(values.mean().item())
    assert math.isnan(mmd.standard_error)
    assert ("penalty: size", str(size), "—") in result.cells()
    assert ("penalty: mmd", f"{mmd.mean:.2f}", "—") in result.cells()
    read = Evaluation.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert read.penalties["size"] == size and read.penalties["mmd"].mean == mmd.mean


def test_no_density_is_said_where_a_likelihood_is_asked_for(pictures):
    with pytest.raises(NoDensity, match="deterministic"):
        image_log_likelihoods(Reconstructing(), pictures, samples=1)


def test_old_records_without_the_later_fields_are_read(pictures, labels):
    record = evaluate(Shifted(), pictures, importance_samples=1, labels=labels).to_json()
    for later in ("no_density", "is_conditional", "penalties", "code_usage"):
        del record[later]
    assert Evaluation.from_json(record).penalties == {} and Evaluation.from_json(record).code_usage is None


def test_use_of_codes_is_counted_over_all_images(pictures):
    found = code_usage(Levels(), pictures, rows=4)
    firsts = pictures[:, 0, 0, 0].tolist()
    assert found.counts[0] == tuple(firsts.count(code) for code in range(16)) == found.counts[1][::-1]
    shares = [firsts.count(code) / len(firsts) for code in set(firsts)]
    assert found.perplexity[0] == pytest.approx(math.exp(scipy.stats.entropy(shares)))
    assert found.dead == (16 - len(set(firsts)),) * 2


def test_perplexity_is_the_number_of_codes_where_all_are_used_alike():
    assert CodeUsage.of(torch.tensor([[4, 4, 4, 4]])).perplexity == (4.0,)
    usage = CodeUsage.of(torch.tensor([[9, 0, 0, 0], [1, 1, 0, 0]]))
    assert usage.perplexity == (1.0, 2.0) and usage.dead == (3, 2)
    assert usage.text() == "codes in use, top level first: 1 of 4 (perplexity 1.0), 2 of 4 (perplexity 2.0)"


def test_evaluation_of_a_model_of_codes_holds_their_use(pictures):
    result = evaluate(Levels(), pictures, importance_samples=64)
    assert result.importance_samples == 1, "the posterior is a point mass, so all draws are alike"
    assert result.negative_log_likelihood == result.negative_elbo and "1 importance sample " in result.table()
    assert "codes in use, top level first" in result.table()
    assert Evaluation.from_json(json.loads(json.dumps(result.to_json()))).code_usage == result.code_usage


def test_bars_of_codes_are_their_shares_in_order():
    figure = plotting.codes_in_use([[1, 0, 3], [2, 2, 0]], [1.75, 2.0])
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes]
    assert heights == [[75.0, 25.0, 0.0], [50.0, 50.0, 0.0]]
    assert "level 2: 2 of 3 codes in use, perplexity 2.0" in figure.axes[1].get_title(loc="left")


def test_there_is_a_row_of_samples_for_each_class():
    model = Shifted()
    rows = class_rows(model, temperature=0.0, count=4)
    assert list(rows) == ["class 0", "class 1", "class 2"]
    for label, images in enumerate(rows.values()):
        assert (images[:, 0, 0].double() == model.shifts[label].detach()).all()
    noisy = class_rows(model, count=4, seed=5)
    noise = (noisy["class 1"][:, 0, 0, 0].double() - 6) / 1.5
    other = (noisy["class 2"][:, 0, 0, 0].double() - 12) / 1.5
    assert (noise - other).abs().max() < 1.0, "up to rounding and clipping, the same noise"


def test_samples_cycle_through_the_classes():
    assert labels_for_samples(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert labels_for_samples(2, 3, torch.tensor([2, 2])).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("model", "names", "files"),
    [
        (Shifted, ["samples", "classes", "reconstructions"], ["samples.png", "classes.png", "reconstructions.png"]),
        (Levels, ["samples", "reconstructions", "codes"], ["samples.png", "reconstructions.png", "codes.png"]),
        (Reconstructing, ["samples", "reconstructions"], ["samples.png", "reconstructions.png"]),
    ],
)
def test_panels_and_pictures_are_chosen_by_what_a_model_offers(
    pictures, labels, tmp_path, monkeypatch, model, names, files
):
    model, classes = model(), labels if model is Shifted else None
    evaluation = evaluate(model, pictures, importance_samples=1, labels=classes)
    shown = panels(model, pictures, classes, "validation", evaluation, seed=0)
    assert [panel.name for panel in shown] == names
    assert all(panel.strips or panel.charts for panel in shown)
    dataset = ImageDataset("pairs", train=pictures, test=pictures, bits=4, train_labels=labels, test_labels=labels)
    dataset = dataset if classes is None else dataset.labelled()
    monkeypatch.setattr(DataConfig, "load", lambda config: dataset)
    written = list(write_pictures(model, DataConfig(), tmp_path, count=5))
    assert [path.name for path in written] == files and all(Image.open(path).width > 50 for path in written)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs of small presets, made by the command line with its report."""
    folder = tmp_path_factory.mktemp("runs")
    options = ["--training.steps", "4", "--training.batch-size", "20", "--training.logging.evaluate-every", "2"]
    options += ["--training.logging.evaluation-images", "24", "--training.logging.metrics-every", "2"]
    for name in ("digits-conditional-vae", "digits-wae"):
        assert main(["train", name, "--run-dir", str(folder / name), *options]) == 0
    return folder


def test_a_conditional_preset_is_trained_judged_and_drawn_by_the_command_line(trained, capsys):
    run = trained / "digits-conditional-vae"
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Samples of each class" in page and "class 9" in page and "given its class" in page
    assert main(["evaluate", str(run), "--importance-samples", "1"]) == 0
    assert "−log p(x | class)" in capsys.readouterr().out
    assert main(["sample", str(run), "--count", "10"]) == 0
    assert (run / "classes.png").is_file()


def test_a_preset_without_a_density_is_trained_judged_and_drawn_by_the_command_line(trained, capsys):
    run = trained / "digits-wae"
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Training objective" in page and "There is no bound and no log p(x)" in page and "Penalty: mmd" in page
    assert (run / "best.safetensors").is_file()
    assert main(["evaluate", str(run), "--importance-samples", "1"]) == 0
    record, table = json.loads((run / "evaluation.json").read_text()), capsys.readouterr().out
    assert record["negative_elbo"] is None and record["no_density"] in table
    assert main(["evaluate", str(run), "--ood", "digits"]) == 1
    assert "has no likelihood of images" in capsys.readouterr().err
    assert main(["sample", str(run), "--count", "10"]) == 0


def test_labels_that_are_switched_off_are_missed_before_training(tmp_path, capsys):
    assert main(["train", "digits-conditional-vae", "--run-dir", str(tmp_path / "run"), "--data.no-labels"]) == 1
    assert "data.labels must be true" in capsys.readouterr().err
    assert find_preset("digits-conditional-vae").data.labels


def test_configurations_from_before_labels_are_read():
    from avae_lib.training.experiment import from_json, to_json

    record = to_json(find_preset("digits-vae"))
    del record["data"]["labels"]
    assert from_json(record) == find_preset("digits-vae")
