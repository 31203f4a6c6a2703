"""Updates that are recorded once and replayed: the same updates, whatever changes from one to the next."""

import contextlib

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from avae_lib.data import ImageDataset
from avae_lib.errors import InvalidInput
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.distributed import Team
from avae_lib.training.graphed_updates import GraphedUpdate, RecordingFailed, record_on_gpu, require_graphs
from avae_lib.training.optimizers_and_schedules import optimizer_tensors
from avae_lib.training.training_config import KLWeightConfig, LearningRateConfig, TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

CONFIG = TrainingConfig(
    steps=12,
    batch_size=6,
    learning_rate=LearningRateConfig(peak=0.01, warmup_steps=5),
    kl_weight=KLWeightConfig(warmup_steps=4),
)
VDVAE = VDVAEConfig((1, 8, 8), bits=4, enc_blocks="8x1,8d8,1x1", dec_blocks="1x1,8m1", width=8, latent_channels=2,
                    likelihood="discretized_logistic")  # fmt: skip
MODELS = {
    "VAE": VAEConfig((1, 8, 8), bits=4, likelihood="discretized_logistic", hidden_sizes=(8,), latent_dim=2),
    "conditional VAE": ConditionalVAEConfig(
        (1, 8, 8), bits=4, likelihood="discretized_logistic", hidden_sizes=(8,), latent_dim=2, num_classes=3
    ),
    "VDVAE": VDVAE,
    "attentive": AttentiveConfig(layers=3, width=8, key_channels=4),
}
SETTINGS = {
    "adamax": {},
    "adamw": {"optimizer": {"kind": "adamw", "weight_decay": 0.1}},
    "penalties": {"penalties": {"l2": 0.01, "spectral": 0.01}},
    "skipping": {"steps": 40, "skipping": {"factor": 1.02}},
    "pieces": {"micro_batch": 4},
    "constant": {"kl_weight": {"warmup_steps": 0}},
}


class Tape(TorchDispatchMode):
    """Carries operations out, notes them, and repeats them on the same memory: what a CUDA graph does on a GPU."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given = {storage(tensor) for tensor in tensors((args, kwargs))}
        own = [tensor for tensor in tensors(result) if storage(tensor) not in given]
        self.operations.append((function, args, kwargs or {}, result, own))
        return result

    def replay(self):
        for function, args, kwargs, result, own in self.operations:
            again = tensors(function(*args, **kwargs))
            for tensor, value in zip(tensors(result), again, strict=True):
                if any(tensor is one for one in own):
                    tensor.copy_(value)


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def storage(tensor):
    return tensor.untyped_storage().data_ptr()


def recorder_of(state):
    """What stands for a GPU's recording. That carries nothing out, so here all is put back afterwards."""

    def record(computation):
        live = [
            *state.model.state_dict().values(),
            *state.averaged.state_dict().values(),
            *optimizer_tensors(state.optimizer),
            *state.limit.state_dict().values(),
            *state.loss.state_dict().values(),
        ]
        before, noise = [tensor.clone() for tensor in live], torch.get_rng_state()
        with Tape() as tape:
            outcome = computation()
        with torch.no_grad():
            for tensor, value in zip(live, before, strict=True):
                tensor.copy_(value)
        torch.set_rng_state(noise)
        return torch.no_grad()(tape.replay), outcome

    return record


def state_of(model, **training):
    images = torch.randint(0, 16, (40, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    classes = torch.arange(40) % 3
    dataset = ImageDataset("noise", images, images, 4, train_labels=classes, test_labels=classes, gives_labels=True)
    torch.manual_seed(0)
    return TrainingState(model.build(), dataset, derive(CONFIG, **training), torch.device("cpu"))


def trained(state, make_update):
    for _ in range(state.config.steps):
        make_update()
    skipped = [one.step for one in state.skips.read()]
    return state.means.take(), skipped, state.averaged.state_dict(), state.model.state_dict()


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", MODELS)
def test_replayed_updates_are_ordinary_updates(name, settings):
    """Bit for bit; but PyTorch's fused AdamW rounds differently where its learning rate is a tensor."""
    ordinary = state_of(MODELS[name], **SETTINGS[settings])
    means, skipped, *weights = trained(ordinary, lambda: update(ordinary, ordinary.model))
    graphed = state_of(MODELS[name], **SETTINGS[settings])
    replayed = GraphedUpdate(graphed, graphed.model, recorder_of(graphed))
    found_means, found_skipped, *found_weights = trained(graphed, replayed)
    assert found_skipped == skipped and (len(skipped) > 0) == (settings == "skipping")
    exact = {"rtol": 0, "atol": 0} if settings != "adamw" else {"rtol": 0.01, "atol": 0.01}
    torch.testing.assert_close(found_means, means, **exact)
    if settings != "adamw":
        torch.testing.assert_close(found_weights, weights, **exact)


def test_a_processor_records_no_updates():
    state = state_of(MODELS["VAE"], cuda_graphs=True)
    with pytest.raises(InvalidInput, match="only a GPU can replay"):
        require_graphs(state.model, state.device, state.team, state.config)


@pytest.mark.parametrize(
    ("model", "processes", "reason"),
    [("VAE", 2, "several processes"), ("VQ-VAE", 1, "stages")],
)
def test_updates_that_differ_from_each_other_are_refused_on_a_gpu(model, processes, reason):
    config = VQVAEConfig((1, 8, 8), bits=4) if model == "VQ-VAE" else MODELS[model]
    with pytest.raises(InvalidInput, match=reason):
        require_graphs(config.build(), torch.device("cuda"), Team(rank=0, size=processes), CONFIG)
    require_graphs(MODELS["attentive"].build(), torch.device("cuda"), Team(), CONFIG)


@pytest.mark.parametrize(
    "settings", [{"activation_checkpointing": True}, {"micro_batch": 4, "kl_weight": {"free_bits": 0.1}}]
)
def test_updates_that_draw_noise_twice_are_refused(settings):
    with pytest.raises(InvalidInput, match="the same noise"):
        require_graphs(MODELS["attentive"].build(), torch.device("cuda"), Team(), derive(CONFIG, **settings))


@pytest.mark.parametrize("kind", ["adam", "adamw", "adamax"])
def test_pytorch_is_told_that_the_step_is_recorded_and_only_then(kind):
    """On a GPU it refuses to record the step of an optimizer whose groups are not "capturable"."""
    state = state_of(MODELS["VAE"], optimizer={"kind": kind})
    [group] = state.optimizer.param_groups
    during = []

    def record(computation):
        during.append((group["capturable"], type(group["lr"])))
        raise RuntimeError("not recorded")

    before = group["capturable"]
    replayed = GraphedUpdate(state, state.model, record)
    with pytest.raises(RuntimeError, match="not recorded"):
        trained(state, replayed)
    assert during == [(True, torch.Tensor)]
    assert group["capturable"] is before and type(group["lr"]) is float


def test_a_recording_that_fails_says_which_option_to_leave_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: contextlib.nullcontext())

    def waits():
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RecordingFailed, match=r"not permitted.* training\.cuda_graphs false"):
        record_on_gpu(waits)
