"""Pictures of lecture 06: what they draw is what they were given."""

import numpy as np
import pytest
import torch

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible


def drawn_lines(axes):
    return [line for line in axes.get_lines() if line.get_label() and not line.get_label().startswith("_")]


def test_depth_is_drawn_as_the_mean_of_the_seeds_with_a_bar_from_the_best_to_the_worst():
    figure = plotting.bits_per_dim_against_depth({"local": {2: [3.0, 3.2, 3.4], 4: [2.5]}})
    (axes,) = figure.axes
    line, _, (bars,) = axes.containers[0]
    np.testing.assert_allclose(line.get_ydata(), [3.2, 2.5])
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [[3.0, 3.4], [2.5, 2.5]])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "4"]


def test_a_cost_that_grows_with_the_square_is_given_the_slope_two():
    figure = plotting.costs_against_size([4, 8, 16], {"full": [16, 64, 256]}, "pixels", "bytes")
    (axes,) = figure.axes
    assert drawn_lines(axes)[0].get_label() == "full (slope 2.0)"
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_models_are_compared_on_the_same_axes_with_a_band_over_seeds():
    kl = np.arange(12.0).reshape(2, 3, 2)  # seeds × steps × layers
    figure = plotting.kl_of_layers_during_training({"local": ([0, 1, 2], kl), "attentive": ([0, 1, 2], 2 * kl)})
    local, attentive = figure.axes[:2]
    assert local.get_ylim() == attentive.get_ylim()
    np.testing.assert_allclose(attentive.get_lines()[1].get_ydata(), 2 * kl[:, :, 1].mean(axis=0))
    band = attentive.collections[1].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (2 * kl[:, :, 1].min(), 2 * kl[:, :, 1].max())


def test_gates_stand_over_the_layer_that_has_them():
    gates = {"contexts": {"early": [0.1, 0.2]}, "evidence": {"early": [0.3, 0.4, 0.5]}}
    contexts, evidence = plotting.gates_of_layers(gates, {"contexts": 2, "evidence": 1}).axes
    assert drawn_lines(contexts)[0].get_xdata().tolist() == [2, 3]
    assert drawn_lines(evidence)[0].get_ydata().tolist() == [0.3, 0.4, 0.5]


def test_runs_stand_at_their_hours_and_bits():
    (axes,) = plotting.quality_against_gpu_hours({"a": [(272, 2.82, "400 epochs")]}).axes
    (line,) = drawn_lines(axes)
    assert (line.get_xdata()[0], line.get_ydata()[0], axes.texts[0].get_text()) == (272, 2.82, "400 epochs")


def test_a_matrix_of_attention_has_its_layers_at_the_ticks_and_nothing_where_no_one_can_look():
    matrix = [[1.0, float("nan")], [0.5, 1.5]]
    axes, _ = plotting.attention_matrices({"end": matrix}, looking=[2, 3], looked_at=[1, 2]).axes
    (picture,) = axes.get_images()
    assert picture.get_extent() == [0.5, 2.5, 3.5, 1.5] and picture.get_clim() == (0.5, 1.5)
    np.testing.assert_array_equal(picture.get_array().mask, [[False, True], [False, False]])


def test_maps_are_drawn_beside_their_image_and_columns_beyond_stay_empty():
    images = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    weights = torch.zeros(1, 1, 2, 2)
    weights[0, 0, 1, 0] = 1
    (axes,) = plotting.attention_on_images(images, {"end": weights}, ["1", "2"], "layer 2", brightest=1.0).axes
    picture = axes.get_images()[0].get_array()
    assert picture.shape == (4, 3 * 4 + 2 * 2, 4)
    assert (picture[:, :4, :3] == 255).all(), "the image"
    bright = picture[:, 6:10, :3].sum(axis=2)
    assert (bright[2:, :2] == bright.max()).all() and (bright[:2] == bright.min()).all(), "one bright quarter"
    assert (picture[:, 10:, 3] == 0).all(), "no map of the second layer"


@pytest.mark.parametrize("name", ["attentive_model", "layers_side_by_side", "sequences_over_depth_and_space"])
def test_diagrams_can_be_read_on_a_page(name):
    require_legible(getattr(plotting, name)())


def test_the_attentive_layer_is_drawn_with_attention_and_the_local_one_without():
    local, attentive = plotting.layers_side_by_side().axes
    labels = [{text.get_text() for text in axes.texts} for axes in (local, attentive)]
    assert {"A", "A'"} <= labels[1] and not {"A", "A'"} & labels[0]
    assert labels[0] < labels[1]


def test_in_the_diagram_of_the_whole_model_each_layer_looks_at_all_contexts_above_and_all_evidence_below():
    layers = 4
    (axes,) = plotting.attentive_model(layers).axes
    colours = [text.arrow_patch.get_edgecolor() for text in axes.texts if getattr(text, "arrow_patch", None)]
    coloured = sum(colour[:3] != colours[0][:3] for colour in colours)
    assert coloured == layers * (layers - 1) // 2 + layers * (layers + 1) // 2
