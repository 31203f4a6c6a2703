"""Presets: they exist, they build what they say, and their data fit their models."""

import hashlib
import importlib
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avae_lib.models.contract import LatentVariableModel, label_arguments
from avae_lib.preset_summaries import recorded_summaries
from avae_lib.presets import PRESETS, UnknownPreset, find_preset, summary
from avae_lib.presets.derivation import derive
from avae_lib.train_options import parse_train_options
from avae_lib.training.experiment import differing_fields, from_json, to_json
from avae_lib.training.memory import expected_memory_of
from avae_lib.training.optimizers_and_schedules import learning_rate_factor

PARAMETER_NAMES = json.loads((Path(__file__).parent / "older_runs/parameter_names.json").read_text(encoding="utf-8"))
"""Number of stored tensors of each small preset, and a digest of their names and shapes as older runs have them."""
FOLDER = Path(__file__).parents[2] / "avae_lib/presets"
WAYS_TO_FIT = {f"training.{name}" for name in ("micro_batch", "activation_checkpointing", "data_on", "precision")}
"""Fields that may change so that a preset fits one GPU."""
QUICK = ("digits-vae", "digits-attentive", "digits-wae", "photos32-vq-vae-2", "cifar10-vdvae")
EMBEDDED = [name for name, preset in PRESETS.items() if preset.data.name in ("digits", "photos32")]


@pytest.mark.parametrize("name", EMBEDDED)
def test_summary_counts_what_the_built_model_has(name):
    model = PRESETS[name].build_model()
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert isinstance(model, LatentVariableModel)
    assert (summary(PRESETS[name]).layers, summary(PRESETS[name]).parameters) == (model.num_layers, counted)


def test_the_recorded_list_of_presets_is_that_of_the_models_built_now():
    recorded = [replace(entry, memory=None, one_80_gb_gpu=None) for entry in recorded_summaries()]
    assert recorded == [summary(preset) for preset in PRESETS.values()], (
        "run python -m avae_lib.preset_recording, with the names of changed presets"
    )


SOME_SLOW = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in PRESETS]


@pytest.mark.parametrize("name", SOME_SLOW)
def test_recorded_memory_is_what_is_expected_now_and_the_recorded_options_make_it_fit(name):
    """Versions of torch keep slightly different tensors."""
    (recorded,) = [entry for entry in recorded_summaries() if entry.name == name]
    preset = PRESETS[name]
    parts = {part: size for part, size in recorded.memory.items() if part != "total"}
    assert recorded.memory["total"] == sum(parts.values()) == pytest.approx(expected_memory_of(preset).total, rel=0.1)
    asked = parse_train_options(preset, recorded.one_80_gb_gpu.split()).experiment
    assert differing_fields(preset, asked).keys() <= WAYS_TO_FIT
    assert expected_memory_of(asked).total <= 80e9


def test_every_module_with_presets_is_found_and_no_name_is_taken_twice():
    """Read from the sources, without what the library does to find them."""
    modules = [path for path in FOLDER.glob("*.py") if re.search(r"^PRESETS =", path.read_text("utf-8"), re.MULTILINE)]
    found = [
        importlib.import_module(f"avae_lib.presets.{path.stem}").PRESETS for path in modules if path.stem[0] != "_"
    ]
    assert len(found) >= 7 and Counter(preset.name for own in found for preset in own) == Counter(list(PRESETS))


@pytest.mark.parametrize("name", PRESETS)
def test_configuration_survives_its_json(name):
    assert from_json(to_json(PRESETS[name])) == PRESETS[name]


@pytest.mark.parametrize("name", EMBEDDED)
def test_model_takes_the_images_of_its_data_set(name):
    preset = PRESETS[name]
    dataset = preset.data.load()
    model = preset.build_model()
    assert (dataset.image_shape, dataset.model_bits) == (tuple(model.image_shape), model.bits)
    labels = dataset.labels("test")
    arguments = label_arguments(model, None if labels is None else labels[:5])
    assert torch.isfinite(model(dataset.pixels("test")[:5], **arguments).bound).all()


def test_mnist_model_takes_images_of_mnists_shape():
    model = PRESETS["mnist-vae"].build_model()
    assert torch.isfinite(model(torch.randint(0, 2, (3, 1, 28, 28), dtype=torch.uint8)).bound).all()


def test_initial_weights_are_decided_by_the_seed():
    first, second = (PRESETS["digits-vae"].build_model().state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_local_twin_differs_from_the_attentive_model_in_one_field():
    differing = differing_fields(PRESETS["digits-attentive"], PRESETS["digits-local"])
    assert set(differing) == {"name", "source", "model.conditioning"}


@pytest.mark.parametrize("name", ["photos32-vq-vae-2", "cifar10-vq-vae-2"])
def test_the_learning_rate_is_lowest_when_the_autoencoder_is_frozen_and_highest_when_the_prior_begins(name):
    preset = PRESETS[name]
    begins = preset.model.prior_from_step
    last, first = (learning_rate_factor(step, preset.training) for step in (begins - 1, begins))
    assert last < 1.01 * preset.training.learning_rate.final_fraction and first == 1.0


def test_an_unknown_name_gets_the_nearest_preset_or_else_all_of_them():
    with pytest.raises(UnknownPreset, match=r"did you mean 'digits-attentive'\? `avae presets` lists all$"):
        find_preset("digit-attentive")
    with pytest.raises(UnknownPreset, match=r"digits-vae.*mnist-vae"):
        find_preset("xyz")


def test_a_derived_preset_differs_in_what_is_written_and_leaves_its_parent_as_it_was():
    parent = find_preset("digits-attentive")
    derived = derive(parent, name="wider", model={"width": 40})
    assert differing_fields(parent, derived) == {"name": (parent.name, "wider"), "model.width": (28, 40)}


@pytest.mark.usefixtures("without_annotation_checks")
def test_a_dictionary_in_place_of_plain_values_is_not_taken_for_changes():
    assert derive(find_preset("digits-vae"), source={"a": 1}).source == {"a": 1}


@pytest.mark.parametrize("changes", [{"modell": {}}, {"model": {"latent_dimm": 3}}])
def test_a_field_that_does_not_exist_is_refused(changes):
    with pytest.raises(TypeError, match="unexpected keyword"):
        derive(find_preset("digits-vae"), **changes)


def test_what_the_configuration_refuses_cannot_be_derived():
    with pytest.raises(ValueError, match="latent_dim must be at least 1"):
        derive(find_preset("digits-vae"), model={"latent_dim": 0})


@pytest.mark.parametrize("name", PARAMETER_NAMES)
def test_weights_of_older_runs_still_fit(name):
    with torch.device("meta"):
        weights = find_preset(name).model.build().state_dict()
    names_and_shapes = [(entry, list(tensor.shape)) for entry, tensor in weights.items()]
    digest = hashlib.sha256(json.dumps(names_and_shapes).encode()).hexdigest()
    assert [len(weights), digest[:16]] == PARAMETER_NAMES[name], "checkpoints of older runs would not load any more"
