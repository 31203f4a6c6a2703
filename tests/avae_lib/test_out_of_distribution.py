"""Likelihood ratios between all layers and the upper ones, and what they tell two data sets apart by."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from avae_lib.evaluation import Estimate, Evaluation, OutOfDistribution, compare_data_sets
from avae_lib.evaluation.out_of_distribution import area_under_curve


class TwoCoins(nn.Module):
    """Two binary latents above one pixel; posteriors are exact, so that every bound is a sum over four states."""

    num_layers, image_shape, bits, num_dims = 2, (1, 1, 1), 2, 1
    prior_top, prior_low = torch.tensor([0.4, 0.6]), torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    likelihood = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]])  # of each pixel value, given the low coin

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def joint(self, x):
        """p(x, top, low), for each image."""
        return self.prior_top[:, None] * self.prior_low * self.likelihood[:, x.flatten().long()].T[:, None, :]

    def log_weight(self, x, keep_layers=None):
        if keep_layers is None or keep_layers == 2:
            return self.joint(x).sum(dim=(1, 2)).log()  # the exact posterior: one weight for all draws
        top = self.joint(x).sum(dim=2)
        top = (top / top.sum(dim=1, keepdim=True)) if keep_layers else self.prior_top.expand(len(x), 2)
        drawn_top = torch.multinomial(top, 1)[:, 0]
        drawn_low = torch.multinomial(self.prior_low[drawn_top], 1)[:, 0]
        ratio = self.prior_top[drawn_top] / top.gather(1, drawn_top[:, None])[:, 0]
        return (self.likelihood[drawn_low, x.flatten().long()] * ratio).log()


def images(*levels):
    return torch.tensor(levels, dtype=torch.uint8).reshape(-1, 1, 1, 1)


def test_one_draw_of_the_lower_layer_from_its_prior_costs_what_enumeration_says():
    model, x = TwoCoins(), images(3)
    joint = model.joint(x)[0].double()
    top = joint.sum(1) / joint.sum()
    upper = sum(
        (top[a] * model.prior_low[a, b] * (model.likelihood[b, 3] * model.prior_top[a] / top[a]).log()).item()
        for a, b in itertools.product(range(2), repeat=2)
    )
    found = compare_data_sets(model, x.repeat(4000, 1, 1, 1), images(0, 1), "others", 1, importance_samples=1)
    expected = joint.sum().log().item() - upper
    assert abs(found.score_inside.mean - expected) < 4 * found.score_inside.standard_error


def test_keeping_more_layers_or_drawing_more_closes_the_gap():
    def score(keep_layers, samples):
        x = images(0, 1, 2, 3).repeat(100, 1, 1, 1)
        return compare_data_sets(TwoCoins(), x, x, "itself", keep_layers, samples).score_inside.mean

    assert score(0, 2) > score(1, 2) > 0
    assert abs(score(1, 200)) < score(1, 2) / 4


def test_data_sets_that_are_alike_are_told_apart_by_chance_only():
    x = images(0, 1, 2, 3).repeat(60, 1, 1, 1)
    result = compare_data_sets(TwoCoins(), x, x.flip(0), "itself", importance_samples=2)
    assert result.keep_layers == 1
    assert abs(result.area_of_score.mean - 0.5) < 4 * result.area_of_score.standard_error
    assert result.area_of_likelihood.mean == pytest.approx(0.5)


def test_area_is_the_share_of_pairs_in_the_right_order_and_its_error_that_of_the_bootstrap():
    generator = torch.Generator().manual_seed(0)
    low, high = torch.randn(60, generator=generator), 1 + torch.randn(80, generator=generator)
    estimate = area_under_curve(low, high)
    pairs = (high[:, None] > low[None, :]).double() + 0.5 * (high[:, None] == low[None, :]).double()
    assert estimate.mean == pytest.approx(pairs.mean().item())
    draws = np.random.default_rng(0)
    bootstrap = [
        pairs.numpy()[np.ix_(draws.integers(0, 80, 80), draws.integers(0, 60, 60))].mean() for _ in range(2000)
    ]
    assert estimate.standard_error == pytest.approx(np.std(bootstrap), rel=0.15)


def test_sets_that_are_wholly_apart_have_area_one():
    assert area_under_curve(torch.zeros(5), torch.ones(4)) == Estimate(1.0, 0.0)


def test_a_score_that_is_no_number_is_not_left_out_of_the_area():
    assert math.isnan(area_under_curve(torch.tensor([0.0, math.nan]), torch.ones(2)).mean)


@pytest.mark.parametrize("keep_layers", [-1, 2, 3])
def test_a_ratio_that_leaves_out_no_layer_is_refused(keep_layers):
    with pytest.raises(ValueError, match=r"keep_layers must leave out a layer, 0 … 1"):
        compare_data_sets(TwoCoins(), images(0), images(1), "others", keep_layers)


def test_the_comparison_is_part_of_the_evaluation_in_json_and_in_the_table():
    one = Estimate(2.0, 0.25)
    other = OutOfDistribution("letters (2015)", 1, 64, one, one, Estimate(0.9, 0.01), Estimate(0.3, 0.02))
    whole = Evaluation(9, 2, 64, one, one, (one, one), one, (3, 0), (4, 4), out_of_distribution=other)
    assert Evaluation.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    assert "letters (2015)" in whole.table() and "0.900 ± 0.010 by LLR, 0.300 ± 0.020 by" in whole.table()
    assert Evaluation.from_json(dataclasses.replace(whole, out_of_distribution=None).to_json()).examples == 9
