import math

import pytest
import torch

from avae_lib import data
from avae_lib.data.image_dataset import ImageDataset
from avae_lib.meanfield.bitmaps import bitmaps, holes, one_of_each_digit


def ring(side: int = 9) -> torch.Tensor:
    picture = -torch.ones(side, side)
    picture[2:-2, 2:-2] = 1
    picture[4:-4, 4:-4] = -1
    return picture


def test_a_bitmap_holds_the_share_of_ink_whatever_the_brightness():
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pictures = bitmaps(images, side=40, ink=0.25)
    assert pictures.shape == (3, 40, 40) and set(pictures.unique().tolist()) == {-1.0, 1.0}
    assert torch.allclose((pictures > 0).double().mean(dim=(1, 2)), torch.tensor(0.25, dtype=torch.float64), atol=0.01)
    assert torch.equal(bitmaps(7 * images, side=40, ink=0.25), pictures)


def test_thin_strokes_get_less_ink_than_their_share():
    images = torch.zeros(1, 1, 16, 16)
    images[:, :, 4:12, 8] = 1
    assert (bitmaps(images, side=32, ink=0.5) > 0).double().mean() < 0.2


@pytest.mark.parametrize(("side", "ink", "message"), [(40, 1.0, "ink must be above 0"), (4, 0.2, "side must be")])
def test_bitmaps_refuse_what_cannot_be_drawn(side, ink, message):
    with pytest.raises(ValueError, match=message):
        bitmaps(torch.rand(1, 1, 8, 8), side, ink)


def test_holes_are_counted_and_the_outside_is_none():
    two = torch.cat([ring(), ring()], dim=1)
    assert [holes(picture) for picture in (-torch.ones(5, 5), ring(), two)] == [0, 1, 2]


def test_each_digit_is_readable():
    pictures = one_of_each_digit(data.load("digits"), side=48)
    assert [holes(picture) for picture in pictures] == [1, 0, 0, 0, 0, 0, 1, 0, 2, 1]
    ink = (pictures > 0).double().mean(dim=(1, 2))
    assert all(math.isclose(share, 0.2, abs_tol=0.02) for share in ink.tolist())


def test_digits_need_labels():
    blank = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="has no labels"):
        one_of_each_digit(ImageDataset(name="blank", train=blank, test=blank, bits=4))
