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


def test_shares_of_a_document_stand_in_its_row_and_large_ones_are_written_out():
    (axes,) = plotting.topic_shares({"pathlib": [0.04, 0.96], "email": [0.5, 0.5]}, ["mail", "files"]).axes
    assert texts(axes) == ["96 %", "50 %", "50 %"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["mail", "files"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["pathlib", "email"]
    (mesh,) = axes.collections
    assert np.allclose(np.asarray(mesh.get_array()).reshape(2, 2), [[0.04, 0.96], [0.5, 0.5]])


def test_spin_pictures_stand_two_panels_to_a_row():
    panels = {name: torch.ones(4, 6, 6) for name in ("seen", "cleaned", "sampled")}
    figure = plotting.spin_pictures(panels, columns=2)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["seen", "cleaned", "sampled", ""]
    assert figure.get_figwidth() <= 7.2
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape[:2] == (13, 13) and picture[0, 0, 0] == 255


def test_traces_of_magnetisation_share_their_axes():
    figure = plotting.magnetisation_traces({"J = 0.5": [1.0, -1.0], "J = 0.8": [0.9, 0.9]})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["J = 0.5", "J = 0.8"]
    assert figure.axes[0].get_lines()[0].get_ydata().tolist() == [1.0, -1.0]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_bounds_of_mixtures_are_written_beside_their_points():
    figure = plotting.mixture_bounds(
        [(4, [-300.0, -239.1]), (5, [-310.0, -250.4])], {3: -233.4, 4: -239.1}, ("best", -233.4)
    )
    left, right = figure.axes
    assert texts(right) == ["−233.4", "−239.1"]
    names = [text.get_text() for text in left.get_legend().get_texts()]
    assert names == ["4 components at the end", "5 components at the end", "best"]


def test_families_of_q_keep_fewer_edges_than_p():
    solid = [
        sum(line.get_linestyle() == "-" for line in axes.get_lines()) for axes in plotting.factorised_families().axes
    ]
    assert solid == [12, 0, 6]


def test_messages_flow_towards_one_spin_on_a_tree_and_round_a_loop():
    tree, loop = plotting.belief_messages().axes
    assert {"$u_{t\\to s}$", "$u_{a\\to t}$"} <= set(texts(tree))
    assert len(loop.patches) == 4


def test_plates_of_the_topic_model_and_of_its_family_hold_the_same_unknowns():
    model, family = plotting.topic_model_plates().axes
    unknowns = {r"$\theta_d$", "$z_{dn}$", r"$\beta_k$"}
    assert unknowns <= set(texts(model)) and unknowns <= set(texts(family))
    assert "$w_{dn}$" in texts(model) and "$w_{dn}$" not in texts(family)


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


def test_variances_of_estimators_stand_away_from_the_dotted_line():
    (left,) = plotting.gradient_estimates({"skewed": [-9.0, 0.0, 1.0]}, exact=0.0).axes
    (right,) = plotting.gradient_estimates({"skewed": [9.0, 0.0, -1.0]}, exact=0.0).axes
    assert [axes.texts[0].get_horizontalalignment() for axes in (left, right)] == ["left", "right"]
