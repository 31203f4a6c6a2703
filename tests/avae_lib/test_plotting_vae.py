"""Pictures of lecture 03: what they draw is what they were given."""

import numpy as np
import pytest
import torch

from avae_lib import data, plotting


def test_points_keep_their_colour_and_land_where_the_map_sends_them():
    before = torch.tensor([[0.0, 1.0], [2.0, -1.0], [-3.0, 0.5]])
    figure = plotting.pushforward(before, 10 * before, ("before", "after"))
    clouds = [axes.collections[0] for axes in figure.axes]
    np.testing.assert_allclose(clouds[0].get_offsets(), before)
    np.testing.assert_allclose(clouds[1].get_offsets(), 10 * before)
    assert all(cloud.get_array().tolist() == before[:, 0].tolist() for cloud in clouds)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["before", "after"]


def test_the_price_of_a_posterior_is_its_divergence_from_the_prior():
    (axes,) = plotting.posterior_price(mean=1.0, std=0.5).axes
    assert axes.get_title(loc="left") == "σ = 0.5: KL(q ‖ p) = 0.82 nats"


def test_gaps_within_two_standard_errors_of_zero_are_left_out():
    figure = plotting.bound_gaps([1, 10, 100], {"encoder": [1.0, 0.1, 0.01]}, {"encoder": [0.1, 0.01, 0.01]})
    (axes,) = figure.axes
    drawn = axes.containers[0].lines[0]
    assert drawn.get_xdata().tolist() == [1, 10] and drawn.get_ydata().tolist() == [1.0, 0.1]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    (slope,) = [line for line in axes.get_lines() if line.get_label() == "slope −1"]
    assert slope.get_ydata()[0] / slope.get_ydata()[-1] == pytest.approx(100)


def test_signal_to_noise_draws_one_line_for_each_estimator():
    (axes,) = plotting.signal_to_noise([1, 4], {"encoder": [0.1, 0.05], "decoder": [1.0, 2.0]}).axes
    assert {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines()} == {
        "encoder": [0.1, 0.05],
        "decoder": [1.0, 2.0],
    }


def test_learners_are_drawn_as_mean_and_range_over_seeds():
    curves = {"AEVB": {"train": [[-3.0, -1.0], [-5.0, -2.0]], "test": [[-4.0, -3.0], [-4.0, -3.0]]}}
    figure = plotting.learners_compared([10, 100], {"100 images": curves})
    (axes,) = figure.axes
    of = {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines()}
    assert of == {"AEVB, test": [-4.0, -3.0], "AEVB, train": [-4.0, -1.5]}
    bands = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    assert (bands[1].min(), bands[1].max()) == (-5.0, -1.0)


def test_estimates_outside_the_picture_are_counted():
    figure = plotting.gradient_estimates({"score": [0.0, 1.0, 50.0]}, exact=0.0, half_width=10)
    (axes,) = figure.axes
    assert axes.get_xlim() == (-10, 10) and len(axes.collections[0].get_offsets()) == 2
    assert any("1 of 3 outside the picture" in text.get_text() for text in axes.texts)


def test_the_line_of_equal_bound_is_named():
    (axes,) = plotting.rate_distortion([10.0, 5.0], [20.0, 30.0], [1, 4]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["same ELBO as β = 1"]


def test_the_network_shows_both_terms_of_its_loss():
    labels = {text.get_text() for text in plotting.vae_network().axes[0].texts}
    assert "loss" in labels and any("KL" in label for label in labels) and any("log p" in label for label in labels)


def test_recorded_faces_are_images_between_black_and_white():
    z2, faces = data.recorded_faces()
    assert faces.shape == (len(z2), 14, 1, 28, 20) and z2 == sorted(z2, reverse=True)
    assert 0 <= faces.min() < 0.2 < 0.7 < faces.max() <= 1


def test_recorded_codes_hold_three_seeds_of_each_model():
    results = data.recorded("autoencoder_codes")["results"]
    assert all(len(seeds) == 3 for models in results.values() for seeds in models.values())


def test_an_unknown_record_names_those_there_are():
    with pytest.raises(ValueError, match=r"no record is called 'nothing'; there are autoencoder_codes, .*frey_faces"):
        data.recorded("nothing")


def test_curves_of_learners_are_sorted_by_training_set_learner_and_split():
    seeds = [{"train": [-2.0], "test": [-3.0], "finer_grid": 0.0}]
    record = {"runs": {"100": {"AEVB": {"seeds": seeds}}}}
    assert data.learner_curves(record) == {"100 training images": {"AEVB": {"train": [[-2.0]], "test": [[-3.0]]}}}
