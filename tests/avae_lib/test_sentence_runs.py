"""Training, evaluation, report and samples of a model of sentences, through the same doors as those of images."""

from __future__ import annotations

import dataclasses
import json
import math
from html import escape

import pytest
import torch

from avae_lib import components
from avae_lib.cli import main
from avae_lib.component_usage import usage
from avae_lib.data import BatchSampler, DataConfig, load
from avae_lib.data.sentences import SentenceDataset, fixed_vocabulary
from avae_lib.evaluation import Evaluation, evaluate, measuring, terms_of_bound
from avae_lib.models.text_vae import TextVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.observations import END, PADDING, Tokens
from avae_lib.presets import PRESETS
from avae_lib.presets.derivation import derive
from avae_lib.report import write_report
from avae_lib.run_sentences import interpolated_sentences, spread
from avae_lib.training.fit import fit
from avae_lib.training.metrics import MetricsFile
from avae_lib.training.notebook_training import train_in_notebook
from avae_lib.training.training_config import LoggingConfig, TrainingConfig

SMALL = TextVAEConfig(embedding_dim=4, hidden_dim=6, latent_dim=2)
QUICK = {
    "steps": 6,
    "logging.metrics-every": 3,
    "logging.evaluate-every": 3,
    "logging.evaluation-images": 20,
    "batch-size": 4,
}


@pytest.fixture(scope="module")
def library():
    return load("sentences")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "sentences"
    options = [part for name, value in QUICK.items() for part in (f"--training.{name}", str(value))]
    sizes = ["--model.embedding-dim", "4", "--model.hidden-dim", "6", "--model.latent-dim", "2"]
    assert main(["train", "sentences-text-vae", "--run-dir", str(folder), *options, *sizes]) == 0
    return folder


def test_bits_are_counted_per_token_of_the_sentences_measured(run_dir, library):
    rows = MetricsFile(run_dir / "metrics.jsonl").rows()
    for split, sentences in (("train", library.train), ("valid", library.valid[:20])):
        tokens = (sentences != PADDING).sum().item() / len(sentences)
        for row in (row for row in rows if row["split"] == split):
            assert row["bits_per_dim"] == pytest.approx(row["negative_elbo"] / (tokens * math.log(2)))


def test_evaluation_says_sentences_and_tokens(run_dir, library, capsys):
    assert main(["evaluate", str(run_dir), "--split", "valid", "--importance-samples", "2"]) == 0
    printed = capsys.readouterr().out
    assert "on the validation sentences of sentences (Python 3." in printed
    assert "nats per sentence" in printed and "bits per token" in printed and "tokens on average" in printed
    assert "image" not in printed and "dimension" not in printed
    record = json.loads((run_dir / "evaluation.valid.json").read_text(encoding="utf-8"))
    assert (record["example"], record["value"], record["examples"]) == ("sentence", "token", len(library.valid))
    assert Evaluation.from_json(record).to_json() == record


def test_bits_per_token_are_all_bits_over_all_tokens(library):
    torch.manual_seed(0)
    model, sentences = SMALL.build(), library.test[:30]
    result = evaluate(model, sentences, importance_samples=1)
    bits = result.distortion.mean * len(sentences) / math.log(2)
    tokens = int(((sentences != PADDING) & (sentences != END)).sum()) + len(sentences)
    assert result.distortion.in_bits_per_dim(result.num_dims).mean == pytest.approx(bits / tokens)


def test_records_of_images_from_before_are_still_read():
    record = evaluate(VAEConfig(image_shape=(1, 2, 2)).build(), torch.zeros(3, 1, 2, 2, dtype=torch.uint8)).to_json()
    older = {name: value for name, value in record.items() if name not in ("example", "value")}
    assert (Evaluation.from_json(older).example, Evaluation.from_json(older).value) == ("image", "dimension")
    assert "3 images of 4 dimensions; ± is" in Evaluation.from_json(older).table()


def test_samples_are_written_in_words(run_dir, library, capsys):
    assert main(["sample", str(run_dir), "--count", "5"]) == 0
    names = [line.rpartition("/")[2] for line in capsys.readouterr().out.split()]
    assert names == ["samples.txt", "reconstructions.txt", "interpolation.txt"]
    samples, reconstructions, walk = ((run_dir / name).read_text(encoding="utf-8").splitlines() for name in names)
    words = {*fixed_vocabulary().words, "<unk>"}
    assert len(samples) == 5 and {word for line in samples for word in line.split()} <= words
    shown = library.vocabulary.to_sentences(spread(library.valid, 12))
    assert reconstructions[::2] == list(shown) and all(line.startswith("    ") for line in reconstructions[1::2])
    assert (walk[0], walk[-1], len(walk)) == (shown[0], shown[-1], 9)
    assert not list(run_dir.glob("*.png"))


def test_report_shows_sentences_and_counts_tokens(run_dir, library):
    page = write_report(run_dir, importance_samples=1, images=20).read_text(encoding="utf-8")
    for title in ("Samples", "Reconstructions", "From one sentence to another"):
        assert f">{title}</h2>" in page
    for words in ("nats per sentence", "bits per token", "20 validation sentences of", "tokens on average"):
        assert words in page
    assert escape(library.vocabulary.to_sentences(library.valid[:1])[0]) in page
    text = page[page.index("<main>") :]
    assert "<img" not in text and " image" not in text.replace("evaluation_images", "") and "dimension" not in text


def test_batches_are_the_training_sentences_in_another_order(library):
    sampler = BatchSampler(library, batch_size=7, seed=3)
    batch = sampler.draw()
    assert torch.equal(batch, library.train[sampler.last_indices]) and batch.dtype == torch.int64


def test_a_resumed_run_gives_the_same_weights_as_one_left_alone(library, tmp_path):
    config = TrainingConfig(steps=6, batch_size=4, device="cpu", logging=LoggingConfig(evaluation_images=8))
    models = []
    for name, stops in (("alone", [6]), ("resumed", [3, 6])):
        for steps in stops:
            torch.manual_seed(0)
            models.append(fit(SMALL.build(), library, dataclasses.replace(config, steps=steps), tmp_path / name).model)
    alone, _, resumed = (model.state_dict() for model in models)
    assert all(torch.equal(alone[name], resumed[name]) for name in alone)


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (
            TextVAEConfig(vocabulary_size=99),
            "sentences",
            r"the model takes sentences of at most 21 tokens from a vocabulary of 99, but sentences has .* of 1,504: "
            r"change data.name, or model.sequence_length and model.vocabulary_size",
        ),
        (VAEConfig(), "sentences", r"takes images of shape \(1, 8, 8\) with 1-bit pixels, but sentences has sentences"),
        (
            SMALL,
            "digits",
            r"takes sentences of at most .*, but digits has images of shape \(1, 8, 8\) with 4-bit pixels",
        ),
    ],
)
def test_a_model_is_not_trained_on_what_it_does_not_take(model, data, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        fit(model.build(), load(data), TrainingConfig(steps=1, device="cpu"), tmp_path)


@pytest.mark.parametrize(
    "option", [{"binarize": "dynamic"}, {"flip_horizontal": True}, {"flip_vertical": True}, {"labels": True}]
)
def test_what_is_done_to_images_alone_is_refused_for_sentences(option):
    with pytest.raises(ValueError, match=rf"data.{next(iter(option))} is for images, got .* for sentences"):
        DataConfig("sentences", **option).load()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--ood", "digits"],
            "--ood must name sentences of at most 21 tokens from a vocabulary of 1,504, like sentences",
        ),
        (["--fid", "10"], "the Fréchet distance compares images (N, C, H, W), got shape (366, 21)"),
    ],
)
def test_comparisons_of_images_are_refused(run_dir, options, said, capsys, library):
    assert main(["evaluate", str(run_dir), *options]) == 1
    assert said.replace("366", str(len(library.test))) in capsys.readouterr().err


def test_a_notebook_shows_the_curve_in_bits_per_token_and_sentences_below(tmp_path, capsys):
    preset = PRESETS["sentences-text-vae"]
    training = derive(preset.training, steps=2, batch_size=2, logging={"evaluate_every": 2, "evaluation_images": 4})
    train_in_notebook(dataclasses.replace(preset, model=SMALL, training=training), tmp_path)
    assert "bits per token on validation sentences" in capsys.readouterr().out
    assert (tmp_path / "progress.png").is_file()


def test_preset_takes_the_sentences_and_its_decoder_has_to_use_the_latents(library):
    preset = PRESETS["sentences-text-vae"]
    assert Tokens(preset.model.sequence_length, preset.model.vocabulary_size) == library.observed
    assert preset.model.word_dropout > 0 and preset.training.kl_weight.warmup_steps > 0


def test_a_model_of_sentences_can_be_tried_for_the_components_it_calls():
    found = usage(SMALL.build(), components.listing())
    assert found.stopped == () and found.callers["reparameterize"] == ("TextVAE",)


def test_interpolation_stands_between_the_two_sentences(library):
    torch.manual_seed(0)
    lines = interpolated_sentences(SMALL.build(), library.test[0], library.test[9], steps=3)
    assert len(lines) == 5 and (lines[0], lines[-1]) == library.vocabulary.to_sentences(library.test[[0, 9]])


def test_spread_takes_sentences_from_all_over_the_set(library):
    assert torch.equal(spread(library.test[:40], 4), library.test[[0, 10, 20, 30]])
    assert len(spread(library.test[:3], 12)) == 3


def test_200_updates_of_the_preset_beat_tokens_told_by_their_frequency(library, tmp_path):
    preset = PRESETS["sentences-text-vae"]
    training = derive(preset.training, steps=200, kl_weight={"warmup_steps": 0}, logging={"evaluation_images": 16})
    model = fit(dataclasses.replace(preset, training=training).build_model(), library, training, tmp_path).model
    with measuring(model):
        bits = -terms_of_bound(model, library.test).bound.sum().item() / math.log(2)
    assert bits / (library.test != PADDING).sum() < bits_per_token_of_frequencies(library)


def bits_per_token_of_frequencies(library: SentenceDataset) -> float:
    """What test tokens cost if each is told by how often it stands in the training sentences; counts start at one."""
    train, test = (split[split != PADDING] for split in (library.train, library.test))
    counts = train.bincount(minlength=library.vocabulary.size).double()[END:] + 1
    return -(counts / counts.sum()).log2()[test - END].mean().item()
