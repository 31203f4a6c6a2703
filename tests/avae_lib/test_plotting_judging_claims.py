"""Pictures of assignment 07: what they draw is what they were given."""

import numpy as np

from avae_lib import plotting
from avae_lib.plotting.legibility import require_legible
from avae_lib.plotting.style import GREY


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_a_claim_lies_at_its_own_height_in_the_colour_of_what_was_measured():
    figure = plotting.claims_against_draws([1, 4], {"Ada": [5.0, 4.9], "Ben": [5.3, 5.2]}, {"Ada": 4.8, "Ben": 4.5})
    require_legible(figure)
    drawn = lines(figure.axes[0])
    for name, claim, bits in (("Ada", 4.8, [5.0, 4.9]), ("Ben", 4.5, [5.3, 5.2])):
        measured, claimed = drawn[f"{name}, measured"], drawn[f"{name}, claimed"]
        assert list(measured.get_ydata()) == bits and set(claimed.get_ydata()) == {claim}
        assert measured.get_color() == claimed.get_color()
    assert drawn["Ada, measured"].get_color() != drawn["Ben, measured"].get_color()
    assert len(figure.legends[0].get_texts()) == 4


def test_every_image_stands_in_its_batch_beside_mean_and_claim():
    figure = plotting.images_of_batches([[1.0, 3.0], [2.0, 6.0]], [1.5, 2.5])
    require_legible(figure)
    drawn = lines(figure.axes[0])
    np.testing.assert_array_equal(drawn["mean of the batch"].get_xydata(), [[1, 2.0], [2, 4.0]])
    np.testing.assert_array_equal(drawn["claimed for the batch"].get_xydata(), [[1, 1.5], [2, 2.5]])
    dots = [line for line in figure.axes[0].get_lines() if line.get_color() == GREY]
    np.testing.assert_array_equal(
        np.concatenate([line.get_xydata() for line in dots]), [[1, 1], [1, 3], [2, 2], [2, 6]]
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "one image",
        "mean of the batch",
        "claimed for the batch",
    ]
