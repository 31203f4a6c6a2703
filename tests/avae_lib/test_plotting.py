import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from avae_lib import plotting
from avae_lib.plotting.style import CLASSES, COLOURS, SERIES, line_styles


@pytest.fixture
def images():
    """Eight 4×3 images of one level each, 0 … 7."""
    return torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 1, 4, 3)


def legend_labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_importing_plotting_loads_neither_matplotlib_nor_torchvision():
    probe = "import sys, avae_lib.plotting; print({'matplotlib', 'torchvision', 'IPython'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_mosaic_puts_image_i_in_row_and_column_of_its_number(images):
    picture = plotting.mosaic(images, bits=3, columns=3, gap=1)
    assert picture.shape == (3 * 4 + 2, 3 * 3 + 2, 4)
    for number in range(8):
        row, column = divmod(number, 3)
        tile = picture[5 * row : 5 * row + 4, 4 * column : 4 * column + 3]
        assert (tile[..., :3] == round(255 * number / 7)).all() and (tile[..., 3] == 255).all()


def test_mosaic_leaves_gaps_and_missing_images_see_through(images):
    picture = plotting.mosaic(images, bits=3, columns=3, gap=1)
    assert (picture[4, :, 3] == 0).all() and (picture[:, 3, 3] == 0).all()
    assert (picture[10:, 8:, 3] == 0).all()  # the ninth place


def test_mosaic_of_expected_levels_and_of_colours_keeps_their_values():
    levels = torch.tensor([0.0, 7.5, 15.0])[:, None, None, None].expand(3, 1, 2, 2)
    assert plotting.mosaic(levels, bits=4, gap=0)[0, ::2, 0].tolist() == [0, 128]
    red = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    red[:, 0] = 255
    assert plotting.mosaic(red, bits=8)[0, 0].tolist() == [255, 0, 0, 255]


def test_mosaic_of_something_else_says_what_it_wants():
    with pytest.raises(ValueError, match=r"\(N, C, H, W\) with 1 or 3 channels, got \(8, 8\)"):
        plotting.mosaic(torch.zeros(8, 8))


def test_image_rows_label_the_height_of_their_own_row(images):
    figure = plotting.image_rows({"dark": images[:4], "bright": images[4:]}, bits=3)
    (axes,) = figure.axes
    picture = axes.get_images()[0].get_array()
    for tick, label, level in zip(axes.get_yticks(), axes.get_yticklabels(), (0, 4), strict=True):
        assert label.get_text() == ("dark" if level == 0 else "bright")
        assert picture[round(tick), 0, 0] == round(255 * level / 7)


@pytest.mark.parametrize("label", ["x", "the top 12 layers kept"])
def test_labels_of_image_rows_are_inside_the_picture(images, label):
    figure = plotting.image_rows({label: images, "data": images}, bits=3)
    figure.draw_without_rendering()
    assert min(text.get_window_extent().x0 for text in figure.axes[0].get_yticklabels()) >= 0


def test_image_rows_of_unequal_lengths_are_refused(images):
    with pytest.raises(ValueError, match="equally many images"):
        plotting.image_rows({"data": images, "reconstruction": images[:3]})


def test_prior_quantiles_are_equal_steps_of_probability_with_up_and_right_positive():
    points = plotting.prior_quantiles(4)
    expected = stats.norm.ppf([0.125, 0.375, 0.625, 0.875])
    assert points.shape == (16, 2)
    np.testing.assert_allclose(points[:4, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(points[::4, 1], expected[::-1], rtol=1e-5)


def test_manifold_shows_the_decoded_point_at_its_quantile():
    def brightness_grows_to_the_right(z):
        return 255 * torch.special.ndtr(z[:, :1])[:, :, None, None].expand(-1, 1, 2, 2)

    figure = plotting.manifold(brightness_grows_to_the_right, side=5)
    (axes,) = figure.axes
    picture = axes.get_images()[0].get_array()
    np.testing.assert_allclose(picture[:, 1::2, 0], np.tile(255 * (np.arange(5) + 0.5) / 5, (10, 1)), atol=1)
    ticks = dict(zip(axes.get_xticks(), (label.get_text() for label in axes.get_xticklabels()), strict=True))
    assert ticks[0.5] == "0.0" and ticks[0.95] == "1.6" and ticks[0.05] == "−1.6"


def test_learning_curves_name_axes_and_curves_and_start_at_update_one():
    figure = plotting.learning_curves({"training": [3.0, 2.0, 1.0], "test": ([0, 2], [3.5, 2.5])})
    (axes,) = figure.axes
    assert axes.get_xlabel() == "update" and "nats" in axes.get_ylabel()
    assert legend_labels(axes) == ["training", "test"]
    training, test = axes.get_lines()
    assert training.get_xdata().tolist() == [1, 2, 3] and test.get_xdata().tolist() == [0, 2]


def test_noisy_curve_is_drawn_with_its_running_mean():
    values = np.random.default_rng(0).normal(size=400)
    (axes,) = plotting.learning_curves({"loss": list(values)}).axes
    raw, smooth = (line.get_ydata() for line in axes.get_lines())
    np.testing.assert_array_equal(raw, values)
    assert smooth[0] == pytest.approx(values[:10].mean()) and smooth.std() < raw.std() / 2


def test_bars_of_importance_weighted_bounds_are_two_standard_errors():
    figure = plotting.importance_weighted_bounds([1, 10], {"VAE": [-5.0, -4.0]}, {"VAE": [0.5, 0.25]}, exact=-3.5)
    (axes,) = figure.axes
    segments = axes.containers[0].lines[2][0].get_segments()
    assert [tuple(segment[:, 1]) for segment in segments] == [(-6.0, -4.0), (-4.5, -3.5)]
    assert set(legend_labels(axes)) == {"VAE", "log p(x)"}
    assert axes.get_xscale() == "log" and [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "10"]


def test_rate_distortion_writes_every_beta_and_the_line_of_equal_bound():
    (axes,) = plotting.rate_distortion([10.0, 5.0], [20.0, 30.0], [1, 4]).axes
    assert [text.get_text() for text in axes.texts] == ["β = 1", "β = 4"]
    curve, equal_bound = axes.get_lines()
    assert curve.get_xdata().tolist() == [5.0, 10.0] and curve.get_ydata().tolist() == [30.0, 20.0]
    assert equal_bound.get_slope() == -1 and equal_bound.get_xy1() == (10.0, 20.0)


def test_rate_distortion_writes_points_that_coincide_as_one_label():
    (axes,) = plotting.rate_distortion([10.0, 0.1, 0.0], [20.0, 30.0, 30.1], [1, 4, 8]).axes
    assert [text.get_text() for text in axes.texts] == ["β = 1", "β = 4, 8"]


def test_gradient_estimates_write_the_variance_of_each_estimator():
    estimates = {"score function": [0.0, 4.0], "pathwise": [1.9, 2.1]}
    (axes,) = plotting.gradient_estimates(estimates, exact=2.0).axes
    assert [text.get_text() for text in axes.texts] == ["variance 4", "variance 0.01"]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(estimates)


def test_gradient_variance_is_drawn_on_logarithmic_axes():
    (axes,) = plotting.gradient_variance([1, 10], {"score function": [9.0, 0.9], "pathwise": [1.0, 0.1]}).axes
    assert axes.get_xscale() == axes.get_yscale() == "log" and "variance" in axes.get_ylabel()


def test_kl_bars_of_two_models_stand_side_by_side_in_order_of_layers():
    (axes,) = plotting.kl_per_layer({"local": [3.0, 1.0], "attentive": [2.0, 2.0, 0.5]}).axes
    local, attentive = ([bar.get_height() for bar in bars] for bars in axes.containers)
    assert (local, attentive) == ([3.0, 1.0], [2.0, 2.0, 0.5])
    assert legend_labels(axes) == ["local", "attentive"] and "nats" in axes.get_ylabel()
    centres = [[bar.get_x() + bar.get_width() / 2 for bar in bars] for bars in axes.containers]
    assert centres[0][0] < 1 < centres[1][0] < centres[0][1] < 2


def test_kl_during_training_has_the_sum_above_and_the_top_layer_first():
    kl = [[4.0, 1.0], [3.0, 2.0], [2.0, 3.5]]
    figure = plotting.kl_during_training([0, 10, 20], kl)
    total, heat, colours = figure.axes
    assert total.get_lines()[0].get_ydata().tolist() == [5.0, 5.0, 5.5]
    np.testing.assert_array_equal(heat.collections[0].get_array(), np.transpose(kl))
    assert heat.yaxis_inverted() and "nats" in colours.get_ylabel() and heat.get_xlabel() == "update"


def test_kl_during_training_of_a_single_layer_is_one_curve():
    (axes,) = plotting.kl_during_training([0, 10], [[1.0], [2.0]]).axes
    assert axes.get_lines()[0].get_ydata().tolist() == [1.0, 2.0] and axes.get_xlabel() == "update"


def test_unit_activity_is_sorted_with_the_threshold_between_active_and_not():
    (axes,) = plotting.unit_activity([0.001, 0.9, 0.1], threshold=0.01).axes
    bars = axes.containers[0]
    assert [bar.get_height() for bar in bars] == [0.9, 0.1, 0.001]
    assert bars[0].get_facecolor() == bars[1].get_facecolor() != bars[2].get_facecolor()
    assert axes.get_lines()[0].get_ydata()[0] == 0.01


def test_latent_scatter_draws_each_class_at_its_points():
    means = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    (axes,) = plotting.latent_scatter(means, [7, 7, 1]).axes
    one, seven = (points.get_offsets().tolist() for points in axes.collections)
    assert one == [[4.0, 5.0]] and seven == [[0.0, 1.0], [2.0, 3.0]]


def test_latent_scatter_in_more_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        plotting.latent_scatter(torch.zeros(4, 3), [0, 1, 2, 3])


def test_density_contours_peak_where_the_density_does():
    target, q = torch.distributions.Normal(torch.tensor([1.0, -2.0]), 1), torch.distributions.Normal(0.0, 1)
    figure = plotting.density_contours(lambda z: target.log_prob(z).sum(1), {"q": lambda z: q.log_prob(z).sum(1)})
    (axes,) = figure.axes
    innermost = next(path for path in reversed(axes.collections[0].get_paths()) if len(path.vertices))
    np.testing.assert_allclose(innermost.vertices.mean(axis=0), [1.0, -2.0], atol=0.1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["q"]


def test_density_curves_keep_their_names():
    (axes,) = plotting.density_curves([0, 1, 2], {"p": [0, 1, 0], "q": [0.5, 0.5, 0.5]}).axes
    assert legend_labels(axes) == ["p", "q"]


@pytest.mark.parametrize("name", ["vae_graphical_model", "vae_network", "reparameterization_paths"])
def test_diagrams_name_the_latent(name):
    figure = getattr(plotting, name)()
    words = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert "z" in words


def test_lines_differ_in_more_than_colour():
    looks = [next(styles) for styles in [line_styles()] for _ in range(4)]
    assert len({str(look["linestyle"]) for look in looks}) == 4
    assert len({look["color"] for look in looks}) == 4 and COLOURS["yellow"] not in SERIES
    assert len(set(CLASSES)) == 10


def test_plotting_leaves_the_callers_style_and_figures_alone():
    import matplotlib
    import matplotlib.pyplot as plt

    before, open_before = dict(matplotlib.rcParams), plt.get_fignums()
    plotting.learning_curves({"loss": [1.0, 2.0]})
    assert dict(matplotlib.rcParams) == before and plt.get_fignums() == open_before


def _cut_off(figure):
    """The texts of a figure that reach over its edge."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    boxes = {text.get_text(): text.get_window_extent() for text in figure.findobj(Text) if text.get_text().strip()}
    return [
        words
        for words, box in boxes.items()
        if box.x0 < -0.5 or box.y0 < -0.5 or box.x1 > width + 0.5 or box.y1 > height + 0.5
    ]


@pytest.mark.parametrize("count", [1, 2, 4, 9, 64])
@pytest.mark.parametrize(
    "title", ["samples at temperature 1", "samples at temperatures 1, 1, …, 0.55, 0.5 (top first)"]
)
def test_no_title_of_images_is_cut_off(count, title):
    images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    for figure in (plotting.image_grid(images, 1, title=title), plotting.image_rows({"data": images}, 1, title)):
        assert _cut_off(figure) == []
        assert figure.axes[0].get_title("left").split() == title.split()


def test_a_title_that_fits_stays_on_one_line():
    figure = plotting.image_grid(torch.zeros(64, 1, 8, 8, dtype=torch.uint8), 1, title="samples at temperature 1")
    assert figure.axes[0].get_title("left") == "samples at temperature 1"
