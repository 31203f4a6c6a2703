"""The figure of a run in progress."""

import pytest
import torch

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible


def samples(count=8, shape=(3, 32, 32)):
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_curves_are_those_that_were_given_and_the_first_high_values_do_not_set_the_scale():
    updates, values = list(range(10, 310, 10)), [100.0, 50.0] + [5.0 - 0.01 * n for n in range(28)]
    curves = {"training": (updates, values), "validation": ([100, 200, 300], [5.2, 5.1, 5.0])}
    graph, strip = plotting.training_progress(curves, samples(), bits=8, title="a run").axes
    assert [line.get_label() for line in graph.lines] == ["training", "validation"]
    assert list(graph.lines[0].get_ydata()) == values and list(graph.lines[1].get_xdata()) == [100, 200, 300]
    low, high = graph.get_ylim()
    assert low < min(values) and 5.2 < high < 20
    assert len(strip.images) == 1 and graph.get_title(loc="left") + graph.get_title() == "a run"


@pytest.mark.parametrize("count", [1, 8, 16])
def test_a_run_that_has_just_begun_can_be_drawn_and_read(count):
    curves = {"training": ([4], [7.5]), "validation": ([], [])}
    figure = plotting.training_progress(curves, samples(count, (1, 8, 8)), bits=8)
    require_legible(figure)
    assert len(plotting.png_bytes(figure)) > 1000


def test_sentences_stand_below_the_curve_and_long_ones_are_cut():
    curves, sentences = {"training": ([4, 8], [7.5, 7.0])}, ("open the file", "return a copy of the list " * 8)
    figure = plotting.training_progress(curves, sentences, bits=None, quantity="bits per token")
    require_legible(figure)
    first, second = figure.axes[1].texts[0].get_text().splitlines()
    assert first == "open the file" and second.endswith(" …") and len(second) <= 100
    assert figure.axes[0].get_ylabel() == "bits per token"


def test_in_a_script_a_live_picture_shows_nothing(capsys):
    plotting.LivePicture().show(plotting.training_progress({"training": ([1], [2.0])}, samples(), bits=8))
    assert capsys.readouterr().out == ""
