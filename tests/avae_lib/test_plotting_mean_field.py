"""Pictures of variational inference say what their numbers say."""

import numpy as np
import torch

from avae_lib import plotting


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_bound_and_gap_fill_each_bar_up_to_log_z():
    (axes,) = plotting.bound_and_gap({"good": 1.5, "poor": 0.5}, 2.0).axes
    ends = [patch.get_x() + patch.get_width() for patch in axes.patches]
    assert ends == [1.5, 0.5, 2.0, 2.0]
    assert texts(axes) == ["0.50", "1.50"]


def test_bars_of_negative_bounds_start_at_the_lowest():
    (axes,) = plotting.bound_and_gap({"good": -1.0, "poor": -3.0}, -0.5).axes
    assert [patch.get_x() for patch in axes.patches[:2]] == [-3.0, -3.0]


def test_landscape_shows_the_paths_and_the_truth():
    path = torch.tensor([[-0.5, 0.5], [0.0, 0.5], [0.0, 0.0]])
    figure = plotting.bound_landscape(lambda m: -m.square().sum(1), [path], (0.1, 0.1), resolution=9)
    lines = [line.get_xydata().tolist() for line in figure.axes[0].get_lines()]
    assert path.tolist() in lines and [[0.1, 0.1]] in lines


def test_marginals_lie_within_the_axes():
    exact = torch.tensor([[-0.4, 0.2], [0.1, 0.3]])
    (axes,) = plotting.marginals_against_exact(exact, {"mean field": 2 * exact}).axes
    low, high = axes.get_ylim()
    assert low < -0.8 and high > 0.6
    assert len(axes.collections[0].get_offsets()) == 4


def test_magnetisation_names_critical_couplings():
    figure = plotting.magnetisation([0, 1], {"theory": [0, 1]}, {"measured": ([0.5], [0.4])}, {"Jc": 0.44})
    assert texts(figure.axes[0]) == ["Jc"]
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["theory", "measured"]


def test_estimates_that_did_not_come_to_rest_are_hollow():
    figure = plotting.log_partition_bounds([1, 2], {"loopy": [0.1, 0.2]}, converged={"loopy": [True, False]})
    hollow = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    assert [line.get_xydata().tolist() for line in hollow] == [[[2.0, 0.2]]]


def test_words_in_common_are_dark_and_others_grey():
    columns = {"ours": [["path", "file"]], "theirs": [["path", "socket"]]}
    left, right = plotting.topics_side_by_side(columns).axes
    colours = {text.get_text(): text.get_color() for axes in (left, right) for text in axes.texts}
    assert colours["file"] == colours["socket"] != colours["path"]


def test_rows_of_topics_carry_their_names():
    (axes,) = plotting.topics_side_by_side({"ours": [["path"], ["mail"]]}, ["files", "letters"]).axes
    assert {"files", "letters"} <= set(texts(axes))


def test_shares_of_a_document_fill_its_bar_and_wide_ones_are_named():
    (axes,) = plotting.topic_shares({"pathlib": [0.1, 0.9]}, ["mail", "files"]).axes
    assert np.isclose(sum(patch.get_width() for patch in axes.patches), 1.0)
    assert texts(axes) == ["files"]


def test_components_without_weight_are_not_drawn():
    x, responsibilities = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    weights, variances = torch.tensor([0.995, 0.005]), torch.full((2, 2), 4.0)
    (axes,) = plotting.mixture_components(x, responsibilities, torch.zeros(2, 2), variances, weights).axes
    (ellipse,) = axes.patches
    assert ellipse.width == 8.0


def test_sampling_is_averaged_over_chains_as_a_root_mean_square():
    figure = plotting.bound_next_to_sampling({"start": [0.0, 1.0]}, 2.0, ([1, 2], [[3, 0], [4, 0]]), (0.1, 0.5))
    averaged = next(line for line in figure.axes[1].get_lines() if line.get_label() == "Gibbs sampling")
    assert np.allclose(averaged.get_ydata(), [np.sqrt(12.5), 0])


def test_diagram_of_intractable_posteriors_has_both_kinds():
    directed, undirected = plotting.intractable_posteriors().axes
    assert directed.get_title(loc="left").startswith("directed")
    assert len(undirected.get_lines()) == 12
