"""Pictures of lecture 07 on novelty and restoration: what they draw is what they were given."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible


def curves(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_the_area_under_a_drawn_roc_curve_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 9, 60), rng.integers(2, 12, 40)  # with ties
    figure = plotting.roc_curves({"left": {"score": (inside, outside)}, "right": {"score": (outside, inside)}})
    require_legible(figure)
    for axes, found in zip(figure.axes, (outside, inside), strict=True):
        x, y = curves(axes)["score"].get_data()
        expected = roc_auc_score(np.isin(range(100), range(60, 100)), [*inside, *outside])
        assert np.isclose(np.trapezoid(y, x), expected if found is outside else 1 - expected)


def test_histograms_of_scores_name_every_set():
    figure = plotting.score_histograms(
        {"a": {"in": [1, 2, 3], "out": [2, 3, 4]}, "b": {"in": [0, 1], "out": [5, 6]}}, "nats"
    )
    require_legible(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["in", "out"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]


def test_areas_have_intervals_of_two_standard_errors():
    figure = plotting.areas_of_scores(
        {"MNIST": {"p": [(0.3, 0.01)], "LLR": [(0.7, 0.02)]}, "other": {"p": [(0.5, 0.1)], "LLR": [(0.6, 0.1)]}}
    )
    require_legible(figure)
    bars = figure.axes[0].containers
    assert [bar.lines[0].get_ydata()[0] for bar in bars] == [0.3, 0.7, 0.5, 0.6]
    (low, high) = bars[1].lines[2][0].get_segments()[0][:, 1]
    assert np.isclose(high - low, 2 * 1.96 * 0.02)


def test_the_ratio_is_drawn_over_the_layers_it_keeps_and_the_likelihood_beside_it():
    areas = {"digits": {0: (0.2, 0.01), 1: (0.9, 0.02)}, "noise": {0: (0.1, 0.1), 1: (0.4, 0.1)}}
    figure = plotting.areas_against_kept_layers(areas, {"digits": (0.3, 0.05), "noise": (1.0, 0.0)})
    require_legible(figure)
    ratio, beside = figure.axes
    assert [list(line.get_ydata()) for line in curves(ratio).values()] == [[0.2, 0.9], [0.1, 0.4]]
    band = ratio.collections[0].get_paths()[0].vertices
    assert np.isclose(band[band[:, 0] == 1, 1].min(), 0.9 - 1.96 * 0.02)
    points = [container.lines[0] for container in beside.containers]
    assert [point.get_ydata()[0] for point in points] == [0.3, 1.0]
    assert [point.get_color() for point in points] == [line.get_color() for line in curves(ratio).values()]


def test_objectives_start_at_zero_and_a_problem_has_one_colour_in_all_panels():
    panels = {"linear": {"blur": [5.0, 4.0, 3.5]}, "trained": {"noise": [1.0, 1.0, 0.0], "blur": [2.0, 3.0, 3.0]}}
    figure = plotting.objective_per_step(panels)
    require_legible(figure)
    left, right = (curves(axes)["blur"] for axes in figure.axes)
    assert [list(line.get_ydata()) for line in (left, right)] == [[0, -1, -1.5], [0, 1, 1]]
    assert left.get_color() == right.get_color() != curves(figure.axes[1])["noise"].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["blur", "noise"]


def test_restorations_stand_in_one_row_for_each_method_and_one_block_for_each_problem():
    grey = {"original": torch.full((3, 1, 4, 4), 255.0), "restored": torch.full((3, 1, 4, 4), 51.0)}
    figure = plotting.restorations({"noise": grey, "hole": {label: images[:3] for label, images in grey.items()}})
    require_legible(figure)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["noise", "hole"]
    left = figure.axes[0]
    assert [text.get_text() for text in left.get_yticklabels()] == ["original", "restored"]
    picture = left.get_images()[0].get_array()
    for place, level in zip(left.get_yticks(), (255, 51), strict=True):  # labels stand beside the middles of their rows
        assert (picture[round(place), :4, 0] == level).all()


def test_restorations_with_different_rows_are_refused():
    images = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="the same rows"):
        plotting.restorations({"noise": {"original": images}, "hole": {"restored": images}})
