"""Lossless coding with a VAE: every bit comes back, and the length is the bound."""

import functools
import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from avae_lib import data
from avae_lib.compression import BitsBack, BrokenCode, GaussianBins, latent_walk, net_bits
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.biva import BIVAConfig
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vampprior import VampPriorVAEConfig

TOTAL = 1 << 32


@functools.cache
def edges(bits):
    return ndtri(np.arange(2**bits + 1) / 2**bits).tolist()


normals = st.tuples(st.floats(-60, 60), st.floats(-5, 3).map(lambda power: 10**power))


@given(normals, st.integers(1, 10), st.integers(0, TOTAL - 1))
def test_a_slot_lies_in_the_interval_of_its_bin(normal, bits, slot):
    bins = GaussianBins(*normal, edges(bits))
    k = bins.symbol_at(slot)
    start, frequency = bins.interval(k)
    assert 0 <= k < 2**bits and start <= slot < start + frequency


@given(normals, st.integers(1, 6))
def test_bins_hold_the_masses_of_the_normal_and_fill_everything(normal, bits):
    bins, (shift, ratio) = GaussianBins(*normal, edges(bits)), normal
    intervals = [bins.interval(k) for k in range(2**bits)]
    assert intervals[0][0] == 0 and sum(intervals[-1]) == TOTAL
    assert all(sum(one) == other[0] for one, other in itertools.pairwise(intervals))
    masses = np.diff(scipy.stats.norm.cdf(edges(bits), shift, ratio))
    assert np.allclose([frequency / TOTAL for _, frequency in intervals], masses, atol=2**bits / TOTAL * 2)


def vae(likelihood="bernoulli", bits=1, latent_dim=3, seed=0):
    torch.manual_seed(seed)
    model = VAEConfig((1, 4, 4), bits, latent_dim, (8,), likelihood, mixtures=bits).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # posteriors unlike the prior
    return model


@settings(max_examples=30)
@given(st.data(), st.sampled_from([("bernoulli", 1), ("discretized_logistic", 4)]), st.integers(1, 16))
def test_decoded_images_are_the_originals(draw, kind, latent_bits):
    likelihood, bits = kind
    levels = draw.draw(
        st.lists(st.integers(0, 2**bits - 1), min_size=16, max_size=80).map(lambda x: x[: len(x) // 16 * 16])
    )
    images = torch.tensor(levels, dtype=torch.uint8).reshape(-1, 1, 4, 4)
    codec = BitsBack(vae(likelihood, bits), latent_bits)
    coded = codec.encode(images)
    assert torch.equal(codec.decode(coded.code, len(images)), images)
    spent = coded.net_bits + coded.bits_borrowed
    assert abs(8 * len(coded.code) - spent - 80) <= 16 + len(images)


HIERARCHIES = {
    "attentive": lambda: AttentiveConfig(layers=3, width=8, key_channels=2),
    "local": lambda: AttentiveConfig(layers=3, width=8, conditioning="local"),
    "ladder": lambda: LadderConfig(),
}


@pytest.mark.parametrize("name", HIERARCHIES)
def test_hierarchies_come_back_too(name):
    torch.manual_seed(0)
    config = HIERARCHIES[name]()
    images = torch.randint(2**config.bits, (3, *config.image_shape), dtype=torch.uint8)
    codec = BitsBack(config.build(), latent_bits=6)
    assert torch.equal(codec.decode(codec.encode(images).code, 3), images)


@pytest.mark.parametrize("name", ["hierarchy-photos32", "attentive-photos32"])
def test_photographs_come_back_at_about_the_bound(name):
    model, images = data.recorded_model(name), data.load("photos32").test[:2]
    codec = BitsBack(model, latent_bits=10)
    coded = codec.encode(images)
    assert torch.equal(codec.decode(coded.code, 2), images)
    with torch.no_grad():
        draws = torch.stack([-model.log_weight(images).sum() for _ in range(8)]) / math.log(2)
    assert abs(coded.net_bits - draws.mean()) < 5 * draws.std()


def one_latent():
    torch.manual_seed(3)
    model = VAEConfig((1, 4, 4), 1, 1, (8,)).build()
    with torch.no_grad():
        model.encoder[-1].bias.copy_(torch.tensor([0.8, -1.2]))  # a posterior well within the prior's bins
        model.decoder[0].weight.mul_(4)
    return model


def enumerated(model, x, latent_bits):
    """Expected net length of one image with one latent, by a float64 loop over the bins."""
    model = model.double()
    posterior, bins = model.posterior(x), 2**latent_bits
    masses = np.diff(scipy.stats.norm.cdf(edges(latent_bits), posterior.mean.item(), posterior.log_std.exp().item()))
    total = 0.0
    for k, mass in enumerate(masses):
        if mass > 0:
            z = torch.full((1, 1), ndtri((k + 0.5) / bins), dtype=torch.float64)
            total += mass * (math.log2(mass) + latent_bits - model.log_likelihood(x, z).item() / math.log(2))
    return total


def by_quadrature(model, x):
    """−ELBO in bits, by Gauss–Hermite quadrature."""
    model = model.double()
    posterior = model.posterior(x)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    z = posterior.mean + posterior.log_std.exp() * torch.from_numpy(nodes)[:, None]
    expected = (torch.from_numpy(weights / weights.sum()) * model.log_likelihood(x.expand(80, -1, -1, -1), z)).sum()
    prior = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    kl = torch.distributions.kl_divergence(torch.distributions.Normal(posterior.mean, posterior.log_std.exp()), prior)
    return (kl.sum() - expected).item() / math.log(2)


@torch.no_grad()
def test_the_net_length_is_minus_the_bound():
    model, copies = one_latent(), 2000
    x = (torch.arange(16) % 3 == 0).to(torch.uint8).reshape(1, 1, 4, 4)
    accounts = BitsBack(model, latent_bits=12).encode(x.expand(copies, -1, -1, -1)).accounts
    net = np.array([account.net for account in accounts])
    expected = enumerated(model, x, 12)
    assert net.mean() == pytest.approx(expected, abs=4 * net.std() / copies**0.5)
    assert expected == pytest.approx(by_quadrature(model, x), abs=2e-3)


def test_without_a_mask_equal_images_repeat_their_latents():
    """Why there is a mask: each draw is then a function of the draw before, and soon always the same."""
    model, images = one_latent(), torch.zeros(40, 1, 4, 4, dtype=torch.uint8)
    codec = BitsBack(model, latent_bits=12, masked=False)
    coded = codec.encode(images)
    assert torch.equal(codec.decode(coded.code, 40), images)
    assert np.std([account.net for account in coded.accounts[20:]]) < 0.01
    masked = BitsBack(model, latent_bits=12).encode(images).accounts
    assert np.std([account.net for account in masked[20:]]) > 0.1


@torch.no_grad()
def test_rounding_costs_what_enumeration_says():
    model, copies = one_latent(), 4000
    x = (torch.arange(16) % 3 == 0).to(torch.uint8).reshape(1, 1, 4, 4)
    for latent_bits in (1, 3, 6):
        both = net_bits(model, x.expand(copies, -1, -1, -1), latent_bits, torch.Generator().manual_seed(0))
        error = 4 * both.rounded.std().item() / copies**0.5 + 1e-6
        assert both.rounded.mean().item() == pytest.approx(enumerated(model, x, latent_bits), abs=error)
        assert both.rounded_latents.mean() < both.latents.mean() + 1e-3  # bins tell less of x than points do
        assert both.continuous.mean().item() == pytest.approx(
            by_quadrature(model, x), abs=4 * both.continuous.std().item() / copies**0.5
        )


@torch.no_grad()
def test_draws_without_rounding_have_the_bound_of_the_hierarchy_as_mean():
    model, x = data.recorded_model("local-photos32"), data.load("photos32").test[:1].expand(40, -1, -1, -1)
    draws = net_bits(model, x, 12, torch.Generator().manual_seed(0)).continuous
    bounds = -model(x).bound / math.log(2)
    error = (draws.var() / 40 + bounds.var() / 40).sqrt()
    assert abs(draws.mean() - bounds.mean()) < 4 * error


def test_parts_of_an_account():
    images = torch.randint(2, (20, 1, 4, 4), dtype=torch.uint8)
    coded = BitsBack(vae(), latent_bits=9).encode(images)
    for account in coded.accounts:
        assert account.latents == pytest.approx(3 * 9, abs=1e-6)
        assert account.net == pytest.approx(account.pixels + account.latents - account.returned)
        assert min(account.returned, account.pixels) > 0
    assert coded.bits_borrowed == 32  # 27 bits, in whole words


CODEC, IMAGES = BitsBack(vae(), latent_bits=8), torch.ones(6, 1, 4, 4, dtype=torch.uint8)
CODE = CODEC.encode(IMAGES).code


@given(st.integers(0, 8 * len(CODE) - 1))
def test_a_single_changed_bit_is_noticed(place):
    changed = bytearray(CODE)
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises(BrokenCode):
        CODEC.decode(bytes(changed), len(IMAGES))


@given(st.integers(0, len(CODE) - 1))
def test_a_truncated_code_is_noticed_at_either_end(length):
    for part in (CODE[:length], CODE[len(CODE) - length :]):
        with pytest.raises(BrokenCode):
            CODEC.decode(part, len(IMAGES))


@pytest.mark.parametrize(
    ("codec", "count"),
    [(CODEC, 5), (CODEC, 7), (BitsBack(vae(), 7), 6), (BitsBack(vae(seed=1), 8), 6), (BitsBack(vae(), 8, seed=1), 6)],
)
def test_another_count_model_or_setting_is_noticed(codec, count):
    with pytest.raises(BrokenCode):
        codec.decode(CODE, count)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: BitsBack(vae(), latent_bits=0), ValueError, "latent_bits must be 1 … 16, got 0"),
        (lambda: BitsBack(vae(), latent_bits=17), ValueError, "got 17"),
        (lambda: CODEC.decode(CODE, 0), ValueError, "count must be at least 1"),
        (lambda: CODEC.encode(torch.zeros(2, 1, 4, 4)), TypeError, "uint8"),
        (lambda: CODEC.encode(torch.zeros(2, 1, 5, 4, dtype=torch.uint8)), ValueError, "1, 4, 4"),
        (lambda: CODEC.encode(torch.full((2, 1, 4, 4), 2, dtype=torch.uint8)), ValueError, "levels 0 … 1"),
        (lambda: GaussianBins(0.0, 0.0, edges(2)), ValueError, "ratio above 0"),
        (lambda: GaussianBins(math.nan, 1.0, edges(2)), ValueError, "shift must be finite"),
        (lambda: latent_walk(torch.nn.Linear(1, 1)), TypeError, "got Linear"),
        (lambda: latent_walk(VampPriorVAEConfig().build()), TypeError, "standard normal prior"),
        (lambda: latent_walk(BIVAConfig().build()), TypeError, "draws nothing on its way up"),
        (lambda: net_bits(vae(), IMAGES, 31), ValueError, "latent_bits must be 1 … 30"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, words):
    with pytest.raises(error, match=words):
        call()
