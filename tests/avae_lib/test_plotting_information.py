"""Pictures of what a divergence means say what their numbers say."""

import numpy as np
import pytest
import torch

from avae_lib import plotting


def labels(axes):
    return [text.get_text() for text in axes.texts]


def test_bands_are_cut_and_their_shares_written():
    pictures = {"7s": torch.ones(8, 8), "6s": torch.ones(8, 8)}
    shares = {"7s": torch.tensor([0.75, 0.25]), "6s": torch.tensor([0.5, 0.5])}
    first, second, bars = plotting.ink_in_bands(pictures, shares).axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["ink of the 7s", "ink of the 6s"]
    assert [line.get_ydata()[0] for line in first.get_lines()] == [3.5]
    assert labels(bars) == ["0.750", "0.250", "0.500", "0.500"]


def test_evidence_follows_its_average_slope():
    paths = {"q": torch.tensor([[1.0, 0.0, 2.0]]), "p": torch.tensor([[-1.0, -3.0, -2.0]])}
    (axes,) = plotting.evidence_paths(paths, {"q": 0.5, "p": -1.0}, "draws", "log odds", ("1000 to 1", 6.9)).axes
    run, average = axes.get_lines()[:2]
    assert run.get_ydata().tolist() == [1.0, 0.0, 2.0] and average.get_ydata().tolist() == [0.5, 1.0, 1.5]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["q, on average", "p, on average", "1000 to 1"]


def test_both_areas_are_the_divergence_of_two_unit_gaussians():
    x = torch.linspace(-9, 10, 4001, dtype=torch.float64)
    q, p = (torch.distributions.Normal(mean, 1.0).log_prob(x).exp() for mean in (0.0, 1.0))
    _, signed, positive = plotting.divergence_areas(x, q, p).axes
    assert signed.get_title(loc="left").endswith("= 0.500 nats")
    assert positive.get_title(loc="left") == "q log(q/p) − q + p: area 0.500 nats"


def test_area_between_tints_what_lies_between_the_curves():
    x = torch.linspace(0.5, 2.0, 50)
    (axes,) = plotting.area_between(x, ("x − 1", x - 1), ("log x", x.log()), marked=1.0).axes
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert np.isclose(heights.max(), 1.0) and np.isclose(heights.min(), np.log(0.5))
    assert axes.get_lines()[2].get_ydata()[0] == pytest.approx(0.0, abs=1e-6)


def test_maps_are_drawn_around_zero_only_where_they_have_negative_entries():
    rows = [{"ink": torch.tensor([[0.0, 2.0]]), "terms": torch.tensor([[-1.0, 3.0]])}, {"one": torch.ones(1, 1)}]
    ink, terms, one, empty = plotting.pixel_maps(rows).axes
    assert (ink.images[0].norm.vmin, ink.images[0].norm.vmax) == (0, 2)
    assert (terms.images[0].norm.vmin, terms.images[0].norm.vmax) == (-3, 3)
    assert one.get_title(loc="left") == "one" and not empty.images


def test_tilted_distribution_marks_its_mean_and_the_mean_wanted():
    q = torch.tensor([0.25, 0.25, 0.5])
    figure = plotting.tilted_distribution([1.0, 2.0, 3.0], torch.full((3,), 1 / 3), q, wanted=2.5, title="λ = 1")
    mean, wanted = figure.axes[0].get_lines()
    assert mean.get_xdata()[0] == 2.25 and wanted.get_xdata()[0] == 2.5
    assert {"mean of q: 2.25", "mean wanted: 2.5"} <= {text.get_text() for text in figure.legends[0].get_texts()}
