"""A hierarchy of one layer is the plain VAE: same weights, same numbers."""

import pytest
import torch
from torch import nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.hierarchy import Hierarchy, LatentDraw
from avae_lib.models.vae import VAEConfig


class Assembled(nn.Module):
    """A part of a hierarchy given by a function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class TestOneLayerIsThePlainVAE:
    @pytest.fixture
    def vae(self):
        torch.manual_seed(0)
        return VAEConfig(image_shape=(1, 4, 4), latent_dim=3, hidden_sizes=(8, 8)).build()

    @pytest.fixture
    def hierarchy(self, vae):
        def layer(above, evidence, draw):
            prior = DiagonalGaussian.standard_like(above)
            posterior = None if evidence is None else evidence[0]
            z = draw(prior if posterior is None else posterior)
            return z, LatentDraw(z, prior, posterior)

        return Hierarchy(
            bottom_up=Assembled(lambda x, draws: (vae.posterior(x),)),
            top=Assembled(lambda batch: torch.zeros(batch, 3)),
            layers=[Assembled(layer)],
            readout=Assembled(lambda z: vae.decoder(z).relu()[:, :, None, None]),
            head=_FlatHead(vae),
            image_shape=(1, 4, 4),
            bits=1,
        )

    @pytest.fixture
    def x(self, generator):
        return torch.randint(0, 2, (6, 1, 4, 4), generator=generator).to(torch.uint8)

    @pytest.mark.parametrize("temperature", [0.0, 1.0])
    def test_same_bound(self, vae, hierarchy, x, temperature):
        elbos = [_seeded(lambda model=model: model(x, temperature)) for model in (vae, hierarchy)]
        assert torch.equal(elbos[0].log_likelihood, elbos[1].log_likelihood)
        assert torch.equal(elbos[0].kl, elbos[1].kl)

    @pytest.mark.parametrize("keep_layers", [None, 0, 1])
    def test_same_importance_weights(self, vae, hierarchy, x, keep_layers):
        weights = [_seeded(lambda model=model: model.log_weight(x, keep_layers)) for model in (vae, hierarchy)]
        torch.testing.assert_close(*weights)

    def test_same_images(self, vae, hierarchy, x):
        assert torch.equal(*(_seeded(lambda model=model: model.reconstruct(x)) for model in (vae, hierarchy)))
        samples = [model.sample(5, 0.7, torch.Generator().manual_seed(1)) for model in (vae, hierarchy)]
        assert torch.equal(*samples)


class _FlatHead(nn.Module):
    """The head of the plain VAE, to which an image is many channels of one pixel."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.head = vae.head

    def log_likelihood(self, features, x):
        return self.head.log_likelihood(features, x.reshape(len(x), -1, 1, 1))

    def mean(self, features):
        return self.head.mean(features).reshape(-1, 1, 4, 4)

    def sample(self, features, generator=None):
        return self.head.sample(features, generator).reshape(-1, 1, 4, 4)


def _seeded(action):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return action()
