"""Pictures of lecture 07 on codes: what they draw is what they were given."""

from types import SimpleNamespace

import numpy as np

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible


def test_the_stack_ends_at_the_sum_of_what_the_images_did():
    accounts = [
        SimpleNamespace(returned=5.0, pixels=9.0, latents=8.0),
        SimpleNamespace(returned=7.0, pixels=4.0, latents=8.0),
    ]
    figure = plotting.stack_account(accounts, [11.0, 6.0])
    require_legible(figure)
    (axes,) = figure.axes
    ends = [sorted((bar.get_y(), bar.get_y() + bar.get_height())) for bar in axes.patches]
    assert ends == [[-5, 0], [-5, 4], [4, 12], [5, 12], [5, 9], [9, 17]]
    step = next(line for line in axes.get_lines() if line.get_label() == "sum of −ELBO")
    assert list(step.get_ydata()) == [0, 11, 17]


def test_bars_of_codes_are_in_order_and_the_bound_is_a_line():
    panels = {"digits": {"gzip": 40.0, "bits back": 26.0, "bound": 25.5}, "photos": {"PNG": 3.0, "bound": 4.0}}
    figure = plotting.code_lengths(panels, "bits", bound="bound")
    require_legible(figure)
    assert [[bar.get_width() for bar in axes.patches] for axes in figure.axes] == [[40, 26], [3]]
    assert [axes.get_lines()[0].get_xdata()[0] for axes in figure.axes] == [25.5, 4.0]
    colours = [bar.get_facecolor() for bar in figure.axes[0].patches]
    assert colours[0] != colours[1] == figure.axes[0].patches[1].get_facecolor()


def test_costs_are_drawn_against_the_number_of_images():
    figure = plotting.cost_per_image({"file": [30.0, 20.0, 15.0]}, bound=12.0)
    require_legible(figure)
    file, bound = figure.axes[0].get_lines()
    assert [list(data) for data in file.get_data()] == [[1, 2, 3], [30, 20, 15]] and bound.get_ydata()[0] == 12


def test_overheads_have_bars_of_two_standard_errors():
    figure = plotting.rounding_overhead({"sum": {2: (4.0, 0.5), 3: (1.0, 0.1)}}, "bits")
    require_legible(figure)
    (bars,) = figure.axes[0].containers
    segments = bars.lines[2][0].get_segments()
    assert np.allclose([segment[:, 1] for segment in segments], [[3, 5], [0.8, 1.2]])


def test_each_layer_has_a_bar_for_each_way_of_counting():
    figure = plotting.layer_rates({"KL": [1.0, 2.0, 0.5], "code": [2.0, 3.0, 1.0]}, "bits")
    require_legible(figure)
    assert [bar.get_height() for bar in figure.axes[0].patches] == [1, 2, 0.5, 2, 3, 1]
    centres = [bar.get_x() + bar.get_width() / 2 for bar in figure.axes[0].patches]
    assert np.allclose(np.mean([centres[:3], centres[3:]], axis=0), [1, 2, 3])


def test_qualities_are_joined_in_order_and_points_are_not_joined():
    figure = plotting.quality_against_rate({"a": [(0.1, 20.0), (0.2, 22.0)]}, {"bound": (0.3, 25.0)})
    require_legible(figure)
    line, point = figure.axes[0].get_lines()
    assert [list(data) for data in line.get_data()] == [[0.1, 0.2], [20, 22]]
    assert list(point.get_xdata()) == [0.3] and point.get_linestyle() == "None"
