"""Pictures of lecture 05: what they draw is what they were given."""

import numpy as np
import pytest
import torch

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible


def labelled_lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_published_and_measured_numbers_stand_side_by_side_with_one_point_for_each_seed():
    figure = plotting.published_and_measured({"3": 4.3, "6": 4.18}, {"1": [5.0, 5.2], "2": [4.9]}, "depth", ("a", "b"))
    left, right = figure.axes
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), [4.3, 4.18])
    np.testing.assert_allclose(right.get_lines()[0].get_ydata(), [5.1, 4.9])
    seeds = [(line.get_xdata(), line.get_ydata()) for line in right.get_lines()[1:]]
    assert [(list(x), list(y)) for x, y in seeds] == [([0, 0], [5.0, 5.2]), ([1], [4.9])]
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["1", "2"]


def test_cumulative_kl_starts_at_zero_and_ends_at_the_total():
    figure = plotting.cumulative_kl({"model": [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]}, [1, 4, 4])
    (axes,) = figure.axes
    np.testing.assert_allclose(labelled_lines(axes)["model"].get_ydata(), [0, 2, 4, 6])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[band[:, 0] == 1, 1].min() == 1 and band[band[:, 0] == 1, 1].max() == 3
    assert [text.get_text() for text in axes.texts] == ["1²", "4²"]


def test_shares_of_the_cumulative_kl_end_at_one():
    (axes,) = plotting.cumulative_kl({"model": [[1.0, 3.0]]}, [1, 1], share=True).axes
    np.testing.assert_allclose(labelled_lines(axes)["model"].get_ydata(), [0, 0.25, 1])


def test_layers_in_use_are_drawn_with_their_range_over_seeds():
    kl = np.arange(12.0).reshape(2, 3, 2)  # seeds × steps × layers
    axes, other = plotting.layers_in_use({"a": ([1, 2, 3], kl), "b": ([1, 2, 3], kl)}, highest_kl=5).axes
    assert axes.get_ylim() == other.get_ylim() == (0, 5)
    np.testing.assert_allclose(labelled_lines(axes)["layer 1 (top)"].get_ydata(), kl[:, :, 0].mean(axis=0))
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (kl[:, :, 1].min(), kl[:, :, 1].max())


def test_merged_gaussians_are_densities():
    (axes,) = plotting.merged_gaussians((0.0, 0.6), (0.0, 1.0), (0.0, 0.5), "title").axes
    for line in labelled_lines(axes).values():
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(1, abs=1e-3)


def test_densities_share_one_scale_and_keep_their_axes():
    bright, dark = torch.zeros(3, 2), torch.full((3, 2), 0.1)
    bright[2, 0] = 1.0  # large first coordinate, small second one
    figure = plotting.density_maps({"bright": bright, "dark": dark}, (-1, 1, -1, 1))
    pictures = [axes.get_images()[0] for axes in figure.axes]
    assert [picture.get_clim() for picture in pictures] == [(0, 1), (0, 1)]
    assert pictures[0].get_array()[0, 2] == 1 and pictures[0].origin == "lower"


def test_the_spread_of_a_stream_is_drawn_as_points_on_predicted_lines():
    (axes,) = plotting.stream_spread([4, 8], {"bare": [1.0, 1.5]}, {"bare": [1.1, 1.6]}).axes
    lines = labelled_lines(axes)
    assert lines["bare, measured"].get_ydata().tolist() == [1.0, 1.5]
    assert lines["bare, predicted"].get_ydata().tolist() == [1.1, 1.6]


@pytest.mark.parametrize("draw", [plotting.hierarchy_and_its_inference, plotting.top_down_block, plotting.nvae_cells])
def test_diagrams_can_be_read(draw):
    require_legible(draw())


def test_top_down_inference_has_the_arrows_of_generation_between_latents():
    generation, bottom_up, top_down = plotting.hierarchy_and_its_inference().axes
    assert [len(axes.texts) for axes in (generation, bottom_up, top_down)] == [4 + 6, 4 + 3, 7 + 9]


def test_the_block_names_what_needs_an_image():
    words = {text.get_text() for text in plotting.top_down_block().axes[0].texts}
    assert {"with an image", "without one", "KL"} <= words


def test_both_cells_end_with_squeeze_and_excitation():
    for axes in plotting.nvae_cells().axes:
        words = [text.get_text() for text in axes.texts if text.get_text()]
        assert words[-3:] == ["0.1 · SE", "+", "$y$"]
