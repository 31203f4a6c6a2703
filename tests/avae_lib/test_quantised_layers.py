"""Lossy coding with quantised layers, and the ordinary codecs it is compared with."""

import gzip
import math
from collections import Counter

import numpy as np
import pytest
import torch

from avae_lib import data
from avae_lib.compression import (
    BrokenCode,
    QuantisedLayers,
    independent_pixel_bits,
    lossless_bits,
    lossy_bits,
)
from avae_lib.models.vae import VAEConfig

PHOTOS = data.load("photos32")
TRAIN, TEST = PHOTOS.train[:12], PHOTOS.test[:4]


def local():
    return data.recorded_model("local-photos32")


@pytest.mark.parametrize(("keep", "step"), [(None, 1.0), (3, 0.5), (1, [0.3] * 8), (0, 1.0)])
def test_what_is_decoded_is_what_was_measured_at_the_measured_length(keep, step):
    codec = QuantisedLayers(local(), step, TRAIN, keep)
    code, measured = codec.encode(TEST), codec.measure(TEST)
    assert torch.equal(codec.decode(code, len(TEST)), measured.images)
    assert 0 <= 8 * len(code) - measured.bits.sum() <= 128
    assert measured.bits.shape == measured.bits_by_prior.shape == (4, codec.keep)


def test_a_code_of_no_layers_is_empty_and_its_images_are_all_the_same():
    measured = QuantisedLayers(local(), 1.0, TRAIN, keep=0).measure(TEST)
    assert measured.bits.sum() == 0 and (measured.images == measured.images[:1]).all()


def test_one_layer_by_hand():
    """Indices, image and length of a VAE, from its own methods and a count."""
    torch.manual_seed(0)
    model = VAEConfig((1, 4, 4), 4, 2, (8,), "discretized_logistic").build()
    with torch.no_grad():
        model.encoder[-1].weight.mul_(20)
    train, images = (torch.randint(16, (number, 1, 4, 4), dtype=torch.uint8) for number in (50, 6))
    measured = QuantisedLayers(model, 0.5, train).measure(images)
    model = model.double()
    with torch.no_grad():
        n_train, n = (torch.round(model.posterior(x).mean / 0.5).long() for x in (train, images))
        expected = model.decode(0.5 * n.double()).round()
    assert torch.equal(measured.images.double(), expected) and n.unique().numel() > 3
    counts = [Counter(n_train[:, latent].tolist()) for latent in range(2)]
    for example in range(6):
        shares = [(counts[latent][n[example, latent].item()] + 0.1) / (50 + 0.1 * 65) for latent in range(2)]
        assert measured.bits[example].item() == pytest.approx(-sum(map(math.log2, shares)), abs=1e-5)


def test_the_prior_charges_the_mass_of_each_step():
    measured = QuantisedLayers(local(), 1.3, TRAIN, keep=1)
    (n,) = measured._indices(TEST)
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    mass = normal.cdf((n.double() + 0.5) * 1.3) - normal.cdf((n.double() - 0.5) * 1.3)
    expected = -mass.log2().flatten(1).sum(1)
    torch.testing.assert_close(measured.measure(TEST).bits_by_prior[:, 0], expected, rtol=1e-6, atol=1e-6)


def test_measured_frequencies_are_cheaper_than_the_prior_on_the_images_they_were_counted_on():
    measured = QuantisedLayers(local(), 1.0, TRAIN).measure(TRAIN)
    assert measured.bits.sum() < measured.bits_by_prior.sum()


def test_small_steps_approach_the_posterior_means():
    model = local()
    with torch.no_grad():
        features, _ = model._infer(TEST, temperature=0.0)
        target = model.head.mean(features)
    errors = [
        (QuantisedLayers(model, step, TRAIN).measure(TEST).images - target).square().mean().item()
        for step in (4.0, 1.0, 0.05)
    ]
    assert errors[0] > 4 * errors[1] > 16 * errors[2] and errors[2] < 0.5


def test_broken_codes_are_noticed():
    codec = QuantisedLayers(local(), 1.0, TRAIN, keep=4)
    code = codec.encode(TEST)
    for broken, count in ((code[:-4], 4), (code[4:], 4), (code[:-1], 4), (code, 3), (code, 5)):
        with pytest.raises(BrokenCode):
            codec.decode(broken, count)
    for place in range(0, len(code), 7):
        changed = bytearray(code)
        changed[place] ^= 16
        with pytest.raises(BrokenCode):
            codec.decode(bytes(changed), 4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: QuantisedLayers(local(), 0.0, TRAIN), "step must be at least 0.01"),
        (lambda: QuantisedLayers(local(), [1.0, 1.0], TRAIN), "or 8 of them"),
        (lambda: QuantisedLayers(local(), math.inf, TRAIN), "step must be"),
        (lambda: QuantisedLayers(local(), 1.0, TRAIN, keep=9), "keep must be None or 0 … 8"),
        (lambda: QuantisedLayers(local(), 1.0, TRAIN, keep=1).decode(b"", 0), "count must be at least 1"),
        (lambda: lossy_bits(TEST, "GIF", 50), "'JPEG' or 'WEBP', got 'GIF'"),
        (lambda: lossy_bits(TEST[:, :1], "JPEG", 50), "3, height, width"),
        (lambda: lossless_bits(TEST, bits=3), "bits must be 1, 2, 4 or 8"),
        (lambda: lossless_bits(TEST[:, :2]), "1 or 3 channels"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_reference_sizes_are_those_of_packed_files():
    black_and_white = torch.randint(2, (30, 1, 8, 8), dtype=torch.uint8)
    packed = np.packbits(black_and_white.numpy()).tobytes()
    sizes = lossless_bits(black_and_white, bits=1)
    assert sizes["gzip"] == 8 * len(gzip.compress(packed, 9)) and set(sizes) == {"gzip", "bzip2", "PNG"}
    grey = torch.randint(16, (30, 1, 8, 8), dtype=torch.uint8)
    assert lossless_bits(grey, bits=4)["PNG"] > grey.numel() * 4  # noise does not compress
    assert lossless_bits(TEST)["PNG"] < TEST.numel() * 8


def test_ordinary_lossy_codecs_come_closer_with_more_bits():
    for codec in ("JPEG", "WEBP"):
        sizes, errors = [], []
        for quality in (5, 50, 95):
            size, decoded = lossy_bits(TEST, codec, quality)
            sizes.append(size)
            errors.append((decoded.double() - TEST.double()).square().mean().item())
        assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_independent_pixels_cost_their_cross_entropy():
    torch.manual_seed(0)
    train, images = (torch.randint(4, (number, 1, 2, 2), dtype=torch.uint8) for number in (25, 7))
    expected = 0.0
    for image in images:
        for place, level in enumerate(image.flatten().tolist()):
            count = sum(level == seen for seen in train.flatten(1)[:, place].tolist())
            expected -= math.log2((count + 1) / (25 + 4))
    assert independent_pixel_bits(train, images, bits=2) == pytest.approx(expected, rel=1e-5)
