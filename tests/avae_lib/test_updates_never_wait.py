"""No update makes the host wait for numbers from the device, in any family of models."""

import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from avae_lib.presets import PRESETS
from avae_lib.presets.derivation import derive
from avae_lib.training.training_config import KLWeightConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

NAMES = [name for name, preset in PRESETS.items() if preset.data.name in ("digits", "photos32", "sentences")]


class NoLookingAtTheDevice(TorchDispatchMode):
    """Raises wherever the host would have to wait for numbers from the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        reads = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique")
        if any(f"aten.{name}." in f"{function}." for name in reads):
            raise AssertionError(f"{function} waits for the device")
        return function(*args, **(kwargs or {}))


def library_skips_its_checks():
    """The library looks at pixel levels and classes on a processor only, and not while it is compiled."""
    return sys._getframe(1).f_globals["__name__"].startswith("avae_lib.")


@pytest.fixture
def watched(monkeypatch):
    """Two updates of a preset with four images each, in which nothing may be read from the device."""

    def make_updates(preset, **training):
        experiment = derive(PRESETS[preset], training={"batch_size": 4, "device": "cpu", **training})
        state = TrainingState(
            experiment.build_model(), experiment.data.load(), experiment.training, torch.device("cpu")
        )
        with NoLookingAtTheDevice(), monkeypatch.context() as patched:
            patched.setattr(torch.Tensor, "tolist", lambda self: pytest.fail("tolist waits for the device"))
            patched.setattr(torch.Tensor, "numpy", lambda self: pytest.fail("numpy waits for the device"))
            patched.setattr(torch.compiler, "is_compiling", library_skips_its_checks)
            for _ in range(2):
                update(state, state.model)
        return state

    return make_updates


@pytest.mark.parametrize("name", NAMES)
def test_an_update_never_waits_for_the_device(watched, name):
    state = watched(name)
    assert state.step == 2 and state.skips.read() == []


@pytest.mark.parametrize(
    "training",
    [
        {"skipping": {"threshold": 1e9, "factor": 3.0}},
        {"kl_weight": KLWeightConfig(free_bits=0.5, balancing=True, warmup_steps=9)},
        {"penalties": {"l2": 0.1, "spectral": 0.1}},
        {"precision": "bfloat16", "channels_last": True},
        {"micro_batch": 2},
        {"optimizer": {"kind": "adamw", "weight_decay": 0.1}},
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["digits-vdvae", "digits-attentive"])
def test_no_setting_makes_an_update_wait(watched, name, training):
    watched(name, **training)


def test_an_update_that_waits_is_noticed(watched, monkeypatch):
    monkeypatch.setattr("avae_lib.training.update.note", lambda state, outcome: outcome.measured["loss"].item())
    with pytest.raises(AssertionError, match="waits for the device"):
        watched("digits-vae")
