"""Restoring images: degradations with their adjoints and inverses, and the alternation where its end is known."""

import math

import pytest
import torch

from avae_lib import data
from avae_lib.restoration import (
    Autoencoded,
    CircularBlur,
    Mask,
    Unchanged,
    gaussian_kernel,
    psnr,
    restore,
    tempered_pass,
)

SHAPE = (2, 3, 6, 8)


def degradations():
    torch.manual_seed(0)
    uneven = torch.randn(3, 5, dtype=torch.float64)  # neither symmetric nor separable
    return {"none": Unchanged(), "mask": Mask(torch.rand(6, 8) < 0.6), "blur": CircularBlur(uneven, 6, 8)}


def as_matrix(degradation, pixels=48):
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, 1, 6, 8)
    return degradation(basis).flatten(1).T


@pytest.mark.parametrize("name", degradations())
def test_the_adjoint_moves_to_the_other_side_of_the_inner_product(name):
    degradation = degradations()[name]
    x, y = torch.randn(2, *SHAPE, dtype=torch.float64)
    assert (degradation(x) * y).sum().item() == pytest.approx((x * degradation.adjoint(y)).sum().item(), rel=1e-12)


@pytest.mark.parametrize("name", degradations())
def test_solving_agrees_with_a_dense_matrix(name):
    degradation, right = degradations()[name], torch.randn(SHAPE, dtype=torch.float64)
    matrix = as_matrix(degradation)
    system = matrix.T @ matrix + 0.3 * torch.eye(48, dtype=torch.float64)
    expected = torch.linalg.solve(system, right.reshape(6, 48).T).T.reshape(SHAPE)
    torch.testing.assert_close(degradation.solve(right, 0.3), expected, rtol=1e-9, atol=1e-9)


def test_a_blur_is_the_sum_over_shifted_pixels_around_the_edge():
    kernel, x = torch.randn(3, 3, dtype=torch.float64), torch.randn(1, 1, 6, 8, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for row in range(3):
        for column in range(3):
            expected += kernel[row, column] * x.roll((row - 1, column - 1), (2, 3))
    torch.testing.assert_close(CircularBlur(kernel, 6, 8)(x), expected)


class LinearModel:
    """z ~ N(0, I), x | z ~ N(b + Wz, γ²I): everything about it is known."""

    def __init__(self, temperature=1.0):
        torch.manual_seed(1)
        self.weights, self.offset = torch.randn(48, 4, dtype=torch.float64), torch.randn(48, dtype=torch.float64)
        self.model_std, self.temperature = 0.7, temperature

    def autoencode(self, x):
        precision = self.weights.T @ self.weights / self.model_std**2 + torch.eye(4) / self.temperature**2
        z = torch.linalg.solve(precision, self.weights.T @ (x.flatten(1) - self.offset).T / self.model_std**2).T
        energy = 0.5 * (z.square().sum(1) + 4 * math.log(2 * math.pi)) / self.temperature**2
        return Autoencoded((self.offset + z @ self.weights.T).reshape(x.shape), energy)

    def posterior_mean(self, y, degradation, noise_std):
        """E[x | y] by Gaussian conditioning, with z ~ N(0, τ²I)."""
        a = as_matrix(degradation)
        eye = torch.eye(48, dtype=torch.float64)
        covariance = self.temperature**2 * self.weights @ self.weights.T + self.model_std**2 * eye
        gain = covariance @ a.T @ torch.linalg.inv(a @ covariance @ a.T + noise_std**2 * eye)
        return (self.offset + (y.flatten(1) - self.offset @ a.T) @ gain.T).reshape(y.shape)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("name", degradations())
def test_in_a_linear_model_the_alternation_ends_at_the_posterior_mean_and_the_objective_never_rises(name, temperature):
    degradation, model = degradations()[name], LinearModel(temperature)
    y = degradation(torch.randn(3, 1, 6, 8, dtype=torch.float64))
    result = restore(y, degradation, model.autoencode, noise_std=0.4, model_std=0.7, steps=1500)
    torch.testing.assert_close(result.image, model.posterior_mean(y, degradation, 0.4), rtol=1e-5, atol=1e-5)
    assert (result.objective.diff(dim=0) <= 1e-9).all()
    assert (result.data_term <= result.objective).all() and result.change[-1].max() < 1e-6


def test_distances_shrink_at_least_by_the_largest_gain_of_the_autoencoder():
    model, y = LinearModel(), torch.randn(1, 1, 6, 8, dtype=torch.float64)
    strongest = torch.linalg.matrix_norm(model.weights, 2) ** 2
    changes = restore(y, Mask(torch.rand(6, 8) < 0.5), model.autoencode, 0.4, 0.7, steps=20).change[:, 0]
    assert (changes[1:] <= strongest / (strongest + 0.7**2) * changes[:-1] + 1e-12).all()


@pytest.mark.parametrize("name", ["hierarchy-photos32", "attentive-photos32"])
def test_a_pass_at_temperature_one_takes_posterior_means(name):
    model, x = data.recorded_model(name), data.load("photos32").test[:2]
    with torch.no_grad():
        features, latents = model._infer(x, temperature=0.0)
    coded = tempered_pass(model)(x.float())
    torch.testing.assert_close(coded.mean, model.head.mean(features))
    torch.testing.assert_close(coded.energy, -sum(latent.prior.log_prob(latent.z) for latent in latents))


def test_at_a_low_temperature_nothing_of_the_image_is_left():
    model, x = data.recorded_model("attentive-photos32"), data.load("photos32").test[:2]
    once = tempered_pass(model, 1e-4)
    torch.testing.assert_close(once(x.float()).mean, once(255.0 - x.float()).mean, rtol=1e-3, atol=1e-2)


def test_a_tempered_latent_minimises_the_tempered_energy_of_its_layer():
    model, x = data.recorded_model("attentive-photos32"), data.load("photos32").test[:1].float()
    temperatures = [0.6] + [1.0] * (model.num_layers - 1)
    seen = []
    model.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(output[1]))
    tempered_pass(model, temperatures)(x)
    p, q, z = seen[-1].prior, seen[-1].posterior, seen[-1].z

    def energy(z):
        return -q.log_prob(z) - (1 / 0.6**2 - 1) * p.log_prob(z)

    for direction in torch.randn(8, *z.shape):
        assert energy(z) <= energy(z + 0.01 * direction) and energy(z) <= energy(z - 0.01 * direction)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: restore(torch.zeros(1, 1, 2, 2), Unchanged(), lambda x: x, 0.0, 1.0, 3), "noise_std must be above 0"),
        (lambda: restore(torch.zeros(1, 1, 2, 2), Unchanged(), lambda x: x, 1.0, 1.0, 0), "steps must be above 0"),
        (lambda: CircularBlur(torch.ones(2, 3), 8, 8), "two odd sides"),
        (lambda: CircularBlur(torch.ones(9, 9), 8, 8), "must fit"),
        (lambda: CircularBlur(torch.ones(3, 3), 8, 8)(torch.ones(1, 1, 4, 8)), "images must be 8 × 8"),
        (lambda: Unchanged().solve(torch.ones(1), 0.0), "weight must be above 0"),
        (lambda: gaussian_kernel(0.0, 3), "std_pixels must be above 0"),
        (lambda: psnr(torch.ones(1, 2), torch.ones(1, 3)), "shape of truth"),
        (lambda: tempered_pass(data.recorded_model("local-photos32"), 1.5), "at most 1"),
        (
            lambda: restore(
                torch.zeros(1, 1, 2, 2), Unchanged(), lambda x: Autoencoded(x[..., :1], torch.zeros(1)), 1.0, 1.0, 1
            ),
            "must keep the shape",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_mask_must_be_bool():
    with pytest.raises(TypeError, match="kept must be a bool tensor"):
        Mask(torch.ones(2, 2))
