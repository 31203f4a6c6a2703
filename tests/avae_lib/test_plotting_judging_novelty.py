"""Pictures of lecture 07 on novelty and restoration: what they draw is what they were given."""

import numpy as np
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


def test_objectives_start_at_zero_and_a_problem_has_one_colour_in_all_panels():
    panels = {"linear": {"blur": [5.0, 4.0, 3.5]}, "trained": {"noise": [1.0, 1.0, 0.0], "blur": [2.0, 3.0, 3.0]}}
    figure = plotting.objective_per_step(panels)
    require_legible(figure)
    left, right = (curves(axes)["blur"] for axes in figure.axes)
    assert [list(line.get_ydata()) for line in (left, right)] == [[0, -1, -1.5], [0, 1, 1]]
    assert left.get_color() == right.get_color() != curves(figure.axes[1])["noise"].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["blur", "noise"]
