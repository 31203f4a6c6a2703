"""The Fréchet distance against its closed formula, and what is said where it cannot be had."""

import importlib.util

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from avae_lib.evaluation import frechet_distance
from avae_lib.evaluation.frechet_distance import FrechetDistanceUnavailable, inception_weights


class Noise(nn.Module):
    """Samples pixels independently, darker ones more often."""

    bits, image_shape = 4, (1, 2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        self.drawn: list[torch.Tensor] = []

    def sample(self, n, temperature=1.0, generator=None):
        self.drawn.append((torch.rand(n, 1, 2, 2).square() * 16).to(torch.uint8))
        return self.drawn[-1]


class Pixels(nn.Module):
    """The first channel itself as features."""

    num_features = 4

    def forward(self, x):
        assert x.dtype == torch.uint8 and x.shape[1:] == (3, 2, 2)
        return x[:, 0].flatten(1).double()


def test_distance_equals_the_formula_with_the_matrix_root_of_scipy():
    images = torch.randint(0, 16, (50, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model = Noise()
    found = frechet_distance(model, images, count=40, network=Pixels(), rows=16)
    first, second = (255 / 15 * x.flatten(1).double().numpy() for x in (images[:40], torch.cat(model.drawn)))
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2) + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert len(second) == found.images == 40
    assert found.value == pytest.approx(expected, rel=1e-4)


def test_a_model_that_hands_out_the_images_has_distance_zero():
    images = torch.randint(0, 16, (50, 1, 2, 2), dtype=torch.uint8)
    model = Noise()
    batches = iter(images.split(25))
    model.sample = lambda n: next(batches)
    assert frechet_distance(model, images, count=50, network=Pixels(), rows=25).value == pytest.approx(0, abs=1e-3)


def test_more_images_than_there_are_is_refused():
    with pytest.raises(ValueError, match="count must be between 2 and the 10 images to compare with, got 11"):
        frechet_distance(Noise(), torch.zeros(10, 1, 2, 2, dtype=torch.uint8), count=11)


def test_what_is_missing_is_named_with_where_it_can_be_had(monkeypatch, tmp_path):
    present = {"torchmetrics": True, "torch_fidelity": True}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if present[name] else None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        FrechetDistanceUnavailable, match=r"weights-inception.*\.pth: download them from https://github"
    ):
        inception_weights()
    for module, package in (("torch_fidelity", "torch-fidelity"), ("torchmetrics", "torchmetrics")):
        present[module] = False
        with pytest.raises(FrechetDistanceUnavailable, match=f"pip install {package}"):
            inception_weights()
