"""The area under the ROC curve against scikit-learn, SciPy and counting, and how the library comes by it."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from avae_lib import components
from avae_lib.evaluation import area_under_roc
from avae_lib.evaluation.out_of_distribution import area_under_curve


def scores(seed, levels=None, dtype=torch.float64):
    """Scores of two sets of different sizes; with ``levels``, whole numbers with many ties."""
    generator = torch.Generator().manual_seed(seed)
    n, m = torch.randint(1, 60, (2,), generator=generator).tolist()
    drawn = (torch.randn(count, generator=generator, dtype=dtype) for count in (n, m))
    inside, outside = drawn
    outside = outside + 0.5 * (seed % 3 - 1)
    return (inside, outside) if levels is None else ((levels * inside).round(), (levels * outside).round())


@pytest.mark.parametrize("levels", [None, 3, 1, 0])
@pytest.mark.parametrize("seed", range(6))
def test_area_is_that_of_scikit_learn_of_scipy_and_of_counting(seed, levels):
    inside, outside = scores(seed, levels)
    area = area_under_roc(inside, outside).item()
    is_outside = np.repeat([0, 1], [len(inside), len(outside)])
    counted = sum((s < t) + 0.5 * (s == t) for s in inside.tolist() for t in outside.tolist())
    assert area == pytest.approx(counted / (len(inside) * len(outside)), abs=1e-14)
    assert area == pytest.approx(roc_auc_score(is_outside, torch.cat([inside, outside])), abs=1e-12)
    statistic = mannwhitneyu(outside, inside).statistic
    assert area == pytest.approx(statistic / (len(inside) * len(outside)), abs=1e-12)


def test_exchanging_the_sets_or_the_sign_of_the_scores_gives_the_rest_of_one():
    inside, outside = scores(3, levels=2)
    area = area_under_roc(inside, outside)
    assert torch.isclose(area_under_roc(outside, inside), 1 - area)
    assert torch.isclose(area_under_roc(-inside, -outside), 1 - area)


def test_only_the_order_of_scores_counts():
    inside, outside = scores(4)
    assert area_under_roc(inside, outside) == area_under_roc(inside.exp() - 1000, outside.exp() - 1000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_result_is_a_scalar_of_the_scores_precision_and_the_scores_stay(dtype):
    inside, outside = scores(5, dtype=dtype)
    before = inside.clone(), outside.clone()
    area = area_under_roc(inside, outside)
    assert area.shape == () and area.dtype is dtype
    assert torch.equal(inside, before[0]) and torch.equal(outside, before[1])


def test_ten_million_float32_scores_against_ten_are_counted_exactly():
    inside, outside = torch.arange(10.0), (torch.arange(10_000_000) % 10 + 0.5).float()
    assert area_under_roc(inside, outside).item() == pytest.approx(0.55)


def test_the_library_judges_by_the_function_in_use_and_without_one_comes_to_the_same():
    def unwritten(inside, outside):
        raise NotImplementedError("write area_under_roc in unit 07_evaluation")

    inside, outside = scores(1, levels=2)
    right = area_under_curve(inside, outside)
    with components.using("area_under_roc", lambda inside, outside: torch.tensor(0.25)):
        assert area_under_curve(inside, outside).mean == 0.25
    with components.using("area_under_roc", unwritten):
        assert area_under_curve(inside, outside).mean == pytest.approx(right.mean, abs=1e-12)
