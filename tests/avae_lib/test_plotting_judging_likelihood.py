"""Pictures of lecture 07 on bits, importance weights, depth, temperatures and distances draw what they were given."""

import numpy as np

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible


def curves(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_every_way_of_reporting_has_a_row_with_the_numbers_of_all_models():
    models = {"A": {"bits": 5.26, "density": -1.736}, "B": {"bits": 4.9, "density": -2.0}}
    figure = plotting.numbers_reported(models, "bits")
    require_legible(figure)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bits", "density"]
    assert {name: list(line.get_xdata()) for name, line in curves(axes).items()} == {
        name: list(numbers.values()) for name, numbers in models.items()
    }
    assert [text.get_text() for text in axes.texts] == ["5.26 and 4.90", "−1.74 and −2.00"]
    assert axes.texts[1].xy == (-1.736, 1)  # beside the marker furthest to the right


def test_intervals_reach_as_far_as_they_are_told_to():
    figure = plotting.intervals({"pairs": (0.36, 0.02), "blocks": (0.35, 0.15)}, "bits")
    require_legible(figure)
    (axes,) = figure.axes
    ends = axes.containers[0].lines[2][0].get_segments()
    assert np.allclose([segment[:, 0] for segment in ends], [[0.34, 0.38], [0.2, 0.5]])
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top


def test_shares_of_weights_start_with_the_heaviest_draw_and_end_at_one():
    figure = plotting.shares_of_weights({"even": [2.0, 2.0, 2.0, 2.0], "one": [1.0, 0.0, 97.0, 2.0]})
    require_legible(figure)
    drawn = curves(figure.axes[0])
    assert np.allclose(drawn["even"].get_ydata(), [0.25, 0.5, 0.75, 1.0])
    assert np.allclose(drawn["one"].get_ydata(), [0.97, 0.99, 1.0, 1.0])


def test_depth_has_a_bar_for_each_layer_and_a_distance_before_the_first():
    errors = {"to the photograph": [9.0, 5.0, 2.0], "to a draw": [7.0, 4.0, 1.0]}
    figure = plotting.knowledge_by_depth([0.1, 0.3], errors, [1, 4], "levels")
    require_legible(figure)
    above, below = figure.axes
    assert [bar.get_height() for bar in above.patches] == [0.1, 0.3]
    assert {name: list(line.get_ydata()) for name, line in curves(below).items()} == errors
    assert [label.get_text() for label in below.get_xticklabels()] == ["none", "1\n1×1", "2\n4×4"]


def test_temperatures_share_an_axis_and_one_of_them_is_marked():
    figure = plotting.against_temperature(
        [0.0, 0.5, 1.0], {"bits": {"A": [1, 2, 3], "B": [3, 2, 1]}, "pairs": {"A": [4, 5, 6]}}
    )
    require_legible(figure)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["bits", "pairs"]
    assert list(curves(figure.axes[0])["B"].get_ydata()) == [3, 2, 1]
    assert [axes.get_legend() is not None for axes in figure.axes] == [True, False]
    assert list(figure.axes[1].get_lines()[0].get_xdata()) == [1.0, 1.0]


def test_a_distance_that_falls_like_one_over_n_is_a_straight_line():
    sizes = [50, 100, 200]
    figure = plotting.distances_against_samples(sizes, {"same": ([1.0, 0.5, 0.25], [0.1, 0.1, 0.1])}, "distance")
    require_legible(figure)
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    x, y = np.asarray(axes.containers[0].lines[0].get_data(), dtype=float)
    assert np.allclose(np.diff(np.log(y)) / np.diff(np.log(x)), -1)
    (low, high) = axes.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert np.isclose(high - low, 0.2)
