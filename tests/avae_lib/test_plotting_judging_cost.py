"""Pictures of lecture 07 on cost: what they draw is what they were given."""

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible


def test_the_longest_group_of_runs_is_on_top_and_bars_carry_their_numbers():
    figure = plotting.hours_of_runs({"short": 0.25, "long": 1.5, "middle": 0.5})
    require_legible(figure)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["short", "middle", "long"]  # from the bottom
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.5, 1.5]
    assert {text.get_text() for text in axes.texts} == {"0.25", "0.50", "1.50"}


def test_published_runs_are_drawn_at_their_hours_and_seeds_as_a_bar_from_best_to_worst():
    runs = {"a": [(272, 2.82), (608, 2.79)], "b": [(288, 2.87)]}
    figure = plotting.quality_for_hours(runs, seeds={"b": [2.88, 2.84, 2.90]})
    require_legible(figure)
    (axes,) = figure.axes
    assert {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.get_lines()} == runs
    (bar,) = (segment for collection in axes.collections for segment in collection.get_segments())
    assert bar.tolist() == [[288, 2.84], [288, 2.90]]
    assert axes.get_xscale() == "log"


def test_a_model_keeps_its_colour_when_the_budget_changes():
    curves = {"local": ([1, 2], [6.0, 5.0]), "attentive": ([1, 3], [7.0, 4.0])}
    figure = plotting.quality_over_time({"updates": curves, "minutes": curves})
    require_legible(figure)
    left, right = ({line.get_label(): line for line in axes.get_lines()} for axes in figure.axes)
    assert list(right["attentive"].get_data()[1]) == [7.0, 4.0]
    assert left["local"].get_color() == right["local"].get_color() != right["attentive"].get_color()
    assert [axes.get_xlabel() for axes in figure.axes] == ["updates", "minutes"]
