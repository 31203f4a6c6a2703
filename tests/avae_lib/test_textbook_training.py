import copy

import pytest
import torch
from torch import nn

from avae_lib.components import using
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import ELBO
from avae_lib.training.textbook_training import train_vae, vae_training_step


class Line(nn.Module):
    """log-likelihood −(w x)², KL w² in each of two layers: every gradient can be written down."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(3.0))

    def forward(self, x):
        return ELBO(-((self.w * x) ** 2), (self.w**2).expand(len(x), 2))


x = torch.tensor([1.0, 2.0, 3.0])
GRADIENT = 2 * 3.0 * (x.square().mean().item() + 2)
LOSS = 9.0 * (x.square().mean().item() + 2)


def test_returns_the_loss_before_the_update_as_a_python_float():
    model = Line()
    loss = vae_training_step(model, torch.optim.SGD(model.parameters(), lr=0.01), x)
    assert type(loss) is float and loss == pytest.approx(LOSS)


def test_makes_exactly_one_step_along_the_gradient():
    model = Line()
    vae_training_step(model, torch.optim.SGD(model.parameters(), lr=0.01), x)
    assert model.w.item() == pytest.approx(3.0 - 0.01 * GRADIENT)


def test_gradients_left_over_from_before_do_not_count():
    model = Line()
    model.w.grad = torch.tensor(1e6)
    vae_training_step(model, torch.optim.SGD(model.parameters(), lr=0.01), x)
    assert model.w.item() == pytest.approx(3.0 - 0.01 * GRADIENT)


def test_step_goes_through_the_students_negative_elbo():
    model = Line()
    with using("negative_elbo", lambda log_likelihood, kl, beta=1.0: kl.sum(1).mean()):
        assert vae_training_step(model, torch.optim.SGD(model.parameters(), lr=0.01), x) == pytest.approx(18.0)


@pytest.fixture
def bars():
    """Images of one lit row out of four: log 4 nats each."""
    return torch.eye(4, dtype=torch.uint8)[torch.arange(64) % 4].reshape(64, 1, 4, 1).repeat(1, 1, 1, 4)


def test_training_brings_the_loss_near_the_entropy_of_the_data(bars, capsys):
    torch.manual_seed(0)
    model = VAEConfig(image_shape=(1, 4, 4), latent_dim=2, hidden_sizes=(32,)).build()
    losses = train_vae(model, bars, epochs=200, batch_size=16, learning_rate=5e-3)
    assert len(losses) == 200
    assert losses[0] > 8 and losses[-1] < 2.5
    assert sum(losses[-20:]) / 20 > 1.386  # the loss bounds the entropy, log 4, from above
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_the_same_seeds_give_the_same_training(bars):
    torch.manual_seed(0)
    start = VAEConfig(image_shape=(1, 4, 4), latent_dim=2, hidden_sizes=(8,)).build()
    runs = []
    for _ in range(2):
        torch.manual_seed(1)
        runs.append(train_vae(copy.deepcopy(start), bars, 2, generator=torch.Generator().manual_seed(2)))
    assert runs[0] == runs[1]


@pytest.mark.usefixtures("without_annotation_checks")  # numbers stand for images
def test_every_example_is_used_once_in_an_epoch(bars, monkeypatch):
    seen = []

    def record(model, optimizer, x):
        seen.append(x)
        return 1.0

    with using("vae_training_step", record):
        losses = train_vae(Line(), torch.arange(10), epochs=1, batch_size=4)
    assert [len(batch) for batch in seen] == [4, 4, 2] and losses == [1.0]
    assert torch.cat(seen).sort().values.tolist() == list(range(10))


def test_small_models_train_on_one_thread_and_the_number_from_before_comes_back(monkeypatch, bars):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[-1])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: now.append(number))
    now, seen = [2], []
    model = VAEConfig((1, 4, 4), latent_dim=2, hidden_sizes=(8,)).build()
    model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    train_vae(model, bars, epochs=1)
    assert set(seen) == {1} and torch.get_num_threads() == 2
