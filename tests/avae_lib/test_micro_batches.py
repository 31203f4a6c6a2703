"""A batch in pieces gives the gradient, the loss and the running statistics of the whole batch."""

import dataclasses
from statistics import median

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from avae_lib.data import ImageDataset
from avae_lib.errors import InvalidInput
from avae_lib.models.info_vae import InfoVAEConfig
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import ELBO
from avae_lib.presets import find_preset
from avae_lib.training.fit import fit
from avae_lib.training.memory import expected_memory
from avae_lib.training.memory_plan import plan_memory_for
from avae_lib.training.requirements import require_batches_in_pieces, require_batches_that_can_be_shared
from avae_lib.training.sizes_of_pieces import sizes_of_pieces
from avae_lib.training.training_config import (
    KLWeightConfig,
    OptimizerConfig,
    PenaltiesConfig,
    SkippingConfig,
    TrainingConfig,
)
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

SHAPE = (1, 8, 8)
VAE = VAEConfig(SHAPE, bits=4, likelihood="discretized_logistic", latent_dim=3, hidden_sizes=(16,))
LADDER = LadderConfig(
    SHAPE,
    bits=4,
    likelihood="discretized_logistic",
    latent_dims=(4, 2),
    hidden_sizes=(16, 8),
    batch_norm=False,
)


@pytest.fixture
def dataset():
    images = torch.randint(0, 16, (60, *SHAPE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("dots", train=images[:50], valid=images[50:], test=images[50:], bits=4)


def state_of(model_config, dataset, config):
    torch.manual_seed(5)
    return TrainingState(model_config.build(), dataset, config, torch.device("cpu"))


def one_update(model_config, dataset, config, temperature=0.0):
    """The state after an update without noise, and the gradient (clipping changes no gradient here)."""
    state = state_of(model_config, dataset, config)
    update(state, lambda x, **labels: state.model(x, posterior_temperature=temperature, **labels))
    return state, {name: parameter.grad for name, parameter in state.model.named_parameters()}


CONFIG = TrainingConfig(batch_size=50, device="cpu", optimizer=OptimizerConfig(clip_norm=1e9))
FREE = 0.211  # nats: the mean KL of one layer of the fresh ladder is just below, that of the other far above
CASES = {
    "plain": (VAE, {}),
    "penalties on weights": (VAE, {"penalties": PenaltiesConfig(l2=0.1, spectral=0.3)}),
    "free bits": (LADDER, {"kl_weight": KLWeightConfig(free_bits=FREE)}),
    "balancing": (LADDER, {"kl_weight": KLWeightConfig(warmup_steps=10, start=0.5, balancing=True)}),
    "KL weight": (LADDER, {"kl_weight": KLWeightConfig(final=3.0)}),
}


@pytest.mark.parametrize("piece", [25, 16, 49])
@pytest.mark.parametrize("case", CASES)
def test_an_update_in_pieces_is_that_of_the_whole_batch(case, piece, dataset):
    model_config, changes = CASES[case]
    config = dataclasses.replace(CONFIG, **changes)
    whole, wanted = one_update(model_config, dataset, config)
    pieces, got = one_update(model_config, dataset, dataclasses.replace(config, micro_batch=piece))
    for name, gradient in wanted.items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(got[name], gradient, rtol=1e-4, atol=1e-5 * scale + 1e-7, msg=name)
    whole, pieces = whole.means.take(), pieces.means.take()
    for name, value in whole.items():
        assert pieces[name] == pytest.approx(value, rel=1e-5), name


def test_free_bits_of_the_whole_batch_differ_from_those_of_pieces(dataset):
    """Otherwise the case above would show nothing."""
    state = state_of(LADDER, dataset, dataclasses.replace(CONFIG, **CASES["free bits"][1]))
    kl = state.model(dataset.train, posterior_temperature=0.0).kl
    assert kl.mean(dim=0)[0] < FREE < kl.mean(dim=0)[1]
    assert max(piece.mean(dim=0)[0] for piece in kl.split(16)) > FREE


def test_the_second_pass_of_free_bits_repeats_the_noise_of_the_first(dataset):
    config = dataclasses.replace(CONFIG, micro_batch=20, kl_weight=KLWeightConfig(free_bits=0.1))
    state = state_of(LADDER, dataset, config)
    seen = []

    def forward(x):
        elbo = state.model(x)
        seen.append(elbo.log_likelihood.detach())
        return elbo

    update(state, forward)
    assert len(seen) == 6 and all(torch.equal(first, second) for first, second in zip(seen[:3], seen[3:], strict=True))
    assert not torch.equal(seen[0][:10], seen[2])


class Prototypes(nn.Module):
    """Two running means of the pixels, one linear in the batch, one of a batch normalisation."""

    num_layers, image_shape, bits, num_dims = 1, SHAPE, 4, 64
    running_statistics = ("mean",)

    def __init__(self, norm=False):
        super().__init__()
        self.net = nn.Linear(64, 1)
        self.norm = nn.BatchNorm1d(64, momentum=0.3)
        self.register_buffer("mean", torch.zeros(64))

    def build(self):
        return self

    def forward(self, x, posterior_temperature=1.0):
        flat = x.flatten(1).float()
        self.mean.lerp_(flat.mean(dim=0), 0.2)
        self.norm(flat)
        value = self.net(flat)[:, 0]
        return ELBO(-value.square(), value.new_zeros(len(x), 1), {"per batch": (value - self.mean[0]).mean()})


@pytest.mark.parametrize("free_bits", [0.0, 0.5])
def test_running_statistics_move_once_for_the_whole_batch(dataset, free_bits):
    config = dataclasses.replace(CONFIG, batch_size=48, kl_weight=KLWeightConfig(free_bits=free_bits))
    models = {}
    for piece in (None, 20):
        torch.manual_seed(2)
        model = Prototypes()
        state = TrainingState(model, dataset, dataclasses.replace(config, micro_batch=piece), torch.device("cpu"))
        state.optimizer.zero_grad()
        update(state, model)
        models[piece] = model
    whole, pieces = models[None], models[20]
    torch.testing.assert_close(pieces.mean, whole.mean)
    torch.testing.assert_close(pieces.norm.running_mean, whole.norm.running_mean)
    assert pieces.norm.num_batches_tracked == whole.norm.num_batches_tracked == 1
    torch.testing.assert_close(pieces.norm.running_var, whole.norm.running_var, rtol=0.3, atol=0.0)


def test_an_update_in_pieces_with_too_long_a_gradient_is_skipped_whole(dataset):
    config = dataclasses.replace(CONFIG, micro_batch=20, skipping=SkippingConfig(threshold=1e-9))
    state = state_of(VAE, dataset, config)
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    update(state, state.model)
    assert len(state.skips.read()[0].images) == 50
    assert all(torch.equal(value, before[name]) for name, value in state.model.state_dict().items())


def test_a_piece_as_large_as_the_batch_changes_no_bit(dataset, tmp_path):
    config = dataclasses.replace(CONFIG, steps=3, batch_size=20)
    runs = {}
    for micro_batch in (None, 20, 64):
        torch.manual_seed(5)
        runs[micro_batch] = fit(
            VAE.build(), dataset, dataclasses.replace(config, micro_batch=micro_batch), tmp_path / str(micro_batch)
        ).model.state_dict()
    for micro_batch in (20, 64):
        assert all(torch.equal(value, runs[None][name]) for name, value in runs[micro_batch].items())


def test_validation_images_are_computed_in_pieces_no_larger_than_those_of_training(dataset, tmp_path):
    model = VAE.build()
    sizes = {True: set(), False: set()}
    model.register_forward_pre_hook(lambda module, arguments: sizes[module.training].add(len(arguments[0])))
    fit(model, dataset, TrainingConfig(steps=2, batch_size=12, micro_batch=4, device="cpu"), tmp_path)
    assert sizes == {True: {4}, False: {4, 2}}  # the hook is copied with the model: 10 validation images


def test_models_that_compare_images_are_not_computed_in_pieces(dataset, tmp_path):
    model = InfoVAEConfig(SHAPE, bits=4, likelihood="discretized_logistic").build()
    with pytest.raises(InvalidInput, match=r"micro_batch must be None .*compares the images of a batch.*, got 8"):
        fit(model, dataset, dataclasses.replace(CONFIG, micro_batch=8), tmp_path)
    require_batches_in_pieces(model, dataclasses.replace(CONFIG, micro_batch=50), share=50)


BATCH_NORM = dataclasses.replace(LADDER, batch_norm=True)


@pytest.mark.parametrize(("micro_batch", "share", "wanted"), [(7, 50, 9), (6, 12, 12), (1, 50, 9), (8, 15, 15)])
def test_a_few_vectors_are_no_piece_for_a_batch_normalisation(micro_batch, share, wanted):
    model = BATCH_NORM.build()
    with pytest.raises(InvalidInput, match=f"micro_batch must be at least {wanted} .*got {micro_batch}"):
        require_batches_in_pieces(model, dataclasses.replace(CONFIG, micro_batch=micro_batch), share)
    require_batches_in_pieces(model, dataclasses.replace(CONFIG, micro_batch=wanted), share)
    require_batches_in_pieces(LADDER.build(), dataclasses.replace(CONFIG, micro_batch=micro_batch), share)


def test_a_few_vectors_are_no_share_of_a_process_for_a_batch_normalisation():
    model = BATCH_NORM.build()
    with pytest.raises(InvalidInput, match=r"at least 8 for each process: .*got 12 for 2"):
        require_batches_that_can_be_shared(model, batch_size=12, processes=2)
    with pytest.raises(InvalidInput, match="at least 2 for each process"):
        require_batches_that_can_be_shared(model, batch_size=1, processes=1)
    require_batches_that_can_be_shared(model, batch_size=2, processes=1)
    require_batches_that_can_be_shared(model, batch_size=16, processes=2)


@given(examples=st.integers(1, 300), largest=st.integers(1, 320))
def test_pieces_are_as_few_as_suffice_and_nearly_equal(examples, largest):
    sizes = sizes_of_pieces(examples, largest)
    assert sum(sizes) == examples and max(sizes) <= largest and max(sizes) - min(sizes) <= 1
    assert (len(sizes) - 1) * largest < examples


@pytest.mark.parametrize("piece", [31, 63, 60])
def test_a_batch_that_pieces_do_not_divide_keeps_its_gradient_with_batch_normalisation(piece):
    """Pieces of 31, 31 and 2 digits gave a gradient a thousand times too long, after some updates."""
    assert max(gradient_norms_of_ladder(piece)) < 2 * max(gradient_norms_of_ladder(None))


def test_gradients_are_about_as_long_with_eight_vectors_and_thousands_of_times_as_long_with_two():
    of_all, of_eight, of_two = (median(gradient_norms_of_ladder(piece)) for piece in (None, 8, 2))
    assert 0.5 < of_eight / of_all < 2
    assert of_two / of_all > 1000


def gradient_norms_of_ladder(micro_batch):
    """Lengths of the gradients of ten updates of digits-ladder on batches of 64 digits."""
    preset = find_preset("digits-ladder")
    config = dataclasses.replace(preset.training, batch_size=64, micro_batch=micro_batch, device="cpu")
    torch.manual_seed(0)
    state = TrainingState(preset.build_model(), preset.data.load(), config, torch.device("cpu"))
    norms = []
    for _ in range(10):
        update(state, state.model)
        norms.append(float(state.means.take()["gradient_norm"]))
    return norms


def test_a_plan_cuts_no_batch_into_pieces_too_small_for_batch_normalisation():
    preset = find_preset("digits-ladder")
    model = preset.build_model()

    def total(micro_batch):
        changes = {"micro_batch": micro_batch, "activation_checkpointing": True}
        config = dataclasses.replace(preset.training, batch_size=512, **changes)
        return expected_memory(model, config, 0).total

    config = dataclasses.replace(preset.training, batch_size=512)
    plan = plan_memory_for(model, config, 0, limit=total(8))
    assert plan is not None and plan.changes["micro_batch"] == 8
    smaller = plan_memory_for(model, config, 0, limit=total(4))
    assert total(4) < total(8) and (smaller is None or smaller.changes["micro_batch"] >= 8)
