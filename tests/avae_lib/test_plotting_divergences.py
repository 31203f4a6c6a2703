"""Pictures of divergences say what their numbers say."""

import numpy as np
import torch

from avae_lib import plotting

CORRELATED = torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]])


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_contributions_are_written_at_their_points_with_proper_signs():
    figure = plotting.contribution_curves([0.9, 0.1], [(0.9, 0.9), (0.9, 0.1), (0.1, 0.9)])
    assert texts(figure.axes[0]) == ["(0.9, 0.9): 0.00", "(0.9, 0.1): 1.98", "(0.1, 0.9): −0.22"]
    assert [line.get_label() for line in figure.axes[0].get_lines()[:2]] == ["p = 0.9", "p = 0.1"]


def test_bars_of_candidates_carry_their_contributions_and_the_sum():
    figure = plotting.contribution_bars([0.7, 0.2, 0.1], {"uniform": [1 / 3] * 3, "p itself": [0.7, 0.2, 0.1]})
    uniform, same = figure.axes[2:]
    assert texts(uniform) == ["−0.25", "0.17", "0.40"] and uniform.get_title(loc="left") == "sum: 0.324 nats"
    assert texts(same) == ["0.00"] * 3 and same.get_title(loc="left") == "sum: 0.000 nats"


def test_ellipses_have_the_axes_of_their_covariance():
    figure = plotting.gaussian_ellipses(CORRELATED, {})
    inner, outer = figure.axes[0].patches[:2]
    assert np.isclose(inner.width, 2 * np.sqrt(1.8)) and np.isclose(inner.height, 2 * np.sqrt(0.2))
    assert np.isclose(outer.width, 2 * inner.width) and np.isclose(inner.angle % 180, 45)


def test_approximations_are_outlined_once_at_two_standard_deviations():
    figure = plotting.gaussian_ellipses(CORRELATED, {"round": (torch.zeros(2), torch.eye(2))}, title="ρ = 0.8")
    ellipses = [patch for patch in figure.axes[0].patches if hasattr(patch, "width") and not patch.get_fill()]
    assert [(ellipse.width, ellipse.height) for ellipse in ellipses] == [(4.0, 4.0)]
    assert figure.axes[0].get_title(loc="left") == "ρ = 0.8"


def test_projections_of_a_density_are_lines_over_its_area():
    p = torch.tensor([0.0, 1.0, 0.0])
    figure = plotting.density_projections([0, 1, 2], p, {"forward": p / 2, "reverse": p * 2}, title="modes", highest=3)
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.get_lines()] == ["forward", "reverse"]
    assert axes.get_ylim() == (0, 3) and len(axes.collections) == 1


def test_fits_have_a_panel_each_over_the_same_target():
    gaussians = {"one": CORRELATED, "other": (torch.ones(2), torch.eye(2))}
    figure = plotting.gaussian_fits(lambda z: -z.square().sum(-1), gaussians, resolution=12)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "other"]
    assert figure.axes[1].patches[0].get_center().tolist() == [1.0, 1.0]


def test_divergence_curves_name_their_limit_and_mark_places():
    figure = plotting.divergence_curves([0, 1], {"KL": [0, 2]}, "distance", marked=[0.5], limit=("log 2", 0.69))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["KL", "log 2"]
    assert figure.axes[0].get_lines()[1].get_xdata() == [0.5, 0.5]


def test_divergence_matrix_writes_row_and_column_as_given():
    figure = plotting.divergence_matrix(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), ["x", "y"], "q", "p", "nats")
    assert texts(figure.axes[0]) == ["0.00", "1.00", "2.00", "0.00"]
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()) == ("q", "p")


def test_estimators_are_drawn_relative_to_the_true_divergence():
    of_k1 = {"k1": [0.1, 1.0]}
    left, right = plotting.estimator_bias_and_spread([0.1, 1.0], of_k1, of_k1, {"k1": [0.2, 1.0]}).axes
    line, _, (bars,) = left.containers[0]
    assert line.get_ydata().tolist() == [1.0, 1.0]
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[-1.0, 3.0], [-1.0, 3.0]]
    assert right.get_lines()[0].get_ydata().tolist() == [2.0, 1.0]


def test_spreads_by_formula_lie_under_the_measured_ones():
    of_k1 = {"k1": [0.1, 1.0]}
    right = plotting.estimator_bias_and_spread([0.1, 1.0], of_k1, of_k1, of_k1, {"k1": [0.3, 2.0]}).axes[1]
    measured, formula = right.get_lines()
    assert np.allclose(formula.get_ydata(), [3.0, 2.0]) and formula.get_zorder() < measured.get_zorder()


def test_bars_of_estimates_are_two_standard_errors():
    pair = (torch.tensor(1.0), torch.tensor(0.25))
    (axes,) = plotting.estimates_with_errors([10, 100], {"k1": [pair, (1.5, 0.0)]}, exact=1.2).axes
    _, _, (bars,) = axes.containers[0]
    assert bars.get_segments()[0][:, 1].tolist() == [0.5, 1.5]
    assert axes.get_lines()[-1].get_ydata() == [1.2, 1.2]
