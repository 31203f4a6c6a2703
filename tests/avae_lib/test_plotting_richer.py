"""Pictures of lecture 04: what they draw is what they were given."""

import numpy as np
import pytest
import torch

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible


def labelled_lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_shares_of_levels_are_areas_of_bars_one_level_wide():
    levels, shares, x = torch.tensor([4.0, 5.0]), torch.tensor([0.3, 0.7]), torch.tensor([4.0, 5.0, 6.0])
    figure = plotting.level_densities(levels, shares, {"left": (x, x / 10), "right": (x, x / 5)})
    require_legible(figure)
    for axes, scale in zip(figure.axes, (10, 5), strict=True):
        bars = axes.containers[0]
        np.testing.assert_allclose([bar.get_height() * bar.get_width() for bar in bars], [0.3, 0.7], rtol=1e-6)
        assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == [4, 5]
        np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), x / scale)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["left", "right"]


def test_claimed_bits_narrow_to_the_right_and_what_is_above_twice_the_entropy_is_cut_off():
    figure = plotting.claimed_bits([1.0, 0.1], {"density": [7.0, -1.0], "noise": [7.5, 90.0]}, entropy=6.9)
    require_legible(figure)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and axes.get_xlim() == (1.0, 0.1)
    assert axes.get_ylim() == pytest.approx((-1.5, 13.8))
    assert labelled_lines(axes)["entropy of the levels"].get_ydata()[0] == 6.9


@pytest.mark.parametrize("scale", [0.02, 0.3, 3.0])
def test_bars_of_a_logistic_have_the_area_of_their_probabilities(scale):
    probabilities = torch.tensor([0.1, 0.2, 0.3, 0.4])
    figure = plotting.logistic_bins(0.5, scale, probabilities)
    require_legible(figure)
    (axes,) = figure.axes
    areas = [bar.get_height() * bar.get_width() for bar in axes.containers[0]]
    np.testing.assert_allclose(areas, probabilities, rtol=1e-6)
    density = axes.get_lines()[0]
    slope = 1 / (scale * (2 + 2 * np.cosh((density.get_xdata() - 0.5) / scale)))  # the derivative of a logistic curve
    np.testing.assert_allclose(density.get_ydata(), slope, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("panels", [1, 2, 3, 4])
def test_clouds_of_colours_show_each_pixel_at_its_red_and_green_in_its_colour(panels):
    levels = torch.tensor([[255, 0, 51], [10, 20, 30]], dtype=torch.uint8)
    figure = plotting.colour_clouds({f"set {number}": levels for number in range(panels)})
    require_legible(figure)
    drawn = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in drawn] == [f"set {number}" for number in range(panels)]
    for axes in drawn:
        (dots,) = axes.collections
        assert dots.get_offsets().tolist() == [[255, 0], [10, 20]]
        np.testing.assert_allclose(dots.get_facecolors()[0, :3], [1, 0, 0.2])


def test_density_of_draws_is_that_of_the_gaussian_they_come_from():
    torch.manual_seed(0)
    axis = torch.linspace(-4, 4, 41)
    density = plotting.density_of_draws(torch.randn(200_000, 2) * torch.tensor([1.0, 0.5]), axis)
    normal = torch.distributions.Normal(0.0, torch.tensor([1.0, 0.5]))
    exact = normal.log_prob(torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)).sum(-1).exp()
    assert (density - exact).abs().max() < 0.03  # smoothing takes that much off the summit
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-3)


def test_draws_outside_the_grid_count_for_nothing():
    density = plotting.density_of_draws(torch.tensor([[0.0, 0.0], [9.0, 0.0]]), torch.linspace(-2, 2, 5))
    assert density.sum() == pytest.approx(0.5)


def test_rows_of_densities_have_scales_of_their_own():
    faint, bright = torch.full((2, 2), 0.1), torch.zeros(2, 2)
    bright[1, 0] = 2.0  # large first coordinate, small second one
    maps = {"a": faint, "b": faint / 2, "c": bright, "d": faint}
    figure = plotting.density_table(maps, (-1, 1, -1, 1), columns=2)
    require_legible(figure)
    pictures = [axes.get_images()[0] for axes in figure.axes]
    np.testing.assert_allclose([picture.get_clim()[1] for picture in pictures], [0.1, 0.1, 2, 2])
    assert pictures[2].get_array()[0, 1] == 2 and pictures[2].origin == "lower"


def test_units_in_use_are_drawn_from_the_most_used_one_down():
    figure = plotting.units_in_use({"weak": {"plain": [0.1, 0.5]}, "strong": {"plain": [0.0, 0.2]}}, highest=1.0)
    require_legible(figure)
    weak, strong = figure.axes
    assert weak.get_lines()[0].get_ydata().tolist() == [0.5, 0.1]
    assert strong.get_lines()[0].get_ydata().tolist() == [0.2, 0.0]
    assert weak.get_ylim() == strong.get_ylim()


def test_eigenvalues_above_the_noise_are_told_apart_and_rates_are_drawn_largest_first():
    figure = plotting.eigenvalues_and_rates([1.0, 0.5, 0.05, 0.04], 0.1, [1.15, 0.8, 0.0], [0.8, 0.0, 1.1], "title")
    require_legible(figure)
    left, right = figure.axes
    bars = left.containers[0]
    assert [bar.get_height() for bar in bars] == [1.0, 0.5, 0.05]
    assert bars[0].get_facecolor() == bars[1].get_facecolor() != bars[2].get_facecolor()
    lines = labelled_lines(right)
    assert lines["trained"].get_ydata().tolist() == [1.1, 0.8, 0.0]
    assert list(lines["predicted"].get_ydata()) == [1.15, 0.8, 0.0]


def test_arrows_of_straight_through_gradients_point_downhill():
    z = torch.linspace(-1, 1, 101)
    figure = plotting.straight_through(z, z.sign(), torch.full_like(z, 2.0), torch.tensor([-0.5, 0.5]))
    require_legible(figure)
    (axes,) = figure.axes
    (arrows,) = axes.collections
    assert (arrows.U == -2).all() and (arrows.V == 0).all()
    assert labelled_lines(axes)["codes"].get_xdata().tolist() == [-0.5, 0.5]


def test_codes_that_nothing_chooses_are_crosses():
    codes = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.2, 0.2, 0.2]])
    figure = plotting.codes_and_vectors(torch.rand(5, 3), {"book": (codes, torch.tensor([0.75, 0.0, 0.25]))})
    require_legible(figure)
    (axes,) = figure.axes
    vectors, used, unused = axes.collections
    assert len(vectors.get_offsets()) == 5
    np.testing.assert_allclose(used.get_offsets(), [[1.0, 0.0], [0.2, 0.2]])
    assert used.get_sizes()[0] > used.get_sizes()[1]
    np.testing.assert_allclose(unused.get_offsets(), [[0.0, 0.5]])
    assert axes.get_title(loc="left") == "book: 2 in use"


def test_codes_stand_in_the_order_of_their_use():
    tiles = torch.arange(3, dtype=torch.uint8)[:, None, None, None].expand(3, 1, 2, 2)
    figure = plotting.codebook_in_use(tiles, torch.tensor([0.25, 0.0, 0.75]), bits=2, title="codes")
    require_legible(figure)
    left, right = figure.axes
    picture = left.get_images()[0].get_array()
    assert picture[0, [0, 3, 6], 0].tolist() == [170, 0, 85]  # of 255, the levels 2, 0 and 1 of 3
    assert [bar.get_height() for bar in right.containers[0]] == [0.75, 0.25, 0.0]
    assert right.get_title(loc="left") == "2 of 3 in use"


def test_models_on_the_plane_are_told_apart_by_shape_as_well_as_by_colour():
    models = {f"model {number}": (float(number), 20.0 - number) for number in range(12)}
    figure = plotting.objectives_on_the_plane(models, reference="model 3")
    require_legible(figure)
    (axes,) = figure.axes
    *points, line = axes.get_lines()
    assert {(point.get_label(), *point.get_xydata()[0]) for point in points} == {(k, *v) for k, v in models.items()}
    assert len({(point.get_marker(), point.get_color()) for point in points}) == len(models)
    assert line.get_slope() == -1 and line.get_xy1() == models["model 3"]
