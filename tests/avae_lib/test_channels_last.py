"""Channels side by side in memory: another layout, the same training."""

from functools import partial

import pytest
import safetensors.torch
import torch

from avae_lib.presets import PRESETS
from avae_lib.presets.derivation import derive
from avae_lib.training.fit import fit
from avae_lib.training.runs import train_run
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update


def experiment(name, **training):
    shared = {"batch_size": 4, "device": "cpu", "steps": 4}
    return derive(PRESETS[name], training={**shared, **training})


def state_after(name, updates, **training):
    chosen = experiment(name, **training)
    torch.manual_seed(0)
    state = TrainingState(chosen.build_model(), chosen.data.load(), chosen.training, torch.device("cpu"))
    for _ in range(updates):
        update(state, partial(state.model, posterior_temperature=0.0))  # noise would be drawn in another order
    return state


def is_channels_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["digits-vdvae", "digits-attentive", "digits-nvae", "photos32-vq-vae"])
def test_weights_average_moments_and_gradients_lie_channels_last(name):
    state = state_after(name, updates=1, channels_last=True)
    kernels = [parameter for parameter in state.model.parameters() if parameter.dim() == 4]
    assert len(kernels) > 5 and all(map(is_channels_last, kernels))
    moments = [value for kernel in kernels for value in state.optimizer.state[kernel].values() if value.dim() == 4]
    averages = [parameter for parameter in state.averaged.parameters() if parameter.dim() == 4]
    assert all(map(is_channels_last, [*moments, *averages]))


@pytest.mark.parametrize("name", ["digits-vdvae", "digits-attentive", "digits-nvae", "digits-vae"])
def test_the_first_update_measures_the_same(name):
    usual, last = (state_after(name, 1, channels_last=choice).means.take() for choice in (False, True))
    assert last.keys() == usual.keys()
    for key, value in usual.items():
        assert last[key] == pytest.approx(value, rel=1e-4, abs=1e-4), key


def test_files_of_weights_do_not_depend_on_the_layout(tmp_path):
    for choice in (False, True):
        chosen = experiment("digits-vdvae", channels_last=choice)
        fit(chosen.build_model(), chosen.data.load(), chosen.training, tmp_path / str(choice), progress_bar=False)
    usual, last = (
        safetensors.torch.load_file(tmp_path / str(choice) / "weights.safetensors") for choice in (False, True)
    )
    assert {name: value.shape for name, value in usual.items()} == {name: value.shape for name, value in last.items()}
    assert all(value.is_contiguous() for value in last.values())


def test_a_run_may_change_its_layout_when_it_is_continued(tmp_path):
    train_run(experiment("digits-vdvae", steps=2), tmp_path, progress_bar=False)
    trained = train_run(experiment("digits-vdvae", steps=4, channels_last=True), tmp_path, progress_bar=False)
    assert trained.step == 4
